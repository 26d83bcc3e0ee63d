"""The line that says how much memory a run will take, before it runs. Quick, and without torch."""

from __future__ import annotations

import numpy as np
import psutil

from napari_selfdeconv._gui.forms.fields import Note
from napari_selfdeconv._gui.runs.inputs import RunInputs, required
from napari_selfdeconv._gui.runs.psf_choice import MeasuredPsf
from napari_selfdeconv._gui.runs.warm_up import usual_device
from napari_selfdeconv.api import outlook
from napari_selfdeconv.errors import ConfigError

# Side of a PSF that is yet to be generated, in voxels: about what `psf_for_image` makes; it matters little.
_GENERATED = 31


class MemoryNote(Note):
    """A line that follows the forms of a dock."""

    def follow(self, inputs: RunInputs) -> None:
        """Say what a run with these inputs would take."""
        self.say(memory_sentence(inputs))


def memory_sentence(inputs: RunInputs) -> str:
    """Return the expected memory of what the forms say; "" where that is not known yet."""
    layer, ndim = inputs.layer, inputs.ndim
    # Of an array that is not in memory only a block is trained on.
    if layer is None or layer.multiscale or not isinstance(layer.data, np.ndarray):
        return ""
    try:
        plan, config, tiles = required(inputs.plan), required(inputs.config), required(inputs.tiles)
    except ConfigError:
        return ""
    shape = layer.data.shape[:-1] if layer.rgb else layer.data.shape
    shape = shape[-ndim:]
    psf_shape = tuple(min(_GENERATED, 2 * n - 1) for n in shape)
    psf = None if isinstance(inputs.psfs, ConfigError) else inputs.psfs[0]
    if isinstance(psf, MeasuredPsf) and psf.source.ndim == ndim:
        psf_shape = psf.source.data.shape
    device, precision = usual_device(config.compute.device)
    if config.compute.precision != "auto":
        precision = config.compute.precision
    free = psutil.virtual_memory().available if device == "cpu" else None
    frames = 1 if plan is None else len(plan.training_times(layer.data.shape))
    found = outlook(config, shape, psf_shape, tiles, precision=precision, free_bytes=free, frames=frames)
    return f"Memory: {found.sentence}"
