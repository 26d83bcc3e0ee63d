"""The preview after a run: it shows the plane in view with the PSF of the form, after each change."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer, Signal

from napari_selfdeconv._gui.layers.exchange import LayerSnapshot, snapshot
from napari_selfdeconv._gui.panels.preview import PreviewPanel
from napari_selfdeconv._gui.runs.camera import weights_of
from napari_selfdeconv._gui.runs.controller import Ending, RunController, RunRequest
from napari_selfdeconv._gui.runs.failure import Failure
from napari_selfdeconv._gui.runs.inputs import RunInputs, required
from napari_selfdeconv._gui.runs.psf_choice import Psf, sized
from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Noted, Preview
from napari_selfdeconv.stop_token import StopToken

# A number that is typed digit by digit, or a slider, is one change.
_WAIT_MS = 150


def preview_job(
    source: LayerSnapshot, psf: Psf, config: TrainConfig, region: Any, extra: bool, weights: Any
) -> Job:
    """Return the job whose result is a preview of ``region`` with the initial weights and a compact PSF."""

    def job(token: StopToken) -> Generator[Event, None, Any]:
        from napari_selfdeconv import api

        kernel, notes = psf.compact_kernel(source)
        yield from map(Noted, notes)
        return api.preview_region(
            np.asarray(source.data),
            kernel,
            config,
            region=region,
            extra=extra,
            weights=weights_of(weights),
            stop=token,
        )

    return job


class LivePreview(QObject):
    """Previews the image that was run last with the PSF in the form, whenever that changes; the newest wins.

    Parameters
    ----------
    parent : owner; a preview that is being computed is cancelled when it is destroyed.
    inputs : returns what the forms say.
    runs : of the dock. While one is under way there is no preview of another PSF: it has previews of its own.
    panel : draws the previews.

    Signal ``failed`` says why there is no preview.
    """

    failed = Signal(str)

    def __init__(
        self, parent: QObject, inputs: Callable[[], RunInputs], runs: RunController, panel: PreviewPanel
    ) -> None:
        super().__init__(parent)
        self.runs = RunController(self, asks=False)
        self._inputs, self._others, self._panel = inputs, runs, panel
        self._layer: Image | None = None
        self._open = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_WAIT_MS)
        self._timer.timeout.connect(self._start)
        self.runs.finished.connect(self._on_finished)

    def follow(self, layer: Image | None) -> None:
        """Preview each change of the PSF from now on, because ``layer`` has a result. None ends this."""
        self._timer.stop()
        self.runs.cancel()
        if self._open:
            self._open = False
            self._panel.stop()
        self._layer = layer

    def psf_changed(self) -> None:
        """Start a preview after a pause, because the PSF of the form has changed."""
        if self._layer is not None and not self._others.busy:
            self._timer.start()

    def _start(self) -> None:
        layer = self._layer
        if layer is None or self._others.busy:
            return
        inputs = self._inputs()
        try:
            if inputs.layer is not layer or required(inputs.plan) is not None or inputs.grey:
                return
            psf, config = required(inputs.psfs)[0], required(inputs.config)
            source, weights = sized(snapshot(layer), psf), required(inputs.weights)
        except ConfigError:
            return  # the field that is wrong says so
        if not config.start.pretrained:
            return
        if not self._open:
            self._open = True
            self._panel.start(layer, source)
        region, extra = inputs.previews.region(), inputs.previews.extra()
        job = preview_job(source, psf, config, region, extra, weights)
        self.runs.start_newest(RunRequest(job=job, what="Preview", on_success=self._on_success))

    def _on_success(self, preview: Preview) -> str:
        if self._open:
            self._panel.show_preview(preview)
        return ""

    def _on_finished(self, ending: Ending) -> None:
        if isinstance(ending.outcome, Failure):
            self.failed.emit(f"There is no preview of this PSF: {ending.outcome.message}")
