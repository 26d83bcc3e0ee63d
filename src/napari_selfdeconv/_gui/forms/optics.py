"""All optics of a PSF: the required values, the immersion by name, and a folded section for the rest."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_selfdeconv._gui.forms.fields import ChoiceBox, NumberBox, WavelengthBox
from napari_selfdeconv._gui.forms.layout import Section, labelled_grid
from napari_selfdeconv._gui.forms.lens import LensFields
from napari_selfdeconv._gui.forms.microscope import SharedMicroscope, TypedOptics
from napari_selfdeconv._gui.forms.voxels import VoxelFields
from napari_selfdeconv.api import IMMERSIONS, MODELS, PsfModel
from napari_selfdeconv.config.optics import Optics

_OTHER = "other"


class OpticsForm(QWidget):
    """Fields for all of `Optics` and the voxel size. Signal ``changed`` comes with every edit of the optics.

    Parameters
    ----------
    shared : the microscope of the viewer. The fields show its numbers, and typed numbers are stored in it.
    voxels : the fields of the voxel size.
    """

    changed = Signal()

    def __init__(self, shared: SharedMicroscope, voxels: VoxelFields) -> None:
        super().__init__()
        self._shared = shared
        self._filling = False
        self._shown = shared.optics
        self.lens = LensFields(shared, voxels)
        self.na, self.wavelength, self.index = self.lens.na, self.lens.wavelength, self.lens.index
        immersions: list[tuple[str, float | None]] = [(name, index) for name, index in IMMERSIONS.items()]
        self.immersion = ChoiceBox([*immersions, (_OTHER, None)], "Immersion: fills in the refractive index")
        self.model = ChoiceBox([(model.title, key) for key, model in MODELS.items()], "Kind of microscope")
        self.parameters = {key: _parameter_boxes(model) for key, model in MODELS.items()}
        self.parameter_rows = {key: self._parameter_row(key) for key in MODELS}
        self.mismatch = QCheckBox("Sample of another index")
        self.mismatch.setToolTip(
            "The refractive index of the sample differs from that of the immersion: the PSF grows with the depth"
        )
        self.sample_index = NumberBox(1.38, 0.01, "Refractive index of the sample: water 1.33, cells 1.36 to 1.4")
        self.sample_depth = NumberBox(0.0, 1.0, "Depth of the structure below the coverslip, um")
        self.coverslip = NumberBox(
            170.0, 5.0, "Real thickness of the coverslip, um; the objective is made for 170"
        )
        self.defocus = NumberBox(0.0, 0.1, "Shift of all planes along z, um")
        self.defocus.setMinimum(-1000.0)
        self.pixel = QCheckBox("Integrate over the camera's pixel")
        self.pixel.setToolTip("Off for a scanning microscope, which samples points")
        self.pixel.setChecked(True)
        self._build()
        self._connect()
        self._show()

    def optics(self) -> Optics:
        """Return the settings; ConfigError if one is impossible."""
        return self._shared.optics.optics()

    def fill(self, optics: Optics) -> None:
        """Show ``optics``, here and in the other docks."""
        self._shared.set_optics(TypedOptics.of(optics))

    def _typed(self) -> TypedOptics:
        """Return the values of the fields; values without a field are unchanged."""
        before, layers, key = self._shared.optics, None, self.model.value()
        if self.mismatch.isChecked():
            layers = {
                **dict(before.layers or ()),
                "sample_index": self.sample_index.value(),
                "sample_depth_um": self.sample_depth.value(),
                "coverslip_um": self.coverslip.value(),
            }
        return replace(
            before,
            model=key,
            values=tuple((name, _read(box)) for name, box in self.parameters[key].items()),
            layers=None if layers is None else tuple(layers.items()),
            defocus_um=self.defocus.value(),
            pixel_integration=self.pixel.isChecked(),
        )

    def _on_field(self) -> None:
        if not self._filling:
            self._shared.set_optics(self._typed())
        self._show_enabled()

    def _on_immersion(self) -> None:
        index = self.immersion.value()
        if index is not None:
            self.index.setValue(index)

    def _on_model(self) -> None:
        if not self._filling:
            # A scanning microscope samples points; a camera integrates.
            self._filling = True
            self.pixel.setChecked(not MODELS[self.model.value()].scans)
            self._filling = False
        self._on_field()

    def _show(self) -> None:
        """Show the microscope of the viewer."""
        optics, self._filling = self._shared.optics, True
        # The name follows the number, so that the two always agree.
        names = [name for name, index in IMMERSIONS.items() if abs(index - optics.refractive_index) < 1e-6]
        self.immersion.setCurrentIndex(self.immersion.findText(names[0] if names else _OTHER))
        self.model.setCurrentIndex(self.model.findData(optics.model))
        for name, value in optics.values:
            box = self.parameters[optics.model][name]
            box.set_um(value) if isinstance(box, WavelengthBox) else box.setValue(value)
        self.mismatch.setChecked(optics.layers is not None)
        layers = dict(optics.layers or ())
        for key, box in (
            ("sample_index", self.sample_index),
            ("sample_depth_um", self.sample_depth),
            ("coverslip_um", self.coverslip),
        ):
            if key in layers:
                box.setValue(layers[key])
        self.defocus.setValue(optics.defocus_um)
        self.pixel.setChecked(optics.pixel_integration)
        self._filling = False
        self._show_enabled()
        if optics != self._shown:
            if optics.beyond_the_three() and not self._shown.beyond_the_three():
                self.more.unfold()
            self._shown = optics
            self.changed.emit()

    def _show_enabled(self) -> None:
        for key, row in self.parameter_rows.items():
            row.setVisible(key == self.model.value() and bool(MODELS[key].parameters))
        for widget in (self.sample_index, self.sample_depth, self.coverslip):
            widget.setEnabled(self.mismatch.isChecked())

    def _parameter_row(self, key: str) -> QWidget:
        boxes = self.parameters[key]
        return labelled_grid([(one.label, boxes[one.name]) for one in MODELS[key].parameters])

    def _connect(self) -> None:
        self.immersion.activated.connect(self._on_immersion)
        of_models = [box for boxes in self.parameters.values() for box in boxes.values()]
        for box in (*of_models, self.sample_index, self.sample_depth, self.coverslip, self.defocus):
            box.valueChanged.connect(self._on_field)
        for tick in (self.mismatch, self.pixel):
            tick.toggled.connect(self._on_field)
        self.model.currentIndexChanged.connect(self._on_model)
        self._shared.changed.connect(self._show)

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        self.more = Section("Immersion, confocal, mismatch", folded=True)
        self.more.add(
            labelled_grid([("Immersion", self.immersion), ("Microscope", self.model)]),
            *self.parameter_rows.values(),
            self.mismatch,
            labelled_grid(
                [
                    ("Sample index", self.sample_index),
                    ("Depth, µm", self.sample_depth),
                    ("Coverslip, µm", self.coverslip),
                ]
            ),
            labelled_grid([("Defocus, µm", self.defocus)]),
            self.pixel,
        )
        layout.addWidget(self.lens)
        layout.addWidget(self.more)


def _read(box: NumberBox) -> float:
    return box.um() if isinstance(box, WavelengthBox) else box.value()


def _parameter_boxes(model: PsfModel) -> dict[str, NumberBox]:
    boxes: dict[str, NumberBox] = {}
    for parameter in model.parameters:
        tip = parameter.summary[0].upper() + parameter.summary[1:]
        if parameter.wavelength:
            boxes[parameter.name] = WavelengthBox(parameter.proposed, tip)
        else:
            boxes[parameter.name] = NumberBox(parameter.proposed, parameter.step, tip)
    return boxes
