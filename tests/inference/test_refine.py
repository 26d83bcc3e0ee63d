"""The residual is put back where it holds structure, and only there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_selfdeconv import api, preset
from napari_selfdeconv.arrays import chunks
from napari_selfdeconv.errors import Cancelled
from napari_selfdeconv.events import Event, Progress, Warned, drain
from napari_selfdeconv.inference import refine
from napari_selfdeconv.inference.predict import NOISE_IS_SHARED
from napari_selfdeconv.inference.refine import Refiner
from napari_selfdeconv.inference.refinement_choice import COUNTS, Refinement
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.simulate import cells_2d
from napari_selfdeconv.stop_token import StopToken

LINE = np.array([1.0, 4, 6, 4, 1]) / 16
PSFS = {2: np.outer(LINE, LINE), 3: np.einsum("i,j,k", LINE, LINE, LINE)}


def blurred(truth: np.ndarray) -> np.ndarray:
    return Blur(PSFS[truth.ndim])(torch.from_numpy(truth)[None, None])[0, 0].numpy()


def measured(ndim: int, sigma: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = cells_2d((96, 96)) if ndim == 2 else gaussian_filter((random.random((24, 32, 32)) > 0.99) * 9.0, 0.8)
    truth = truth.astype(np.float32)
    return truth, (blurred(truth) + random.normal(0, sigma, truth.shape)).astype(np.float32)


def refiner_here() -> Refiner:
    return Refiner(torch.device("cpu"))


def refined_by(refiner: Refiner, result: np.ndarray, image: np.ndarray, boundary: Any = "reflect") -> np.ndarray:
    refined = result.copy()
    for _ in refiner(refined, image, PSFS[result.ndim], boundary):
        pass
    return refined


def error(image: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((image - truth) ** 2)))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize(
    ("offset", "boundary"), [(0.0, "reflect"), (0.0, "open"), (5.0, "reflect"), (5.0, "open")]
)
def test_what_a_smooth_result_has_missed_is_brought_back(ndim: int, offset: float, boundary: str) -> None:
    truth, image = measured(ndim, 0.005)
    smooth = gaussian_filter(truth, 1.0)
    refiner = refiner_here()
    refined = refined_by(refiner, smooth + np.float32(offset), image + np.float32(offset), boundary) - offset
    assert refiner.iterations in COUNTS
    assert error(refined, truth) < 0.7 * error(smooth, truth)
    # With an open border light of the image comes from outside, and leaves it.
    assert refined.mean() == pytest.approx(image.mean(), rel=3e-3 if boundary == "reflect" else 5e-3)


@pytest.mark.parametrize("boundary", ["reflect", "open"])
def test_light_is_not_negative(boundary: str) -> None:
    truth, image = measured(3, 0.005)
    refined = refined_by(refiner_here(), (gaussian_filter(truth, 1.0) - 0.05).astype(np.float32), image, boundary)
    assert refined.min() >= 0


def test_light_from_outside_the_image_is_free_with_an_open_border() -> None:
    """A bright body that ends just outside the image: its mirror image explains the border wrongly."""
    truth = gaussian_filter((np.random.default_rng(0).random((80, 80)) > 0.98) * 9.0, 0.8).astype(np.float32)
    truth[:16] += 2
    image = blurred(truth)[16:64, 16:64] + np.random.default_rng(1).normal(0, 0.005, (48, 48)).astype(np.float32)
    field = truth[16:64, 16:64]
    smooth = gaussian_filter(truth, 1.0)[16:64, 16:64]
    results = [refined_by(refiner_here(), smooth, image, boundary) for boundary in ("reflect", "open")]
    edges = [error(result[:4], field[:4]) for result in results]
    assert edges[1] < 0.5 * edges[0]
    assert error(results[1], field) < error(results[0], field)


def test_a_mask_counts_with_an_open_border() -> None:
    truth, image = measured(2, 0.005)
    smooth = gaussian_filter(truth, 1.0)
    spoiled, counts = image.copy(), np.ones(image.shape, np.float32)
    spoiled[40:44, 40:44], counts[40:44, 40:44] = 50, 0
    refiner, refined = refiner_here(), smooth.copy()
    weights = PixelWeights(counts)
    for _ in refiner(refined, weights.fill(spoiled), PSFS[2], "open", weights=weights):
        pass
    assert error(refined, truth) < 0.8 * error(smooth, truth)


@pytest.mark.parametrize("ndim", [2, 3])
def test_noise_is_not_taken_for_structure(ndim: int) -> None:
    for seed in range(5):
        truth, image = measured(ndim, 0.1, seed)
        refiner = refiner_here()
        assert np.array_equal(refined_by(refiner, truth, image), truth)
        assert refiner.iterations == 0


def test_more_noise_never_asks_for_more() -> None:
    found = []
    for sigma in (0.002, 0.02, 0.2):
        truth, image = measured(2, sigma)
        refiner = refiner_here()
        refined_by(refiner, gaussian_filter(truth, 1.0), image)
        found.append(refiner.iterations)
    assert found == sorted(found, reverse=True)
    assert found[0] > found[-1]


@pytest.mark.parametrize("shape", [(288, 288), (24, 64, 64)])
def test_noise_that_neighbours_share_is_not_sharpened(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(0)
    truth = gaussian_filter((random.random(shape) > 0.99) * 9.0, 0.8).astype(np.float32)
    noise = gaussian_filter(random.normal(0, 1, shape), (0.8, 0.8), axes=(-2, -1))
    image = (blurred(truth) + 0.1 * noise / noise.std()).astype(np.float32)
    refiner = refiner_here()
    assert np.array_equal(refined_by(refiner, truth, image), truth)
    assert refiner.noise_is_shared
    # Pixels that are held out alone are predicted better, and the result is worse.
    monkeypatch.setattr(refine, "fits_noise", lambda *_: False)
    fooled = refiner_here()
    assert error(refined_by(fooled, truth, image), truth) > 0.3 * truth.std()
    assert not fooled.noise_is_shared


def test_a_run_says_once_that_neighbours_share_their_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    _, image = measured(2, 0.002)
    few = dict(steps=2, patch=32, features=4, batch_size=2, pretrained=False)
    assert api.deconvolve(image, PSFS[2], preset("quick", 2, **few)).provenance["refined_iterations"]
    monkeypatch.setattr(refine, "fits_noise", lambda *_: True)
    events: list[Event] = []
    result = api.deconvolve(image, PSFS[2], preset("quick", 2, **few), on_event=events.append)
    said = [event.message for event in events if isinstance(event, Warned)]
    assert said.count(NOISE_IS_SHARED) == 1
    assert result.provenance["refined_iterations"] == 0
    plain = api.deconvolve(image, PSFS[2], preset("quick", 2, refine=False, **few))
    np.testing.assert_array_equal(result.image, plain.image)


def test_structure_is_not_taken_for_shared_noise() -> None:
    truth, image = measured(2, 0.005)
    refiner = refiner_here()
    refined_by(refiner, gaussian_filter(truth, 1.0), image)
    assert refiner.iterations
    assert not refiner.noise_is_shared


def test_specks_do_not_become_stars() -> None:
    truth, image = measured(2, 0.005)
    salted = np.where(np.random.default_rng(1).random(image.shape) < 0.01, 1.0, image).astype(np.float32)
    smooth = gaussian_filter(truth, 1.0)
    refined = refined_by(refiner_here(), smooth, salted)
    assert error(refined, truth) <= 1.02 * error(smooth, truth)


@pytest.mark.parametrize("sigma", [0.02, 0.1])
def test_what_cutting_off_has_added_is_not_taken_for_structure(sigma: float) -> None:
    truth = np.zeros((128, 128), np.float32)
    truth[30:90, 40:100] = cells_2d((60, 60))
    noise = np.random.default_rng(0).normal(0, sigma, truth.shape)
    image = np.maximum(blurred(truth) + noise, 0).astype(np.float32)
    assert np.array_equal(refined_by(refiner_here(), truth, image), truth)


def test_where_noise_is_cut_off_only_light_is_brought_back() -> None:
    truth = np.zeros((128, 128), np.float32)
    truth[30:90, 40:100] = cells_2d((60, 60))
    noise = np.random.default_rng(0).normal(0, 0.01, truth.shape)
    image = np.maximum(blurred(truth) + noise, 0).astype(np.float32)
    smooth = gaussian_filter(truth, 1.5)
    refined = refined_by(refiner_here(), smooth, image)
    assert error(refined, truth) < 0.95 * error(smooth, truth)
    # 0.4 sigma is what cutting off adds to a dark pixel: 0.004.
    assert np.median(refined[:20]) < 0.001


def test_the_frames_of_a_series_share_one_choice() -> None:
    truth, quiet = measured(2, 0.005)
    _, noisy = measured(2, 0.3)
    smooth = gaussian_filter(truth, 1.0)
    refiner = refiner_here()
    refined_by(refiner, smooth, quiet)
    chosen = refiner.iterations
    assert not np.array_equal(refined_by(refiner, smooth, noisy), smooth)
    assert refiner.iterations == chosen


@pytest.mark.parametrize("boundary", ["reflect", "open"])
def test_a_large_result_is_refined_chunk_by_chunk(boundary: str, monkeypatch: pytest.MonkeyPatch) -> None:
    truth, image = measured(2, 0.005)
    truth, image = np.concatenate([truth] * 3), np.concatenate([image] * 3)
    smooth = gaussian_filter(truth, 1.0)
    whole = refined_by(Refiner(torch.device("cpu"), Refinement(30)), smooth, image, boundary)
    monkeypatch.setattr(chunks, "_CHUNK_SIZE", 2000)
    assert len(list(chunks.chunks(smooth.shape, 15))) > 2
    off = (refined_by(Refiner(torch.device("cpu"), Refinement(30)), smooth, image, boundary) - whole) / np.ptp(
        whole
    )
    assert np.quantile(np.abs(off), 0.9999) < 4e-3
    assert np.abs(off).max() < 2e-2  # two pixels, whatever is read around a chunk: rounding decides there
    assert np.sqrt(np.mean(off**2)) < 1e-4


def test_rounding_errors_do_not_grow() -> None:
    """In flat places the total variation made 3e-3 of the range of them in 300 iterations."""
    _, image = measured(2, 0.005)
    image = np.pad(image, 20, constant_values=np.float32(image.mean()))
    smooth = gaussian_filter(image, 1.0)
    disturbed = smooth + np.random.default_rng(0).normal(0, 1e-6 * np.ptp(smooth), smooth.shape).astype(np.float32)
    results = []
    for start in (smooth, disturbed):
        refiner = refiner_here()
        refiner.chosen = Refinement(100)
        results.append(refined_by(refiner, start, image))
    assert np.abs(results[1] - results[0]).max() < 1e-4 * np.ptp(results[0])


def test_every_iteration_can_be_cancelled() -> None:
    truth, image = measured(2, 0.005)
    refiner, smooth = refiner_here(), gaussian_filter(truth, 1.0)
    looked = list(refiner.choose(smooth.copy(), image, PSFS[2], "reflect"))
    assert refiner.iterations
    assert [done for done, _ in looked] == list(range(1, len(looked) + 1))
    assert refiner.iterations < len(looked) <= looked[-1][1]
    steps = list(refiner(smooth.copy(), image, PSFS[2], "reflect"))
    assert [done for done, _ in steps] == list(range(1, refiner.iterations + 1))
    assert steps[-1][0] == steps[-1][1]


def test_choosing_first_is_the_same_as_choosing_on_the_way() -> None:
    truth, image = measured(2, 0.005)
    smooth, first = gaussian_filter(truth, 1.0), refiner_here()
    untouched = smooth.copy()
    for _ in first.choose(smooth, image, PSFS[2], "reflect"):
        pass
    np.testing.assert_array_equal(smooth, untouched)
    np.testing.assert_array_equal(refined_by(first, smooth, image), refined_by(refiner_here(), smooth, image))


def test_a_run_says_that_it_chooses_and_can_be_cancelled_there() -> None:
    _, image = measured(2, 0.002)
    config, stop = preset("quick", 2, steps=2, patch=32, features=4, batch_size=2, pretrained=False), StopToken()
    stages = []

    def watch(event: Event) -> None:
        if isinstance(event, Progress):
            stages.append(event.stage)
            if event.stage == "choose":
                stop.cancel()

    with pytest.raises(Cancelled):
        drain(api.iter_deconvolve(image, PSFS[2], config, stop=stop), watch)
    assert stages.count("choose") == 1
    assert "refine" not in stages


def test_the_setting_turns_it_off() -> None:
    _, image = measured(2, 0.002)
    few = dict(steps=2, patch=32, features=4, batch_size=2, pretrained=False)
    plain = api.deconvolve(image, PSFS[2], preset("quick", 2, refine=False, **few))
    refined = api.deconvolve(image, PSFS[2], preset("quick", 2, **few))
    # Two steps explain next to nothing of an image without noise: much of it is left to put back.
    assert error(blurred(refined.image), image) < 0.95 * error(blurred(plain.image), image)
    assert refined.provenance["refined_iterations"] in COUNTS
    assert plain.provenance["refined_iterations"] is None
    np.testing.assert_array_equal(api.apply_model(refined.model, image), refined.image)


def test_the_presets_of_others_are_left_as_they_are() -> None:
    assert preset("quick", 2).result.refine
    assert preset("standard", 3).result.refine
    assert not preset("paper", 2).result.refine
    assert not preset("ssi", 3).result.refine


def test_a_frame_without_light_above_black_is_left() -> None:
    """It was divided by light that is not there, and became NaN."""
    truth, image = measured(2, 0.005)
    refiner = refiner_here()
    refined_by(refiner, blurred(truth), image)
    assert refiner.iterations
    dark = image - 2 * image.mean()
    np.testing.assert_array_equal(refined_by(refiner, dark, dark), dark)


@pytest.mark.parametrize("shape", [(3, 3), (3, 8), (8, 9)])
def test_too_few_pixels_choose_nothing(shape: tuple[int, int]) -> None:
    """Without one held out the mean was that of nothing; one alone is no certainty."""
    image = np.random.default_rng(0).normal(100, 9, shape).astype(np.float32)
    refiner = refiner_here()
    np.testing.assert_array_equal(refined_by(refiner, image, image + 1), image)
    assert refiner.iterations == 0
