"""The dock 'Self-supervised deconvolution': it fills in the api's arguments and draws its events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import napari
import numpy as np
from napari.layers import Image
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, QSize, QTimer, Signal
from qtpy.QtWidgets import QWidget

from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.forms.axes import AxesForm
from napari_selfdeconv._gui.forms.fields import LayerBox, Note, looks_like_input
from napari_selfdeconv._gui.forms.layout import Section, scrolled
from napari_selfdeconv._gui.forms.psf import PsfForm
from napari_selfdeconv._gui.forms.train import TrainForm
from napari_selfdeconv._gui.layers.exchange import LayerSnapshot, add_result, freeze, voxel_um
from napari_selfdeconv._gui.panels.compare_row import CompareRow
from napari_selfdeconv._gui.panels.memory_note import MemoryNote
from napari_selfdeconv._gui.panels.model import ModelPanel
from napari_selfdeconv._gui.panels.preview import PreviewPanel
from napari_selfdeconv._gui.panels.run import RunPanel
from napari_selfdeconv._gui.runs.deconvolve import richardson_lucy_job
from napari_selfdeconv._gui.runs.plan import RunPlan, plan_repeat, plan_training
from napari_selfdeconv._gui.runs.series import LiveResult
from napari_selfdeconv._gui.runs.worker import Discarded, Failure, Job, Outcome, Run, Succeeded, warm_up
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.config.training import TrainConfig
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Filling, Interim, Progress

DOCK_NAME = "Self-supervised deconvolution"


class DeconvolveWidget(QWidget):
    """Train on one image layer, watch it learn, compare it with Richardson-Lucy.

    Parameters
    ----------
    napari_viewer : the viewer it is docked in.

    Signal ``model_changed`` says that ``model``, the one trained or loaded last, is another one.
    """

    model_changed = Signal()

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        # Plugins are handed a proxy that wraps every layer anew at each access; layers are told apart by
        # identity here, so the viewer itself is needed.
        self.viewer = viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.image_box = LayerBox(viewer, looks_like_input, "The image to deconvolve")
        self.image_note = Note()
        self.psf_form = PsfForm(viewer)
        self.train_form = TrainForm()
        self.memory_note = MemoryNote(self)
        self.run_panel = RunPanel()
        self.preview_panel = PreviewPanel(viewer)
        self.compare = CompareRow(viewer)
        self.run: Run | None = None
        self._on_done: Callable[[Any], str] = str
        self._source: LayerSnapshot | None = None  # of the run
        self._shown: Image | None = None  # in the form
        self._model: Any = None
        self._live: LiveResult | None = None
        self._closed = False
        self.axes_form = AxesForm(viewer)
        self.model_panel = ModelPanel(self)
        self._build()
        self._connect()
        self._on_image(self.image_box.layer)
        warm_up()

    @property
    def busy(self) -> bool:
        return self.run is not None

    @property
    def model(self) -> Any:
        """The model trained or loaded last (`napari_selfdeconv.network.model.Model`), or None."""
        return self._model

    @model.setter
    def model(self, model: Any) -> None:
        self._model = model
        self.run_panel.offer_continue(model is not None)
        self.model_changed.emit()

    def reset_choices(self, _event: Any = None) -> None:
        """Follow the viewer's layers; napari calls this when one comes, goes, moves or is renamed."""
        if self._closed:
            return
        self.image_box.refresh()
        self.psf_form.layer_box.refresh()
        self.axes_form.refresh()

    def train(self, *, start_from: Any = None) -> None:
        """Start training on the chosen image, anew or from a model, or say why not."""
        if self.busy:
            return
        try:
            planned = plan_training(self, start_from)
        except ConfigError as error:
            self.run_panel.failed(str(error), "")
            return
        self._launch(planned)

    def repeat(self, layer: Image, psf: np.ndarray, config: TrainConfig, tiles: TileConfig) -> None:
        """Train as an earlier run did, whatever the forms say now."""
        if not self.busy:
            self._launch(plan_repeat(self, layer, psf, config, tiles))

    def _launch(self, planned: RunPlan) -> None:
        self.preview_panel.start(planned.layer, planned.source)
        self._live = LiveResult(self.viewer, planned.source)
        on_done = self._finish_live if planned.fills else self._add_deconvolved
        self.start_job(planned.job, planned.source, "Training", on_done, trains=True, interim=not planned.fills)

    def go_on(self) -> None:
        """Train the last model further."""
        self.train(start_from=self.model)

    def run_richardson_lucy(self) -> None:
        """Start Richardson-Lucy on the chosen image, or say why not."""
        try:
            source = freeze(self.image_box.layer)
            psf = self.psf_form.freeze(self.image_box.layer)
            counts = self.compare.iterations()
        except ConfigError as error:
            self.run_panel.failed(str(error), "")
            return
        job = richardson_lucy_job(source, psf, counts, self.train_form.device.value())
        self.start_job(job, source, "Richardson-Lucy", self._add_richardson_lucy)

    def start_job(
        self,
        job: Job,
        source: LayerSnapshot,
        what: str,
        on_done: Callable[[Any], str],
        *,
        trains: bool = False,
        interim: bool = True,
    ) -> None:
        """Run ``job`` in a worker, with the buttons and the progress of this dock.

        Parameters
        ----------
        source : the layer it works on.
        what : shown while it prepares.
        on_done : gets the result in the main thread; returns what to say.
        trains : whether it trains (a loss curve, pause and 'Use now').
        interim : whether 'Use now' can be answered; a result that fills tile by tile has no whole in between.
        """
        if self.busy:
            self.run_panel.warning.say("A run is under way in this dock: stop it first.", "warning")
            return
        self._source, self._on_done = source, on_done
        self.compare.rl_button.setEnabled(False)
        self.run_panel.start(what, trains=trains, interim=interim)
        self.run = run = Run(job, self)
        self.destroyed.connect(run.token.cancel)
        run.happened.connect(self._on_event)
        run.preview.connect(self.preview_panel.show_preview)
        run.ended.connect(self._on_ended)
        run.start()

    def toggle_side_by_side(self) -> None:
        """Lay the image and its results side by side, or go back."""
        if not self.compare.toggle(self.image_box.layer):
            self.run_panel.failed("There is nothing to compare yet.", "Press Train or Richardson-Lucy first.")

    def open_compare(self) -> None:
        """Open the Compare dock with the layers chosen here."""
        psf = self.psf_form.layer_box.layer if self.psf_form.from_layer.isChecked() else None
        open_compare(self.viewer, self.image_box.layer, psf)

    def sizeHint(self) -> QSize:
        """Ask for the width that the form reads well at."""
        return QSize(330, 680)

    def close_run(self) -> None:
        """The dock is closing: end the run, discard what it has."""
        self.preview_panel.stop()
        if self.run is not None:
            self.run.cancel()

    def event(self, event: QEvent | None) -> bool:
        # A docked widget gets no closeEvent: closing the dock takes its parent away.
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.close_run()
            QTimer.singleShot(0, self._delete_if_closed)
        return bool(super().event(event))

    def _delete_if_closed(self) -> None:
        # napari's dock keeps the widget alive for ever otherwise. Not at once: a script may dock it anew.
        if self.parent() is None:
            self._closed = True
            self._watch(None)
            self.preview_panel.close_panel()
            self.deleteLater()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Interim):
            assert self._source is not None
            tag = f"deconvolved, step {event.step}"
            add_result(self.viewer, self._source, event.image, tag, event.provenance, link=self.linked)
            self.run_panel.used()
        elif isinstance(event, Filling):
            assert self._live is not None
            self._live.open(event.image, self.preview_panel.shown_limits())
        else:
            if self._live is not None and isinstance(event, Progress):
                self._live.progress()
            self.run_panel.show_event(event)

    def _on_stop(self) -> None:
        if self.run is not None:
            self.run_panel.stopping()
            self.run.stop()

    def _on_cancel(self) -> None:
        if self.run is not None:
            self.run_panel.cancelling()
            self.run.cancel()

    def _on_pause(self, paused: bool) -> None:
        if self.run is not None:
            self.run.pause(paused)
            self.run_panel.paused(paused)

    def _on_use_now(self) -> None:
        if self.run is not None:
            self.run_panel.using()
            self.run.token.request_result()

    def _on_ended(self, outcome: Outcome) -> None:
        run, self.run = self.run, None
        if run is not None:
            run.deleteLater()
        self.preview_panel.stop()
        self.compare.rl_button.setEnabled(True)
        if self._live is not None and not isinstance(outcome, Succeeded):
            self._live.discard()
        if isinstance(outcome, Discarded):
            self.run_panel.cancelled()
        elif isinstance(outcome, Failure):
            self._show_failure(outcome)
        elif isinstance(outcome, Succeeded):
            self.run_panel.done(self._on_done(outcome.value))

    def _show_failure(self, failure: Failure) -> None:
        self.run_panel.failed(failure.message, failure.remedy)
        error = failure.unexpected
        if error is not None:
            notification_manager.receive_error(type(error), error, error.__traceback__)

    @property
    def linked(self) -> bool:
        """Whether results get the image's contrast limits and keep them in common."""
        return bool(self.preview_panel.link.isChecked())

    def _add_deconvolved(self, value: Any) -> str:
        assert self._source is not None
        # The PSF as it was used: what it takes to run this again, or to reblur it.
        told = {**value.provenance, "psf": value.model.psf}
        add_result(self.viewer, self._source, value.image, "deconvolved", told, link=self.linked)
        self.model = value.model
        return "Deconvolved"

    def _finish_live(self, value: Any) -> str:
        assert self._live is not None
        self._live.finish(value.provenance)
        models = getattr(value, "models", None)
        self.model = models[0] if models else value.model
        return "Deconvolved"

    def _add_richardson_lucy(self, value: dict[int, Any]) -> str:
        assert self._source is not None
        for count, (array, provenance) in value.items():
            add_result(self.viewer, self._source, array, f"RL {count}", provenance, link=self.linked)
        return "Richardson-Lucy done"

    def _on_image(self, layer: Image | None) -> None:
        self._watch(layer)
        self._describe_image()

    def _watch(self, layer: Image | None) -> None:
        """Hear of changes to the voxel size of the layer in the form, and of no other any more."""
        if self._shown is not None:
            for event in (self._shown.events.scale, self._shown.events.units):
                event.disconnect(self._describe_image)
        self._shown = layer
        if layer is not None:
            for event in (layer.events.scale, layer.events.units):
                event.connect(self._describe_image)

    def _describe_image(self, _event: Any = None) -> None:
        layer = self.image_box.layer
        self.axes_form.follow(layer)
        self.preview_panel.follow(layer)
        self._on_axes()
        if layer is None:
            self.image_note.say("")
            return
        size = " × ".join(map(str, layer.data[0].shape if layer.multiscale else layer.data.shape))
        voxels = voxel_um(layer)
        self.image_note.say(f"{size}, {' × '.join(f'{v:g}' for v in voxels)} µm" if voxels else size)

    def _on_axes(self) -> None:
        layer = self.image_box.layer
        ndim = self.axes_form.spatial_ndim()
        self.psf_form.follow(layer, ndim if layer is not None else None)
        self.train_form.follow(ndim)
        self.memory_note.refresh()

    def _connect(self) -> None:
        panel = self.run_panel
        self.image_box.layer_changed.connect(self._on_image)
        self.axes_form.changed.connect(self._on_axes)
        panel.train.connect(self.train)
        panel.go_on.connect(self.go_on)
        panel.pause.connect(self._on_pause)
        panel.use_now.connect(self._on_use_now)
        panel.stop.connect(self._on_stop)
        panel.cancel.connect(self._on_cancel)
        self.compare.rl_button.clicked.connect(self.run_richardson_lucy)
        self.compare.more_button.clicked.connect(self.open_compare)
        self.compare.side_button.clicked.connect(self.toggle_side_by_side)

    def _build(self) -> None:
        self.sections = {
            "image": Section("Image"),
            "psf": Section("Point spread function"),
            "network": Section("Network"),
            "preview": Section("Preview", folded=True),
            "model": Section("Model and result", folded=True),
            "compare": Section("Compare"),
        }
        self.sections["image"].add(self.image_box, self.image_note, self.axes_form)
        self.sections["psf"].add(self.psf_form)
        self.sections["network"].add(self.train_form, self.memory_note, self.run_panel)
        self.sections["preview"].add(self.preview_panel)
        self.sections["model"].add(self.model_panel)
        self.sections["compare"].add(self.compare)
        scrolled(self, *self.sections.values())
