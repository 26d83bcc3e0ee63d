"""Which pixels of an image count: given, found in it, or all."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.arrays.scaling import extremes
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.physics.mask import find_unmeasured
from napari_selfdeconv.physics.pixel_weights import PixelWeights

#: Weights of the pixels: an array, found in the image, or None where every pixel is a measurement.
Weights = NDArray[Any] | Literal["auto", "auto+nan"] | None


def weighing_of(weights: Weights) -> str | None:
    """Return where weights come from, for a record: "auto", "auto+nan", "given", or None."""
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
    return pixels.fill(image), pixels, notes
