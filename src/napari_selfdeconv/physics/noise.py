"""Noise that changes the mean of an image: outliers, and noise that is clipped at the lowest value."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtri
from torch import Tensor

# A pixel this many robust standard deviations away from g is an outlier. Gaussian noise gives 6 in 100 000, few
# photons 2 in 10 000. An image with more than this share of them has outliers.
_FAR, _MANY = 4.0, 1e-3
# An outlier also differs from this many pixels on either side: a misfit of the blur is wider than five pixels.
_BESIDE = 2
# In an image with outliers, residuals beyond this many robust standard deviations are ignored.
_USUAL = 3.0
_QUARTILE = 0.6745  # of a normal distribution, in standard deviations
_MOST_BINS, _LEAST_IN_BIN = 20, 250
# Where more than this share of the pixels lies at the image's limits, noise is clipped and has no such width.
_CLIPPED = 0.1
# Where fewer than this do, hardly anything is clipped.
_CLEAR = 0.02
# A variance that is wrong by this factor, as a logarithm, is not explained.
_POOR = 0.35


def has_outliers(image: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Return whether ``image`` has outliers: more pixels far from ``expected`` than usual noise gives.

    Pixels are compared with those of the same expected brightness only, because photon noise grows with it. An
    outlier is alone. If the expected image fits badly, whole neighbourhoods are far off in the same way.

    Parameters
    ----------
    image, expected : the recorded pixels and the same without noise, in the order in which they lie in the image.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> expected = np.repeat([5.0, 50.0], 5000)
    >>> image = random.poisson(expected).astype(float)
    >>> has_outliers(image, expected), has_outliers(np.where(random.random(10000) < 0.01, 200, image), expected)
    (False, True)
    """
    image, expected = image.ravel(), expected.ravel()
    bins = max(1, min(_MOST_BINS, image.size // _LEAST_IN_BIN))
    residual, order = image - expected, np.argsort(expected, kind="stable")
    limits = image.min(), image.max()
    looked_at, suspects, widths = 0, [], []
    for group in np.array_split(order, bins):
        values = image[group]
        if np.isin(values, limits).mean() > _CLIPPED:
            continue
        low, middle, high = np.quantile(residual[group], (0.25, 0.5, 0.75))
        # With few photons the quartiles are whole numbers: one step more keeps the width from being too small.
        width = (high - low + np.diff(np.unique(values)).min(initial=np.ptp(values))) / 1.349
        far = group[np.abs(residual[group] - middle) > _FAR * width]
        suspects.append(far)
        widths.append(np.full(len(far), width))
        looked_at += len(group)
    if not looked_at:
        return False
    suspect = np.concatenate(suspects)
    around = residual[np.clip(suspect[:, None] + np.arange(-_BESIDE, _BESIDE + 1), 0, residual.size - 1)]
    alone = np.abs(residual[suspect] - np.median(around, axis=1)) > _FAR * np.concatenate(widths)
    return int(np.count_nonzero(alone)) > _MANY * looked_at


def clipped_sigma(image: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the standard deviation of noise that is clipped at the image's lowest value; 0 if it is not clipped.

    Few photons also leave many pixels at zero, but do not make the image brighter. They vary less than clipped
    noise with the same share of zeros and the same mean.

    Parameters
    ----------
    image : the recorded one.
    expected : the same pixels without noise.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> expected = np.repeat([0.0, 0.02, 1.0], 3000)
    >>> noise = random.normal(0, 0.1, expected.size)
    >>> sigmas = [clipped_sigma(image, expected) for image in (np.maximum(expected + noise, 0), expected + noise)]
    >>> [round(sigma, 2) for sigma in sigmas], clipped_sigma(random.poisson(50 * expected) / 50, expected)
    ([0.1, 0.0], 0.0)
    """
    image, expected = image.ravel(), expected.ravel()
    black, order = float(image.min()), np.argsort(expected, kind="stable")
    bins = max(1, min(_MOST_BINS, image.size // _LEAST_IN_BIN))
    as_clipped, as_photons, sigmas = [], [], []
    for group in np.array_split(order, bins):
        values = image[group].astype(np.float64) - black
        share, mean = float((values == 0).mean()), float(values.mean())
        variance = float((values - expected[group]).var())
        if not _CLEAR < share < 1 - _CLIPPED or variance == 0:
            continue
        # The share of lowest pixels and the mean determine the variance, for either kind of noise.
        as_photons.append(math.log(variance / (mean**2 / -math.log(share))))
        t = float(-ndtri(share))
        density = math.exp(-0.5 * t**2) / math.sqrt(2 * math.pi)
        sigma = mean / (t * (1 - share) + density)
        cut_off = sigma**2 * ((t**2 + 1) * (1 - share) + t * density) - mean**2
        as_clipped.append(math.log(variance / cut_off))
        sigmas.append(sigma)
    if not as_photons:
        return 0.0
    misfits = [float(np.median(np.abs(logs))) for logs in (as_clipped, as_photons)]
    return float(np.median(sigmas)) if misfits[0] < min(misfits[1], _POOR) else 0.0


class Noise(NamedTuple):
    """The kinds of noise that an image has.

    Residuals from ``low`` to ``high`` are not outliers; the limits are infinite in an image without outliers.
    ``sigma`` is the standard deviation of noise that is clipped at the lowest value, 0 if it is not clipped.
    """

    low: float
    high: float
    sigma: float


def noise_of(image: NDArray[Any], expected: NDArray[Any]) -> Noise:
    """Return which kinds of noise ``image`` has, ``expected`` being the same without it."""
    low, high = -np.inf, np.inf
    residual = image - expected
    if has_outliers(image, expected):
        # From the upper half alone: the lower one is narrow where noise is cut off.
        middle, upper = (float(q) for q in np.quantile(residual, (0.5, 0.75)))
        width = _USUAL * (upper - middle) / _QUARTILE
        low, high = middle - width, middle + width
    usual = (residual >= low) & (residual <= high)
    return Noise(low, high, clipped_sigma(image[usual], expected[usual]))


def clipping_bias(expected: Tensor, black: float, sigma: float) -> Tensor:
    """Return by how much noise of ``sigma`` that is clipped at ``black`` raises the mean of each pixel.

    Examples
    --------
    >>> [round(float(light), 3) for light in clipping_bias(torch.tensor([0.0, 1.0]), 0.0, 0.1)]
    [0.04, 0.0]
    """
    above = (expected - black) / sigma
    density = torch.exp(-0.5 * above.square()) / math.sqrt(2 * math.pi)
    below = 0.5 * (1 - torch.erf(above / math.sqrt(2)))
    return sigma * (density - above * below)
