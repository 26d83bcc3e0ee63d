"""The views that are averaged: all of them, or few that are spread evenly."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

from napari_selfdeconv.compute.device import choose_device
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.inference.views import predictors, spread
from napari_selfdeconv.network.model import Model, build_network

CHOICE = choose_device("cpu", "float32")


def model(psf: np.ndarray, levels: int = 2) -> Model:
    config = preset("quick", psf.ndim, features=2, inverse_channels=(), levels=levels, pretrained=False)
    return Model(
        config=config, psf=(psf / psf.sum()).astype(np.float32), network=build_network(config, psf).eval()
    )


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_half_of_the_views_have_each_flip(bits: int) -> None:
    codes = list(product((0, 1), repeat=bits))
    for count in (2**power for power in range(1, bits + 1)):
        chosen = np.array([codes[i] for i in spread(codes, count)])
        assert len(np.unique(chosen, axis=0)) == count
        np.testing.assert_array_equal(chosen.sum(0), count / 2)


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 3)])
@pytest.mark.parametrize("most", [0, 1, 2, 3, 4, 8, 16, 64])
def test_there_are_no_more_views_than_asked_for(shape: tuple[int, ...], most: int) -> None:
    views = predictors(model(np.ones(shape)), CHOICE, average=True, most=most)
    assert len(views) == min(most or 64, 2 ** (len(shape) + 1))


def test_a_psf_without_symmetry_has_the_phases_of_the_grid() -> None:
    lopsided = np.arange(9.0).reshape(3, 3)
    assert len(predictors(model(lopsided), CHOICE, average=True)) == 4
    views = predictors(model(lopsided), CHOICE, average=True, most=2)
    tile = np.random.default_rng(0).random((12, 12)).astype(np.float32)
    first, second = (view(tile) for view in views)
    assert not np.array_equal(first, second)


def test_few_views_take_away_a_pattern_of_the_grid() -> None:
    """A network that adds a stripe to every second row or column: the mean over two views has none."""
    made = model(np.ones((3, 3)))
    tile = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    unet = made.network.unet
    forward = unet.forward

    def striped(x):  # type: ignore[no-untyped-def]
        y = 0 * forward(x)
        y[..., ::2, :] += 1
        y[..., ::2] += 1
        return y

    unet.forward = striped  # type: ignore[method-assign]
    one, two = (
        np.mean([view(tile) for view in predictors(made, CHOICE, average=True, most=most)], 0) for most in (1, 2)
    )
    assert one.std() > 0.5
    np.testing.assert_allclose(two, two[0, 0])


def test_an_image_of_whole_cells_is_seen_as_it_is() -> None:
    """Mirrored voxels at an end are no longer the border that the network learned."""
    made = model(np.ones((3, 3)))
    tile = np.random.default_rng(0).random((12, 16)).astype(np.float32)
    first = predictors(made, CHOICE, average=True, most=2)[0]
    with torch.inference_mode():
        alone = made.network(torch.from_numpy(tile)[None, None])[0, 0].numpy()
    np.testing.assert_array_equal(first(tile), alone)


@pytest.mark.parametrize("most", [0, 4, 8])
def test_the_views_of_a_volume_even_out_a_period_of_four(most: int) -> None:
    """Eight views without those that are moved by 2 met two of four phases along z, and were worse than four."""
    lopsided = np.ones((3, 3, 3)) * np.array([1.0, 2, 4]).reshape(3, 1, 1)
    made = model(lopsided, levels=3)
    unet = made.network.unet
    forward = unet.forward

    def striped(x):  # type: ignore[no-untyped-def]
        y = 0 * forward(x)
        y[:, :, ::4] += 1
        return y

    unet.forward = striped
    tile = np.random.default_rng(0).random((8, 8, 8)).astype(np.float32)
    mean = np.mean([view(tile) for view in predictors(made, CHOICE, average=True, most=most)], 0)
    np.testing.assert_allclose(mean, 0.25, atol=1e-6)
