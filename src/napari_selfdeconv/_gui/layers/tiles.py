"""What each tile of a grid has besides its image: a short name, and the profile line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Shapes

from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, about, role, transform_of
from napari_selfdeconv._gui.layers.voxels import of_last_axes

#: The role of a layer that holds the name of a tile.
CAPTION = "caption"
#: The role of the line that the profiles are taken along.
LINE = "profile line"
_LONGEST = 18


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


class Captions:
    """A layer for each tile, which holds the short name and a copy of the profile line, if there is one.

    A line that is moved in one tile moves in all, and so does the line that they are copies of.

    Parameters
    ----------
    names : of the tiles, in their order.
    """

    def __init__(self, viewer: Any, names: Mapping[Image, str]) -> None:
        self._viewer = viewer
        lines = [layer for layer in viewer.layers if isinstance(layer, Shapes) and role(layer) == LINE]
        self._line = lines[-1] if lines else None
        self._moving = False
        selected = set(viewer.layers.selection)
        self._captions = {image: self._add(image, name) for image, name in names.items()}
        # The line itself is hidden: its copies are what the user moves.
        held = {layer for layer in selected if layer is not self._line}
        first = next(iter(self._captions.values()))
        viewer.layers.selection = {first} if self._line in selected else held
        if self._line is not None:
            self._line.events.data.connect(self._follow_line)
        viewer.dims.events.ndisplay.connect(self._draw)
        viewer.dims.events.order.connect(self._draw)
        self._draw()

    def in_pairs(self) -> list[Any]:
        """Return image, caption, image, caption ...: two layers make a tile."""
        return [layer for pair in self._captions.items() for layer in pair]

    def remove(self) -> None:
        """Remove them."""
        viewer = self._viewer
        viewer.dims.events.ndisplay.disconnect(self._draw)
        viewer.dims.events.order.disconnect(self._draw)
        if self._line is not None:
            self._line.events.data.disconnect(self._follow_line)
        for caption in self._captions.values():
            caption.events.data.disconnect(self._on_moved)
            if caption in viewer.layers:
                viewer.layers.remove(caption)

    def _add(self, image: Image, name: str) -> Shapes:
        like = image if self._line is None else self._line
        caption = self._viewer.add_shapes(
            ndim=2,
            name=name,
            metadata={METADATA_KEY: {"role": CAPTION}},
            **of_last_axes(transform_of(like), 2),
        )
        caption.name_overlay.font_size = 9
        caption.name_overlay.visible = True
        caption.events.data.connect(self._on_moved)
        return caption

    def _draw(self, _event: Any = None) -> None:
        """Draw the line on every tile, where it can be seen: it lies in the plane of the last two axes."""
        dims = self._viewer.dims
        flat = dims.ndisplay == 2 and tuple(dims.displayed) == (dims.ndim - 2, dims.ndim - 1)
        ends = [] if self._line is None or not flat else [np.array(line) for line in self._line.data]
        self._moving = True
        for caption in self._captions.values():
            caption.data = []
            if ends and self._line is not None:
                caption.add_lines(ends, edge_color=self._line.edge_color[0], edge_width=self._line.edge_width[0])
                caption.mode = "select"
        self._moving = False

    def _follow_line(self, _event: Any = None) -> None:
        if not self._moving:
            self._draw()

    def _on_moved(self, event: Any) -> None:
        if self._moving or self._line is None or not len(event.source.data):
            return
        self._moving = True
        moved = [np.array(line) for line in event.source.data]
        for layer in (*self._captions.values(), self._line):
            if layer is not event.source:
                layer.data = moved
        self._moving = False
