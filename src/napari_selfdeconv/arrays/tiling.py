"""Overlapping tiles with pyramid weights: predict a large image piece by piece, as if it were one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.events import Tick

Finish = Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]]


def tile_edges(n: int, tile: int, overlap: int, align: int) -> list[tuple[int, int]]:
    """Return (start, stop) of the tiles along one axis.

    Every start is a multiple of ``align`` (the network's down-sampling), so that a tile lies on the same
    grid as the whole image; every tile has ``tile`` voxels or up to ``align - 1`` more at the far end.

    Examples
    --------
    >>> tile_edges(100, 48, 16, 4)
    [(0, 48), (24, 72), (52, 100)]
    """
    if tile >= n:
        return [(0, n)]
    last = (n - tile) // align * align
    if last == 0:
        return [(0, n)]
    count = 1 + int(np.ceil(last / max(align, (tile - overlap) // align * align)))
    starts = [round(last * i / (count - 1) / align) * align for i in range(count)]
    return [(s, n if s == last else s + tile) for s in dict.fromkeys(starts)]


def axis_weights(n: int, edges: Sequence[tuple[int, int]], overlap: int) -> list[NDArray[np.float32]]:
    """Return one weight vector per tile; over all tiles they sum to 1 at every voxel.

    A quarter of the overlap next to a cut is context only (weight 0), then the weight rises linearly.
    Towards the image's own border nothing falls off.
    """
    raw = []
    for start, stop in edges:
        i = np.arange(start, stop)
        left = np.full(i.size, np.inf) if start == 0 else i - start + 0.5
        right = np.full(i.size, np.inf) if stop == n else stop - i - 0.5
        distance = np.minimum(np.minimum(left, right), max(overlap, 1))
        raw.append(np.maximum(distance - overlap // 4, 1e-9))
    total = np.zeros(n)
    for (start, stop), weight in zip(edges, raw, strict=True):
        total[start:stop] += weight
    return [(w / total[a:b]).astype(np.float32) for (a, b), w in zip(edges, raw, strict=True)]


def predict_tiled(
    functions: Sequence[Callable[[NDArray[np.float32]], NDArray[np.float32]]],
    image: NDArray[Any],
    *,
    tile: Sequence[int],
    overlap: int,
    align: int = 1,
    out: Any = None,
    finish: Finish | None = None,
) -> Generator[Tick, None, Any]:
    """Yield a `Tick` after every tile and function; return the blended mean of ``functions`` over ``image``.

    Parameters
    ----------
    functions : each maps a float32 tile to a float32 tile of the same shape; their mean is taken.
    image : any shape; of a lazy array only the tile at hand is read.
    tile, overlap, align : see `tile_edges`.
    out : array of zeros to write into, by default a new one; zarr will do. It is returned.
    finish : called with the mean of ``functions`` over a tile and with the tile; what it returns is blended.

    Examples
    --------
    >>> import numpy as np
    >>> work = predict_tiled([lambda t: t], np.ones((50, 30), np.float32), tile=(32, 30), overlap=8)
    >>> list(work)
    [Tick(done=1, total=2), Tick(done=2, total=2)]
    """
    edges = [tile_edges(n, t, overlap, align) for n, t in zip(image.shape, tile, strict=True)]
    weights = [axis_weights(n, e, overlap) for n, e in zip(image.shape, edges, strict=True)]
    result = np.zeros(image.shape, np.float32) if out is None else out
    boxes = list(product(*[range(len(e)) for e in edges]))
    total, done = len(boxes) * len(functions), 0
    for box in boxes:
        where = tuple(slice(*edges[axis][i]) for axis, i in enumerate(box))
        piece = np.ascontiguousarray(image[where], dtype=np.float32)
        mean = np.zeros(piece.shape, np.float32)
        for function in functions:
            mean += function(piece)
            done += 1
            yield Tick(done, total)
        mean /= len(functions)
        if finish is not None:
            mean = finish(mean, piece)
        for axis, i in enumerate(box):
            mean *= weights[axis][i].reshape([-1 if a == axis else 1 for a in range(mean.ndim)])
        # Read and written whole: `+=` on a slice of a zarr array would do the same, twice.
        result[where] = result[where] + mean
    return result
