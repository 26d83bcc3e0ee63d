"""The network with a PSF as large as the stack: far light is taken off, and a compact PSF is left."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import fftconvolve

from napari_selfdeconv import api
from napari_selfdeconv.api.training import WITHOUT_TRAINING
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Interim, Preview, Progress, Warned, drain
from napari_selfdeconv.inference.make_ready import HAZE_STAGE, make_ready
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.psf.near import near_part, near_shape

SHAPE = (8, 24, 24)
CONFIG = api.preset("quick", 3, steps=3, patch=16, batch_size=1, precision="float32", far_light_training=True)


def make() -> tuple[np.ndarray, np.ndarray]:
    z, y, x = np.mgrid[-7:8, -20:21, -20:21]
    width = 1.5 + 1.5 * abs(z)
    psf = np.exp(-(y**2 + x**2) / (2 * width**2)) / width**2
    psf /= psf.sum()
    light = np.zeros(SHAPE)
    light[3:5, 8:14, 8:14] = 30_000
    blurred = np.maximum(fftconvolve(light, psf, mode="same"), 0)
    return (np.random.default_rng(0).poisson(blurred) + 100).astype(np.float32), psf.astype(np.float32)


def test_a_psf_larger_than_the_stack_gives_light_that_is_never_negative() -> None:
    image, psf = make()
    events: list[object] = []
    result = api.deconvolve(image, psf, CONFIG, on_event=events.append)
    assert result.image.shape == SHAPE
    assert result.image.min() >= 0
    assert result.model.whole_psf is not None
    assert result.model.psf.shape < result.model.whole_psf.shape
    assert result.provenance["psf_shape"] == list(psf.shape)
    assert any(isinstance(event, Progress) and event.stage == HAZE_STAGE for event in events)


def test_a_stack_is_refined_with_its_whole_psf() -> None:
    image, psf = make()
    plain = api.deconvolve(image, psf, CONFIG.replace(refine=False))
    better = api.deconvolve(image, psf, CONFIG)
    assert not plain.provenance["refined_iterations"]
    assert better.provenance["refined_iterations"] > 0
    left = [
        api.evaluate_without_truth(one.image, image, psf, background=100.0)["residual_rms"]
        for one in (plain, better)
    ]
    assert left[1] < 0.8 * left[0]
    assert better.image.min() >= 0


def test_a_refined_stack_is_trained_on_only_if_that_is_asked_for() -> None:
    image, psf = make()
    config = CONFIG.replace(far_light_training=False)
    events: list[Event] = []
    result = api.deconvolve(image, psf, config, on_event=events.append)
    assert result.steps_done == 0
    assert not result.stopped
    assert Warned(WITHOUT_TRAINING) in events
    instant = api.deconvolve(image, psf, config.replace(steps=0))
    np.testing.assert_array_equal(result.image, instant.image)
    assert result.provenance["config"] == instant.provenance["config"]
    assert api.deconvolve(image, psf, config.replace(refine=False)).steps_done == 3
    model = api.deconvolve(image, psf, CONFIG).model
    more = drain(api.iter_deconvolve(image, psf, config, start_from=model))
    assert more.steps_done == 3


@pytest.mark.parametrize("steps", [0, 3])
def test_the_first_result_of_a_stack_is_shown_before_it_is_refined(steps: int) -> None:
    image, psf = make()
    config = CONFIG.replace(steps=steps, trial=0)
    events: list[Event] = []
    result = drain(api.iter_deconvolve(image, psf, config, instant_first=True), events.append)
    shown = [event for event in events if isinstance(event, Interim) and not event.step]
    assert [event.refined for event in shown] == [False, True][: 1 if steps == 0 else 2]
    plain = api.deconvolve(image, psf, config.replace(steps=0, refine=False)).image
    np.testing.assert_array_equal(shown[0].image, plain)
    assert np.abs(shown[0].image - (result.image if steps == 0 else shown[1].image)).max() > 0.01 * plain.max()
    refine = [i for i, event in enumerate(events) if isinstance(event, Progress) and event.stage == "refine"]
    assert events.index(shown[0]) < refine[0]


def test_a_model_of_a_whole_psf_is_saved_and_applied_with_it(tmp_path: Path) -> None:
    image, psf = make()
    result = api.deconvolve(image, psf, CONFIG)
    path = tmp_path / "model.safetensors"
    api.save_model(path, result.model)
    again = api.apply_model(api.load_model(path), image)
    np.testing.assert_allclose(again, result.image, rtol=1e-4, atol=1e-4 * result.image.max())
    assert not api.model_differences(result.model, psf, None)


def test_previews_explain_the_image_together_with_the_far_light() -> None:
    image, psf = make()
    previews: list[Preview] = []
    work = api.iter_deconvolve(image, psf, CONFIG, preview_every_s=0.0, preview_extra=lambda: True)
    drain(work, lambda event: previews.append(event) if isinstance(event, Preview) else None)
    shown = previews[-1]
    assert shown.reblurred is not None
    assert shown.residual is not None
    assert shown.image.min() >= 0
    np.testing.assert_allclose(shown.reblurred + shown.residual, image, rtol=1e-3)


def test_the_preview_of_a_dark_corner_is_dark() -> None:
    image, psf = make()
    previews: list[Preview] = []
    corner = (slice(0, 8), slice(17, 24), slice(17, 24))
    work = api.iter_deconvolve(image, psf, CONFIG, preview_every_s=0.0, preview_region=lambda: corner)
    result = drain(work, lambda event: previews.append(event) if isinstance(event, Preview) else None)
    assert previews[-1].image.mean() < 0.5 * result.image.mean()


def test_an_image_whose_far_light_was_not_taken_off_is_not_used() -> None:
    problem = Problem.of(*make(), CONFIG)
    with pytest.raises(RuntimeError, match="make_ready"):
        _ = problem.standard


def test_a_result_of_the_compact_psf_gets_the_light_of_the_whole_one() -> None:
    problem = drain(make_ready(Problem.of(*make(), CONFIG), CONFIG, api.StopToken()))
    assert problem.far is not None
    compact = problem.scale.std * np.random.default_rng(0).normal(1, 2, SHAPE).astype(np.float32)
    whole = problem.in_units(compact.copy())
    assert 0 <= whole.min() < 1e-3 * whole.mean()
    assert whole.sum() == pytest.approx(problem.image.sum() / problem.far.share, rel=1e-3)
    # In the same order, so that dark places have no flat patches.
    assert len(np.unique(whole)) > 0.99 * whole.size
    # A tile with the factor of the whole is a part of the whole.
    tile = problem.in_units(compact[2:5].copy(), problem.light_factor(compact))
    np.testing.assert_array_equal(tile, whole[2:5])


def test_light_is_kept_where_negative_values_are_set_to_zero() -> None:
    image, psf = make()
    result = api.deconvolve(image, psf, CONFIG)
    alone = api.classical_method(image, psf, api.Classical(method="rl", iterations=20))
    assert result.image.sum() == pytest.approx(alone.image.sum(), rel=0.25)


def test_the_residual_of_a_whole_psf_counts_light_from_outside() -> None:
    image, psf = make()
    result = api.classical_method(image, psf, api.Classical(method="rl", iterations=20)).image
    left = api.residual(image, result, psf)
    assert abs(left.mean()) < 1e-3 * image.mean()
    assert left.std() < 0.5 * image.std()
    assert api.evaluate_without_truth(result, image, psf)["residual_rms"] == pytest.approx(left.std(), rel=0.05)


def test_haze_is_left_in_the_residual_of_the_whole_psf() -> None:
    image, psf = make()
    compact, _ = near_part(psf, near_shape(psf, SHAPE))
    rl = partial(api.Classical, method="rl", iterations=100, background=100.0)
    clean = api.classical_method(image, psf, rl()).image
    hazy = api.classical_method(image, compact, rl(boundary="reflect")).image
    scores = [api.evaluate_without_truth(result, image, psf, background=100.0) for result in (clean, hazy)]
    assert scores[0]["whiteness"] > 0.9
    assert scores[1]["whiteness"] < 0.1
    # With the PSF that it was made with, the hazy one explains the image five times better.
    assert scores[1]["residual_rms"] > 3 * api.residual(image, hazy, compact, background=100.0).std()
    np.testing.assert_allclose(
        api.residual(image, hazy, psf, background=100.0).std(), scores[1]["residual_rms"], rtol=0.3
    )


def test_a_plane_still_refuses_a_larger_psf() -> None:
    with pytest.raises(ConfigError, match="larger than the image"):
        api.deconvolve(np.eye(16), np.ones((33, 33)), api.preset("quick", 2))
    with pytest.raises(ConfigError, match="larger than the image"):
        api.residual(np.eye(16), np.eye(16), np.ones((33, 33)))


def test_a_series_that_is_stopped_has_all_iterations_of_every_frame() -> None:
    image, psf = make()
    stop = api.StopToken()
    work = api.iter_deconvolve_series(
        np.stack([image, image]), psf, api.SeriesPlan(axes="tzyx"), CONFIG.replace(steps=9), stop=stop
    )

    def stop_in_training(event: object) -> None:
        if isinstance(event, Progress) and event.stage == "train":
            stop.stop()

    first, second = drain(work, stop_in_training).image
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ("settings", "options", "message"),
    [
        ({"features": 8}, {}, "do not fit"),
        ({}, {"voxel_um": (0.1, 0.1)}, "voxel"),
        ({"levels": 2}, {"start_from": True}, "levels"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_before_the_far_light_is_estimated(
    settings: dict[str, Any], options: dict[str, Any], message: str
) -> None:
    image, psf = make()
    config = CONFIG.replace(**settings)
    if options.pop("start_from", False):
        options = {"start_from": api.deconvolve(image, psf, CONFIG.replace(steps=0)).model}
    with pytest.raises(ConfigError, match=message):
        next(api.iter_deconvolve(image, psf, config, **options))
    if "start_from" in options:
        return
    plan = api.SeriesPlan(axes="tzyx")
    with pytest.raises(ConfigError, match=message):
        next(api.iter_deconvolve_series(image[None], psf, plan, config, **options))
    with pytest.raises(ConfigError, match=message):
        next(api.iter_deconvolve_large(image, psf, config, out=np.zeros(SHAPE, np.float32), **options))
