"""Before and after on one canvas: the image on one side of a line, a result on the other, in 2D and in 3D.

In 2D a layer with the image's left part lies over the result; it shares the image's data, because napari clips no
images in 2D. In 3D two clipping planes cut the layers where the line is on the screen. The line stays there while
the scene is moved, zoomed and turned.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, QRectF, QTimer
from qtpy.QtGui import QPainter

from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, SWIPE, role, snapshot_any
from napari_selfdeconv._gui.layers.sheet import Sheet, draw_line
from napari_selfdeconv._gui.layers.voxels import place

_LINKED = ("contrast_limits", "gamma", "colormap")
_UPDATE_AFTER_MS = 15
# How near to the line a press takes hold of it, in pixels of the screen.
_GRIP = 8


class Swipe(QObject):
    """Shows ``before`` left of a line and ``after`` right of it; `stop` leaves the layers as they were.

    Parameters
    ----------
    viewer : whose layers they are.
    moved : called with the new share when the user drags the line.
    parent : owner.
    """

    def __init__(self, viewer: Any, moved: Callable[[float], None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._moved = viewer, moved
        self._before: Image | None = None
        self._after: Image | None = None
        self._curtain: Image | None = None
        self._line: Sheet | None = None
        self._cut: tuple[int, int] | None = None
        self._share = 0.5
        self._were_visible: dict[Image, bool] = {}
        self._planes: dict[Image, list[Any]] = {}
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_UPDATE_AFTER_MS)
        self._timer.timeout.connect(self._update)

    @property
    def active(self) -> bool:
        return self._before is not None

    @property
    def after(self) -> Image | None:
        """What is shown right of the line."""
        return self._after

    def start(self, before: Image, after: Image) -> None:
        """Show the two layers, and no other image."""
        self.stop()
        self._before, self._after = before, after
        images = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        self._were_visible = {layer: layer.visible for layer in images}
        self._planes = {layer: list(layer.experimental_clipping_planes) for layer in (before, after)}
        for layer in images:
            layer.visible = layer is after
        for event in self._events(before):
            event.connect(self._soon)
        self._viewer.layers.events.inserted.connect(self._on_inserted)
        self._viewer.mouse_drag_callbacks.append(self._drag)
        self._line = Sheet(self._viewer, self._draw_line)
        self._update()

    def set_share(self, share: float) -> None:
        """Put the line at ``share`` of the canvas's width."""
        self._share = float(np.clip(share, 0, 1))
        if self._line is not None:
            self._line.update()
            self._update()

    def stop(self) -> None:
        """Show all layers as before `start`; those removed meanwhile are left alone."""
        before, were_visible, planes = self._before, self._were_visible, self._planes
        if before is None:
            return
        # First, because removing a layer may call this method again.
        self._before, self._after, self._were_visible, self._planes = None, None, {}, {}
        self._timer.stop()
        line, self._line = self._line, None
        if line is not None:
            line.take_away()
        for event in self._events(before):
            event.disconnect(self._soon)
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._viewer.mouse_drag_callbacks.remove(self._drag)
        self._drop_curtain(before)
        for layer, own in planes.items():
            layer.experimental_clipping_planes = own
        for layer, visible in were_visible.items():
            if layer in self._viewer.layers:
                layer.visible = visible

    def _events(self, before: Image) -> list[Any]:
        scene = self._viewer.scene.camera.events
        seen = [scene.zoom, scene.center, scene.angles, self._viewer.canvas.events.size]
        seen += [self._viewer.dims.events.ndisplay, self._viewer.dims.events.order]
        return [*seen, before.events.scale, before.events.translate, before.events.units]

    def _soon(self, _event: Any = None) -> None:
        self._timer.start()

    def _on_inserted(self, event: Any) -> None:
        layer = event.value
        if isinstance(layer, Image) and role(layer) != SWIPE:
            # It would lie over the line. It is shown when the swipe ends.
            self._were_visible[layer] = layer.visible
            layer.visible = False

    def _update(self) -> None:
        if self._before is None or self._after is None or self._before not in self._viewer.layers:
            return
        if self._viewer.dims.ndisplay == 3:
            self._drop_curtain(self._before)
            self._clip(self._before, self._after)
        else:
            self._draw_curtain(self._before, self._after)

    def _draw_line(self, painter: QPainter, canvas: QRectF) -> None:
        draw_line(painter, canvas, self._share, grip=self._viewer.dims.ndisplay == 2)

    # In 3D.

    def _clip(self, before: Image, after: Image) -> None:
        camera = self._viewer.scene.camera
        right = np.cross(camera.view_direction, camera.up_direction)
        position = np.asarray(camera.center) + right * (self._share - 0.5) * self._width()
        for layer, normal in ((before, -right), (after, right)):
            layer.visible = True
            layer.experimental_clipping_planes = [{"position": position, "normal": normal, "enabled": True}]

    def _width(self) -> float:
        """Return the width of the canvas in the scene's unit."""
        return float(self._viewer.canvas.viewbox_size(self._viewer.layers)[1] / self._viewer.scene.camera.zoom)

    # In 2D.

    def _draw_curtain(self, before: Image, after: Image) -> None:
        for layer, planes in self._planes.items():
            layer.experimental_clipping_planes = planes
        # A preview covers only a part of the image, which stays visible around it.
        before.visible, after.visible = role(after) == "preview", True
        axis = self._viewer.dims.displayed[-1] - (self._viewer.dims.ndim - before.ndim)
        point = list(self._viewer.dims.point)
        centre = self._viewer.scene.camera.center[-1]
        point[self._viewer.dims.displayed[-1]] = centre + (self._share - 0.5) * self._width()
        size = _shape(before)[axis]
        # The centre of the first pixel is at 0.
        cut = int(np.clip(round(before.world_to_data(point)[axis] + 0.5), 0, size))
        if cut == 0:
            self._drop_curtain(before)
        elif self._curtain is None:
            self._add_curtain(before, _cropped(before, axis, cut))
        elif (axis, cut) != self._cut:
            self._curtain.data = _cropped(before, axis, cut)
        self._cut = (axis, cut)
        if self._curtain is not None:
            place(self._curtain, snapshot_any(before).transform)

    def _add_curtain(self, before: Image, data: Any) -> None:
        layers = self._viewer.layers
        selected = set(layers.selection)
        self._curtain = self._viewer.add_image(
            data,
            name=f"{before.name} [before]",
            rgb=before.rgb,
            multiscale=before.multiscale,
            colormap=before.colormap,
            contrast_limits=before.contrast_limits,
            gamma=before.gamma,
            interpolation2d=before.interpolation2d,
            blending="translucent_no_depth",
            metadata={METADATA_KEY: {"role": SWIPE}},
            **snapshot_any(before).transform,
        )
        layers.link_layers([before, self._curtain], _LINKED)
        layers.selection = selected & set(layers)

    def _drop_curtain(self, before: Image) -> None:
        curtain, self._curtain, self._cut = self._curtain, None, None
        if curtain is not None and curtain in self._viewer.layers:
            if before in self._viewer.layers:
                self._viewer.layers.unlink_layers([before, curtain], _LINKED)
            self._viewer.layers.remove(curtain)

    def _drag(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """Let the user drag the line in 2D."""
        width = self._width()
        across = viewer.dims.displayed[-1]
        left = viewer.scene.camera.center[-1] - width / 2
        if viewer.dims.ndisplay == 3 or width <= 0:
            return
        away = abs(event.position[across] - left - self._share * width) * viewer.scene.camera.zoom
        if away > _GRIP:
            return
        camera, panned = viewer.scene.camera, viewer.scene.camera.mouse_pan
        camera.mouse_pan = False
        yield
        while event.type == "mouse_move":
            self._moved(float(np.clip((event.position[across] - left) / width, 0, 1)))
            yield
        camera.mouse_pan = panned


def _shape(layer: Image) -> tuple[int, ...]:
    return tuple((layer.data[0] if layer.multiscale else layer.data).shape)


def _cropped(layer: Image, axis: int, cut: int) -> Any:
    """Return the part of the layer's data before ``cut`` along ``axis``, without copying or reading it."""

    def crop(data: Any, stop: int) -> Any:
        part = (slice(None),) * axis + (slice(0, stop),)
        return data[part] if isinstance(data, np.ndarray) else _of_dask(data)[part]

    if not layer.multiscale:
        return crop(layer.data, cut)
    size = layer.data[0].shape[axis]
    return [crop(level, max(1, round(cut * level.shape[axis] / size))) for level in layer.data]


def _of_dask(data: Any) -> Any:
    """Return ``data`` as a dask array: slicing a zarr array would read it."""

    # Imported here: it takes half a second, and an array in memory needs none of it.
    import dask.array as da

    return data if isinstance(data, da.Array) else da.from_array(data)  # type: ignore[no-untyped-call]
