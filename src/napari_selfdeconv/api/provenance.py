"""The record of a result: how it was made, as JSON-ready values. All records are built here.

`reproduce` reads these records, and also those of version 0.1. Nothing here loads torch for the record of a PSF.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv._version import __version__
from napari_selfdeconv.psf.beads import BeadPsf, BeadSettings
from napari_selfdeconv.psf.measure import psf_hash

if TYPE_CHECKING:
    import torch

    from napari_selfdeconv.compute.device import Choice
    from napari_selfdeconv.config.series import SeriesPlan
    from napari_selfdeconv.config.tiles import TileConfig
    from napari_selfdeconv.config.training import TrainConfig
    from napari_selfdeconv.inference.prepare import Problem
    from napari_selfdeconv.network.model import Model
    from napari_selfdeconv.physics.camera import Background
    from napari_selfdeconv.restoration.methods import Classical
    from napari_selfdeconv.training.model_selection import SelectedWeights

Record = dict[str, Any]
# These differ between the channels of a series, so the record of a series lists one for each channel.
_OF_A_CHANNEL = ("psf_sha256", "kept_step", "kept_share", "border_evened", "refined_iterations", "converged")


def training_record(
    config: TrainConfig,
    psf: NDArray[np.float32],
    choice: Choice,
    *,
    steps_done: int,
    selected: SelectedWeights,
    voxel_um: Sequence[float] | None,
    continued: Model | None = None,
    resumed_at: int | None = None,
) -> Record:
    """Return the record of a training run: that of a model.

    Parameters
    ----------
    config : the settings that were used, after changes because of memory or a collapse.
    psf : PSF with sum 1.
    choice : device and precision.
    steps_done, selected : number of steps, and the weights that were selected.
    voxel_um : voxel size of a frame.
    continued : the model that was trained further.
    resumed_at : the step at which an interrupted run continued; None for an uninterrupted run.
    """
    import torch

    record: Record = {
        **_software(),
        "torch": str(torch.__version__),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "config": config.to_dict(),
        "seed": config.seed,
        **_psf(psf),
        "voxel_um": None if voxel_um is None else [float(v) for v in voxel_um],
        "device": str(choice.device),
        "precision": choice.precision,
        "steps_done": steps_done,
        "kept_step": selected.step,
        "kept_share": selected.share,
    }
    if continued is not None:
        record["continued_from"] = dict(continued.provenance)
    if resumed_at is not None:
        record["resumed_at"] = resumed_at
    return record


def run_record(
    model: Model,
    *,
    problem: Problem,
    tiles: TileConfig,
    seconds: float,
    refined_iterations: int | None,
    stopped: bool,
    converged: bool,
) -> Record:
    """Return the record of a result: that of its model, and how the image was prepared and deconvolved.

    Parameters
    ----------
    problem : the image, or the first frame of a series that was trained on.
    tiles : the tile that was used. Another tile changes the last digits.
    refined_iterations : number of Richardson-Lucy iterations; None without refinement.
    """
    return {
        **model.provenance,
        "tiles": tiles.to_dict(),
        "seconds": round(seconds, 3),
        "border_evened": problem.border_evened,
        "refined_iterations": refined_iterations,
        "stopped": stopped,
        "converged": converged,
        **_noise_changes(problem),
        **_mask(problem),
        **({} if problem.far is None else {"background": _background(problem.far.background)}),
        **({} if problem.bright is None else {"bright_points": problem.bright.count}),
    }


def large_record(run: Record, block: Sequence[slice]) -> Record:
    """Return the record of an image larger than memory: that of its run, and the block that was trained on."""
    return {**run, "block": [[s.start, s.stop] for s in block]}


def series_record(
    runs: Sequence[Record],
    plan: SeriesPlan,
    shape: Sequence[int],
    *,
    seconds: float,
    stopped: bool,
    nan_frames: Sequence[tuple[int, int]],
) -> Record:
    """Return the record of a series from those of its channels.

    Parameters
    ----------
    runs : one for each channel.
    plan, shape : meaning and length of the axes.
    seconds, stopped : time and end of the whole series.
    nan_frames : (time, channel) of the frames that could not be deconvolved.
    """
    record: Record = {
        **runs[0],
        **{key: [run[key] for run in runs] for key in _OF_A_CHANNEL},
        "seconds": round(seconds, 3),
        "stopped": stopped,
        "series": {"axes": plan.axes, "train_on": plan.train_on, "times": plan.training_times(shape)},
    }
    # Every frame has its own mask.
    if "mask" in record:
        record["mask"] = {"from": record["mask"]["from"]}
    if nan_frames:
        record["nan_frames"] = [list(frame) for frame in nan_frames]
    return record


def applied_record(model: Model, image: str, weights: str | None = None) -> Record:
    """Return the record of a result that an existing model gave.

    Parameters
    ----------
    image : name of the image.
    weights : origin of the weights of its pixels: "auto", "auto+nan", "given" or None.

    Examples
    --------
    >>> from napari_selfdeconv import deconvolve, preset
    >>> config = preset("quick", 2, steps=1, patch=16, features=2, batch_size=1, pretrained=False)
    >>> model = deconvolve(np.random.default_rng(0).random((32, 32)), np.ones((3, 3)) / 9, config).model
    >>> applied_record(model, "cells 2")["applied_to"]
    'cells 2'
    """
    record = {**model.provenance, "applied_to": image}
    return record if weights is None else {**record, "mask": {"from": weights}}


def classical_record(
    settings: Classical,
    label: str,
    problem: Problem,
    device: torch.device,
    background: Background | None = None,
) -> Record:
    """Return the record of a classical method.

    Parameters
    ----------
    settings : settings with the chosen values.
    background : background of the model of the image, if it has one.
    """
    record: Record = {
        **_software(),
        "method": settings.method,
        "label": label,
        "settings": settings.to_dict(),
        "iterations": settings.iterations,
        **_psf(problem.psf),
        "device": str(device),
        **_noise_changes(problem),
        **_mask(problem),
    }
    if background is not None:
        record["background"] = _background(background)
    return record


def beads_record(result: BeadPsf, settings: BeadSettings) -> Record:
    """Return the record of a PSF that was averaged from beads."""
    return {
        **_software(),
        "beads_used": result.used,
        "beads_rejected": result.rejected,
        "settings": settings.to_dict(),
        "threshold": result.threshold,
        **_psf(result.psf),
        "voxel_um": list(result.voxel_um),
        "fwhm_um": list(result.fwhm_um),
    }


def psf_record(about: Mapping[str, Any]) -> Record:
    """Return the record of a PSF that was computed or prepared.

    Parameters
    ----------
    about : ``optics`` of a computed PSF (`told_optics`); ``prepared``, what was done to another one.

    Examples
    --------
    >>> psf_record({"prepared": {"from": "bead.tif", "did": ["centred"]}})["software"]
    'napari-selfdeconv'
    """
    return {**_software(), **about}


def _noise_changes(problem: Problem) -> Mapping[str, list[str]]:
    return {"noise_changes": list(problem.noise_changes)} if problem.noise_changes else {}


def _software() -> Mapping[str, str]:
    return {"software": "napari-selfdeconv", "version": __version__}


def _mask(problem: Problem) -> Mapping[str, Any]:
    """Return the origin of the weights, and the numbers of pixels of weight 0 and of saturated pixels."""
    if problem.weighing is None:
        return {}
    weights, pixels, saturated = problem.weights, 0, 0
    if weights is not None:
        pixels = weights.unmeasured
        saturated = 0 if weights.at_least is None else int(np.count_nonzero(weights.at_least))
    return {"mask": {"from": problem.weighing, "pixels": pixels, "saturated": saturated}}


def _psf(psf: NDArray[np.float32]) -> Mapping[str, Any]:
    return {"psf_sha256": psf_hash(psf), "psf_shape": list(psf.shape)}


def _background(background: Background) -> Mapping[str, float]:
    return {
        "constant": background.constant,
        "level": background.level,
        "mean": background.mean,
        "gain": background.gain,
    }
