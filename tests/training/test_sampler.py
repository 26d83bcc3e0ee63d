"""Where training patches lie."""

from __future__ import annotations

import pytest
import torch

from napari_selfdeconv.arrays.symmetry import IDENTITY
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.training.sampler import Sampler


def starts(shape: tuple[int, ...], config: TrainConfig) -> tuple[set[int], ...]:
    """Return where patches begin on each axis."""
    frame = torch.zeros(1, *shape)
    sampler = Sampler([frame], [frame[0] > 0], config, (IDENTITY,), torch.Generator().manual_seed(0))
    places = [place for _ in range(60) for place in sampler.draw().places]
    return tuple({place.where[axis].start for place in places} for axis in range(len(shape)))


@pytest.mark.parametrize("planes", [24, 32, 48])
def test_patches_of_a_thin_stack_lie_on_the_grid_in_every_way(planes: int) -> None:
    z, _, x = starts((planes, 64, 64), preset("quick", 3))
    assert {start % 4 for start in z} == {0, 1, 2, 3}
    assert {start % 4 for start in x} == {0, 1, 2, 3}


@pytest.mark.parametrize("name", ["paper", "quick"])
def test_patches_hold_a_whole_axis_that_is_short_and_with_random_weights(name: str) -> None:
    config = preset(name, 3, features=2, pretrained=False, batch_size=1)
    assert starts((32, 64, 64), config)[0] == {0}
    assert starts((20, 64, 64), preset("quick", 3))[0] == {0}
    assert starts((96, 160), preset("quick", 2))[0] == {0}
