"""The lines that say what a run will take, before it runs: memory, and steps. Quick, and without torch."""

from __future__ import annotations

import math
from typing import TypeGuard

import numpy as np
import psutil
from napari.layers import Image

from napari_selfdeconv._gui.forms.fields import Note
from napari_selfdeconv._gui.layers.exchange import LayerSnapshot, voxel_um
from napari_selfdeconv._gui.runs.inputs import RunInputs, required
from napari_selfdeconv._gui.runs.psf_choice import GeneratedPsf, MeasuredPsf
from napari_selfdeconv._gui.runs.warm_up import usual_device
from napari_selfdeconv.api import is_only_refined, outlook, stack_psf_shape, suggest_psf_shape
from napari_selfdeconv.errors import ConfigError

# Side of a PSF whose size is not known yet, in voxels; it matters little.
_USUAL = 31


class MemoryNote(Note):
    """A line that follows the forms of a dock."""

    def follow(self, inputs: RunInputs) -> None:
        """Say what a run with these inputs would take."""
        self.say(memory_sentence(inputs))


def memory_sentence(inputs: RunInputs) -> str:
    """Return the expected memory of what the forms say; "" where that is not known yet."""
    layer = inputs.layer
    if not _is_used_whole(layer):
        return ""
    try:
        plan, config, tiles = required(inputs.plan), required(inputs.config), required(inputs.tiles)
        shape, psf_shape = _shapes(inputs, layer)
    except ConfigError:
        return ""
    device, precision = usual_device(config.compute.device)
    if config.compute.precision != "auto":
        precision = config.compute.precision
    free = psutil.virtual_memory().available if device == "cpu" else None
    frames = 1 if plan is None else len(plan.training_times(layer.data.shape))
    found = outlook(config, shape, psf_shape, tiles, precision=precision, free_bytes=free, frames=frames)
    return f"Memory: {found.sentence}"


def trains_nothing(inputs: RunInputs) -> bool:
    """Return whether the image is a stack that a new run refines with its whole PSF and does not train on."""
    if not _is_used_whole(inputs.layer):
        return False
    try:
        config, (shape, psf_shape) = required(inputs.config), _shapes(inputs, inputs.layer)
    except ConfigError:
        return False
    return is_only_refined(config, psf_shape, shape)


def _is_used_whole(layer: Image | None) -> TypeGuard[Image]:
    """Return whether all of the image is used: of an array that is not in memory it may be a block."""
    return layer is not None and not layer.multiscale and isinstance(layer.data, np.ndarray)


def _shapes(inputs: RunInputs, layer: Image) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of one image of the layer and of its PSF, in voxels.

    A PSF that is cleaned up or brought to other voxels has a size that is not known yet.
    """
    shape = (layer.data.shape[:-1] if layer.rgb else layer.data.shape)[-inputs.ndim :]
    match None if isinstance(inputs.psfs, ConfigError) else inputs.psfs[0]:
        case MeasuredPsf(source, clean=False) if source.ndim == inputs.ndim and _same_voxels(source, layer):
            return shape, source.data.shape
        case GeneratedPsf(optics, voxel_um, whole) if len(voxel_um) == len(shape) == 3:
            size = stack_psf_shape if whole else suggest_psf_shape
            return shape, size(optics, voxel_um, shape)
    return shape, tuple(min(_USUAL, n) for n in shape)


def _same_voxels(psf: LayerSnapshot, layer: Image) -> bool:
    """Return whether a PSF is used voxel for voxel: its voxels are those of the image, or unknown."""
    own, wanted = psf.voxel_um, voxel_um(layer)
    if own is None or wanted is None:
        return True
    return all(math.isclose(a, b, rel_tol=0.01) for a, b in zip(own, wanted[-len(own) :], strict=True))
