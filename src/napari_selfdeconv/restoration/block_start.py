"""A first estimate for Richardson-Lucy: the light of blocks of pixels, whose slow changes converge fast.

Light that changes slowly, such as haze and light outside the field, takes hundreds of iterations. By then noise
has become detail. An image of blocks has little noise, so it allows many iterations.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_selfdeconv.events import Tick
from napari_selfdeconv.physics.camera import Background
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.restoration.open_operator import OpenOperator
from napari_selfdeconv.restoration.weighted_richardson_lucy import iterate_weighted_richardson_lucy
from napari_selfdeconv.stop_token import StopToken

# A voxel that begins with less than this share of the mean light could hardly rise.
_LEAST = 1e-2


def start_from_blocks(
    image: NDArray[Any],
    operator: OpenOperator,
    iterations: int,
    *,
    device: torch.device,
    stop: StopToken,
    weights: PixelWeights | None,
    background: Background,
) -> Generator[Tick, None, Tensor]:
    """Return the light of blocks, interpolated to an estimate of ``operator``; parameters as in Richardson-Lucy.

    The operator has two grids; the blocks are those of its coarse grid.
    """
    blocks = operator.of_blocks()
    values, counts = average_blocks(image, weights, operator.side)
    field = background.field
    if field is not None:
        field = average_blocks(np.broadcast_to(field, (1, *image.shape[1:])), None, operator.side)[0][0]
    estimates = yield from iterate_weighted_richardson_lucy(
        values,
        blocks,
        (iterations,),
        device=device,
        stop=stop,
        weights=counts,
        background=replace(background, field=field),
    )
    (light,) = estimates.values()
    start = operator.from_blocks(blocks, light.to(device))
    inside = operator.crop(start)
    return operator.clear(start.clamp_(min=_LEAST * float(inside.mean())))


def average_blocks(
    image: NDArray[Any], weights: PixelWeights | None, side: int
) -> tuple[NDArray[np.float32], PixelWeights]:
    """Return the mean of every block of side x side pixels a plane, and which share of it was measured.

    Examples
    --------
    >>> means, weights = average_blocks(np.arange(12.0).reshape(1, 3, 4), None, 2)
    >>> means.tolist(), weights.values.tolist()
    ([[[2.5, 4.5], [8.5, 10.5]]], [[[1.0, 1.0], [0.5, 0.5]]])
    """
    given = np.ones(image.shape, np.float32) if weights is None else weights.values.astype(np.float32)
    counts = _sums(given, side)
    sums = _sums(np.where(given > 0, image, 0).astype(np.float32) * given, side)
    means = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
    at_least = None
    if weights is not None and weights.at_least is not None:
        at_least = _sums(weights.at_least.astype(np.float32), side) > 0
    return means, PixelWeights(counts / np.float32(side * side), at_least)


def _sums(planes: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    z, y, x = planes.shape
    padded = np.pad(planes, ((0, 0), (0, -y % side), (0, -x % side)))
    rows, columns = padded.shape[1] // side, padded.shape[2] // side
    sums: NDArray[np.float32] = padded.reshape(z, rows, side, columns, side).sum(axis=(2, 4))
    return sums
