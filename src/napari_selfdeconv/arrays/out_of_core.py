"""Arrays that are not in memory: read in pieces, written in pieces."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.errors import ConfigError

#: Voxels of the block that a network is trained on where the whole is too large to hold.
TRAINING_VOXELS = 16_777_216
_CANDIDATES = 8
_CHUNK_VOXELS = 4_194_304


class Mapped:
    """A function of each piece of an array, computed when the piece is read."""

    def __init__(self, image: Any, function: Callable[[NDArray[Any]], NDArray[np.float32]]) -> None:
        self._image, self._function = image, function
        self.shape = tuple(int(n) for n in image.shape)

    def __getitem__(self, where: tuple[slice, ...]) -> NDArray[np.float32]:
        return self._function(np.asarray(self._image[where]))


def training_block(image: Any, *, seed: int = 0, most: int = TRAINING_VOXELS) -> tuple[slice, ...]:
    """Return the block of an image to train on: of a few random ones that with the most contrast.

    Parameters
    ----------
    image : array-like; eight thumbnails of it are read.
    seed : of the random places.
    most : voxels.

    Examples
    --------
    >>> training_block(np.zeros((4, 4)))
    (slice(0, 4, None), slice(0, 4, None))
    """
    size = _block_size(image.shape, most)
    random = np.random.default_rng(seed)
    best: tuple[float, tuple[slice, ...]] = (-1.0, ())
    for _ in range(_CANDIDATES):
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
    size = _block_size(shape, most)
    block = []
    for s, n, m in zip(region, shape, size, strict=True):
        start = min(max((s.start + s.stop - m) // 2, 0), n - m)
        block.append(slice(start, start + m))
    return tuple(block)


def create_zarr(
    path: str | os.PathLike[str], shape: Sequence[int], attributes: dict[str, Any] | None = None
) -> Any:
    """Create a float32 zarr array of zeros on disk, to write a result into.

    Raises
    ------
    ConfigError
        If the folder is there already, cannot be written, or zarr is not installed.
    """
    try:
        import zarr
    except ImportError as error:
        raise ConfigError("a result on disk needs the package zarr: pip install 'zarr>=3'") from error
    if Path(path).exists():
        raise ConfigError(f"{path} is there already: name a folder that is not")
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        return zarr.create_array(
            store=str(path),
            shape=tuple(shape),
            chunks=_block_size(shape, _CHUNK_VOXELS),
            dtype="float32",
            fill_value=0.0,
            attributes=attributes or {},
        )
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error


def _block_size(shape: Sequence[int], most: int) -> tuple[int, ...]:
    size = [int(n) for n in shape]
    while np.prod(size, dtype=float) > most:
        longest = int(np.argmax(size))
        size[longest] = max(1, size[longest] * 7 // 8)
    return tuple(size)
