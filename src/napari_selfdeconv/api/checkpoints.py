"""Training that goes on after the process was killed: which file, for which job, and when the file goes."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import numpy as np

from napari_selfdeconv.compute.device import Choice
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Noted, Warned
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.network.model import Model, psf_hash
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training.checkpoint import CheckpointWriter, Job, Stored, read_checkpoint

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Checkpoint:
    """A file in which training stores its state every 30 seconds, so that a run that was killed can go on.

    Attributes
    ----------
    path : of the file. It is written whole or not at all, and runs no code when it is read.
    resume : go on from the file if it is there. Image, PSF and settings must be those of the run that wrote it.
    strict : with ``resume``, whether a file of another run is an error; otherwise the run begins and replaces it.
    remove : whether the file is removed when the run has ended well. False leaves that to the caller, who stores
        the result first and then calls `discard`. A run that is cancelled removes it always.
    about : JSON-ready, stored in the file as it is.
    """

    path: str | os.PathLike[str]
    resume: bool = False
    strict: bool = True
    remove: bool = True
    about: Mapping[str, Any] = field(default_factory=dict)

    def of_channel(self, number: int) -> Self:
        """Return the checkpoint of a channel of a series: a file beside the first one."""
        return self if number == 0 else replace(self, path=f"{os.fspath(self.path)}.c{number}")

    def discard(self) -> None:
        """Remove the file, and those of further channels."""
        number = 0
        while (path := Path(self.of_channel(number).path)).is_file() or number == 0:
            path.unlink(missing_ok=True)
            number += 1


@dataclass(frozen=True, kw_only=True)
class JobCheckpoint:
    """A checkpoint and the job that it is for."""

    file: Checkpoint
    job: Job

    @classmethod
    def of(
        cls,
        file: Checkpoint | None,
        problems: Sequence[Problem],
        config: TrainConfig,
        start_from: Model | None = None,
    ) -> Self | None:
        """Return the checkpoint of a training on ``problems``, before far light is taken off; None for None."""
        if file is None:
            return None
        key = _key(problems, config, start_from)
        return cls(file=file, job=Job(key=key, psf=problems[0].given_psf, about=file.about))

    @property
    def path(self) -> Path:
        return Path(self.file.path)

    def find_earlier(self) -> tuple[Stored | None, list[Event]]:
        """Return what an interrupted run has left, if it is to go on, and what to say about it.

        Raises
        ------
        ConfigError
            If the file is not a checkpoint, or is one of another job and that is an error.
        """
        if not self.path.exists():
            return None, []
        stored = read_checkpoint(self.path, whole=self.file.resume)
        place = f"step {stored.step} of {stored.steps}"
        if not self.file.resume:
            return None, [
                Warned(
                    f"{self.path} holds an interrupted run ({place}). It is replaced: resume was not asked for."
                )
            ]
        if stored.job.key == self.job.key:
            return stored, [Noted(f"An interrupted run goes on from {place}.")]
        if self.file.strict:
            raise ConfigError(
                f"{self.path} holds an interrupted run on another image, PSF or settings ({place})",
                "give those of that run, or begin again without resume",
            )
        return None, []

    def writer(self, config: TrainConfig, choice: Choice) -> CheckpointWriter:
        """Return the writer for an attempt with these settings."""
        return CheckpointWriter(self.path, self.job, config, choice)


def discards_checkpoint(function: _F) -> _F:
    """Return a generator function that removes its ``checkpoint`` if it ends well or ``stop`` was cancelled."""

    @functools.wraps(function)
    def discarding(
        *args: Any, checkpoint: Checkpoint | None = None, stop: StopToken | None = None, **options: Any
    ) -> Generator[Event, None, Any]:
        stop, ended = stop or StopToken(), False
        try:
            result = yield from function(*args, checkpoint=checkpoint, stop=stop, **options)
            ended = True
        finally:
            if checkpoint is not None and (stop.cancelled or (ended and checkpoint.remove)):
                checkpoint.discard()
        return result

    return cast("_F", discarding)


def _key(problems: Sequence[Problem], config: TrainConfig, start_from: Model | None) -> str:
    digest = hashlib.sha256(json.dumps(config.to_dict(), sort_keys=True).encode())
    for problem in problems:
        arrays = [problem.image]
        if problem.weights is not None:
            arrays += [one for one in (problem.weights.values, problem.weights.at_least) if one is not None]
        for array in arrays:
            digest.update(f"{array.shape} {array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).data)
    digest.update(psf_hash(problems[0].given_psf).encode())
    if start_from is not None:
        for name, value in start_from.network.state_dict().items():
            digest.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
