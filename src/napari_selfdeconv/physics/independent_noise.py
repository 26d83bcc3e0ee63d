"""Shared noise of pixels made independent: missing frequencies are added, offsets of lines are subtracted.

A filter or an interpolation removes the high frequencies of the noise and leaves the low ones, which methods then
take for structure. The removed noise cannot be restored, but new noise of these frequencies can be added. The sum
is as strong as white noise with the same low frequencies, and every method can distinguish it from structure.
"""

from __future__ import annotations

import math
import zlib
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.optimize import least_squares

from napari_selfdeconv.holdout.orientation import Orientation
from napari_selfdeconv.physics.camera import estimate_noise_line
from napari_selfdeconv.physics.noise_check import cutoffs, fine_waves, some_planes

_BINS = 16
# The median of the power of a wave is this share of its mean.
_MEDIAN = float(np.log(2))
# Noise of a wider kernel has no fine waves left to measure it by, pixels.
_WIDEST = 2.0
# Noise of a narrower kernel does less harm than the noise that would be added, pixels.
_NARROWEST = 0.5
# In the flattest of these blocks, waves just below the cut of the PSF are hardly more than noise.
_BLOCK, _FLATTEST = 32, 0.2
_LIGHT = 1.5
# Lines so far around one say what it has more, pixels; the line itself is among them, so that takes rounds. What
# is larger than usual by this factor is no offset.
_AROUND, _ROUNDS, _USUAL = 3.0, 3, 4.0


class SharedNoise(NamedTuple):
    """Power of noise that neighbours share: ``coarse * exp(-(width * w)**2) + white`` at w radians a pixel.

    White noise of variance 1 has the power 1 at all waves.
    """

    coarse: float
    width: float
    white: float


def fit_shared_noise(image: NDArray[Any], psf: NDArray[Any]) -> SharedNoise | None:
    """Measure the noise by the waves that the PSF does not let through; None if there are too few of them.

    Parameters
    ----------
    image : 2D or 3D; the noise of its planes is independent.
    psf : as many axes.
    """
    planes = some_planes(image)
    # Powers of extreme numbers would not be finite. A power of two changes no digit.
    unit = math.ldexp(1.0, math.frexp(float(np.ptp(planes)))[1])
    planes = planes / np.float32(unit)
    found = fine_waves(planes, psf)
    if found is None:
        return None
    order = np.argsort(found.radians)
    parts = np.array_split(order, _BINS)
    squares = np.array([float(np.mean(found.radians[part] ** 2)) for part in parts])
    power = np.array([float(np.median(found.power[part])) / _MEDIAN for part in parts])
    logs = np.log(np.maximum(power, 1e-30))

    def misfit(values: NDArray[np.float64]) -> NDArray[np.float64]:
        coarse, square, white = values
        gap: NDArray[np.float64] = np.logaddexp(coarse - square * squares, white) - logs
        return gap

    slope = max(0.05, (logs[0] - logs[-1]) / (squares[-1] - squares[0]))
    start = [logs[0] + slope * squares[0], min(slope, 0.9 * _WIDEST**2), logs[-1] - 3.0]
    limits = [logs[0] - 1, 1e-3, logs[-1] - 12], [logs[0] + _WIDEST**2 * squares[0], _WIDEST**2, logs[0] + 1]
    coarse, square, white = least_squares(misfit, np.clip(start, *limits), bounds=limits).x
    # Far from the waves that were measured the curve is a guess; the flattest places say how much it can be.
    edge, most = _flattest(planes, psf)
    coarse = min(coarse, float(np.log(most) + square * edge**2))
    return SharedNoise(unit**2 * float(np.exp(coarse)), float(np.sqrt(square)), unit**2 * float(np.exp(white)))


