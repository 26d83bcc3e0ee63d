"""The form 'which PSF'. Reading it builds a dataclass, and that is the validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QButtonGroup, QCheckBox, QHBoxLayout, QPushButton, QRadioButton, QVBoxLayout, QWidget

from napari_selfdeconv._gui.forms.channels import ChannelEmissions
from napari_selfdeconv._gui.forms.fields import Note
from napari_selfdeconv._gui.forms.layer_box import LayerBox, looks_like_psf
from napari_selfdeconv._gui.forms.lens import LensFields
from napari_selfdeconv._gui.forms.microscope import PsfSource, TypedOptics, microscope_of
from napari_selfdeconv._gui.forms.problems import FieldError, voxel_problem
from napari_selfdeconv._gui.forms.psf_size import PsfSizeNote
from napari_selfdeconv._gui.forms.voxels import VoxelFields
from napari_selfdeconv._gui.layers.exchange import snapshot
from napari_selfdeconv._gui.runs.psf_choice import GeneratedPsf, MeasuredPsf, Psf, check_axes
from napari_selfdeconv.errors import ConfigError


class PsfForm(QWidget):
    """PSF from a layer, or generated from the optics and the voxel size; the same one in all docks of a viewer.

    Signal ``changed`` says that another PSF is asked for: another source, layer, or number.
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.from_layer = QRadioButton("Layer")
        self.from_layer.setToolTip("Use the PSF of a layer: a measured bead, or a PSF that was computed before")
        self.generated = QRadioButton("Generated")
        self.generated.setToolTip("Computed from the optics of the microscope, by Richards & Wolf")
        self._image: Image | None = None
        # Axes of the image, or of one frame of a series; 0 if that is not known yet.
        self._ndim = 0
        self.layer_box = LayerBox(viewer, looks_like_psf, "The layer that holds the PSF", suits=self._suits)
        self.clean = QCheckBox("Clean up (background, centre, crop)")
        self.clean.setToolTip("For a measured bead; a computed PSF is used as it is")
        self._shared = microscope_of(viewer)
        self.voxel_fields = VoxelFields(viewer)
        self.voxel, self.voxel_note = self.voxel_fields.boxes, self.voxel_fields.note
        self.write_button = self.voxel_fields.write_button
        self.lens = LensFields(self._shared, self.voxel_fields)
        self.na, self.wavelength, self.index = self.lens.na, self.lens.wavelength, self.lens.index
        self.channels = ChannelEmissions(self._shared)
        self.more_note = Note()
        self.size_note = PsfSizeNote()
        self.tools = QPushButton("PSF tools …")
        self.tools.setToolTip("Generate with a picture, confocal, mismatch; check and repair; beads")
        self._filling = False
        self._viewer = viewer
        self._n_channels = 1
        self._build()
        self.layer_box.layer_changed.connect(self._on_layer)
        # 'Layer' alone does not say which layer.
        self._sources.buttonClicked.connect(lambda _: self._on_decided(by_hand=self.generated.isChecked()))
        self.layer_box.combo.activated.connect(lambda _: self._on_decided(by_hand=True))
        for tick in (self.clean, self.size_note.whole):
            tick.toggled.connect(lambda _: self._on_decided())
        self.voxel_fields.changed.connect(self._on_number)
        self.tools.clicked.connect(lambda: _open_tools(viewer))
        self._shared.changed.connect(self._on_microscope)
        self._on_microscope()

    @property
    def wrong(self) -> QWidget | None:
        """The field with the red outline, or None."""
        return self.lens.wrong or self.channels.wrong

    def psf(self, image: Image | None, layer: Image | None = None) -> Psf:
        """Return the PSF that is chosen, or that of ``layer``; ConfigError if it cannot be used."""
        if layer is None and self.generated.isChecked():
            return self._generated(self._shared.optics, image)
        layer = self.layer_box.layer if layer is None else layer
        if layer is None:
            raise ConfigError("No PSF chosen: choose the layer that holds it, or 'Generated'.")
        if layer is image:
            raise ConfigError("The PSF is the image itself: choose the layer that holds the PSF, or 'Generated'.")
        if self._ndim and image is self._image and image is not None:
            check_axes(layer.name, layer.ndim, image.name, self._ndim)
        return MeasuredPsf(snapshot(layer), clean=self.clean.isChecked())

    def psfs(self, image: Image | None, layers: Sequence[Image] | None) -> tuple[Psf, ...]:
        """Return the PSF of each channel, from ``layers`` or from each one's emission, or one PSF for all."""
        if layers is not None:
            return tuple(self.psf(image, layer) for layer in layers)
        emissions = self.channels.wavelengths_um()
        if not any(emissions):
            return (self.psf(image),)
        self.channels.check()
        optics = self._shared.optics
        return tuple(
            self._generated(replace(optics, wavelength_um=own or optics.wavelength_um), image, channel)
            for channel, own in enumerate(emissions)
        )

    def _generated(self, typed: TypedOptics, image: Image | None, channel: int | None = None) -> GeneratedPsf:
        optics, sizes = typed.optics(), self.voxel_fields.sizes()
        problem = voxel_problem(sizes)
        if problem is not None:
            raise problem
        whole = self.size_note.whole.isChecked() and len(sizes) == 3
        sources = self._shared.facts(image).sources_of(typed, channel)
        return GeneratedPsf(optics, sizes, whole_stack=whole, sources=sources)

    def point_at(self, problem: object) -> None:
        """Outline and focus the field that an error is about, if this form has it."""
        if isinstance(problem, FieldError):
            self.lens.show_error(problem if self.channels.wrong is None else None)
            self.lens.focus_wrong()
            self.channels.point_at(problem)

    def choose_layer(self, layer: Image) -> None:
        """Take the PSF from ``layer``."""
        self.layer_box.choose(layer)
        self.from_layer.click()

    def follow(self, image: Image | None, ndim: int | None = None, channels: int = 1) -> None:
        """Fill in what the image and its file say; ``ndim`` axes make one frame of one of ``channels``."""
        before = self.voxel_fields.sizes()
        self._image, self._n_channels, self._filling = image, channels, True
        self._shared.image_id = self._image_id
        known = ndim if ndim is not None or image is None else image.ndim
        self._ndim = known if known in (2, 3) else 0
        self.lens.follow(image)
        self.voxel_fields.follow(image, ndim)
        self._filling = False
        self.layer_box.refresh()
        self._show()
        if self.voxel_fields.sizes() != before:
            self.changed.emit()

    def _suits(self, layer: Image) -> int:
        """Return how well a PSF layer suits the image: by its name, else by the number of its axes."""
        if self._image is None or (self._ndim and layer.ndim != self._ndim):
            return 0
        return 2 if layer.name.startswith(f"{self._image.name} PSF") else 1

    @property
    def _image_id(self) -> str:
        return "" if self._image is None else str(self._image.unique_id)

    def _on_decided(self, *, by_hand: bool = False) -> None:
        if self._filling:
            return
        layer, before = self.layer_box.layer, self._shared.source
        made = PsfSource(
            generated=self.generated.isChecked(),
            layer_id=None if layer is None else str(layer.unique_id),
            clean=self.clean.isChecked(),
            whole_stack=self.size_note.whole.isChecked(),
        )
        same = before is not None and (before.generated, before.layer_id) == (made.generated, made.layer_id)
        chosen_for = before.chosen_for if before is not None and same else ""
        self._shared.set_source(replace(made, chosen_for=self._image_id if by_hand else chosen_for))

    def _on_layer(self, layer: Image | None) -> None:
        source = self._shared.source
        if source is not None and layer is not None and not self._filling and self.layer_box.picked:
            self._shared.set_source(replace(source, layer_id=str(layer.unique_id)))
        self._on_microscope()

    def _on_number(self) -> None:
        if not self._filling:
            self._show()
            self.changed.emit()

    def _on_microscope(self) -> None:
        """Show what was decided or typed, here or in another dock."""
        if self._filling:
            return
        self._filling = True
        source = self._shared.source
        if source is None:
            # A PSF layer is the first proposal, until the user decides.
            (self.generated if self.layer_box.layer is None else self.from_layer).setChecked(True)
        else:
            (self.generated if source.generated else self.from_layer).setChecked(True)
            self.clean.setChecked(source.clean)
            self.size_note.whole.setChecked(source.whole_stack)
            self.layer_box.choose_by_id(source.layer_id)
        self._filling = False
        self._show()
        self.changed.emit()

    def _show(self) -> None:
        """Show the fields of the chosen source, and the notes about it."""
        generated = self.generated.isChecked()
        for widget in (self.layer_box, self.clean):
            widget.setVisible(not generated)
        self.lens.need(generated)
        self.channels.follow(self._image, self._n_channels, needed=generated)
        optics, sizes = self._shared.optics, self.voxel_fields.sizes()
        more = optics.beyond_the_three() if generated else ""
        self.more_note.say(f"{more} (set in PSF tools)" if more else "")
        try:
            complete = optics.optics() if generated and voxel_problem(sizes) is None else None
        except ConfigError:
            complete = None
        self.size_note.follow(self._image, complete, sizes)

    def _build(self) -> None:
        self._sources = QButtonGroup(self)
        row = QHBoxLayout()
        for button in (self.from_layer, self.generated):
            self._sources.addButton(button)
            row.addWidget(button)
        row.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        for widget in (
            self.layer_box,
            self.clean,
            self.lens,
            self.channels,
            self.more_note,
            self.size_note,
            self.tools,
        ):
            layout.addWidget(widget)


def _open_tools(viewer: Any) -> None:
    from napari_selfdeconv._gui.docks.psf import open_psf

    open_psf(viewer)
