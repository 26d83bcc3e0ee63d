"""The first estimate of a widefield stack is an input of the network, and in training a blind one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.api.test_far_light import CONFIG, make

from napari_selfdeconv import api
from napari_selfdeconv.compute.device import choose_device
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Interim, Progress, drain
from napari_selfdeconv.holdout.guide import choose_hidden
from napari_selfdeconv.inference.first_estimate import ESTIMATE_STAGE, estimate_again, make_guide
from napari_selfdeconv.inference.make_ready import make_ready
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.network.model import build_network, takes_estimate
from napari_selfdeconv.physics.pixel_weights import PixelWeights
from napari_selfdeconv.training import run as training_run
from napari_selfdeconv.training.run import TrainingRun

RANDOM = api.preset("quick", 3, steps=3, patch=16, batch_size=1, precision="float32", pretrained=False)
CHOICE = choose_device("cpu", "float32")


def ready() -> Problem:
    return drain(make_ready(Problem.of(*make(), CONFIG), CONFIG, api.StopToken()))


def test_the_estimate_has_the_light_of_the_image() -> None:
    problem = ready()
    assert problem.far is not None
    estimate = problem.far.estimate
    assert estimate.shape == problem.image.shape
    assert estimate.min() >= 0
    assert estimate.sum() == pytest.approx(problem.image.sum(), rel=0.2)


def test_hidden_pixels_have_no_influence_on_the_estimate_for_training() -> None:
    problem = ready()
    guide = drain(make_guide(problem, CONFIG, 0, CHOICE, api.StopToken()))
    weights = PixelWeights((~guide.hidden).astype(np.float32))
    other = np.where(guide.hidden, 3 * problem.image + 1000, problem.image)
    again = drain(estimate_again(replace(problem, image=other), weights, CHOICE, api.StopToken()))
    np.testing.assert_allclose(problem.scale.apply(again), guide.estimate, atol=1e-4 * np.ptp(guide.estimate))
    # Seen pixels have.
    seen = np.where(guide.hidden, problem.image, 3 * problem.image + 1000)
    changed = drain(estimate_again(replace(problem, image=seen), weights, CHOICE, api.StopToken()))
    assert not np.allclose(problem.scale.apply(changed), guide.estimate, atol=0.1)


def test_only_pixels_that_the_estimate_has_not_seen_are_hidden_from_the_network() -> None:
    problem = ready()
    guide = drain(make_guide(problem, CONFIG, 0, CHOICE, api.StopToken()))
    run = TrainingRun(
        [problem.standard], problem.psf, RANDOM.replace(augment=False),
        CHOICE, problem.scale.bounds, None, guides=[guide],
    )  # fmt: skip
    hidden, held = torch.from_numpy(guide.hidden), 0
    for position in range(20):
        batch = run.sampler.draw()
        assert batch.estimate.shape == batch.x.shape
        mask, masked = run.blind_spot.hide_pixels(batch, position)
        where = batch.places[0].where
        assert not bool((mask[0, 0] & ~hidden[where]).any())
        assert torch.equal(masked[~mask], batch.x[~mask])
        held += int((batch.held[0, 0] & ~hidden[where]).sum())
        torch.testing.assert_close(batch.estimate[0, 0], torch.from_numpy(guide.estimate)[where])
    assert held == 0


def test_a_network_with_an_estimate_is_saved_and_loaded(tmp_path: Path) -> None:
    image, psf = make()
    model = api.deconvolve(image, psf, RANDOM).model
    assert model.network.takes_estimate
    api.save_model(tmp_path / "model.safetensors", model)
    loaded = api.load_model(tmp_path / "model.safetensors")
    assert loaded.network.takes_estimate
    np.testing.assert_array_equal(api.apply_model(loaded, image), api.apply_model(model, image))


def test_a_model_made_before_there_was_an_estimate_still_works(tmp_path: Path) -> None:
    image, psf = make()
    model = api.deconvolve(image, psf, CONFIG).model
    old = build_network(CONFIG, model.psf).eval()
    assert not takes_estimate(old.state_dict(), CONFIG)
    api.save_model(tmp_path / "old.safetensors", replace(model, network=old))
    loaded = api.load_model(tmp_path / "old.safetensors")
    assert not loaded.network.takes_estimate
    assert np.isfinite(api.apply_model(loaded, image)).all()
    assert np.isfinite(drain(api.iter_deconvolve(image, psf, CONFIG, start_from=loaded)).image).all()


def test_a_model_with_an_estimate_is_not_trained_further_with_a_compact_psf() -> None:
    image, psf = make()
    model = api.deconvolve(image, psf, CONFIG).model
    with pytest.raises(ConfigError, match="PSF of the whole stack"):
        drain(api.iter_deconvolve(image, model.psf, CONFIG, start_from=model))


def test_the_estimate_is_what_the_network_begins_from() -> None:
    """With another estimate the initial weights give another result."""
    problem = ready()
    assert problem.far is not None
    model = api.deconvolve(*make(), CONFIG.replace(steps=0)).model
    seen = problem.input_of(model.network)
    piece = torch.from_numpy(seen[(slice(None),) * 3])[None]
    changed = piece.clone()
    changed[:, 1] = 0
    with torch.inference_mode():
        assert not torch.allclose(model.network(piece), model.network(changed), atol=0.1)


def test_a_turned_stack_hides_the_same_pixels() -> None:
    stack = np.random.default_rng(0).gamma(1.0, 1.0, (6, 12, 15)).astype(np.float32)
    hidden = choose_hidden(stack, CONFIG, seed=3)
    turned = choose_hidden(np.ascontiguousarray(np.flip(stack.transpose(0, 2, 1), (0, 1))), CONFIG, seed=3)
    np.testing.assert_array_equal(np.flip(hidden.transpose(0, 2, 1), (0, 1)), turned)


def test_a_restart_with_another_seed_has_an_estimate_without_its_held_out_pixels(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter(["the result became flat"])
    monkeypatch.setattr(training_run, "find_collapse", lambda *_: next(answers, ""))
    monkeypatch.setattr(training_run, "_GRACE_STEPS", 0)
    result = api.deconvolve(*make(), CONFIG)
    assert result.provenance["seed"] == 1
    np.testing.assert_array_equal(result.image, api.deconvolve(*make(), CONFIG.replace(seed=1)).image)


def test_the_instant_result_does_not_wait_for_the_estimate_of_training() -> None:
    events: list[object] = []
    drain(api.iter_deconvolve(*make(), CONFIG, instant_first=True), events.append)
    kinds = [e.stage if isinstance(e, Progress) else type(e) for e in events]
    assert kinds.index(Interim) < kinds.index(ESTIMATE_STAGE) < kinds.index("train")


def test_after_the_instant_result_a_stop_makes_no_estimate() -> None:
    stop, stages = api.StopToken(), set()
    for event in api.iter_deconvolve(*make(), CONFIG, instant_first=True, stop=stop):
        if isinstance(event, Interim):
            stop.stop()
        if isinstance(event, Progress):
            stages.add(event.stage)
    assert ESTIMATE_STAGE not in stages


def test_models_with_and_without_an_estimate_are_not_compared() -> None:
    image, psf = make()
    model = api.deconvolve(image, psf, CONFIG).model
    compact = api.deconvolve(image, model.psf, CONFIG).model
    with pytest.raises(ConfigError, match="models of the same PSF"):
        api.uncertainty(compact, image, samples=1, others=[model])


def test_tiles_written_with_a_mask_are_those_of_the_whole() -> None:
    image, psf = make()
    mask = np.ones(image.shape, np.float32)
    mask[2:4, 5:9] = 0
    config, out = CONFIG.replace(average_symmetries=False, steps=1), np.zeros(image.shape, np.float32)
    drain(api.iter_deconvolve_large(image, psf, config, out=out, weights=mask))
    whole = api.deconvolve(image, psf, config, weights=mask).image
    np.testing.assert_allclose(out, whole, rtol=1e-5, atol=1e-5 * whole.max())


def test_a_star_in_a_widefield_stack_stays_with_the_network() -> None:
    """Its first estimate has the star, so that no ring has to be avoided by other means."""
    image, psf = make()
    image[4, 18, 18] += 1e6
    problem = drain(make_ready(Problem.of(image, psf, CONFIG), CONFIG, api.StopToken()))
    assert problem.far is not None
    assert problem.bright is None
