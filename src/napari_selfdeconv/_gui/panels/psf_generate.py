"""The tab 'Generate': optics, voxel size and size of a PSF, a picture while they change, and the layer."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QFileDialog, QPushButton, QWidget

from napari_selfdeconv._gui.forms.added_psf import STAYS, use_psf
from napari_selfdeconv._gui.forms.fields import Note, NumberBox
from napari_selfdeconv._gui.forms.layer_box import LayerBox, looks_like_input
from napari_selfdeconv._gui.forms.layout import Section, in_a_row, labelled_grid, scrolled
from napari_selfdeconv._gui.forms.microscope import microscope_of
from napari_selfdeconv._gui.forms.optics import OpticsForm
from napari_selfdeconv._gui.forms.problems import voxel_problem
from napari_selfdeconv._gui.forms.voxels import VoxelFields
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, about, display_limits
from napari_selfdeconv._gui.panels.psf_picture import PsfPreview
from napari_selfdeconv._gui.runs.controller import Ending, RunController, RunRequest
from napari_selfdeconv._gui.runs.failure import Failure
from napari_selfdeconv._gui.runs.psf import PsfResult, generate_job
from napari_selfdeconv._gui.runs.worker import Job
from napari_selfdeconv.api import PsfParameters, load_parameters, save_parameters
from napari_selfdeconv.errors import ConfigError

#: A pause in typing before anything is computed.
DEBOUNCE_MS = 300
_FILTER = "PSF parameters (*.json)"
# What the metadata of a computed PSF hold.
_PARAMETERS = ("optics", "voxel_um", "shape")


class GeneratePanel(QWidget):
    """Fields, a live picture, and 'Add PSF layer'."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.image_box = LayerBox(viewer, looks_like_input, "The image that the PSF is for")
        self.voxel_fields = VoxelFields(viewer)
        self.optics_form = OpticsForm(microscope_of(viewer), self.voxel_fields)
        self.voxel, self.voxel_note = self.voxel_fields.boxes, self.voxel_fields.note
        self.write_button = self.voxel_fields.write_button
        self.camera = NumberBox(6.5, 0.1, "Pitch of the camera's pixels, um")
        self.magnification = NumberBox(60.0, 1.0, "Total magnification between sample and camera")
        self.binning = NumberBox(1.0, 1.0, "Camera pixels per image pixel along one side")
        self.camera_button = QPushButton("Set voxel y, x")
        self.share = NumberBox(90.0, 1.0, "How much of the light near the focus the PSF holds, percent")
        self.fixed = QCheckBox("Size by hand")
        self.sizes = [NumberBox(0.0, 2.0, f"Voxels along {axis}; odd") for axis in "zyx"]
        self.preview = PsfPreview()
        self.facts, self.note = Note(), Note()
        self.add_button = QPushButton("Add PSF layer")
        self.read_button = QPushButton("Read from layer")
        self.read_button.setToolTip("Fill in the fields from the selected PSF layer, if this dock computed it")
        self.save_button, self.load_button = QPushButton("Save …"), QPushButton("Load …")
        for widget, tip in (
            (self.camera_button, "Compute the voxel size along y and x from camera, magnification and binning"),
            (self.fixed, "Type the number of voxels instead of the share of the light"),
            (self.add_button, "Add the PSF on display as a layer, with its parameters"),
            (self.save_button, "Write the parameters to a file, to use them again or to share them"),
            (self.load_button, "Read the parameters from a file"),
        ):
            widget.setToolTip(tip)
        self.generated: PsfResult | None = None
        self.runs = RunController(self)
        self._filling = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DEBOUNCE_MS)
        self._timer.timeout.connect(self._compute)
        self._build()
        self._connect()
        self._on_image(self.image_box.layer)

    @property
    def busy(self) -> bool:
        return self.runs.busy or self._timer.isActive()

    def close_panel(self) -> None:
        """Compute nothing more: the dock was closed."""
        self._timer.stop()

    def add_layer(self) -> None:
        """Add the PSF on display as a layer, with its parameters in the metadata."""
        made = self.generated
        if made is None:
            return
        image = self.image_box.layer
        name = "PSF" if image is None else f"{image.name} PSF"
        layer = self._viewer.add_image(
            made.psf,
            name=name,
            scale=made.parameters.voxel_um,
            units=("um",) * made.psf.ndim,
            axis_labels=tuple("zyx"[-made.psf.ndim :]),
            contrast_limits=display_limits(made.psf),
            visible=False,
            metadata={METADATA_KEY: {"role": "psf", **made.parameters.to_dict()}},
        )
        # napari adds a number to a name that is there already.
        said = f"Added '{layer.name}'; it is hidden, so that it does not cover the image."
        if use_psf(self._viewer, layer):
            self.note.say(f"{said} It is the PSF in all docks now.", "good")
        else:
            self.note.say(f"{said} {STAYS}", "warning")

    def read_layer(self) -> None:
        """Fill in the form from the selected layer's metadata, or say why not."""
        layer = self._viewer.layers.selection.active
        told = about(layer) if isinstance(layer, Image) else {}
        try:
            if told.get("role") != "psf" or not told.keys() >= set(_PARAMETERS):
                raise ConfigError("Select a PSF layer that this dock has computed.")
            self.fill(PsfParameters.from_dict({key: told[key] for key in _PARAMETERS}))
        except ConfigError as error:
            self.note.say(str(error), "warning")

    def fill(self, parameters: PsfParameters) -> None:
        """Show ``parameters``."""
        self._filling = True
        self.optics_form.fill(parameters.optics)
        self.fixed.setChecked(True)
        self._show_axes(len(parameters.shape))
        self.voxel_fields.set_sizes(parameters.voxel_um)
        for box, size in zip(self.sizes[-len(parameters.shape) :], parameters.shape, strict=True):
            box.setValue(size)
        self._filling = False
        self._later()

    def _ndim(self) -> int:
        image = self.image_box.layer
        return image.ndim if image is not None and image.ndim in (2, 3) else 3

    def _job(self) -> Job:
        voxel, ndim = self.voxel_fields.sizes(), self.voxel_fields.ndim
        optics = self.optics_form.optics()
        problem = voxel_problem(voxel)
        if problem is not None:
            raise problem
        image = self.image_box.layer
        extent = (65,) * ndim
        if image is not None and not image.multiscale:
            # Without the colours of a picture, which are the last axis of its data.
            extent = image.data.shape[: image.ndim][-ndim:]
        shape = tuple(int(box.value()) for box in self.sizes[-ndim:]) if self.fixed.isChecked() else None
        if shape is not None:
            PsfParameters(optics=optics, voxel_um=voxel, shape=shape)  # raises an error if a size is wrong
        share = self.share.value() / 100
        return generate_job(optics, voxel, tuple(extent), min(max(share, 0.01), 0.999), shape)

    def _later(self, *_: Any) -> None:
        if not self._filling:
            self._timer.start()

    def _compute(self) -> None:
        try:
            job = self._job()
        except ConfigError as error:
            self.runs.cancel()
            self._forget(str(error))
            return
        # A PSF that is being computed is out of date.
        self.runs.start_newest(RunRequest(job=job, what="PSF", on_success=self._show))

    def _on_finished(self, ending: Ending) -> None:
        if isinstance(ending.outcome, Failure):
            self._forget(ending.outcome.text)

    def _show(self, made: PsfResult) -> str:
        self.generated = made
        self.add_button.setEnabled(True)
        self.preview.show_psf(made.psf, made.parameters.voxel_um)
        self.facts.say(made.facts)
        self.note.say("\n".join(f"• {note}." for note in made.notes), "warning")
        if not self.fixed.isChecked():
            self._filling = True
            for box, size in zip(self.sizes[-made.psf.ndim :], made.psf.shape, strict=True):
                box.setValue(size)
            self._filling = False
        return made.facts

    def _forget(self, why: str) -> None:
        self.generated = None
        self.add_button.setEnabled(False)
        self.preview.clear()
        self.facts.say("")
        self.note.say(why, "warning")

    def _on_image(self, image: Image | None) -> None:
        self.optics_form.lens.follow(image)
        self.voxel_fields.follow(image if image is not None and image.ndim in (2, 3) else None)
        self._show_axes(self._ndim())
        self._later()

    def _show_axes(self, ndim: int) -> None:
        self.voxel_fields.show_axes(ndim)
        self.sizes[0].setVisible(ndim == 3)

    def _from_camera(self) -> None:
        if self.magnification.value() > 0:
            size = self.camera.value() * self.binning.value() / self.magnification.value()
            for box in self.voxel[1:]:
                box.setValue(round(size, 5))

    def _ask_save(self) -> None:
        made = self.generated
        if made is None:
            return
        path, _ = QFileDialog.getSaveFileName(self, "Save the parameters", "psf.json", _FILTER)
        if path:
            self._guarded(lambda: save_parameters(path, made.parameters))

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load parameters", "", _FILTER)
        if path:
            self._guarded(lambda: self.fill(load_parameters(path)))

    def _guarded(self, action: Any) -> None:
        try:
            action()
        except ConfigError as error:
            self.note.say(str(error), "warning")

    def _connect(self) -> None:
        self.image_box.layer_changed.connect(self._on_image)
        self.runs.finished.connect(self._on_finished)
        self.optics_form.changed.connect(self._later)
        self.voxel_fields.changed.connect(self._later)
        for box in (*self.sizes, self.share):
            box.valueChanged.connect(self._later)
        self.fixed.toggled.connect(self._on_fixed)
        for button, slot in (
            (self.camera_button, self._from_camera),
            (self.add_button, self.add_layer),
            (self.read_button, self.read_layer),
            (self.save_button, self._ask_save),
            (self.load_button, self._ask_load),
        ):
            button.clicked.connect(lambda _=False, run=slot: run())

    def _on_fixed(self, fixed: bool) -> None:
        for box in self.sizes:
            box.setEnabled(fixed)
        self.share.setEnabled(not fixed)
        self._later()

    def _build(self) -> None:
        self._on_fixed(False)
        self.add_button.setEnabled(False)
        sections = {
            "Optics": Section("Optics"),
            "Camera": Section("Voxel size from the camera", folded=True),
            "Size": Section("Size of the PSF", folded=True),
        }
        sections["Optics"].add(self.optics_form)
        camera = [
            ("Pixel, µm", self.camera),
            ("Magnification", self.magnification),
            ("Binning", self.binning),
        ]
        sections["Camera"].add(labelled_grid(camera), self.camera_button)
        sections["Size"].add(labelled_grid([("Light held, %", self.share)]), self.fixed, in_a_row(*self.sizes))
        files = in_a_row(self.read_button, self.save_button, self.load_button)
        shown = (self.preview, self.facts, self.note, self.add_button, files)
        scrolled(self, self.image_box, *sections.values(), *shown)
