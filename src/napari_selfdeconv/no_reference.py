"""How good a result is where there is no truth: what the residual, the reblurred image and split pixels say."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.forward import Blur

_LAG = 5
_THRESHOLD = 1.0 / 7.0


def evaluate_without_truth(
    result: NDArray[Any], image: NDArray[Any], psf: NDArray[Any], voxel_um: Sequence[float] | None = None
) -> dict[str, float]:
    """Return what can be said of a result from the image it was made from.

    Parameters
    ----------
    result, image : 2D or 3D, the same shape and intensity units.
    psf : as many axes, unit sum.
    voxel_um : voxel size, for a resolution in um; None gives it in voxels of the last axis.

    Returns
    -------
    ``whiteness`` (0 to 1, 1 is white: `whiteness` of x - g(result)), ``i_divergence`` (`i_divergence` of x and
    g(result)), ``residual_rms`` (units of the image), ``frc_resolution`` (`fourier_resolution` of the result).

    Raises
    ------
    ConfigError
        If the shapes differ.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((32, 32))
    >>> scores = evaluate_without_truth(image, image, np.ones((1, 1)))
    >>> sorted(scores)
    ['frc_resolution', 'i_divergence', 'residual_rms', 'whiteness']
    """
    if result.shape != image.shape:
        raise ConfigError(
            f"the result has shape {result.shape} and the image {image.shape}: they must be the same"
        )
    with torch.inference_mode():
        estimate = torch.as_tensor(np.asarray(result, np.float32))[None, None]
        blurred = Blur(np.asarray(psf))(estimate)[0, 0].numpy().astype(np.float64)
    x = np.asarray(image, np.float64)
    residual = x - blurred
    return {
        "whiteness": whiteness(residual),
        "i_divergence": i_divergence(x, blurred),
        "residual_rms": float(np.sqrt(np.mean(residual**2))),
        "frc_resolution": fourier_resolution(result, voxel_um),
    }


def whiteness(residual: NDArray[Any]) -> float:
    """Return 1 minus the share of the residual's autocorrelation that white noise would not have.

    Parameters
    ----------
    residual : 2D or 3D.

    Returns
    -------
    ``1 / (1 + sum r(k)^2)`` over the lags of at most 5 voxels along each axis other than 0, r the normalised
    autocorrelation, less what chance gives white noise. 1 is white; structure left in the residual lowers it.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(128, 128))
    >>> whiteness(noise) > 0.97, whiteness(np.cumsum(noise, 0)) < 0.1
    (True, True)
    """
    r = np.asarray(residual, np.float64)
    r = r - r.mean()
    power = float((r**2).sum())
    if power == 0:
        return 1.0
    shape = [fft.next_fast_len(n + _LAG, real=True) for n in r.shape]
    axes = tuple(range(r.ndim))
    spectrum = fft.rfftn(r, shape, axes)
    correlation = fft.irfftn(np.abs(spectrum) ** 2, shape, axes) / power
    lags = [[*range(min(_LAG, n - 1) + 1), *range(-min(_LAG, n - 1), 0)] for n in r.shape]
    near = correlation[np.ix_(*lags)]
    excess = float((near**2).sum()) - 1.0 - (near.size - 1) / r.size
    return float(1.0 / (1.0 + max(0.0, excess)))


def i_divergence(image: NDArray[Any], estimate: NDArray[Any]) -> float:
    """Return Csiszar's I-divergence per voxel, the misfit that Richardson-Lucy lowers.

    Parameters
    ----------
    image, estimate : the image and the reblurred result. Both are moved up by the same amount where one of them
        is negative, since the divergence needs positive numbers.

    Returns
    -------
    mean of ``x log(x / y) - x + y``, units of the image; 0 if they are equal.

    Examples
    --------
    >>> i_divergence(np.ones(4), np.ones(4)), i_divergence(np.ones(4), 2 * np.ones(4)) > 0
    (0.0, True)
    """
    x, y = np.asarray(image, np.float64), np.asarray(estimate, np.float64)
    span = max(float(np.ptp(x)), float(np.ptp(y)), 1e-12)
    lift = max(0.0, -min(float(x.min()), float(y.min()))) + 1e-6 * span
    x, y = x + lift, y + lift
    return float(np.mean(x * np.log(x / y) - x + y))


def fourier_correlation(
    image: NDArray[Any], voxel_um: Sequence[float] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the Fourier ring (2D) or shell (3D) correlation of the two halves of one image.

    Parameters
    ----------
    image : 2D or 3D. Its checkerboard of even and odd pixels is split along y and x into two images of half the
        size, and the other pair likewise; the mean of both correlations is returned (Koho et al. 2019).
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
    """Return the resolution at which `fourier_correlation` falls below 1/7, um (or voxels); NaN if it never does.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(128, 128))
    >>> from scipy.ndimage import gaussian_filter
    >>> smooth = gaussian_filter(noise, 4) * 100 + np.random.default_rng(1).normal(size=(128, 128))
    >>> fourier_resolution(smooth) > 4
    True
    """
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
