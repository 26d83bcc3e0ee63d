"""The meaning of an image's axes. The form is shown only if there is something to ask."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_selfdeconv._gui.forms.fields import ChoiceBox, Note, WholeBox
from napari_selfdeconv._gui.forms.layer_box import LayerBox, looks_like_psf
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.errors import ConfigError

_MEANINGS = [("choose", ""), ("time", "t"), ("channel", "c"), ("z (depth)", "z")]
_COLOURS = [
    ("a colour picture", "picture"),
    ("one grey image (mean)", "grey"),
    ("three channels", "channels"),
]
# Shown before a run starts.
_COLOUR_RESULTS = {
    "picture": "Each colour is deconvolved by its own network. The result is a colour picture.",
    "grey": "The mean of the colours is deconvolved. The result is one grey image, no colour picture.",
    "channels": "Each colour is deconvolved by its own network. The result is three channels, no colour picture.",
}
_MOST_PSFS = 6


class AxesForm(QWidget):
    """One row for each axis before y and x; for a colour picture, what to do with the colours.

    Signal ``changed`` says that an answer was given.
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._layer: Image | None = None
        self.meanings = [ChoiceBox(_MEANINGS, "What this axis is") for _ in range(3)]
        self._labels = [QLabel() for _ in self.meanings]
        self.colours = ChoiceBox(_COLOURS, "Result of a colour picture: a picture, one image, or three channels")
        self._colours_label = QLabel("Result")
        self.train_on = ChoiceBox(
            [("this frame", "current"), ("frames spread over time", "sampled")], "What the network learns from"
        )
        self._train_label = QLabel("Train on")
        self.frames = WholeBox("How many frames to train on, spread evenly over time")
        self.frames.setRange(1, 10_000)
        self.frames.setValue(4)
        self.each_psf = QCheckBox("A PSF layer for each channel")
        self.each_psf.setToolTip("The PSF is wider for longer wavelengths: choose a PSF layer for each colour")
        self.psfs = [LayerBox(viewer, looks_like_psf, f"PSF of channel {i}") for i in range(_MOST_PSFS)]
        self.note = Note()
        self._build()
        self._connect()

    def refresh(self) -> None:
        """Follow the viewer's layers."""
        for box in self.psfs:
            box.refresh()

    def follow(self, layer: Image | None) -> None:
        """Ask about ``layer``; its axis labels are the first answers."""
        if layer is not self._layer:
            self._layer = layer
            leading = 0 if layer is None else max(0, layer.ndim - 2)
            for i, box in enumerate(self.meanings):
                box.setCurrentIndex(box.findData(_guess(layer, i) if layer is not None and i < leading else ""))
            self.colours.setCurrentIndex(0)
        self._show()

    def spatial_ndim(self) -> int:
        """Return how many axes one frame has, as far as is known."""
        return 3 if "z" in self._letters() else 2

    def is_series(self) -> bool:
        """Whether there is more than one frame or channel, or something still to be answered."""
        layer = self._layer
        if layer is None:
            return False
        return bool(layer.rgb) or layer.ndim > 3 or (layer.ndim == 3 and self._letters() != "z")

    @property
    def open_question(self) -> bool:
        """Whether something about the axes or colours is still to be answered."""
        return self.note.kind == "warning"

    def grey(self) -> bool:
        """Whether the mean of a picture's colours is wanted."""
        return bool(self._layer is not None and self._layer.rgb and self.colours.value() == "grey")

    def colour_picture(self) -> bool:
        """Whether the result is to be a colour picture."""
        return bool(self._layer is not None and self._layer.rgb and self.colours.value() == "picture")

    def plan(self) -> SeriesPlan | None:
        """Return what the axes mean, None for one plain image; ConfigError while something is unanswered."""
        layer = self._layer
        if layer is None or not self.is_series():
            return None
        if layer.ndim > 5:
            raise ConfigError(
                f"'{layer.name}' has {layer.ndim} axes. At most 5 can be used (t, c, z, y, x): split it."
            )
        letters = self._letters()
        if "?" in letters:
            raise ConfigError(f"Say what the axes of '{layer.name}' mean: time, channel or depth.")
        axes = letters + "yx"
        if layer.rgb and not self.grey():
            axes = "c" + axes
        if axes in ("yx", "zyx"):
            return None
        current = self._frame_in_view(layer, letters.index("t")) if "t" in letters else 0
        return SeriesPlan(axes=axes, train_on=self.train_on.value(), current=current, frames=self.frames.value())

    def _frame_in_view(self, layer: Image, axis: int) -> int:
        """Return the index along an axis of the layer that the viewer shows, inside the layer."""
        if layer not in self._viewer.layers:
            return 0
        count = (layer.data[0] if layer.multiscale else layer.data).shape[axis]
        # The viewer's sliders count from the first layer's place, in the smallest step of all layers.
        return int(np.clip(np.rint(layer.world_to_data(self._viewer.dims.point)[axis]), 0, count - 1))

    def channel_psfs(self, channels: int) -> list[Image] | None:
        """Return a PSF layer for each channel, None if one is for all; ConfigError if one is missing."""
        if not self.each_psf.isChecked() or channels == 1:
            return None
        if channels > _MOST_PSFS:
            raise ConfigError(
                f"The image has {channels} channels, and at most {_MOST_PSFS} PSF layers fit: use 'Generated'."
            )
        layers = [box.layer for box in self.psfs[:channels]]
        if any(layer is None for layer in layers):
            raise ConfigError("Choose a PSF layer for each channel.")
        return [layer for layer in layers if layer is not None]

    def _letters(self) -> str:
        """Return the leading axes as letters, "?" where unanswered."""
        leading = 0 if self._layer is None else max(0, self._layer.ndim - 2)
        return "".join(box.value() or "?" for box in self.meanings[:leading])

    def channels(self) -> int:
        """Return how many channels there are, as far as is known."""
        layer = self._layer
        if layer is None:
            return 1
        if layer.rgb:
            return 1 if self.grey() else 3
        letters = self._letters()
        shape = layer.data[0].shape if layer.multiscale else layer.data.shape
        return int(shape[letters.index("c")]) if "c" in letters else 1

    def _show(self) -> None:
        layer = self._layer
        leading = 0 if layer is None else min(3, max(0, layer.ndim - 2))
        for i, (label, box) in enumerate(zip(self._labels, self.meanings, strict=True)):
            label.setVisible(i < leading)
            box.setVisible(i < leading)
            if layer is not None and i < leading:
                shape = layer.data[0].shape if layer.multiscale else layer.data.shape
                label.setText(f"Axis {i} ({shape[i]})")
        rgb = layer is not None and bool(layer.rgb)
        letters = self._letters()
        channels = self.channels()
        shown: tuple[tuple[tuple[QWidget, ...], bool], ...] = (
            ((self.colours, self._colours_label), rgb),
            ((self.train_on, self._train_label), "t" in letters),
            ((self.frames,), "t" in letters and self.train_on.value() == "sampled"),
            ((self.each_psf,), channels > 1),
        )
        for widgets, visible in shown:
            for widget in widgets:
                widget.setVisible(visible)
        for i, layer_box in enumerate(self.psfs):
            layer_box.setVisible(self.each_psf.isChecked() and channels > 1 and i < channels)
        self.setVisible(leading > 0 or rgb)
        try:
            plan = self.plan()
        except ConfigError as error:
            self.note.say(str(error), "warning")
            return
        self.note.say(_COLOUR_RESULTS[self.colours.value()] if rgb else _tell(plan, channels))

    def _on_answer(self) -> None:
        self._show()
        self.changed.emit()

    def _connect(self) -> None:
        for box in (*self.meanings, self.colours, self.train_on):
            box.currentIndexChanged.connect(self._on_answer)
        self.frames.valueChanged.connect(self._on_answer)
        self.each_psf.toggled.connect(self._on_answer)

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        grid = QGridLayout()
        grid.setVerticalSpacing(3)
        rows = [*zip(self._labels, self.meanings, strict=True), (self._colours_label, self.colours)]
        for row, (label, field) in enumerate(rows):
            grid.addWidget(label, row, 0)
            grid.addWidget(field, row, 1, 1, 2)
        grid.addWidget(self._train_label, len(rows), 0)
        grid.addWidget(self.train_on, len(rows), 1)
        grid.addWidget(self.frames, len(rows), 2)
        grid.setColumnStretch(1, 1)
        layout.addLayout(grid)
        for widget in (self.each_psf, *self.psfs, self.note):
            layout.addWidget(widget)
        self._show()


def _guess(layer: Image, axis: int) -> str:
    """Return the meaning that an axis label states. A first axis without a label means depth."""
    label = str(layer.axis_labels[axis]).strip().lower()
    for letter, names in (("t", ("t", "time")), ("c", ("c", "ch", "channel")), ("z", ("z", "depth"))):
        if label in names:
            return letter
    return "z" if layer.ndim == 3 else ""


def _tell(plan: SeriesPlan | None, channels: int) -> str:
    if plan is None:
        return ""
    frame = "stacks" if plan.spatial == "zyx" else "images"
    words = f"A series of {frame} ({plan.axes})"
    return (
        f"{words}: one network for each of {channels} channels."
        if channels > 1
        else f"{words}: one network for all."
    )
