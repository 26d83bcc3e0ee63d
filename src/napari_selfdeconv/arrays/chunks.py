"""Work on a large array slab by slab along its first axis, with what a slab needs to know of its neighbours."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

# Voxels of a slab: up to here the whole array is one.
_SLAB = 2**23


def chunks(shape: Sequence[int], margin: int) -> Iterator[tuple[slice, slice]]:
    """Yield (core, wide) slices of the first axis: the cores cover it, the wide ones reach ``margin`` further.

    A core is at least four margins long, but for the last one.

    Examples
    --------
    >>> list(chunks((10, 4), 3))
    [(slice(0, 10, None), slice(0, 10, None))]
    """
    n = shape[0]
    rows = n if math.prod(shape) <= _SLAB else max(4 * margin, _SLAB // math.prod(shape[1:]))
    for start in range(0, n, rows):
        stop = min(n, start + rows)
        yield slice(start, stop), slice(max(0, start - margin), min(n, stop + margin))
