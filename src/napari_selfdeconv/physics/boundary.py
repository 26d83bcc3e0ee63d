"""How an image continues outside its border, and the transpose of each rule."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

#: "reflect": the image continues as its mirror image, the edge repeated. "replicate": by its edge value. "zero":
#: no light comes from beyond the border, as in a simulated blur. Networks take no "zero": they are trained on
#: patches in standardised units, where 0 is the mean and the border of a patch is not the border of the image.
Boundary = Literal["reflect", "replicate", "zero"]


def extend(x: Tensor, axis: int, before: int, after: int, boundary: Boundary) -> Tensor:
    """Continue ``x`` along one axis (negative) by ``before`` and ``after`` voxels."""
    n = x.shape[axis]
    sizes = [list(x.shape), list(x.shape)]
    sizes[0][axis], sizes[1][axis] = before, after
    if boundary == "zero":
        return torch.cat([x.new_zeros(sizes[0]), x, x.new_zeros(sizes[1])], axis)
    if boundary == "replicate":
        first, last = x.narrow(axis, 0, 1), x.narrow(axis, n - 1, 1)
        return torch.cat([first.expand(sizes[0]), x, last.expand(sizes[1])], axis)
    # Reflection of more than one image length is done in steps: what was added is reflected again.
    while before or after:
        n = x.shape[axis]
        b, a = min(before, n), min(after, n)
        parts = [x.narrow(axis, 0, b).flip(axis), x, x.narrow(axis, n - a, a).flip(axis)]
        x = torch.cat(parts, axis)
        before, after = before - b, after - a
    return x


def fill_outside(x: Tensor, axis: int, start: int, n: int, after: int, boundary: Boundary) -> None:
    """Write into ``x`` along one axis what `extend` would put before and after its ``n`` voxels at ``start``."""
    if boundary == "replicate":
        x.narrow(axis, 0, start).copy_(x.narrow(axis, start, 1))
        x.narrow(axis, start + n, after).copy_(x.narrow(axis, start + n - 1, 1))
        return
    if boundary == "zero":
        x.narrow(axis, 0, start).zero_()
        x.narrow(axis, start + n, after).zero_()
        return
    low, high = start, start + n
    for b, a in _steps(n, start, after):
        x.narrow(axis, low - b, b).copy_(x.narrow(axis, low, b).flip(axis))
        x.narrow(axis, high, a).copy_(x.narrow(axis, high - a, a).flip(axis))
        low, high = low - b, high + a


def _steps(n: int, before: int, after: int) -> list[tuple[int, int]]:
    """Return the (before, after) of every reflection that `extend` makes from length ``n``."""
    steps = []
    while before or after:
        b, a = min(before, n), min(after, n)
        steps.append((b, a))
        before, after, n = before - b, after - a, n + a + b
    return steps


def _fold(x: Tensor, axis: int, before: int, after: int, boundary: Boundary) -> Tensor:
    """Return the transpose of `extend`: voxels outside are added to those that they were copied from."""
    n = x.shape[axis] - before - after
    if boundary == "replicate":
        core = x.narrow(axis, before, n).clone()
        core.narrow(axis, 0, 1).add_(x.narrow(axis, 0, before).sum(axis, keepdim=True))
        core.narrow(axis, n - 1, 1).add_(x.narrow(axis, before + n, after).sum(axis, keepdim=True))
        return core
    if boundary == "zero":
        return x.narrow(axis, before, n)
    for b, a in reversed(_steps(n, before, after)):
        size = x.shape[axis] - b - a
        core = x.narrow(axis, b, size).clone()
        core.narrow(axis, 0, b).add_(x.narrow(axis, 0, b).flip(axis))
        core.narrow(axis, size - a, a).add_(x.narrow(axis, b + size, a).flip(axis))
        x = core
    return x
