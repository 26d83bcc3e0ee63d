"""Background, gain and read noise of a camera, estimated from one image (photon transfer)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve, gaussian_filter
from scipy.optimize import nnls

# Second differences along both axes of a plane: white noise keeps its variance, smooth light vanishes.
_NOISE_FILTER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
_BINS, _LEAST_IN_BIN = 24, 50
# More pixels than this say no more about the camera.
_MOST_PIXELS, _MOST_SIDE = 2**22, 2048
_DARKEST = 1e-3


@dataclass(frozen=True)
class NoiseLine:
    """Variance of the noise as a line: ``gain * (intensity - dark) + read``, ``dark`` being the darkest light."""

    dark: float
    gain: float
    read: float


@dataclass(frozen=True)
class Background:
    """How an image is modelled: ``image - subtracted = A f + level``.

    Attributes
    ----------
    subtracted : what is taken off every pixel. What is left may be negative, and is used so.
    level : light that the model has everywhere. It stands for the variance of the read noise, so that dark pixels
        weigh no more than they can: Poisson's law with ``level`` added is near that of photons and camera.
    gain : intensity of a photon; 0 where the noise does not grow with the light.
    """

    subtracted: float
    level: float
    gain: float

    @property
    def constant(self) -> float:
        """The background of the image in its own units."""
        return self.subtracted + self.level


#: Nothing but the light of objects.
NO_BACKGROUND = Background(0.0, 0.0, 0.0)


def estimate_noise_line(image: NDArray[Any], measured: NDArray[np.bool_] | None = None) -> NoiseLine:
    """Estimate how the noise of an image grows with its light.

    Parameters
    ----------
    image : 2D or 3D. Finest detail, which a microscope does not pass, is taken for noise.
    measured : as large; pixels where it is False are left out.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> light = 50 + 40 * np.sin(np.arange(256) / 20) * np.ones((256, 1))
    >>> line = estimate_noise_line(2 * random.poisson(light) + random.normal(100, 3, light.shape))
    >>> round(line.gain)
    2
    """
    planes = _some_planes(np.asarray(image))
    seen = np.ones(planes.shape, bool) if measured is None else _some_planes(measured) > 0
    for axis in (1, 2):
        for edge in (slice(0, 2), slice(-2, None)):
            seen[(*[slice(None)] * axis, edge)] = False
    if not seen.any():
        value = float(planes.min())
        return NoiseLine(value, 0.0, 0.0)
    light = np.stack([gaussian_filter(plane, 1.5) for plane in planes])[seen]
    noise = np.stack([convolve(plane, _NOISE_FILTER, mode="reflect") for plane in planes])[seen]
    dark = float(np.quantile(light, _DARKEST))
    edges = np.quantile(light, np.linspace(0, 1, _BINS + 1))
    place = np.clip(np.searchsorted(edges, light, side="right") - 1, 0, _BINS - 1)
    means, variances = [], []
    for number in range(_BINS):
        values = noise[place == number]
        if values.size >= _LEAST_IN_BIN:
            means.append(float(light[place == number].mean()))
            variances.append(float(1.4826 * np.median(np.abs(values - np.median(values)))) ** 2)
    if not variances or max(variances) == 0:
        return NoiseLine(dark, 0.0, 0.0)
    found = np.array(variances)
    # The scatter of a variance is as large as the variance.
    relative = 1 / np.maximum(found, 1e-3 * found.max())
    columns = np.stack([np.array(means) - dark, np.ones(len(means))], 1)
    (gain, read), _ = nnls(columns * relative[:, None], found * relative)
    return NoiseLine(dark, float(gain), float(read))


def estimate_background(
    image: NDArray[Any], measured: NDArray[np.bool_] | None = None, given: float | None = None
) -> Background:
    """Return the background to model an image with.

    Parameters
    ----------
    image : 2D or 3D.
    measured : as large; pixels where it is False are left out.
    given : the background where it is known. None estimates it: a little above the intensity at which the noise
        would vanish, and no more than the darkest thousandth of the image.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> light = np.maximum(0, 50 * np.sin(np.arange(256) / 20)) * np.ones((256, 1))
    >>> found = estimate_background(random.poisson(light) + random.normal(100, 2, light.shape))
    >>> 92 < found.subtracted < found.constant < 102
    True
    """
    line = estimate_noise_line(image, measured)
    planes = _some_planes(np.asarray(image))
    seen = planes if measured is None else planes[_some_planes(measured) > 0]
    darkest, mean = float(np.quantile(seen, _DARKEST)), float(seen.mean(dtype=np.float64))
    offset = darkest if given is None else given
    zero = None
    if line.gain > 0 and line.gain * (mean - line.dark) > line.read:
        # Where the line has fallen to 0 the camera sees nothing, not even its read noise.
        zero = line.dark - line.read / line.gain
        if given is None:
            offset = min(zero + 2 * line.gain, darkest)
    # Noise that does not grow with the light makes every pixel weigh about the same: a high level.
    most = 0.5 * (mean - min(offset, darkest))
    level = most if zero is None else float(np.clip(offset - zero, min(0.01 * (mean - darkest), most), most))
    level = max(level, 1e-6 * float(np.abs(seen).max()))
    return Background(offset - level, level, line.gain)


def _some_planes(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return (planes, y, x) of an image, no more of them than say something new."""
    planes = image if image.ndim == 3 else image[None]
    middle = [slice(max(0, (n - _MOST_SIDE) // 2), (n + _MOST_SIDE + 1) // 2) for n in planes.shape[1:]]
    planes = planes[:, middle[0], middle[1]]
    every = max(1, -(-planes.size // _MOST_PIXELS))
    return np.asarray(planes[::every], np.float32)
