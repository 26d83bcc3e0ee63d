"""What goes wrong in a preview or in an interim result is told, and training goes on as if nobody had looked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch

from napari_selfdeconv import api
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import Cancelled
from napari_selfdeconv.events import INTERIM_STAGE, Event, Interim, Preview, Progress, Started, Warned, drain
from napari_selfdeconv.network.model import Deconvolver
from napari_selfdeconv.stop_token import StopToken

PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0
IMAGE = np.random.default_rng(0).gamma(2.0, 30.0, (48, 40)).astype(np.float32)
Spoil = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def tiny(**overrides: Any) -> TrainConfig:
    values = {"steps": 5, "patch": 16, "features": 4, "batch_size": 4, "pretrained": False}
    return preset("quick", 2, **{**values, **overrides})


def out_of_memory(_x: torch.Tensor, _y: torch.Tensor) -> torch.Tensor:
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


def not_finite(_x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return y * float("nan")


class Watched:
    """A run in which ``spoil`` changes the network's output outside training, until the run tells of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, spoil: Spoil) -> None:
        self.events: list[Event] = []
        self.token = StopToken()
        self.spoiled = True
        forward = Deconvolver.forward

        def observed(network: Deconvolver, x: torch.Tensor) -> torch.Tensor:
            y = forward(network, x)
            return (
                spoil(x, y) if self.spoiled and not network.training and torch.is_inference_mode_enabled() else y
            )

        monkeypatch.setattr(Deconvolver, "forward", observed)

    def run(self, config: TrainConfig, image: np.ndarray = IMAGE, **settings: Any) -> Any:
        return drain(api.iter_deconvolve(image, PSF, config, stop=self.token, **settings), self._see)

    def _see(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Warned) and "Training goes on" in event.message:
            self.spoiled = False

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [(out_of_memory, "ran out of memory"), (not_finite, "values that are not finite")],
)
def test_an_interim_result_that_fails_is_told_and_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, spoil: Spoil, reason: str
) -> None:
    # Held-out pixels are predicted in inference mode as well.
    config = tiny(held_out_percent=0.0, auto_stop=False, weight_interpolation=False, model_clipping=False)
    plain = api.deconvolve(IMAGE, PSF, config)
    watched = Watched(monkeypatch, spoil)
    watched.token.request_result()
    result = watched.run(config)
    assert len(watched.of(Started)) == 1
    assert watched.of(Interim) == []
    (told,) = [e.message for e in watched.of(Warned) if "Training goes on" in e.message]
    assert "no result of step 1" in told
    assert reason in told
    assert result.model.config == config
    np.testing.assert_array_equal(result.image, plain.image)


def test_an_interim_result_is_tried_with_smaller_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(held_out_percent=0.0, auto_stop=False, weight_interpolation=False, model_clipping=False)

    def limited(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return out_of_memory(x, y) if x.numel() > 76 * 44 else y

    watched = Watched(monkeypatch, limited)
    watched.token.request_result()
    watched.run(config, image=np.tile(IMAGE, (3, 1))[:120])
    (given,) = watched.of(Interim)
    assert np.isfinite(given.image).all()
    assert len(watched.of(Started)) == 1
    assert any("Prediction begins again" in e.message for e in watched.of(Warned))


def test_a_quick_interim_result_is_the_network_s_own_and_training_goes_on_as_without() -> None:
    config = tiny(average_symmetries=True, refine=True)
    token, events = StopToken(), list[Any]()
    token.request_result()
    result = drain(api.iter_deconvolve(IMAGE, PSF, config, stop=token, quick_interim=True), events.append)
    (given,) = [event for event in events if isinstance(event, Interim)]
    stages = [event.stage for event in events if isinstance(event, Progress)]
    asked = [stage for stage in stages[: stages.index("predict")] if stage != "train"]
    assert set(asked) == {INTERIM_STAGE}
    assert not given.provenance["config"]["result"]["refine"]
    assert result.model.config.result.refine
    stopped = StopToken()
    stopped.stop()
    plain = drain(api.iter_deconvolve(IMAGE, PSF, config.replace(refine=False), stop=stopped))
    np.testing.assert_array_equal(given.image, plain.image)


def test_the_parts_of_an_interim_result_are_named_and_each_runs_once() -> None:
    token, told = StopToken(), list[tuple[str, float]]()
    token.request_result()

    def note(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == INTERIM_STAGE:
            told.append((event.part, event.step / event.steps))

    drain(api.iter_deconvolve(IMAGE, PSF, tiny(average_symmetries=True, refine=True), stop=token), note)
    parts = list(dict.fromkeys(part for part, _ in told))
    assert parts == ["predict", "choose"]
    for part in parts:
        shares = [share for other, share in told if other == part]
        assert shares == sorted(shares)


def test_a_quick_interim_result_of_a_large_image_takes_one_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_selfdeconv.api.deconvolution._QUICK_VOXELS", 1)
    config, token, events = tiny(average_symmetries=True), StopToken(), list[Any]()
    token.request_result()
    drain(api.iter_deconvolve(IMAGE, PSF, config, stop=token, quick_interim=True), events.append)
    (given,) = [event for event in events if isinstance(event, Interim)]
    stopped = StopToken()
    stopped.stop()
    plain = drain(
        api.iter_deconvolve(IMAGE, PSF, config.replace(refine=False, average_symmetries=False), stop=stopped)
    )
    np.testing.assert_array_equal(given.image, plain.image)


def test_a_preview_that_fails_is_told_once_and_training_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(held_out_percent=0.0, auto_stop=False, weight_interpolation=False, model_clipping=False)
    plain = api.deconvolve(IMAGE, PSF, config)
    watched = Watched(monkeypatch, out_of_memory)
    result = watched.run(config, preview_every_s=0.0)
    assert len(watched.of(Started)) == 1
    assert watched.of(Preview) == []
    assert [e.message for e in watched.of(Warned) if "no more previews" in e.message]
    np.testing.assert_array_equal(result.image, plain.image)


def test_cancelling_during_an_interim_result_cancels_the_run() -> None:
    token = StopToken()
    token.request_result()

    def cancel(event: Event) -> None:
        if isinstance(event, Progress) and event.stage == INTERIM_STAGE:
            token.cancel()

    with pytest.raises(Cancelled):
        drain(api.iter_deconvolve(IMAGE, PSF, tiny(), stop=token), cancel)


def test_only_public_events_leave_a_run() -> None:
    token = StopToken()
    token.request_result()
    events: list[Any] = []
    drain(api.iter_deconvolve(IMAGE, PSF, tiny(), stop=token, preview_every_s=0.0), events.append)
    assert {type(event) for event in events} <= set(get_args(Event))
    assert {Preview, Interim, Progress} <= {type(event) for event in events}
