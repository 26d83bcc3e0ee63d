"""One method on every frame of a file: a network that is trained or applied, or a classical method."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.api.apply import iter_apply_model
from napari_selfdeconv.api.checkpoints import Checkpoint
from napari_selfdeconv.api.chosen_method import weights_of
from napari_selfdeconv.api.chosen_psf import ChosenPsf
from napari_selfdeconv.api.classical import iter_classical
from napari_selfdeconv.api.deconvolution import iter_deconvolve
from napari_selfdeconv.api.image_part import channel_record
from napari_selfdeconv.api.large_zarr import iter_deconvolve_zarr
from napari_selfdeconv.api.outcome import completed_record
from napari_selfdeconv.api.provenance import applied_record
from napari_selfdeconv.api.series import iter_deconvolve_series
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.config.template import Template
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import Cancelled, ConstantImage, UnusablePixels
from napari_selfdeconv.events import Event, Warned
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
    weights, device = weights_of(template.method), template.method.device or "auto"
    tiles = template.training.tiles

    def one_frame(frame: NDArray[Any], channel: int) -> Generator[Event, None, NDArray[np.float32]]:
        return iter_apply_model(
            models[channel], frame, weights=weights, tiles=tiles, stop=stop, device_name=device
        )

    out, unusable = yield from _on_every_frame(file, one_frame)
    name = file.record.file if file.record is not None else ""
    return Done(out, applied_record(models[0], name, weighing_of(weights)) | unusable, tuple(models))


def run_classical(
    file: ImageFile, template: Template, psfs: Sequence[ChosenPsf], method: Classical, stop: StopToken
) -> Work:
    """Run a classical method on every frame. Settings chosen on the first frame of a channel hold for all.

    So do the iterations that the first frame has reached when ``stop`` ends it.
    """
    weights, device = weights_of(template.method), template.method.device or "auto"
    settled: dict[int, Classical] = {}
    provenance: dict[str, Any] = {}

    def one_frame(frame: NDArray[Any], channel: int) -> Generator[Event, None, NDArray[np.float32]]:
        nonlocal provenance
        one = settled.get(channel, method)
        if channel not in settled and settled and stop.stopped:
            one = dataclasses.replace(method, iterations=next(iter(settled.values())).iterations)
        part = stop.child(stops=channel not in settled)
        work = iter_classical(frame, psfs[channel].psf, [one], weights=weights, stop=part, device_name=device)
        results = yield from work
        if not results:
            raise Cancelled("stopped before the settings were chosen")
        settled.setdefault(channel, results[0].settings)
        provenance = provenance or results[0].provenance
        return results[0].image

    out, unusable = yield from _on_every_frame(file, one_frame)
    return Done(out, provenance | unusable)


def _on_every_frame(
    file: ImageFile, one_frame: Callable[[NDArray[Any], int], Generator[Event, None, NDArray[np.float32]]]
) -> Generator[Event, None, tuple[NDArray[np.float32], dict[str, Any]]]:
    """Return the results of all frames, and for the record which of them are NaN.

    As in `iter_deconvolve_series` a constant frame is copied, and one with NaN or infinite pixels is NaN. A
    `Warned` names it. If no frame can be used, the error of the first one is raised.
    """
    plan = SeriesPlan(axes=file.axes.lower())
    times, channels = (plan.count(axis, file.data.shape) for axis in "tc")
    out = np.empty(file.data.shape, np.float32)
    errors: list[UnusablePixels] = []
    nan_frames: list[list[int]] = []
    for channel, time in np.ndindex(channels, times):
        where = plan.index(time, channel)
        try:
            out[where] = yield from one_frame(file.data[where], channel)
            continue
        except UnusablePixels as error:
            errors.append(error)
        if len(errors) == channels * times:
            raise errors[0]
        if isinstance(errors[-1], ConstantImage):
            out[where] = file.data[where]
            yield Warned(plan.left_as_it_is(time, channel))
        else:
            out[where] = np.nan
            nan_frames.append([time, channel])
            yield Warned(plan.without_result(time, channel, errors[-1]))
    return out, {"nan_frames": nan_frames} if nan_frames else {}


def first_frame(file: ImageFile, channel: int, spatial: tuple[int, ...]) -> ImageFile:
    """Return the first frame of a channel with the record of that channel alone."""
    where = SeriesPlan(axes=file.axes.lower()).index(0, channel)
    axes = "".join(axis for axis in file.axes if axis in "ZYX")
    record = None
    if file.record is not None:
        record = dataclasses.replace(channel_record(file.record, channel), axes=axes, shape=spatial)
    return dataclasses.replace(file, data=file.data[where], axes=axes, record=record)
