"""Blocks of pixels as a start: their operator, their interpolation, and what they leave to the iterations."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_selfdeconv.events import drain, report_progress
from napari_selfdeconv.physics.camera import NO_BACKGROUND
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.restoration.block_start import average_blocks, start_from_blocks
from napari_selfdeconv.restoration.open_operator import OpenOperator
from napari_selfdeconv.stop_token import StopToken

CPU = torch.device("cpu")


def wide_psf(depth: int = 5, width: int = 41) -> np.ndarray:
    z, y, x = np.mgrid[
        -(depth // 2) : depth // 2 + 1, -(width // 2) : width // 2 + 1, -(width // 2) : width // 2 + 1
    ]
    spread = 2.0 + 3.0 * abs(z)
    psf = np.exp(-(y**2 + x**2) / (2 * spread**2)) / spread**2
    return (psf / psf.sum()).astype(np.float32)


def start(image: np.ndarray, operator: OpenOperator, weights: PixelWeights | None = None) -> torch.Tensor:
    work = start_from_blocks(
        image, operator, 10, device=CPU, stop=StopToken(), weights=weights, background=NO_BACKGROUND
    )
    return drain(report_progress(work, "start", StopToken()))


@pytest.mark.parametrize("shape", [(4, 24, 28), (3, 17, 22)])
def test_the_operator_of_blocks_gives_the_means_of_blocks(shape: tuple[int, ...]) -> None:
    """Of light that rises evenly: a block away it differs by 4 to 10 %, and the coarse grid is within 2 %."""
    operator = OpenOperator(wide_psf(), shape, two_grids=True)
    blocks = operator.of_blocks()
    light = torch.ones((1, 1, *blocks.estimate_shape))
    grid = blocks.fine(light)[0, 0]
    grid += torch.arange(grid.shape[1])[:, None] + torch.arange(grid.shape[2])
    fine = operator.forward(operator.from_blocks(blocks, light))[0, 0].numpy()
    means, weights = average_blocks(fine, None, operator.side)
    whole = weights.values == 1
    np.testing.assert_allclose(means[whole], blocks.forward(light)[0, 0].numpy()[whole], rtol=0.02)


def test_constant_light_stays_constant_and_a_mask_is_left_out() -> None:
    operator = OpenOperator(wide_psf(), (4, 24, 28), two_grids=True)
    image = np.full((4, 24, 28), 7.0, np.float32)
    counts = np.ones(image.shape, bool)
    counts[:, 12:, 14:] = False
    for weights, junk in ((None, 7.0), (PixelWeights(counts), 0.0), (PixelWeights(counts), np.nan)):
        seen = np.where(counts, image, np.float32(junk))
        inside = operator.crop(start(seen, operator, weights))
        np.testing.assert_allclose(inside.numpy(), 7.0, rtol=1e-3)


def test_saturated_blocks_are_known() -> None:
    at_least = np.zeros((1, 8, 8), bool)
    at_least[0, 1, 1] = True
    _, weights = average_blocks(np.ones((1, 8, 8)), PixelWeights(np.ones((1, 8, 8)), at_least), 4)
    assert weights.at_least is not None
    assert weights.at_least[0].tolist() == [[True, False], [False, False]]
