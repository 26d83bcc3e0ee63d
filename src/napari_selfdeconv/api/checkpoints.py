"""Training that continues after the process was killed: the file, its job, and when the file is removed."""

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
from numpy.typing import NDArray

from napari_selfdeconv.compute.device import Choice
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Noted, Warned
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.psf.measure import psf_hash
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training.checkpoint import CheckpointWriter, Job, Stored, read_checkpoint

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Checkpoint:
    """A file in which training stores its state every 30 seconds, so that a run that was killed can go on.

    Attributes
    ----------
    path : path of the file. It is written whole or not at all. Reading it runs no code from it.
    resume : whether to continue from the file if it exists. Image, PSF and settings must be those of the run that
        wrote it.
    strict : with ``resume``, whether a file of another run is an error. Otherwise the run starts and replaces it.
    remove : whether the file is removed when the run has ended without an error. With False the caller stores the
        result first and then calls `discard`. A run that is cancelled always removes the file.
    about : JSON-ready value that is stored in the file.

    Examples
    --------
    >>> import tempfile
    >>> from napari_selfdeconv import deconvolve, preset
    >>> from napari_selfdeconv.api import iter_deconvolve
    >>> from napari_selfdeconv.events import drain
    >>> config = preset("quick", 2, steps=1, patch=16, features=2, batch_size=1, pretrained=False)
    >>> image, psf = np.random.default_rng(0).random((32, 32)), np.ones((3, 3)) / 9
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint = Checkpoint(f"{folder}/run.checkpoint", resume=True)
    ...     drain(iter_deconvolve(image, psf, config, checkpoint=checkpoint)).steps_done
    1
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
        """Return the checkpoint of a training on ``problems``, before far light is subtracted; None for None."""
        if file is None:
            return None
        digests = _digests(problems, config, start_from)
        return cls(file=file, job=Job(digests=digests, psf=problems[0].given_psf, about=file.about))

    @property
    def path(self) -> Path:
        return Path(self.file.path)

    def find_earlier(self) -> tuple[Stored | None, list[Event]]:
        """Return the state of an interrupted run, if it is to continue, and messages about it.

        Raises
        ------
        ConfigError
            If the file is not a checkpoint, or if ``strict`` is set and it belongs to another job.
        """
        if not self.path.exists():
            return None, []
        stored = read_checkpoint(self.path, whole=self.file.resume)
        place = f"step {stored.step} of {stored.steps}"
        if not self.file.resume:
            return None, [
                Warned(f"{self.path} holds an interrupted run ({place}). It is replaced, because resume is off.")
            ]
        other = stored.job.differences(self.job)
        if not other:
            return stored, [Noted(f"An interrupted run continues from {place}.")]
        if self.file.strict:
            raise ConfigError(
                f"{self.path} holds an interrupted run ({place}) with {_listed(other)}",
                "give what that run had, or start again without resume",
            )
        return None, []

    def writer(self, config: TrainConfig, choice: Choice) -> CheckpointWriter:
        """Return the writer for an attempt with these settings."""
        return CheckpointWriter(self.path, self.job, config, choice)


def discards_checkpoint(function: _F) -> _F:
    """Return a generator function that removes its ``checkpoint`` at its end or after ``stop.cancel()``."""

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


def _digests(problems: Sequence[Problem], config: TrainConfig, start_from: Model | None) -> dict[str, str]:
    """Return a digest of each thing that decides the result, by its name for the user."""
    pixels = [problem.image for problem in problems]
    # Pixels without a weight are filled, so another mask is another image.
    weights = [problem.weights for problem in problems if problem.weights is not None]
    pixels += [one for both in weights for one in (both.values, both.at_least) if one is not None]
    weighed = {} if start_from is None else start_from.network.state_dict()
    return {
        "image or mask": _digest(pixels),
        "PSF": psf_hash(problems[0].given_psf),
        "settings": hashlib.sha256(json.dumps(config.to_dict(), sort_keys=True).encode()).hexdigest(),
        "model to continue": _digest([value.detach().cpu().numpy() for value in weighed.values()]),
    }


def _digest(arrays: Sequence[NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _listed(names: Sequence[str]) -> str:
    """Return what differs, such as "another image and other settings"."""
    others = [f"other {name}" if name == "settings" else f"another {name}" for name in names]
    return " and ".join(filter(None, (", ".join(others[:-1]), others[-1])))
