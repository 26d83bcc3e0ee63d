"""Small input fields: they show values and units; the dataclasses check them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from magicgui.widgets import create_widget
from napari.layers import Image, Layer
from qtpy.QtCore import QEvent, QLocale, QObject, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QValidator, QWheelEvent
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSpinBox,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)

from napari_selfdeconv._gui.forms.typed_over import TypedOver
from napari_selfdeconv._gui.layers.exchange import SWIPE, role
from napari_selfdeconv._gui.qt import existing

#: Shown while a number is missing.
UNKNOWN = "?"
#: Shown while a number is estimated.
AUTO = "auto"
#: Marks a field whose value comes from the file of the image.
FROM_FILE = " *"
_WRONG = "{ border: 2px solid #e0555f; }"
# Around the text of a drop-down, and how wide the list of layers may be, in pixels.
_TEXT_EDGE, _WIDEST_LIST = 12, 700
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


class LayerBox(QWidget):
    """The viewer's layers of one kind; a choice is a layer, not a name, so it survives renaming.

    Until the user picks one, a layer for which ``prefers`` is true is chosen: the selected one, else the newest.
    ``offers`` decides which layers are offered.
    Signal ``layer_changed`` carries the layer now chosen, or None.

    Parameters
    ----------
    kind : of the layers.
    none_text : names the choice of no layer; "" if there is no such choice.
    """

    layer_changed = Signal(object)

    def __init__(
        self,
        viewer: Any,
        prefers: Callable[[Any], bool],
        tip: str,
        *,
        kind: type[Layer] = Image,
        offers: Callable[[Any], bool] = lambda layer: role(layer) != SWIPE,
        none_text: str = "",
    ) -> None:
        super().__init__()
        self._viewer, self._prefers, self._offers = viewer, prefers, offers
        self._kind, self._none = kind, none_text
        self.picked = False
        self.layer: Any = None
        self._widget: Any = create_widget(annotation=kind, options={"choices": self._choices})
        self.combo: QComboBox = self._widget.native
        self.combo.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.combo.setMinimumWidth(90)
        self.combo.setPlaceholderText("choose a layer")
        self.combo.setToolTip(tip)
        existing(self.combo.view()).setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.combo.installEventFilter(self)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFocusProxy(self.combo)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.combo)
        self.combo.activated.connect(self._on_activated)
        self.refresh()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        # Scrolling the dock must not change the layer that it passes over.
        if event is not None and event.type() == QEvent.Type.Wheel and not self.combo.hasFocus():
            event.ignore()
            return True
        if event is not None and event.type() == QEvent.Type.Paint and self.shortened != self.combo.currentText():
            self._paint_shortened()
            return True
        return bool(super().eventFilter(watched, event))

    @property
    def shortened(self) -> str:
        """The name of the layer as it fits. Names of results differ at their end, so the middle is left out."""
        option, style = self._option(), existing(self.combo.style())
        control, part = QStyle.ComplexControl.CC_ComboBox, QStyle.SubControl.SC_ComboBoxEditField
        room = style.subControlRect(control, option, part, self.combo).width() - _TEXT_EDGE
        return self.combo.fontMetrics().elidedText(
            self.combo.currentText(), Qt.TextElideMode.ElideMiddle, max(room, 20)
        )

    def _width(self, name: str) -> int:
        return self.combo.fontMetrics().horizontalAdvance(name)

    def _option(self) -> QStyleOptionComboBox:
        option = QStyleOptionComboBox()
        self.combo.initStyleOption(option)
        return option

    def _paint_shortened(self) -> None:
        option, painter = self._option(), QStylePainter(self.combo)
        option.currentText = self.shortened
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)

    def refresh(self) -> None:
        """Follow the viewer: layers that came, went or changed their name."""
        there = self._layers()
        if self.layer not in there and not (self.layer is None and self._none):
            self.picked = False
        self._show(self.layer if self.picked else self._favourite(there))

    def choose(self, layer: Layer | None) -> None:
        """Pick ``layer`` as the user would."""
        self.picked = True
        self._show(layer)

    def choose_by_id(self, layer_id: str | None) -> None:
        """Pick the layer with napari's id ``layer_id``, if it is there."""
        found = next((layer for layer in self._layers() if str(layer.unique_id) == layer_id), None)
        if found is not None and found is not self.layer:
            self.choose(found)

    def _layers(self) -> list[Any]:
        return [layer for layer in self._viewer.layers if isinstance(layer, self._kind) and self._offers(layer)]

    def _choices(self, _widget: Any = None) -> list[tuple[str, Any]]:
        none: list[tuple[str, Any]] = [(self._none, None)] if self._none else []
        return none + [(layer.name, layer) for layer in self._layers()]

    def _favourite(self, there: Sequence[Any]) -> Any:
        liked = [layer for layer in there if self._prefers(layer)]
        for candidate in (self.layer, self._viewer.layers.selection.active):
            if candidate in liked:
                return candidate
        return liked[-1] if liked else None

    def _show(self, chosen: Any) -> None:
        with QSignalBlocker(self.combo):
            self.combo.clear()  # or magicgui would leave those that are there in their old order
            self._widget.reset_choices()
            place = (
                [layer for _, layer in self._choices()].index(chosen) if chosen is not None or self._none else -1
            )
            self.combo.setCurrentIndex(place)
        widest = max((self._width(name) for name, _ in self._choices()), default=0)
        existing(self.combo.view()).setMinimumWidth(min(widest + 2 * _TEXT_EDGE, _WIDEST_LIST))
        self._set(chosen)

    def _on_activated(self, index: int) -> None:
        self.picked = True
        self._set(self.combo.itemData(index))

    def _set(self, layer: Any) -> None:
        if layer is not self.layer:
            self.layer = layer
            self.layer_changed.emit(layer)


def looks_like_psf(layer: Image) -> bool:
    """Whether the name says that this is a PSF."""
    return re.search(r"(?<![a-z])psf(?![a-z])", layer.name.lower()) is not None


def looks_like_input(layer: Image) -> bool:
    """Whether this may be an image to deconvolve: no PSF, and not one of our own results."""
    return not looks_like_psf(layer) and role(layer) in ("", "image")


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
