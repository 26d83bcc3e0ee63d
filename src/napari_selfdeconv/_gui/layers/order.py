"""The place of an added layer in the list of layers."""

from __future__ import annotations

from typing import Any

from napari.layers import Image

from napari_selfdeconv._gui.layers.exchange import role

_LIVE = ("preview", "part")


def move_below_previews(viewer: Any, layer: Image) -> None:
    """Move a layer below the previews of a run, which stay visible while training goes on."""
    layers = viewer.layers
    live = [
        i for i, one in enumerate(layers) if one is not layer and isinstance(one, Image) and role(one) in _LIVE
    ]
    if live and min(live) < layers.index(layer):
        layers.move(layers.index(layer), min(live))
