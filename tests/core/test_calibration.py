"""Gain and offset: found where they are off, left alone where there is nothing to fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve, gaussian_filter

from napari_selfdeconv import api, preset
from napari_selfdeconv.calibration import calibrate

PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0


def scene(shape: tuple[int, ...] = (64, 64)) -> np.ndarray:
    random = np.random.default_rng(0)
    image = gaussian_filter((random.random(shape) > 0.97) * 50.0, 2.0)
    return ((image - image.mean()) / image.std()).astype(np.float32)


@settings(max_examples=20, deadline=None)
@given(st.floats(0.6, 1.9), st.floats(-1.0, 1.0))
def test_the_line_is_found_in_spite_of_outliers(gain: float, offset: float) -> None:
    random, truth = np.random.default_rng(1), scene()
    image = convolve(truth, PSF) + random.normal(0, 0.5, truth.shape)
    image = np.where(random.random(truth.shape) < 0.02, 20.0, image).astype(np.float32)
    spoiled = ((truth - offset) / gain).astype(np.float32)
    found = calibrate(spoiled, image, PSF, "reflect")
    if abs(gain - 1) > 0.15:
        assert found[0] == pytest.approx(gain, rel=0.05)
        assert found[1] == pytest.approx(offset, abs=0.1)  # the outliers, all on one side, pull a little
    elif abs(gain - 1) < 0.05:
        assert found[0] == 1.0


def test_a_flat_result_gets_no_gain() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (64, 64)).astype(np.float32)
    gain, offset = calibrate(np.full((64, 64), 0.3, np.float32), noise, PSF, "reflect")
    assert gain == 1.0
    assert offset == pytest.approx(-0.3, abs=0.1)


def test_a_gain_that_cannot_be_is_not_applied() -> None:
    truth = scene()
    assert calibrate(truth, -truth, PSF, "reflect")[0] == 1.0
    assert calibrate(truth, (5 * truth).astype(np.float32), PSF, "reflect")[0] == 1.0


@pytest.mark.parametrize("seed", [0, 1])
def test_the_light_is_kept(seed: int) -> None:
    image = (100 + 20 * scene() + np.random.default_rng(1).normal(0, 5, (64, 64))).astype(np.float32)
    config = preset("quick", 2, steps=60, patch=32, features=8, batch_size=4, seed=seed)
    result = api.deconvolve(image, PSF, config)
    assert result.image.mean() == pytest.approx(image.mean(), rel=0.01)
    np.testing.assert_array_equal(api.apply_model(result.model, image), result.image)
