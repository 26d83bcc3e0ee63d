"""The dock 'Self-supervised deconvolution': it fills in the api's arguments and draws its events."""

from __future__ import annotations

from typing import Any

import napari
from napari.layers import Image
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, QSize, QTimer
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from napari_selfdeconv._gui.fields import FormBody, LayerBox, Note, TallForm, looks_like_input
from napari_selfdeconv._gui.jobs import deconvolve_job, lucy_job, parse_counts
from napari_selfdeconv._gui.layers import (
    Frozen,
    PreviewLayer,
    add_result,
    check_image,
    freeze,
    looked_at,
    results_of,
    voxel_um,
)
from napari_selfdeconv._gui.psf_form import PsfForm
from napari_selfdeconv._gui.run_panel import RunPanel
from napari_selfdeconv._gui.side_by_side import SideBySide
from napari_selfdeconv._gui.train_form import TrainForm
from napari_selfdeconv._gui.worker import Discarded, Done, Failure, Job, Outcome, Run, warm_up
from napari_selfdeconv.errors import ConfigError

REGION_EVERY_MS = 200
DOCK_NAME = "Self-supervised deconvolution"


class DeconvolveWidget(QWidget):
    """Train on one image layer, watch it learn, compare it with Lucy-Richardson.

    Parameters
    ----------
    napari_viewer : the viewer it is docked in.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        # Plugins are handed a proxy that wraps every layer anew at each access; layers are told apart by
        # identity here, so the viewer itself is needed.
        self.viewer = viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.image_box = LayerBox(viewer, looks_like_input, "The image to deconvolve")
        self.image_note = Note()
        self.psf_form = PsfForm(viewer)
        self.train_form = TrainForm()
        self.run_panel = RunPanel()
        self.counts = QLineEdit("2 5 10 20")
        self.lucy_button = QPushButton("Lucy-Richardson")
        self.compare_button = QPushButton("Side by side")
        self.side_by_side = SideBySide(viewer)
        self.run: Run | None = None
        self.preview: PreviewLayer | None = None
        self._source: Frozen | None = None
        self._image: Image | None = None  # of the run
        self._shown: Image | None = None  # in the form
        self._closed = False
        # Written here by a timer in the main thread, read by the worker: one reference, replaced whole.
        self._region: tuple[slice, ...] | None = None
        self._region_timer = QTimer(self)
        self._region_timer.setInterval(REGION_EVERY_MS)
        self._build()
        self._connect()
        self._on_image(self.image_box.layer)
        warm_up()

    @property
    def busy(self) -> bool:
        return self.run is not None

    def reset_choices(self, _event: Any = None) -> None:
        """Follow the viewer's layers; napari calls this when one comes, goes, moves or is renamed."""
        if self._closed:
            return
        self.image_box.refresh()
        self.psf_form.layer_box.refresh()

    def train(self) -> None:
        """Start training on the chosen image, or say why not."""
        layer = self.image_box.layer
        try:
            source = freeze(layer)
            psf = self.psf_form.freeze(layer)
            config, tiles = self.train_form.config(source.ndim), self.train_form.tiles()
        except ConfigError as error:
            self.run_panel.failed(str(error), "")
            return
        self._image = layer
        self._update_region()
        self._region_timer.start()
        self.preview = PreviewLayer(self.viewer, source)
        job = deconvolve_job(source, psf, config, tiles, self._current_region)
        self._start(job, source, "Training", trains=True)

    def lucy_richardson(self) -> None:
        """Start Lucy-Richardson on the chosen image, or say why not."""
        try:
            source = freeze(self.image_box.layer)
            psf = self.psf_form.freeze(self.image_box.layer)
            counts = parse_counts(self.counts.text())
        except ConfigError as error:
            self.run_panel.failed(str(error), "")
            return
        job = lucy_job(source, psf, counts, self.train_form.device.value())
        self._start(job, source, "Lucy-Richardson", trains=False)

    def toggle_side_by_side(self) -> None:
        """Lay the image and its results side by side, or go back."""
        if self.side_by_side.active:
            self.side_by_side.restore()
        else:
            layer = self.image_box.layer
            results = [] if layer is None else results_of(self.viewer, layer)
            if results:
                self.side_by_side.show([layer, *results])
            else:
                self.run_panel.failed("There is nothing to compare yet.", "Press Train or Lucy-Richardson first.")
        self.compare_button.setText("Back to one view" if self.side_by_side.active else "Side by side")

    def sizeHint(self) -> QSize:
        """Ask for the width that the form reads well at."""
        return QSize(330, 680)

    def close_run(self) -> None:
        """The dock is closing: end the run, discard what it has."""
        self._region_timer.stop()
        self._drop_preview()
        if self.run is not None:
            self.run.cancel()

    def event(self, event: QEvent) -> bool:
        # A docked widget gets no closeEvent: closing the dock takes its parent away.
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.close_run()
            QTimer.singleShot(0, self._delete_if_closed)
        return bool(super().event(event))

    def _delete_if_closed(self) -> None:
        # napari's dock keeps the widget alive for ever otherwise. Not at once: a script may dock it anew.
        if self.parent() is None:
            self._closed = True
            self._watch(None)
            self.deleteLater()

    def _start(self, job: Job, source: Frozen, what: str, *, trains: bool) -> None:
        self._source = source
        self.lucy_button.setEnabled(False)
        self.run_panel.start(what, trains=trains)
        self.run = Run(job, self)
        self.destroyed.connect(self.run.token.cancel)
        self.run.happened.connect(self.run_panel.show_event)
        self.run.preview.connect(self._on_preview)
        self.run.ended.connect(self._on_ended)
        self.run.start()

    def _on_stop(self) -> None:
        if self.run is not None:
            self.run_panel.stopping()
            self.run.stop()

    def _on_cancel(self) -> None:
        if self.run is not None:
            self.run_panel.cancelling()
            self.run.cancel()

    def _on_preview(self, preview: Any) -> None:
        if self.preview is not None:
            self.preview.show(preview)

    def _on_ended(self, outcome: Outcome) -> None:
        run, self.run = self.run, None
        if run is not None:
            run.deleteLater()
        self._region_timer.stop()
        self._drop_preview()
        self.lucy_button.setEnabled(True)
        if isinstance(outcome, Discarded):
            self.run_panel.cancelled()
        elif isinstance(outcome, Failure):
            self._show_failure(outcome)
        elif isinstance(outcome, Done):
            self._add(outcome.value)

    def _drop_preview(self) -> None:
        preview, self.preview = self.preview, None
        if preview is not None:
            preview.remove()

    def _show_failure(self, failure: Failure) -> None:
        self.run_panel.failed(failure.message, failure.remedy)
        error = failure.unexpected
        if error is not None:
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _add(self, value: Any) -> None:
        source = self._source
        assert source is not None
        if isinstance(value, dict):
            for count, array in value.items():
                provenance = {"method": "richardson-lucy", "iterations": count}
                add_result(self.viewer, source, array, f"RL {count}", provenance)
            self.run_panel.done("Lucy-Richardson done")
        else:
            add_result(self.viewer, source, value.image, "deconvolved", value.provenance)
            self.run_panel.done("Deconvolved")

    def _on_image(self, layer: Image | None) -> None:
        self._watch(layer)
        self._describe_image()

    def _watch(self, layer: Image | None) -> None:
        """Hear of changes to the voxel size of the layer in the form, and of no other any more."""
        if self._shown is not None:
            for event in (self._shown.events.scale, self._shown.events.units):
                event.disconnect(self._on_voxels)
        self._shown = layer
        if layer is not None:
            for event in (layer.events.scale, layer.events.units):
                event.connect(self._on_voxels)

    def _on_voxels(self, _event: Any = None) -> None:
        self._describe_image()

    def _describe_image(self) -> None:
        layer = self.image_box.layer
        self.psf_form.follow(layer)
        self.train_form.follow(layer)
        if layer is None:
            self.image_note.say("")
            return
        try:
            check_image(layer)
        except ConfigError as error:
            self.image_note.say(str(error), "warning")
            return
        size = " × ".join(map(str, layer.data[0].shape if layer.multiscale else layer.data.shape))
        voxels = voxel_um(layer)
        self.image_note.say(f"{size}, {' × '.join(f'{v:g}' for v in voxels)} µm" if voxels else size)

    def _update_region(self) -> None:
        if self._image is not None:
            self._region = looked_at(self.viewer, self._image)

    def _current_region(self) -> tuple[slice, ...] | None:
        return self._region

    def _connect(self) -> None:
        self.image_box.layer_changed.connect(self._on_image)
        self.run_panel.train.connect(self.train)
        self.run_panel.stop.connect(self._on_stop)
        self.run_panel.cancel.connect(self._on_cancel)
        self.lucy_button.clicked.connect(self.lucy_richardson)
        self.compare_button.clicked.connect(self.toggle_side_by_side)
        self._region_timer.timeout.connect(self._update_region)

    def _build(self) -> None:
        compare = QHBoxLayout()
        self.counts.setToolTip("Iteration counts; one layer is added for each")
        self.lucy_button.setToolTip("Run Lucy-Richardson with the same image and PSF")
        self.compare_button.setToolTip("Show the image and its results in a grid that moves together")
        for widget in (self.lucy_button, self.counts):
            compare.addWidget(widget)
        inside = FormBody()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(8, 2, 8, 2)
        layout.setSpacing(4)
        layout.addWidget(_heading("Image"))
        layout.addWidget(self.image_box)
        layout.addWidget(self.image_note)
        layout.addWidget(_heading("Point spread function"))
        layout.addWidget(self.psf_form)
        layout.addWidget(_heading("Network"))
        layout.addWidget(self.train_form)
        layout.addWidget(self.run_panel)
        layout.addWidget(_heading("Compare"))
        layout.addLayout(compare)
        layout.addWidget(self.compare_button)
        layout.addStretch()
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(TallForm(inside))


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setStyleSheet("font-weight: bold;")
    return label
