"""Fourier transforms of large volumes: fast on a processor, with little memory beside input and output."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_selfdeconv.physics.boundary import Boundary

# Elements of a piece that one thread works on: lines along the last axis, and columns along the others.
_CHUNK_SIZE, _COLUMNS = 2**19, 2**20
# Elements below which one thread is faster than several.
_SMALL = 2**15

_PADDING = {"reflect": "symmetric", "replicate": "edge"}

#: A function that changes a part of a result in place. It gets the part and its slice along the first axis.
Then = Callable[[Any, slice], None]


def transfer_function(psf: NDArray[np.float64], shape: Sequence[int], dtype: Any) -> NDArray[Any]:
    """Return ``rfftn(psf, shape)`` as the complex ``dtype``, computed in float64 but never held in it.

    The PSF is small: its transforms along all axes but the first are too, and the first is done in chunks.
    """
    rows: NDArray[Any] = np.fft.rfft(psf, shape[-1], axis=-1)
    for axis in range(psf.ndim - 2, 0, -1):
        rows = np.fft.fft(rows, shape[axis], axis=axis)
    result = np.empty((shape[0], *rows.shape[1:]), dtype)
    for part in parts_of(rows.shape[1], result.size // rows.shape[1], _CHUNK_SIZE):
        result[:, part] = np.fft.fft(rows[:, part], shape[0], axis=0)
    return result


def filtered(
    x: NDArray[Any],
    transfer: NDArray[Any],
    shape: Sequence[int],
    starts: Sequence[int],
    afters: Sequence[int],
    first: Sequence[int],
    boundary: Boundary,
    *,
    conjugate: bool,
    out: NDArray[Any],
    workers: int,
    then: Then | None = None,
    mask: NDArray[np.bool_] | None = None,
) -> None:
    """Write the convolution of ``x`` with the kernel of ``transfer`` into ``out``, which may be ``x``.

    Only the lines that are needed are transformed: what continues the image along one axis repeats lines that
    are transformed already, and of the inverse only the window is wanted. A few columns at a time go through all
    axes but the last, there and back, while they lie in the processor's cache: half as fast again as axis by axis
    over the whole volume.

    Parameters
    ----------
    x : float32 or float64, 2D or 3D.
    transfer : rfftn of the kernel on ``shape``; ``conjugate`` takes its conjugate.
    starts, afters : how far the image is continued before and after it, along each axis.
    first : where the result begins in the transformed array, along each axis.
    boundary : how it is continued.
    out : the part of the result that is wanted; it need not be as large as ``x``.
    workers : threads.
    then : see `Then`; called from several threads.
    mask : where False, ``x`` counts as 0.
    """
    kept = [max(n, m) for n, m in zip(x.shape[:-1], out.shape[:-1], strict=True)]
    spectrum = np.empty((*kept, shape[-1] // 2 + 1), transfer.dtype)
    # What of the spectrum belongs to input and output, along the axes between the first and the last.
    given = tuple(slice(n) for n in x.shape[1:-1])
    asked = tuple(slice(n) for n in out.shape[1:-1])
    core = [slice(start, start + n) for start, n in zip(starts, x.shape, strict=True)]
    window = [slice(start, start + n) for start, n in zip(first, out.shape, strict=True)]

    def forth(part: slice) -> None:
        lines = np.zeros((*x[part].shape[:-1], shape[-1]), x.dtype)
        lines[..., core[-1]] = x[part]
        if mask is not None:
            lines[..., core[-1]] *= mask[part]
        _continue(lines, x.ndim - 1, core[-1], afters[-1], boundary)
        spectrum[(part, *given)] = scipy.fft.rfft(lines, axis=-1)

    def across(part: slice) -> None:
        columns = np.zeros((*shape[:-1], part.stop - part.start), transfer.dtype)
        columns[tuple(core[:-1])] = spectrum[(slice(len(x)), *given, part)]
        for axis in range(x.ndim - 2, -1, -1):
            # Along the axes before this one there is nothing outside the image yet.
            view = columns[tuple(core[:axis])]
            _continue(view, axis, core[axis], afters[axis], boundary)
            _in_place(scipy.fft.fft, view, axis)
        # conj(conj(s) h) is s conj(h): the conjugate of h is never written out.
        if conjugate:
            np.conj(columns, out=columns)
        columns *= transfer[..., part]
        if conjugate:
            np.conj(columns, out=columns)
        for axis in range(x.ndim - 1):
            _in_place(scipy.fft.ifft, columns, axis)
            columns = columns[(*[slice(None)] * axis, window[axis])]
        spectrum[(slice(len(out)), *asked, part)] = columns

    def back(part: slice) -> None:
        rows = spectrum[(part, *asked)]
        lines = scipy.fft.irfft(rows, n=shape[-1], axis=-1, overwrite_x=True)[..., window[-1]]
        if then is not None:
            then(lines, part)
        out[part] = lines

    # A pool costs as much as the transforms of a small image.
    if math.prod(shape) < _SMALL:
        workers = 1
    passes = (
        (forth, list(parts_of(len(x), x[0].size, _CHUNK_SIZE, workers))),
        (across, list(parts_of(spectrum.shape[-1], math.prod(shape[:-1]), _COLUMNS, workers))),
        (back, list(parts_of(len(out), out[0].size, _CHUNK_SIZE, workers))),
    )
    if workers == 1:
        for work, parts in passes:
            for part in parts:
                work(part)
        return
    with ThreadPoolExecutor(workers) as pool:
        for work, parts in passes:
            for _ in pool.map(work, parts):
                pass


def _continue(array: NDArray[Any], axis: int, core: slice, after: int, boundary: Boundary) -> None:
    """Write into ``array`` what lies before and up to ``after`` behind the part ``core`` of an axis.

    What `forward.fill_outside` does, without torch: in each of several threads that would start its own again.
    """
    if boundary == "zero":
        for beyond in (slice(0, core.start), slice(core.stop, core.stop + after)):
            array[(*[slice(None)] * axis, beyond)] = 0
        return
    n = core.stop - core.start
    source = core.start + np.pad(np.arange(n), (core.start, after), mode=_PADDING[boundary])  # type: ignore[call-overload]
    for outside in (slice(0, core.start), slice(core.stop, core.stop + after)):
        array[(*[slice(None)] * axis, outside)] = array.take(source[outside], axis=axis)


def _in_place(transform: Callable[..., NDArray[Any]], view: NDArray[Any], axis: int) -> None:
    result = transform(view, axis=axis, overwrite_x=True)
    if not np.shares_memory(result, view):
        view[...] = result


def parts_of(n: int, each: int, most: int, workers: int = 1) -> Iterator[slice]:
    """Divide ``n`` items of ``each`` elements into equal parts of about ``most``, as many for each worker."""
    count = min(n, -(-n * each // (most * workers)) * workers)
    edges = [n * i // count for i in range(count + 1)]
    return (slice(start, stop) for start, stop in zip(edges, edges[1:], strict=False))
