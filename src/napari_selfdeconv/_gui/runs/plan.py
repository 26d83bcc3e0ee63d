"""What 'Train' means for the image that is chosen: one image, a series, or one larger than memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_selfdeconv._gui.layers.exchange import LayerSnapshot, check_image, snapshot
from napari_selfdeconv._gui.runs.deconvolve import deconvolve_job
from napari_selfdeconv._gui.runs.inputs import Previews, RunInputs, required
from napari_selfdeconv._gui.runs.psf_choice import GivenPsf, Psf, optics_record, sized
from napari_selfdeconv._gui.runs.resume import GIVEN
from napari_selfdeconv._gui.runs.series import (
    fits_in_memory,
    image_snapshot,
    large_job,
    series_job,
    series_snapshot,
)
from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError

if TYPE_CHECKING:
    from napari_selfdeconv.api import InterruptedRun, Model


@dataclass(frozen=True)
class RunPlan:
    """A job and the layer it is for.

    Attributes
    ----------
    fills : whether the result fills a layer while it is computed.
    colour_picture : whether the result is a colour picture.
    about : what the record of the result says of its optics.
    trains : whether there are training steps.
    """

    job: Job
    layer: Image
    source: LayerSnapshot
    fills: bool = False
    colour_picture: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    trains: bool = True


@dataclass(frozen=True)
class Repetition:
    """An earlier run that is to be made again: its layer, PSF and settings, and how pixels were left out."""

    layer: Image
    psf: np.ndarray
    config: TrainConfig
    tiles: TileConfig
    weights: str | None = None


def plan_training(inputs: RunInputs, start_from: Model | None) -> RunPlan:
    """Return the job for what the forms say; ConfigError if something is missing."""
    layer = inputs.layer
    if layer is None or (required(inputs.plan) is None and not inputs.grey):
        check_image(layer)
    assert layer is not None
    plan = required(inputs.plan)
    if plan is not None and start_from is not None:
        raise ConfigError("A series starts with a new network: only a single image can continue a model.")
    psfs, config, tiles = required(inputs.psfs), required(inputs.config), required(inputs.tiles)
    weights, trains = required(inputs.weights), config.optimiser.steps > 0
    if plan is not None:
        source = sized(series_snapshot(layer, plan, grey=inputs.grey), psfs[0])
        if inputs.colour_picture and inputs.folder is not None:
            raise ConfigError(
                "A result on disk cannot be a colour picture: choose three channels, or untick 'Result on disk'."
            )
        about = {"grey": inputs.grey, "colour_picture": inputs.colour_picture}
        job = series_job(source, plan, psfs, config, tiles, inputs.previews, inputs.folder, weights, about)
        return RunPlan(job, layer, source, fills=True, colour_picture=inputs.colour_picture, trains=trains)
    source = sized(series_snapshot(layer, None, grey=True) if inputs.grey else snapshot(layer), psfs[0])
    folder = inputs.folder
    if folder is None and not fits_in_memory(source.data, inputs.memory_share):
        folder = inputs.cache_folder
    if folder is not None:
        job = large_job(source, psfs[0], config, tiles, inputs.previews, folder, weights)
        return RunPlan(job, layer, source, fills=True, trains=trains)
    job = deconvolve_job(source, psfs[0], config, tiles, inputs.previews, start_from, weights)
    return RunPlan(job, layer, source, about=optics_record(psfs[:1]), trains=trains)


def plan_resumed(found: InterruptedRun, inputs: RunInputs) -> RunPlan:
    """Return the job that goes on with an interrupted run; ConfigError if another image is chosen."""
    about = found.about
    name, shape = str(about["name"]), tuple(about["shape"])
    layer = inputs.layer
    if layer is None:
        raise ConfigError(f"Open the image '{name}' first and choose it.")
    series = SeriesPlan.from_dict(about["series"]) if "series" in about else None
    plain = series is None
    source = image_snapshot(layer) if plain else series_snapshot(layer, series, grey=bool(about["grey"]))
    if tuple(source.data.shape) != shape:
        sizes = " × ".join(map(str, shape))
        raise ConfigError(f"The interrupted run was on '{name}' ({sizes} pixels): choose that image.")
    weights = required(inputs.weights) if about["weights"] == GIVEN else about["weights"]
    voxel, tiles = about.get("voxel_um"), TileConfig.from_dict(about["tiles"])
    psf = GivenPsf(found.psf, source.voxel_um if voxel is None else tuple(voxel))
    if series is not None:
        # The checkpoint has the PSF of the first channel.
        channels = series.count("c", shape)
        psfs: tuple[Psf, ...] = (psf,) if channels == 1 else required(inputs.psfs)
        folder = None if about.get("folder") is None else Path(about["folder"])
        job = series_job(
            source, series, psfs, found.config, tiles, inputs.previews, folder, weights, resumed=found
        )
        return RunPlan(job, layer, source, fills=True, colour_picture=bool(about["colour_picture"]))
    if "out" in about:
        folder = Path(about["out"]).parent
        job = large_job(source, psf, found.config, tiles, inputs.previews, folder, weights, resumed=found)
        return RunPlan(job, layer, source, fills=True)
    job = deconvolve_job(source, psf, found.config, tiles, inputs.previews, weights=weights, resumed=found)
    return RunPlan(job, layer, source)


def plan_repetition(asked: Repetition, previews: Previews) -> RunPlan:
    """Return the job of an earlier run, whatever the forms say now."""
    source = image_snapshot(asked.layer)
    psf = GivenPsf(asked.psf, source.voxel_um)
    job = deconvolve_job(source, psf, asked.config, asked.tiles, previews, weights=asked.weights)
    return RunPlan(job, asked.layer, source, trains=asked.config.optimiser.steps > 0)
