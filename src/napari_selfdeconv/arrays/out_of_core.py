"""Arrays that are not in memory, read in pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Voxels of the block that a network is trained on where the whole is too large to hold.
TRAINING_VOXELS = 16_777_216
_CANDIDATES = 8
# In an image that is mostly empty, so many are looked at until one is not constant.
_MOST_CANDIDATES = 64


class Mapped:
    """A function of each piece of an array, computed when the piece is read."""

    def __init__(self, image: Any, function: Callable[[NDArray[Any]], NDArray[np.float32]]) -> None:
        self._image, self._function = image, function
        self.shape = tuple(int(n) for n in image.shape)

    def __getitem__(self, where: tuple[slice, ...]) -> NDArray[np.float32]:
        return self._function(np.asarray(self._image[where]))


def training_block(image: Any, *, seed: int = 0, most: int = TRAINING_VOXELS) -> tuple[slice, ...]:
    """Return the block of an image to train on: the one with the most contrast among a few random ones.

    Parameters
    ----------
    image : array-like; eight thumbnails of it are read, and up to 64 until one is not constant.
    seed : seed of the random places.
    most : voxels.

    Examples
    --------
    >>> training_block(np.zeros((4, 4)))
    (slice(0, 4, None), slice(0, 4, None))
    """
    size = block_size(image.shape, most)
    random = np.random.default_rng(seed)
    best: tuple[float, tuple[slice, ...]] = (-1.0, ())
    for number in range(_MOST_CANDIDATES):
        if number >= _CANDIDATES and best[0] > 0:
            break
        starts = [int(random.integers(0, n - m + 1)) for n, m in zip(image.shape, size, strict=True)]
        block = tuple(slice(s, s + m) for s, m in zip(starts, size, strict=True))
        if size == tuple(image.shape):
            return block
        # A thumbnail from the middle: reading all of every candidate would read most of the image.
        thumb = tuple(
            slice(b.start + (m - min(m, 64)) // 2, b.start + (m + min(m, 64)) // 2)
            for b, m in zip(block, size, strict=True)
        )
        contrast = float(np.asarray(image[thumb], np.float64).std())
        if contrast > best[0] or not best[1]:
            best = (contrast, block)
    return best[1]


def block_around(
    shape: Sequence[int], region: tuple[slice, ...], *, most: int = TRAINING_VOXELS
) -> tuple[slice, ...]:
    """Return the block of at most ``most`` voxels around ``region``, inside ``shape``."""
    size = block_size(shape, most)
    block = []
    for s, n, m in zip(region, shape, size, strict=True):
        start = min(max((s.start + s.stop - m) // 2, 0), n - m)
        block.append(slice(start, start + m))
    return tuple(block)


def block_size(shape: Sequence[int], most: int) -> tuple[int, ...]:
    """Return ``shape`` with its longest axes cut until it holds at most ``most`` voxels."""
    size = [int(n) for n in shape]
    while np.prod(size, dtype=float) > most:
        longest = int(np.argmax(size))
        size[longest] = max(1, size[longest] * 7 // 8)
    return tuple(size)
