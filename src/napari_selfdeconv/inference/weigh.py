"""Which pixels of an image count: given, found in it, or all."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.physics.mask import find_unmeasured
from napari_selfdeconv.physics.pixel_weights import PixelWeights

#: Weights of the pixels: an array, "auto", or None where every pixel is a measurement.
Weights = NDArray[Any] | Literal["auto"] | None


def weigh_pixels(
    image: NDArray[Any], weights: Weights
) -> tuple[NDArray[Any], PixelWeights | None, tuple[str, ...]]:
    """Return an image without pixels that are no measurement, how much each pixel counts, and what was found.

    Parameters
    ----------
    image : 2D or 3D, real; NaN where a pixel has no weight.
    weights : as large as the image, 0 to 1. "auto" finds them (`find_unmeasured`).

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
        if weights != "auto":
            raise ConfigError(f"weights must be an array, 'auto' or None, got {weights!r}")
        found = find_unmeasured(image)
        if not (told := found.describe()):
            return image, None, ()
        pixels, notes = found.weights.check(), (f"{told}. They were left out.",)
        if bool(np.any(found.saturated)):
            notes = (f"{told}. They were left out; saturated pixels count as the least light there can be.",)
    else:
        pixels = PixelWeights.of(weights, image.shape)
    return pixels.fill(image), pixels, notes
