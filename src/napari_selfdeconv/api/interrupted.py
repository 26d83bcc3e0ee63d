"""Runs of the docks that a crash has interrupted. Their checkpoints are in the user's cache folder."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from napari_selfdeconv.api.checkpoints import Checkpoint
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError, reason_of
from napari_selfdeconv.io.atomic import find_leftovers, temporary_name
from napari_selfdeconv.io.microscope_files import FOLDER_VARIABLE
from napari_selfdeconv.io.ome_zarr import remove_unfinished
from napari_selfdeconv.training.checkpoint import read_checkpoint

# Older ones are removed: each takes a few megabytes.
_MOST = 5
_ENDING = "checkpoint"


@dataclass(frozen=True, kw_only=True)
class InterruptedRun:
    """A run whose process has ended before the run.

    Attributes
    ----------
    path : path of its checkpoint.
    step, steps : number of steps done, and of all steps.
    psf : the PSF, with sum 1.
    config : the requested settings.
    about : the value that the checkpoint was given. "out" is the folder that the run makes for its result, if it
        makes one.

    Examples
    --------
    >>> run = find_interrupted()
    >>> run is None or run.step <= run.steps
    True
    """

    path: Path
    step: int
    steps: int
    psf: NDArray[np.float32]
    config: TrainConfig
    about: Mapping[str, Any]

    def discard(self) -> Path | None:
        """Remove the checkpoint, those of further channels, and the unfinished result on disk.

        Returns
        -------
        Path or None
            The folder of a result that stays, as `remove_output` says. A run that is continued elsewhere keeps
            everything.
        """
        with contextlib.suppress(ConfigError, OSError), self.claimed() as mine:
            Checkpoint(mine).discard()
            return self.remove_output()
        return None

    def remove_output(self) -> Path | None:
        """Remove the OME-Zarr folder that the run was filling.

        Returns
        -------
        Path or None
            The folder if it stays: the result in it is complete, it holds other files, or it cannot be removed.
        """
        made = self.about.get("out")
        return None if made is None or remove_unfinished(made) else Path(made)

    @contextlib.contextmanager
    def claimed(self) -> Iterator[Path]:
        """Give the checkpoint a name of this process, under which no other process offers or removes it.

        The old name returns if the run ends and leaves the checkpoint, so that the run is offered again.

        Raises
        ------
        ConfigError
            If the run is continued elsewhere or was discarded.
        """
        mine = self.path.with_name(temporary_name(_ENDING))
        try:
            written = self.path.stat()
            os.utime(self.path)  # An older file does not count as one of this process.
            self.path.rename(mine)
            _rename_channels(self.path, mine)
        except FileNotFoundError as error:
            raise ConfigError("The interrupted run is continued in another window, or was discarded.") from error
        except OSError as error:
            raise ConfigError(f"The interrupted run cannot continue: {reason_of(error)}.") from error
        try:
            yield mine
        finally:
            with contextlib.suppress(OSError):
                _rename_channels(mine, self.path)
                os.utime(mine, ns=(written.st_atime_ns, written.st_mtime_ns))
                mine.rename(self.path)


def new_checkpoint(config: TrainConfig, about: Mapping[str, Any]) -> Checkpoint | None:
    """Return a checkpoint for a run of this process; None if the cache folder cannot be made.

    Parameters
    ----------
    config : settings of the run.
    about : JSON-ready value that `find_interrupted` returns.

    Examples
    --------
    >>> from napari_selfdeconv import preset
    >>> checkpoint = new_checkpoint(preset("quick", 2), {"name": "cells"})
    >>> checkpoint is None or dict(checkpoint.about)["name"]
    'cells'
    """
    folder = _folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return Checkpoint(folder / temporary_name(_ENDING), about={**about, "config": config.to_dict()})


def find_interrupted() -> InterruptedRun | None:
    """Return the newest interrupted run. Unreadable checkpoints and the oldest of many are removed.

    Examples
    --------
    >>> run = find_interrupted()
    >>> run is None or 0 <= run.step <= run.steps
    True
    """
    left = find_leftovers(_folder(), _ENDING)
    found = None
    for number, path in enumerate(left):
        if found is None:
            found = _read(path)
        # One that has gone meanwhile was claimed by another process.
        if (number >= _MOST or found is None) and path.exists():
            with contextlib.suppress(OSError):
                Checkpoint(path).discard()
    return found


def _rename_channels(old: Path, new: Path) -> None:
    """Rename the checkpoints of further channels."""
    for number in itertools.count(1):
        path = Path(Checkpoint(old).of_channel(number).path)
        if not path.exists():
            return
        path.rename(Checkpoint(new).of_channel(number).path)


def _read(path: Path) -> InterruptedRun | None:
    try:
        stored = read_checkpoint(path, whole=False)
        config = TrainConfig.from_dict(stored.job.about["config"])
    except (ConfigError, KeyError):
        return None
    return InterruptedRun(
        path=path,
        step=stored.step,
        steps=stored.steps,
        psf=stored.job.psf,
        config=config,
        about=stored.job.about,
    )


def _folder() -> Path:
    given = os.environ.get(FOLDER_VARIABLE)
    return Path(given) if given else platformdirs.user_cache_path("napari-selfdeconv", appauthor=False)
