"""No field is cut off at the right edge, whatever is unfolded, in any dock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from napari.settings import get_settings
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QLineEdit, QScrollArea, QToolButton, QWidget

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


@pytest.mark.canvas
def test_a_tall_dock_has_no_gaps_between_its_fields(open_dock: Callable[..., Any], qtbot: Any) -> None:
    panel = open_psf(open_dock(show=True).viewer).generate
    panel.window().resize(1200, 980)
    optics = panel.optics_form.lens
    qtbot.waitUntil(lambda: panel.height() > 750 and not panel.busy, timeout=20_000)
    qtbot.wait(200)
    assert optics.height() == optics.sizeHint().height()


@pytest.mark.canvas
def test_long_names_of_results_differ_on_the_screen(open_dock: Callable[..., Any], qtbot: Any) -> None:
    dock = open_dock(show=True)
    long = "2026-11-27 HeLa 63x oil 488 nm cells of the second well"
    made = [dock.viewer.add_image(np.eye(16), name=f"{long} [{end}]") for end in ("RL 3", "RL 30")]
    box, shown = dock.image_box, []
    qtbot.waitUntil(lambda: box.combo.width() < 400, timeout=20_000)
    for layer in made:
        box.choose(layer)
        assert box.shortened != layer.name
        assert box.combo.fontMetrics().horizontalAdvance(box.shortened) < box.combo.width()
        shown.append((box.shortened[-7:], box.combo.grab().toImage()))
    assert shown[0][0].endswith("[RL 3]")
    assert shown[1][0].endswith("[RL 30]")
    assert shown[0][1] != shown[1][1]
    # The list is wider than the field.
    assert box.combo.view().minimumWidth() > box.combo.width()
    assert box.combo.view().textElideMode() == Qt.TextElideMode.ElideMiddle
    short = dock.viewer.add_image(np.eye(16), name="spot")
    box.choose(short)
    assert box.shortened == "spot"


@pytest.mark.canvas
def test_all_words_follow_the_size_of_the_font(
    open_dock: Callable[..., Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock = open_dock(show=True)
    preset = dock.train_form.preset
    preset.setCurrentIndex(preset.findData("standard"))
    shown = dock.sections["psf"].heading, dock.compare.findChild(QLineEdit), dock.train_form.advanced

    def sizes() -> list[int]:
        return [widget.fontInfo().pixelSize() for widget in shown]

    before, appearance = sizes(), get_settings().appearance
    monkeypatch.setattr(appearance, "font_size", round(1.5 * appearance.font_size))
    qtbot.waitUntil(lambda: min(sizes()) > 1.3 * max(before), timeout=20_000)
    qtbot.waitUntil(lambda: preset.width() >= preset.sizeHint().width(), timeout=20_000)
