"""Arrays of one shape that are read together, as the channels of one image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


class Channels:
    """Several arrays as one; a piece of it has an axis of channels in front.

    Parameters
    ----------
    arrays : of one shape; they may be read from disk.

    Attributes
    ----------
    shape : of one array.

    Examples
    --------
    >>> both = Channels(np.zeros((4, 6)), np.ones((4, 6)))
    >>> both.shape, both[:2, :3].shape, both.cut((slice(2), slice(3))).shape
    ((4, 6), (2, 2, 3), (2, 3))
    """

    def __init__(self, *arrays: Any) -> None:
        self._arrays = arrays
        self.shape: tuple[int, ...] = arrays[0].shape

    @property
    def ndim(self) -> int:
        """Number of axes of one array."""
        return len(self.shape)

    def __getitem__(self, where: tuple[slice, ...]) -> NDArray[Any]:
        return np.stack([array[where] for array in self._arrays])

    def cut(self, where: tuple[slice, ...]) -> Channels:
        """Return the same part of every array."""
        return Channels(*(array[where] for array in self._arrays))
