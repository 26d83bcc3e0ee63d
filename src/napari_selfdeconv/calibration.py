"""The gain and the offset that make a result, blurred again, fit the image: one robust straight line.

Batch-norm statistics lag behind a network that is still learning, and a deconvolved image whose contrast is a
tenth too high or too low comes of it. Two numbers cannot invent structure, and they are fitted to the image alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.config import Boundary
from napari_selfdeconv.forward import Blur

_MOST_SAMPLES = 1_000_000
_ROUNDS = 20
# Residuals beyond this many robust standard deviations count linearly: specks do not lead, and photon noise, which
# is lopsided but has no such tails, very nearly keeps its mean.
_DELTA = 1.0
# The slope is biased a little below 1, because g(result) has an error of its own: a gain this near to 1 is left.
_NEAR = 0.1
# A gain further from 1 is no small correction: the two images have nothing to do with each other.
_GAINS = (0.5, 2.0)
# Below this share of the image's variation there is nothing to fit a gain to.
_FLAT = 0.05


def calibrate(
    result: NDArray[np.float32], image: NDArray[np.float32], psf: NDArray[Any], boundary: Boundary
) -> tuple[float, float]:
    """Return (gain, offset) with which ``gain * g(result) + offset`` fits ``image`` best.

    Parameters
    ----------
    result : deconvolved image, standardised units.
    image : the image it was made from, the same shape and units.
    psf, boundary : of g.

    Returns
    -------
    The minimum of a Huber function (delta one robust standard deviation of the residual). The gain is 1 where the
    best one is within 0.1 of that, where g(result) is flat, and where the best one is not in 0.5 to 2.

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64]
    >>> truth = (np.sin(x / 7.0) * np.cos(y / 5.0)).astype(np.float32)
    >>> gain, offset = calibrate(0.8 * truth - 0.1, truth, np.ones((1, 1)), "reflect")
    >>> round(gain, 3), round(offset, 3)
    (1.25, 0.125)
    """
    with torch.inference_mode():
        blurred = Blur(psf, boundary=boundary)(torch.from_numpy(np.ascontiguousarray(result))[None, None])
    g: NDArray[Any] = blurred[0, 0].numpy().ravel()
    x: NDArray[Any] = np.asarray(image).ravel()
    every = max(1, g.size // _MOST_SAMPLES)
    g, x = g[::every].astype(np.float64), x[::every].astype(np.float64)
    plain = 1.0, _location(x - g)
    if g.std() < _FLAT * x.std():
        return plain
    gain, offset = _line(g, x)
    possible = _GAINS[0] <= gain <= _GAINS[1] and abs(gain - 1) > _NEAR
    return (gain, offset) if possible else plain


def _location(residual: NDArray[np.float64]) -> float:
    """Return the robust mean: a Huber fit of a constant."""
    value = float(np.median(residual))
    scale = _DELTA * 1.4826 * float(np.median(np.abs(residual - value))) + 1e-12
    for _ in range(_ROUNDS):
        weight = 1.0 / np.maximum(1.0, np.abs(residual - value) / scale)
        value = float(weight @ residual / weight.sum())
    return value


def _line(g: NDArray[np.float64], x: NDArray[np.float64]) -> tuple[float, float]:
    """Fit x = gain g + offset by iteratively reweighted least squares."""
    gain, offset = 1.0, float(np.median(x - g))
    scale = _DELTA * 1.4826 * float(np.median(np.abs(x - g - offset))) + 1e-12
    for _ in range(_ROUNDS):
        weight = 1.0 / np.maximum(1.0, np.abs(x - gain * g - offset) / scale)
        weight /= weight.sum()
        mean_g, mean_x = float(weight @ g), float(weight @ x)
        centred = weight * (g - mean_g)
        new = float(centred @ (x - mean_x)) / float(centred @ (g - mean_g))
        done = abs(new - gain) < 1e-6
        gain, offset = new, mean_x - new * mean_g
        if done:
            break
    return gain, offset
