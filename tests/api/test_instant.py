"""The instant result: the initial weights as they are, alone or as what training begins with."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdeconv import api, preset
from napari_selfdeconv.compute.device import choose_device
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Filling, Finished, Interim, Progress, Started, drain
from napari_selfdeconv.inference import observe
from napari_selfdeconv.network.model import Model, build_network
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training import loop
from napari_selfdeconv.training.model_selection import ModelSelector, SelectedWeights

PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0
RANDOM = np.random.default_rng(0)
IMAGE = (gaussian_filter(40.0 * (RANDOM.random((40, 36)) > 0.95), 1.2) + RANDOM.normal(5, 0.1, (40, 36))).astype(
    np.float32
)


def instant(**changes: Any) -> TrainConfig:
    return preset(
        "instant", 2, **{"device": "cpu", "precision": "float32", "average_symmetries": False, **changes}
    )


def trained(**changes: Any) -> TrainConfig:
    return instant(steps=3, patch=16, batch_size=1, **changes)


def collect(config: TrainConfig, **settings: Any) -> tuple[api.Deconvolution, list[Event]]:
    events: list[Event] = []
    work = api.iter_deconvolve(IMAGE, PSF, config, **settings)
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            return end.value, events


def test_nothing_is_trained_and_nothing_is_set_up_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("patches and held-out pixels are for training")

    monkeypatch.setattr(loop, "TrainingRun", refuse)
    result, events = collect(instant())
    started, finished = events[0], events[-1]
    assert isinstance(started, Started)
    assert (started.steps, started.peak_bytes) == (0, 0)
    assert isinstance(finished, Finished)
    assert (finished.steps_done, finished.stopped, finished.kept_share) == (0, False, 1.0)
    assert not any(isinstance(event, Progress) and event.stage == "train" for event in events)
    assert result.provenance["steps_done"] == 0
    assert result.provenance["config"]["name"] == "instant"
    assert (result.losses, result.held_out) == ({}, [])
    assert not result.model.network.training
    assert result.image.mean() == pytest.approx(IMAGE.mean(), rel=0.02)


def test_a_model_that_was_not_trained_deconvolves_as_the_run_did() -> None:
    result, _ = collect(instant(refine=False))
    np.testing.assert_allclose(api.apply_model(result.model, IMAGE), result.image, rtol=1e-5)


def test_no_steps_need_weights() -> None:
    with pytest.raises(
        ConfigError, match="a run of 0 steps needs weights to begin with: pretrained=True, or a model"
    ):
        api.deconvolve(IMAGE, PSF, preset("quick", 2, pretrained=False, steps=0))


def test_the_instant_result_comes_before_training_and_is_that_of_the_preset() -> None:
    alone, _ = collect(instant())
    result, events = collect(trained(weight_interpolation=False), instant_first=True)
    first = next(event for event in events if isinstance(event, Interim))
    assert first.step == 0
    assert first.provenance["steps_done"] == 0
    np.testing.assert_array_equal(first.image, alone.image)
    assert events.index(first) < next(i for i, event in enumerate(events) if isinstance(event, Started))
    assert not np.array_equal(result.image, first.image)


def test_without_being_asked_for_there_is_none() -> None:
    _, events = collect(trained())
    assert not any(isinstance(event, Interim) for event in events)


def test_stopped_before_the_first_step_the_instant_result_is_kept() -> None:
    token = StopToken()
    work = api.iter_deconvolve(IMAGE, PSF, trained(), stop=token, instant_first=True)
    first = None
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            result = end.value
            break
        if isinstance(event, Interim):
            first = event.image
            token.stop()
    assert (result.steps_done, result.stopped) == (0, True)
    assert first is not None
    np.testing.assert_array_equal(result.image, first)
    # The receiver of the event has an array of its own.
    assert not np.shares_memory(result.image, first)


def test_weights_that_training_did_not_improve_are_not_applied_twice() -> None:
    """A learning rate of nearly nothing gains nothing: the instant result is the result."""
    result, events = collect(trained(learning_rate=1e-12), instant_first=True)
    first = next(event for event in events if isinstance(event, Interim))
    np.testing.assert_array_equal(result.image, first.image)
    last_step = max(i for i, e in enumerate(events) if isinstance(e, Progress) and e.stage == "train")
    assert not any(isinstance(event, Progress) for event in events[last_step + 1 :])
    assert result.provenance["kept_share"] == 0


def test_far_light_is_taken_off_first() -> None:
    z, y, x = np.mgrid[-4:5, -8:9, -8:9]
    cone = np.exp(-(x**2 + y**2) / (2 * (0.8 + 0.6 * abs(z)) ** 2)) / (0.8 + 0.6 * abs(z)) ** 2
    image = np.random.default_rng(1).gamma(2.0, 30.0, (5, 16, 16)).astype(np.float32)
    config = preset("instant", 3, device="cpu", precision="float32", average_symmetries=False)
    events: list[Event] = []
    result = api.deconvolve(image, cone, config, on_event=events.append)
    assert next(e.stage for e in events if isinstance(e, Progress)) == "haze"
    assert result.provenance["background"]
    assert result.image.min() >= 0
    assert result.steps_done == 0


def test_a_series_may_be_instant() -> None:
    series = np.stack([IMAGE, IMAGE + 1])
    plan = api.SeriesPlan(axes="tyx", frames=1)
    events: list[Event] = []
    work = api.iter_deconvolve_series(series, PSF, plan, instant())
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            result = end.value
            break
    assert result.image.shape == series.shape
    assert events[-1].steps_done == 0  # type: ignore[union-attr]


def test_a_frame_of_each_channel_is_instant_before_a_series_is_trained() -> None:
    series = np.stack([[IMAGE, IMAGE[::-1]], [IMAGE + 1, IMAGE[::-1] + 2]])
    plan = api.SeriesPlan(axes="ctyx", train_on="current", current=1)
    work = api.iter_deconvolve_series(series, PSF, plan, trained(), instant_first=True)
    seen: list[Event] = []
    while not isinstance(event := next(work), Filling):
        seen.append(event)
    assert event.instant
    assert not any(isinstance(one, Started) for one in seen)
    for channel in range(2):
        alone = api.deconvolve(series[channel, 1], PSF, instant())
        np.testing.assert_array_equal(event.image[channel, 1], alone.image)
        assert not event.image[channel, 0].any()
    steps = [(one.step, one.steps) for one in seen if isinstance(one, Progress) and one.stage == "predict"]
    assert steps[-1] == (2, 2)
    result = drain(work, seen.append)
    assert sum(isinstance(one, Filling) for one in seen) == 0
    assert result.image is event.image
    again = drain(api.iter_deconvolve_series(series, PSF, plan, trained()))
    np.testing.assert_array_equal(result.image, again.image)


def test_better_results_follow_while_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "_PATIENCE", 0.0)
    monkeypatch.setattr(observe, "_WORTH", 0.0)
    config = trained(trial=0.0, weight_interpolation=False).replace(steps=12)
    monkeypatch.setattr(ModelSelector, "gains", lambda _self: True)
    _, events = collect(config, instant_first=True)
    found = [event for event in events if isinstance(event, Interim)]
    assert [event.step for event in found] == list(range(12))
    assert all(event.improves for event in found)
    assert [event.provenance["steps_done"] for event in found] == list(range(12))
    assert not np.array_equal(found[0].image, found[-1].image)


def test_no_better_result_delays_the_final_one_that_is_near() -> None:
    whole = np.zeros((8, 8), np.float32)

    def deconvolve(_model: Any) -> Iterator[Any]:
        time.sleep(0.02)
        return whole
        yield

    config = trained()
    network = build_network(config, PSF)
    choice = choose_device("cpu", "float32")
    model = Model(config=config, psf=PSF.astype(np.float32), network=network)
    improvements = observe.Improvements(deconvolve, lambda *_: model, choice)
    (first,) = improvements.begin(network)
    assert isinstance(first, Interim)
    time.sleep(0.25)  # more than the patience after a result of 0.02 s

    def results(seconds_left: float) -> list[Event]:
        return list(improvements.observe(replace(step_done(network), seconds_left=seconds_left)))

    assert results(0.01) == []
    (later,) = results(60.0)
    assert isinstance(later, Interim)


def step_done(network: Any) -> loop.StepDone:
    return loop.StepDone(
        step=3,
        network=network,
        use_selected=lambda: nullcontext(SelectedWeights(step=3, share=1.0)),
        gains=lambda: True,
        seconds_left=0.0,
    )


def test_results_that_are_no_better_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observe, "_PATIENCE", 0.0)
    monkeypatch.setattr(observe, "_WORTH", 0.0)
    _, events = collect(trained(trial=0.0, learning_rate=1e-12).replace(steps=12), instant_first=True)
    assert [event.step for event in events if isinstance(event, Interim)] == [0]


def test_an_image_larger_than_memory_may_be_instant() -> None:
    out = np.zeros(IMAGE.shape, np.float32)
    work = api.iter_deconvolve_large(IMAGE, PSF, instant(refine=False), out=out)
    large = drain(work)
    assert large.provenance["steps_done"] == 0
    whole, _ = collect(instant(refine=False))
    np.testing.assert_allclose(out, whole.image, atol=1e-3 * np.ptp(whole.image))
