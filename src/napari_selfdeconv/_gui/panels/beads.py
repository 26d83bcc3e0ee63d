"""The tab 'Beads': from an image of beads to a PSF layer, and why beads were not used."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from napari.layers import Image, Points
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_selfdeconv._gui.forms.added_psf import STAYS, use_psf
from napari_selfdeconv._gui.forms.beads import BeadsForm
from napari_selfdeconv._gui.forms.fields import Note
from napari_selfdeconv._gui.forms.layout import in_a_row, scrolled
from napari_selfdeconv._gui.layers.beads import COLOURS, add_psf, show_beads
from napari_selfdeconv._gui.layers.exchange import LayerSnapshot, snapshot
from napari_selfdeconv._gui.qt import existing
from napari_selfdeconv._gui.runs.controller import Ending, RunController, RunRequest
from napari_selfdeconv._gui.runs.failure import Failure
from napari_selfdeconv._gui.runs.worker import Discarded, Job
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Progress, Warned
from napari_selfdeconv.stop_token import StopToken

_WELCOME = "Open an image of single, small, bright beads, and press 'Make PSF from beads'."
WORDS = {
    "used": "used",
    "saturated": "saturated",
    "clipped": "window reaches over the border",
    "overlapping": "another bead in the window",
    "dim": "too dim",
    "outlier": "another shape than the others",
    "empty": "no bead at the point",
}


def beads_job(image: LayerSnapshot, voxel: tuple[float, ...], points: np.ndarray | None, settings: Any) -> Job:
    """Return the job that averages beads; its result is a `BeadPsf`."""

    def job(token: StopToken) -> Generator[Event, None, Any]:
        from napari_selfdeconv import api

        return (yield from api.iter_beads_psf(np.asarray(image.data), voxel, points, settings, stop=token))

    return job


class BeadsPanel(QWidget):
    """Find beads, average them, show which were used.

    Parameters
    ----------
    viewer : the viewer it is docked in.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.viewer = viewer
        self.form = BeadsForm(viewer)
        self.make_button = QPushButton("Make PSF from beads")
        self.make_button.setToolTip("Find, check, register and average the beads; adds a PSF layer")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("End now and discard")
        self.bar = QProgressBar()
        self.status = Note(_WELCOME)
        self.warning = Note()
        self.table = QTableWidget(0, 2)
        self.table.setAccessibleName("Beads")
        self.table.setToolTip("Every bead that was found, and what was done with it; a click shows it")
        self.runs = RunController(self)
        self.beads_layer: Points | None = None
        self._reasons: list[str] = []
        self._build()
        self.make_button.clicked.connect(self.make)
        self.cancel_button.clicked.connect(self.cancel)
        self.table.itemSelectionChanged.connect(self._select)
        self.form.image_box.layer_changed.connect(self._on_image)
        self.runs.happened.connect(self._on_event)
        self.runs.finished.connect(self._on_finished)

    @property
    def busy(self) -> bool:
        """Whether a run is under way."""
        return self.runs.busy

    def make(self) -> None:
        """Start on the chosen image, or say why not."""
        try:
            layer, voxel, points, settings = self.form.settings()
            source = snapshot(layer)
        except ConfigError as error:
            self.status.say(str(error), "error")
            return
        self._enable(running=True)
        self.bar.setRange(0, 0)
        self.warning.say("")
        self.table.hide()
        self.status.say("Looking for beads …")
        job = beads_job(source, voxel, points, settings)
        self.runs.start(RunRequest(job=job, what="Beads", on_success=lambda result: self._show(source, result)))

    def cancel(self) -> None:
        """End as soon as possible and add nothing."""
        if self.runs.busy:
            self.cancel_button.setEnabled(False)
            self.cancel_button.setText("Cancelling …")
            self.runs.cancel()

    def _on_image(self, _image: Image | None) -> None:
        """Clear the messages about another image, unless a run is under way."""
        if not self.busy:
            self.status.say(_WELCOME)
            self.warning.say("")
            self.table.hide()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Progress) and event.step:
            self.bar.setRange(0, event.steps)
            self.bar.setValue(event.step)
            self.status.say("Registering the beads …")
        elif isinstance(event, Warned):
            shown = self.warning.text()
            self.warning.say(f"{shown}\n{event.message}" if shown else event.message, "warning")

    def _on_finished(self, ending: Ending) -> None:
        self._enable(running=False)
        if isinstance(ending.outcome, Failure):
            self.status.say(ending.outcome.text, "error")
        elif isinstance(ending.outcome, Discarded):
            self.status.say("Cancelled; nothing was added.")
        else:
            self.status.say(ending.said, "good")

    def _show(self, source: LayerSnapshot, result: Any) -> str:
        self._reasons = [bead.reason or "used" for bead in result.beads]
        marks = self.beads_layer
        from_marks = marks is not None and self.form.points_box.layer is marks
        self.beads_layer = show_beads(self.viewer, source, result, marks)
        if from_marks:
            self.form.choose_points(self.beads_layer)
        psf = add_psf(self.viewer, source, result)
        used = use_psf(self.viewer, psf)
        self._fill()
        axes = "zyx"[-result.psf.ndim :]
        width = ", ".join(f"{a} {w:.3g}" for a, w in zip(axes, result.fwhm_um, strict=True))
        voxels = " × ".join(str(n) for n in result.psf.shape)
        size = " × ".join(f"{n * v:.3g}" for n, v in zip(result.psf.shape, result.voxel_um, strict=True))
        return (
            f"{result.used} of {len(result.beads)} beads averaged: layer '{psf.name}', {voxels} voxels "
            f"({size} µm). Width at half maximum, µm: {width}. Noise: {result.noise:.2%} of the peak. "
            f"Threshold: {result.threshold:.4g}. {'It is the PSF in all docks now.' if used else STAYS}"
        )

    def _fill(self) -> None:
        from napari_selfdeconv.api import REASONS

        found = [reason for reason in WORDS if reason in self._reasons]
        self.table.setRowCount(len(found))
        for row, reason in enumerate(found):
            colour = QPixmap(12, 12)
            colour.fill(QColor(COLOURS[reason]))
            word = QTableWidgetItem(QIcon(colour), WORDS[reason])
            word.setData(Qt.ItemDataRole.UserRole, reason)
            count = QTableWidgetItem(str(self._reasons.count(reason)))
            count.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            tip = REASONS.get(reason, "")
            for column, item in enumerate((word, count)):
                item.setToolTip(f"To use more of them: {tip}" if tip else "In the average")
                self.table.setItem(row, column, item)
        rows = sum(self.table.rowHeight(row) for row in range(len(found)))
        self.table.setFixedHeight(rows + existing(self.table.horizontalHeader()).sizeHint().height() + 4)
        self.table.show()

    def _select(self) -> None:
        """Select, in the viewer, the beads of the row that was clicked."""
        items = self.table.selectedItems()
        layer = self.beads_layer
        if not items or layer is None or layer not in self.viewer.layers or len(layer.data) != len(self._reasons):
            return
        wanted = items[0].data(Qt.ItemDataRole.UserRole)
        self.viewer.layers.selection.active = layer
        layer.selected_data = {i for i, reason in enumerate(self._reasons) if reason == wanted}

    def _enable(self, *, running: bool) -> None:
        self.make_button.setEnabled(not running)
        self.cancel_button.setEnabled(running)
        self.cancel_button.setText("Cancel")
        self.bar.setVisible(running)

    def _build(self) -> None:
        buttons = in_a_row(self.make_button, self.cancel_button, stretch=(2, 1))
        self.table.setHorizontalHeaderLabels(["Beads", "Count"])
        existing(self.table.verticalHeader()).hide()
        header = existing(self.table.horizontalHeader())
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.table.hide()
        scrolled(self, self.form, buttons, self.bar, self.status, self.warning, self.table)
        self._enable(running=False)
