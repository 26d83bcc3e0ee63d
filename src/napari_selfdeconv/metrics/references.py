"""Measures on real images: against a mean of frames, along straight lines, or where the image must be dark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_selfdeconv.errors import ConfigError

# Neighbours that differ by less than this share of the range are equal.
_EQUAL = 2e-4
# Lines are sought from this many in the field of view on: fewer are objects.
_LEAST_LINES = 3.0
_HARMONICS = 4


def fitted_psnr(result: NDArray[Any], reference: NDArray[Any]) -> float:
    """Return the PSNR in dB after the best gain and offset; the peak is the reference's highest value.

    Examples
    --------
    >>> reference = np.arange(64.0).reshape(8, 8)
    >>> fitted_psnr(3 * reference + 7, reference) > 100
    True
    """
    x, t = result.astype(np.float64).ravel(), reference.astype(np.float64).ravel()
    (gain, offset), *_ = np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), t, rcond=None)
    error = float(np.mean((gain * x + offset - t) ** 2))
    return 10 * float(np.log10(t.max() ** 2 / max(error, 1e-30)))


@dataclass(frozen=True)
class Lines:
    """Parallel lines in a plane: cycles a pixel along y and x."""

    y: float
    x: float

    @property
    def spacing(self) -> float:
        """Pixels from line to line."""
        return 1 / float(np.hypot(self.y, self.x))


def find_lines(plane: NDArray[Any]) -> Lines:
    """Measure direction and spacing of parallel, evenly spaced lines: the strongest wave, three or more of it.

    Raises
    ------
    ConfigError
        If the image is too small to hold such a wave.

    Examples
    --------
    >>> x = np.arange(120)
    >>> round(find_lines(np.tile(np.exp(-((x % 15 - 7) ** 2) / 8), (100, 1))).spacing, 2)
    15.0
    """
    data = np.asarray(plane, np.float64)
    if min(data.shape) < 4 * _LEAST_LINES:
        raise ConfigError(f"an image of {data.shape} is too small to measure lines in")
    window = np.outer(*(np.hanning(n) for n in data.shape))
    seen = (data - data.mean()) * window
    size = [4 * n for n in data.shape]
    power = np.abs(np.fft.rfft2(seen, size)) ** 2
    y, x = np.fft.fftfreq(size[0])[:, None], np.fft.rfftfreq(size[1])
    count = np.hypot(y * data.shape[0], x * data.shape[1])
    power[count < _LEAST_LINES] = 0
    row, column = np.unravel_index(int(np.argmax(power)), power.shape)
    return Lines(float(y[row, 0]), float(x[column]))


def line_contrast(plane: NDArray[Any], lines: Lines) -> tuple[float, float]:
    """Return contrast and grain of a plane with lines, both as shares of its mean.

    Parameters
    ----------
    plane : light above the background.
    lines : as `find_lines` gives them.

    Returns
    -------
    contrast : amplitude of the wave with the spacing of the lines.
    grain : standard deviation of what is finer than half the spacing and no multiple of the wave.

    Examples
    --------
    >>> wave = 1 + 0.5 * np.cos(2 * np.pi * np.arange(100) / 10) * np.ones((60, 1))
    >>> contrast, grain = line_contrast(wave, Lines(0.0, 0.1))
    >>> round(contrast, 2), grain < 0.01
    (0.5, True)
    """
    data = np.asarray(plane, np.float64)
    mean = float(data.mean())
    y, x = np.indices(data.shape)
    phase = 2 * np.pi * (lines.y * y + lines.x * x)
    waves = [f(k * phase) for k in range(1, _HARMONICS + 1) for f in (np.cos, np.sin)]
    columns = np.stack([np.ones(data.size), *(wave.ravel() for wave in waves)], 1)
    found, *_ = np.linalg.lstsq(columns, data.ravel(), rcond=None)
    rest = data - (columns @ found).reshape(data.shape)
    fine = rest - gaussian_filter(rest, lines.spacing / 4)
    return float(np.hypot(found[1], found[2])) / mean, float(fine.std()) / mean


@dataclass(frozen=True)
class Darkness:
    """Measures of a stack where there should be no light.

    Attributes
    ----------
    first, last : mean light of the outer planes, as shares of the brightest plane of the image.
    equal : share of neighbours along x that differ by less than 0.02 % of the range, where either is above the
        background by a hundredth of it: plates.
    rim : how far the darkest ten-thousandth lies below the background, in standard deviations of dark pixels.
    light : what the result brings to the image when it is blurred again, as a share of the image's light. The rest
        comes from outside the field, or is lost.
    """

    first: float
    last: float
    equal: float
    rim: float
    light: float


def measure_darkness(
    result: NDArray[Any], blurred: NDArray[Any], image: NDArray[Any], background: float, noise: float
) -> Darkness:
    """Measure a result where it should be dark, for an object in the middle of a stack.

    Parameters
    ----------
    result, image : (z, y, x), the same units; both with their background.
    blurred : the light of the result above the background, blurred, without light from outside.
    background, noise : background and noise of the image: light of no object, and standard deviation of its dark
        pixels.

    Examples
    --------
    >>> image = np.full((3, 8, 8), 10.0); image[1, 2:6, 2:6] = 100.0
    >>> found = measure_darkness(image, image - 10, image, 10.0, 1.0)
    >>> found.first, found.light, found.rim
    (0.0, 1.0, 0.0)
    """
    light = np.asarray(result, np.float64) - background
    recorded = np.asarray(image, np.float64) - background
    brightest = int(np.argmax(recorded.mean(axis=(1, 2))))
    planes = light.mean(axis=(1, 2))
    span = float(np.ptp(light)) or 1.0
    left, right = light[..., :-1], light[..., 1:]
    lit = np.maximum(left, right) > 0.01 * span
    return Darkness(
        first=float(planes[0] / planes[brightest]),
        last=float(planes[-1] / planes[brightest]),
        equal=float((np.abs(left - right) < _EQUAL * span)[lit].mean()) if lit.any() else 0.0,
        rim=max(0.0, -float(np.quantile(light, 1e-4)) / (noise or 1.0)),
        light=float(np.sum(blurred, dtype=np.float64) / recorded.sum()),
    )
