"""Pausing, results on request, continuing, the held-out error, automatic stop, collapsed runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from napari_selfdeconv import api
from napari_selfdeconv.api.training import iter_train
from napari_selfdeconv.compute.device import choose_device
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import Cancelled, ComputeError, ConfigError
from napari_selfdeconv.events import Event, Finished, Interim, Preview, Progress, Started, Warned, drain
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training import blind_spot, loop
from napari_selfdeconv.training import run as training_run
from napari_selfdeconv.training.collapse import find_collapse, measure_checkerboard
from napari_selfdeconv.training.convergence import HeldOutCurve
from napari_selfdeconv.training.validation import Validator

PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0


def blobs(shape: tuple[int, ...] = (32, 32), seed: int = 0) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(seed)
    spots = gaussian_filter((random.random(shape) > 0.97) * 50.0, 1.5)
    return (spots + random.normal(0, 0.2, shape)).astype(np.float32)


def tiny(**overrides: Any) -> TrainConfig:
    values = {"steps": 5, "patch": 16, "features": 4, "batch_size": 2, "pretrained": False}
    return preset("quick", 2, **{**values, **overrides})


def collect(work: Any) -> tuple[Any, list[Event]]:
    events: list[Event] = []
    return drain(work, events.append), events


def test_a_pause_holds_training_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    token, image, slept, real = StopToken(), blobs(), [0.0], time.perf_counter

    def sleep(token: StopToken, _seconds: float) -> None:
        slept[0] += 1000
        token.resume()

    monkeypatch.setattr(time, "perf_counter", lambda: real() + slept[0])
    monkeypatch.setattr(StopToken, "wait_while_paused", sleep)
    work = api.iter_deconvolve(image, PSF, tiny(), stop=token)
    assert isinstance(next(work), Started)
    next(work)
    token.pause()
    result, events = collect(work)
    assert slept == [1000]
    last = [e for e in events if isinstance(e, Progress) and e.stage == "train"][-1]
    assert last.seconds < 1000 < result.seconds  # the pause is no training time
    np.testing.assert_array_equal(result.image, api.deconvolve(image, PSF, tiny()).image)


@pytest.mark.parametrize("end", ["stop", "cancel"])
def test_stopping_ends_a_pause(end: str) -> None:
    token = StopToken()
    work = api.iter_deconvolve(blobs(), PSF, tiny(steps=1000), stop=token)
    next(work)
    next(work)
    token.pause()
    timer = threading.Timer(0.2, getattr(token, end))
    timer.start()
    if end == "stop":
        result, _ = collect(work)
        assert result.stopped
        assert result.steps_done < 10
    else:
        with pytest.raises(Cancelled):
            collect(work)
    timer.join()


def test_previews_follow_the_view_during_a_pause() -> None:
    token = StopToken()
    regions = [(slice(0, 16), slice(0, 16)), (slice(8, 24), slice(8, 24))]
    seen: list[Preview] = []

    def region() -> tuple[slice, ...]:
        return regions[min(len(seen), 1)]

    work = api.iter_deconvolve(
        blobs(), PSF, tiny(steps=50), stop=token, preview_every_s=0.0, preview_region=region
    )
    token.pause()
    for event in work:
        if isinstance(event, Preview):
            seen.append(event)
            if len(seen) == 2:
                token.stop()
    # The same step, another region; and no third one while nothing is new.
    assert [(p.step, p.offset) for p in seen[:2]] == [(1, (0, 0)), (1, (8, 8))]


def test_the_model_can_be_used_while_training_goes_on() -> None:
    token, image = StopToken(), blobs()
    asked = False
    interim: list[Interim] = []
    work = api.iter_deconvolve(image, PSF, tiny(), stop=token)

    def on_event(event: Event) -> None:
        nonlocal asked
        if isinstance(event, Progress) and event.step == 1 and not asked:
            asked = True
            token.request_result()
        if isinstance(event, Interim):
            interim.append(event)

    result = drain(work, on_event)
    (given,) = interim
    assert given.image.shape == image.shape
    assert given.image.dtype == np.float32
    assert given.provenance["steps_done"] == given.step
    assert not np.array_equal(given.image, result.image)
    np.testing.assert_array_equal(result.image, api.deconvolve(image, PSF, tiny()).image)


def test_a_result_can_be_asked_for_in_a_pause() -> None:
    token = StopToken()
    work = api.iter_deconvolve(blobs(), PSF, tiny(), stop=token)
    token.pause()
    token.request_result()
    for event in work:
        if isinstance(event, Interim):
            assert token.paused
            token.stop()
            return
    pytest.fail("no interim result came")


def test_training_goes_on_from_a_model() -> None:
    image = blobs()
    first = api.deconvolve(image, PSF, tiny())
    more, events = collect(api.iter_deconvolve(image, PSF, tiny(), start_from=first.model))
    assert not [e for e in events if isinstance(e, Warned)]
    assert more.provenance["continued_from"]["steps_done"] == first.steps_done
    fresh = next(e for e in api.iter_deconvolve(image, PSF, tiny()) if isinstance(e, Progress))
    gone_on = next(e for e in events if isinstance(e, Progress))
    assert gone_on.losses["total"] != fresh.losses["total"]
    # The model it went on from is left as it was.
    again = api.apply_model(first.model, image)
    np.testing.assert_array_equal(again, first.image)


def test_a_model_that_does_not_fit_is_refused() -> None:
    model = api.deconvolve(blobs(), PSF, tiny(steps=1)).model
    with pytest.raises(ConfigError, match="its features is 4, not 6"):
        next(api.iter_deconvolve(blobs(), PSF, tiny(features=6), start_from=model))
    work = api.iter_deconvolve(blobs(), PSF.T + np.eye(3), tiny(steps=1), start_from=model)
    assert any(isinstance(e, Warned) and "another PSF" in e.message for e in work)


def test_previews_show_the_reblurred_image_and_the_residual() -> None:
    image = blobs((40, 40))
    where = (slice(5, 30), slice(8, 36))
    work = api.iter_deconvolve(
        image, PSF, tiny(), preview_every_s=0.0, preview_region=lambda: where, preview_extra=lambda: True
    )
    preview = next(e for e in work if isinstance(e, Preview))
    assert preview.reblurred is not None
    assert preview.residual is not None
    assert preview.image.shape == preview.reblurred.shape == preview.residual.shape == (25, 28)
    np.testing.assert_allclose(preview.reblurred + preview.residual, image[where], atol=1e-4)
    from scipy.ndimage import convolve

    inner = (slice(2, -2), slice(2, -2))
    expected = convolve(preview.image.astype(float), PSF)[inner]
    np.testing.assert_allclose(preview.reblurred[inner], expected, atol=1e-3 * np.ptp(image))


def test_held_out_pixels_never_reach_training() -> None:
    """Whatever the held-out pixels are, the trained network is the same; their error is not."""
    image = blobs()
    from napari_selfdeconv.holdout.held_out import hold_out

    _, held = hold_out(image, 2.0, 0)
    config = tiny(held_out_percent=2.0)
    runs = []
    for frame in (image, np.where(held, image[::-1, ::-1], image).astype(np.float32)):
        stop = StopToken()
        choice = choose_device("cpu", "float32")
        runs.append(drain(loop.train([frame], PSF, config, choice, bounds=(-1.0, 5.0), stop=stop)))
    first, second = (run.network.state_dict() for run in runs)
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert runs[0].held_out != runs[1].held_out
    assert [step for step, _ in runs[0].held_out] == [step for step, _ in runs[1].held_out]


def test_the_held_out_error_is_reported_and_falls() -> None:
    result, events = collect(api.iter_deconvolve(blobs((64, 64)), PSF, tiny(steps=60, batch_size=4)))
    reported = [(e.step, e.held_out) for e in events if isinstance(e, Progress) and e.held_out is not None]
    assert reported == result.held_out
    assert len(reported) >= 10
    assert reported[-1][1] < 0.7 * reported[0][1]


def errors_of(errors: Iterator[float] | list[float], every: int = 40, steps: int = 1200) -> HeldOutCurve:
    curve = HeldOutCurve(steps)
    for i, error in enumerate(errors, 1):
        curve.add(i * every, error)
    return curve


def test_a_falling_error_is_no_plateau() -> None:
    assert not errors_of([1 / i for i in range(1, 31)]).plateau
    assert errors_of([1 / min(i, 10) for i in range(1, 31)]).plateau
    assert not errors_of([1.0] * 14).plateau  # never in the first half
    assert errors_of([1.0] * 16).plateau


def test_a_rising_error_is_noticed() -> None:
    assert errors_of([1, 0.9, 0.8, 0.8, 0.9, 0.95]).worse_than_best
    assert not errors_of([1, 0.9, 0.8, 0.8, 0.8, 0.8]).worse_than_best
    assert errors_of([1, 0.9, 0.8, 0.9, 1, 1]).best_step == 160


def test_training_ends_by_itself_when_the_error_no_longer_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HeldOutCurve, "plateau", property(lambda self: self.history[-1][0] >= 20))
    result, events = collect(api.iter_deconvolve(blobs(), PSF, tiny(steps=100)))
    assert result.converged
    assert not result.stopped
    # From step 20 on the rest of the cycle takes a tenth of the steps.
    assert result.steps_done == 30
    assert result.provenance["converged"] is True
    (finished,) = [e for e in events if isinstance(e, Finished)]
    assert finished.converged
    kept_on, _ = collect(api.iter_deconvolve(blobs(), PSF, tiny(steps=40, auto_stop=False)))
    assert kept_on.steps_done == 40


def test_the_best_weights_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    errors = iter([3.0, 2.0, 1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0, 5.0])
    monkeypatch.setattr(Validator, "measure_error", lambda *_: next(errors))
    result, events = collect(api.iter_deconvolve(blobs(), PSF, tiny(steps=50)))
    assert result.provenance["kept_step"] == 25
    assert any(isinstance(e, Warned) and "lowest at step 25" in e.message for e in events)


def test_auto_stop_needs_held_out_pixels() -> None:
    with pytest.raises(ConfigError, match="held_out_percent must be above 0, got 0"):
        tiny(held_out_percent=0.0)
    assert preset("paper", 2).blind_spot.held_out_percent == 0


def test_what_a_collapse_looks_like() -> None:
    y, x = torch.meshgrid(torch.arange(32), torch.arange(32), indexing="ij")
    healthy = torch.sin(y / 5.0) * torch.cos(x / 7.0)
    assert find_collapse(healthy[None, None], 0.5, 1.0) == ""
    assert "flat" in find_collapse(1e-4 * healthy[None, None], 0.5, 1.0)
    assert "200 times" in find_collapse(healthy[None, None], 200.0, 1.0)
    assert "no longer finite" in find_collapse(healthy[None, None], float("nan"), 1.0)
    assert "checkerboard" in find_collapse((healthy + 3.0 * ((y + x) % 2))[None, None], 0.5, 1.0)
    assert measure_checkerboard((x % 2).float()[None, None]) == pytest.approx(1.0, abs=0.01)
    noise = torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    assert measure_checkerboard(noise) < 0.15


def test_a_collapsed_run_begins_anew_once_from_another_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    image, seeds = blobs(), []
    build = training_run.build_network

    def spoiled(config: TrainConfig, *others: Any) -> Any:
        network = build(config, *others)
        seeds.append(config.seed)
        if config.seed == 0:  # a dead head: whatever comes in, the same goes out
            for parameter in network.unet.parameters():
                torch.nn.init.zeros_(parameter)
        return network

    monkeypatch.setattr(training_run, "build_network", spoiled)
    config = tiny(steps=25, learning_rate=1e-9)
    result, events = collect(api.iter_deconvolve(image, PSF, config))
    assert seeds == [0, 1]
    assert len([e for e in events if isinstance(e, Started)]) == 2
    warning, light = [e for e in events if isinstance(e, Warned)]
    assert "of the light above the darkest pixel" in light.message  # nothing was learned
    assert "became flat" in warning.message
    assert "seed 1" in warning.message
    assert result.provenance["seed"] == 1
    np.testing.assert_array_equal(result.image, api.deconvolve(image, PSF, config.replace(seed=1)).image)


def test_two_collapses_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_run, "find_collapse", lambda *_: "the result became flat")
    with pytest.raises(ComputeError, match=r"collapsed twice \(the result became flat\)"):
        api.deconvolve(blobs(), PSF, tiny(steps=25))


def test_several_frames_train_one_model() -> None:
    problems = [Problem.of(blobs(seed=k), PSF) for k in range(3)]
    training = drain(iter_train(problems, tiny(), stop=StopToken()))
    assert training.run.steps_done == 5
    alone = drain(iter_train(problems[:1], tiny(), stop=StopToken()))
    state, other = (t.model.network.state_dict() for t in (training, alone))
    assert any(not torch.equal(state[k], other[k]) for k in state)
    shapes = [Problem.of(blobs(shape), PSF) for shape in ((32, 32), (32, 40))]
    with pytest.raises(ConfigError, match="one shape"):
        drain(iter_train(shapes, tiny(), stop=StopToken()))


def test_ssis_masks_begin_dense_and_thin_out(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []
    drawn = blind_spot.stratified_mask

    def record(batch: int, size: Any, percent: float, generator: torch.Generator) -> torch.Tensor:
        seen.append(percent)
        return drawn(batch, size, percent, generator)

    monkeypatch.setattr(blind_spot, "stratified_mask", record)
    config = preset("ssi", 2, steps=4, patch=32, features=2, batch_size=1, device="cpu")
    assert api.deconvolve(blobs(), PSF, config).steps_done == 4
    assert seen[0] == 25
    assert all(a > b > 5 for a, b in zip(seen, seen[1:], strict=False))
    assert preset("ssi", 3).optimiser.batch_size == 2
