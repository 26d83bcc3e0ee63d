"""Following what happens to layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Image


class Follower:
    """Calls a function at events of the layers that are followed.

    Parameters
    ----------
    call : called with the event.
    names : names of the events, such as "scale".
    """

    def __init__(self, call: Callable[[Any], object], *names: str) -> None:
        self._call, self._names = call, names
        self._layers: list[Image] = []

    def follow(self, *layers: Image | None) -> None:
        """Follow these layers and no others; None stands for none."""
        for event in self._events():
            event.disconnect(self._call)
        self._layers = [layer for layer in dict.fromkeys(layers) if layer is not None]
        for event in self._events():
            event.connect(self._call)

    def _events(self) -> list[Any]:
        return [getattr(layer.events, name) for layer in self._layers for name in self._names]
