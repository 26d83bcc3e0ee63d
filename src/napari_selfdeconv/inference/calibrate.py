"""The gain and the offset that make a result, blurred again, fit the image: one straight line.

Batch-norm statistics lag behind a network that is still learning. The contrast of its result is then up to a tenth
too high or too low. Two numbers cannot invent structure, and they are fitted to the image alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.arrays.chunks import chunks
from napari_selfdeconv.config.training import Boundary
from napari_selfdeconv.physics.blur import Blur, convolved
from napari_selfdeconv.physics.noise import Noise, clipping_bias, noise_of
from napari_selfdeconv.physics.pixel_weights import PixelWeights

_MOST_SAMPLES = 1_000_000
# The mean residual is that of all samples. Noise and gain need fewer, in blocks: an outlier is sought beside its
# neighbours.
_MOST_SORTED, _BLOCK = 262_144, 4096
_ROUNDS = 20
# Residuals beyond this many robust standard deviations count linearly in the fit of a gain.
_DELTA = 1.0
# The slope is biased a little below 1, because g(result) has an error of its own: a gain this near to 1 is left.
_NEAR = 0.1
# A gain is left at 1 if it differs by fewer standard errors: it is then explained by the noise.
_SURE = 3.0
# A gain further from 1 is not a small correction: the two images are unrelated.
_GAINS = (0.5, 2.0)
# Where all light lies below the lowest value, hardly a pixel rises with it: there is no gain to fit either.
_LEAST_RISE = 1e-3
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
    weights: PixelWeights | None = None,
) -> Line:
    """Return the line with which ``gain * g(result) + offset`` fits ``image`` best.

    Parameters
    ----------
    result : deconvolved image, standardised units.
    image : the image it was made from, the same shape and units.
    psf, boundary : PSF and border of g.
    standardize : converts the pixels of ``image`` that are used to the units of ``result``.
    weights : pixels of weight 0 and saturated pixels are not used.

    Returns
    -------
    Its gain, its offset, and whether the noise of the image is clipped at the lowest value.

    gain : a robust estimate (Huber, delta one robust standard deviation of the residual). If the noise is clipped,
        it is that of the light, which the clipping makes look flatter. It is 1 if the best gain is within 0.1 or
        three standard errors of 1 or outside 0.5 to 2, and if g(result) is flat.
    offset : the mean of the residual, so that the light is kept. It is the median if the image has outliers (salt
        and pepper, hot pixels). If the noise is clipped, it is the one with which the mean is that of the light
        plus the clipping bias.

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
    g = blurred_samples(result, Blur(psf, boundary=boundary), every)
    if weights is not None:
        measured = weights.measured.ravel()[::every]
        x, g = x[measured], g[measured]
    gain = 1.0
    if g.std() >= _FLAT * x.std():
        best, error = _gain(*_thinned(g, x))
        if _GAINS[0] <= best <= _GAINS[1] and abs(best - 1) > max(_NEAR, _SURE * error):
            gain = best
    return Line(gain, *_offset(gain * g, x))


def _gain(g: NDArray[np.float64], x: NDArray[np.float64]) -> tuple[float, float]:
    """Return the gain of x = gain g + offset and its standard error.

    If the noise is clipped at the lowest value, the gain is that of the light.
    """
    gain, error = 1.0, 0.0
    # What is an outlier is seen better with the gain of the first round.
    for _ in range(2):
        noise = noise_of(x, gain * g)
        if not noise.sigma:
            return _line(g, x)
        slope, _, error = _clipped_line(gain * g, x, noise)
        gain, error = gain * slope, abs(gain) * error
    return gain, error


def _offset(g: NDArray[np.float64], x: NDArray[np.float64]) -> tuple[float, bool]:
    """Return the offset of x = g + offset, and whether the noise of x is clipped at the lowest value."""
    seen, recorded = _thinned(g, x)
    noise = noise_of(recorded, seen)
    if noise.sigma:
        return _clipped_line(seen, recorded, noise, gain=1.0)[1], True
    residual = x - g
    return float(residual.mean() if math.isinf(noise.high) else np.median(residual)), False


def _clipped_line(
    g: NDArray[np.float64], x: NDArray[np.float64], noise: Noise, gain: float | None = None
) -> tuple[float, float, float]:
    """Return the gain, the offset and the error of the gain of the light whose clipped noise has the mean of x.

    The expected value of a clipped pixel rises with the light by 0.5 at the lowest value and by 1 far above. A
    straight line through the pixels is therefore too flat where much is dark. With a given ``gain`` only the
    offset is fitted.
    """
    usual = (x - g >= noise.low) & (x - g <= noise.high)
    black, seen, recorded = float(x.min()), torch.from_numpy(g[usual]), torch.from_numpy(x[usual])
    centred = seen - seen.mean()
    slope, offset, error = 1.0 if gain is None else gain, 0.0, 0.0
    for _ in range(_ROUNDS):
        light = slope * seen + offset
        missing = recorded - light - clipping_bias(light, black, noise.sigma)
        if gain is None:
            rise = 0.5 * (1 + torch.erf((light - black) / (noise.sigma * math.sqrt(2))))
            steepness = float((rise * centred.square()).sum())
            if steepness <= _LEAST_RISE * float(centred.square().sum()):
                return 1.0, offset, math.inf
            slope += float((missing * centred).sum()) / steepness
            error = float((missing * centred).square().sum()) ** 0.5 / steepness
        offset += float(missing.mean())
    return slope, offset, error


def _thinned(*samples: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return blocks of neighbours, the same of each array, so that no more are left than are worth sorting."""
    every = -(-samples[0].size // _MOST_SORTED)
    if every == 1:
        return list(samples)
    blocks = np.arange(samples[0].size) // _BLOCK % every == 0
    return [one[blocks] for one in samples]


def blurred_samples(result: NDArray[np.float32], blur: Blur, every: int) -> NDArray[np.float64]:
    """Return every ``every``-th pixel of g(result); a large result is blurred chunk by chunk."""
    row, samples = result[0].size, []
    for core, wide in chunks(result.shape, blur.psf.shape[0]):
        chunk = convolved(blur, result[wide])[core.start - wide.start : core.stop - wide.start]
        samples.append(chunk.ravel()[-core.start * row % every :: every].astype(np.float64))
    return np.concatenate(samples)


def _line(g: NDArray[np.float64], x: NDArray[np.float64]) -> tuple[float, float]:
    """Return the gain of x = gain g + offset and its standard error, by iteratively reweighted least squares."""
    gain, offset, error = 1.0, float(np.median(x - g)), 0.0
    scale = _DELTA * 1.4826 * float(np.median(np.abs(x - g - offset))) + 1e-12
    for _ in range(_ROUNDS):
        weight = 1.0 / np.maximum(1.0, np.abs(x - gain * g - offset) / scale)
        weight /= weight.sum()
        # Sums, not products of vectors: the threads of BLAS wait for each other where a core is busy.
        mean_g, mean_x = float((weight * g).sum()), float((weight * x).sum())
        centred = weight * (g - mean_g)
        steepness = float((centred * (g - mean_g)).sum())
        if steepness <= 0:  # g is constant: every gain fits as well
            return 1.0, math.inf
        new = float((centred * (x - mean_x)).sum()) / steepness
        error = float(np.square(centred * (x - mean_x - new * (g - mean_g))).sum()) ** 0.5 / steepness
        done = abs(new - gain) < 1e-6
        gain, offset = new, mean_x - new * mean_g
        if done:
            break
    return gain, error
