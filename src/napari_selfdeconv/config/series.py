"""The meaning of the axes of a series, and the frames to train on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from napari_selfdeconv.config.checks import shown
from napari_selfdeconv.config.rules import Text, Whole
from napari_selfdeconv.config.settings import Settings
from napari_selfdeconv.errors import ConfigError

_AXES = "y and x, or z, y and x in this order, with at most one t and one c"
TrainOn = Literal["current", "sampled"]


@dataclass(frozen=True, kw_only=True)
class SeriesPlan(Settings):
    """How to treat a series.

    Attributes
    ----------
    axes : one letter for each axis: "t" time, "c" channel, and "z", "y", "x" in this order, as in "tzyx" or "cyx".
    train_on : "current" trains on the frame ``current``, "sampled" on ``frames`` of them, spread evenly over time.
    current : index of a time point.
    frames : at least 1; more than there are means all.

    Examples
    --------
    >>> plan = SeriesPlan(axes="tczyx", train_on="sampled", frames=3)
    >>> plan.spatial, plan.training_times((9, 2, 5, 64, 64)), plan.index(4, 1)
    ('zyx', [0, 4, 8], (4, 1, slice(None, None, None), slice(None, None, None), slice(None, None, None)))
    """

    axes: Annotated[str, Text(_AXES)]
    train_on: TrainOn = "current"
    current: Annotated[int, Whole(0, 10_000_000)] = 0
    frames: Annotated[int, Whole(1, 10_000)] = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        spatial = re.sub("[tc]", "", self.axes)
        if spatial not in ("yx", "zyx") or self.axes.count("t") > 1 or self.axes.count("c") > 1:
            raise ConfigError(f"axes must be {_AXES}, got {shown(self.axes)}")

    @property
    def spatial(self) -> str:
        """The axes of one frame."""
        return re.sub("[tc]", "", self.axes)

    def check(self, shape: Sequence[int]) -> None:
        """Raise ConfigError unless an array of ``shape`` has these axes, and the frame to train on."""
        if len(shape) != len(self.axes):
            raise ConfigError(
                f"the axes {self.axes!r} are {len(self.axes)}, but the image has shape {tuple(shape)}"
            )
        if self.current >= self.count("t", shape):
            raise ConfigError(
                f"current must be below {self.count('t', shape)}, the number of frames, got {self.current}"
            )

    def count(self, axis: str, shape: Sequence[int]) -> int:
        """Return how many time points or channels there are; 1 without that axis."""
        return int(shape[self.axes.index(axis)]) if axis in self.axes else 1

    def frame_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return the shape of one frame."""
        return tuple(int(n) for n, axis in zip(shape, self.axes, strict=True) if axis in self.spatial)

    def index(self, time: int, channel: int) -> tuple[int | slice, ...]:
        """Return what picks one frame out of the array."""
        places: dict[str, int | slice] = {"t": time, "c": channel}
        return tuple(places.get(axis, slice(None)) for axis in self.axes)

    def frame_name(self, time: int, channel: int) -> str:
        """Return how a message calls a frame, counted from 0: "Frame 3 of channel 1"."""
        frame = f"Frame {time}" if "t" in self.axes else "The image"
        return f"{frame} of channel {channel}" if "c" in self.axes else frame

    def left_as_it_is(self, time: int, channel: int) -> str:
        """Return what is said about a constant frame."""
        return f"{self.frame_name(time, channel)} is constant and was left as it is."

    def without_result(self, time: int, channel: int, why: object) -> str:
        """Return what is said about a frame that cannot be deconvolved."""
        return f"{self.frame_name(time, channel)} is NaN in the result: {why}"

    def training_times(self, shape: Sequence[int]) -> list[int]:
        """Return the time points to train on."""
        if self.train_on == "current":
            return [self.current]
        count = self.count("t", shape)
        return sorted({int(t) for t in np.linspace(0, count - 1, min(self.frames, count)).round()})
