"""What each tile of a grid has besides its image: a short name, and the profile line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Shapes
from qtpy.QtCore import QRectF
from qtpy.QtGui import QColor, QPainter

from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, about, role, transform_of
from napari_selfdeconv._gui.layers.sheet import Sheet, draw_word
from napari_selfdeconv._gui.layers.voxels import of_last_axes

#: The role of the line that the profiles are taken along.
LINE = "profile line"
#: The role of its copy on a tile.
LINE_COPY = "copy of the profile line"
_LONGEST = 18
_FONT_PT, _EDGE_PX = 11, 5


def short_names(layers: Sequence[Image]) -> list[str]:
    """Return a unique name for each layer that fits a small tile.

    Examples
    --------
    >>> import numpy as np
    >>> short_names([Image(np.ones((2, 2)), name=name) for name in ("a [RL 2]", "a name of many words")])
    ['a [RL 2]', 'a name of…ny words']
    """
    sources = {str(about(layer).get("source_id")) for layer in layers}
    names: list[str] = []
    for layer in layers:
        name = "image" if str(layer.unique_id) in sources else _short_name(layer)
        count = sum(other == name or other.startswith(f"{name} (") for other in names)
        names.append(f"{name} ({count + 1})" if count else name)
    return names


def _short_name(layer: Image) -> str:
    """Return the tag of a result: "network", "RL 10"; of another layer its name, shortened in the middle."""
    if role(layer) == "truth":
        return "truth"
    name, start = layer.name, f"{about(layer).get('source')} ["
    if name.startswith(start):
        # napari calls a second one "a [RL 10] [1]"; here it gets a number below.
        tag = name.removeprefix(start).split("]")[0]
        name = "network" if tag == "deconvolved" else tag
    half = (_LONGEST - 1) // 2
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - half - 1]}…{name[-half:]}"


class TileNames:
    """The short name of each tile in its upper left corner, and in napari's screenshots.

    Qt draws them. A layer of its own for each name would take half a second a tile, most of it for napari's
    and vispy's preparations.

    Parameters
    ----------
    names : of the images, which lie in napari's grid.
    """

    def __init__(self, viewer: Any, names: Mapping[Image, str]) -> None:
        self._viewer, self.names = viewer, names
        self._sheet = Sheet(viewer, self._draw, in_screenshots=True)

    def remove(self) -> None:
        """Remove them."""
        self._sheet.take_away()

    def _draw(self, painter: QPainter, canvas: QRectF) -> None:
        layers, grid = self._viewer.layers, self._viewer.canvas.grid
        if not grid.enabled:
            return
        font = painter.font()
        font.setPointSizeF(_FONT_PT)
        painter.setFont(font)
        # From pixels of napari's canvas to those of the widget.
        pixel = canvas.height() / self._viewer.canvas.size[0]
        height, width = (pixel * size for size in self._viewer.canvas.viewbox_size(layers))
        rows, columns = grid.actual_shape(layers)
        down = (canvas.height() - height) / max(rows - 1, 1)
        right = (canvas.width() - width) / max(columns - 1, 1)
        for image, name in self.names.items():
            row, column = grid.position(layers.index(image), layers) if image in layers else (-1, -1)
            if row >= 0:  # napari's place for a hidden layer is -1
                tile = QRectF(column * right, row * down, width, height)
                draw_word(painter, tile.translated(_EDGE_PX, _EDGE_PX), name, QColor("white"))


class LineCopies:
    """A copy of the profile line on each tile.

    A line that is moved in one tile moves in all, and so does the line that they are copies of.

    Parameters
    ----------
    line : that is copied.
    names : of the tiles, in their order.
    """

    def __init__(self, viewer: Any, line: Shapes, names: Mapping[Image, str]) -> None:
        self._viewer, self._line = viewer, line
        self._moving = False
        selected = set(viewer.layers.selection)
        self._copies = {image: self._add(name) for image, name in names.items()}
        # The line itself is hidden: its copies are what the user moves.
        first = next(iter(self._copies.values()))
        viewer.layers.selection = {first} if line in selected else selected
        line.events.data.connect(self._follow_line)
        viewer.dims.events.ndisplay.connect(self._draw)
        viewer.dims.events.order.connect(self._draw)
        self._draw()

    def in_pairs(self) -> list[Any]:
        """Return image, copy, image, copy ...: two layers make a tile."""
        return [layer for pair in self._copies.items() for layer in pair]

    def remove(self) -> None:
        """Remove them."""
        viewer = self._viewer
        viewer.dims.events.ndisplay.disconnect(self._draw)
        viewer.dims.events.order.disconnect(self._draw)
        self._line.events.data.disconnect(self._follow_line)
        for copy in self._copies.values():
            copy.events.data.disconnect(self._on_moved)
            if copy in viewer.layers:
                viewer.layers.remove(copy)

    def _add(self, name: str) -> Shapes:
        copy = self._viewer.add_shapes(
            ndim=2,
            name=f"{self._line.name} on {name}",
            metadata={METADATA_KEY: {"role": LINE_COPY}},
            **of_last_axes(transform_of(self._line), 2),
        )
        copy.events.data.connect(self._on_moved)
        return copy

    def _draw(self, _event: Any = None) -> None:
        """Draw the line on every tile, where it can be seen: it lies in the plane of the last two axes."""
        dims, line = self._viewer.dims, self._line
        flat = dims.ndisplay == 2 and tuple(dims.displayed) == (dims.ndim - 2, dims.ndim - 1)
        ends = [np.array(shape) for shape in line.data] if flat else []
        self._moving = True
        for copy in self._copies.values():
            copy.data = []
            if ends:
                copy.add_lines(ends, edge_color=line.edge_color[0], edge_width=line.edge_width[0])
                copy.mode = "select"
        self._moving = False

    def _follow_line(self, _event: Any = None) -> None:
        if not self._moving:
            self._draw()

    def _on_moved(self, event: Any) -> None:
        if self._moving or not len(event.source.data):
            return
        self._moving = True
        moved = [np.array(line) for line in event.source.data]
        for layer in (*self._copies.values(), self._line):
            if layer is not event.source:
                layer.data = moved
        self._moving = False


def profile_line(viewer: Any) -> Shapes | None:
    """Return the newest profile line of the viewer, if there is one."""
    lines = [layer for layer in viewer.layers if isinstance(layer, Shapes) and role(layer) == LINE]
    return lines[-1] if lines else None
