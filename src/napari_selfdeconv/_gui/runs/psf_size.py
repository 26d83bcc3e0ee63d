"""What the PSF of a stack holds of its light, in two sizes; computed in the worker's thread."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.events import Event
from napari_selfdeconv.stop_token import StopToken

if TYPE_CHECKING:
    from napari_selfdeconv.api import PsfCost


@dataclass(frozen=True)
class PsfSizes:
    """The PSF of the automatic size, and the one as large as the stack."""

    automatic: PsfCost
    whole: PsfCost


def sizes_job(
    optics: Optics, voxel_um: tuple[float, ...], image_shape: tuple[int, ...], config: TrainConfig
) -> Job:
    """Return the job that measures both sizes; its result is `PsfSizes`."""

    def job(token: StopToken) -> Generator[Event, None, PsfSizes]:
        from napari_selfdeconv import api

        yield from ()
        found = []
        for shape in (
            api.suggest_psf_shape(optics, voxel_um, image_shape),
            api.stack_psf_shape(optics, voxel_um, image_shape),
        ):
            token.raise_if_cancelled()
            found.append(api.psf_cost(shape, optics, voxel_um, image_shape, config))
        return PsfSizes(*found)

    return job
