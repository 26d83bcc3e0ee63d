"""A run that was killed goes on from its checkpoint, and gives the array of the run that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch

from napari_selfdeconv import api
from napari_selfdeconv.api import Checkpoint
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import Cancelled, ComputeError, ConfigError
from napari_selfdeconv.events import Event, Noted, Progress, Warned, drain
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training import checkpoint as checkpoints
from napari_selfdeconv.training import loop
from napari_selfdeconv.training import run as training_run
from napari_selfdeconv.training.checkpoint import read_checkpoint

PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0
IMAGE = np.random.default_rng(0).normal(100, 20, (32, 32)).astype(np.float32)


@pytest.fixture(autouse=True)
def _after_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.0)
    monkeypatch.setattr(checkpoints, "_MOST_SHARE", float("inf"))


def tiny(**overrides: Any) -> TrainConfig:
    values: dict[str, Any] = {"steps": 12, "patch": 16, "features": 4, "levels": 2, "batch_size": 2}
    values |= {"pretrained": False, "device": "cpu", "precision": "float32"}
    return preset("quick", 2, **{**values, **overrides})


def interrupt(work: Any, step: int) -> None:
    """Drop a run at a step, as a kill does: nothing of it runs any more, nothing is tidied."""
    for event in work:
        if isinstance(event, Progress) and event.stage == "train" and event.step == step:
            return
    raise AssertionError("the run ended first")


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "REPORT_EVERY_S", 0.0)


@pytest.mark.parametrize(
    ("at", "settings"),
    [
        (2, {"held_out_percent": 2.0}),
        (11, {"held_out_percent": 2.0}),
        (7, {"schedule": "halving", "halve_every": 3}),
        (31, {"held_out_percent": 5.0, "steps": 40, "auto_stop": True, "learning_rate": 0.05}),
        (3, {"features": 24, "levels": 4, "pretrained": True, "steps": 24}),
    ],
)
@pytest.mark.usefixtures("every_step")
def test_a_resumed_run_gives_the_array_of_one_in_one_piece(
    at: int, settings: dict[str, Any], tmp_path: Path
) -> None:
    config = tiny(**settings)
    whole = api.deconvolve(IMAGE, PSF, config)
    file = Checkpoint(tmp_path / "run.checkpoint")
    interrupt(api.iter_deconvolve(IMAGE, PSF, config, checkpoint=file), at)
    stored = read_checkpoint(tmp_path / "run.checkpoint")
    assert stored.step == at - 1
    events: list[Event] = []
    resumed = drain(
        api.iter_deconvolve(IMAGE, PSF, config, checkpoint=Checkpoint(file.path, resume=True)), events.append
    )
    np.testing.assert_array_equal(resumed.image, whole.image)
    assert resumed.held_out == whole.held_out
    assert resumed.losses == whole.losses
    assert resumed.provenance["resumed_at"] == at - 1
    assert any(isinstance(event, Noted) and f"step {at - 1} of" in event.message for event in events)
    steps = [event.step for event in events if isinstance(event, Progress) and event.stage == "train"]
    assert steps[0] == at
    assert not any(tmp_path.iterdir())


@pytest.mark.usefixtures("every_step")
def test_a_run_that_was_killed_after_training_trains_no_more(tmp_path: Path) -> None:
    whole = api.deconvolve(IMAGE, PSF, tiny())
    work = api.iter_deconvolve(IMAGE, PSF, tiny(), checkpoint=Checkpoint(tmp_path / "run.checkpoint"))
    for event in work:
        if isinstance(event, Progress) and event.stage != "train":
            break
    del work
    again = Checkpoint(tmp_path / "run.checkpoint", resume=True)
    events: list[Event] = []
    resumed = drain(api.iter_deconvolve(IMAGE, PSF, tiny(), checkpoint=again), events.append)
    np.testing.assert_array_equal(resumed.image, whole.image)
    assert "train" not in {event.stage for event in events if isinstance(event, Progress)}


@pytest.mark.usefixtures("every_step")
def test_a_series_goes_on_in_the_channel_where_it_was_killed(tmp_path: Path) -> None:
    image = np.stack([IMAGE, IMAGE[::-1], IMAGE.T])
    plan, path = SeriesPlan(axes="cyx"), tmp_path / "run.checkpoint"
    whole = drain(api.iter_deconvolve_series(image, PSF, plan, tiny()))
    work = api.iter_deconvolve_series(image, PSF, plan, tiny(), checkpoint=Checkpoint(path))
    trained = 0
    for event in work:
        trained += isinstance(event, Progress) and event.stage == "train" and event.step == 5
        if trained == 2:
            break
    del work
    assert {one.name for one in tmp_path.iterdir()} == {"run.checkpoint", "run.checkpoint.c1"}
    events: list[Event] = []
    work = api.iter_deconvolve_series(image, PSF, plan, tiny(), checkpoint=Checkpoint(path, resume=True))
    resumed = drain(work, events.append)
    np.testing.assert_array_equal(resumed.image, whole.image)
    steps = [event.step for event in events if isinstance(event, Progress) and event.stage == "train"]
    assert (steps[0], len(steps)) == (5, 8 + 12)
    assert not any(tmp_path.iterdir())


@pytest.mark.usefixtures("every_step")
def test_an_image_larger_than_memory_goes_on_in_its_training(tmp_path: Path) -> None:
    path = tmp_path / "r.zarr"
    whole = drain(api.iter_deconvolve_zarr(IMAGE, PSF, tmp_path / "whole.zarr", tiny()))
    file = Checkpoint(tmp_path / "run.checkpoint")
    interrupt(api.iter_deconvolve_zarr(IMAGE, PSF, path, tiny(), checkpoint=file), 6)
    again = Checkpoint(file.path, resume=True)
    resumed = drain(api.iter_deconvolve_zarr(IMAGE, PSF, path, tiny(), checkpoint=again))
    np.testing.assert_array_equal(np.asarray(resumed.image), np.asarray(whole.image))
    assert resumed.provenance["resumed_at"] == 5


@pytest.fixture
def interrupted(tmp_path: Path, every_step: None) -> Path:
    path = tmp_path / "run.checkpoint"
    interrupt(api.iter_deconvolve(IMAGE, PSF, tiny(), checkpoint=Checkpoint(path)), 6)
    return path


OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("another image or mask", {"image": IMAGE[::-1]}),
    ("another image or mask", {"weights": (IMAGE < 130).astype(float)}),
    ("another PSF", {"psf": PSF[:, ::-1] ** 2}),
    ("other settings", {"config": tiny(steps=13)}),
    ("another PSF and other settings", {"psf": PSF[:, ::-1] ** 2, "config": tiny(seed=3)}),
]


@pytest.mark.parametrize(("said", "changed"), OTHERS)
def test_another_job_does_not_go_on(said: str, changed: dict[str, Any], interrupted: Path) -> None:
    before = interrupted.read_bytes()
    inputs = {"image": IMAGE, "psf": PSF, "config": tiny(), **changed}
    with pytest.raises(ConfigError, match=rf"\(step 5 of 12\) with {said}: give"):
        api.deconvolve(**inputs, checkpoint=Checkpoint(interrupted, resume=True))
    assert interrupted.read_bytes() == before
    events: list[Event] = []
    api.deconvolve(**inputs, checkpoint=Checkpoint(interrupted, resume=True, strict=False), on_event=events.append)
    assert not any(isinstance(event, Noted) for event in events)


def test_a_run_that_is_not_to_go_on_says_that_one_was_interrupted(interrupted: Path) -> None:
    events: list[Event] = []
    api.deconvolve(IMAGE, PSF, tiny(), checkpoint=Checkpoint(interrupted), on_event=events.append)
    assert any(isinstance(event, Warned) and "interrupted run (step 5 of 12)" in event.message for event in events)
    assert not interrupted.exists()


def test_a_file_that_is_not_a_checkpoint_is_left(tmp_path: Path) -> None:
    mine = tmp_path / "notes.txt"
    safetensors.torch.save_file({}, tmp_path / "model.safetensors", {"format": "a model"})
    mine.write_text("mine")
    for name in ("notes.txt", "model.safetensors"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(ConfigError, match="is not a checkpoint"):
            api.deconvolve(IMAGE, PSF, tiny(), checkpoint=Checkpoint(tmp_path / name))
        assert (tmp_path / name).read_bytes() == before


def test_a_damaged_checkpoint_is_refused_in_one_sentence(interrupted: Path) -> None:
    with safetensors.safe_open(interrupted, framework="pt") as file:
        header = file.metadata()
    tensors = safetensors.torch.load(interrupted.read_bytes())
    some = next(name for name, value in tensors.items() if name.startswith("network.") and value.ndim == 4)
    for changed, words in (
        ({name: value for name, value in tensors.items() if name != some}, "damaged or from another version"),
        (
            {**tensors, some: tensors[some].flatten()[:1].clone()},
            "damaged or from another version",
        ),
        ({**tensors, "random.0": tensors["random.0"][:9].clone()}, "damaged or from another version"),
    ):
        safetensors.torch.save_file(changed, interrupted, header)
        with pytest.raises(ConfigError, match=words):
            api.deconvolve(IMAGE, PSF, tiny(), checkpoint=Checkpoint(interrupted, resume=True))
    endless = header["run"].replace('"step": 5', '"step": Infinity')
    texts = (("job", "{}"), ("run", "{}"), ("run", endless), ("state", "{}"), ("config", '{"seed": -1}'))
    for name, text in texts:
        safetensors.torch.save_file(tensors, interrupted, {**header, name: text})
        with pytest.raises(ConfigError, match="damaged or from another version"):
            api.deconvolve(IMAGE, PSF, tiny(), checkpoint=Checkpoint(interrupted, resume=True))
    for size in (2000, 0):
        interrupted.write_bytes(interrupted.read_bytes()[:size])
        with pytest.raises(ConfigError, match=r"is not a checkpoint: .*: remove it to start from the beginning"):
            api.deconvolve(IMAGE, PSF, tiny(), checkpoint=Checkpoint(interrupted, resume=True))
    interrupted.unlink()
    interrupted.mkdir()
    with pytest.raises(ConfigError, match=r"cannot read a checkpoint from .*: remove it"):
        api.deconvolve(IMAGE, PSF, tiny(), checkpoint=Checkpoint(interrupted, resume=True))


@pytest.mark.parametrize("ending", ["cancel", "error", "ended", "ended, kept"])
@pytest.mark.usefixtures("every_step")
def test_when_the_file_goes(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, stop = tmp_path / "run.checkpoint", StopToken()

    def on_event(event: Event) -> None:
        if isinstance(event, Progress) and event.step == 6 and ending == "cancel":
            stop.cancel()

    def break_down(*_args: Any, **_options: Any) -> None:
        raise MemoryError

    if ending == "error":
        monkeypatch.setattr("napari_selfdeconv.inference.predict.predict_tiled", break_down)
    file = Checkpoint(path, remove=ending != "ended, kept")
    work = api.iter_deconvolve(IMAGE, PSF, tiny(), checkpoint=file, stop=stop)
    if ending in ("cancel", "error"):
        with pytest.raises((Cancelled, ComputeError)):
            drain(work, on_event)
    else:
        drain(work, on_event)
    assert path.exists() == (ending in ("error", "ended, kept"))


def test_a_disk_that_is_full_costs_the_checkpoint_and_not_the_run(tmp_path: Path) -> None:
    events: list[Event] = []
    missing = tmp_path / "no" / "run.checkpoint"
    result = api.deconvolve(IMAGE, PSF, tiny(), checkpoint=Checkpoint(missing), on_event=events.append)
    said = [event.message for event in events if isinstance(event, Warned) and "checkpoint" in event.message]
    assert len(said) == 1
    assert "create it first" in said[0]
    assert result.steps_done == 12


@pytest.mark.usefixtures("every_step")
def test_a_restart_with_other_settings_is_what_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that collapsed goes on with the next seed: the checkpoint is of that attempt."""
    answers = iter(["the result became flat"])
    monkeypatch.setattr(training_run, "find_collapse", lambda *_: next(answers, ""))
    longer, path = tiny(steps=30), tmp_path / "run.checkpoint"
    work = api.iter_deconvolve(IMAGE, PSF, longer, checkpoint=Checkpoint(path))
    for event in work:
        if isinstance(event, Warned) and "seed 1" in event.message:
            break
    interrupt(work, 5)
    del work
    assert read_checkpoint(path).config.seed == 1
    resumed = api.deconvolve(IMAGE, PSF, longer, checkpoint=Checkpoint(path, resume=True))
    assert resumed.provenance["seed"] == 1
    np.testing.assert_array_equal(resumed.image, api.deconvolve(IMAGE, PSF, longer.replace(seed=1)).image)


def test_checkpoints_take_less_than_a_hundredth_of_the_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clock, writes = [0.0], [0]
    monkeypatch.setattr(checkpoints, "EVERY_S", 30.0)
    monkeypatch.setattr(checkpoints, "_MOST_SHARE", 0.01)
    monkeypatch.setattr(checkpoints.time, "perf_counter", lambda: clock[0])

    def slow(*_args: Any) -> None:
        writes[0] += 1
        clock[0] += 2.0

    monkeypatch.setattr(checkpoints, "write_checkpoint", slow)
    monkeypatch.setattr(checkpoints, "capture_state", lambda *_: None)
    job = checkpoints.Job(digests={}, psf=PSF.astype(np.float32))
    writer = checkpoints.CheckpointWriter(tmp_path / "x", job, tiny(), api.choose_device("cpu", "float32"))
    run: Any = type("Run", (), {"schedule": type("Schedule", (), {"steps_left": 1})})
    while clock[0] < 3600:
        clock[0] += 1.0
        assert list(writer.write_if_due(run, 1, 0.0, ended=False)) == []
    assert writes[0] == 18  # one after 30 s, then every 200 s
