"""An opened file, as every reader of a format returns it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.compute.allocation import check_allocation
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.facts import Facts
from napari_selfdeconv.io.plausible import check_facts
from napari_selfdeconv.io.record import ChannelRecord, ImageRecord

# No compression makes an image smaller by this factor. A set of several files may seem to.
_LARGEST_RATIO = 50_000
_CHANNEL_FIELDS = tuple(one.name for one in dataclasses.fields(ChannelRecord))
_IMAGE_FIELDS = (
    "voxel_z_um", "voxel_y_um", "voxel_x_um", "time_step_s",
    "objective", "magnification", "na", "immersion", "refractive_index",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Source:
    """One image of an opened file. It can be loaded while the file is open.

    Attributes
    ----------
    path, format : path and format of the file.
    axes, shape, dtype : as stored, with axes of length 1.
    series_names, series : the images of the file, and which of them this is.
    facts : what the file states.
    description : the file's own text.
    load : returns the pixels.
    """

    path: Path
    format: str
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Callable[[], NDArray[Any]]
    series_names: tuple[str, ...] = ("",)
    series: int = 0
    facts: Facts = field(default_factory=Facts)
    description: str = ""

    def check_size(self) -> None:
        """Refuse an image that is too large for the memory or for the size of its file, before it is loaded."""
        needed = math.prod(self.shape) * self.dtype.itemsize
        stored = self.path.stat().st_size
        size = " x ".join(map(str, self.shape))
        if self.path.is_file() and needed > _LARGEST_RATIO * max(stored, 1):
            raise ConfigError(
                f"{self.path.name} is damaged: it names {size} pixels, and its {stored} bytes cannot hold them",
                "export the image again",
            )
        check_allocation(
            f"{self.path.name} ({size} pixels)", needed, "crop it, or save its parts as several files"
        )

    def record(self, axes: str | None = None) -> ImageRecord:
        """Return the record of this image, with its values checked.

        Parameters
        ----------
        axes : one letter for each axis that is longer than 1, where the stored names are wrong.
        """
        shape, kept = squeezed(self.shape, self.axes)
        facts = self.facts
        kept = axes or kept
        count = shape[kept.index("C")] if "C" in kept else 1
        check_facts(facts, kept, count)
        channels = tuple(
            ChannelRecord(**{name: facts.values.get(f"channels.{number}.{name}") for name in _CHANNEL_FIELDS})
            for number in range(count)
        )
        return ImageRecord(
            file=self.path.name,
            format=self.format,
            series_names=self.series_names,
            series=self.series,
            axes=kept,
            shape=shape,
            dtype=str(self.dtype),
            channels=channels,
            sources={key: source for key, source in facts.sources.items() if _exists(key, count)},
            doubts=tuple(doubt for doubt in facts.doubts if _exists(doubt.field, count)),
            **{name: facts.values.get(name) for name in _IMAGE_FIELDS},
        )


def squeezed(shape: tuple[int, ...], axes: str) -> tuple[tuple[int, ...], str]:
    """Remove axes of length 1, except Y and X. A third axis without a name is z.

    Examples
    --------
    >>> squeezed((1, 5, 1, 8, 9), "TICYX")
    ((5, 8, 9), 'ZYX')
    """
    kept = [i for i, axis in enumerate(axes) if shape[i] != 1 or axis in "YX"]
    shape, axes = tuple(shape[i] for i in kept), "".join(axes[i] for i in kept)
    # A stack along an unnamed axis ("I" and "Q" in tifffile) is taken for a z-stack.
    return shape, "Z" + axes[1:] if len(axes) == 3 and axes[0] in "IQ" else axes


def check_series(name: str, series: int, count: int) -> None:
    """Raise ConfigError unless a file has the image asked for."""
    if count == 0:
        raise ConfigError(f"{name} holds no image")
    if not 0 <= series < count:
        raise ConfigError(f"{name} holds {count} images, numbered 0 to {count - 1}: it has no series {series}")


def pick_position(source: Source, series: int, names: tuple[str, ...] = ()) -> Source:
    """Return one position of a file that stores its positions as the axis P; other files as they are."""
    if "P" not in source.axes:
        return source
    index = source.axes.index("P")
    count = source.shape[index]
    check_series(source.path.name, series, count)
    return dataclasses.replace(
        source,
        axes=source.axes.replace("P", ""),
        shape=source.shape[:index] + source.shape[index + 1 :],
        series_names=names if len(names) == count else tuple(f"position {number}" for number in range(count)),
        series=series,
        load=lambda: np.take(source.load(), series, axis=index),
    )


def _exists(key: str, channels: int) -> bool:
    """Return whether a field belongs to the image or to a channel that the image has."""
    parts = key.split(".")
    return parts[0] != "channels" or int(parts[1]) < channels
