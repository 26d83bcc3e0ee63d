"""The gradient of the weights of a 3D convolution, plane by plane, where oneDNN has no kernel of its own for it.

On a processor with AVX2 alone oneDNN 3.12 writes out every neighbourhood of a volume and leaves all of it to one
thread. For images it has a kernel. The gradient for the three planes of the weights is that of three images.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from napari_selfdeconv.compute.device import onednn_without_avx512

# Wider convolutions are as fast without.
_MOST_CHANNELS = 32
_FEWEST_PLANES = 16
_ONE = (1, 1, 1)


def pays(x: Tensor, weight: Tensor) -> bool:
    """Return whether `convolve` trains these weights faster on ``x`` than the usual convolution does."""
    return (
        torch.is_grad_enabled()
        and weight.requires_grad
        and weight.shape[2:] == (3, 3, 3)
        and max(weight.shape[:2]) <= _MOST_CHANNELS
        and x.shape[2] >= _FEWEST_PLANES
        and onednn_without_avx512()
    )


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return the convolution of (batch, channels, z, y, x) with weights of 3x3x3, zero outside; float32."""
    return _Planewise.apply(x, weight, bias)  # type: ignore[no-any-return, no-untyped-call]


class _Planewise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        return torch.mkldnn_convolution(x, weight, bias, _ONE, _ONE, _ONE, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        (gradient,) = gradients
        x, weight = ctx.saved_tensors
        of_x = _gradients(gradient, x, weight, (True, False))[0] if ctx.needs_input_grad[0] else None
        of_bias = gradient.sum((0, 2, 3, 4)) if ctx.has_bias else None
        return of_x, _of_weight(gradient, x, weight), of_bias


def _of_weight(gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    planes, flat = x.shape[2], weight[:, :, 0]
    # (batch * z, channels, y, x); nothing is copied in the layout channels_last_3d.
    images, slopes = (volume.transpose(1, 2).flatten(0, 1) for volume in (x, gradient))
    middle = _gradients(slopes, images, flat, (False, True))[1]
    below, above = torch.zeros_like(middle), torch.zeros_like(middle)
    for start in range(0, len(images), planes):
        first, last = slice(start, start + planes - 1), slice(start + 1, start + planes)
        below += _gradients(slopes[last], images[first], flat, (False, True))[1]
        above += _gradients(slopes[first], images[last], flat, (False, True))[1]
    return torch.stack([below, middle, above], 2)


def _gradients(gradient: Tensor, x: Tensor, weight: Tensor, wanted: tuple[bool, bool]) -> tuple[Tensor, Tensor]:
    """Return the gradients of input and weights of a convolution with one voxel of zeros around its input."""
    ones, zeros = [1] * (x.ndim - 2), [0] * (x.ndim - 2)
    return torch.ops.aten.convolution_backward(  # type: ignore[no-any-return]
        gradient, x, weight, None, ones, ones, ones, False, zeros, 1, [*wanted, False]
    )[:2]
