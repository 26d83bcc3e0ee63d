"""The values that every PSF needs: numerical aperture, emission, refractive index of the immersion."""

from __future__ import annotations

from dataclasses import replace

from napari.layers import Image
from qtpy.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_selfdeconv._gui.forms.fields import FROM_FILE, Note, NumberBox, WavelengthBox
from napari_selfdeconv._gui.forms.layout import scroll_to
from napari_selfdeconv._gui.forms.microscope import SharedMicroscope
from napari_selfdeconv._gui.forms.microscope_list import MicroscopeList
from napari_selfdeconv._gui.forms.problems import FieldError, optics_problem
from napari_selfdeconv._gui.forms.voxels import VoxelFields
from napari_selfdeconv.api import MODELS
from napari_selfdeconv.config.template import GIVEN

_NAMES = {"na": "na", "wavelength": "wavelength_um", "index": "refractive_index"}


class LensFields(QWidget):
    """The list of microscopes, three numbers, the voxel size below them, and the error of one of them.

    Parameters
    ----------
    shared : the microscope of the viewer. The fields show its numbers, and typed numbers are stored in it.
    voxels : the fields of the voxel size, which lie below the three numbers.
    """

    def __init__(self, shared: SharedMicroscope, voxels: VoxelFields) -> None:
        super().__init__()
        self._shared, self._voxels = shared, voxels
        self.list = MicroscopeList(shared)
        self.na = NumberBox(0.0, 0.05, "Numerical aperture of the objective", may_be_unknown=True)
        self.wavelength = WavelengthBox(0.0, "Emission wavelength")
        self.index = NumberBox(
            0.0, 0.01, "Refractive index of the immersion: oil 1.515, water 1.33, air 1", may_be_unknown=True
        )
        self.file_note, self.error_note = Note(), Note()
        self.said = Note()
        self.wrong: NumberBox | None = None
        self._image: Image | None = None
        self._filling = False
        self._build()
        for box in (self.na, self.wavelength, self.index):
            box.valueChanged.connect(self._on_number)
        self.list.said.connect(self.said.say)
        self.list.voxel_um.connect(voxels.fill)
        voxels.changed.connect(self._on_voxels)
        shared.changed.connect(self._show)
        self._show()

    def follow(self, image: Image | None) -> None:
        """Show what the file of ``image`` states."""
        self._image = image
        self._shared.follow(image)
        self._show()

    def need(self, needed: bool) -> None:
        """Show the fields, or hide them where no PSF is generated; the offer to write the voxel size stays."""
        self._fields.setVisible(needed)
        for note in (self.error_note, self.file_note):
            note.setVisible(needed and bool(note.text()))
        self._voxels.need(needed)

    def show_error(self, error: FieldError | None) -> None:
        """Outline the field that an error is about, and say what is wrong below; None takes both away."""
        fields = {"na": self.na, "wavelength": self.wavelength, "index": self.index}
        fields |= {f"voxel {axis}": box for axis, box in zip("zyx", self._voxels.boxes, strict=True)}
        self.wrong = None if error is None else fields.get(error.field)
        for box in fields.values():
            box.mark_wrong(box is self.wrong)
        self.error_note.say("" if error is None else str(error), "error")

    def focus_wrong(self) -> None:
        """Move the keyboard focus to the field with the red outline."""
        if self.wrong is not None:
            scroll_to(self.wrong)
            self.wrong.setFocus()
            self.wrong.selectAll()

    def _on_number(self) -> None:
        if not self._filling:
            self._filling = True
            self._shared.set_optics(
                replace(
                    self._shared.optics,
                    na=self.na.value(),
                    wavelength_um=self.wavelength.um(),
                    refractive_index=self.index.value(),
                )
            )
            self._filling = False
        self._check()
        self._mark()

    def _on_voxels(self) -> None:
        self.list.offer_voxel_um(self._voxels.sizes())
        self._check()

    def _check(self) -> None:
        """Show an impossible value at once. Missing values are asked for when a run starts."""
        optics = self._shared.optics
        error = optics_problem(optics.na, optics.wavelength_um, optics.refractive_index)
        self.show_error(None if error is None or error.missing else error)

    def _show(self) -> None:
        optics = self._shared.optics
        if not self._filling:
            self._filling = True
            self.na.setValue(optics.na)
            self.wavelength.set_um(optics.wavelength_um)
            self.index.setValue(optics.refractive_index)
            self._filling = False
            self._check()
        self._mark()

    def _mark(self) -> None:
        """Mark values that come from the file, and list those that it does not state."""
        facts, optics = self._shared.facts(self._image), self._shared.optics
        sources = facts.sources_of(optics)
        marked = False
        for label, (name, key) in zip(self._labels, _NAMES.items(), strict=True):
            same = not sources[key].startswith(GIVEN)
            marked = marked or same
            label.setText(_LABELS[name] + (FROM_FILE if same else ""))
            label.setToolTip(f"From the file: {facts.sources[key]}" if same else _other(sources[key]))
        parts = [f"{FROM_FILE.strip()} from the file {facts.file}"] if marked or facts.values else []
        if facts.file and facts.missing:
            known = all((optics.na, optics.wavelength_um, optics.refractive_index))
            rest = "these values were typed" if known else "type what is missing"
            parts.append(f"The file does not state {_listed(facts.missing)}: {rest}.")
        parts += [f"Check: {doubt}." for doubt in facts.doubts]
        if kinds := facts.other_kinds(optics):
            model = MODELS[optics.model].title.lower()
            parts.append(f"The file states the microscope {kinds}, and the PSF is computed for a {model} one")
        said = ". ".join(part.rstrip(".") for part in parts) + "." if parts else ""
        self.file_note.say(said, "warning" if kinds else "")

    def _build(self) -> None:
        self._fields = QWidget()
        above = QVBoxLayout(self._fields)
        grid = QGridLayout()
        self._labels = [QLabel(text) for text in _LABELS.values()]
        for column, (label, box) in enumerate(
            zip(self._labels, (self.na, self.wavelength, self.index), strict=True)
        ):
            label.setBuddy(box)
            grid.addWidget(label, 0, column)
            grid.addWidget(box, 1, column)
            grid.setColumnStretch(column, 1)
        grid.setVerticalSpacing(2)
        above.addWidget(self.list)
        above.addWidget(self.said)
        above.addLayout(grid)
        layout = QVBoxLayout(self)
        for part in (layout, above, grid):
            part.setContentsMargins(0, 0, 0, 0)
            if isinstance(part, QVBoxLayout):
                part.setSpacing(4)
        for widget in (self._fields, self._voxels, self.error_note, self.file_note):
            layout.addWidget(widget)


_LABELS = {"na": "NA", "wavelength": "Emission", "index": "Refr. index"}


def _other(source: str) -> str:
    """Return what the file states instead of a typed value, as a tooltip."""
    return source.removeprefix(f"{GIVEN}; ").capitalize() if source != GIVEN else ""


def _listed(items: tuple[str, ...]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
