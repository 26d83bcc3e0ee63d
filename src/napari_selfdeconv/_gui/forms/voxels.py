"""The voxel size of an image: from the layer, from its file, or typed; and offered to be written to the layer."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_selfdeconv._gui.forms.fields import FROM_FILE, Note, NumberBox
from napari_selfdeconv._gui.forms.microscope import Sizes, microscope_of
from napari_selfdeconv._gui.layers.exchange import length_um
from napari_selfdeconv._gui.layers.voxels import scale_without_unit, write_voxel_um


class VoxelFields(QWidget):
    """Three numbers, notes about them, and a button that writes them to the layer.

    Signal ``changed`` comes when a number is typed, here or in another dock, or the layer has another one.
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._shared = microscope_of(viewer)
        self.boxes = [
            NumberBox(0.0, 0.01, f"Voxel size along {axis} in micrometres", may_be_unknown=True) for axis in "zyx"
        ]
        self._labels = [QLabel() for _ in self.boxes]
        self.note = Note()
        self.write_button = QPushButton("Write to the layer")
        self.write_button.setToolTip("Set the voxel size of the image layer. Preview and results follow.")
        self._image: Image | None = None
        self._ndim, self._needed, self._filling = 3, True, False
        self._build()
        for box in self.boxes:
            box.valueChanged.connect(self._on_number)
        self.write_button.clicked.connect(self._write)
        self._shared.changed.connect(self._show)
        self._show()

    @property
    def ndim(self) -> int:
        """How many axes one frame has."""
        return self._ndim

    def sizes(self) -> Sizes:
        """Return the numbers of the fields, (z, y, x) or (y, x) in um; 0 is unknown."""
        return tuple(box.value() for box in self.boxes[-self._ndim :])

    def follow(self, image: Image | None, ndim: int | None = None) -> None:
        """Show the voxel size of ``image``; ``ndim`` axes make one frame of it."""
        ndim = ndim or (image.ndim if image is not None else 3)
        self._image = image
        if ndim in (2, 3):
            self._ndim = ndim
        self._show()

    def need(self, needed: bool) -> None:
        """Set whether the voxel size is needed. It is shown and asked for only then."""
        self._needed = needed
        self.grid.setVisible(needed)
        self._offer()

    def fill(self, sizes: Sizes) -> None:
        """Use the voxel size of a microscope along the axes where none is known."""
        if len(sizes) >= self._ndim:
            pairs = zip(self.sizes(), sizes[-self._ndim :], strict=True)
            self.set_sizes(tuple(known or usual for known, usual in pairs))

    def set_sizes(self, sizes: Sizes) -> None:
        """Show ``sizes``, as if they were typed."""
        for box, size in zip(self.boxes[-self._ndim :], sizes[-self._ndim :], strict=True):
            box.setValue(size)

    def show_axes(self, ndim: int) -> None:
        """Show the fields of this many axes."""
        self._ndim = ndim
        for widget in (self.boxes[0], self._labels[0]):
            widget.setVisible(ndim == 3)

    def _on_number(self) -> None:
        if self._filling:
            return
        if self._image is not None:
            self._filling = True
            self._shared.set_voxel_um(self._image, self._of_layer(), self.sizes())
            self._filling = False
        self._offer()
        self.changed.emit()

    def _show(self) -> None:
        if self._filling:
            return
        before = self.sizes()
        self._filling = True
        self.show_axes(self._ndim)
        if self._image is not None:
            sizes = self._shared.voxel_um(self._image, self._of_layer(), self._ndim)
            for box, size in zip(self.boxes[-self._ndim :], sizes, strict=True):
                box.setValue(size)
        self._filling = False
        self._mark()
        self._offer()
        if self.sizes() != before:
            self.changed.emit()

    def _mark(self) -> None:
        facts = self._shared.facts(self._image)
        for axis, label, box in zip("zyx", self._labels, self.boxes, strict=True):
            stated = facts.values.get(f"voxel {axis}")
            same = stated is not None and abs(stated - box.value()) < 1e-5
            label.setText(f"Voxel {axis}, µm{FROM_FILE if same else ''}")
            other = "" if stated is None else f"The file states {stated:g}"
            label.setToolTip(f"From the file: {facts.sources[f'voxel {axis}']}" if same else other)

    def _of_layer(self) -> Sizes | None:
        image, n = self._image, self._ndim
        return None if image is None or image.ndim < n else length_um(image.scale[-n:], image.units[-n:])

    def _offer(self) -> None:
        """Offer to write to the layer the voxel size that it does not have."""
        image, sizes = self._image, self._sizes_to_write()
        text = ""
        if image is not None and self._of_layer() is None and image.ndim >= self._ndim:
            if sizes is not None and sizes == scale_without_unit(image, self._ndim):
                text = "The scale of the image layer has no unit. If it is in micrometres:"
            elif sizes is not None:
                text = "The image layer has no voxel size. Results get the one typed here."
            elif self._needed:
                text = "The layer has no voxel size. Type it."
        self.note.say(text, "warning")
        self.write_button.setVisible(sizes is not None)
        if sizes is not None:
            shown = " × ".join(f"{size:g}" for size in sizes)
            self.write_button.setText(f"Write {shown} µm to the layer")
            self.write_button.setToolTip(
                f"Set the voxel size of the image layer to {shown} micrometres. Preview and results follow."
            )

    def _sizes_to_write(self) -> Sizes | None:
        """Return the voxel size that was typed, or that lacks its unit only; None if the layer has it."""
        image, n = self._image, self._ndim
        if image is None or image.ndim < n:
            return None
        typed = self.sizes()
        if not (self._needed and all(typed)):
            return scale_without_unit(image, n)
        known = self._of_layer()
        same = known is not None and all(abs(a - b) < 1e-6 for a, b in zip(known, typed, strict=True))
        return None if same else typed

    def _write(self) -> None:
        image, sizes = self._image, self._sizes_to_write()
        if image is not None and sizes is not None:
            write_voxel_um(self._viewer, image, sizes)
            self._show()

    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(2)
        for column, (label, box) in enumerate(zip(self._labels, self.boxes, strict=True)):
            label.setBuddy(box)
            grid.addWidget(label, 0, column)
            grid.addWidget(box, 1, column)
            grid.setColumnStretch(column, 1)
        self.grid = QWidget()
        self.grid.setLayout(grid)
        for widget in (self.grid, self.note, self.write_button):
            layout.addWidget(widget)
