"""The light of a result that is written tile by tile, compared with that of its image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.arrays.scaling import Standardizer
from napari_selfdeconv.inference.check_result import describe_light
from napari_selfdeconv.physics.pixel_weights import PixelWeights


@dataclass
class LightCount:
    """The sums of the tiles of an image and of its result, without pixels of weight 0.

    Parameters
    ----------
    about : some value of the image, near its mean: squares are summed as differences from it.
    """

    about: float
    _pixels: int = 0
    _image: float = 0.0
    _squares: float = 0.0
    _result: float = 0.0
    _low: float = math.inf
    _high: float = -math.inf

    def add(self, image: NDArray[Any], result: NDArray[Any], weights: PixelWeights | None = None) -> None:
        """Add a tile."""
        if weights is not None:
            image, result = image[weights.measured], result[weights.measured]
        if image.size == 0:
            return
        light = image.astype(np.float64) - self.about
        self._pixels += image.size
        self._image += float(light.sum())
        self._squares += float(np.square(light).sum())
        self._result += float((result.astype(np.float64) - self.about).sum())
        self._low = min(self._low, float(image.min()))
        self._high = max(self._high, float(image.max()))

    def describe(self) -> str:
        """Return in words by how much the light of the result differs from that of the image; "" if it does not.

        Examples
        --------
        >>> light = LightCount(1.0)
        >>> light.add(np.array([0.0, 2.0]), np.array([0.0, 2.0]))
        >>> light.add(np.array([0.0, 2.0]), np.array([0.0, 0.0]))
        >>> light.describe()[:49]
        'The result explains a mean of 0.5 and the image h'
        """
        if self._pixels == 0:
            return ""
        mean = self._image / self._pixels
        deviation = math.sqrt(max(self._squares / self._pixels - mean * mean, 0.0))
        scale = Standardizer(self.about + mean, deviation, self._low, self._high)
        return describe_light("The result", self.about + self._result / self._pixels, scale)
