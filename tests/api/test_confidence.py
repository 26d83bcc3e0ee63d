"""Residual, headless; recipes as text."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import convolve, gaussian_filter

from napari_selfdeconv import api, preset
from napari_selfdeconv.api import reproduce
from napari_selfdeconv.errors import ConfigError

PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0


def spots(shape: tuple[int, ...] = (48, 48)) -> np.ndarray:
    random = np.random.default_rng(0)
    image = np.zeros(shape)
    image[8:20, 8:40] = gaussian_filter((random.random((12, 32)) > 0.9) * 300.0, 1.0)
    return (image + 100 + random.normal(0, 2, shape)).astype(np.float32)


@pytest.fixture(scope="module")
def model() -> Any:
    config = preset("quick", 2, steps=2, patch=32, features=4, batch_size=1, pretrained=False)
    return api.deconvolve(spots(), PSF, config).model


def test_the_residual_is_what_the_result_does_not_explain() -> None:
    image, result = spots(), np.random.default_rng(1).random((48, 48))
    expected = image - convolve(result, PSF, mode="reflect")
    np.testing.assert_allclose(api.residual(image, result, PSF), expected, atol=1e-3)
    with pytest.raises(ConfigError, match="must be the same"):
        api.residual(image, result[1:], PSF)


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
