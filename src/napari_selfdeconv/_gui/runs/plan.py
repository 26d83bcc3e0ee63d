"""What 'Train' means for the image that is chosen: one image, a series, or one larger than memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image

from napari_selfdeconv._gui.layers.exchange import LayerSnapshot, check_image, freeze
from napari_selfdeconv._gui.plugin.preferences import preferences
from napari_selfdeconv._gui.runs.deconvolve import GivenPsf, deconvolve_job
from napari_selfdeconv._gui.runs.series import fits_in_memory, freeze_series, large_job, series_job
from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError


@dataclass(frozen=True)
class RunPlan:
    """A job, the layer it is for, and whether its result fills a layer while it comes."""

    job: Job
    layer: Image
    source: LayerSnapshot
    fills: bool = False


def plan_training(dock: Any, start_from: Any) -> RunPlan:
    """Return the job for what the forms say; ConfigError if something is missing."""
    layer = dock.image_box.layer
    plan = dock.axes_form.plan() if layer is not None else None
    panel, form = dock.preview_panel, dock.train_form
    folder = preferences().cache_folder if form.to_disk.isChecked() else None
    if layer is not None and plan is not None:
        if start_from is not None:
            raise ConfigError("A series is trained anew: continuing a model is for a single image.")
        source = freeze_series(layer, plan, grey=dock.axes_form.grey())
        given = dock.axes_form.channel_psfs(plan.count("c", source.data.shape))
        psfs = [dock.psf_form.freeze(layer, psf) for psf in given or [None]]
        config = form.config(len(plan.spatial))
        job = series_job(source, plan, psfs, config, form.tiles(), panel.region, panel.extra, folder)
        return RunPlan(job, layer, source, fills=True)
    if layer is not None and dock.axes_form.grey():
        source = freeze_series(layer, None, grey=True)
    else:
        check_image(layer)
        source = freeze(layer)
    assert layer is not None
    psf, config = dock.psf_form.freeze(layer), form.config(source.ndim)
    if folder is None and not fits_in_memory(source.data, preferences().memory_share):
        folder = preferences().cache_folder
    if folder is not None:
        job = large_job(source, psf, config, form.tiles(), panel.region, panel.extra, folder)
        return RunPlan(job, layer, source, fills=True)
    job = deconvolve_job(source, psf, config, form.tiles(), panel.region, panel.extra, start_from)
    return RunPlan(job, layer, source)


def plan_repeat(dock: Any, layer: Image, psf: np.ndarray, config: TrainConfig, tiles: TileConfig) -> RunPlan:
    """Return the job of an earlier run."""
    source, panel = freeze(layer), dock.preview_panel
    job = deconvolve_job(source, GivenPsf(psf, source.voxel_um), config, tiles, panel.region, panel.extra)
    return RunPlan(job, layer, source)
