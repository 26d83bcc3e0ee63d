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


def compute_curvature(f: Tensor) -> Tensor:
    """Return div(grad f / |grad f|), forward differences and their adjoint."""
    gradients = compute_gradient(f)
    length = torch.sqrt(sum((g.square() for g in gradients), torch.full_like(f, 1e-12 * float(f.max()) ** 2)))
    return -apply_gradient_adjoint([g / length for g in gradients])
