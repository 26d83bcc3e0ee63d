"""The measurements and changes that `prepare_psf` makes, on arrays. Lengths are in voxels."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import make_interp_spline

from napari_selfdeconv.config.checks import check_number
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.checks import as_array

Float = NDArray[np.float64]
_BACKGROUND = 0.005  # of the peak: a lower level is not a background
_RISE = 0.3  # of the level, by which light rises within a voxel from the border and a background does not


def psf_hash(psf: NDArray[Any]) -> str:
    """Return the SHA-256 of the PSF as float32 with its shape: two PSFs are the same if it is."""
    data = np.ascontiguousarray(psf, np.float32)
    return hashlib.sha256(repr(data.shape).encode() + data.tobytes()).hexdigest()


def background_level(data: Float, background: float | str) -> float:
    """The level given, or the lowest median of a border plane: the one that the light cone reaches least."""
    if background != "auto":
        value = float(background) if isinstance(background, (int, float, np.number)) else background
        check_number('background (or "auto")', value, -math.inf, math.inf)
        return float(value)
    medians = [
        float(np.median(data.take(end, axis)))
        for axis in range(data.ndim)
        if data.shape[axis] > 4
        for end in (0, -1)
    ]
    return min(medians, default=0.0)


def has_background(data: Float, level: float) -> bool:
    """Whether ``level`` is a background: the image goes on with it from the border inwards. Light rises there."""
    inner = [
        float(np.median(data.take(next_in, axis)))
        for axis in range(data.ndim)
        if data.shape[axis] > 4
        for end, next_in in ((0, 1), (-1, -2))
        if float(np.median(data.take(end, axis))) <= level
    ]
    return level > _BACKGROUND * data.max() and min(inner, default=0.0) <= (1 + _RISE) * level


def noise_level(data: Float, smooth: Float) -> float:
    """Standard deviation of white noise where there is little light: the darker half of ``smooth``.

    From the median mixed difference of neighbours, in which what is left of the PSF cancels.
    """
    dark = smooth <= np.median(smooth)
    for axis, n in enumerate(data.shape):
        if n > 1:
            data = np.diff(data, axis=axis) / math.sqrt(2)
            dark = dark.take(np.arange(n - 1), axis)
    return float(1.4826 * np.median(np.abs(data[dark]))) if dark.any() else 0.0


def without_noise(signal: Float, smooth: Float, threshold: float) -> Float:
    """Replace what is below ``threshold`` by its local average, or 0 where that does not stand out either."""
    if threshold == 0:
        return signal
    # A Gaussian filter of one voxel divides the standard deviation of white noise by (4 pi)^(ndim / 4).
    faint = np.where(smooth > threshold / (4 * math.pi) ** (signal.ndim / 4), smooth, 0.0)
    return np.where(signal > threshold, signal, faint)


def _core(data: Float) -> tuple[NDArray[np.bool_], int]:
    """Return the mask of what is above half the maximum around the maximum, and how many such spots there are."""
    labels, spots = ndimage.label(data > data.max() / 2)
    return labels == labels.flat[int(data.argmax())], int(spots)


def _centroid(weights: Float) -> tuple[float, ...]:
    return tuple(float(c) for c in ndimage.center_of_mass(weights))


def background_share(data: Float, level: float) -> float:
    """Return the share of all light that a background of this level has."""
    return float(level * data.size / np.maximum(data, 0).sum())


def bright_centre(data: Float) -> tuple[float, ...]:
    """Centroid of everything above half the maximum: of the whole ring, when the plane is out of focus."""
    return _centroid(np.maximum(data - data.max() / 2, 0))


def core_centre(smooth: Float) -> tuple[tuple[float, ...], int]:
    """Return the sub-pixel centre of the brightest spot, and how many spots reach half its height."""
    mask, spots = _core(smooth)
    return _centroid(np.where(mask, smooth - smooth.max() / 2, 0)), spots


def resample(data: Float, centre: tuple[float, ...], ratio: tuple[float, ...]) -> Float:
    """Return all of ``data`` on a grid of odd sizes with ``centre`` in the middle, ``ratio`` voxels apart."""
    for axis, (c, step) in enumerate(zip(centre, ratio, strict=True)):
        n = data.shape[axis]
        half = math.ceil(max(c, n - 1 - c) / step - 1e-9)
        # Planes are sampled, pixels integrate over their width: of it, one voxel is in the data already.
        width = math.sqrt(max(step**2 - 1, 0)) if axis >= data.ndim - 2 else 0.0
        data = _along(data, axis, c + step * np.arange(-half, half + 1), width)
    return data


def _along(data: Float, axis: int, position: Float, width: float) -> Float:
    """Return cubic spline values at ``position`` (0 outside the data), averaged over ``width`` voxels."""
    n = data.shape[axis]
    inside = (position > -0.5) & (position < n - 0.5)
    clipped = position.clip(0, n - 1)
    if n == 1:
        values = data.take(np.zeros(len(position), int), axis)
    elif width < 1e-6:
        values = make_interp_spline(np.arange(n), data, k=min(3, n - 1), axis=axis)(clipped)
    else:
        total = make_interp_spline(np.arange(n), data, k=min(3, n - 1), axis=axis).antiderivative()
        high, low = ((position + sign * width / 2).clip(0, n - 1) for sign in (1, -1))
        values = total(high) - total(low)
        values = values / width
        inside = high > low
    shape = [-1 if a == axis else 1 for a in range(data.ndim)]
    return np.asarray(values * inside.reshape(shape), np.float64)


def crop(data: Float, energy: float, limits: tuple[int, ...]) -> Float:
    """Crop symmetrically about the middle: each axis may lose an equal part of the light that is to go."""
    window = []
    for axis, n in enumerate(data.shape):
        profile = data.sum(axis=tuple(a for a in range(data.ndim) if a != axis))
        middle = n // 2
        rings = profile[middle:].copy()
        rings[1:] += profile[middle - 1 :: -1] if middle else 0
        wanted = 1 - (1 - energy) / data.ndim
        # 1e-12: with energy 1 the last rings may be zeros, or lost in rounding.
        half = int(np.argmax(np.cumsum(rings) >= (wanted - 1e-12) * rings.sum()))
        half = min(half, (limits[axis] - 1) // 2)
        window.append(slice(middle - half, middle + half + 1))
    return data[tuple(window)]


def fwhm(data: Float, axis: int) -> float:
    """Return the full width at half maximum through the brightest voxel, linearly interpolated, in voxels.

    Parameters
    ----------
    data : PSF, 2D or 3D.
    axis : the axis along which the width is measured.

    Raises
    ------
    ConfigError
        If no voxel is above 0, one is not finite, or there is no such axis.

    Examples
    --------
    >>> x = np.arange(-10, 11)
    >>> psf = np.exp(-(x[:, None] ** 2 + x**2) / (2 * 2.0**2))
    >>> round(fwhm(psf, 1), 1)
    4.8
    """
    data = as_array("the PSF", data)
    if data.ndim not in (2, 3) or axis not in range(-data.ndim, data.ndim):
        raise ConfigError(f"a PSF of 2 or 3 axes is needed, and one of them: got shape {data.shape}, axis {axis}")
    if data.size == 0 or not (np.isfinite(data).all() and data.max() > 0):
        raise ConfigError("the PSF has no width: its voxels must be finite, and some above 0")
    peak = list(np.unravel_index(int(data.argmax()), data.shape))
    start = int(peak[axis])
    profile = data[tuple(slice(None) if a == axis else p for a, p in enumerate(peak))]
    return half_width(profile[start:]) + half_width(profile[start::-1])


def half_width(profile: Float) -> float:
    """Return where ``profile`` falls below half its first value, linearly interpolated; its end if nowhere."""
    below = np.flatnonzero(profile < profile[0] / 2)
    if not len(below):
        return len(profile) - 0.5
    i = int(below[0])
    return float(i - (profile[0] / 2 - profile[i]) / (profile[i - 1] - profile[i]))


def border_light(smooth: Float) -> tuple[float, ...]:
    """Return the brightest place of the two outermost planes of each axis, relative to the peak."""
    ends = [smooth.take([0, -1], axis).max() for axis in range(smooth.ndim)]
    return tuple(float(e / smooth.max()) if n > 1 else 0.0 for e, n in zip(ends, smooth.shape, strict=True))
