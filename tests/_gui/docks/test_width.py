"""No field is cut off at the right edge, whatever is unfolded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QScrollArea, QWidget

NARROW = 300


def right_edges(area: QScrollArea) -> Iterator[tuple[str, int]]:
    """Every visible widget of a form with its right edge, in pixels from the left of what is seen."""
    for child in area.widget().findChildren(QWidget):
        if child.isVisible():
            yield f"{type(child).__name__} {child.toolTip()}", child.mapTo(area, QPoint(child.width(), 0)).x()


@pytest.mark.canvas
@pytest.mark.parametrize("generated", [False, True])
def test_a_narrow_dock_shows_every_field_whole(open_dock: Callable[..., Any], generated: bool) -> None:
    dock = open_dock(show=True)
    window = dock.viewer.window._qt_window
    dock.psf_form.generated.setChecked(generated)
    for section in dock.sections.values():
        section.unfold()
    dock.train_form.advanced.setChecked(True)
    for _ in range(10):
        QApplication.processEvents()
        window.resizeDocks([dock.parent()], [NARROW], Qt.Orientation.Horizontal)
    (area,) = dock.findChildren(QScrollArea)
    # The scroll bar lies inside the area: what reaches below it is hidden as well.
    seen = area.viewport().width()
    cut = [(name, edge) for name, edge in right_edges(area) if edge > seen]
    assert not cut, (seen, cut)
