"""Fourier transforms that hold little beside their input and output: large volumes go slab by slab."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Voxels of one image above which memory counts more than one call for all axes. No training patch is that large.
_LARGE = 2**23
_SLAB = 2**20


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


def inverse_real(spectrum: Tensor, shape: Sequence[int], window: Sequence[slice], out: Tensor | None) -> Tensor:
    """Return the ``window`` of ``irfftn(spectrum, shape)``, contiguous.

    Parameters
    ----------
    spectrum : (batch, channel, *half), as ``rfftn`` over the last axes made it.
    shape : of one image in space.
    window : what to return, along every axis of space.
    out : where to write it, None for a new tensor.
    """
    ndim = len(shape)
    if math.prod(shape) <= _LARGE:
        full: Tensor = torch.fft.irfftn(spectrum, s=shape, dim=tuple(range(-ndim, 0)))[(..., *window)]
        return full.contiguous() if out is None else out.copy_(full)
    # irfftn would hold two copies of the spectrum, and the whole of the result with its padding. No factor:
    # one multiplication at the end rounds less than one for every transform.
    lines = torch.fft.ifftn(spectrum, dim=tuple(range(-ndim, -1)), norm="forward")
    lines = lines[(..., *window[:-1], slice(None))]
    sizes = [w.stop - w.start for w in window]
    if out is None:
        out = lines.real.new_empty((*spectrum.shape[:-ndim], *sizes))
    for part in _slabs(sizes[0], spectrum.numel()):
        where: tuple[Any, ...] = (..., part, *[slice(None)] * (ndim - 1))
        out[where] = torch.fft.irfft(lines[where], n=shape[-1], dim=-1, norm="forward")[..., window[-1]]
    return out.mul_(1.0 / math.prod(shape))


def _slabs(n: int, numel: int) -> Iterator[slice]:
    """Cut an axis of length ``n`` of an array of ``numel`` elements into slabs of about a million."""
    width = max(1, n * _SLAB // max(1, numel))
    return (slice(start, min(n, start + width)) for start in range(0, n, width))
