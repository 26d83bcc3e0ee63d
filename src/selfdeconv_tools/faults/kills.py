"""SIGKILL at random moments of training, predicting and saving, with a check of the files and of the next run."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_selfdeconv import api
from napari_selfdeconv.cli import main
from napari_selfdeconv.cli import terminal as cli_terminal
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Progress
from napari_selfdeconv.training import checkpoint as checkpoints

SETTINGS = """
[training]
steps = 60
patch = 32
features = 4
levels = 2
batch_size = 2
pretrained = false
precision = "float32"
[method]
device = "cpu"
"""
STAGES = ("train", "predict", "save")
_RESULT, _MODEL = "result.ome.tif", "model.safetensors"
_CHECKPOINT = f"{_RESULT}.checkpoint"
# A command may end before its moment comes.
_MOST_TRIES = 3


def kill_at_random(count: int, seed: int) -> tuple[str, list[str]]:
    """Kill a command ``count`` times, in each stage a third of them; return a summary and what was broken.

    After each kill, every file under a final name must be whole. Then the command is run again with ``--resume``:
    it must give the array of a run that was not killed, and leave its result and its model only.
    """
    # The first optimiser imports 800 modules of torch's. Loaded here, they are there in each of the forks.
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])
    random = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        image = random.normal(100, 20, (96, 96)).astype(np.float32)
        api.write_ome_tiff(folder / "image.tif", image, (0.1, 0.1))
        profile = np.exp(-(np.arange(-5, 6) ** 2) / 3.0)
        api.write_ome_tiff(folder / "psf.tif", np.outer(profile, profile), (0.1, 0.1))
        (folder / "run.toml").write_text(SETTINGS, "utf-8")
        whole = folder / "whole"
        whole.mkdir()
        # The first run reads and compiles the program's files, so only the second has the times of the others.
        _time_stages(whole)
        lengths = _time_stages(whole, "--overwrite")
        reference = api.read_image(whole / _RESULT).data
        found: Counter[str] = Counter()
        problems: list[str] = []
        number = 0
        while found["killed"] < count and number < _MOST_TRIES * count:
            stage = STAGES[number % len(STAGES)]
            moment = float(random.uniform(0, lengths[stage]))
            place = folder / str(number)
            place.mkdir()
            died = _kill(place, stage, moment)
            found["killed" if died == -signal.SIGKILL else "ended first"] += 1
            where = f"{moment:.3f} s after the start of {stage}"
            problems += [f"{where}: {one}" for one in (*_look(place, found), *_go_on(place, reference, found))]
            shutil.rmtree(place)
            number += 1
    counts = ", ".join(f"{key} {value}" for key, value in sorted(found.items()))
    return f"kills: seed {seed}; {counts}; broken {len(problems)}", problems


def _command(place: Path, *more: str) -> list[str]:
    files = ["image.tif", "--psf", "psf.tif", "--config", "run.toml"]
    inputs = [str(place.parent / one) if "." in one else one for one in files]
    return ["deconvolve", *inputs, "-q", "--out", str(place / _RESULT), "--save-model", str(place / _MODEL), *more]


def _fork(work: Callable[[], int]) -> int:
    """Return the number of a process that does some work and exits with what it returns."""
    process = os.fork()
    if process == 0:
        try:
            # After every step, so that many kills fall into the writing of a checkpoint.
            checkpoints.EVERY_S, checkpoints._MOST_SHARE = 0.0, float("inf")
            status = work()
        except BaseException:
            status = 70
        os._exit(status)
    return process


def _kill(place: Path, stage: str, moment: float) -> int:
    """Kill the command some seconds after a stage began; return its exit status, negative for a signal."""
    reader, writer = os.pipe()

    def work() -> int:
        _tell_stages(lambda begun: os.write(writer, f"{begun}\n".encode()))
        return main(_command(place))

    process = _fork(work)
    os.close(writer)
    with os.fdopen(reader) as stages:
        # The pipe ends with the process.
        if any(line.strip() == stage for line in stages):
            time.sleep(moment)
            os.kill(process, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def _time_stages(place: Path, *more: str) -> dict[str, float]:
    """Run the command to its end; return how long each stage takes, in seconds."""
    log = place.with_suffix(".log")

    def work() -> int:
        times: list[float] = []
        _tell_stages(lambda _: times.append(time.perf_counter()))
        status = main(_command(place, *more))
        times.append(time.perf_counter())
        log.write_text(" ".join(map(str, np.diff(times))), "utf-8")
        return status

    status = os.waitstatus_to_exitcode(os.waitpid(_fork(work), 0)[1])
    if status:
        raise RuntimeError(f"the command ended with status {status}")
    return dict(zip(STAGES, map(float, log.read_text("utf-8").split()), strict=True))


def _tell_stages(tell: Callable[[str], object]) -> None:
    """Make the command of this process tell the name of each stage when it begins."""
    begun: set[str] = set()
    show, save = cli_terminal._Lines.__call__, api.save_outcome

    def begin(stage: str) -> None:
        if stage not in begun:
            begun.add(stage)
            tell(stage)

    def noted(self: Any, event: Event) -> None:
        if isinstance(event, Progress):
            begin("train" if event.stage == "train" else "predict")
        show(self, event)

    def saved(*arguments: Any) -> Any:
        begin("save")
        return save(*arguments)

    cli_terminal._Lines.__call__ = noted  # type: ignore[method-assign]
    api.save_outcome = saved  # type: ignore[assignment]


def _look(place: Path, found: Counter[str]) -> list[str]:
    """Return what is wrong with the files that a killed command has left."""
    readers: dict[str, Callable[[Path], object]] = {
        _RESULT: api.read_image,
        _MODEL: api.load_model,
        _CHECKPOINT: checkpoints.read_checkpoint,
    }
    problems = []
    for path in place.iterdir():
        if path.name.startswith(".selfdeconv-"):
            found["temporary files left"] += 1
            continue
        found[f"whole {path.name}"] += 1
        try:
            readers[path.name](path)
        except (ConfigError, KeyError) as error:
            problems.append(f"{path.name}: {error}")
    return problems


def _go_on(place: Path, reference: np.ndarray, found: Counter[str]) -> list[str]:
    """Run the command again with ``--resume``; return what is wrong with what it leaves."""
    process = _fork(lambda: main(_command(place, "--resume", "--overwrite")))
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if status:
        return [f"the second run ended with status {status}"]
    result = api.read_image(place / _RESULT)
    problems = []
    if not np.array_equal(result.data, reference):
        problems.append("another array than that of a run in one piece")
    if "resumed_at" in (result.provenance or {}):
        found["went on from a checkpoint"] += 1
    if left := {path.name for path in place.iterdir()} - {_RESULT, _MODEL}:
        problems.append(f"left behind: {', '.join(sorted(left))}")
    return problems
