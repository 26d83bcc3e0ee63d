"""Work on a large array in parts: chunks that know their neighbours, and the pieces in which it is stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import product
from typing import Any, TypeVar

from numpy.typing import NDArray

# An array of at most this many voxels is one chunk.
_CHUNK_SIZE = 2**23
_E = TypeVar("_E")


def chunks(shape: Sequence[int], margin: int) -> Iterator[tuple[slice, slice]]:
    """Yield (core, wide) slices of the first axis: the cores cover it, the wide ones reach ``margin`` further.

    Each core but the last is at least four margins long.

    Examples
    --------
    >>> list(chunks((10, 4), 3))
    [(slice(0, 10, None), slice(0, 10, None))]
    """
    n = shape[0]
    rows = n if math.prod(shape) <= _CHUNK_SIZE else max(4 * margin, _CHUNK_SIZE // math.prod(shape[1:]))
    for start in range(0, n, rows):
        stop = min(n, start + rows)
        yield slice(start, stop), slice(max(0, start - margin), min(n, stop + margin))


def rewrite(
    array: NDArray[Any], margin: int, make: Callable[[slice], Generator[_E, None, NDArray[Any]]]
) -> Generator[_E, None, None]:
    """Replace an array in place, chunk by chunk, and yield what ``make`` yields.

    Parameters
    ----------
    array : as in `chunks`, like ``margin``.
    make : returns the new values of the wide slice that it is called with. The array is unchanged there.

    Examples
    --------
    >>> import numpy as np
    >>> array = np.arange(3)
    >>> def doubled(wide):
    ...     yield "half"
    ...     return 2 * array[wide]
    >>> list(rewrite(array, 1, doubled)), array.tolist()
    (['half'], [0, 2, 4])
    """
    waiting: tuple[slice, NDArray[Any]] | None = None
    for core, wide in chunks(array.shape, margin):
        made = yield from make(wide)
        # The next chunk still needs this one unchanged.
        if waiting is not None:
            array[waiting[0]] = waiting[1]
        waiting = core, made[core.start - wide.start : core.stop - wide.start].copy()
    if waiting is not None:
        array[waiting[0]] = waiting[1]


def stored_pieces(image: Any, most: int = 2**22) -> list[tuple[slice, ...]]:
    """Return pieces that cover an array and are read once each: whole chunks, at most about ``most`` voxels.

    Parameters
    ----------
    image : numpy, dask, zarr or h5py array. Where it has chunks, none is read twice.

    Examples
    --------
    >>> import numpy as np
    >>> stored_pieces(np.zeros((4, 3)), most=6)
    [(slice(0, 2, None), slice(0, 3, None)), (slice(2, 4, None), slice(0, 3, None))]
    """
    shape = tuple(int(n) for n in image.shape)
    # dask names the largest chunk `chunksize`; in zarr, a shard is what is read at once.
    chunk = getattr(image, "chunksize", None) or getattr(image, "shards", None) or getattr(image, "chunks", None)
    size = [min(int(side), n) for side, n in zip(chunk or (1,) * len(shape), shape, strict=True)]
    for axis in reversed(range(len(shape))):
        size[axis] = min(shape[axis], size[axis] * max(1, most // math.prod(size)))
    starts = [range(0, n, side) for n, side in zip(shape, size, strict=True)]
    return [
        tuple(slice(a, min(a + side, n)) for a, side, n in zip(start, size, shape, strict=True))
        for start in product(*starts)
    ]
