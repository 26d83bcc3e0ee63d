"""Gain and offset: found where they are off, left alone where there is nothing to fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import convolve, gaussian_filter

from napari_selfdeconv import api, preset
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.events import Warned, drain
from napari_selfdeconv.inference import calibrate as fitting
from napari_selfdeconv.inference.calibrate import calibrate
from napari_selfdeconv.physics.noise import clipped_sigma, has_outliers

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
    gain, offset, cut_off = calibrate(np.full((64, 64), 0.3, np.float32), noise, PSF, "reflect")
    assert gain == 1.0
    assert not cut_off
    assert offset == pytest.approx(-0.3, abs=0.1)


@pytest.mark.parametrize("level", [0.0, 0.5])
def test_a_constant_part_of_an_image_gets_an_offset_only(level: float) -> None:
    """Such as the part in view of an image that is dark there."""
    dark = np.zeros((32, 32), np.float32)
    line = calibrate(dark + np.float32(level), dark, PSF, "reflect")
    assert line == (1.0, pytest.approx(-level), False)


def test_a_gain_that_cannot_be_is_not_applied() -> None:
    truth = scene()
    assert calibrate(truth, -truth, PSF, "reflect")[0] == 1.0
    assert calibrate(truth, (5 * truth).astype(np.float32), PSF, "reflect")[0] == 1.0


@pytest.mark.parametrize("seed", [0, 1])
def test_the_light_is_kept(seed: int) -> None:
    image = (100 + 20 * scene() + np.random.default_rng(1).normal(0, 5, (64, 64))).astype(np.float32)
    config = preset("quick", 2, steps=60, patch=32, features=8, batch_size=4, pretrained=False, seed=seed)
    result = api.deconvolve(image, PSF, config)
    assert result.image.mean() == pytest.approx(image.mean(), rel=0.01)
    np.testing.assert_array_equal(api.apply_model(result.model, image), result.image)


def dark(salt: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return an image whose noise is cut off at black over most of it, and the truth."""
    from napari_selfdeconv.simulate import degrade

    truth = np.zeros((96, 96), np.float32)
    truth[20:60, 30:70] = gaussian_filter(np.random.default_rng(0).random((40, 40)), 3)
    return degrade(truth, PSF, salt=salt), truth / truth.max()


@pytest.mark.parametrize("photons", [2, 50])
def test_of_few_photons_the_light_is_kept(photons: int) -> None:
    _, truth = dark(salt=False)
    random = np.random.default_rng(0)
    image = (random.poisson(photons * convolve(truth, PSF)) / photons).astype(np.float32)
    assert (image == 0).mean() > 0.5
    assert calibrate(truth, image, PSF, "reflect")[1] == pytest.approx(float((image - truth).mean()), abs=1e-3)
    few = preset("quick", 2, steps=2, patch=32, batch_size=2)
    assert api.deconvolve(image, PSF, few).image.mean() == pytest.approx(image.mean(), rel=0.01)


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.3])
def test_noise_that_is_cut_off_is_told_from_photons(sigma: float) -> None:
    _, truth = dark(salt=False)
    expected, random = convolve(truth, PSF), np.random.default_rng(0)
    noise = random.normal(0, sigma, expected.shape)
    assert clipped_sigma(np.maximum(expected + noise, 0), expected) == pytest.approx(sigma, rel=0.1)
    assert clipped_sigma(expected + noise, expected) == 0
    assert clipped_sigma(0.3 + np.maximum(expected + noise, -3 * sigma), expected) == 0
    for photons in (1, 5, 50, 500):
        assert clipped_sigma(random.poisson(photons * expected) / photons, expected) == 0
    # A border without data is black, but not noise.
    padded = [np.pad(array, 30) for array in (0.5 + expected + noise, expected)]
    assert clipped_sigma(*padded) == 0


@pytest.mark.parametrize("salt", [False, True])
def test_where_noise_is_cut_off_black_stays_black(salt: bool) -> None:
    image, truth = dark(salt)
    assert abs(calibrate(truth, image, PSF, "reflect")[1]) < 0.2 * float((image - truth).mean())


@pytest.mark.parametrize("salt", [False, True])
@pytest.mark.parametrize("off", [-0.05, 0.0, 0.1])
def test_where_noise_is_cut_off_the_offset_is_that_of_the_light(salt: bool, off: float) -> None:
    image, truth = dark(salt)
    line = calibrate(truth + np.float32(off), image, PSF, "reflect")
    assert line.cut_off
    assert line.offset == pytest.approx(-off, abs=0.01)


@pytest.mark.parametrize("salt", [False, True])
@pytest.mark.parametrize("contrast", [0.6, 0.8, 1.0, 1.5])
def test_where_noise_is_cut_off_the_gain_is_that_of_the_light(salt: bool, contrast: float) -> None:
    """A straight line through the recorded pixels is too flat: near black half of the rise is cut off."""
    image, truth = dark(salt)
    line = calibrate(np.float32(contrast) * truth, image, PSF, "reflect")
    assert line.cut_off
    assert line.gain * contrast == pytest.approx(1, abs=0.08 if salt else 0.05)


