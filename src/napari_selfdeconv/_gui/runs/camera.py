"""What an image says of its camera and its pixels, in the worker's thread."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.events import Event
from napari_selfdeconv.stop_token import StopToken

if TYPE_CHECKING:
    from napari_selfdeconv.api import CameraReport, Unmeasured


@dataclass(frozen=True)
class Seen:
    """The pixels that hold no measurement, and the camera as the others show it."""

    pixels: Unmeasured
    camera: CameraReport


def weights_of(choice: Any) -> Any:
    """Return weights as `iter_deconvolve` takes them: 1 where labels are 0; a word or None unchanged."""
    if choice is None or isinstance(choice, str):
        return choice
    return (np.asarray(choice) == 0).astype(np.float32)


def look_job(data: Any, weights: Any, known: Mapping[str, float]) -> Job:
    """Return the job that looks at an image of two or three axes; its result is `Seen`.

    ``known`` are the numbers of the camera that are given, as `report_camera` takes them.
    """

    def job(token: StopToken) -> Generator[Event, None, Seen]:
        from napari_selfdeconv import api

        yield from ()
        image = np.asarray(data)
        pixels = api.find_unmeasured(image)
        token.raise_if_cancelled()
        return Seen(pixels, api.report_camera(image, weights=weights_of(weights), **known))

    return job
