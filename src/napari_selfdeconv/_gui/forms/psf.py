"""The form 'which PSF'. Reading it builds a dataclass, and that is the validation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QRadioButton,
    QVBoxLayout,
    QWidget,
)

from napari_selfdeconv._gui.forms.fields import LayerBox, Note, NumberBox, looks_like_psf
from napari_selfdeconv._gui.forms.microscope import Lens, microscope_of
from napari_selfdeconv._gui.forms.optics import WavelengthBox
from napari_selfdeconv._gui.layers.exchange import about, length_um, snapshot
from napari_selfdeconv._gui.layers.voxels import scale_without_unit, write_voxel_um
from napari_selfdeconv._gui.runs.psf_choice import GeneratedPsf, MeasuredPsf, Psf
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class PsfChoice:
    """What a `PsfForm` shows, to show it in another one: a layer, or optics and voxel size (z, y, x; um)."""

    generated: bool
    layer: Image | None
    clean: bool
    na: float
    wavelength_um: float
    refractive_index: float
    voxel_um: tuple[float, ...]


class PsfForm(QWidget):
    """PSF from a layer, or generated from the optics and the voxel size.

    Signal ``changed`` says that another PSF is asked for: another source, layer, or number.
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.from_layer = QRadioButton("Layer")
        self.from_layer.setToolTip("A PSF that lies in a layer: a measured bead, or one that was computed before")
        self.generated = QRadioButton("Generated")
        self.generated.setToolTip("Computed from the optics of the microscope, by Richards & Wolf")
        self.layer_box = LayerBox(viewer, looks_like_psf, "The layer that holds the PSF")
        self.clean = QCheckBox("Clean up (background, centre, crop)")
        self.clean.setToolTip("For a measured bead; a computed PSF is used as it is")
        self.na = NumberBox(1.4, 0.05, "Numerical aperture of the objective")
        self.wavelength = WavelengthBox(0.525, "Emission wavelength")
        self.index = NumberBox(1.515, 0.01, "Refractive index of the immersion: oil 1.515, water 1.33, air 1")
        self.voxel = [
            NumberBox(0.0, 0.01, f"Voxel size along {axis} in micrometres", may_be_unknown=True) for axis in "zyx"
        ]
        self.voxel_note = Note()
        self.write_button = QPushButton("Write to the layer")
        self.write_button.setToolTip("Set the voxel size of the image layer. Preview and results follow.")
        self.tools = QPushButton("PSF tools …")
        self.tools.setToolTip("Generate with a picture, objectives, confocal, mismatch; check and repair; beads")
        self._touched = False
        self.wrong: NumberBox | None = None
        self._filling = False
        self._ndim = 3
        self._viewer = viewer
        self._microscope = microscope_of(viewer)
        self._image: Image | None = None
        self._build()
        self.layer_box.layer_changed.connect(self._suggest_source)
        self._sources.buttonClicked.connect(self._on_clicked)
        for box in (self.na, self.wavelength, self.index, *self.voxel):
            box.valueChanged.connect(self._on_number)
        self.clean.toggled.connect(self._on_number)
        self.write_button.clicked.connect(self._write_voxels)
        self.tools.clicked.connect(lambda: _open_tools(viewer))
        self._microscope.changed.connect(self._on_microscope)
        self._suggest_source(self.layer_box.layer)
        self._on_microscope()

    def psf(self, image: Image | None, layer: Image | None = None) -> Psf:
        """Return the PSF asked for, or that of ``layer``; ConfigError if it makes no sense.

        The field that the error is about has a red outline until it is mended.
        """
        self._mark(None)
        try:
            return self._read(image, layer)
        except ConfigError as error:
            fields = {"na ": self.na, "wavelength_um ": self.wavelength, "refractive_index ": self.index}
            self._mark(next((box for name, box in fields.items() if str(error).startswith(name)), None))
            raise

    def focus_wrong(self) -> None:
        """Move the keyboard focus to the field with the red outline."""
        if self.wrong is not None:
            self.wrong.setFocus()
            self.wrong.selectAll()

    def _mark(self, wrong: NumberBox | None) -> None:
        for box in (self.na, self.wavelength, self.index):
            box.setStyleSheet("QDoubleSpinBox { border: 2px solid #e0555f; }" if box is wrong else "")
        self.wrong = wrong

    def _read(self, image: Image | None, layer: Image | None) -> Psf:
        if layer is not None:
            return MeasuredPsf(snapshot(layer), clean=self.clean.isChecked())
        if self.generated.isChecked():
            optics = Optics(
                na=self.na.value(),
                wavelength_um=self.wavelength.um(),
                refractive_index=self.index.value(),
            )
            return GeneratedPsf(optics, tuple(box.value() for box in self.voxel[-self._ndim :]))
        layer = self.layer_box.layer
        if layer is None:
            raise ConfigError("No PSF chosen: choose the layer that holds it, or 'Generated'.")
        if layer is image:
            raise ConfigError("The PSF is the image itself: choose the layer that holds the PSF, or 'Generated'.")
        return MeasuredPsf(snapshot(layer), clean=self.clean.isChecked())

    def choice(self) -> PsfChoice:
        """Return what the form shows."""
        return PsfChoice(
            generated=self.generated.isChecked(),
            layer=self.layer_box.layer,
            clean=self.clean.isChecked(),
            na=self.na.value(),
            wavelength_um=self.wavelength.um(),
            refractive_index=self.index.value(),
            voxel_um=tuple(box.value() for box in self.voxel),
        )

    def choose(self, choice: PsfChoice) -> None:
        """Show what another form shows."""
        self.na.setValue(choice.na)
        self.wavelength.set_um(choice.wavelength_um)
        self.index.setValue(choice.refractive_index)
        for box, size in zip(self.voxel, choice.voxel_um, strict=True):
            box.setValue(size)
        self.clean.setChecked(choice.clean)
        if choice.layer is not None:
            self.layer_box.choose(choice.layer)
        (self.generated if choice.generated else self.from_layer).click()

    def choose_layer(self, layer: Image) -> None:
        """Take the PSF from ``layer``."""
        self.from_layer.click()
        self.layer_box.choose(layer)

    def follow(self, image: Image | None, ndim: int | None = None) -> None:
        """Fill in what the image knows: its voxel size, a sample's optics; ``ndim`` axes make one frame."""
        before = self.choice()
        self._image, self._filling = image, True
        ndim = ndim or (image.ndim if image is not None else 0)
        if image is not None and ndim in (2, 3):
            self._ndim = ndim
            optics = about(image).get("optics")
            if optics:
                lens = Lens(optics["na"], optics["wavelength_um"], optics["refractive_index"])
                self._microscope.fill(image, lens)
        self._show_voxels()
        self._filling = False
        for widget in (self.voxel[0], self._z_label):
            widget.setVisible(self._ndim == 3)
        self._offer()
        if self.choice() != before:
            self.changed.emit()

    def _build(self) -> None:
        self._sources = QButtonGroup(self)
        row = QHBoxLayout()
        for button in (self.from_layer, self.generated):
            self._sources.addButton(button)
            row.addWidget(button)
        row.addStretch()
        self._optics = QWidget()
        grid = QGridLayout(self._optics)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(2)
        self._z_label = QLabel("Voxel z, µm")
        top = [("NA", self.na), ("Emission", self.wavelength), ("Refr. index", self.index)]
        for column, (text, box) in enumerate(top):
            grid.addWidget(QLabel(text), 0, column)
            grid.addWidget(box, 1, column)
            grid.setColumnStretch(column, 1)
        labels = [self._z_label, QLabel("Voxel y, µm"), QLabel("Voxel x, µm")]
        for column, (label, box) in enumerate(zip(labels, self.voxel, strict=True)):
            grid.addWidget(label, 2, column)
            grid.addWidget(box, 3, column)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.layer_box)
        layout.addWidget(self.clean)
        layout.addWidget(self._optics)
        layout.addWidget(self.voxel_note)
        layout.addWidget(self.write_button)
        layout.addWidget(self.tools)

    def _on_number(self) -> None:
        if not self._filling:
            self._offer()
            self._share()
            self.changed.emit()

    def _share(self) -> None:
        """Tell the other docks what was typed here."""
        sizes = tuple(box.value() for box in self.voxel[-self._ndim :])
        self._filling = True
        self._microscope.set_lens(Lens(self.na.value(), self.wavelength.um(), self.index.value()))
        if self._image is not None:
            self._microscope.set_voxel_um(self._image, self._layer_sizes(self._image), sizes)
        self._filling = False

    def _on_microscope(self) -> None:
        """Show what was typed in another dock."""
        before, mine, lens = self.choice(), self._filling, self._microscope.lens
        self._filling = True
        if lens is not None:
            self.na.setValue(lens.na)
            self.wavelength.set_um(lens.wavelength_um)
            self.index.setValue(lens.refractive_index)
        if not mine:
            self._show_voxels()
        self._filling = mine
        if not mine and self.choice() != before:
            self._offer()
            self.changed.emit()

    def _show_voxels(self) -> None:
        image, n = self._image, self._ndim
        sizes = self._microscope.voxel_um(image, None if image is None else self._layer_sizes(image), n)
        for box, size in zip(self.voxel[-n:], sizes, strict=True):
            box.setValue(size)

    def _layer_sizes(self, image: Image) -> tuple[float, ...] | None:
        n = self._ndim
        return length_um(image.scale[-n:], image.units[-n:]) if image.ndim >= n else None

    def _offer(self) -> None:
        """Offer to write to the layer the voxel size that it does not have."""
        image, generated = self._image, self.generated.isChecked()
        sizes = self._sizes_to_write()
        known = None if image is None else length_um(image.scale[-self._ndim :], image.units[-self._ndim :])
        text = ""
        if image is not None and known is None and image.ndim >= self._ndim:
            if sizes is not None and sizes == scale_without_unit(image, self._ndim):
                text = "The scale of the image layer has no unit. If it is in micrometres:"
            elif sizes is not None:
                text = "The image layer does not have this voxel size; results will."
            elif generated:
                text = "The layer does not say its voxel size: type it."
        self.voxel_note.say(text, "warning")
        self.write_button.setVisible(sizes is not None)
        if sizes is not None:
            shown = " × ".join(f"{size:g}" for size in sizes)
            self.write_button.setText(f"Write {shown} µm to the layer")
            self.write_button.setToolTip(
                f"Set the voxel size of the image layer to {shown} micrometres. Preview and results follow."
            )

    def _sizes_to_write(self) -> tuple[float, ...] | None:
        """Return the voxel size that was typed, or that lacks its unit only; None if the layer has it."""
        image, n = self._image, self._ndim
        if image is None or image.ndim < n:
            return None
        typed = tuple(box.value() for box in self.voxel[-n:])
        if not (self.generated.isChecked() and all(typed)):
            return scale_without_unit(image, n)
        known = length_um(image.scale[-n:], image.units[-n:])
        same = known is not None and all(abs(a - b) < 1e-6 for a, b in zip(known, typed, strict=True))
        return None if same else typed

    def _write_voxels(self) -> None:
        image, sizes = self._image, self._sizes_to_write()
        if image is not None and sizes is not None:
            write_voxel_um(self._viewer, image, sizes)
            self.follow(image, self._ndim)

    def _on_clicked(self) -> None:
        self._touched = True
        self._show_source()

    def _suggest_source(self, layer: Image | None) -> None:
        if not self._touched:
            (self.generated if layer is None else self.from_layer).setChecked(True)
        self._show_source()

    def _show_source(self) -> None:
        self._offer()
        self.changed.emit()
        self._optics.setVisible(self.generated.isChecked())
        for widget in (self.layer_box, self.clean):
            widget.setVisible(self.from_layer.isChecked())


def _open_tools(viewer: Any) -> None:
    from napari_selfdeconv._gui.docks.psf import open_psf

    open_psf(viewer)
