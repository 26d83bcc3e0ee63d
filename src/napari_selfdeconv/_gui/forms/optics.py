"""The optics as people know them: objective, emission in nm or um, immersion; and what few need, folded."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_selfdeconv._gui.forms.fields import ChoiceBox, NumberBox
from napari_selfdeconv._gui.forms.layout import Section, labelled_grid
from napari_selfdeconv._gui.forms.microscope import Lens
from napari_selfdeconv.api import (
    IMMERSIONS,
    MODELS,
    OBJECTIVES,
    Objective,
    PsfModel,
    make_optics,
    model_key,
    parameter_values,
)
from napari_selfdeconv.config.optics import CoverslipLayers, Optics


class WavelengthBox(NumberBox):
    """A wavelength typed in nanometres or micrometres; 525 and 0.525 are the same."""

    def __init__(self, value_um: float, tip: str) -> None:
        super().__init__(1000 * value_um, 5.0, f"{tip}: 525 (nm) or 0.525 (um)")
        self.setSuffix(" nm")
        self.editingFinished.connect(self._settle)

    def um(self) -> float:
        """Return the wavelength in um, whichever unit was typed."""
        value = self.value()
        return value / 1000 if value > 10 else value

    def set_um(self, value_um: float) -> None:
        """Show a wavelength given in um."""
        self.setValue(1000 * value_um)

    def _settle(self) -> None:
        # A number up to 10 was meant in um: no microscope sees 10 nm.
        if 0 < self.value() <= 10:
            self.setValue(1000 * self.value())


class OpticsForm(QWidget):
    """All of `Optics` but the voxel size. Signal ``changed`` comes with every edit."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        choices: list[tuple[str, Objective | None]] = [("choose an objective", None)]
        choices += [(objective.label, objective) for objective in OBJECTIVES]
        self.objective = ChoiceBox(choices, "Fills in NA and immersion; then check them")
        immersions: list[tuple[str, float | None]] = [(name, index) for name, index in IMMERSIONS.items()]
        self.immersion = ChoiceBox([*immersions, ("other", None)], "Fills in the refractive index")
        self.na = NumberBox(1.4, 0.05, "Numerical aperture of the objective")
        self.wavelength = WavelengthBox(0.525, "Emission wavelength")
        self.index = NumberBox(1.515, 0.01, "Refractive index of the immersion")
        self.model = ChoiceBox([(model.title, key) for key, model in MODELS.items()], "What kind of microscope")
        self.parameters = {key: _parameter_boxes(model) for key, model in MODELS.items()}
        self.parameter_rows = {key: self._parameter_row(key) for key in MODELS}
        self.mismatch = QCheckBox("Sample of another index")
        self.mismatch.setToolTip(
            "The sample refracts light otherwise than the immersion: the PSF grows with the depth"
        )
        self.sample_index = NumberBox(1.38, 0.01, "Refractive index of the sample: water 1.33, cells 1.36 to 1.4")
        self.sample_depth = NumberBox(0.0, 1.0, "How deep below the coverslip the structure lies, um")
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
        self.immersion.setCurrentIndex(self.immersion.findText("oil"))

    def optics(self) -> Optics:
        """Return the settings; ConfigError if they make no sense."""
        layers = None
        if self.mismatch.isChecked():
            layers = CoverslipLayers(
                sample_index=self.sample_index.value(),
                sample_depth_um=self.sample_depth.value(),
                coverslip_um=self.coverslip.value(),
            )
        key = self.model.value()
        return make_optics(
            key,
            {name: _read(box) for name, box in self.parameters[key].items()},
            na=self.na.value(),
            wavelength_um=self.wavelength.um(),
            refractive_index=self.index.value(),
            defocus_um=self.defocus.value(),
            layers=layers,
            pixel_integration=self.pixel.isChecked(),
        )

    def fill(self, optics: Optics) -> None:
        """Show ``optics``."""
        self.objective.setCurrentIndex(0)
        self.na.setValue(optics.na)
        self.wavelength.set_um(optics.wavelength_um)
        self.index.setValue(optics.refractive_index)
        self.defocus.setValue(optics.defocus_um)
        self.model.setCurrentIndex(self.model.findData(model_key(optics)))
        for name, value in parameter_values(optics).items():
            box = self.parameters[model_key(optics)][name]
            box.set_um(value) if isinstance(box, WavelengthBox) else box.setValue(value)
        self.mismatch.setChecked(optics.layers is not None)
        if optics.layers is not None:
            self.sample_index.setValue(optics.layers.sample_index)
            self.sample_depth.setValue(optics.layers.sample_depth_um)
            self.coverslip.setValue(optics.layers.coverslip_um)
        self.pixel.setChecked(optics.pixel_integration)
        self.more.heading.setChecked(optics.layers is not None or bool(parameter_values(optics)))

    def lens(self) -> Lens:
        """Return what every PSF of the microscope needs."""
        return Lens(self.na.value(), self.wavelength.um(), self.index.value())

    def set_lens(self, lens: Lens) -> None:
        """Show what every PSF of the microscope needs, and leave the rest."""
        self.na.setValue(lens.na)
        self.wavelength.set_um(lens.wavelength_um)
        self.index.setValue(lens.refractive_index)

    def _on_objective(self) -> None:
        chosen = self.objective.value()
        if chosen is not None:
            self.na.setValue(chosen.na)
            self.index.setValue(IMMERSIONS[chosen.immersion])  # its name follows

    def _on_immersion(self) -> None:
        index = self.immersion.value()
        if index is not None:
            self.index.setValue(index)

    def _on_index(self) -> None:
        # The name follows the number, so that the two never say different things.
        names = [name for name, index in IMMERSIONS.items() if abs(index - self.index.value()) < 1e-6]
        self.immersion.setCurrentIndex(self.immersion.findText(names[0] if names else "other"))

    def _show(self) -> None:
        for key, row in self.parameter_rows.items():
            row.setVisible(key == self.model.value() and bool(MODELS[key].parameters))
        for widget in (self.sample_index, self.sample_depth, self.coverslip):
            widget.setEnabled(self.mismatch.isChecked())

    def _on_model(self) -> None:
        # A scanning microscope samples points; a camera integrates.
        self.pixel.setChecked(not MODELS[self.model.value()].scans)
        self._show()

    def _parameter_row(self, key: str) -> QWidget:
        boxes = self.parameters[key]
        return labelled_grid([(one.label, boxes[one.name]) for one in MODELS[key].parameters])

    def _connect(self) -> None:
        self.objective.activated.connect(self._on_objective)
        self.immersion.activated.connect(self._on_immersion)
        self.index.valueChanged.connect(self._on_index)
        of_models = [box for boxes in self.parameters.values() for box in boxes.values()]
        numbers = (self.na, self.wavelength, self.index, *of_models)
        for box in (*numbers, self.sample_index, self.sample_depth, self.coverslip, self.defocus):
            box.valueChanged.connect(self.changed)
        for tick in (self.mismatch, self.pixel):
            tick.toggled.connect(self._show)
            tick.toggled.connect(self.changed)
        self.model.currentIndexChanged.connect(self._on_model)
        self.model.currentIndexChanged.connect(self.changed)

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.objective)
        layout.addWidget(
            labelled_grid(
                [
                    ("NA", self.na),
                    ("Emission", self.wavelength),
                    ("Immersion", self.immersion),
                    ("Index", self.index),
                ]
            )
        )
        self.more = Section("Microscope, mismatch, defocus", folded=True)
        self.more.add(
            labelled_grid([("Microscope", self.model)]),
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
        layout.addWidget(self.more)
        self._show()


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
