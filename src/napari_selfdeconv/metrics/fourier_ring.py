"""Fourier ring correlation: up to which spatial frequency two images agree."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

_THRESHOLD = 1.0 / 7.0
# Of smaller images the halves have no ring.
_LEAST_SIDE = 4


def fourier_correlation(
    image: NDArray[Any], voxel_um: Sequence[float] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the Fourier ring (2D) or shell (3D) correlation of the two halves of one image.

    Parameters
    ----------
    image : 2D or 3D. Its checkerboard of even and odd pixels is split along y and x into two images of half the
        size, and the other pair likewise. The mean of both correlations is returned. Source: Koho et al. 2019,
        https://doi.org/10.1038/s41467-019-11024-z.
    voxel_um : voxel size, None counts in voxels.

    Returns
    -------
    frequency : cycles per um (or per voxel), rising.
    correlation : -1 to 1.

    Notes
    -----
    In a deconvolved image neighbouring pixels are no longer independent: the correlation stays high, and the
    resolution read from it is the method's claim more than a proof.
    """
    data = np.asarray(image, np.float64)
    voxel = tuple(float(v) for v in voxel_um) if voxel_um is not None else (1.0,) * data.ndim
    rows, columns = (n // 2 * 2 for n in data.shape[-2:])
    data = data[..., :rows, :columns]
    parts = {(i, j): data[..., i::2, j::2] for i, j in itertools.product((0, 1), repeat=2)}
    spacing = (*voxel[:-2], 2 * voxel[-2], 2 * voxel[-1])
    frequency, first = _rings(parts[0, 0], parts[1, 1], spacing, (1, 1))
    _, second = _rings(parts[0, 1], parts[1, 0], spacing, (1, -1))
    return frequency, (first + second) / 2


def fourier_resolution(image: NDArray[Any], voxel_um: Sequence[float] | None = None) -> float:
    """Return the resolution at which `fourier_correlation` falls below 1/7, um (or voxels).

    NaN if it never does, and for an image of fewer than 4 voxels along y or x.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(128, 128))
    >>> from scipy.ndimage import gaussian_filter
    >>> smooth = gaussian_filter(noise, 4) * 100 + np.random.default_rng(1).normal(size=(128, 128))
    >>> fourier_resolution(smooth) > 4
    True
    """
    if min(image.shape[-2:]) < _LEAST_SIDE:
        return float("nan")
    frequency, correlation = fourier_correlation(image, voxel_um)
    below = np.flatnonzero(correlation < _THRESHOLD)
    if not len(below):
        return float("nan")
    i = int(below[0])
    if i == 0:
        return float(1.0 / frequency[0])
    a, b = correlation[i - 1], correlation[i]
    crossing = frequency[i - 1] + (a - _THRESHOLD) / (a - b) * (frequency[i] - frequency[i - 1])
    return float(1.0 / crossing)


def _rings(
    a: NDArray[np.float64], b: NDArray[np.float64], spacing: Sequence[float], step_yx: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correlate two images ring by ring, in physical frequency; ``b`` lies ``step_yx`` pixels beside ``a``."""
    window = np.ones(())
    for n in a.shape:
        window = np.multiply.outer(window, np.hanning(n + 2)[1:-1] if n > 2 else np.ones(n))
    fa, fb = (fft.fftn((half - half.mean()) * window) for half in (a, b))
    axes = [fft.fftfreq(n, step) for n, step in zip(a.shape, spacing, strict=True)]
    radius = np.sqrt(sum(np.square(f) for f in np.meshgrid(*axes, indexing="ij", sparse=True)))
    step = 1.0 / (min(a.shape[-2:]) * spacing[-1])
    count = int(0.5 / spacing[-1] / step)
    ring = np.rint(radius / step).astype(int).ravel()
    inside = ring <= count
    shift = _half_pixel(axes, spacing, step_yx)
    cross = np.real(fa * np.conj(fb) * shift).ravel()[inside]
    sums = [
        np.bincount(ring[inside], weights=w, minlength=count + 1)
        for w in (cross, np.abs(fa.ravel()[inside]) ** 2, np.abs(fb.ravel()[inside]) ** 2)
    ]
    correlation = sums[0] / np.sqrt(np.maximum(sums[1] * sums[2], 1e-300))
    frequency = np.arange(count + 1) * step
    return frequency[1:], correlation[1:]


def _half_pixel(
    axes: Sequence[NDArray[np.float64]], spacing: Sequence[float], step_yx: tuple[int, int]
) -> NDArray[Any]:
    """Return the phase that moves the second half back onto the first: one pixel, half a pixel of the split."""
    grids = np.meshgrid(*axes[-2:], indexing="ij", sparse=True)
    phase = sum(g * s / 2 * sign for g, s, sign in zip(grids, spacing[-2:], step_yx, strict=True))
    return np.asarray(np.exp(2j * np.pi * phase))
