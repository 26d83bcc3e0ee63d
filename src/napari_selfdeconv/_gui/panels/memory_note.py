"""The line that says what a run will take of the memory, before it runs. Quick, and without torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import psutil

from napari_selfdeconv._gui.forms.fields import Note
from napari_selfdeconv._gui.runs.worker import usual_device
from napari_selfdeconv.api import outlook
from napari_selfdeconv.errors import ConfigError

# A PSF that is yet to be generated: about what `psf_for_image` makes; its size matters little.
_GENERATED = 31


class MemoryNote(Note):
    """A line that follows the forms of a dock."""

    def __init__(self, dock: Any) -> None:
        super().__init__()
        self._dock = dock
        for changed in (dock.train_form.changed, dock.psf_form.changed):
            changed.connect(self.refresh)

    def refresh(self) -> None:
        """Say what the forms as they are now would take."""
        self.say(memory_sentence(self._dock))


def memory_sentence(dock: Any) -> str:
    """Return the expected memory of what the forms say; "" where that is not known yet."""
    layer = dock.image_box.layer
    # Of an array that is not in memory only a block is trained on.
    if layer is None or layer.multiscale or not isinstance(layer.data, np.ndarray):
        return ""
    try:
        plan = dock.axes_form.plan()
        ndim = dock.axes_form.spatial_ndim()
        config, tiles = dock.train_form.config(ndim), dock.train_form.tiles()
    except ConfigError:
        return ""
    shape = layer.data.shape[:-1] if layer.rgb else layer.data.shape
    shape, psf = shape[-ndim:], dock.psf_form.layer_box.layer
    psf_shape = tuple(min(_GENERATED, 2 * n - 1) for n in shape)
    if dock.psf_form.from_layer.isChecked() and psf is not None and psf.ndim == ndim:
        psf_shape = psf.data.shape
    device, precision = usual_device(config.compute.device)
    if config.compute.precision != "auto":
        precision = config.compute.precision
    free = psutil.virtual_memory().available if device == "cpu" else None
    frames = 1 if plan is None else len(plan.training_times(layer.data.shape))
    found = outlook(config, shape, psf_shape, tiles, precision=precision, free_bytes=free, frames=frames)
    return f"Memory: {found.sentence}"
