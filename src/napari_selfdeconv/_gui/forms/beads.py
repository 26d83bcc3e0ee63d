"""The form 'which beads'. Reading it builds a dataclass, and that is the validation."""

from __future__ import annotations

import re
from typing import Any

from napari.layers import Image, Points
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QCheckBox, QFormLayout, QGridLayout, QLabel, QToolButton, QVBoxLayout, QWidget

from napari_selfdeconv._gui.forms.fields import AutoBox, ChoiceBox, NumberBox
from napari_selfdeconv._gui.forms.layer_box import LayerBox, looks_like_input
from napari_selfdeconv._gui.forms.problems import voxel_problem
from napari_selfdeconv._gui.forms.voxels import VoxelFields
from napari_selfdeconv._gui.layers.beads import points_in
from napari_selfdeconv._gui.layers.exchange import check_image
from napari_selfdeconv.errors import ConfigError

_FIND = "find them for me"


def looks_like_beads(layer: Image) -> bool:
    """Whether the name says that this is an image of beads."""
    return looks_like_input(layer) and re.search(r"bead", layer.name.lower()) is not None


class BeadsForm(QWidget):
    """Image, points, voxel size and window, and rarely used settings under 'More settings'."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.image_box = LayerBox(viewer, looks_like_beads, "The image of the beads")
        self.points_box = LayerBox(
            viewer,
            lambda _layer: False,
            "Find the beads, or take a Points layer that marks them",
            kind=Points,
            none_text=_FIND,
        )
        self.voxel_fields = VoxelFields(viewer)
        self.voxel, self.voxel_note = self.voxel_fields.boxes, self.voxel_fields.note
        wide = "Size of the PSF in micrometres; by default the largest one that fits between the beads"
        self.window_um = [AutoBox(0.5, wide) for _ in range(2)]
        self.average = ChoiceBox(
            [("mean (robust)", "mean"), ("median", "median")], "How the registered beads are averaged"
        )
        self.rotational = QCheckBox("Average about the optical axis")
        self.rotational.setToolTip("Reduces noise. Correct only if the PSF is round (no coma or astigmatism)")
        self.threshold = AutoBox(10, "Least height of a bead above its surroundings, in grey levels")
        self.saturation = AutoBox(
            100, "Grey level from which a bead is saturated, such as 4095 for a 12-bit camera"
        )
        self.brightness = NumberBox(30, 5, "Beads dimmer than this share of the typical bead are rejected")
        self.neighbour = NumberBox(20, 5, "A neighbour dimmer than this share of the bead is tolerated")
        self.outlier = NumberBox(
            5, 1, "How much the shape of a bead may differ. A smaller number rejects more beads"
        )
        self.more = QToolButton()
        self.more.setToolTip("Show or hide rarely used settings")
        self._build()
        self.image_box.layer_changed.connect(self.follow)
        self.follow(self.image_box.layer)
        self.refresh()

    def refresh(self) -> None:
        """Follow the viewer's layers."""
        self.image_box.refresh()
        self.points_box.refresh()

    def choose_points(self, layer: Points | None) -> None:
        """Pick a Points layer, or None to find the beads."""
        self.points_box.choose(layer)

    def follow(self, image: Image | None) -> None:
        """Fill in the voxel size of the image, if it has one."""
        if image is not None and image.ndim not in (2, 3):
            image = None
        self.voxel_fields.follow(image)
        for widget in (self.window_um[0], self._window_z_label):
            widget.setVisible(self.voxel_fields.ndim == 3)

    def settings(self) -> tuple[Image, tuple[float, ...], Any, Any]:
        """Return image layer, voxel size, points (or None) and `BeadSettings`; ConfigError for a wrong value."""
        from napari_selfdeconv.api import BeadSettings

        image = self.image_box.layer
        check_image(image)
        assert image is not None
        voxel = self.voxel_fields.sizes()
        problem = voxel_problem(voxel)
        if problem is not None:
            raise problem
        layer = self.points_box.layer
        points = None if layer is None else points_in(image, layer)
        chosen = BeadSettings(
            window_um=self._window(image.ndim),
            threshold=self.threshold.number(),
            saturation=self.saturation.number(),
            min_brightness=self.brightness.value() / 100,
            neighbour_share=self.neighbour.value() / 100,
            outlier_sigmas=self.outlier.value(),
            average=self.average.value(),
            rotational=self.rotational.isChecked(),
        )
        return image, voxel, points, chosen

    def _window(self, ndim: int) -> tuple[float, ...] | None:
        axial, lateral = (box.number() for box in self.window_um)
        sizes = (axial, lateral, lateral) if ndim == 3 else (lateral, lateral)
        given = tuple(size for size in sizes if size is not None)
        if given and len(given) < len(sizes):
            raise ConfigError("Window: give both z and y, x in micrometres, or leave both on auto.")
        return given or None

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        top = QFormLayout()
        top.setVerticalSpacing(4)
        top.addRow("Image", self.image_box)
        top.addRow("Beads", self.points_box)
        layout.addLayout(top)
        layout.addWidget(self.voxel_fields)
        grid = QGridLayout()
        grid.setVerticalSpacing(2)
        grid.setHorizontalSpacing(4)
        self._window_z_label = QLabel("Window z, µm")
        for column, (label, box) in enumerate(
            ((self._window_z_label, self.window_um[0]), (QLabel("Window xy, µm"), self.window_um[1]))
        ):
            grid.addWidget(label, 0, column)
            grid.addWidget(box, 1, column)
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
