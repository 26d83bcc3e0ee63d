"""The camera and the pixels of an image, examined in the worker's thread."""

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


_LEVELS = 96


@dataclass(frozen=True)
class Histogram:
    """How many pixels lie between two neighbours of ``edges``: those that are measured, and the others."""

    edges: np.ndarray
    measured: np.ndarray
    left_out: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray, left_out: np.ndarray) -> Histogram:
        """Count the finite pixels of ``image``; those where ``left_out`` is true apart from the others.

        Examples
        --------
        >>> found = Histogram.of(np.array([[0.0, 1.0], [1.0, np.nan]]), np.array([[False, True], [False, True]]))
        >>> int(found.measured.sum()), int(found.left_out.sum())
        (2, 1)
        """
        finite = np.isfinite(image)
        shown = image[finite]
        edges = np.histogram_bin_edges(shown, _LEVELS)
        apart = np.histogram(shown[left_out[finite]], edges)[0]
        return cls(edges, np.histogram(shown, edges)[0] - apart, apart)


@dataclass(frozen=True)
class Seen:
    """The pixels without a measurement, the camera estimated from the others, and the counts of grey levels."""

    pixels: Unmeasured
    camera: CameraReport
    histogram: Histogram


def weights_of(choice: Any) -> Any:
    """Return weights as `iter_deconvolve` takes them: 1 where labels are 0; a word or None unchanged."""
    if choice is None or isinstance(choice, str):
        return choice
    return (np.asarray(choice) == 0).astype(np.float32)


@dataclass(frozen=True)
class LabelWeights:
    """The weights that labels stand for, 1 where there is no label; computed when a part is read."""

    labels: Any

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(int(n) for n in self.labels.shape)

    def __getitem__(self, where: Any) -> np.ndarray:
        weights: np.ndarray = (np.asarray(self.labels[where]) == 0).astype(np.float32)
        return weights


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
        report = api.report_camera(image, weights=weights_of(weights), **known)
        return Seen(pixels, report, Histogram.of(image, pixels.labels > 0))

    return job
