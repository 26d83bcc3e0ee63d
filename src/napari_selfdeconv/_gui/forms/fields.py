"""Small input fields: they show values and units, and leave judging them to the dataclasses."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from napari.layers import Image
from qtpy.QtCore import QLocale, QSignalBlocker, Qt, Signal
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QLabel,
    QSizePolicy,
    QSpinBox,
    QWidget,
)

from napari_selfdeconv._gui.layers.exchange import SWIPE, role

#: Shown where a number is still to be typed.
UNKNOWN = "?"


class _QuietWheel:
    """Scrolling the dock must not turn the numbers it passes over: only a focused field takes the wheel."""

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        if self.hasFocus():  # type: ignore[attr-defined]
            super().wheelEvent(event)  # type: ignore[misc]
        elif event is not None:
            event.ignore()


class NumberBox(_QuietWheel, QDoubleSpinBox):
    """A decimal number without trailing zeros, always with a decimal point."""

    def __init__(self, value: float, step: float, tip: str, *, may_be_unknown: bool = False) -> None:
        super().__init__()
        self.setLocale(QLocale.c())
        self.setDecimals(5)
        # Wide on purpose: 461 must reach the dataclass, which asks whether that was nanometres.
        self.setRange(0.0, 100_000.0)
        self.setSingleStep(step)
        # Three fields share a row of a narrow dock: the arrow keys step, buttons would eat the numbers.
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


class WholeBox(_QuietWheel, QSpinBox):
    """A whole number; 0 reads as ``zero_text`` where that is given."""

    def __init__(self, tip: str, zero_text: str = "") -> None:
        super().__init__()
        self.setRange(0, 2**31 - 1)
        self.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMinimumWidth(56)
        self.setToolTip(tip)
        if zero_text:
            self.setSpecialValueText(zero_text)


class ChoiceBox(_QuietWheel, QComboBox):
    """A drop-down of (text, value) pairs that may shrink with a narrow dock."""

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


class LayerBox(_QuietWheel, QComboBox):
    """The viewer's image layers; a choice is a layer, not a name, so it survives renaming.

    Until the user picks one, a layer that ``prefers`` likes is chosen: the selected one, else the newest.
    ``offers`` says which layers are offered at all.
    Signal ``layer_changed`` carries the layer now chosen, or None.
    """

    layer_changed = Signal(object)

    def __init__(
        self,
        viewer: Any,
        prefers: Callable[[Image], bool],
        tip: str,
        *,
        offers: Callable[[Image], bool] = lambda layer: role(layer) != SWIPE,
    ) -> None:
        super().__init__()
        self._viewer, self._prefers, self._offers = viewer, prefers, offers
        self._picked = False
        self._layers: list[Image] = []
        self.layer: Image | None = None
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(90)
        self.setPlaceholderText("choose a layer")
        self.setToolTip(tip)
        self.activated.connect(self._on_activated)
        self.refresh()

    def refresh(self) -> None:
        """Follow the viewer: layers that came, went or changed their name."""
        images = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        self._layers = [layer for layer in images if self._offers(layer)]
        if self.layer not in self._layers:
            self._picked = False
        chosen = self.layer if self._picked else self._favourite()
        with QSignalBlocker(self):
            self.clear()
            self.addItems([layer.name for layer in self._layers])
            self.setCurrentIndex(-1 if chosen is None else self._layers.index(chosen))
        self._set(chosen)

    def choose(self, layer: Image) -> None:
        """Pick ``layer`` as the user would."""
        self.setCurrentIndex(self._layers.index(layer))
        self._on_activated(self.currentIndex())

    def _favourite(self) -> Image | None:
        liked = [layer for layer in self._layers if self._prefers(layer)]
        for candidate in (self.layer, self._viewer.layers.selection.active):
            if candidate in liked:
                return candidate
        return liked[-1] if liked else None

    def _on_activated(self, index: int) -> None:
        self._picked = True
        self._set(self._layers[index])

    def _set(self, layer: Image | None) -> None:
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
        self.setText(text)
        self.setVisible(bool(text))
