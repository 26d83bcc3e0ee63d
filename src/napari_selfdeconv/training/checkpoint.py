"""The state of a training run in a file, as safetensors with a JSON header. Nothing from the file is executed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_selfdeconv._version import __version__
from napari_selfdeconv.compute.device import Choice
from napari_selfdeconv.config.checks import cut
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError, reason_of
from napari_selfdeconv.events import Warned
from napari_selfdeconv.io.json_files import parse_json
from napari_selfdeconv.io.tensor_files import open_tensors, write_tensors
from napari_selfdeconv.training.run import TrainingRun
from napari_selfdeconv.training.state import RunState, capture_state

FORMAT = "napari-selfdeconv checkpoint 2"
#: Seconds between two checkpoints, or more where writing them would take over a hundredth of the time.
EVERY_S = 30.0
_MOST_SHARE = 0.01
_PSF = "psf"
_REMEDY = "remove it to start from the beginning, or name another file"


@dataclass(frozen=True, kw_only=True)
class Job:
    """The inputs of a run. A checkpoint belongs to one job only.

    Attributes
    ----------
    digests : of image, PSF, settings and all else that decides the result, by their names for the user.
    psf : the given PSF, with sum 1.
    about : JSON-ready value of the caller.
    """

    digests: Mapping[str, str]
    psf: NDArray[np.float32]
    about: Mapping[str, Any] = field(default_factory=dict)

    def differences(self, other: Job) -> list[str]:
        """Return the names of what differs between two jobs.

        Examples
        --------
        >>> psf = np.ones((3, 3), np.float32) / 9
        >>> one, two = ({"image": "a", "settings": settings} for settings in "bc")
        >>> Job(digests=one, psf=psf).differences(Job(digests=two, psf=psf))
        ['settings']
        """
        mine, others = self.digests, other.digests
        return [name for name in {**mine, **others} if mine.get(name) != others.get(name)]


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The content of a checkpoint.

    Attributes
    ----------
    job : as it was stored.
    config : settings of the run, after all changes that memory or a collapse made necessary.
    device, precision : where it ran, such as "cpu" and "float32".
    step, steps : number of steps done, and of all steps.
    state : the run itself; None where only the header was read.
    """

    job: Job
    config: TrainConfig
    device: str
    precision: str
    step: int
    steps: int
    state: RunState | None = None

    def check_choice(self, choice: Choice) -> Choice:
        """Return the device and precision that a run goes on with; ConfigError if they are not as before."""
        now = choice.device.type, choice.precision
        if now != (self.device, self.precision):
            raise ConfigError(
                f"the interrupted run was on {self.device} in {self.precision}, this one is on {' in '.join(now)}",
                "set device and precision as they were, or start again without resume",
            )
        return choice


class CheckpointWriter:
    """Writes the state of a run into a file from time to time, and when it ends.

    A run shorter than `EVERY_S` writes nothing. If the file cannot be written, that is said once.
    """

    def __init__(self, path: Path, job: Job, config: TrainConfig, choice: Choice) -> None:
        self._path, self._job = path, job
        self._config, self._choice = config, choice
        self._last = self._begun = time.perf_counter()
        self._every = EVERY_S
        self._works = True

    def write_if_due(self, run: TrainingRun, step: int, seconds: float, ended: bool) -> Iterator[Warned]:
        """Write the state after a step if it is time for it."""
        now = time.perf_counter()
        due = now - self._last >= self._every or (ended and now - self._begun >= EVERY_S)
        if not due or not self._works:
            return
        stored = Stored(
            job=self._job,
            config=self._config,
            device=self._choice.device.type,
            precision=self._choice.precision,
            step=step,
            steps=step + run.schedule.steps_left,
            state=capture_state(run, step, seconds, ended),
        )
        try:
            write_checkpoint(self._path, stored)
        except ConfigError as error:
            self._works = False
            yield Warned(
                f"This run cannot continue after an interruption, because no checkpoint was written: {error}"
            )
        self._last = time.perf_counter()
        self._every = max(EVERY_S, (self._last - now) / _MOST_SHARE)


def write_checkpoint(path: Path, stored: Stored) -> None:
    """Write a checkpoint, whole or not at all; ConfigError if that fails."""
    state = stored.state
    assert state is not None
    header = {
        "format": FORMAT,
        "version": __version__,
        "job": json.dumps({"digests": dict(stored.job.digests), "about": dict(stored.job.about)}),
        "config": json.dumps(stored.config.to_dict()),
        "run": json.dumps({name: getattr(stored, name) for name in ("device", "precision", "step", "steps")}),
        "state": json.dumps({"seconds": state.seconds, "ended": state.ended, "values": dict(state.values)}),
    }
    psf = torch.from_numpy(np.ascontiguousarray(stored.job.psf, np.float32).copy())
    write_tensors(path, {**state.tensors, _PSF: psf}, header)


def read_checkpoint(path: Path, *, whole: bool = True) -> Stored:
    """Read a checkpoint, or its job and settings alone.

    Raises
    ------
    ConfigError
        If the file cannot be read, or is not a checkpoint of this version.
    """
    with open_tensors(path, FORMAT, "a checkpoint", _REMEDY) as (file, header):
        # Copies: the tensors are the file itself, which is replaced by the next checkpoint.
        tensors = {name: file.get_tensor(name).clone() for name in (file.keys() if whole else [_PSF])}
    try:
        return _stored(header, tensors, whole)
    except (ConfigError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise ConfigError(
            f"the checkpoint {path} is damaged or from another version ({cut(reason_of(error))})", _REMEDY
        ) from error


def _stored(header: Mapping[str, str], tensors: dict[str, torch.Tensor], whole: bool) -> Stored:
    job, run, told = (parse_json(header[name], name) for name in ("job", "run", "state"))
    psf = tensors.pop(_PSF).numpy()
    state = RunState(
        step=int(run["step"]),
        seconds=float(told["seconds"]),
        ended=bool(told["ended"]),
        tensors=tensors,
        values=dict(told["values"]),
    )
    return Stored(
        job=Job(digests=dict(job["digests"]), psf=psf, about=dict(job["about"])),
        config=TrainConfig.from_dict(parse_json(header["config"], "config")),
        device=str(run["device"]),
        precision=str(run["precision"]),
        step=int(run["step"]),
        steps=int(run["steps"]),
        state=state if whole else None,
    )
