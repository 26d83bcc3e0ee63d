"""The image and everything computed from it, next to each other in a linked grid, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from napari.layers import Image

from napari_selfdeconv._gui.layers.arrangement import begin_arrangement, end_arrangement
from napari_selfdeconv._gui.layers.exchange import layer_limits, relink_contrast

_LINKED = ("contrast_limits", "gamma")


class SideBySide:
    """Shows layers in napari's grid, whose cameras move together; remembers how it was before.

    Parameters
    ----------
    changed : called when the grid comes or goes.
    """

    def __init__(self, viewer: Any, changed: Callable[[], None]) -> None:
        self._viewer, self._changed = viewer, changed
        self._before: dict[Image, dict[str, Any]] = {}
        self._grid_before: dict[str, Any] = {}

    @property
    def active(self) -> bool:
        return bool(self._before)

    @property
    def _grid(self) -> Any:
        return self._viewer.canvas.grid

    def show(self, layers: Sequence[Image]) -> None:
        """Lay ``layers`` out in the grid, first one top left, with the same contrast; hide the others."""
        begin_arrangement(self._viewer, self.restore)
        if self._viewer.dims.ndisplay == 3:
            self._viewer.dims.ndisplay = 2
        self._before = {
            layer: {
                "visible": layer.visible,
                **({name: getattr(layer, name) for name in _LINKED} if layer in layers else {}),
            }
            for layer in self._viewer.layers
        }
        self._grid_before = {name: getattr(self._grid, name) for name in ("enabled", "stride", "shape", "spacing")}
        limits = _common_limits(layers)
        for layer in self._viewer.layers:
            layer.visible = layer in layers
        for layer in layers:
            layer.contrast_limits = limits
            layer.name_overlay.font_size = 8
            layer.name_overlay.visible = True
        self._viewer.layers.link_layers(layers, _LINKED)
        self._grid.stride, self._grid.shape, self._grid.spacing = 1, (-1, -1), 0.02
        self._grid.enabled = True
        self._viewer.reset_view()
        self._changed()

    def restore(self) -> None:
        """Undo `show`; layers removed meanwhile are left alone."""
        if not self.active:
            return
        before, self._before = self._before, {}
        shown = [layer for layer, state in before.items() if len(state) > 1 and layer in self._viewer.layers]
        self._viewer.layers.unlink_layers(shown, _LINKED)
        for layer, state in before.items():
            if layer in self._viewer.layers:
                for name, value in state.items():
                    setattr(layer, name, value)
                layer.name_overlay.visible = False
        for name, value in self._grid_before.items():
            setattr(self._grid, name, value)
        relink_contrast(self._viewer, shown)
        self._viewer.reset_view()
        end_arrangement(self._viewer, self.restore)
        self._changed()


def _common_limits(layers: Sequence[Image]) -> tuple[float, float]:
    """Return limits that suit them all: the darkest low, the middle one of the highs.

    The middle one, because Richardson-Lucy after many iterations has lone pixels far above all others.
    """
    lows, highs = zip(*(layer_limits(layer) for layer in layers), strict=True)
    low, high = min(lows), sorted(highs)[len(highs) // 2]
    return (low, high if high > low else low + 1.0)
