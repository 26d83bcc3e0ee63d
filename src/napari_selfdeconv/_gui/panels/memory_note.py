"""The lines that say what a run will take, before it runs: memory, and steps. Quick, and without torch."""

from __future__ import annotations

import numpy as np
import psutil
from napari.layers import Image

from napari_selfdeconv._gui.forms.fields import Note
from napari_selfdeconv._gui.runs.inputs import RunInputs, required
from napari_selfdeconv._gui.runs.psf_choice import GeneratedPsf, GivenPsf, MeasuredPsf
from napari_selfdeconv._gui.runs.warm_up import usual_device
from napari_selfdeconv.api import is_only_refined, outlook, stack_psf_shape, suggest_psf_shape
from napari_selfdeconv.errors import ConfigError

# Side of the PSF of a plane that is yet to be generated, in voxels; it matters little.
_GENERATED = 31


class MemoryNote(Note):
    """A line that follows the forms of a dock."""

    def follow(self, inputs: RunInputs) -> None:
        """Say what a run with these inputs would take."""
        self.say(memory_sentence(inputs))


def memory_sentence(inputs: RunInputs) -> str:
    """Return the expected memory of what the forms say; "" where that is not known yet."""
    layer = inputs.layer
    # Of an array that is not in memory only a block is trained on.
    if layer is None or layer.multiscale or not isinstance(layer.data, np.ndarray):
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
    if inputs.layer is None or inputs.layer.multiscale:
        return False
    try:
        config, (shape, psf_shape) = required(inputs.config), _shapes(inputs, inputs.layer)
    except ConfigError:
        return False
    return is_only_refined(config, psf_shape, shape)


def _shapes(inputs: RunInputs, layer: Image) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of one image of the layer and of its PSF, in voxels."""
    shape = (layer.data.shape[:-1] if layer.rgb else layer.data.shape)[-inputs.ndim :]
    match None if isinstance(inputs.psfs, ConfigError) else inputs.psfs[0]:
        case MeasuredPsf(source) if source.ndim == inputs.ndim:
            return shape, source.data.shape
        case GivenPsf(array, _):
            return shape, array.shape
        case GeneratedPsf(optics, voxel_um, whole) if len(voxel_um) == len(shape) == 3:
            size = stack_psf_shape if whole else suggest_psf_shape
            return shape, size(optics, voxel_um, shape)
    return shape, tuple(min(_GENERATED, n) for n in shape)
