"""One method on every frame of a file: a network that is trained or applied, or a classical method."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Generator, Sequence
from typing import Any, NamedTuple

import numpy as np

from napari_selfdeconv.api.apply import iter_apply_model
from napari_selfdeconv.api.checkpoints import Checkpoint
from napari_selfdeconv.api.chosen_method import weights_of
from napari_selfdeconv.api.classical import iter_classical
from napari_selfdeconv.api.deconvolution import iter_deconvolve
from napari_selfdeconv.api.image_part import channel_record
from napari_selfdeconv.api.inputs import ChosenPsf
from napari_selfdeconv.api.large_zarr import iter_deconvolve_zarr
from napari_selfdeconv.api.outcome import completed_record
from napari_selfdeconv.api.provenance import applied_record
from napari_selfdeconv.api.series import iter_deconvolve_series
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.config.template import Template
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import Cancelled
from napari_selfdeconv.events import Event
from napari_selfdeconv.inference.weigh import weighing_of
from napari_selfdeconv.io.images import ImageFile
from napari_selfdeconv.network.model import Model
from napari_selfdeconv.restoration.methods import Classical
from napari_selfdeconv.stop_token import StopToken


class Done(NamedTuple):
    """The result of a method on all frames of a file."""

    image: Any
    provenance: dict[str, Any]
    models: tuple[Model, ...] = ()
    losses: dict[str, list[float]] = {}  # noqa: RUF012
    written: bool = False


Work = Generator[Event, None, Done]


def train_on_image(
    file: ImageFile,
    template: Template,
    chosen: ChosenPsf,
    config: TrainConfig,
    stop: StopToken,
    into: str | os.PathLike[str] | None,
    overwrite: bool,
    checkpoint: Checkpoint | None,
) -> Work:
    """Train a network on an image of one channel; with ``into``, its result fills that OME-Zarr folder."""
    tiles, voxel, weights = template.training.tiles, file.voxel_um, weights_of(template.method)
    if into is not None:
        record = completed_record(file, [chosen])
        filled = yield from iter_deconvolve_zarr(
            file.data,
            chosen.psf,
            into,
            config,
            overwrite=overwrite,
            weights=weights,
            record=record,
            tiles=tiles,
            voxel_um=voxel,
            stop=stop,
            checkpoint=checkpoint,
        )
        return Done(filled.image, filled.provenance, (filled.model,), {}, written=True)
    result = yield from iter_deconvolve(
        file.data,
        chosen.psf,
        config,
        weights=weights,
        tiles=tiles,
        voxel_um=voxel,
        stop=stop,
        checkpoint=checkpoint,
    )
    return Done(result.image, result.provenance, (result.model,), result.losses)


def train_on_series(
    file: ImageFile,
    template: Template,
    psfs: Sequence[ChosenPsf],
    config: TrainConfig,
    plan: SeriesPlan,
    stop: StopToken,
    checkpoint: Checkpoint | None,
) -> Work:
    """Train networks on a series, as ``plan`` says."""
    arrays, tiles = [chosen.psf for chosen in psfs], template.training.tiles
    weights = weights_of(template.method)
    series = yield from iter_deconvolve_series(
        file.data,
        arrays,
        plan,
        config,
        weights=weights,
        tiles=tiles,
        voxel_um=file.voxel_um,
        stop=stop,
        checkpoint=checkpoint,
    )
    return Done(series.image, series.provenance, series.models)


def apply_models(file: ImageFile, template: Template, models: Sequence[Model], stop: StopToken) -> Work:
    """Apply existing models to every frame, one for each channel."""
    out = np.empty(file.data.shape, np.float32)
    weights, device = weights_of(template.method), template.method.device or "auto"
    tiles = template.training.tiles
    for where, channel in _frames(file):
        out[where] = yield from iter_apply_model(
            models[channel], file.data[where], weights=weights, tiles=tiles, stop=stop, device_name=device
        )
    name = file.record.file if file.record is not None else ""
    return Done(out, applied_record(models[0], name, weighing_of(weights)), tuple(models))


def run_classical(
    file: ImageFile, template: Template, psfs: Sequence[ChosenPsf], method: Classical, stop: StopToken
) -> Work:
    """Run a classical method on every frame. Settings chosen on the first frame of a channel hold for all.

    So do the iterations that the first frame has reached when ``stop`` ends it.
    """
    out = np.empty(file.data.shape, np.float32)
    weights, device = weights_of(template.method), template.method.device or "auto"
    settled: dict[int, Classical] = {}
    provenance: dict[str, Any] = {}
    for where, channel in _frames(file):
        one = settled.get(channel, method)
        if channel not in settled and settled and stop.stopped:
            one = dataclasses.replace(method, iterations=settled[0].iterations)
        part = stop.child(stops=channel not in settled)
        work = iter_classical(
            file.data[where], psfs[channel].psf, [one], weights=weights, stop=part, device_name=device
        )
        results = yield from work
        if not results:
            raise Cancelled("stopped before the settings were chosen")
        out[where] = results[0].image
        settled.setdefault(channel, results[0].settings)
        provenance = provenance or results[0].provenance
    return Done(out, provenance)


def _frames(file: ImageFile) -> list[tuple[tuple[int | slice, ...], int]]:
    """Return where each frame lies, and its channel."""
    plan = SeriesPlan(axes=file.axes.lower())
    times, channels = (plan.count(axis, file.data.shape) for axis in "tc")
    return [(plan.index(time, channel), channel) for channel in range(channels) for time in range(times)]


def first_frame(file: ImageFile, channel: int, spatial: tuple[int, ...]) -> ImageFile:
    """Return the first frame of a channel with the record of that channel alone."""
    where = SeriesPlan(axes=file.axes.lower()).index(0, channel)
    axes = "".join(axis for axis in file.axes if axis in "ZYX")
    record = None
    if file.record is not None:
        record = dataclasses.replace(channel_record(file.record, channel), axes=axes, shape=spatial)
    return dataclasses.replace(file, data=file.data[where], axes=axes, record=record)
