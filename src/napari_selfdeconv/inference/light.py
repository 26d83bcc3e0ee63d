"""The light of a result is never negative."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Values below 0 in a result become at most this share of the image's standard deviation.
_DARK = 1e-4


def to_light(result: NDArray[np.float32], factor: float, deviation: float) -> NDArray[np.float32]:
    """Make a result positive and multiply it by ``factor``, in place, because light is never negative.

    Values that noise took below 0 become less than a ten-thousandth of ``deviation``, the image's standard
    deviation, in the same order: dark places have no flat patches.

    Examples
    --------
    >>> to_light(np.array([-1, 2], np.float32), 3.0, 1.0).round(1).tolist()
    [0.0, 6.0]
    """
    dark = np.minimum(result, 0)
    np.maximum(result, 0, out=result)
    dark /= np.float32(deviation)
    np.exp(dark, out=dark)
    dark *= np.float32(_DARK * deviation)
    result += dark
    result *= np.float32(factor)
    return result
