"""Convolution with the PSF: the forward model g and its adjoint. No other file computes them.

``y[i] = sum_j h[j] x[i - (j - c)]`` with the centre ``c = n // 2`` on every axis: a convolution, never a
correlation, so an asymmetric PSF smears in its own direction. Outside its border the image continues by
reflection with the edge repeated ("reflect", as ``scipy.ndimage``), by its edge value ("replicate") or by "zero".
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.compute.device import repeatable
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.physics.boundary import Boundary, _fold, extend, fill_outside
from napari_selfdeconv.physics.fft import Then, filtered, transfer_function

# A single image with at least this many voxels is transformed axis by axis. No training patch is that large.
_LARGE = 2**20
Method = Literal["auto", "fft", "direct"]

# Kernel voxels above which the FFT wins, measured on 2 CPU cores (docs/benchmarks.md); on CUDA the paper's rule.
_FFT_ABOVE = {("cpu", 2): 8, ("cpu", 3): 8, ("cuda", 2): 25**2, ("cuda", 3): 9**3}


def smooth_size(n: int) -> int:
    """Return the smallest size >= n whose prime factors are 2, 3, 5 and 7 only.

    Examples
    --------
    >>> smooth_size(509), smooth_size(512), smooth_size(11)
    (512, 512, 12)
    """
    while True:
        rest = n
        for prime in (2, 3, 5, 7):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


class Blur:
    """Convolution with a fixed PSF, and its adjoint. Nothing is learned.

    Parameters
    ----------
    psf : array of 2 or 3 axes, any sizes; its centre is ``n // 2`` on every axis. Not normalised here.
    boundary : "reflect" (edge repeated), "replicate" or "zero".
    method : "fft", "direct", or "auto" for the faster of the two as measured.

    Notes
    -----
    Tensors are (batch, channel, *space). The result is float32, or float64 for a float64 input,
    whatever the autocast. The transfer function is computed once per shape, dtype and device.
    """

    def __init__(self, psf: NDArray[Any], *, boundary: Boundary = "reflect", method: Method = "auto") -> None:
        self.psf = np.ascontiguousarray(psf, dtype=np.float64)
        self.ndim = self.psf.ndim
        self.boundary = boundary
        self.method = method
        self._cache: dict[tuple[Any, ...], Tensor] = {}

    def __call__(self, x: Tensor) -> Tensor:
        """Return A x: ``x`` blurred, same shape."""
        return _Linear.apply(_real(x), self, False)  # type: ignore[no-untyped-call, no-any-return]

    def adjoint(self, y: Tensor) -> Tensor:
        """Return A^T y, the exact transpose of `__call__` (border rule included)."""
        return _Linear.apply(_real(y), self, True)  # type: ignore[no-untyped-call, no-any-return]

    def flipped(self) -> Blur:
        """Return the blur with the mirrored PSF, centre kept (correlation with the PSF)."""
        flipped = np.flip(self.psf)
        even = [(0, 1 - n % 2) for n in self.psf.shape]
        # An even axis mirrors its centre from n//2 to n//2 - 1: one zero in front puts it back.
        padded = np.pad(flipped, [(b, a) for a, b in even])
        return Blur(padded, boundary=self.boundary, method=self.method)

    def uses_fft(self, device: torch.device) -> bool:
        """Return whether "auto" uses the FFT on this device."""
        if self.method != "auto":
            return self.method == "fft"
        return self.psf.size > _FFT_ABOVE.get((device.type, self.ndim), _FFT_ABOVE["cpu", self.ndim])

    def into(self, x: Tensor, out: Tensor, *, mirrored: bool = False, then: Then | None = None) -> Tensor:
        """Write A x into ``out``, or with ``mirrored`` what `flipped` would give; no gradient.

        For volumes: both ways share one transfer function, and ``out`` may be ``x``. At the border ``mirrored``
        differs from `adjoint`: it continues the image as A does.

        Parameters
        ----------
        x, out : (1, 1, *space) with ``then``, else as everywhere.
        then : function that changes every part of the result in place before it is written to ``out``. It gets an
            array with spatial axes (of numpy on the processor, else of torch) and its slice along the first axis.
        """
        with torch.no_grad():
            if self.uses_fft(x.device):
                return self._fft(x, mirrored=mirrored, out=out, then=then)
            return out.copy_(_done((self.flipped() if mirrored else self)._forward(x), then))

    def forget(self) -> None:
        """Release the transfer functions, and the memory of the device that they take."""
        self._cache.clear()

    def _forward(self, x: Tensor) -> Tensor:
        if self.uses_fft(x.device):
            return self._fft(x)
        padded = x
        for axis, (k, c) in self._axes():
            padded = extend(padded, axis, k - 1 - c, c, self.boundary)
        conv = F.conv2d if self.ndim == 2 else F.conv3d
        flat = padded.reshape(-1, 1, *padded.shape[-self.ndim :])
        with repeatable(x.device, exact=True):
            return conv(flat, self._kernel(x)).reshape(x.shape)

    def _transpose(self, y: Tensor) -> Tensor:
        if self.uses_fft(y.device):
            full = self._fft_transpose(y)
        else:
            conv = F.conv_transpose2d if self.ndim == 2 else F.conv_transpose3d
            with repeatable(y.device, exact=True):
                flat = conv(y.reshape(-1, 1, *y.shape[-self.ndim :]), self._kernel(y))
            full = flat.reshape(*y.shape[: -self.ndim], *flat.shape[-self.ndim :])
        for axis, (k, c) in self._axes():
            full = _fold(full, axis, k - 1 - c, c, self.boundary)
        return full

    def _axes(self) -> Iterator[tuple[int, tuple[int, int]]]:
        """Yield (negative axis, (kernel size, centre))."""
        for i, k in enumerate(self.psf.shape):
            yield i - self.ndim, (k, k // 2)

    def _fft(
        self, x: Tensor, *, mirrored: bool = False, out: Tensor | None = None, then: Then | None = None
    ) -> Tensor:
        size = x.shape[-self.ndim :]
        shape = [smooth_size(n + k - 1) for n, k in zip(size, self.psf.shape, strict=True)]
        starts = [k // 2 if mirrored else k - 1 - k // 2 for k in self.psf.shape]
        first = [0 if mirrored else k - 1 for k in self.psf.shape]
        if x.device.type == "cpu" and x.numel() == math.prod(size) >= _LARGE:
            out = torch.empty_like(x) if out is None else out
            source, result = x.detach().reshape(size).numpy(), out.detach().view(size).numpy()
            afters = [k - 1 - start for k, start in zip(self.psf.shape, starts, strict=True)]
            transfer = self._transfer(shape, x).numpy()
            filtered(
                source, transfer, shape, starts, afters, first, self.boundary,
                conjugate=mirrored, out=result, workers=torch.get_num_threads(), then=then,
            )  # fmt: skip
            return out
        # One array for the image, its continuation and the zeros that the FFT's size asks for.
        padded = x.new_zeros((*x.shape[: -self.ndim], *shape))
        padded[self._window(starts, size)] = x
        core = list(zip(starts, size, strict=True))
        for i, (start, n) in enumerate(core):
            k = self.psf.shape[i]
            later = [slice(s, s + m) for s, m in core[i + 1 :]]
            where: tuple[Any, ...] = (..., *[slice(None)] * (i + 1), *later)
            inner = padded[where]
            fill_outside(inner, i - self.ndim, start, n, k - 1 - start, self.boundary)
        spectrum = torch.fft.rfftn(padded, dim=tuple(range(-self.ndim, 0)))
        del padded, inner
        self._filter(spectrum, shape, x, conjugate=mirrored)
        full: Tensor = torch.fft.irfftn(spectrum, s=shape, dim=tuple(range(-self.ndim, 0)))
        valid = _done(full[self._window(first, size)], then)
        return valid.contiguous() if out is None else out.copy_(valid)

    def _filter(self, spectrum: Tensor, shape: Sequence[int], like: Tensor, *, conjugate: bool) -> None:
        """Multiply ``spectrum`` in place by the transfer function or its conjugate."""
        # conj(conj(s) h): the conjugate of h is never written out.
        if conjugate:
            torch.conj_physical(spectrum, out=spectrum)
        spectrum.mul_(self._transfer(shape, like))
        if conjugate:
            torch.conj_physical(spectrum, out=spectrum)

    def _fft_transpose(self, y: Tensor) -> Tensor:
        dims = tuple(range(-self.ndim, 0))
        padded = [n + k - 1 for n, k in zip(y.shape[-self.ndim :], self.psf.shape, strict=True)]
        shape = [smooth_size(n) for n in padded]
        spectrum = torch.fft.rfftn(y, s=shape, dim=dims)
        self._filter(spectrum, shape, y, conjugate=True)
        full = torch.fft.irfftn(spectrum, s=shape, dim=dims)
        # The forward pass cuts its window at k - 1, so the transpose puts y there: a circular shift.
        full = torch.roll(full, [k - 1 for k in self.psf.shape], dims)
        window: Tensor = full[self._window([0] * self.ndim, padded)]
        return window

    def _window(self, start: Sequence[int], size: Sequence[int]) -> tuple[Any, ...]:
        return (..., *(slice(s, s + n) for s, n in zip(start, size, strict=True)))

    def _kernel(self, like: Tensor) -> Tensor:
        key = ("kernel", like.dtype, like.device)
        if key not in self._cache:
            # A copy: ascontiguousarray leaves the negative strides of an axis of length 1 as they are.
            flipped = np.flip(self.psf).copy()[None, None]
            self._cache[key] = torch.as_tensor(flipped, dtype=like.dtype, device=like.device)
        return self._cache[key]

    def _transfer(self, shape: Sequence[int], like: Tensor) -> Tensor:
        key = (tuple(shape), like.dtype, like.device)
        if key not in self._cache:
            # One shape of tiles and one of patches is in use at a time: a few entries are plenty.
            if len(self._cache) > 8:
                self._cache.clear()
            dtype = np.complex128 if like.dtype == torch.float64 else np.complex64
            self._cache[key] = torch.from_numpy(transfer_function(self.psf, shape, dtype)).to(like.device)
        return self._cache[key]


class _Linear(torch.autograd.Function):
    """A or A^T with the other one as its gradient: real FFTs both ways, nothing kept for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, blur: Blur, transpose: bool) -> Tensor:
        ctx.blur, ctx.transpose = blur, transpose
        with torch.autocast(x.device.type, enabled=False):
            return blur._transpose(x) if transpose else blur._forward(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        grad = _Linear.apply(_real(grad), ctx.blur, not ctx.transpose)  # type: ignore[no-untyped-call]
        return grad, None, None


def _done(x: Tensor, then: Then | None) -> Tensor:
    """Let ``then`` have ``x``, (1, 1, *space), in one part."""
    if then is not None:
        then(bare(x), slice(None))
    return x


def bare(x: Tensor) -> Any:
    """Return (1, 1, *space) as space alone, in the same memory: numpy's on the processor, else torch's."""
    return x[0, 0].numpy() if x.device.type == "cpu" else x[0, 0]


def _real(x: Tensor) -> Tensor:
    # The reflections of an empty axis would never reach the length that is asked for.
    if x.numel() == 0:
        raise ConfigError(f"the image is empty, shape {tuple(x.shape)}")
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def convolved(blur: Blur, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return A x of an array, float32."""
    with torch.inference_mode():
        # Torch knows neither negative strides nor read-only arrays.
        ours = torch.from_numpy(np.require(image, requirements=["C", "W"]))
        out: NDArray[np.float32] = blur(ours[None, None])[0, 0].numpy()
    return out
