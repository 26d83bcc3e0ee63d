"""The form 'which beads'. Reading it builds a dataclass, and that is the validation."""

from __future__ import annotations

import re
from typing import Any

from napari.layers import Image, Points
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtWidgets import QCheckBox, QFormLayout, QGridLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from napari_selfdeconv._gui.forms.fields import ChoiceBox, LayerBox, Note, NumberBox, looks_like_input
from napari_selfdeconv._gui.layers.beads import points_in
from napari_selfdeconv._gui.layers.exchange import check_image, voxel_um
from napari_selfdeconv.config.checks import check_number
from napari_selfdeconv.errors import ConfigError

AUTO = "auto"
_FIND = "find them for me"


def looks_like_beads(layer: Image) -> bool:
    """Whether the name says that this is an image of beads."""
    return looks_like_input(layer) and re.search(r"bead", layer.name.lower()) is not None


def _auto(step: float, tip: str) -> NumberBox:
    box = NumberBox(0.0, step, tip, may_be_unknown=True)
    box.setSpecialValueText(AUTO)
    return box


class BeadsForm(QWidget):
    """Image, points, voxel size, window; and under 'More settings' what few need to touch."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.image_box = LayerBox(viewer, looks_like_beads, "The image of the beads")
        self.points_box = ChoiceBox([(_FIND, None)], "Find the beads, or take a Points layer that marks them")
        self.voxel = [
            NumberBox(0.0, 0.01, f"Voxel size along {axis} in micrometres", may_be_unknown=True) for axis in "zyx"
        ]
        self.voxel_note = Note()
        wide = "Size of the PSF in micrometres; auto takes as much as the beads leave room for"
        self.window_um = [_auto(0.5, wide) for _ in range(2)]
        self.average = ChoiceBox(
            [("mean (robust)", "mean"), ("median", "median")], "How the registered beads are averaged"
        )
        self.rotational = QCheckBox("Average about the optical axis")
        self.rotational.setToolTip("Less noise; only right where the PSF is round (no coma or astigmatism)")
        self.threshold = _auto(10, "Least height of a bead above its surroundings, in grey levels")
        self.saturation = _auto(100, "Grey level from which a bead is saturated, such as 4095 for a 12-bit camera")
        self.brightness = NumberBox(30, 5, "Beads dimmer than this share of the typical bead are rejected")
        self.neighbour = NumberBox(20, 5, "A neighbour dimmer than this share of the bead is tolerated")
        self.outlier = NumberBox(5, 1, "How much a bead's shape may differ; smaller rejects more")
        self.more = QToolButton()
        self.more.setToolTip("Show or hide settings that few need to touch")
        self._build()
        self.image_box.layer_changed.connect(self.follow)
        self.follow(self.image_box.layer)
        self.refresh()

    def refresh(self) -> None:
        """Follow the viewer's layers."""
        self.image_box.refresh()
        chosen = self.points_box.value()
        layers = [layer for layer in self._viewer.layers if isinstance(layer, Points)]
        with QSignalBlocker(self.points_box):
            self.points_box.clear()
            self.points_box.addItem(_FIND, None)
            for layer in layers:
                self.points_box.addItem(f"points of '{layer.name}'", layer)
            self.points_box.setCurrentIndex(layers.index(chosen) + 1 if chosen in layers else 0)

    def choose_points(self, layer: Points | None) -> None:
        """Pick a Points layer, or None to find the beads."""
        values = [self.points_box.itemData(i) for i in range(self.points_box.count())]
        self.points_box.setCurrentIndex(values.index(layer))

    def follow(self, image: Image | None) -> None:
        """Fill in the voxel size that the image knows."""
        if image is not None and image.ndim not in (2, 3):
            image = None
        ndim = 3 if image is None else image.ndim
        sizes = None if image is None else voxel_um(image)
        for box, size in zip(self.voxel[-ndim:], sizes or (0.0,) * ndim, strict=True):
            box.setValue(size)
        for widget in (self.voxel[0], self._z_label, self.window_um[0], self._window_z_label):
            widget.setVisible(ndim == 3)
        unknown = image is not None and sizes is None
        self.voxel_note.say("The layer does not say its voxel size: type it." if unknown else "", "warning")

    def settings(self) -> tuple[Image, tuple[float, ...], Any, Any]:
        """Return image layer, voxel size, points (or None) and `BeadSettings`; ConfigError for nonsense."""
        from napari_selfdeconv.api import BeadSettings

        image = self.image_box.layer
        check_image(image)
        assert image is not None
        voxel = tuple(box.value() for box in self.voxel[-image.ndim :])
        for axis, size in zip("zyx"[-image.ndim :], voxel, strict=True):
            hint = f": type the voxel size along {axis} in um, the layer does not say it" if size == 0 else ""
            check_number(f"voxel size {axis}", size, 0.0, 1000.0, open_low=True, hint=hint)
        layer = self.points_box.value()
        points = None if layer is None else points_in(image, layer)
        chosen = BeadSettings(
            window_um=self._window(image.ndim),
            threshold=self.threshold.value() or None,
            saturation=self.saturation.value() or None,
            min_brightness=self.brightness.value() / 100,
            neighbour_share=self.neighbour.value() / 100,
            outlier_sigmas=self.outlier.value(),
            average=self.average.value(),
            rotational=self.rotational.isChecked(),
        )
        return image, voxel, points, chosen

    def _window(self, ndim: int) -> tuple[float, ...] | None:
        axial, lateral = (box.value() for box in self.window_um)
        if lateral == 0 and (ndim == 2 or axial == 0):
            return None
        if lateral == 0 or (ndim == 3 and axial == 0):
            raise ConfigError("Window: give both z and y, x in micrometres, or leave both on auto.")
        return ((axial,) if ndim == 3 else ()) + (lateral, lateral)

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        top = QFormLayout()
        top.setVerticalSpacing(4)
        top.addRow("Image", self.image_box)
        top.addRow("Beads", self.points_box)
        layout.addLayout(top)
        grid = QGridLayout()
        grid.setVerticalSpacing(2)
        grid.setHorizontalSpacing(4)
        self._z_label = QLabel("Voxel z, µm")
        labels = [self._z_label, QLabel("Voxel y, µm"), QLabel("Voxel x, µm")]
        for column, (label, box) in enumerate(zip(labels, self.voxel, strict=True)):
            grid.addWidget(label, 0, column)
            grid.addWidget(box, 1, column)
            grid.setColumnStretch(column, 1)
        grid.addWidget(self.voxel_note, 2, 0, 1, 3)
        self._window_z_label = QLabel("Window z, µm")
        for column, (label, box) in enumerate(
            ((self._window_z_label, self.window_um[0]), (QLabel("Window xy, µm"), self.window_um[1]))
        ):
            grid.addWidget(label, 3, column)
            grid.addWidget(box, 4, column)
        layout.addLayout(grid)
        layout.addWidget(self.rotational)
        self._build_more(layout)

    def _build_more(self, layout: QVBoxLayout) -> None:
        self.more.setText("More settings")
        self.more.setCheckable(True)
        self.more.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        layout.addWidget(self.more)
        self._more = QWidget()
        form = QFormLayout(self._more)
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(3)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for text, field in (
            ("Average", self.average),
            ("Detection threshold", self.threshold),
            ("Saturated from", self.saturation),
            ("Minimum brightness, %", self.brightness),
            ("Tolerated neighbour, %", self.neighbour),
            ("Outlier limit, sigmas", self.outlier),
        ):
            form.addRow(text, field)
        layout.addWidget(self._more)
        self.more.toggled.connect(self._show_more)
        self._show_more(False)

    def _show_more(self, shown: bool) -> None:
        self._more.setVisible(shown)
        self.more.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
