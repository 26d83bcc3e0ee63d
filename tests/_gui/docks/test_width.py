"""No field is cut off at the right edge, whatever is unfolded, in any dock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QScrollArea, QToolButton, QWidget

from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.docks.psf import open_psf

NARROW = 300


def right_edges(area: QScrollArea) -> Iterator[tuple[str, int]]:
    """Every visible widget of a form with its right edge, in pixels from the left of what is seen."""
    for child in area.widget().findChildren(QWidget):
        if child.isVisible():
            yield f"{type(child).__name__} {child.toolTip()}", child.mapTo(area, QPoint(child.width(), 0)).x()


def unfold_all(dock: QWidget) -> None:
    """Open whatever can be opened: sections, 'Advanced', 'More settings'."""
    for button in dock.findChildren(QToolButton):
        if button.isCheckable():
            button.setChecked(True)


@pytest.mark.canvas
@pytest.mark.parametrize("kind", ["layer", "generated", "series", "compare", "generate", "doctor", "beads"])
def test_a_narrow_dock_shows_every_field_whole(open_dock: Callable[..., Any], kind: str) -> None:
    stack = np.random.default_rng(0).random((8, 16, 16)).astype(np.float32)
    main = dock = open_dock(image=stack, show=True, scale=(0.3, 0.13, 0.13))
    main.psf_form.generated.setChecked(kind != "layer")
    if kind == "series":
        film = main.viewer.add_image(np.zeros((2, 3, 8, 8), np.float32), axis_labels=("t", "c", "y", "x"))
        main.image_box.choose(film)
        main.axes_form.each_psf.setChecked(True)
    elif kind == "compare":
        dock = open_compare(main.viewer, main.image_box.layer)
    elif kind in ("generate", "doctor", "beads"):
        dock = open_psf(main.viewer)
        dock.tabs.setCurrentWidget(getattr(dock, kind))
    unfold_all(dock)
    window = main.viewer.window._qt_window
    for _ in range(10):
        QApplication.processEvents()
        window.resizeDocks([dock.parent()], [NARROW], Qt.Orientation.Horizontal)
    (area,) = [area for area in dock.findChildren(QScrollArea) if area.isVisible()]
    # The scroll bar lies inside the area: what reaches below it is hidden as well.
    seen = area.viewport().width()
    cut = [(name, edge) for name, edge in right_edges(area) if edge > seen]
    assert not cut, (seen, cut)
    assert dock.width() <= NARROW + 40
