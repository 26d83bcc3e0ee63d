"""The check that every result of every method passes before it is returned."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.arrays.scaling import Standardizer
from napari_selfdeconv.errors import ComputeError

# Light that is missing or too much is said from this share on, of the mean above the darkest pixel or of the
# standard deviation, whichever is less.
_SAID = 0.05


def check_finite(name: str, result: NDArray[Any]) -> None:
    """Raise ComputeError if a result has a value that is not finite.

    Examples
    --------
    >>> check_finite("RL 3", np.array([1.0, np.nan]))
    Traceback (most recent call last):
        ...
    napari_selfdeconv.errors.ComputeError: RL 3 gave 1 of 2 values that are not finite
    """
    # A sum is finite only if every part of it is, and needs no second array.
    with np.errstate(all="ignore"):
        total = float(result.sum(dtype=np.float64))
    if not math.isfinite(total):
        bad = result.size - int(np.count_nonzero(np.isfinite(result)))
        raise ComputeError(f"{name} gave {bad} of {result.size} values that are not finite")


def describe_light(name: str, explained: float, scale: Standardizer) -> str:
    """Return in words by how much the light of a result differs from that of its image; "" if it does not.

    Parameters
    ----------
    name : name of the result.
    explained : mean of the image that the result explains, its background included.
    scale : scale of the image.

    Examples
    --------
    >>> image = Standardizer.of(np.array([0.0, 2.0]))
    >>> describe_light("RL 3", 0.8, image), describe_light("RL 3", 1.01, image)
    ('RL 3 explains a mean of 0.8 and the image has 1: 20 % of the light above the darkest pixel is missing.', '')
    """
    light = scale.mean - scale.low
    missing = scale.mean - explained
    if abs(missing) <= _SAID * min(light, scale.std):
        return ""
    what = "is missing" if missing > 0 else "was added"
    return (
        f"{name} explains a mean of {explained:.4g} and the image has {scale.mean:.4g}: "
        f"{100 * abs(missing) / light:.0f} % of the light above the darkest pixel {what}."
    )
