"""Every control says what it is for, to the eye and to a screen reader."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QScrollArea,
    QTabBar,
    QTableWidget,
    QWidget,
)

from napari_selfdeconv._gui.docks.batch import BatchWidget
from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.docks.psf import open_psf
from napari_selfdeconv._gui.panels.plots import LossPlot

CONTROLS = (QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit, QPlainTextEdit, QTableWidget)
# What Qt puts inside a control is a part of it.
PARTS_OF = (QAbstractSpinBox, QComboBox, QAbstractItemView, QTabBar)


def controls(dock: QWidget) -> list[Any]:
    return [
        widget
        for widget in dock.findChildren(QWidget)
        if isinstance(widget, CONTROLS) and not isinstance(widget.parent(), PARTS_OF)
    ]


def test_every_control_has_a_tooltip_and_a_name(open_dock: Callable[..., Any]) -> None:
    main = open_dock()
    docks = [main, open_compare(main.viewer), open_psf(main.viewer), BatchWidget(main.viewer)]
    found = [control for dock in docks for control in controls(dock)]
    assert len(found) > 100
    for control in found:
        label = control.text() if isinstance(control, QAbstractButton) else ""
        said = f"{type(control).__name__} {label or control.toolTip()}"
        assert control.toolTip(), said
        assert label or control.accessibleName(), said


@pytest.mark.parametrize("kind", ["main", "compare", "generate", "doctor", "beads"])
def test_the_tab_key_goes_from_top_to_bottom(open_dock: Callable[..., Any], kind: str) -> None:
    dock = main = open_dock(show=True)
    main.psf_form.generated.click()
    if kind == "compare":
        dock = open_compare(main.viewer, main.image_box.layer)
    elif kind != "main":
        psf = open_psf(main.viewer)
        psf.tabs.setCurrentWidget(getattr(psf, kind))
        dock = getattr(psf, kind)
    for _ in range(5):
        QApplication.processEvents()
    tabbed, widget = [], dock.nextInFocusChain()
    while widget is not dock and len(tabbed) < 500:
        if dock.isAncestorOf(widget) and widget.isVisible() and widget.focusPolicy() & Qt.FocusPolicy.TabFocus:
            tabbed.append(widget)
        widget = widget.nextInFocusChain()
    fields = [one for one in tabbed if isinstance(one, CONTROLS) and not isinstance(one.parent(), PARTS_OF)]
    assert len(fields) >= 3
    areas = dock.findChildren(QScrollArea)
    for upper, lower in itertools.pairwise(fields):
        # What is pinned comes after all that scrolls.
        parts = [next((area for area in areas if area.isAncestorOf(one)), None) for one in (upper, lower)]
        if parts[0] is not parts[1]:
            assert parts[1] is None
            continue
        before, after = (one.mapTo(dock, one.rect().center()) for one in (upper, lower))
        beside = abs(after.y() - before.y()) < 12 and after.x() > before.x()
        assert beside or after.y() > before.y(), (upper.toolTip(), lower.toolTip())


def test_a_curve_keeps_its_colour() -> None:
    plot = LossPlot()
    plot.restart(9)
    plot.add(1, {"total": 1.0, "bsp": 0.5})
    before = {curve.name: curve.colour for curve in plot.curves()}
    plot.add(2, {"total": 1.0, "bsp": 0.5}, held_out=0.7)
    after = {curve.name: curve.colour for curve in plot.curves()}
    assert {name: after[name] for name in before} == before
    assert len(set(after.values())) == len(after) == 3
