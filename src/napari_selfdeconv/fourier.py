"""Fourier transforms of large volumes: quick on a processor, and little held beside their input and output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

_SLAB = 2**20

Fill = Callable[[NDArray[Any], int, int, int, int], None]


def transfer_function(psf: NDArray[np.float64], shape: Sequence[int], dtype: Any) -> NDArray[Any]:
    """Return ``rfftn(psf, shape)`` as the complex ``dtype``, computed in float64 but never held in it.

    The PSF is small: its transforms along all axes but the first are too, and the first is done in slabs.
    """
    rows: NDArray[Any] = np.fft.rfft(psf, shape[-1], axis=-1)
    for axis in range(psf.ndim - 2, 0, -1):
        rows = np.fft.fft(rows, shape[axis], axis=axis)
    result = np.empty((shape[0], *rows.shape[1:]), dtype)
    for part in _slabs(rows.shape[1], result.size):
        result[:, part] = np.fft.fft(rows[:, part], shape[0], axis=0)
    return result


def filtered(
    x: NDArray[Any],
    transfer: NDArray[Any],
    shape: Sequence[int],
    starts: Sequence[int],
    afters: Sequence[int],
    first: Sequence[int],
    fill: Fill,
    *,
    conjugate: bool,
    out: NDArray[Any],
    workers: int,
) -> None:
    """Write into ``out`` what convolving ``x`` with the kernel of ``transfer`` gives; ``out`` may be ``x``.

    On the processor, axis by axis, and only the lines that are needed: what continues the image along one
    axis repeats lines that are transformed already, and of the inverse only the window is wanted. For a volume
    pocketfft (scipy) was 1.5 to 4 times faster than torch's FFT.

    Parameters
    ----------
    x : float32 or float64, 2D or 3D.
    transfer : rfftn of the kernel on ``shape``; ``conjugate`` takes its conjugate.
    starts, afters : how far the image is continued before and after it, along each axis.
    first : where the result begins in the transformed array, along each axis.
    fill : ``fill(array, axis, start, n, after)`` continues an array along one axis, in place.
    workers : threads.
    """
    spectrum = np.zeros((*shape[:-1], shape[-1] // 2 + 1), transfer.dtype)
    core = [slice(start, start + n) for start, n in zip(starts, x.shape, strict=True)]
    image = spectrum[tuple(core[:-1])]
    for part in _slabs(len(x), x.size):
        lines = np.zeros((*x[part].shape[:-1], shape[-1]), x.dtype)
        lines[..., core[-1]] = x[part]
        fill(lines, x.ndim - 1, starts[-1], x.shape[-1], afters[-1])
        image[part] = scipy.fft.rfft(lines, axis=-1, workers=workers)
    for axis in range(x.ndim - 2, -1, -1):
        # Along the axes before this one there is nothing outside the image yet.
        view = spectrum[tuple(core[:axis])]
        fill(view, axis, starts[axis], x.shape[axis], afters[axis])
        _in_place(scipy.fft.fft, view, axis, workers)
    for plane, factor in zip(spectrum, transfer, strict=True):
        plane *= factor.conj() if conjugate else factor
    for axis in range(x.ndim - 1):
        _in_place(scipy.fft.ifft, spectrum, axis, workers)
        wanted = slice(first[axis], first[axis] + x.shape[axis])
        spectrum = spectrum[(*[slice(None)] * axis, wanted)]
    for part in _slabs(len(x), x.size):
        lines = scipy.fft.irfft(spectrum[part], n=shape[-1], axis=-1, workers=workers)
        out[part] = lines[..., first[-1] : first[-1] + x.shape[-1]]


def _in_place(transform: Callable[..., NDArray[Any]], view: NDArray[Any], axis: int, workers: int) -> None:
    result = transform(view, axis=axis, overwrite_x=True, workers=workers)
    if not np.shares_memory(result, view):
        view[...] = result


def _slabs(n: int, numel: int) -> Iterator[slice]:
    """Cut an axis of length ``n`` of an array of ``numel`` elements into slabs of about a million."""
    width = max(1, n * _SLAB // max(1, numel))
    return (slice(start, min(n, start + width)) for start in range(0, n, width))
