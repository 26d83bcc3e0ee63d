"""Convolution of a volume onto a smaller image, so that the model contains light from outside the field.

``y[i] = sum_j h[j] f[i + a - (j - c)]`` with the PSF's centre ``c = n // 2`` and ``a`` the voxels of the estimate
before the image. Nothing is assumed about the light outside, because it is part of the estimate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.fft
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.physics.fft import Then, filtered, parts_of

_COLUMNS = 2**20


class OpenBlur:
    """A convolution that gives the pixels of an image, and its exact transpose.

    Parameters
    ----------
    psf : 2D or 3D, any sizes, also larger than the image. Not normalised here.
    image_shape : shape of what is recorded.
    reach : voxels of the estimate before and after the image, on every axis. None takes the reach of the PSF, from
        which any light arrives at the image: the convolution is then scipy's "valid" one.
    mask : boolean, as large as the estimate; where it is False there is no light.
    dtype : float32, or float64 to test with.

    Attributes
    ----------
    shape : shape of the estimate.
    inside : where the image lies in the estimate.

    Notes
    -----
    Arrays have spatial axes alone: numpy's on the processor, torch's on another device. Of the transforms only
    the lines that are needed are computed, and their size is the smallest at which nothing wraps around into the
    image.
    """

    def __init__(
        self,
        psf: NDArray[Any],
        image_shape: Sequence[int],
        reach: Sequence[tuple[int, int]] | None = None,
        *,
        mask: NDArray[np.bool_] | None = None,
        dtype: type[np.floating[Any]] = np.float32,
    ) -> None:
        sizes, self.image_shape = psf.shape, tuple(image_shape)
        full = [(k - 1 - k // 2, k // 2) for k in sizes]
        limits = full if reach is None else reach
        self.reach = [(min(b, fb), min(a, fa)) for (b, a), (fb, fa) in zip(limits, full, strict=True)]
        axes = list(zip(sizes, self.image_shape, self.reach, strict=True))
        self.shape = tuple(n + b + a for _, n, (b, a) in axes)
        self.inside = tuple(slice(b, b + n) for _, n, (b, _) in axes)
        self.mask = mask
        # No voxel of the estimate is further from a pixel than this: what the PSF holds beyond is never used.
        cut = [slice(max(0, k // 2 - (n + a - 1)), min(k, k // 2 + n + b)) for k, n, (b, a) in axes]
        centre = [k // 2 - s.start for k, s in zip(sizes, cut, strict=True)]
        first = [c + b for c, (b, _) in zip(centre, self.reach, strict=True)]
        self._first = first
        self._size = tuple(
            scipy.fft.next_fast_len(max(m + (s.stop - s.start) - 1 - f, f + n, m), real=True)
            for m, s, f, n in zip(self.shape, cut, first, self.image_shape, strict=True)
        )
        self._transfer = _transfer(np.asarray(psf[tuple(cut)], dtype), self._size)
        self._on_device: dict[torch.device, Tensor] = {}

    def forward_into(self, estimate: Any, out: Any, then: Then | None = None) -> None:
        """Write A f, as large as the image, into ``out``; ``then`` as in `physics.blur.Blur.into`."""
        origin = [0] * len(self.shape)
        self._filter(estimate, out, origin, self._first, then, conjugate=False)

    def adjoint_into(self, residual: Any, out: Any, then: Then | None = None) -> None:
        """Write A^T y, as large as the estimate, into ``out``; 0 where there is no light."""
        mask = self.mask

        def masked(part: Any, where: slice) -> None:
            if mask is not None:
                part *= _like(mask[where], part)
            if then is not None:
                then(part, where)

        self._filter(residual, out, self._first, [0] * len(self.shape), masked, conjugate=True)

    def _filter(
        self, x: Any, out: Any, starts: Sequence[int], first: Sequence[int], then: Then | None, *, conjugate: bool
    ) -> None:
        mask = None if conjugate else self.mask
        if isinstance(x, np.ndarray):
            filtered(
                x, self._transfer, self._size, starts, [0] * x.ndim, first, "zero", conjugate=conjugate, out=out,
                workers=torch.get_num_threads(), then=then, mask=mask,
            )  # fmt: skip
            return
        if x.device not in self._on_device:
            self._on_device[x.device] = torch.from_numpy(self._transfer).to(x.device)
        padded = x.new_zeros(self._size)
        padded[_windows(starts, x.shape)] = x if mask is None else x * _like(mask, x)
        spectrum = torch.fft.rfftn(padded)
        del padded
        transfer = self._on_device[x.device]
        spectrum *= transfer.conj() if conjugate else transfer
        result = torch.fft.irfftn(spectrum, s=self._size)[_windows(first, out.shape)]
        if then is not None:
            then(result, slice(None))
        out.copy_(result)


def _windows(starts: Sequence[int], shape: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(start, start + n) for start, n in zip(starts, shape, strict=True))


def _like(mask: NDArray[np.bool_], array: Any) -> Any:
    return mask if isinstance(array, np.ndarray) else torch.from_numpy(mask).to(array.device)


def _transfer(psf: NDArray[Any], size: Sequence[int]) -> NDArray[Any]:
    """Return ``rfftn(psf, size)`` in the precision of the PSF, without a second array of that size."""
    out = np.empty((*size[:-1], size[-1] // 2 + 1), np.result_type(psf.dtype, np.complex64))
    corner = tuple(slice(n) for n in psf.shape[:-1])
    for part in parts_of(len(psf), psf[0].size, _COLUMNS):
        out[(part, *corner[1:])] = scipy.fft.rfft(psf[part], size[-1], axis=-1)
    axes = tuple(range(psf.ndim - 1))
    for part in parts_of(out.shape[-1], out[..., 0].size, _COLUMNS):
        out[..., part] = scipy.fft.fftn(out[(*corner, part)], size[:-1], axes=axes)
    return out
