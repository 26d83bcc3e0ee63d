"""Beads cut out, moved onto each other by parts of a voxel, compared and averaged. Lengths in voxels."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.interpolate import make_interp_spline

from napari_selfdeconv.psf.measure import core_centre, resample

Float = NDArray[np.float64]

_MARGIN = 6  # voxels around a window that a cubic spline still feels
_CORE = 0.1  # of the peak: where beads are compared
_CLIP = 4.0  # robust standard deviations beyond which the mean leaves a voxel of a bead out
_FEWEST = 5  # beads that are needed to find outliers among beads or voxels
_LOWEST_CORRELATION = 0.6
_FURTHEST = 1.0


class Stack:
    """The beads' windows, resampled from the image at sub-pixel centres that `align` improves.

    Parameters
    ----------
    image : the whole image.
    positions : whole-voxel positions of the beads, one row each.
    half : half the window per axis.
    """

    def __init__(self, image: NDArray[np.generic], positions: NDArray[np.int64], half: tuple[int, ...]) -> None:
        self._image, self._half = image, half
        self.positions = positions
        self.centres = positions.astype(np.float64)
        self.windows = np.zeros((len(positions), *(2 * h + 1 for h in half)), np.float32)
        self.scales = np.ones(len(positions))

    def start(self, index: int) -> None:
        """Centre bead ``index`` on the centroid of its bright core."""
        block, corner = self._block(index)
        middle = tuple(int(p - c) for p, c in zip(self.positions[index], corner, strict=True))
        near = tuple(slice(max(0, m - h), m + h + 1) for m, h in zip(middle, self._half, strict=True))
        smooth = ndimage.gaussian_filter(block, 1.0, mode="nearest")[near]
        centre, _ = core_centre(smooth - background(smooth))
        self.centres[index] = [c + s.start + k for c, s, k in zip(centre, near, corner, strict=True)]
        self._hold(index)
        self._cut(index)
        level = background(self.windows[index])
        self.scales[index] = float(ndimage.gaussian_filter(self.windows[index] - level, 0.7).max())
        self.windows[index] = (self.windows[index] - level) / self.scales[index]

    def align(self, index: int, average: Float) -> None:
        """Move bead ``index`` to where it fits ``average`` best, by least squares in height, level and shift."""
        scale, level, shift = _fit(self.windows[index], average)
        self.centres[index] += np.clip(shift, -_FURTHEST, _FURTHEST)
        self._hold(index)
        self._cut(index)
        scale, level, _ = _fit(self.windows[index], average)
        self.scales[index] = scale
        self.windows[index] = (self.windows[index] - level) / scale

    def _hold(self, index: int) -> None:
        # A spot that wanders off is not a bead: it is kept near its maximum and rejected by its shape.
        low, high = self.positions[index] - 2, self.positions[index] + 2
        self.centres[index] = np.clip(self.centres[index], low, high)

    def _block(self, index: int) -> tuple[Float, NDArray[np.int64]]:
        """Return the surroundings of bead ``index`` and where they begin."""
        reach = np.asarray(self._half) + _MARGIN
        low = np.maximum(self.positions[index] - reach, 0)
        high = np.minimum(self.positions[index] + reach + 1, self._image.shape)
        region = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        return np.asarray(self._image[region], np.float64), low

    def _cut(self, index: int) -> None:
        block, low = self._block(index)
        # Where the window reaches over the image's border by a part of a voxel, the border continues.
        block = np.pad(block, 2, mode="edge")
        centre = tuple(float(c) for c in self.centres[index] - low + 2)
        moved = resample(block, centre, (1.0,) * block.ndim)
        middle = tuple(slice(n // 2 - h, n // 2 + h + 1) for n, h in zip(moved.shape, self._half, strict=True))
        self.windows[index] = moved[middle]


def background(window: NDArray[np.floating]) -> float:
    """Return the level around a bead: the median of the two outermost pixels of the planes near its middle."""
    n = window.shape[0]
    planes = window[n // 3 : n - n // 3] if window.ndim == 3 else window[None]
    rim = np.ones(planes.shape[-2:], bool)
    rim[2:-2, 2:-2] = False
    return float(np.median(planes[:, rim]))


def _fit(window: NDArray[np.float32], average: Float) -> tuple[float, float, Float]:
    """Return height, level and shift (in voxels) of the average that fit ``window`` best."""
    slopes = [
        np.gradient(average, axis=axis) if n > 1 else np.zeros_like(average)
        for axis, n in enumerate(average.shape)
    ]
    columns = np.stack([average.ravel(), np.ones(average.size), *(s.ravel() for s in slopes)], 1)
    answer = np.linalg.lstsq(columns, window.ravel().astype(np.float64), rcond=None)[0]
    scale = float(answer[0])
    if scale <= 0:
        return 1.0, float(answer[1]), np.zeros(average.ndim)
    # average(x - s) = average(x) - s * slope
    return scale, float(answer[1]), -answer[2:] / scale


def centred(average: Float) -> Float:
    """Return the average with the centroid of its bright core moved to the middle voxel."""
    centre, _ = core_centre(ndimage.gaussian_filter(average, 1.0, mode="nearest"))
    moved = resample(average, centre, (1.0,) * average.ndim)
    return moved[
        tuple(slice(m // 2 - n // 2, m // 2 + n // 2 + 1) for m, n in zip(moved.shape, average.shape, strict=True))
    ]


def combine(windows: NDArray[np.float32], weights: Float, how: str) -> Float:
    """Average registered beads of equal height.

    The mean weighs each bead (bright ones are less noisy) and leaves out voxels far from the median; the
    median does neither.
    """
    if how == "median":
        return np.asarray(np.median(windows, axis=0), np.float64)
    total = np.zeros(windows.shape[1:])
    weight = np.zeros(windows.shape[1:])
    if len(windows) >= _FEWEST:
        middle = np.median(windows, axis=0)
        spread = 1.4826 * np.median(np.abs(windows - middle), axis=0)
    else:
        middle, spread = windows[0], np.full(windows.shape[1:], np.inf)
    for window, w in zip(windows, weights, strict=True):
        kept = w * (np.abs(window - middle) <= _CLIP * spread)
        total += kept * window
        weight += kept
    return np.asarray(np.where(weight > 0, total / np.maximum(weight, 1e-12), middle), np.float64)


def correlations(windows: NDArray[np.float32], average: Float) -> Float:
    """Return each bead's correlation with the average where the average is bright."""
    core = average > _CORE * average.max()
    reference = average[core] - average[core].mean()
    values = []
    for window in windows:
        own = window[core].astype(np.float64)
        own = own - own.mean()
        values.append(float(own @ reference / max(np.linalg.norm(own) * np.linalg.norm(reference), 1e-12)))
    return np.array(values)


