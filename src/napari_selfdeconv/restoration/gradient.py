"""Forward differences along every axis, and their adjoint."""

from __future__ import annotations

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
    """Return div(grad f / |grad f|), forward differences and their adjoint.

    Parameters
    ----------
    f : any shape.
    smooth : a gradient shorter than this share of the value is not divided by its own length. With 0 the direction
        of a gradient counts even where rounding errors alone decide it.
    """
    gradients = compute_gradient(f)
    least = torch.full_like(f, 1e-12 * float(f.max()) ** 2)
    if smooth:
        least += (smooth * f).square()
    length = torch.sqrt(sum((g.square() for g in gradients), least))
    return -apply_gradient_adjoint([g / length for g in gradients])
