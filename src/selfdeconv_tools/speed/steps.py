"""The training step: the library's own, against the plain one of `reference`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_selfdeconv.compute import device
from napari_selfdeconv.compute.malloc import retained_memory
from napari_selfdeconv.config.parts import Precision
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.network.initial_weights import initial_weights
from napari_selfdeconv.training.run import TrainingRun
from selfdeconv_tools.speed.figure import Pair, Setting, Target
from selfdeconv_tools.speed.inputs import gaussian_psf, precision_name, size_text, standard_image
from selfdeconv_tools.speed.reference import PlainStep
from selfdeconv_tools.speed.timing import Call

_IMAGE = {2: (512, 512), 3: (64, 128, 128)}
_SMALL_IMAGE = {2: (40, 40), 3: (20, 20, 20)}
# The paper's batch is 16 in 2D and 4 in 3D: on a processor a quarter is what one waits for.
_BATCH = {"cpu": {2: 4, 3: 1}, "cuda": {2: 16, 3: 4}}
_WANTED = {"cpu": {2: 3.0, 3: 3.5}, "cuda": {2: 4.0, 3: 4.0}}


def figures(setting: Setting) -> list[Pair]:
    """Return the steps of the paper's network and of the preset quick, 2D and 3D."""
    kind = "cuda" if setting.device.startswith("cuda") else "cpu"
    found = []
    for ndim in (2, 3):
        paper = step_config("paper", ndim, setting, batch_size=_BATCH[kind][ndim])
        found.append(_pair(f"step-{ndim}d-paper", paper, ndim, setting, (Target.ratio(_WANTED[kind][ndim]),)))
        found.append(_pair(f"step-{ndim}d-quick", step_config("quick", ndim, setting), ndim, setting))
    return found


def step_config(name: str, ndim: int, setting: Setting, **overrides: Any) -> TrainConfig:
    """Return a preset's settings, at sizes that only test the code where ``setting`` says so."""
    if setting.small:
        overrides |= dict(features=4, patch=16, batch_size=1, pretrained=False)
    return preset(name, ndim, device=setting.device, **overrides)


def make_run(config: TrainConfig, ndim: int, setting: Setting, precision: Precision = "auto") -> TrainingRun:
    """Return a run of the library on an image that is larger than its patches, ready for its first step."""
    image = standard_image((_SMALL_IMAGE if setting.small else _IMAGE)[ndim])
    choice = device.choose_device(setting.device, precision)
    weights = initial_weights(config, ndim) if config.start.pretrained else None
    bounds = (float(image.min()), float(image.max()))
    return TrainingRun([image], gaussian_psf(psf_shape(ndim, setting)), config, choice, bounds, weights)


def psf_shape(ndim: int, setting: Setting) -> tuple[int, ...]:
    """Return 17 voxels a side."""
    return (5 if setting.small else 17,) * ndim


def step_size(config: TrainConfig, ndim: int, setting: Setting) -> str:
    """Return how the size of a step reads in the table."""
    batch = (config.optimiser.batch_size, *[config.optimiser.patch] * ndim)
    return size_text(batch, "PSF", psf_shape(ndim, setting))


def _pair(name: str, config: TrainConfig, ndim: int, setting: Setting, targets: Sequence[Target] = ()) -> Pair:
    def ours() -> Call:
        return make_run(config, ndim, setting).make_step

    def baseline() -> Call:
        return PlainStep(make_run(config, ndim, setting, "float32"), gaussian_psf(psf_shape(ndim, setting)))

    return Pair(
        name=name,
        size=step_size(config, ndim, setting),
        compares="a training step, against a plain float32 one with a pass for each input",
        ours=ours,
        baseline=baseline,
        precision=precision_name(device.choose_device(setting.device, "auto").dtype),
        work=config.optimiser.batch_size * config.optimiser.patch**ndim,
        unit="voxels/s",
        targets=tuple(targets),
        around=retained_memory,
    )
