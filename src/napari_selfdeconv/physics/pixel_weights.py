"""The weights of the pixels of an image: one array for all data terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.checks import to_array


@dataclass(frozen=True, eq=False)
class PixelWeights:
    """The weights of the pixels of an image.

    Attributes
    ----------
    values : float32 from 0 to 1, or boolean. A pixel of weight 0 is not a measurement.
    at_least : boolean, True at saturated pixels, which have at least as much light as was recorded. A data term
        uses them only if the model has less light. None if no pixel is saturated.

    Examples
    --------
    >>> weights = PixelWeights.of(np.array([[1, 0, 0.5]]), (1, 3))
    >>> weights.fill(np.array([[7.0, np.nan, 2.0]])).tolist(), weights.unmeasured
    ([[7.0, 7.0, 2.0]], 1)
    """

    values: NDArray[Any]
    at_least: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, values: NDArray[Any], shape: Sequence[int]) -> Self:
        """Check weights that a user gave.

        Raises
        ------
        ConfigError
            If they do not fit an image of ``shape``, are not from 0 to 1, or leave no pixel.
        """
        array = to_array("the weights", values)
        if array.shape != tuple(shape):
            raise ConfigError(f"the weights have shape {array.shape} and the image {tuple(shape)}")
        # Written so that NaN is refused.
        if array.dtype.kind not in "buif" or not bool(((array >= 0) & (array <= 1)).all()):
            raise ConfigError("weights must be numbers from 0 to 1")
        return cls(array.astype(np.float32)).check()

    def check(self) -> Self:
        """Return the weights, or raise ConfigError if no pixel has one."""
        if not self.values.any():
            raise ConfigError("no pixel of the image has a weight: nothing is left to deconvolve")
        return self

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Boolean array of the pixels that have a weight and are not saturated."""
        seen: NDArray[np.bool_] = self.values > 0
        return seen if self.at_least is None else seen & ~self.at_least

    @property
    def unmeasured(self) -> int:
        """How many pixels have no weight."""
        return int(np.count_nonzero(self.values == 0))

    def without(self, held: NDArray[np.bool_]) -> Self:
        """Return the weights with 0 at more pixels."""
        return replace(self, values=self.values * ~held)

    def cut(self, where: tuple[slice, ...]) -> Self:
        """Return the weights of a part of the image."""
        return replace(
            self, values=self.values[where], at_least=None if self.at_least is None else self.at_least[where]
        )

    def fill(self, image: NDArray[Any]) -> NDArray[Any]:
        """Return ``image`` with every pixel of weight 0 replaced by the nearest one that has a weight."""
        missing = self.values == 0
        if not missing.any():
            return image
        nearest = distance_transform_edt(missing, return_distances=False, return_indices=True)
        filled: NDArray[Any] = image[tuple(nearest)]
        return filled
