"""The values of the main dock's forms: all that a run needs from the window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from napari.layers import Image

from napari_selfdeconv._gui.runs.psf_choice import Psf
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError

Region = tuple[slice, ...]
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Previews:
    """What to preview; both functions are called repeatedly from the worker's thread.

    Attributes
    ----------
    region : returns the part of the image, or None while that is unknown.
    extra : returns whether the reblurred image or the residual is wanted.
    """

    region: Callable[[], Region | None]
    extra: Callable[[], bool]


@dataclass(frozen=True, kw_only=True)
class RunInputs:
    """The answers of the forms. An answer that cannot be used is an error: see `required`.

    Attributes
    ----------
    layer : the image layer that is chosen, or None.
    ndim : axes of one image, or of one frame of a series.
    plan : what the axes mean; None for one plain image.
    grey : whether the mean of a picture's colours is wanted.
    colour_picture : whether the result of a colour picture is to be one.
    psfs : one PSF for all channels, or one for each.
    config, tiles, device : how to train, how to predict, and where.
    folder : where the result is written; None for a result in memory.
    cache_folder : where it is written if it does not fit into memory.
    memory_share : how much of the free memory a run may take.
    previews : what to show during the run.
    weights : which pixels count, as `weights_of` takes it.
    camera : the camera settings that are given, as settings of a classical method.
    """

    layer: Image | None
    ndim: int
    plan: SeriesPlan | ConfigError | None
    grey: bool
    colour_picture: bool
    psfs: tuple[Psf, ...] | ConfigError
    config: TrainConfig | ConfigError
    tiles: TileConfig | ConfigError
    device: str
    folder: Path | None
    cache_folder: Path
    memory_share: float
    previews: Previews
    weights: Any = None
    camera: Mapping[str, Any] | ConfigError = field(default_factory=dict)


def answer(read: Callable[[], _T]) -> _T | ConfigError:
    """Return what ``read`` returns, or the ConfigError that it raises."""
    try:
        return read()
    except ConfigError as error:
        return error


def required(given: _T | ConfigError) -> _T:
    """Return a required answer; raise the error if the form gave one instead."""
    if isinstance(given, ConfigError):
        raise given
    return given