def make_independent(image: NDArray[Any], psf: NDArray[Any]) -> NDArray[np.float32] | None:
    """Return the image with the missing frequencies of its noise added; None if few are missing or unknown.

    The same image gets the same noise, also in other units and as a mirror image. The noise grows with the light,
    as that of the image does.

    Parameters
    ----------
    image : 2D or 3D.
    psf : as many axes.

    Examples
    --------
    >>> noise = gaussian_filter(np.random.default_rng(0).normal(100, 10, (128, 128)), 0.7)
    >>> psf = np.outer(np.hanning(11), np.hanning(11))
    >>> whole = make_independent(noise, psf)
    >>> bool(8 < whole.std() < 12), bool(np.corrcoef(whole[1:].ravel(), whole[:-1].ravel())[0, 1] < 0.1)
    (True, True)
    """
    noise = fit_shared_noise(image, psf)
    if noise is None or noise.width < _NARROWEST:
        return None
    data = np.array(image, np.float32)
    planes = data if data.ndim == 3 else data[None]
    waves = np.meshgrid(*(2 * np.pi * np.fft.fftfreq(n) for n in planes.shape[1:]), indexing="ij", sparse=True)
    lacks = np.sqrt(noise.coarse * -np.expm1(-(noise.width**2) * (waves[0] ** 2 + waves[1] ** 2)))
    line = estimate_noise_line(data)
    lies = Orientation.of(data)
    drawn = np.random.default_rng(_seed(lies.apply(data))).standard_normal(lies.shape(data.shape), np.float32)
    drawn = lies.undo(drawn).reshape(planes.shape)
    mean = line.gain * max(0.0, float(data.mean(dtype=np.float64)) - line.dark) + line.read
    for plane, white in zip(planes, drawn, strict=True):
        added = scipy.fft.ifft2(lacks * scipy.fft.fft2(white.astype(np.float64))).real
        if mean > 0:
            light = np.maximum(gaussian_filter(plane, _LIGHT) - line.dark, 0)
            added *= np.sqrt(line.gain / mean * light + line.read / mean)
        plane += added.astype(np.float32)
    return data


def _seed(image: NDArray[Any]) -> int:
    """Return a number of the image, the same in other units: which of its parts are bright."""
    sums = image.astype(np.float64)
    for axis in range(image.ndim):
        sums = np.stack(
            [part.mean(axis=axis) for part in np.array_split(sums, min(8, sums.shape[axis]), axis)], axis
        )
    return zlib.crc32(np.packbits(sums > np.median(sums)).tobytes())


def subtract_stripes(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return the image without the offsets of its rows and columns. The mean does not change.

    An offset is the median of what the darker half of a line has more than that of the lines around it. Where that
    is far more than usual, something of the sample lies along the line, and it is left as it is.

    Parameters
    ----------
    image : 2D or 3D; the planes have offsets of their own.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> offsets = random.normal(0, 5, (64, 1))
    >>> left = subtract_stripes(random.normal(100, 1, (64, 64)) + offsets).mean(axis=1)
    >>> bool(left.std() < 0.4 * offsets.std())
    True
    """
    data = np.array(image, np.float32)
    planes = data if data.ndim == 3 else data[None]
    for axis in (1, 2):
        lines = planes if axis == 1 else planes.swapaxes(1, 2)
        for _ in range(_ROUNDS):
            offsets = _offsets(lines)
            lines -= (offsets - offsets.mean(axis=1, keepdims=True))[:, :, None]
    return data


def _offsets(lines: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what each line of (planes, lines, pixels) has more than those around it, in its darker half."""
    wide = gaussian_filter(lines, (0, _AROUND, _AROUND))
    dark = wide <= np.median(wide, axis=2, keepdims=True)
    found = np.zeros(lines.shape[:2], np.float32)
    # What lies along a line of the sample is found in the first round, and left out of the second.
    for _ in range(2):
        usual = 1.4826 * np.median(np.abs(found - np.median(found))) or np.inf
        counts = dark & (np.abs(found) < _USUAL * usual)[:, :, None]
        near = gaussian_filter1d(counts.astype(np.float32), _AROUND, axis=1)
        around = gaussian_filter1d(np.where(counts, lines, 0), _AROUND, axis=1) / np.maximum(near, 1e-3)
        found = np.nanmedian(np.where(dark, lines - around, np.nan), axis=2)
    usual = 1.4826 * float(np.median(np.abs(found - np.median(found))))
    return np.where(np.abs(found) < _USUAL * usual, found, np.float32(0))


def _flattest(planes: NDArray[np.float32], psf: NDArray[Any]) -> tuple[float, float]:
    """Return a wave just below the cut of the PSF, radians a pixel, and the power there in the flattest blocks."""
    cut = float(np.mean(cutoffs(psf)))
    size = np.hypot(*np.meshgrid(*2 * (np.fft.fftfreq(_BLOCK),), indexing="ij"))
    ring = (size > 0.6 * cut) & (size < cut)
    window = np.outer(np.hanning(_BLOCK), np.hanning(_BLOCK))
    counts = [n // _BLOCK for n in planes.shape[1:]]
    blocks = planes[:, : counts[0] * _BLOCK, : counts[1] * _BLOCK]
    blocks = blocks.reshape(-1, counts[0], _BLOCK, counts[1], _BLOCK).swapaxes(2, 3).reshape(-1, _BLOCK, _BLOCK)
    spectra = np.abs(scipy.fft.fft2((blocks - blocks.mean(axis=(1, 2), keepdims=True)) * window)) ** 2
    power = spectra[:, ring].mean(axis=1) / np.sum(window**2)
    return 2 * np.pi * float(np.sqrt(np.mean(size[ring] ** 2))), float(np.quantile(power, _FLATTEST))
