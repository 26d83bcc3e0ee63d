"""Measures without a truth, from the residual, the reblurred image and split pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft

_LAG = 5


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
    span = max(float(np.ptp(x)), float(np.ptp(y))) or float(np.abs(x).max()) or 1.0
    lift = max(0.0, -min(float(x.min()), float(y.min()))) + 1e-6 * span
    x, y = x + lift, y + lift
    return float(np.mean(x * np.log(x / y) - x + y))
