"""The image and everything computed from it, next to each other in a linked grid, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QObject, QTimer

from napari_selfdeconv._gui.layers.arrangement import begin_arrangement, end_arrangement
from napari_selfdeconv._gui.layers.exchange import layer_limits, relink_contrast, role
from napari_selfdeconv._gui.layers.tiles import LINE_COPY, LineCopies, TileNames, profile_line, short_names

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
        self._names: TileNames | None = None
        self._lines: LineCopies | None = None
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(0)
        self._again.timeout.connect(self._show_again)

    @property
    def active(self) -> bool:
        return self._names is not None

    @property
    def names(self) -> list[str]:
        """The short names of the tiles, in their order."""
        return [] if self._names is None else list(self._names.names.values())

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
        if role(event.value) != LINE_COPY:
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
        names, line = dict(zip(tiles, short_names(tiles), strict=True)), profile_line(viewer)
        with _few_updates(layers, line is not None):
            for layer in layers:
                _set(layer, visible=layer in tiles)
            for layer in compared:
                _set(layer, contrast_limits=limits)
            layers.link_layers(compared, _LINKED)
            self._lines = None if line is None else LineCopies(viewer, line, names)
            _put_first(layers, tiles if self._lines is None else self._lines.in_pairs())
        self._grid.stride, self._grid.shape, self._grid.spacing = 1 if line is None else 2, (-1, -1), 0.02
        self._grid.enabled = True
        self._names = TileNames(viewer, names)
        self._zoomed = float((np.array(viewer.canvas.viewbox_size(layers)) / size).min())
        viewer.scene.camera.zoom *= self._zoomed
        for event in (layers.events.inserted, layers.events.removed):
            event.connect(self._on_layers)

    def _undo(self) -> None:
        viewer, layers = self._viewer, self._viewer.layers
        lines, self._lines = self._lines, None
        names, self._names = self._names, None
        if names is not None:
            names.remove()
        for event in (layers.events.inserted, layers.events.removed):
            event.disconnect(self._on_layers)
        before, self._before = self._before, {}
        shown = [layer for layer, state in before.items() if len(state) > 1 and layer in layers]
        layers.unlink_layers([layer for layer in shown if role(layer) not in _OWN_LIMITS], _LINKED)
        with _few_updates(layers, lines is not None):
            if lines is not None:
                lines.remove()
            _put_first(layers, [layer for layer in self._order if layer in layers])
            for layer, state in before.items():
                if layer in layers:
                    _set(layer, **state)
        for name, value in self._grid_before.items():
            setattr(self._grid, name, value)
        if not set(layers.selection):  # it was a copy of the line
            layers.selection = {layer for layer in self._selected if layer in layers}
        viewer.scene.camera.zoom /= self._zoomed
        relink_contrast(viewer, shown)


def _few_updates(layers: Any, many: bool) -> AbstractContextManager[None]:
    """Update the canvas once if ``many`` layers come or go; the update collects garbage, which takes its time."""
    return layers.batched_update() if many else nullcontext()


def _set(layer: Any, **state: Any) -> None:
    """Set what is not so yet: napari updates the whole canvas when a layer is made visible that was visible."""
    for name, value in state.items():
        if getattr(layer, name) != value:
            setattr(layer, name, value)


def _put_first(layers: Any, wanted: Sequence[Any]) -> None:
    """Bring ``wanted`` to the bottom of the list, in this order, with one update of the canvas.

    napari's ``move_multiple`` raises IndexError for many orders.
    """
    moved = False
    with layers.events.reordered.blocker():
        for place, layer in enumerate(wanted):
            if layers[place] is not layer:
                moved = layers.move(layers.index(layer), place)
    if moved:
        layers.events.reordered(value=layers)


def _common_limits(layers: Sequence[Image]) -> tuple[float, float]:
    """Return limits for all layers: the lowest lower limit and the median upper limit.

    The median is taken, because Richardson-Lucy after many iterations has single pixels far above all others.
    """
    lows, highs = zip(*(layer_limits(layer) for layer in layers), strict=True)
    low, high = min(lows), sorted(highs)[len(highs) // 2]
    return (low, high if high > low else low + 1.0)
