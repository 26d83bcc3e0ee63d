"""How sure a pixel is: laws of the intervals and of the mask, and their files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdeconv import api, preset
from napari_selfdeconv.errors import Cancelled, ConfigError
from napari_selfdeconv.events import Progress, drain
from napari_selfdeconv.stop_token import StopToken

PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0
TINY = {"steps": 1, "patch": 32, "batch_size": 1, "precision": "float32", "refine": False}


def spots(shape: tuple[int, ...] = (48, 48)) -> np.ndarray:
    random = np.random.default_rng(0)
    image = np.zeros(shape)
    image[8:20, 8:40] = gaussian_filter((random.random((12, 32)) > 0.9) * 300.0, 1.0)
    return (image + 100 + random.normal(0, 2, shape)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Any:
    return api.deconvolve(spots(), PSF, preset("quick", 2, **TINY)).model


@pytest.fixture(scope="module")
def untrained() -> Any:
    """A model that sees nothing: its result is flat."""
    config = preset("quick", 2, pretrained=False, features=4, **TINY)
    return api.deconvolve(spots(), PSF, config).model


def test_the_interval_is_that_of_the_result_and_wider_where_there_is_structure(model: Any) -> None:
    image = spots()
    found = api.uncertainty(model, image, samples=2)
    np.testing.assert_array_equal(found.result, api.apply_model(model, image))
    assert found.half_width.dtype == np.float32
    assert found.half_width.shape == found.unsupported.shape == image.shape
    assert found.half_width.min() > 0
    assert found.half_width[8:20, 8:40].mean() > 1.5 * found.half_width[30:, :].mean()
    assert found.provenance["level"] == 0.9


def test_the_same_seed_gives_the_same_and_units_are_those_of_the_image(model: Any) -> None:
    image = spots()
    found = api.uncertainty(model, image, samples=1)
    np.testing.assert_array_equal(found.half_width, api.uncertainty(model, image, samples=1).half_width)
    assert not np.array_equal(found.half_width, api.uncertainty(model, image, samples=1, seed=1).half_width)
    scaled = api.uncertainty(model, 8 * image + 16, samples=1)
    ratio = scaled.half_width / (8 * found.half_width)
    assert abs(np.median(ratio) - 1) < 5e-3
    # Rounding moves a few pixels into another group of brightness: their neighbours get other noise.
    assert np.abs(ratio - 1).max() < 0.2
    assert (scaled.unsupported == found.unsupported).mean() > 0.99


def test_where_another_model_disagrees_the_data_do_not_support_the_result(model: Any, untrained: Any) -> None:
    image = spots()
    alone = api.uncertainty(model, image, samples=1)
    assert alone.unsupported[8:20, 8:40].mean() < 0.1
    both = api.uncertainty(model, image, samples=1, others=[untrained])
    assert (both.unsupported >= alone.unsupported).all()
    assert both.unsupported.mean() > 0.3 + alone.unsupported.mean()
    # A model that is wrong is found out by Richardson-Lucy.
    assert api.uncertainty(untrained, image, samples=1).unsupported[8:20, 8:40].mean() > 0.2
    config = preset("quick", 3, pretrained=False, features=4, **{**TINY, "patch": 8})
    deep = api.deconvolve(np.random.default_rng(0).random((8, 16, 16)), np.ones((1, 3, 3)), config).model
    with pytest.raises(ConfigError, match="2D and another one is 3D"):
        api.uncertainty(model, image, others=[deep])


def test_the_results_of_the_initial_weights_and_richardson_lucy_are_asked(
    model: Any, untrained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []

    def count(result: np.ndarray, _width: np.ndarray, others: list[np.ndarray]) -> np.ndarray:
        compared.append(len(others))
        return result > 0

    monkeypatch.setattr("napari_selfdeconv.api.intervals.unsupported", count)
    for one in (model, untrained):  # the second began with random weights
        api.uncertainty(one, spots(), samples=1)
    assert compared == [2, 1]


def test_a_model_of_an_earlier_version_whose_initial_weights_are_gone_has_an_interval() -> None:
    config = preset("quick", 2, steps=1, patch=16, features=2, batch_size=1, pretrained=False)
    fresh = api.deconvolve(spots(), np.ones((3, 3)) / 9, config).model
    old = replace(fresh, config=fresh.config.replace(pretrained=True))
    assert api.uncertainty(old, spots(), samples=1).half_width.min() > 0


def test_it_can_be_cancelled_and_refuses_nonsense(model: Any) -> None:
    token = StopToken()
    token.cancel()
    with pytest.raises(Cancelled):
        drain(api.iter_uncertainty(model, spots(), stop=token))
    with pytest.raises(ConfigError, match="samples must be a whole number from 1 to 64, got 0"):
        drain(api.iter_uncertainty(model, spots(), samples=0))
    with pytest.raises(ConfigError, match="for 2D images"):
        drain(api.iter_uncertainty(model, np.random.default_rng(0).random((4, 8, 8))))


def test_progress_does_not_go_back(model: Any) -> None:
    shares: list[float] = []

    def see(event: Any) -> None:
        if isinstance(event, Progress) and event.stage == "predict":
            shares.append(event.step / event.steps)

    drain(api.iter_uncertainty(model, spots(), samples=2), see)
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize("ending", [".ome.tif", ".zarr"])
def test_a_file_has_the_interval_and_the_mask(model: Any, tmp_path: Path, ending: str) -> None:
    found = api.uncertainty(model, spots(), samples=1)
    found.save(tmp_path / f"u{ending}")
    file = api.read_image(tmp_path / f"u{ending}")
    assert file.axes == "CYX"
    np.testing.assert_array_equal(file.data[0], found.half_width)
    np.testing.assert_array_equal(file.data[1] == 1, found.unsupported)
    assert file.provenance["role"] == "uncertainty"


def test_far_light_is_taken_off_first() -> None:
    z, y, x = np.mgrid[-7:8, -20:21, -20:21]
    width = 1.5 + 1.5 * abs(z)
    psf = np.exp(-(y**2 + x**2) / (2 * width**2)) / width**2
    image = np.random.default_rng(0).poisson(50, (8, 24, 24)).astype(np.float32)
    config = preset("quick", 3, steps=1, patch=16, batch_size=1, precision="float32")
    model = api.deconvolve(image, psf, config).model
    found = api.uncertainty(model, image, samples=1)
    np.testing.assert_allclose(found.result, api.apply_model(model, image), rtol=1e-5)
    assert found.half_width.min() > 0
