"""The residual is put back where it holds structure, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdeconv import api, preset, slabs
from napari_selfdeconv.forward import Blur
from napari_selfdeconv.refinement import STRENGTHS, Refiner
from napari_selfdeconv.simulate import cells_2d

LINE = np.array([1.0, 4, 6, 4, 1]) / 16
PSFS = {2: np.outer(LINE, LINE), 3: np.einsum("i,j,k", LINE, LINE, LINE)}


def blurred(truth: np.ndarray) -> np.ndarray:
    import torch

    return Blur(PSFS[truth.ndim])(torch.from_numpy(truth)[None, None])[0, 0].numpy()


def measured(ndim: int, sigma: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = cells_2d((96, 96)) if ndim == 2 else gaussian_filter((random.random((24, 32, 32)) > 0.99) * 9.0, 0.8)
    truth = truth.astype(np.float32)
    return truth, (blurred(truth) + random.normal(0, sigma, truth.shape)).astype(np.float32)


def refined_by(refiner: Refiner, result: np.ndarray, image: np.ndarray) -> np.ndarray:
    refined = result.copy()
    refiner(refined, image, PSFS[result.ndim], "reflect")
    return refined


def error(image: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((image - truth) ** 2)))


@pytest.mark.parametrize("ndim", [2, 3])
def test_what_a_smooth_result_has_missed_is_brought_back(ndim: int) -> None:
    truth, image = measured(ndim, 0.005)
    smooth = gaussian_filter(truth, 1.0)
    refiner = Refiner()
    refined = refined_by(refiner, smooth, image)
    assert refiner.regularisation in STRENGTHS
    assert error(refined, truth) < 0.8 * error(smooth, truth)
    assert refined.mean() == pytest.approx(smooth.mean(), rel=1e-5)


@pytest.mark.parametrize("ndim", [2, 3])
def test_noise_is_not_taken_for_structure(ndim: int) -> None:
    for seed in range(5):
        truth, image = measured(ndim, 0.1, seed)
        refiner = Refiner()
        assert np.array_equal(refined_by(refiner, truth, image), truth)
        assert refiner.regularisation is None


def test_more_noise_never_asks_for_more() -> None:
    found = []
    for sigma in (0.002, 0.02, 0.2):
        truth, image = measured(2, sigma)
        refiner = Refiner()
        refined_by(refiner, gaussian_filter(truth, 1.0), image)
        found.append(np.inf if refiner.regularisation is None else refiner.regularisation)
    assert found == sorted(found)
    assert found[0] < found[-1]


def test_specks_do_not_become_stars() -> None:
    truth, image = measured(2, 0.005)
    salted = np.where(np.random.default_rng(1).random(image.shape) < 0.01, 1.0, image).astype(np.float32)
    smooth = gaussian_filter(truth, 1.0)
    refined = refined_by(Refiner(), smooth, salted)
    assert error(refined, truth) <= 1.02 * error(smooth, truth)


@pytest.mark.parametrize("sigma", [0.02, 0.1])
def test_what_cutting_off_has_added_is_not_taken_for_structure(sigma: float) -> None:
    truth = np.zeros((128, 128), np.float32)
    truth[30:90, 40:100] = cells_2d((60, 60))
    noise = np.random.default_rng(0).normal(0, sigma, truth.shape)
    image = np.maximum(blurred(truth) + noise, 0).astype(np.float32)
    assert np.array_equal(refined_by(Refiner(), truth, image), truth)


def test_the_frames_of_a_series_share_one_choice() -> None:
    truth, quiet = measured(2, 0.005)
    _, noisy = measured(2, 0.3)
    smooth = gaussian_filter(truth, 1.0)
    refiner = Refiner()
    refined_by(refiner, smooth, quiet)
    chosen = refiner.regularisation
    assert not np.array_equal(refined_by(refiner, smooth, noisy), smooth)
    assert refiner.regularisation == chosen


def test_a_large_result_is_refined_slab_by_slab(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, image = measured(2, 0.005)
    truth, image = np.concatenate([truth] * 3), np.concatenate([image] * 3)
    smooth = gaussian_filter(truth, 1.0)
    whole = refined_by(Refiner(), smooth, image)
    monkeypatch.setattr(slabs, "_SLAB", 2000)
    assert len(list(slabs.slabs(smooth.shape, 20))) > 2
    np.testing.assert_allclose(refined_by(Refiner(), smooth, image), whole, atol=1e-5)
    user_units = Refiner()
    refined = smooth.copy()
    user_units(refined, 3 * image + 7, PSFS[2], "reflect", lambda x: ((x - 7) / 3).astype(np.float32))
    np.testing.assert_allclose(refined, whole, atol=1e-5)


def test_the_setting_turns_it_off() -> None:
    _, image = measured(2, 0.002)
    few = dict(steps=2, patch=32, features=4, batch_size=2)
    plain = api.deconvolve(image, PSFS[2], preset("quick", 2, refine=False, **few))
    refined = api.deconvolve(image, PSFS[2], preset("quick", 2, **few))
    # Two steps explain next to nothing of an image without noise: much of it is left to put back.
    assert error(blurred(refined.image), image) < 0.95 * error(blurred(plain.image), image)
    assert refined.provenance["refined_with"] in STRENGTHS
    assert plain.provenance["refined_with"] is None
    np.testing.assert_array_equal(api.apply_model(refined.model, image), refined.image)


def test_the_presets_of_others_are_left_as_they_are() -> None:
    assert preset("quick", 2).refine
    assert preset("standard", 3).refine
    assert not preset("paper", 2).refine
    assert not preset("ssi", 3).refine
