"""How many pixels have each grey level, and where the background lies."""

from __future__ import annotations

import numpy as np

from napari_selfdeconv._gui.panels.plots import Curve, Plot
from napari_selfdeconv._gui.runs.camera import Histogram

# Lies below the smallest count of the logarithmic axis.
_NOTHING = 0.5


class HistogramPlot(Plot):
    """The counts of measured pixels and of pixels that are left out, as steps on a logarithmic axis."""

    LEAST_RANGE = 1.0

    def __init__(self) -> None:
        super().__init__("grey level", "pixels", logarithmic=True, height=120)
        self._curves: list[Curve] = []
        self._background: float | None = None

    def show_counts(self, histogram: Histogram, background: float) -> None:
        """Show the counts of an image whose background is at the grey level ``background``."""
        levels = np.repeat(histogram.edges, 2)[1:-1]
        named = (("measured", histogram.measured, 0), ("no measurement", histogram.left_out, 6))
        self._curves = [
            Curve(name, levels, np.repeat(np.maximum(counts, _NOTHING), 2), colour)
            for name, counts, colour in named
            if counts.any()
        ]
        self._background = background
        self.refresh()

    def curves(self) -> list[Curve]:
        return self._curves

    def _draw(self) -> None:
        if self._axes is not None:
            self.clear()
        super()._draw()
        if self._background is not None:
            self.mark(self._background, "background")
