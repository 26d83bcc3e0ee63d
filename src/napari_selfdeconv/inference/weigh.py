"""The weights of the pixels of an image: given, found in the image, or all 1."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.arrays.scaling import extremes
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.physics.mask import find_unmeasured
from napari_selfdeconv.physics.pixel_weights import PixelWeights

# A mask that leaves out a larger share of the pixels may be the wrong way round.
_MANY = 0.5
#: The weights of a part of an image; None if all of it are measurements.
WeightsOf = Callable[[tuple[slice, ...]], PixelWeights | None]
#: Weights of the pixels: an array, found in the image, or None where every pixel is a measurement.
Weights = NDArray[Any] | Literal["auto", "auto+nan"] | None


def weighing_of(weights: Weights) -> str | None:
    """Return the origin of weights for a record: "auto", "auto+nan", "given", or None."""
    return weights if weights is None or isinstance(weights, str) else "given"


def weigh_pixels(
    image: NDArray[Any], weights: Weights, hot: NDArray[np.bool_] | None = None
) -> tuple[NDArray[Any], PixelWeights | None, tuple[str, ...]]:
    """Return an image without pixels that are no measurement, how much each pixel counts, and what was found.

    Parameters
    ----------
    image : 2D or 3D, real; NaN where a pixel has no weight.
    weights : as large as the image, 0 to 1. "auto" finds them (`find_unmeasured`), but refuses NaN and infinite
        pixels as None does. "auto+nan" takes these for no measurement as well.
    hot : as in `find_unmeasured`.

    Returns
    -------
    image : pixels of weight 0 have the value of the nearest one that counts.
    weights : None if every pixel is a measurement.
    notes : sentences for the user.

    Raises
    ------
    ConfigError
        If the weights cannot be used.
    """
    if weights is None:
        return image, None, ()
    notes: tuple[str, ...] = ()
    if isinstance(weights, str):
        if weights not in ("auto", "auto+nan"):
            raise ConfigError(f"weights must be an array, 'auto', 'auto+nan' or None, got {weights!r}")
        if weights == "auto":
            extremes(image)
        found = find_unmeasured(image, hot)
        if not (told := found.describe()):
            return image, None, ()
        pixels = found.weights.check()
        notes = (f"{told}. They were left out.",)
        if pixels.at_least is not None:
            notes = (f"{told}. They were left out; the saturated ones count as the least light there can be.",)
    else:
        pixels = PixelWeights.of(weights, image.shape)
        if pixels.unmeasured > _MANY * image.size:
            share = f"{100 * pixels.unmeasured / image.size:.0f} %"
            notes = (f"The mask leaves out {share} of the pixels. If it marks those to keep, invert it.",)
    return pixels.fill(image), pixels, notes


@dataclass(frozen=True)
class WeighedPieces:
    """An image that need not fit into memory, read in pieces, with pixels of weight 0 filled in.

    Parameters
    ----------
    image : array-like that can be sliced.
    weights : as in `weigh_pixels`; an array may be on disk as well. "auto" looks at each piece alone.
    empty : value of a piece without any measurement.
    """

    image: Any
    weights: Weights
    empty: float = 0.0

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.image.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = np.dtype(self.image.dtype)
        return dtype

    def __getitem__(self, where: tuple[slice, ...]) -> NDArray[Any]:
        """Return a piece in which pixels of weight 0 have the value of the nearest one that counts."""
        return self._weighed(where)[0]

    def weights_of(self, where: tuple[slice, ...]) -> PixelWeights | None:
        """Return the weights of a piece; None if all of it are measurements, or nothing is."""
        return self._weighed(where)[1]

    def _weighed(self, where: tuple[slice, ...]) -> tuple[NDArray[Any], PixelWeights | None]:
        piece, weights = np.asarray(self.image[where]), self.weights
        if weights is None:
            return piece, None
        if isinstance(weights, str):
            finite = np.isfinite(piece)
            if weights == "auto" and not finite.all():
                return piece, None  # `check_pieces` says where it lies
            nothing = not finite.any()
        else:
            weights = np.asarray(weights[where])
            nothing = not weights.any()
        if nothing:
            return np.full(piece.shape, self.empty, np.float32), None
        found, pixels, _ = weigh_pixels(piece, weights)
        return found, pixels
