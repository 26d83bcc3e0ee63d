"""Before and after: the image and a result on either side of a line that the user moves."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from qtpy.QtCore import QSignalBlocker, Qt, QTimer
from qtpy.QtWidgets import QGridLayout, QPushButton, QSlider, QWidget

from napari_selfdeconv._gui.forms.layer_box import LayerBox
from napari_selfdeconv._gui.layers.arrangement import begin_arrangement, end_arrangement
from napari_selfdeconv._gui.layers.exchange import about, results_of, role
from napari_selfdeconv._gui.layers.swipe import Swipe

_STEPS = 1000


class BeforeAfter(QWidget):
    """Shows the image left of a line and a result right of it, and lets the user choose result and line.

    While a network trains, its preview is one of the choices.
    """

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._image: Image | None = None
        self.swipe = Swipe(viewer, self._on_dragged, self)
        self.button = QPushButton("Before/after")
        self.button.setCheckable(True)
        self.button.setToolTip(
            "Show the image left of a line and the result right of it; drag the line to move it"
        )
        self.after_box = LayerBox(
            viewer, self._is_newest, "What to show right of the line", offers=self._is_offered
        )
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setValue(_STEPS // 2)
        self.slider.setToolTip("Move the line between image and result")
        self.slider.setAccessibleName("Place of the line")
        self.blink = QPushButton("Hold for before")
        self.blink.setToolTip("Show the image alone as long as this is held down")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(4)
        for row, (left, right) in enumerate(((self.button, self.after_box), (self.blink, self.slider))):
            layout.addWidget(left, row, 0)
            layout.addWidget(right, row, 1)
        layout.setColumnStretch(1, 1)
        self.button.toggled.connect(self._toggle)
        self.after_box.layer_changed.connect(lambda _layer: QTimer.singleShot(0, self._follow_choice))
        self.slider.valueChanged.connect(self._move)
        self.blink.pressed.connect(lambda: self.swipe.set_share(1.0))
        self.blink.released.connect(self._move)
        self._show_state()

    def follow(self, image: Image | None) -> None:
        """End the view of the image before: another one is chosen."""
        if image is not self._image:
            self.stop()
            self._image = image
        self.refresh()

    def refresh(self) -> None:
        """Follow the viewer's layers."""
        if self._image is not None and self._image not in self._viewer.layers:
            self.stop()
            self._image = None
        self.after_box.refresh()
        self._show_state()

    def stop(self) -> None:
        """Restore the earlier view, if the line is shown."""
        self.swipe.stop()
        end_arrangement(self._viewer, self.stop)
        self._show_state()

    def _toggle(self, on: bool) -> None:
        after = self.after_box.layer
        if on and self._image is not None and after is not None:
            begin_arrangement(self._viewer, self.stop)
            self.swipe.start(self._image, after)
            self._move()
        else:
            self.stop()
        self._show_state()

    def _follow_choice(self) -> None:
        # Later, because layers are added and removed here while the layer list still handles its event.
        if self.swipe.active and self.swipe.after is not self.after_box.layer:
            self._toggle(True)

    def _move(self) -> None:
        self.swipe.set_share(self.slider.value() / _STEPS)

    def _on_dragged(self, share: float) -> None:
        self.slider.setValue(round(share * _STEPS))

    def _show_state(self) -> None:
        on = self.swipe.active
        with QSignalBlocker(self.button):
            self.button.setChecked(on)
        self.button.setEnabled(on or self.after_box.layer is not None)
        for part in (self.slider, self.blink):
            part.setEnabled(on)

    def _is_offered(self, layer: Image) -> bool:
        image = self._image
        if image is None or image not in self._viewer.layers:
            return False
        return layer in results_of(self._viewer, image) or self._is_preview(layer)

    def _is_preview(self, layer: Image) -> bool:
        return self._image is not None and about(layer).get("preview_of") == str(self._image.unique_id)

    def _is_newest(self, layer: Image) -> bool:
        """Whether this is what a user wants to see first: the preview if there is one, or the newest result."""
        offered = [other for other in self._viewer.layers if isinstance(other, Image) and self._is_offered(other)]
        previews = [other for other in offered if self._is_preview(other)]
        results = [other for other in offered if role(other) == "result"]
        return layer in (previews or results)[-1:]