def outliers(windows: NDArray[np.float32], average: Float, sigmas: float) -> NDArray[np.bool_]:
    """Return which beads have another shape than the others: two stuck together, or no bead at all."""
    match = correlations(windows, average)
    odd = match < _LOWEST_CORRELATION
    if len(windows) < _FEWEST:
        return np.asarray(odd)
    spread = max(1.4826 * float(np.median(np.abs(match - np.median(match)))), 0.004)
    odd |= match < np.median(match) - sigmas * spread
    # Light near the bead over its height: two beads in one have more of it, whatever their direction.
    core = ndimage.gaussian_filter(average, 1.0) > _CORE * average.max()
    light = np.log(np.maximum([float(w[core].sum() / _height(w)) for w in windows], 1e-6))
    spread = max(1.4826 * float(np.median(np.abs(light - np.median(light)))), 0.03)
    return np.asarray(odd | (np.abs(light - np.median(light)) > sigmas * spread))


def _height(window: NDArray[np.float32]) -> float:
    return max(float(ndimage.gaussian_filter(window, 0.7).max()), 1e-6)


def round_about_z(psf: Float, spacing: tuple[float, float]) -> Float:
    """Average each plane over all angles about its middle pixel.

    Parameters
    ----------
    psf : ([z,] y, x), odd sizes in y and x.
    spacing : pixel size along y and x, in the same unit.

    Returns
    -------
    array of the same shape; values at equal radius are equal.

    Notes
    -----
    Cubic splines both ways; the corners, which no full circle reaches, average what there is of theirs.

    Examples
    --------
    >>> y, x = np.mgrid[-5:6, -5:6]
    >>> squeezed = np.exp(-(y**2 / 4 + x**2 / 2.0))
    >>> even = round_about_z(squeezed, (1.0, 1.0))
    >>> bool(abs(even[5, 7] - even[7, 5]) < 1e-12), bool(squeezed[5, 7] < even[5, 7] < squeezed[7, 5])
    (True, True)
    """
    ny, nx = psf.shape[-2:]
    dy, dx = spacing
    step = min(dy, dx) / 4
    furthest = math.hypot(ny // 2 * dy, nx // 2 * dx)
    radii = np.arange(0, furthest + 2 * step, step)
    angles = np.arange(0, 360) * (math.pi / 180)
    y = ny // 2 + np.outer(radii, np.sin(angles)) / dy
    x = nx // 2 + np.outer(radii, np.cos(angles)) / dx
    inside = (y >= -1e-9) & (y <= ny - 1 + 1e-9) & (x >= -1e-9) & (x <= nx - 1 + 1e-9)
    counted = inside.sum(axis=1)
    radius = np.hypot(
        (np.arange(ny) - ny // 2)[:, None] * dy,
        (np.arange(nx) - nx // 2)[None, :] * dx,
    )
    planes = []
    for plane in psf.reshape(-1, ny, nx):
        values = ndimage.map_coordinates(plane, [y, x], order=3, mode="nearest")
        profile = np.where(inside, values, 0).sum(axis=1) / np.maximum(counted, 1)
        known = counted > 0
        planes.append(make_interp_spline(radii[known], profile[known])(radius.clip(0, radii[known][-1])))
    return np.asarray(np.reshape(planes, psf.shape), np.float64)
