"""The dock 'Compare': run the methods in one go, look at them side by side, along a line and in a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import napari
from napari.layers import Image
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QEvent, QSize, QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QPushButton,
    QWidget,
)

from napari_selfdeconv._gui.forms.fields import LayerBox, Note, looks_like_input
from napari_selfdeconv._gui.forms.layout import Section, in_a_row, scrolled
from napari_selfdeconv._gui.forms.methods import MethodsForm
from napari_selfdeconv._gui.forms.psf import PsfForm
from napari_selfdeconv._gui.layers.exchange import LayerSnapshot, about, add_result, freeze, results_of, role
from napari_selfdeconv._gui.panels.metrics_table import MetricsTable
from napari_selfdeconv._gui.panels.profiles import ProfileLine, ProfilePlot
from napari_selfdeconv._gui.panels.run import RunPanel
from napari_selfdeconv._gui.panels.side_by_side import SideBySide
from napari_selfdeconv._gui.plugin.preferences import preferences
from napari_selfdeconv._gui.runs.compare import Compared, compare_job, measure_job
from napari_selfdeconv._gui.runs.deconvolve import Psf
from napari_selfdeconv._gui.runs.worker import Discarded, Failure, Job, Outcome, Run, Succeeded, warm_up
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.errors import ConfigError

DOCK_NAME = "Compare deconvolutions"


class CompareWidget(QWidget):
    """Run methods on one image and compare what they give.

    Parameters
    ----------
    napari_viewer : the viewer it is docked in.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.viewer = viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.image_box = LayerBox(viewer, looks_like_input, "The image to deconvolve")
        self.psf_form = PsfForm(viewer)
        self.use_truth = QCheckBox("Truth")
        self.use_truth.setToolTip("Score against a layer that holds the true image")
        self.truth_box = LayerBox(viewer, self._is_truth, "The layer that holds the truth")
        self.methods = MethodsForm()
        self.run_panel = RunPanel("Run", holds=False)
        self.grid_button = QPushButton("Side by side")
        self.line_button = QPushButton("Profile line")
        self.measure_button = QPushButton("Measure")
        self.copy_button = QPushButton("Copy table")
        self.csv_button = QPushButton("Save CSV …")
        self.side_by_side = SideBySide(viewer)
        self.line = ProfileLine(viewer, self._draw_profiles)
        self.plot = ProfilePlot()
        self.table = MetricsTable()
        self.table_note = Note()
        self.run: Run | None = None
        self._on_done: Callable[[Any], str] = str
        self._source: LayerSnapshot | None = None
        self._closed = False
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
        for box in (self.image_box, self.psf_form.layer_box, self.truth_box):
            box.refresh()
        self._offer_network()
        self._draw_profiles()

    def choose(self, image: Image, psf: Image | None = None) -> None:
        """Choose the layers as the user would."""
        self.image_box.choose(image)
        if psf is not None:
            self.psf_form.from_layer.click()
            self.psf_form.layer_box.choose(psf)

    def compare(self) -> None:
        """Run the methods that are ticked, or say why not."""
        try:
            source, psf = self._frozen()
            classical = self.methods.classical()
            device = preferences().device
            trains = self.methods.network.isChecked()
            network = preset("quick", source.ndim, device=device) if trains else None
            if not classical and network is None:
                raise ConfigError("No method is ticked.")
        except ConfigError as error:
            self.run_panel.failed(str(error), "")
            return
        job = compare_job(source, psf, classical, network, device)
        self._start(job, source, "Comparing", self._add, trains=trains)

    def measure(self) -> None:
        """Fill the table for the image and all results of it that there are, or say why not."""
        try:
            source, psf = self._frozen()
            image = self.image_box.layer
            results = [layer for layer in results_of(self.viewer, image) if role(layer) == "result"]
            if not results:
                raise ConfigError("There is no result of this image yet: press Run.")
        except ConfigError as error:
            self.run_panel.failed(str(error), "")
            return
        truth = self.truth_box.layer if self.use_truth.isChecked() else None
        named = [(layer.name, layer.data) for layer in results]
        job = measure_job(source, psf, named, None if truth is None else (truth.name, truth.data))
        self._start(job, source, "Measuring", self._show_table)

    def sizeHint(self) -> QSize:
        """Ask for the width that the form reads well at."""
        return QSize(340, 700)

    def event(self, event: QEvent | None) -> bool:
        # A docked widget gets no closeEvent: closing the dock takes its parent away.
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            if self.run is not None:
                self.run.cancel()
            QTimer.singleShot(0, self._delete_if_closed)
        return bool(super().event(event))

    def _delete_if_closed(self) -> None:
        if self.parent() is None:
            self._closed = True
            self.side_by_side.restore()
            self.line.remove()
            self.line.close()
            self.deleteLater()

    def _frozen(self) -> tuple[LayerSnapshot, Psf]:
        image = self.image_box.layer
        return freeze(image), self.psf_form.freeze(image)

    def _start(
        self, job: Job, source: LayerSnapshot, what: str, on_done: Callable[[Any], str], *, trains: bool = False
    ) -> None:
        if self.busy:
            return
        self._source, self._on_done = source, on_done
        self.measure_button.setEnabled(False)
        self.run_panel.start(what, trains=trains)
        self.run = run = Run(job, self)
        self.destroyed.connect(run.token.cancel)
        run.happened.connect(self.run_panel.show_event)
        run.ended.connect(self._on_ended)
        run.start()

    def _on_ended(self, outcome: Outcome) -> None:
        run, self.run = self.run, None
        if run is not None:
            run.deleteLater()
        self.measure_button.setEnabled(True)
        if isinstance(outcome, Discarded):
            self.run_panel.cancelled()
        elif isinstance(outcome, Failure):
            self.run_panel.failed(outcome.message, outcome.remedy)
            error = outcome.unexpected
            if error is not None:
                notification_manager.receive_error(type(error), error, error.__traceback__)
        elif isinstance(outcome, Succeeded):
            self.run_panel.done(self._on_done(outcome.value))
            if outcome.value and isinstance(outcome.value[0], Compared):
                self.measure()

    def _add(self, value: list[Compared]) -> str:
        assert self._source is not None
        for result in value:
            add_result(self.viewer, self._source, result.image, result.tag, result.provenance, link=True)
        return f"{len(value)} results"

    def _show_table(self, rows: Any) -> str:
        self.table.show_rows(rows)
        self.table_note.say(self.table.explain())
        for button in (self.copy_button, self.csv_button):
            button.setEnabled(bool(rows))
        return f"{len(rows)} rows measured"

    def _is_truth(self, layer: Image) -> bool:
        image = self.image_box.layer
        sample = None if image is None else about(image).get("sample")
        return sample is not None and role(layer) == "truth" and about(layer).get("sample") == sample

    def _on_image(self, image: Image | None) -> None:
        self.psf_form.follow(image)
        self.truth_box.refresh()
        truth = self.truth_box.layer
        self.use_truth.setChecked(truth is not None and self._is_truth(truth))
        self._offer_network()
        self._draw_profiles()

    def _offer_network(self) -> None:
        """Tick the network only where its result is not there yet."""
        image = self.image_box.layer
        there = image is not None and any("config" in about(r) for r in results_of(self.viewer, image))
        self.methods.offer_network(not there)

    def _toggle_grid(self) -> None:
        image = self.image_box.layer
        if self.side_by_side.active:
            self.side_by_side.restore()
        elif image is not None and results_of(self.viewer, image):
            self.side_by_side.show([image, *results_of(self.viewer, image)])
        else:
            self.run_panel.failed("There is nothing to compare yet.", "Press Run first.")
        self.grid_button.setText("Back to one view" if self.side_by_side.active else "Side by side")

    def _toggle_line(self) -> None:
        if self.line.active:
            self.line.remove()
        elif self.image_box.layer is not None:
            self.line.add(self.image_box.layer)

    def _draw_profiles(self, _event: Any = None) -> None:
        self.line_button.setText("Remove line" if self.line.active else "Profile line")
        self.plot.setVisible(self.line.active)
        image = self.image_box.layer
        if not self.line.active or image is None:
            return
        profiles, unit = [], "pixels"
        for layer in (image, *results_of(self.viewer, image)):
            found = self.line.profile(layer)
            if found is not None:
                x, y, unit = found
                profiles.append((layer.name.removeprefix(f"{image.name} "), x, y))
        self.plot.show_profiles(profiles, unit)

    def _save_csv(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Save the table", "comparison.csv", "CSV (*.csv)")
        if path:
            try:
                self.table.save(path)
            except ConfigError as error:
                self.run_panel.failed(str(error), "")

    def _connect(self) -> None:
        self.image_box.layer_changed.connect(self._on_image)
        self.run_panel.train.connect(self.compare)
        self.run_panel.stop.connect(self._on_stop)
        self.run_panel.cancel.connect(self._on_cancel)
        self.grid_button.clicked.connect(self._toggle_grid)
        self.line_button.clicked.connect(self._toggle_line)
        self.measure_button.clicked.connect(self.measure)
        self.copy_button.clicked.connect(self.table.copy)
        self.csv_button.clicked.connect(self._save_csv)
        self.viewer.dims.events.point.connect(self._draw_profiles)
        self.use_truth.toggled.connect(self.truth_box.setEnabled)

    def _on_stop(self) -> None:
        if self.run is not None:
            self.run_panel.stopping()
            self.run.stop()

    def _on_cancel(self) -> None:
        if self.run is not None:
            self.run_panel.cancelling()
            self.run.cancel()

    def _build(self) -> None:
        for button in (self.copy_button, self.csv_button):
            button.setEnabled(False)
        self.truth_box.setEnabled(False)
        self.sections = sections = {
            name: Section(name) for name in ("Image and PSF", "Methods", "Look", "Measure")
        }
        truth = in_a_row(self.use_truth, self.truth_box, stretch=(0, 1))
        sections["Image and PSF"].add(self.image_box, self.psf_form, truth)
        sections["Methods"].add(self.methods, self.run_panel)
        sections["Look"].add(in_a_row(self.grid_button, self.line_button), self.plot)
        sections["Measure"].add(
            in_a_row(self.measure_button, self.copy_button, self.csv_button), self.table, self.table_note
        )
        scrolled(self, *sections.values())


def open_compare(viewer: Any, image: Image | None = None, psf: Image | None = None) -> CompareWidget:
    """Open the dock beside the others, or raise it, with the layers chosen."""
    dock, widget = viewer.window.add_plugin_dock_widget("napari-selfdeconv", DOCK_NAME, tabify=True)
    dock.raise_()
    if image is not None:
        widget.choose(image, psf)
    found: CompareWidget = widget
    return found
