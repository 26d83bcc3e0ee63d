"""The list of the viewer's layers to choose from, and which layers suit an image or a PSF."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from magicgui.widgets import create_widget
from napari.layers import Image, Layer
from qtpy.QtCore import QEvent, QObject, QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QSizePolicy,
    QStyle,
    QStyleOptionComboBox,
    QStylePainter,
    QWidget,
)

from napari_selfdeconv._gui.layers.exchange import SWIPE, role
from napari_selfdeconv._gui.qt import existing

# Around the text of a drop-down, and how wide the list of layers may be, in pixels.
_TEXT_EDGE, _WIDEST_LIST = 12, 700


class LayerBox(QWidget):
    """The viewer's layers of one kind; a choice is a layer, not a name, so it survives renaming.

    Until the user picks one, one of the layers for which ``prefers`` is true is chosen. Of those with the highest
    ``suits`` it is the present one, else the selected one, else the newest.
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
        suits: Callable[[Any], int] = lambda _: 0,
    ) -> None:
        super().__init__()
        self._suits = suits
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
        best = max(map(self._suits, liked), default=0)
        liked = [layer for layer in liked if self._suits(layer) == best]
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
