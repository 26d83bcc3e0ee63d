"""Reading what a file states about the microscope, in the worker's thread, because the disk may be slow."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event
from napari_selfdeconv.stop_token import StopToken

if TYPE_CHECKING:
    from napari_selfdeconv.api import ImageRecord


def record_job(path: Path) -> Job:
    """Return the job that reads the record of a file; its result is None if no record can be read."""

    def job(_token: StopToken) -> Generator[Event, None, ImageRecord | None]:
        from napari_selfdeconv import api

        yield from ()
        try:
            return api.read_record(path)
        except ConfigError:
            # Opened by another reader, in a format that is not known here: it states nothing.
            return None

    return job
