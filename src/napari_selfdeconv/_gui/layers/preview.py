"""The layers of a live preview: made at the first preview, updated by the next ones, removed with the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from napari.layers import Image, Shapes
from napari.utils.transforms import Affine
from qtpy.QtCore import QRectF
from qtpy.QtGui import QPainter

from napari_selfdeconv._gui.layers.exchange import (
    METADATA_KEY,
    PREVIEW_PLANES,
    LayerSnapshot,
    display_limits,
    looked_at,
    transform_of,
    window,
)
from napari_selfdeconv._gui.layers.sheet import ACCENT, Sheet, draw_frame
from napari_selfdeconv._gui.layers.voxels import of_last_axes, place, without_channel_axis
from napari_selfdeconv.events import Preview

BOX_NAME = "preview box"
PREVIEW = "preview"
_BLANK = 64
Limits = tuple[float, float]


class PreviewLayer:
    """One layer '<source> [tag]', at the place of the voxels it shows.

    A layer that the user deletes does not come back; limits that the user sets stay.

    Parameters
    ----------
    signed : whether it is read against zero, as a residual.
    role : "preview", or "part" for a result of the part of an image that was in view.
    limits : contrast limits; None takes those that fit what is shown.
    """

    def __init__(
        self,
        viewer: Any,
        source: LayerSnapshot,
        tag: str = PREVIEW,
        *,
        signed: bool = False,
        role: str = "preview",
        limits: Limits | None = None,
    ) -> None:
        self._viewer, self._source, self._tag, self._signed = viewer, source, tag, signed
        self._role, self._given = role, limits
        self._preview_of = source.source_id if tag == PREVIEW else None
        self._layer: Image | None = None
        self._limits: Limits | None = None
        self._dismissed = False
        self._blank = False
        self._offset: tuple[int, ...] = ()
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def layer(self) -> Image | None:
        return self._layer

    def prepare(self, region: tuple[slice, ...]) -> None:
        """Make the layer, hidden, when the run begins, because adding a layer blocks the window longest."""
        self._offset = tuple(part.start for part in region)
        blank = np.zeros([min(part.stop - part.start, _BLANK) for part in region], np.float32)
        self._add(blank, self._translate(self._offset), (0.0, 1.0), visible=False)

    def show(self, image: np.ndarray, offset: tuple[int, ...]) -> None:
        """Show ``image``, whose first voxel is ``offset`` of the source, unless the user has removed the layer."""
        if self._dismissed:
            return
        self._offset = offset
        limits, translate = self._fitting_limits(image), self._translate(offset)
        if self._layer is None:
            self._add(image, translate, limits)
            return
        layer = self._layer
        followed = tuple(layer.contrast_limits) == self._limits
        layer.data = image
        if not np.allclose(layer.translate, translate):
            layer.translate = translate
        if followed:
            layer.contrast_limits = limits
            self._limits = tuple(layer.contrast_limits)
        if self._blank:
            self._blank, layer.visible = False, True

    def move(self, source: LayerSnapshot) -> None:
        """Follow the image, which was moved, renamed or given another voxel size."""
        given, self._source = self._name(), source
        if self._layer is not None:
            if self._layer.name == given:  # not one that the user has given
                self._layer.name = self._name()
            place(self._layer, {**source.transform, "translate": self._translate(self._offset)})

    def hide(self) -> None:
        """Remove the layer for now; the next `show` makes it again."""
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def remove(self) -> None:
        """Remove the layer; nothing is shown after this."""
        self._dismissed = True
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        self.hide()

    def _fitting_limits(self, image: np.ndarray) -> Limits:
        low, high = self._given or display_limits(image)
        # A residual is read against zero.
        return (-max(-low, high), max(-low, high)) if self._signed else (low, high)

    def _add(self, image: np.ndarray, translate: np.ndarray, limits: Limits, *, visible: bool = True) -> None:
        selected = set(self._viewer.layers.selection)
        # Translucent whatever the source's blending: an additive preview would show the sum of both.
        look = {**self._source.look, "blending": "translucent"}
        if self._signed:
            look["colormap"] = "PiYG"
        self._layer = self._viewer.add_image(
            image,
            name=self._name(),
            contrast_limits=limits,
            visible=visible,
            metadata={METADATA_KEY: {"role": self._role, "preview_of": self._preview_of}},
            **{**self._source.transform, "translate": translate},
            **look,
        )
        self._limits, self._blank = tuple(self._layer.contrast_limits), not visible
        # The user's layer stays selected: a preview must not take the controls away.
        self._viewer.layers.selection = selected & set(self._viewer.layers)

    def blank(self) -> None:
        """Hide the layer until the next preview, because its content belongs to another view."""
        if self._layer is not None and self._layer.visible:
            self._blank, self._layer.visible = True, False

    def _name(self) -> str:
        return f"{self._source.name} [{self._tag}]"

    def _translate(self, offset: tuple[int, ...]) -> np.ndarray:
        transform = self._source.transform
        keys = ("scale", "translate", "rotate", "shear")
        return np.asarray(Affine(**{key: transform[key] for key in keys})(np.asarray(offset, float)))

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer, self._dismissed = None, True


class PreviewLayers:
    """The preview, with the reblurred preview and the residual if the user wants them.

    ``flat`` says that the image is a colour picture: its first axis, the colours, is left out.
    """

    def __init__(self, viewer: Any, source: LayerSnapshot, *, flat: bool = False) -> None:
        self._flat = flat
        source = self._seen(source)
        self._preview = PreviewLayer(viewer, source)
        self._reblurred = PreviewLayer(viewer, source, "preview reblurred")
        self._residual = PreviewLayer(viewer, source, "preview residual", signed=True)
        self._viewer = viewer
        self._frame = Sheet(viewer, self._draw_frame)

    def preparations(
        self, region: tuple[slice, ...], *, reblurred: bool, residual: bool
    ) -> list[Callable[[], None]]:
        """Return functions that make the wanted layers, hidden until there is something to show."""
        wanted = ((self._reblurred, reblurred), (self._residual, residual), (self._preview, True))
        region = region[1:] if self._flat else region
        return [partial(layer.prepare, region) for layer, asked in wanted if asked]

    def updates(self, preview: Preview, *, reblurred: bool, residual: bool) -> list[Callable[[], None]]:
        """Return functions that update the layers, one for each, so that the window can respond between them."""
        calls: list[Callable[[], None]] = []
        for layer, image, wanted in (
            (self._reblurred, preview.reblurred, reblurred),
            (self._residual, preview.residual, residual),
            (self._preview, preview.image, True),
        ):
            if wanted and image is not None and self._flat:
                calls.append(partial(layer.show, image[0], preview.offset[1:]))
            elif wanted and image is not None:
                calls.append(partial(layer.show, image, preview.offset))
            elif not wanted:
                calls.append(layer.hide)
        return [*calls, self._frame.update]

    def _draw_frame(self, painter: QPainter, canvas: QRectF) -> None:
        if self._preview.layer is not None:
            draw_frame(painter, canvas, self._viewer, self._preview.layer, PREVIEW)

    def move(self, source: LayerSnapshot) -> None:
        """Follow the image, which was moved, renamed or given another voxel size."""
        for layer in (self._preview, self._reblurred, self._residual):
            layer.move(self._seen(source))

    def _seen(self, source: LayerSnapshot) -> LayerSnapshot:
        return replace(source, transform=without_channel_axis(source.transform)) if self._flat else source

    def blank(self) -> None:
        """Hide them until there is something new to show."""
        for layer in (self._preview, self._reblurred, self._residual):
            layer.blank()

    def remove(self) -> None:
        """Remove all of them permanently."""
        self._frame.take_away()
        for layer in (self._preview, self._reblurred, self._residual):
            layer.remove()


class PreviewBox:
    """A rectangle in a Shapes layer that says which part of the image to preview.

    Parameters
    ----------
    changed : called when the box has come or gone.
    """

    def __init__(self, viewer: Any, changed: Callable[[], None]) -> None:
        self._viewer, self._changed = viewer, changed
        self._layer: Shapes | None = None
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def active(self) -> bool:
        return self._layer is not None

    def add(self, image: Image) -> None:
        """Add a box in the middle of what is on the screen; it can be moved and resized."""
        if self._layer is not None:
            return
        seen = looked_at(self._viewer, image)
        if seen is None:
            return
        (top, bottom), (left, right) = ((s.start, s.stop) for s in seen[-2:])
        quarter = (bottom - top) / 4, (right - left) / 4
        rows, columns = (top + quarter[0], bottom - quarter[0]), (left + quarter[1], right - quarter[1])
        corners = [(rows[i], columns[j]) for i, j in ((0, 0), (0, 1), (1, 1), (1, 0))]
        self._layer = self._viewer.add_shapes(
            [np.asarray(corners)],
            name=BOX_NAME,
            shape_type="rectangle",
            face_color="transparent",
            edge_color=ACCENT,
            edge_width=max(1.0, (bottom - top) / 150),
            **of_last_axes(transform_of(image), 2),
        )
        self._layer.mode = "select"
        self._changed()

    def remove(self) -> None:
        """Remove the box."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)

    def close(self) -> None:
        """Disconnect from the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)

    def region(self, image: Image) -> tuple[slice, ...] | None:
        """Return the part of ``image`` inside the box, around the current plane; None if there is no box."""
        if self._layer is None or not len(self._layer.data) or image not in self._viewer.layers:
            return None
        corners = np.asarray(self._layer.data[-1], float)[:, -2:]
        here = np.asarray(self._viewer.dims.point, float)
        world = np.tile(here, (len(corners), 1))
        world[:, -2:] = [self._layer.data_to_world(corner)[-2:] for corner in corners]
        inside = np.asarray([image.world_to_data(point) for point in world], float)
        shape = (image.data[0] if image.multiscale else image.data).shape[: image.ndim]
        region = []
        for axis, size in enumerate(shape):
            low, high, cap = inside[:, axis].min(), inside[:, axis].max(), size
            if axis < len(shape) - 2:
                low, high, cap = low - PREVIEW_PLANES / 2, low + PREVIEW_PLANES / 2, PREVIEW_PLANES
            region.append(window(low, high, cap, size))
        return tuple(region)

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer = None
            self._changed()
