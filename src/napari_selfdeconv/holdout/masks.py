"""The random parts of a training step: blind-spot masks, the noise in masked pixels, a repeated measurement."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def box_side(percent: float, ndim: int) -> int:
    """Return the side of the box that holds one masked pixel on average, at least 1.

    Examples
    --------
    >>> box_side(0.5, 2), box_side(0.5, 3)
    (14, 6)
    """
    return max(1, round(float((100.0 / percent) ** (1.0 / ndim))))


def falling_percent(start: float | None, end: float, step: int) -> float:
    """Return the share of masked pixels at a step (from 0): it nears ``end`` by half a percent a step.

    Examples
    --------
    >>> falling_percent(25, 5, 0), round(falling_percent(25, 5, 138), 1), falling_percent(None, 5, 0)
    (25.0, 15.0, 5)
    """
    return end if start is None else end + (start - end) * 0.995**step


def stratified_mask(batch: int, size: Sequence[int], percent: float, generator: torch.Generator) -> Tensor:
    """Return a boolean mask (batch, 1, *size), one random pixel in every box of the stratification.

    The grid of boxes is shifted at random, so that no pixel is masked more often than another.

    Parameters
    ----------
    batch : number of masks.
    size : shape of one patch, voxels.
    percent : share of masked pixels, 0 to 50.
    generator : source of randomness; the mask lies on its device.
    """
    device, side = generator.device, box_side(percent, len(size))
    cells = [n // side + 2 for n in size]
    shape = (batch, *cells)
    inside = torch.ones(shape, dtype=torch.bool, device=device)
    index = torch.arange(batch, device=device).view(-1, *[1] * len(size)).expand(shape)
    for axis, n in enumerate(size):
        shift = torch.randint(side, (batch, *[1] * len(size)), generator=generator, device=device)
        cell = torch.arange(cells[axis], device=device).view([-1 if a == axis else 1 for a in range(len(size))])
        where = cell * side - shift + torch.randint(side, shape, generator=generator, device=device)
        inside &= (where >= 0) & (where < n)
        index = index * n + where.clamp(0, n - 1)
    # Pixels outside are written to one extra voxel: selecting those inside would wait for the device.
    voxels = batch * math.prod(size)
    mask = torch.zeros(voxels + 1, dtype=torch.bool, device=device)
    mask.scatter_(0, torch.where(inside, index, voxels).reshape(-1), True)
    return mask[:-1].view(batch, 1, *size)


def fill_with_noise(x: Tensor, mask: Tensor, sigma: float, generator: torch.Generator) -> Tensor:
    """Return ``x`` with Gaussian noise of ``sigma`` (standard units) where ``mask`` is set."""
    noise = torch.randn(x.shape, generator=generator, device=generator.device, dtype=x.dtype)
    return torch.where(mask, sigma * noise.to(x.device), x)
