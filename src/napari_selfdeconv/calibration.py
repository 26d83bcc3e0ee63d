"""The gain and the offset that make a result, blurred again, fit the image: one straight line.

Batch-norm statistics lag behind a network that is still learning, and a deconvolved image whose contrast is a
tenth too high or too low comes of it. Two numbers cannot invent structure, and they are fitted to the image alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from napari_selfdeconv.config import Boundary
from napari_selfdeconv.forward import Blur
from napari_selfdeconv.slabs import convolved, slabs

_MOST_SAMPLES = 1_000_000
_ROUNDS = 20
# Residuals beyond this many robust standard deviations count linearly in the fit of a gain.
_DELTA = 1.0
# A pixel this many robust standard deviations of its like off g is a speck; of Gaussian noise 6 in 100 000 are, of
# few photons 2 in 10 000. An image with more than this share of them has outliers.
_SPECK, _SPECKS = 4.0, 1e-3
_MOST_BINS, _LEAST_IN_BIN = 20, 250
# Where more than this share of the pixels lies at the image's limits, noise is cut off, and has no such width.
_CUT_OFF = 0.1
# Where fewer than this do, next to nothing is cut off.
_CLEAR = 0.02
# A variance that is wrong by this factor, as a logarithm, is not explained.
_POOR = 0.35
# The slope is biased a little below 1, because g(result) has an error of its own: a gain this near to 1 is left.
_NEAR = 0.1
# A gain further from 1 is no small correction: the two images have nothing to do with each other.
_GAINS = (0.5, 2.0)
# Below this share of the image's variation there is nothing to fit a gain to.
_FLAT = 0.05


class Line(NamedTuple):
    """See `calibrate`."""

    gain: float
    offset: float
    cut_off: bool


def calibrate(
    result: NDArray[np.float32],
    image: NDArray[Any],
    psf: NDArray[Any],
    boundary: Boundary,
    standardize: Callable[[NDArray[Any]], NDArray[np.float32]] | None = None,
) -> Line:
    """Return the line with which ``gain * g(result) + offset`` fits ``image`` best.

    Parameters
    ----------
    result : deconvolved image, standardised units.
    image : the image it was made from, the same shape and units.
    psf, boundary : of g.
    standardize : brings those pixels of ``image`` that are looked at into the units of ``result``.

    Returns
    -------
    Its gain, its offset, and whether the noise of the image is cut off at black.

    gain : robust (Huber, delta one robust standard deviation of the residual); 1 where the best one is within 0.1
        of that, where g(result) is flat, and where the best one is not in 0.5 to 2.
    offset : the mean of the residual, so that the light is kept; its median where the image's mean is not that of
        the light: where it has outliers (salt and pepper, hot pixels), and where its noise is cut off at black.

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64]
    >>> truth = (np.sin(x / 7.0) * np.cos(y / 5.0)).astype(np.float32)
    >>> gain, offset, _ = calibrate(0.8 * truth - 0.1, truth, np.ones((1, 1)), "reflect")
    >>> round(gain, 3), round(offset, 3)
    (1.25, 0.125)
    """
    every = max(1, result.size // _MOST_SAMPLES)
    x: NDArray[Any] = np.asarray(image).ravel()[::every]
    x = (x if standardize is None else standardize(x)).astype(np.float64)
    g = _blurred_samples(result, Blur(psf, boundary=boundary), every)
    gain = 1.0
    if g.std() >= _FLAT * x.std():
        best = _line(g, x)
        if _GAINS[0] <= best <= _GAINS[1] and abs(best - 1) > _NEAR:
            gain = best
    residual = x - gain * g
    cut_off = is_cut_off(x, g)
    biased = cut_off or has_specks(x, g)
    return Line(gain, float(np.median(residual) if biased else residual.mean()), cut_off)


def _blurred_samples(result: NDArray[np.float32], blur: Blur, every: int) -> NDArray[np.float64]:
    """Return every ``every``-th pixel of g(result); a large result is blurred slab by slab."""
    row, samples = result[0].size, []
    for core, wide in slabs(result.shape, blur.psf.shape[0]):
        slab = convolved(blur, result[wide])[core.start - wide.start : core.stop - wide.start]
        samples.append(slab.ravel()[-core.start * row % every :: every].astype(np.float64))
    return np.concatenate(samples)


def has_specks(image: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Say whether ``image`` has outliers: more pixels far off ``expected`` than the usual kinds of noise give.

    Pixels are compared with those of the same expected brightness only, because photon noise grows with it.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> expected = np.repeat([5.0, 50.0], 5000)
    >>> image = random.poisson(expected).astype(float)
    >>> has_specks(image, expected), has_specks(np.where(random.random(10000) < 0.01, 200, image), expected)
    (False, True)
    """
    image, expected = image.ravel(), expected.ravel()
    bins = max(1, min(_MOST_BINS, image.size // _LEAST_IN_BIN))
    residual, order = image - expected, np.argsort(expected, kind="stable")
    limits = image.min(), image.max()
    far = looked_at = 0
    for group in np.array_split(order, bins):
        values = image[group]
        if np.isin(values, limits).mean() > _CUT_OFF:
            continue
        low, middle, high = np.quantile(residual[group], (0.25, 0.5, 0.75))
        # Of few photons the quartiles are whole numbers: a step more, and they do not come out too near.
        width = (high - low + np.diff(np.unique(values)).min(initial=np.ptp(values))) / 1.349
        far += int(np.count_nonzero(np.abs(residual[group] - middle) > _SPECK * width))
        looked_at += len(group)
    return far > _SPECKS * looked_at


def is_cut_off(image: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Say whether the noise of ``image`` is cut off at black, which makes dark pixels brighter in the mean.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> expected = np.repeat([0.0, 0.02, 1.0], 3000)
    >>> noise = random.normal(0, 0.1, expected.size)
    >>> is_cut_off(np.maximum(expected + noise, 0), expected), is_cut_off(expected + noise, expected)
    (True, False)
    >>> is_cut_off(random.poisson(50 * expected) / 50, expected)
    False
    """
    return cut_off_sigma(image, expected) > 0


def cut_off_sigma(image: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the standard deviation of noise that is cut off at the image's lowest value; 0 if it is not.

    Few photons leave many pixels at zero, too, and are no brighter for it: but they vary less than noise that is
    cut off to the same share of zeros at the same mean.

    Parameters
    ----------
    image : the recorded one.
    expected : the same pixels without noise.
    """
    image, expected = image.ravel(), expected.ravel()
    black, order = float(image.min()), np.argsort(expected, kind="stable")
    bins = max(1, min(_MOST_BINS, image.size // _LEAST_IN_BIN))
    as_cut_off, as_photons, sigmas = [], [], []
    for group in np.array_split(order, bins):
        values = image[group].astype(np.float64) - black
        share, mean = float((values == 0).mean()), float(values.mean())
        variance = float((values - expected[group]).var())
        if not _CLEAR < share < 1 - _CUT_OFF or variance == 0:
            continue
        # From the share of black pixels and the mean follows the variance, for either kind of noise.
        as_photons.append(math.log(variance / (mean**2 / -math.log(share))))
        t = float(-ndtri(share))
        density = math.exp(-0.5 * t**2) / math.sqrt(2 * math.pi)
        sigma = mean / (t * (1 - share) + density)
        cut_off = sigma**2 * ((t**2 + 1) * (1 - share) + t * density) - mean**2
        as_cut_off.append(math.log(variance / cut_off))
        sigmas.append(sigma)
    if not as_photons:
        return 0.0
    misfits = [float(np.median(np.abs(logs))) for logs in (as_cut_off, as_photons)]
    return float(np.median(sigmas)) if misfits[0] < min(misfits[1], _POOR) else 0.0


def brightened_by(expected: NDArray[np.float32], black: float, sigma: float) -> NDArray[np.float32]:
    """Return by how much noise of ``sigma`` that is cut off at ``black`` raises the mean of each pixel.

    Examples
    --------
    >>> [round(float(light), 3) for light in brightened_by(np.array([0.0, 1.0], np.float32), 0.0, 0.1)]
    [0.04, 0.0]
    """
    above = (expected - black) / sigma
    density = np.exp(-0.5 * above**2) / math.sqrt(2 * math.pi)
    raised: NDArray[np.float32] = (sigma * (density - above * ndtr(-above))).astype(np.float32)
    return raised


def _line(g: NDArray[np.float64], x: NDArray[np.float64]) -> float:
    """Return the gain of x = gain g + offset, by iteratively reweighted least squares."""
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
    return gain