def threads() -> np.ndarray:
    """Return crossing lines of light 1 on a background of 0, without noise."""
    y, x = np.mgrid[:96, :96]
    return (np.abs(np.sin(x / 7 + y / 11)) < 0.1).astype(np.float32)


@pytest.mark.parametrize("below", [0.0, 0.1, 0.3, 0.6, 0.9])
def test_of_a_background_subtracted_image_the_true_light_gets_no_gain(below: float) -> None:
    """Negative values were set to 0; where too much was subtracted, the light of the background is negative."""
    psf = np.zeros((9, 9))
    psf[4, 4] = 1
    psf = gaussian_filter(psf, 1.5)
    light = convolve(threads(), psf) - below
    image = np.maximum(light + np.random.default_rng(0).normal(0, 0.3, light.shape), 0).astype(np.float32)
    line = calibrate(threads() - np.float32(below), image, psf, "reflect")
    assert line.gain == 1.0
    assert np.isfinite(line.offset)


@pytest.mark.parametrize("clipped", [False, True])
def test_noise_alone_gives_no_gain(clipped: bool) -> None:
    random, gains = np.random.default_rng(0), []
    truth = scene()
    for _ in range(20):
        image = (truth + random.normal(0, 20, truth.shape)).astype(np.float32)
        image = np.maximum(image, 0) if clipped else image
        gains.append(calibrate(truth, image, np.ones((1, 1)), "reflect").gain)
    assert gains.count(1.0) >= 19


@pytest.mark.parametrize("photons", [0.5, 2.0, 20.0, 200.0])
def test_photon_noise_is_no_speck(photons: float) -> None:
    expected = photons * (scene((256, 256)) - scene((256, 256)).min())
    image = np.random.default_rng(2).poisson(expected).astype(np.float64)
    assert not has_outliers(image, expected)
    if photons < 1:  # nearly all dark: noise of no photons or one has no width to judge a speck by
        return
    hot = np.where(np.random.default_rng(3).random(image.shape) < 0.005, 30 * image.max(), image)
    assert has_outliers(np.minimum(hot, 2 * image.max()), expected)


@pytest.mark.parametrize("density", [0.002, 0.0005])
def test_a_poor_fit_has_no_specks_unless_the_image_has(density: float) -> None:
    random = np.random.default_rng(0)
    spots = [
        gaussian_filter((random.random((256, 256)) < density) * random.random((256, 256)) * 10 * w**2, w)
        for w in (2.0, 5.0)
    ]
    sharp = 10 + sum(spots)
    image = sharp + random.normal(0, 0.02, sharp.shape)
    too_smooth = gaussian_filter(sharp, 1.5)  # some pixels are far off by the width of those equally bright
    assert not has_outliers(image, too_smooth)
    assert has_outliers(np.where(random.random(image.shape) < 0.003, 1.5 * image.max(), image), too_smooth)


def test_noise_that_is_cut_off_is_said_once() -> None:
    image, _ = dark(salt=False)
    few = preset("quick", 2, steps=2, patch=32, batch_size=2)
    said: list[str] = []

    def listen(event: object) -> None:
        if isinstance(event, Warned):
            said.append(event.message)

    drain(api.iter_deconvolve(image, PSF, few, instant_first=True), listen)
    assert sum("clipped at its lowest" in message for message in said) == 1
    said.clear()
    movie = np.stack([image, image[::-1]])
    drain(api.iter_deconvolve_series(movie, PSF, SeriesPlan(axes="tyx"), few), listen)
    assert sum("clipped at its lowest" in message for message in said) == 1
    said.clear()
    drain(api.iter_deconvolve_large(image, PSF, few, out=np.zeros(image.shape, np.float32)), listen)
    assert sum("clipped at its lowest" in message for message in said) == 1


@pytest.mark.parametrize("clipped", [False, True])
def test_a_large_image_is_fitted_from_blocks_of_its_pixels(monkeypatch: pytest.MonkeyPatch, clipped: bool) -> None:
    random = np.random.default_rng(0)
    y, x = np.mgrid[:160, :160]
    truth = (np.sin(x / 7.0) * np.cos(y / 5.0)).astype(np.float32)
    image = truth + random.normal(0, 0.3, truth.shape).astype(np.float32)
    if clipped:
        image = np.maximum(image, -0.8)
    args = (0.7 * truth - 0.1, image, np.ones((1, 1)), "reflect")
    whole = calibrate(*args)
    monkeypatch.setattr(fitting, "_MOST_SORTED", 8000)
    monkeypatch.setattr(fitting, "_BLOCK", 320)
    few = calibrate(*args)
    assert few.cut_off == whole.cut_off == clipped
    assert few.gain == pytest.approx(whole.gain, abs=0.02)
    assert few.offset == pytest.approx(whole.offset, abs=0.01)
