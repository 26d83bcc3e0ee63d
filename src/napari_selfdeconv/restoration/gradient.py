"""Forward differences along every axis, and their adjoint."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def compute_gradient(f: Tensor) -> list[Tensor]:
    """Return the forward difference along each spatial axis of (batch, 1, *space); 0 at the far border."""
    out = []
    for axis in range(2, f.ndim):
        n = f.shape[axis]
        d = torch.zeros_like(f)
        d.narrow(axis, 0, n - 1).copy_(f.narrow(axis, 1, n - 1) - f.narrow(axis, 0, n - 1))
        out.append(d)
    return out


def apply_gradient_adjoint(gradients: Sequence[Tensor]) -> Tensor:
    """Return the transpose of `compute_gradient` (minus the divergence)."""
    total = torch.zeros_like(gradients[0])
    for axis, g in enumerate(gradients, 2):
        n = g.shape[axis]
        inner = g.narrow(axis, 0, n - 1)
        total.narrow(axis, 0, n - 1).sub_(inner)
        total.narrow(axis, 1, n - 1).add_(inner)
    return total


def compute_curvature(f: Tensor, smooth: float = 0.0) -> Tensor:
    """Return the negative derivative of the total variation, div(grad f / |grad f|).

    The length of a gradient is that of the differences to both neighbours on every axis, so that the mirror image
    has the mirrored curvature.

    Parameters
    ----------
    f : any shape.
    smooth : a gradient shorter than this share of the value is not divided by its own length. With 0 the direction
        of a gradient counts even where rounding errors alone decide it.

    Examples
    --------
    >>> f = torch.rand(1, 1, 5, 6)
    >>> bool(torch.allclose(compute_curvature(f.flip(3)), compute_curvature(f).flip(3), atol=1e-5))
    True
    """
    most = float(f.abs().max())
    if most == 0:
        return torch.zeros_like(f)
    # A power of two changes no digit, and squares of extreme numbers would not be finite.
    # The largest power that float32 holds is 127: subnormal numbers stay below one half.
    unit = math.ldexp(1.0, min(127, -math.frexp(most)[1]))
    differences = [d.mul_(unit) for d in compute_gradient(f)]
    inverse = torch.full_like(f, 1e-12 * (unit * most) ** 2)
    if smooth:
        inverse += (smooth * unit * f).square()
    for axis, d in enumerate(differences, 2):
        n = d.shape[axis]
        half = d.square().mul_(0.5)
        inverse += half
        inverse.narrow(axis, 1, n - 1).add_(half.narrow(axis, 0, n - 1))
    inverse.rsqrt_()
    for axis, d in enumerate(differences, 2):
        n = d.shape[axis]
        between = inverse.narrow(axis, 0, n - 1) + inverse.narrow(axis, 1, n - 1)
        d.narrow(axis, 0, n - 1).mul_(between.mul_(0.5))
    return apply_gradient_adjoint(differences).neg_()
