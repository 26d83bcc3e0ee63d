"""The dock 'Compare': run the methods in one go, look at them side by side, along a line and in a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import napari
from napari.layers import Image
from qtpy.QtWidgets import QCheckBox, QFileDialog, QPushButton

from napari_selfdeconv._gui.docks.base import DockBase, open_dock
from napari_selfdeconv._gui.forms.fields import Note
from napari_selfdeconv._gui.forms.layer_box import LayerBox, looks_like_input
from napari_selfdeconv._gui.forms.layout import Section, in_a_row, scrolled
from napari_selfdeconv._gui.forms.methods import MethodsForm
from napari_selfdeconv._gui.forms.psf import PsfForm
from napari_selfdeconv._gui.layers.exchange import (
    METADATA_KEY,
    LayerSnapshot,
    about,
    add_result,
    results_of,
    role,
    snapshot,
    source_layer,
    tiles_of,
)
from napari_selfdeconv._gui.layers.results import AddedLayers
from napari_selfdeconv._gui.panels.before_after import BeforeAfter
from napari_selfdeconv._gui.panels.camera import CameraPanel
from napari_selfdeconv._gui.panels.metrics_table import MetricsTable
from napari_selfdeconv._gui.panels.profiles import ProfileLine, ProfilePlot
from napari_selfdeconv._gui.panels.run import RunPanel
from napari_selfdeconv._gui.panels.side_by_side import SideBySide
from napari_selfdeconv._gui.plugin.preferences import preferences
from napari_selfdeconv._gui.runs.activity import Activity
from napari_selfdeconv._gui.runs.compare import MethodResult, Row, compare_job, measure_job
from napari_selfdeconv._gui.runs.controller import RunController, RunRequest
from napari_selfdeconv._gui.runs.judge import check_one_frame
from napari_selfdeconv._gui.runs.psf_choice import Psf, sized
from napari_selfdeconv._gui.runs.warm_up import warm_up
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.errors import ConfigError

DOCK_NAME = "Compare methods"


class CompareWidget(DockBase):
    """Run methods on one image and compare their results.

    Parameters
    ----------
    napari_viewer : the viewer it is docked in.
    """

    NAME = DOCK_NAME

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        viewer = self.viewer
        self.image_box = LayerBox(viewer, looks_like_input, "The image to deconvolve")
        self.psf_form = PsfForm(viewer)
        self.use_truth = QCheckBox("Truth")
        self.use_truth.setToolTip("Score against a layer that holds the true image")
        self.truth_box = LayerBox(viewer, self._is_truth, "The layer that holds the truth")
        self.camera_panel = CameraPanel(viewer)
        self.methods = MethodsForm()
        self.run_panel = RunPanel("Run", holds=False)
        self.grid_button = QPushButton("Side by side")
        self.line_button = QPushButton("Profile line")
        self.measure_button = QPushButton("Measure")
        self.copy_button = QPushButton("Copy table")
        self.csv_button = QPushButton("Save CSV …")
        for button, tip in (
            (self.grid_button, "Show the image and its results in a grid that moves together"),
            (
                self.line_button,
                "Draw a line over the image and plot what lies below it, for the image and each result",
            ),
            (self.measure_button, "Compute the table of metrics for the existing results"),
            (self.copy_button, "Copy the table, to paste it into a spreadsheet"),
            (self.csv_button, "Write the table to a file"),
        ):
            button.setToolTip(tip)
        self.side_by_side = SideBySide(viewer, self._on_grid, self)
        self.before_after = BeforeAfter(viewer)
        self.line = ProfileLine(viewer, self._draw_profiles)
        self.plot = ProfilePlot()
        self.table = MetricsTable()
        self.table_note = Note()
        self.runs = RunController(self)
        self.activity = Activity(self.runs)
        self._build()
        self._connect()
        self._on_image(self.image_box.layer)
        warm_up()

    @property
    def busy(self) -> bool:
        """Whether a run is under way."""
        return self.runs.busy

    def follow_layers(self) -> None:
        """Refresh the layer boxes, the offer to train and the profiles."""
        for box in (self.image_box, self.psf_form.layer_box, self.truth_box):
            box.refresh()
        self.camera_panel.refresh()
        self.before_after.refresh()
        self._offer_network()
        self._draw_profiles()

    def leave_viewer(self) -> None:
        """Undo the grid, take the line away, and disconnect from the viewer."""
        self.viewer.dims.events.point.disconnect(self._draw_profiles)
        self.side_by_side.restore()
        self.before_after.stop()
        self.line.remove()
        self.line.close()

    def choose(self, image: Image, psf: Image | None = None) -> None:
        """Choose the image as the user would, and the layer of the PSF if there is one."""
        self.image_box.choose(image)
        if psf is not None:
            self.psf_form.choose_layer(psf)

    def compare(self) -> None:
        """Run the methods that are ticked, or say why not."""
        layer, chosen = self.image_box.layer, preferences()
        try:
            source, psf = snapshot(layer), self.psf_form.psf(layer)
            source = sized(source, psf)
            classical, weights = self.methods.classical(self.camera_panel.camera()), self.camera_panel.weights()
            trains = self.methods.network.isChecked()
            network = preset("quick", source.ndim, device=chosen.device) if trains else None
            tiles = TileConfig(memory_share=chosen.memory_share)
            if not classical and network is None:
                raise ConfigError("No method is ticked.")
        except ConfigError as error:
            self._refuse(error)
            return
        request = RunRequest(
            job=compare_job(source, psf, classical, network, tiles, chosen.device, weights),
            what="Comparing",
            on_success=lambda results: self._add(source, results),
            then=lambda: self._measure(source, psf, follows=True),
            trains=trains,
        )
        self._start(request)

    def measure(self) -> None:
        """Score the image and all its results and fill the table, or say why not."""
        layer = self.image_box.layer
        try:
            source, psf = snapshot(layer), self.psf_form.psf(layer)
        except ConfigError as error:
            self._refuse(error)
            return
        self._measure(source, psf)

    def _measure(self, source: LayerSnapshot, psf: Psf, follows: bool = False) -> None:
        layer = source_layer(self.viewer, source)
        results = [] if layer is None else results_of(self.viewer, layer)
        results = [one for one in results if role(one) != "truth"]
        named = [(one.name, one.data, _background(one)) for one in results]
        if layer is None or not named:
            self._refuse("There is no result of this image yet: press Run.")
            return
        truth = self.truth_box.layer if self.use_truth.isChecked() else None
        try:
            for one in results:
                check_one_frame("Scores are made", layer, one.name, about(one))
            weights = self.camera_panel.weights()
        except ConfigError as error:
            self._refuse(error)
            return
        job = measure_job(source, psf, named, None if truth is None else (truth.name, truth.data), weights)
        request = RunRequest(
            job=job, what="Measuring", on_success=lambda rows: self._show_table(source, rows), follows=follows
        )
        self._start(request)

    def _start(self, request: RunRequest) -> None:
        if not self.busy:
            self.runs.start(request)

    def _refuse(self, problem: ConfigError | str, remedy: str = "") -> None:
        if not self.busy:
            self.run_panel.failed(str(problem), remedy)
            self.psf_form.point_at(problem)

    def _add(self, source: LayerSnapshot, results: Sequence[MethodResult]) -> str:
        for result in results:
            add_result(self.viewer, source, result.image, result.tag, result.provenance, link=True)
        return f"{len(results)} results"

    def _show_table(self, source: LayerSnapshot, rows: Sequence[Row]) -> str:
        layer = self.image_box.layer
        if layer is None or str(layer.unique_id) != source.source_id:
            return "Another image was chosen meanwhile. Press Measure to score its results"
        self._fill_table(rows)
        return f"{len(rows)} rows measured"

    def _fill_table(self, rows: Sequence[Row]) -> None:
        self.table.show_rows(rows)
        self.table_note.say(self.table.explain())
        for button in (self.copy_button, self.csv_button):
            button.setEnabled(bool(rows))

    def _is_truth(self, layer: Image) -> bool:
        image = self.image_box.layer
        sample = None if image is None else about(image).get("sample")
        return sample is not None and role(layer) == "truth" and about(layer).get("sample") == sample

    def _on_image(self, image: Image | None) -> None:
        self.psf_form.follow(image)
        self.camera_panel.follow(image)
        self.before_after.follow(image)
        self.truth_box.refresh()
        truth = self.truth_box.layer
        self.use_truth.setChecked(truth is not None and self._is_truth(truth))
        self._offer_network()
        self._draw_profiles()
        self._fill_table([])
        if not self.busy:
            self.run_panel.forget()

    def _on_psf(self) -> None:
        if not self.busy:
            self.run_panel.forget()

    def _offer_network(self) -> None:
        """Tick the network only if it has no result yet."""
        image = self.image_box.layer
        there = image is not None and any("config" in about(r) for r in results_of(self.viewer, image))
        self.methods.offer_network(not there)

    def _toggle_grid(self) -> None:
        image = self.image_box.layer
        if self.side_by_side.active:
            self.side_by_side.restore()
        elif image is not None and results_of(self.viewer, image):
            self.side_by_side.show(lambda: tiles_of(self.viewer, image))
        else:
            self._refuse("There is nothing to compare yet.", "Press Run first.")

    def _on_grid(self) -> None:
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
                self._refuse(error)

    def _connect(self) -> None:
        self.image_box.layer_changed.connect(self._on_image)
        self.psf_form.changed.connect(self._on_psf)
        self.run_panel.train.connect(self.compare)
        added = AddedLayers(self.viewer)
        self.runs.began.connect(lambda _request: added.begin())
        self.run_panel.follow(self.runs, added.names)
        self.runs.began.connect(lambda _request: self.measure_button.setEnabled(False))
        self.runs.finished.connect(lambda _ending: self.measure_button.setEnabled(True))
        self.grid_button.clicked.connect(self._toggle_grid)
        self.line_button.clicked.connect(self._toggle_line)
        self.measure_button.clicked.connect(self.measure)
        self.copy_button.clicked.connect(self.table.copy)
        self.csv_button.clicked.connect(self._save_csv)
        self.viewer.dims.events.point.connect(self._draw_profiles)
        self.use_truth.toggled.connect(self.truth_box.setEnabled)

    def _build(self) -> None:
        for button in (self.copy_button, self.csv_button):
            button.setEnabled(False)
        self.truth_box.setEnabled(False)
        self.sections = sections = {
            name: Section(name, folded=name == "Camera and pixels")
            for name in ("Image and PSF", "Camera and pixels", "Methods", "Look", "Measure")
        }
        truth = in_a_row(self.use_truth, self.truth_box, stretch=(0, 1))
        sections["Image and PSF"].add(self.image_box, self.psf_form, truth)
        sections["Camera and pixels"].add(self.camera_panel)
        sections["Methods"].add(self.methods)
        sections["Look"].add(in_a_row(self.grid_button, self.line_button), self.before_after, self.plot)
        sections["Measure"].add(
            in_a_row(self.measure_button, self.copy_button, self.csv_button), self.table, self.table_note
        )
        scrolled(self, *sections.values(), pinned=self.run_panel)


def _background(layer: Image) -> float:
    """Return the background that was subtracted from a result."""
    from napari_selfdeconv.api import background_of

    return background_of(layer.metadata.get(METADATA_KEY))


def open_compare(viewer: Any, image: Image | None = None, psf: Image | None = None) -> CompareWidget:
    """Open the dock beside the others, or raise it, with the layers chosen."""
    widget = open_dock(viewer, CompareWidget)
    if image is not None:
        widget.choose(image, psf)
    return widget
