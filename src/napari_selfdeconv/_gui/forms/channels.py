"""The emission of each channel: its PSF is wider the longer the wavelength."""

from __future__ import annotations

from html import escape

from napari.layers import Image
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_selfdeconv._gui.forms.fields import FROM_FILE, Note, NumberBox, WavelengthBox
from napari_selfdeconv._gui.forms.layout import scroll_to
from napari_selfdeconv._gui.forms.microscope import SharedMicroscope
from napari_selfdeconv._gui.forms.problems import FieldError, wavelength_problem

_FIELD = "channel "
_LONGEST = 22
_PICTURE = (("red", "#ff0000"), ("green", "#00ff00"), ("blue", "#0000ff"))


class ChannelEmissions(QWidget):
    """A row for each channel of an image: its colour and name, as the file states them, and its emission.

    The fields show what the file states. "?" takes the emission that is typed for all channels.

    Parameters
    ----------
    shared : the microscope of the viewer. What is typed here appears in all docks.
    """

    def __init__(self, shared: SharedMicroscope) -> None:
        super().__init__()
        self._shared = shared
        self._image: Image | None = None
        self._channels, self._filling = 1, False
        self.boxes: list[WavelengthBox] = []
        self.labels: list[QLabel] = []
        self.note = Note()
        self.wrong: NumberBox | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        self._grid = QGridLayout()
        self._grid.setVerticalSpacing(2)
        self._grid.setColumnStretch(0, 1)
        layout.addWidget(QLabel("Emission of each channel"))
        layout.addLayout(self._grid)
        layout.addWidget(self.note)
        self.hide()

    def follow(self, image: Image | None, channels: int, *, needed: bool) -> None:
        """Show the channels of ``image``; nothing for one channel, or where no PSF is generated."""
        self._image, self._channels = image, channels if needed else 1
        self.setVisible(self._channels > 1)
        if self._channels > 1:
            self._show()

    def wavelengths_um(self) -> tuple[float, ...]:
        """Return the emission of each channel in um; 0 means that of all channels. Empty for one channel."""
        if self._image is None or self._channels == 1:
            return ()
        return self._shared.emissions_um(self._image, self._channels)

    def check(self) -> None:
        """Raise the error of the first channel whose emission is impossible."""
        for number, wavelength in enumerate(self.wavelengths_um()):
            problem = wavelength_problem(wavelength)
            if problem is not None:
                raise FieldError(f"{_FIELD}{number}", str(problem))

    def point_at(self, problem: FieldError) -> None:
        """Move the keyboard focus to the field that an error is about, if it is one of a channel."""
        if problem.field.startswith(_FIELD) and self.wrong is not None:
            scroll_to(self.wrong)
            self.wrong.setFocus()
            self.wrong.selectAll()

    def _show(self) -> None:
        facts = self._shared.facts(self._image)
        for number in range(len(self.boxes), self._channels):
            self._add_row(number)
        picture = self._image is not None and bool(self._image.rgb)
        self._filling = True
        for number, wavelength in enumerate(self.wavelengths_um()):
            stated = facts.channels[number] if number < len(facts.channels) else None
            name, colour = _PICTURE[number] if picture else (f"channel {number}", "")
            if stated is not None:
                name, colour = stated.name or name, stated.colour or colour
            known = stated is not None and stated.emission_um == wavelength > 0
            patch = f"<span style='color:{escape(colour)}'>■</span> " if colour else ""
            short = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
            self.labels[number].setText(f"{patch}{escape(short)}{FROM_FILE if known else ''}")
            self.labels[number].setToolTip(f"{name}. From the file {facts.file}" if known else name)
            self.boxes[number].set_um(wavelength)
        self._filling = False
        for number, pair in enumerate(zip(self.labels, self.boxes, strict=True)):
            for widget in pair:
                widget.setVisible(number < self._channels)
        self._mark()

    def _mark(self) -> None:
        """Outline the field of an impossible emission, and say what is wrong."""
        try:
            self.check()
            error = None
        except FieldError as found:
            error = found
        number = None if error is None else int(error.field.removeprefix(_FIELD))
        self.wrong = None if number is None else self.boxes[number]
        for box in self.boxes:
            box.mark_wrong(box is self.wrong)
        self.note.say("" if error is None else str(error), "error")

    def _on_number(self) -> None:
        if self._filling or self._image is None:
            return
        typed = tuple(box.um() for box in self.boxes[: self._channels])
        self._shared.set_emissions_um(self._image, typed)

    def _add_row(self, number: int) -> None:
        label = QLabel()
        # A long name of a dye must not widen the dock.
        label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        box = WavelengthBox(0.0, "Emission of this channel; ? takes the one of all channels")
        box.setAccessibleName(f"Emission of channel {number}")
        box.valueChanged.connect(self._on_number)
        label.setBuddy(box)
        self._grid.addWidget(label, number, 0)
        self._grid.addWidget(box, number, 1)
        self.labels.append(label)
        self.boxes.append(box)
