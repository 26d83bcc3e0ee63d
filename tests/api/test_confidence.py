"""Residual and uncertainty, headless; recipes as text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import convolve, gaussian_filter
from scipy.signal import fftconvolve

from napari_selfdeconv import api, preset
from napari_selfdeconv.api import reproduce
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.errors import Cancelled, ConfigError
from napari_selfdeconv.events import Warned, drain
from napari_selfdeconv.inference.calibrate import Line
from napari_selfdeconv.physics.even_border import even_border_of
from napari_selfdeconv.stop_token import StopToken

PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0


def spots(shape: tuple[int, ...] = (48, 48)) -> np.ndarray:
    random = np.random.default_rng(0)
    image = np.zeros(shape)
    image[8:20, 8:40] = gaussian_filter((random.random((12, 32)) > 0.9) * 300.0, 1.0)
    return (image + 100 + random.normal(0, 2, shape)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Any:
    config = preset("quick", 2, steps=60, patch=32, features=8, batch_size=4, pretrained=False)
    return api.deconvolve(spots(), PSF, config).model


def test_the_residual_is_what_the_result_does_not_explain() -> None:
    image, result = spots(), np.random.default_rng(1).random((48, 48))
    expected = image - convolve(result, PSF, mode="reflect")
    np.testing.assert_allclose(api.residual(image, result, PSF), expected, atol=1e-3)
    with pytest.raises(ConfigError, match="must be the same"):
        api.residual(image, result[1:], PSF)


def test_uncertainty_is_larger_where_there_is_something_to_guess(model: Any) -> None:
    image = spots()
    spread = api.uncertainty(model, image)
    assert spread.dtype == np.float32
    assert spread.shape == image.shape
    assert spread[8:20, 8:40].mean() > 2 * spread[26:, :].mean()
    np.testing.assert_array_equal(spread, api.uncertainty(model, image))
    assert not np.array_equal(spread, api.uncertainty(model, image, seed=1))
    np.testing.assert_allclose(api.uncertainty(model, 10 * image + 5), 10 * spread, rtol=2e-2, atol=0.3)


def test_uncertainty_in_tiles_is_that_of_the_whole(model: Any) -> None:
    image = np.tile(spots(), (3, 3))
    whole = api.uncertainty(model, image, masks=1)
    tiled = drain(api.iter_uncertainty(model, image, masks=1, tiles=TileConfig(tile=16)))
    # Masks are drawn tile by tile: the same on the whole, not voxel by voxel.
    assert tiled.mean() == pytest.approx(whole.mean(), rel=0.2)


def test_uncertainty_can_be_cancelled_and_refuses_nonsense(model: Any) -> None:
    token = StopToken()
    token.cancel()
    with pytest.raises(Cancelled):
        drain(api.iter_uncertainty(model, spots(), stop=token))
    with pytest.raises(ConfigError, match="masks must be a whole number from 1 to 64, got 0"):
        drain(api.iter_uncertainty(model, spots(), masks=0))
    with pytest.raises(ConfigError, match="for 2D images"):
        drain(api.iter_uncertainty(model, np.random.default_rng(0).random((4, 8, 8))))


def test_uncertainty_is_that_of_the_result_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its border is evened and its gain is fitted as those of the result are."""
    dark, psf = fftconvolve(5 + spots((64, 64)) / 100, np.ones((7, 7)) / 49, mode="same"), np.ones((7, 7)) / 49
    few = {
        "steps": 2,
        "patch": 32,
        "features": 4,
        "batch_size": 1,
        "pretrained": False,
        "refine": False,
        "device": "cpu",
    }
    evening = api.deconvolve(dark, psf, preset("quick", 2, even_border=True, **few))
    assert evening.provenance["border_evened"]
    model = evening.model
    plain = replace(model, config=model.config.replace(even_border=False))
    said: list[Any] = []
    spread = drain(api.iter_uncertainty(model, dark, masks=1), said.append)
    assert any(isinstance(event, Warned) and "dark towards its border" in event.message for event in said)
    expected = api.uncertainty(plain, even_border_of(dark, model.psf), masks=1)
    np.testing.assert_array_equal(spread, expected)
    assert not np.allclose(spread, api.uncertainty(plain, dark, masks=1), rtol=1e-3)
    spreads, images = [], []
    for gain in (1.0, 2.0):
        line = Line(gain, 0.0, False)
        monkeypatch.setattr("napari_selfdeconv.inference.predict.calibrate", lambda *_, line=line: line)
        spreads.append(api.uncertainty(plain, dark, masks=1))
        images.append(api.apply_model(plain, dark))
    np.testing.assert_allclose(np.ptp(images[1]), 2 * np.ptp(images[0]), rtol=1e-4)
    np.testing.assert_allclose(spreads[1], 2 * spreads[0], rtol=1e-5)


def test_a_model_and_its_image_differ_or_not(model: Any) -> None:
    assert api.model_differences(model, PSF, None) == []
    assert api.model_differences(model, None, None) == []  # an image without voxel size, and no PSF for it
    assert api.model_differences(model, 7 * PSF, (0.1, 0.1)) == []  # the model knows no voxel size
    assert (
        "another PSF (3 x 3 voxels; the one chosen has 5 x 5)"
        in api.model_differences(model, np.ones((5, 5)), None)[0]
    )


def test_a_recipe_needs_a_provenance() -> None:
    with pytest.raises(ConfigError, match="do not say how it was made"):
        reproduce.as_python({}, "a.tif", "p.tif")
    with pytest.raises(ConfigError, match="trained further"):
        reproduce.as_command({"continued_from": {}}, "a.tif", "p.tif")
    told = {"config": {}, "applied_to": "a"}
    assert reproduce.as_command(told, "a.tif", "m.safetensors").startswith("selfdeconv apply m.safetensors a.tif")
    settings = {"method": "tv", "iterations": 5, "regularisation": 0.02, "median_guard": True}
    command = reproduce.as_command({"settings": settings}, "a.tif", "p.tif")
    assert command == (
        "selfdeconv classical a.tif --psf p.tif --method tv --iterations 5 --regularisation 0.02 --median-guard "
        "--boundary reflect --out result.ome.tif --mask none"
    )
