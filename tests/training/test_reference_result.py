"""The first result of whole frames, computed cell by cell and cut into patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from napari_selfdeconv.arrays.symmetry import IDENTITY, Symmetry, psf_symmetries
from napari_selfdeconv.compute.device import choose_device
from napari_selfdeconv.config.loss_terms import LossWeights
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.network.model import Deconvolver, build_network
from napari_selfdeconv.training.reference_result import ReferenceResult
from napari_selfdeconv.training.run import TrainingRun
from napari_selfdeconv.training.sampler import Place, Sampler

CHOICE = choose_device("cpu", "float32")
PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0
TURNED = Symmetry(True, (-1,))


def settings(levels: int, patch: int) -> TrainConfig:
    return preset("quick", 2, features=4, levels=levels, patch=patch, inverse_channels=(), pretrained=False)


def network_of(config: TrainConfig) -> Deconvolver:
    return build_network(config, PSF).eval()


def counted(network: Deconvolver) -> list[tuple[int, ...]]:
    """Return the list that the sizes of all inputs of the network go to from now on."""
    sizes: list[tuple[int, ...]] = []
    network.register_forward_pre_hook(lambda _, inputs: sizes.append(tuple(inputs[0].shape[2:])))
    return sizes


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def whole(network: Deconvolver, frame: Tensor) -> Tensor:
    with torch.no_grad():
        return network.forward(frame[None, None])[0, 0]  # past the hooks


def test_patches_of_a_small_frame_are_cut_from_its_result() -> None:
    config = settings(levels=3, patch=32)
    network, frames = network_of(config), [noise(30, 41), noise(30, 41) ** 2]
    sizes = counted(network)
    places = [
        Place(0, (slice(3, 19), slice(20, 36)), IDENTITY),
        Place(1, (slice(0, 16), slice(25, 41)), TURNED),
        Place(0, (slice(14, 30), slice(0, 16)), TURNED),
    ]
    first = ReferenceResult(network, [one[None] for one in frames], config, CHOICE)
    found = first(places)
    assert sizes == [(30, 41), (30, 41)]
    assert found.shape == (3, 1, 16, 16)
    assert not found.requires_grad
    expected = torch.stack([place.cut(whole(network, frames[place.frame])) for place in places])[:, None]
    torch.testing.assert_close(found, expected)


def test_cells_make_the_whole_and_each_is_computed_once() -> None:
    config = settings(levels=1, patch=8)
    network, frame = network_of(config), noise(40, 50)
    sizes = counted(network)
    first = ReferenceResult(network, [frame[None]], config, CHOICE)
    # The network of one level sees 4 pixels far, so a margin of 8 hides every cut.
    for (y, x), cells in [((0, 0), 1), ((0, 0), 0), ((24, 34), 4), ((10, 20), 3)]:
        place = Place(0, (slice(y, y + 16), slice(x, x + 16)), IDENTITY)
        before = len(sizes)
        torch.testing.assert_close(first([place])[0, 0], place.cut(whole(network, frame)))
        assert len(sizes) - before == cells
    assert max(max(size) for size in sizes) <= 16 + 2 * 8


@pytest.mark.parametrize("levels", [3, 4, 5])
def test_cells_begin_on_the_grid_of_the_network(levels: int) -> None:
    config = settings(levels, patch=15)
    network, frame = network_of(config), noise(64, 96)
    met: list[Tensor] = []
    network.register_forward_pre_hook(lambda _, inputs: met.append(inputs[0][0, 0]))
    ReferenceResult(network, [frame[None]], config, CHOICE)([Place(0, (slice(0, 64), slice(0, 96)), IDENTITY)])
    assert len(met) == 6
    for piece in met:
        y, x = (int(i) for i in (frame == piece[0, 0]).nonzero()[0])
        assert y % network.unet.multiple == 0
        assert x % network.unet.multiple == 0


def test_a_sampler_says_where_its_patches_lie() -> None:
    frames, held = [noise(20, 24), noise(20, 24) + 9], [noise(20, 24) > 1, noise(20, 24) > 2]
    config = preset("quick", 2, patch=8, batch_size=5)
    inputs = [one[None] for one in frames]
    drawn = Sampler(inputs, held, config, psf_symmetries(PSF), torch.Generator().manual_seed(1)).draw()
    assert len({place.symmetry for place in drawn.places}) > 1
    assert len({place.frame for place in drawn.places}) == 2
    for x, out, place in zip(drawn.x, drawn.held, drawn.places, strict=True):
        assert torch.equal(x[0], place.cut(frames[place.frame]))
        assert torch.equal(out[0], place.cut(held[place.frame]))


def terms_at_the_first_step(change: Callable[[TrainingRun], None], batch_size: int = 2) -> dict[str, float]:
    image = noise(24, 24).numpy()
    loss = LossWeights(bsp=1.0, anchor=1.0, bootstrap=1.0)
    config = preset("quick", 2, patch=16, batch_size=batch_size, loss=loss, pretrained=True)
    run = TrainingRun([image], PSF, config, CHOICE, (float(image.min()), float(image.max())), None)
    change(run)
    return {name: float(value) for name, value in run.make_step().items()}


def test_anchor_and_bootstrap_are_measured_from_the_reference_result() -> None:
    def moved(run: TrainingRun) -> None:
        assert run.blind_spot.reference is not None
        unmoved = run.blind_spot.reference
        run.blind_spot.reference = lambda places: unmoved(places) + 2.0  # type: ignore[assignment]

    plain, away = terms_at_the_first_step(lambda _: None), terms_at_the_first_step(moved)
    assert plain["bsp"] == away["bsp"]
    # Masked pixels and the borders of patches apart, training begins where it is anchored.
    assert plain["anchor"] < 1.0 < away["anchor"]
    assert plain["bootstrap"] < away["bootstrap"]


@pytest.mark.parametrize(("batch_size", "recorded"), [(1, 1), (2, 1), (5, 3)])
def test_half_of_a_batch_is_simulated(batch_size: int, recorded: int) -> None:
    batches: list[int] = []

    def watch(run: TrainingRun) -> None:
        assert run.config.simulated_patches == recorded
        run.network.register_forward_pre_hook(lambda _, inputs: batches.append(len(inputs[0])))

    terms_at_the_first_step(watch, batch_size)
    # The masked patches and those recorded anew, in one pass.
    assert batches == [batch_size + recorded]


def test_without_a_bootstrap_nothing_is_simulated() -> None:
    config = preset("quick", 2)
    assert config.replace(loss=replace(config.loss.weights, bootstrap=0.0)).simulated_patches == 0
