"""A line over the image, and the intensities of all results along it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Shapes

from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, looked_at, transform_of, voxel_um
from napari_selfdeconv._gui.layers.tiles import LINE
from napari_selfdeconv._gui.layers.voxels import of_last_axes
from napari_selfdeconv._gui.panels.plots import Curve, Plot

LINE_NAME = "profile line"
_MOST_SAMPLES = 1000


class ProfilePlot(Plot):
    """Intensity against the place on the line, one curve a layer."""

    def __init__(self) -> None:
        super().__init__("along the line, pixels", "intensity", height=170)
        self._curves: list[Curve] = []

    def show_profiles(self, profiles: Sequence[tuple[str, np.ndarray, np.ndarray]], unit: str) -> None:
        """Show (name, distance, intensity) of each layer."""
        self._x_label = f"along the line, {unit}"
        self._curves = [Curve(name, x, y, i) for i, (name, x, y) in enumerate(profiles)]
        self._colour_axes()
        self.refresh()

    def curves(self) -> list[Curve]:
        return self._curves


class ProfileLine:
    """A Shapes layer with one line that the user moves.

    Parameters
    ----------
    changed : called when the line is moved, comes or goes.
    """

    def __init__(self, viewer: Any, changed: Callable[[], None]) -> None:
        self._viewer, self._changed = viewer, changed
        self._layer: Shapes | None = None
        viewer.layers.events.removed.connect(self._on_removed)

    @property
    def active(self) -> bool:
        return self._layer is not None

    def add(self, image: Image) -> None:
        """Put a line across the middle of what is on the screen."""
        seen = looked_at(self._viewer, image)
        if self.active or seen is None:
            return
        rows, columns = seen[-2:]
        middle, quarter = (rows.start + rows.stop) / 2, (columns.stop - columns.start) / 4
        ends = np.array([[middle, columns.start + quarter], [middle, columns.stop - quarter]])
        self._layer = self._viewer.add_shapes(
            [ends],
            name=LINE_NAME,
            metadata={METADATA_KEY: {"role": LINE}},
            shape_type="line",
            edge_color="#e8833a",
            edge_width=max(1.0, (rows.stop - rows.start) / 200),
            **of_last_axes(transform_of(image), 2),
        )
        self._layer.mode = "select"
        self._layer.events.data.connect(self._on_moved)
        self._changed()

    def remove(self) -> None:
        """Remove the line."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)

    def close(self) -> None:
        """Disconnect from the viewer."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        if self._layer is not None:
            self._layer.events.data.disconnect(self._on_moved)

    def profile(self, layer: Image) -> tuple[np.ndarray, np.ndarray, str] | None:
        """Return distance, intensity and the unit of the distance along the line through ``layer``."""
        # Imported here: it would make up half of what opening the dock imports.
        from scipy.ndimage import map_coordinates

        if self._layer is None or not len(self._layer.data):
            return None
        ends = np.asarray(self._layer.data[-1], float)[[0, -1], -2:]
        world = np.tile(np.asarray(self._viewer.dims.point, float), (2, 1))
        world[:, -2:] = [np.asarray(self._layer.data_to_world(end))[-2:] for end in ends]
        first, last = (np.asarray(layer.world_to_data(point), float) for point in world)
        length = float(np.linalg.norm(last[-2:] - first[-2:]))
        count = int(np.clip(round(2 * length) + 1, 2, _MOST_SAMPLES))
        share = np.linspace(0, 1, count)
        data = layer.data[0] if layer.multiscale else layer.data
        plane = tuple(int(np.clip(round(v), 0, n - 1)) for v, n in zip(first[:-2], data.shape, strict=False))
        # The plane in view alone is read: the rest may lie on disk.
        pixels = np.asarray(data[plane], np.float64)
        if layer.rgb:
            pixels = pixels[..., :3].mean(-1)
        places = first[-2:, None] + (last - first)[-2:, None] * share
        values = map_coordinates(pixels, places, order=1, mode="nearest")
        sizes = voxel_um(layer)
        scale = np.ones(2) if sizes is None else np.asarray(sizes[-2:])
        distance = share * float(np.linalg.norm((last - first)[-2:] * scale))
        return distance, values, "pixels" if sizes is None else "µm"

    def _on_moved(self, _event: Any = None) -> None:
        self._changed()

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer and self._layer is not None:
            self._layer.events.data.disconnect(self._on_moved)
            self._layer = None
            self._changed()
