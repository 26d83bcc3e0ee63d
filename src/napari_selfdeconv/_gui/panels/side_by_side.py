"""The image and everything computed from it, next to each other in a linked grid, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer

from napari_selfdeconv._gui.layers.arrangement import begin_arrangement, end_arrangement
from napari_selfdeconv._gui.layers.exchange import layer_limits, relink_contrast, role
from napari_selfdeconv._gui.layers.tiles import CAPTION, Captions, short_names

_LINKED = ("contrast_limits", "gamma")
# They are read against zero, not against the image.
_OWN_LIMITS = ("residual", "uncertainty")


class SideBySide(QObject):
    """Shows layers in napari's grid, whose cameras move together; remembers how it was before.

    Each tile shows what was on the screen before: the same part of the image, in planes, in xz and in 3D.

    Parameters
    ----------
    changed : called when the grid comes or goes.
    parent : owner.
    """

    def __init__(self, viewer: Any, changed: Callable[[], None], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._changed = viewer, changed
        self._find: Callable[[], Sequence[Image]] = list
        self._before: dict[Image, dict[str, Any]] = {}
        self._order: list[Any] = []
        self._selected: set[Any] = set()
        self._grid_before: dict[str, Any] = {}
        self._zoomed = 1.0
        self._captions: Captions | None = None
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(0)
        self._again.timeout.connect(self._show_again)

    @property
    def active(self) -> bool:
        return self._captions is not None

    @property
    def _grid(self) -> Any:
        return self._viewer.canvas.grid

    def show(self, find: Callable[[], Sequence[Image]]) -> None:
        """Lay out what ``find`` returns, first one top left, with the same contrast; hide the others.

        ``find`` is asked again when a layer comes or goes.
        """
        begin_arrangement(self._viewer, self.restore)
        self._find = find
        self._lay_out(find())
        self._changed()

    def restore(self) -> None:
        """Undo `show`; layers removed meanwhile are left alone."""
        if self.active:
            self._undo()
            end_arrangement(self._viewer, self.restore)
            self._changed()

    def _show_again(self) -> None:
        if self.active:
            self._undo()
            tiles = self._find()
            if len(tiles) > 1:
                self._lay_out(tiles)
            else:
                end_arrangement(self._viewer, self.restore)
                self._changed()

    def _on_layers(self, event: Any) -> None:
        if role(event.value) != CAPTION:
            # Later: the viewer is not done with the layer yet.
            self._again.start()

    def _lay_out(self, tiles: Sequence[Image]) -> None:
        viewer, layers = self._viewer, self._viewer.layers
        size = np.array(viewer.canvas.viewbox_size(layers))
        self._order, self._selected = list(layers), set(layers.selection)
        self._before = {
            layer: {
                "visible": layer.visible,
                **({name: getattr(layer, name) for name in _LINKED} if layer in tiles else {}),
            }
            for layer in layers
        }
        self._grid_before = {name: getattr(self._grid, name) for name in ("enabled", "stride", "shape", "spacing")}
        compared = [layer for layer in tiles if role(layer) not in _OWN_LIMITS]
        limits = _common_limits(compared)
        # One update of the canvas instead of one a layer: each collects garbage and draws.
        with layers.batched_update():
            for layer in layers:
                layer.visible = layer in tiles
            for layer in compared:
                layer.contrast_limits = limits
            layers.link_layers(compared, _LINKED)
            self._captions = captions = Captions(viewer, dict(zip(tiles, short_names(tiles), strict=True)))
            _put_first(layers, captions.in_pairs())
        self._grid.stride, self._grid.shape, self._grid.spacing = 2, (-1, -1), 0.02
        self._grid.enabled = True
        self._zoomed = float((np.array(viewer.canvas.viewbox_size(layers)) / size).min())
        viewer.scene.camera.zoom *= self._zoomed
        for event in (layers.events.inserted, layers.events.removed):
            event.connect(self._on_layers)

    def _undo(self) -> None:
        viewer, layers = self._viewer, self._viewer.layers
        captions, self._captions = self._captions, None
        for event in (layers.events.inserted, layers.events.removed):
            event.disconnect(self._on_layers)
        before, self._before = self._before, {}
        shown = [layer for layer, state in before.items() if len(state) > 1 and layer in layers]
        layers.unlink_layers([layer for layer in shown if role(layer) not in _OWN_LIMITS], _LINKED)
        with layers.batched_update():
            if captions is not None:
                captions.remove()
            _put_first(layers, [layer for layer in self._order if layer in layers])
            for layer, state in before.items():
                if layer in layers:
                    for name, value in state.items():
                        setattr(layer, name, value)
        for name, value in self._grid_before.items():
            setattr(self._grid, name, value)
        if not set(layers.selection):  # it was a caption
            layers.selection = {layer for layer in self._selected if layer in layers}
        viewer.scene.camera.zoom /= self._zoomed
        relink_contrast(viewer, shown)


def _put_first(layers: Any, wanted: Sequence[Any]) -> None:
    for place, layer in enumerate(wanted):
        layers.move(layers.index(layer), place)


def _common_limits(layers: Sequence[Image]) -> tuple[float, float]:
    """Return limits for all layers: the lowest lower limit and the median upper limit.

    The median is taken, because Richardson-Lucy after many iterations has single pixels far above all others.
    """
    lows, highs = zip(*(layer_limits(layer) for layer in layers), strict=True)
    low, high = min(lows), sorted(highs)[len(highs) // 2]
    return (low, high if high > low else low + 1.0)
