"""Prediction of a large image tile by tile, with the same result as for the whole."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.arrays.channels import Channels
from napari_selfdeconv.events import Tick

Box = tuple[slice, ...]
Finish = Callable[[NDArray[np.float32], NDArray[np.float32], Box, Box], NDArray[np.float32]]


class Span(NamedTuple):
    """A tile along one axis: the voxels it gives the result, and the voxels that are read for them."""

    core: slice
    read: slice


def tile_context(levels: int, radii: Sequence[int]) -> tuple[int, ...]:
    """Return how many voxels around a tile are read, on each axis.

    Parameters
    ----------
    levels : resolutions of the network.
    radii : radii of the largest filter in front of the network, on each axis; 0 without one.

    Notes
    -----
    A network of L levels sees ``7 * 2^(L-1) - 4`` voxels in each direction: 52 with four levels, 24 with three.
    The filters add their radius. The outer half of the network's field hardly counts behind a filter. With the
    learned weights and PSFs of 9 to 65 voxels, half the field plus the radius left an error of less than 3e-4 of
    the result's range. Six voxels less left less than 1e-3. A network without filters deconvolves with all of its
    field.

    Examples
    --------
    >>> tile_context(4, (15, 15)), tile_context(3, (6, 15, 15)), tile_context(3, (0, 0))
    ((52, 52), (24, 27, 27), (24, 24))
    """
    reach = network_reach(levels)
    return tuple(max(reach, reach // 2 + radius) for radius in radii)


def network_reach(levels: int) -> int:
    """Return how far the U-Net sees from a voxel in each direction, grid of the down-sampling included."""
    return 7 * (1 << (levels - 1)) - 4


def read_shape(shape: Sequence[int], tile: Sequence[int], context: Sequence[int]) -> tuple[int, ...]:
    """Return how much of an image of ``shape`` is read for a tile: the tile with its context on both sides.

    Examples
    --------
    >>> read_shape((40, 500), (40, 100), (24, 24))
    (40, 148)
    """
    return tuple(min(n, t + 2 * c) for n, t, c in zip(shape, tile, context, strict=True))


def tile_spans(n: int, tile: int, context: int, align: int = 1) -> list[Span]:
    """Return the tiles along an axis of ``n`` voxels.

    The cores lie side by side and have nearly equal sizes, at most ``tile`` rounded up to ``align``. At least
    ``context`` voxels are read on both sides of a core, as far as the image goes. Every tile reads the same number
    of voxels (the last ones up to ``align - 1`` more), because memory is reused best then. What is read starts on
    multiples of ``align``, the network's down-sampling: so a tile lies on the same grid as the whole image.

    Examples
    --------
    >>> for span in tile_spans(100, 40, 8, 4):
    ...     print(span.core.start, span.core.stop, "from", span.read.start, span.read.stop)
    0 36 from 0 52
    36 72 from 28 80
    72 100 from 48 100
    """
    count = -(-n // tile)
    size = -(-n // (count * align)) * align
    margin = -(-context // align) * align
    # If a tile would read nearly the whole axis, one tile reads all of it.
    last = (n - size - 2 * margin) // align * align
    if last <= 0:
        return [Span(slice(0, n), slice(0, n))]
    spans = []
    for a in range(0, n, size):
        start = min(max(0, a - margin), last)
        stop = n if start == last else start + size + 2 * margin
        spans.append(Span(slice(a, min(n, a + size)), slice(start, stop)))
    return spans


def predict_tiled(
    functions: Sequence[Callable[[NDArray[np.float32]], NDArray[np.float32]]],
    image: NDArray[Any] | Channels,
    *,
    tile: Sequence[int],
    context: Sequence[int],
    align: int = 1,
    out: Any = None,
    finish: Finish | None = None,
    is_there: Callable[[tuple[slice, ...]], bool] | None = None,
) -> Generator[Tick, None, Any]:
    """Yield a `Tick` after every tile and function; return the mean of ``functions`` over ``image``.

    Parameters
    ----------
    functions : each maps the float32 tile that is read to a float32 tile of the same shape without channels; their
        mean is taken.
    image : any shape, or `Channels`; only the current tile is read from an array on disk.
    tile, context : voxels on each axis; see `tile_spans` for these and ``align``.
    out : array to write into, by default a new one; zarr will do. It is returned.
    finish : function that is applied to the mean of ``functions`` before its core is written. It also gets the
        tile that was read (of `Channels` the first one), its place in the image, and the place of the core in the
        tile.
    is_there : returns whether the core of a tile is in ``out`` already. Such a tile is skipped.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.ones((50, 30), np.float32)
    >>> list(predict_tiled([lambda t: t], image, tile=(32, 30), context=(8, 8)))
    [Tick(done=1, total=2), Tick(done=2, total=2)]
    """
    axes = zip(image.shape, tile, context, strict=True)
    boxes = list(product(*[tile_spans(n, t, c, align) for n, t, c in axes]))
    result = np.empty(image.shape, np.float32) if out is None else out
    total, done = len(boxes) * len(functions), 0
    for box in boxes:
        core = tuple(span.core for span in box)
        if is_there is not None and is_there(core):
            done += len(functions)
            yield Tick(done, total)
            continue
        read = tuple(span.read for span in box)
        piece = np.ascontiguousarray(image[read], dtype=np.float32)
        mean = np.zeros(piece.shape[-len(box) :], np.float32)
        for function in functions:
            mean += function(piece)
            done += 1
            yield Tick(done, total)
        mean /= len(functions)
        inside = tuple(slice(s.core.start - s.read.start, s.core.stop - s.read.start) for s in box)
        if finish is not None:
            mean = finish(mean, piece[0] if isinstance(image, Channels) else piece, read, inside)
        result[core] = mean[inside]
    return result
