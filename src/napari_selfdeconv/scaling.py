"""Whole-image standardisation and its exact inverse; the dtype contract (any real dtype in, float32 out)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.errors import ConfigError


@dataclass(frozen=True)
class Standardizer:
    """Zero mean and unit variance over the whole image (never patch by patch: that invents structure).

    ``low`` and ``high`` are the image's own extremes in user units; the bound terms of the loss measure
    against them.
    """

    mean: float
    std: float
    low: float
    high: float

    @classmethod
    def of(cls, image: NDArray[Any]) -> Self:
        """Measure ``image`` in float64.

        Raises
        ------
        ConfigError
            If a pixel is not finite, or all are equal.
        """
        bad = image.size - int(np.count_nonzero(np.isfinite(image)))
        if bad:
            raise ConfigError(f"the image holds {bad} NaN or infinite pixels: replace or crop them first")
        low, high = float(image.min()), float(image.max())
        if low == high:
            raise ConfigError(f"the image is constant (every pixel is {low:g}): there is nothing to deconvolve")
        return cls(float(image.mean(dtype=np.float64)), float(image.std(dtype=np.float64)), low, high)

    def apply(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Return the standardised image, float32."""
        return ((image.astype(np.float64) - self.mean) / self.std).astype(np.float32)

    def undo(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Return user units, float32."""
        return (image.astype(np.float64) * self.std + self.mean).astype(np.float32)

    @property
    def bounds(self) -> tuple[float, float]:
        """``low`` and ``high`` in standardised units."""
        return (self.low - self.mean) / self.std, (self.high - self.mean) / self.std
