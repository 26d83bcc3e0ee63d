"""No value below black where the image shows what is black, and the light stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve, gaussian_filter

from napari_selfdeconv import api, preset
from napari_selfdeconv.arrays import chunks
from napari_selfdeconv.config.training import Boundary
from napari_selfdeconv.events import drain
from napari_selfdeconv.inference import predict
from napari_selfdeconv.inference.above_black import excess_of, raise_to_black

PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0


def raised(result: np.ndarray, black: float, psf: Any = PSF, boundary: Boundary = "reflect") -> np.ndarray:
    made = result.copy()
    for _ in raise_to_black(made, black, psf, boundary, torch.device("cpu"), float(result.std())):
        pass
    return made


def rings(seed: int = 0, level: float = 5.0) -> np.ndarray:
    """Return a result with bright points and dark rings around them."""
    points = (np.random.default_rng(seed).random((40, 44)) > 0.97) * 100.0
    return (2 * gaussian_filter(points, 1) - gaussian_filter(points, 2.5) + level).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.floats(-20, 20), st.sampled_from(["reflect", "replicate"]))
def test_no_value_is_below_black_and_the_light_is_kept(seed: int, black: float, boundary: Boundary) -> None:
    result = rings(seed, level=black + 1.5)
    assert result.min() < black
    made = raised(result, black, boundary=boundary)
    assert made.min() >= np.float32(black)
    assert made.mean() - black == pytest.approx(result.mean() - black, rel=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.floats(0.1, 3.0))
def test_the_error_never_grows_if_black_and_light_are_right(seed: int, noise: float) -> None:
    random = np.random.default_rng(seed)
    truth = random.exponential(1.0, (12, 14)) * (random.random((12, 14)) > 0.5)
    result = truth + random.normal(0, noise, truth.shape)
    result += truth.mean() - result.mean()
    # A PSF of one pixel spreads nothing: what is left is the nearest image with this light.
    made = raised(result.astype(np.float32), 0.0, np.ones((1, 1)))
    assert np.square(made - truth).mean() <= np.square(result - truth).mean() * (1 + 1e-3)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_reblurred_result_changes_less_than_by_cutting_the_rings_off(seed: int) -> None:
    result = rings(seed, level=7.0)
    cut = np.maximum(result - 5.0, 0)
    cut = 5.0 + np.maximum(cut - excess_of(cut, float(result.mean()) - 5.0), 0)
    change = [np.square(convolve(one - result, PSF)).mean() for one in (raised(result, 5.0), cut)]
    assert change[0] < 0.9 * change[1]


def test_without_values_below_black_nothing_changes() -> None:
    result = rings()
    np.testing.assert_array_equal(raised(result, float(result.min())), result)


def test_a_result_without_light_becomes_black() -> None:
    np.testing.assert_allclose(raised(rings() - 200, 0.0), 0, atol=1e-2)
    assert excess_of(np.ones(4, np.float32), -1.0) == 2.0


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 99), st.floats(0.0, 4.0))
def test_where_the_background_lies_below_black_the_light_above_it_stays(seed: int, below: float) -> None:
    points = (np.random.default_rng(seed).random((40, 44)) > 0.98) * 100.0
    result = (gaussian_filter(points, 1) - below).astype(np.float32)
    made = raised(result, 0.0)
    assert made.max() > 0.5 * (result.max() + below)
    assert made.mean() <= np.maximum(result, 0).mean() * (1 + 1e-3)


def test_chunks_give_what_the_whole_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    result = rings()
    whole = raised(result, 5.0)
    monkeypatch.setattr(chunks, "_CHUNK_SIZE", 500)
    np.testing.assert_allclose(raised(result, 5.0), whole, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.integers(24, 36))
def test_a_tile_gives_what_the_whole_gives(seed: int, start: int) -> None:
    """Also a tile without a value below black, from which the same is subtracted as from all others."""
    result = np.concatenate([rings(seed), np.full((40, 30), 9, np.float32)], axis=1)
    whole, tile = result.copy(), result[:, start:].copy()
    black, device, deviation = float(np.quantile(result, 0.02)), torch.device("cpu"), float(result.std())
    excess = drain(raise_to_black(whole, black, PSF, "reflect", device, deviation))
    assert excess > 0
    assert tile[:, 20:].min() >= black
    for part, margin in ((tile, 3), (plain := result[:, 50:].copy(), 0)):
        drain(raise_to_black(part, black, PSF, "reflect", device, deviation, excess))
        np.testing.assert_allclose(part[:, margin:], whole[:, -part.shape[1] + margin :], atol=1e-3)
    assert plain.shape == (40, 24)


def recorded(clips: bool) -> np.ndarray:
    bars = np.zeros((64, 72))
    bars[8:56:8, 8:64] = bars[10:56:16, 20:40] = 1
    noisy = gaussian_filter(bars, 1) + np.random.default_rng(0).normal(0, 0.05, bars.shape)
    return (np.maximum(noisy, 0) if clips else noisy).astype(np.float32)


def blur() -> np.ndarray:
    delta = np.zeros((9, 9))
    delta[4, 4] = 1
    return gaussian_filter(delta, 1)


def test_a_clipped_image_gives_no_value_below_its_lowest(monkeypatch: pytest.MonkeyPatch) -> None:
    image, config = recorded(clips=True), preset("instant", 2, views=1)
    result = api.deconvolve(image, blur(), config)
    assert result.image.min() >= image.min()
    tiles = np.zeros_like(image)
    drain(api.iter_deconvolve_large(image, blur(), config, out=tiles))
    assert tiles.min() >= image.min()
    np.testing.assert_allclose(tiles, result.image, atol=0.01)

    def unchanged(*_: Any) -> Any:
        yield from ()

    monkeypatch.setattr(predict, "raise_to_black", unchanged)
    before = api.deconvolve(image, blur(), config).image
    assert before.min() < -0.02
    assert result.image.mean() == pytest.approx(before.mean(), rel=0.01)


@pytest.mark.parametrize("subtracted", [20, 24])
def test_an_image_without_its_background_does_not_become_black(subtracted: int) -> None:
    """As many programs subtract a background: negative values become 0, so that noise is clipped there."""
    random = np.random.default_rng(1)
    light = 100 * gaussian_filter((random.random((96, 96)) < 0.01) * random.random((96, 96)) * 10, 1.5)
    image = np.maximum(random.poisson(light + 20) - subtracted, 0).astype(np.float32)
    assert 0.3 < (image == 0).mean() < 0.9
    for config in (preset("instant", 2, views=1), preset("instant", 2, views=1, refine=False)):
        result = api.deconvolve(image, blur(), config).image
        assert result.min() >= 0
        assert np.corrcoef(result.ravel(), light.ravel())[0, 1] > 0.75
        tiles = np.zeros_like(image)
        drain(api.iter_deconvolve_large(image, blur(), config, out=tiles))
        np.testing.assert_allclose(tiles, result, atol=0.02 * float(result.max()))


def test_an_image_that_does_not_show_its_black_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> Any:
        raise AssertionError("black is not known")

    monkeypatch.setattr(predict, "raise_to_black", refused)
    assert api.deconvolve(recorded(clips=False), blur(), preset("instant", 2, views=1)).image.min() < 0
