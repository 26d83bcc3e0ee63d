"""Small input fields: they show values and units; the dataclasses check them."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from qtpy.QtCore import QLocale, Qt
from qtpy.QtGui import QValidator, QWheelEvent
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from napari_selfdeconv._gui.forms.typed_over import TypedOver

#: Shown while a number is missing.
UNKNOWN = "?"
#: Shown while a number is estimated.
AUTO = "auto"
#: Marks a field whose value comes from the file of the image.
FROM_FILE = " *"
_WRONG = "{ border: 2px solid #e0555f; }"
# A number whose exponent is still to be typed.
_BEGUN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?")


class QuietWheel:
    """Scrolling the dock must not change numbers below the mouse: only a focused field takes the wheel."""

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        if self.hasFocus():  # type: ignore[attr-defined]
            super().wheelEvent(event)  # type: ignore[misc]
        elif event is not None:
            event.ignore()


class NumberBox(QuietWheel, TypedOver, QDoubleSpinBox):
    """A decimal number without trailing zeros, shown with a decimal point. A typed comma becomes one.

    It is our own, because magicgui's number field shows trailing zeros and changes when the dock is scrolled. Qt
    takes a comma for a separator of thousands: 1,5 was 15.
    """

    def __init__(self, value: float, step: float, tip: str, *, may_be_unknown: bool = False) -> None:
        super().__init__()
        self.setLocale(QLocale.c())
        self.setDecimals(5)
        # Wide on purpose: 461 must reach the dataclass, which asks whether that was nanometres.
        self.setRange(0.0, 100_000.0)
        self.setSingleStep(step)
        # Three fields share a row of a narrow dock, so there is no room for step buttons. The arrow keys step.
        self.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setKeyboardTracking(False)
        self.setMinimumWidth(56)
        self.setToolTip(tip)
        if may_be_unknown:
            self.setSpecialValueText(UNKNOWN)
        self.setValue(value)

    def textFromValue(self, value: float) -> str:
        return f"{value:g}"

    def validate(self, text: str | None, place: int) -> tuple[QValidator.State, str, int]:
        state, text, place = super().validate((text or "").replace(",", "."), place)
        begun = _BEGUN.fullmatch(text.removesuffix(self.suffix()))
        return QValidator.State.Intermediate if begun else state, text, place

    def mark_wrong(self, wrong: bool) -> None:
        """Draw a red outline around the field, or take it away."""
        self.setStyleSheet(f"QDoubleSpinBox {_WRONG}" if wrong else "")


class AutoBox(NumberBox):
    """A number of any sign that is estimated unless it is typed; 0 is a number. An empty field shows "auto"."""

    # No measured value is as low.
    _LOWEST = -100_000.0

    def __init__(self, step: float, tip: str) -> None:
        super().__init__(0.0, step, f"{tip}. Empty: {AUTO}")
        self.setSpecialValueText(AUTO)
        self.setMinimum(self._LOWEST)
        self.set_number(None)

    def number(self) -> float | None:
        """Return the typed number; None if it is to be estimated."""
        return None if self.value() == self._LOWEST else self.value()

    def set_number(self, number: float | None) -> None:
        """Show a number, or "auto" for None."""
        self.setValue(self._LOWEST if number is None else number)

    def stepBy(self, steps: int) -> None:
        before = self.number()
        if before is None:
            self.setValue(0.0)
            return
        super().stepBy(steps)
        if self.number() is None:
            self.setValue(before)


class WavelengthBox(NumberBox):
    """A wavelength typed in nanometres or micrometres; 525 and 0.525 are the same."""

    def __init__(self, value_um: float, tip: str) -> None:
        super().__init__(1000 * value_um, 5.0, f"{tip}: 525 (nm) or 0.525 (um)", may_be_unknown=True)
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


class WholeBox(QuietWheel, TypedOver, QSpinBox):
    """A whole number. With ``empty_text`` it is from 1, and an empty field shows that text and has the value 0.

    It is our own, because magicgui's field has no text for 0 and changes when the dock is scrolled.
    """

    def __init__(self, tip: str, empty_text: str = "") -> None:
        super().__init__()
        self.setRange(0, 2**31 - 1)
        self.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setKeyboardTracking(False)
        self.setMinimumWidth(56)
        self.setToolTip(f"{tip}. Empty: {empty_text}" if empty_text else tip)
        if empty_text:
            self.setSpecialValueText(empty_text)


class ChoiceBox(QuietWheel, QComboBox):
    """A drop-down of (text, value) pairs that may shrink with a narrow dock.

    It is our own, because magicgui's is as wide as its longest text and changes when the dock is scrolled.
    """

    def __init__(self, choices: list[tuple[str, Any]], tip: str) -> None:
        super().__init__()
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(90)
        self.setToolTip(tip)
        for text, value in choices:
            self.addItem(text, value)

    def value(self) -> Any:
        return self.currentData()


class Note(QLabel):
    """A wrapped line of text: quiet by default, marked at its left edge for news, warnings and errors."""

    _EDGES: ClassVar = {"error": "#e0555f", "warning": "#e0a03c", "good": "#3fa66b"}

    def __init__(self, text: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind = ""
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        self.setText(text)
        if not text:  # showing it here, before it has a parent, would open a window
            self.hide()

    def say(self, text: str, kind: str = "") -> None:
        """Show ``text``; ``kind`` is "", "error", "warning" or "good". Empty text hides the note."""
        edge = self._EDGES.get(kind)
        self.kind = kind
        # The text keeps the theme's colour: readable on dark and light alike.
        self.setStyleSheet(f"QLabel {{ border-left: 3px solid {edge}; padding-left: 6px; }}" if edge else "")
        self.setText(with_micro(text))
        self.setVisible(bool(text))


def with_micro(text: str) -> str:
    """Return ``text`` with "um" as people write it.

    Examples
    --------
    >>> with_micro("Pixels of 0.1 um; an album")
    'Pixels of 0.1 µm; an album'
    """
    return re.sub(r"\bum\b", "µm", text)
