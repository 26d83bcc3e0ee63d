"""The light of an image without outliers and clipping bias, and the light of a result, which is never negative."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv.physics.noise import clipping_bias, noise_of

Array = NDArray[np.float32]
# Values below 0 in a result become at most this share of the image's standard deviation.
_DARK = 1e-4


@dataclass(frozen=True)
class Light:
    """The light of an image, without outliers and without the bias of noise that is clipped at the lowest value.

    Residuals are clipped at ``low`` and ``high``, because the iterations would turn outliers into stars. Their
    mean is then ``level``. ``mean`` is the image's.
    """

    low: float
    high: float
    level: float
    black: float
    sigma: float
    mean: float

    @classmethod
    def of(cls, image: Array, expected: Array, measured: NDArray[np.bool_] | None = None) -> Light:
        """Measure an image; ``measured`` is True at the pixels to use."""
        if measured is not None:
            image, expected = image[measured], expected[measured]
        low, high, sigma = noise_of(image, expected)
        light = cls(low, high, 0.0, float(image.min()), sigma, float(image.mean(dtype=np.float64)))
        if math.isinf(high):
            return light
        return replace(light, level=float((light.seen(image, expected) - expected).mean(dtype=np.float64)))

    def seen(self, image: Array, expected: Array) -> Array:
        """Return ``image`` without outliers and clipping bias; ``expected`` is g(f(x))."""
        light: Array = expected + np.clip(image - expected, self.low, self.high) - np.float32(self.level)
        if self.sigma:
            light -= clipping_bias(torch.from_numpy(expected), self.black, self.sigma).numpy()
        return light


def to_light(
    result: NDArray[np.float32], factor: float, deviation: float, black: float = 0.0
) -> NDArray[np.float32]:
    """Make a result positive above ``black`` and multiply it by ``factor``, in place: light is never negative.

    Values below black become less than a ten-thousandth of ``deviation``, the image's standard deviation, above
    it, in the same order: dark places have no flat patches.

    Examples
    --------
    >>> to_light(np.array([-1, 2], np.float32), 3.0, 1.0).round(1).tolist()
    [0.0, 6.0]
    >>> to_light(np.array([99, 102], np.float32), 3.0, 1.0, black=100.0).round(1).tolist()
    [100.0, 106.0]
    """
    if black:
        result -= np.float32(black)
    dark = np.minimum(result, 0)
    np.maximum(result, 0, out=result)
    dark /= np.float32(deviation)
    np.exp(dark, out=dark)
    dark *= np.float32(_DARK * deviation)
    result += dark
    result *= np.float32(factor)
    if black:
        result += np.float32(black)
    return result
