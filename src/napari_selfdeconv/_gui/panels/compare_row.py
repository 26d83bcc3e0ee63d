"""The quick comparison in the main dock: Richardson-Lucy at a few counts, and all results side by side."""

from __future__ import annotations

from typing import Any

from napari.layers import Image
from qtpy.QtWidgets import QGridLayout, QLineEdit, QPushButton, QWidget

from napari_selfdeconv._gui.layers.exchange import results_of, tiles_of
from napari_selfdeconv._gui.panels.side_by_side import SideBySide
from napari_selfdeconv._gui.runs.deconvolve import parse_counts


class CompareRow(QWidget):
    """A Richardson-Lucy button with its counts, and a button for the linked grid."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self.side_by_side = SideBySide(viewer, self._on_grid, self)
        self.counts = QLineEdit("2 5 10 20")
        self.counts.setToolTip("Iteration counts; one layer is added for each")
        self.counts.setAccessibleName("Iteration counts")
        self.rl_button = QPushButton("Richardson-Lucy")
        self.rl_button.setToolTip("Run Richardson-Lucy with the same image and PSF")
        self.side_button = QPushButton("Side by side")
        self.side_button.setToolTip("Show the image and its results in a grid that moves together")
        self.more_button = QPushButton("Compare …")
        self.more_button.setToolTip("More methods, a profile line and a table of metrics, in a dock of their own")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(4)
        layout.addWidget(self.rl_button, 0, 0)
        layout.addWidget(self.counts, 0, 1)
        layout.addWidget(self.side_button, 1, 0)
        layout.addWidget(self.more_button, 1, 1)

    def iterations(self) -> tuple[int, ...]:
        """Return the counts; ConfigError if they cannot be read."""
        return parse_counts(self.counts.text())

    def toggle(self, image: Image | None) -> bool:
        """Lay the image and its results side by side, or go back; False if there is nothing to compare."""
        found = True
        if self.side_by_side.active:
            self.side_by_side.restore()
        else:
            found = image is not None and bool(results_of(self._viewer, image))
            if image is not None and found:
                self.side_by_side.show(lambda: tiles_of(self._viewer, image))
        return found

    def _on_grid(self) -> None:
        self.side_button.setText("Back to one view" if self.side_by_side.active else "Side by side")
