"""Every control says what it is for, to the eye and to a screen reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSpinBox,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTabBar,
    QTableWidget,
    QWidget,
)

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
    docks = [main, open_compare(main.viewer), open_psf(main.viewer)]
    found = [control for dock in docks for control in controls(dock)]
    assert len(found) > 100
    for control in found:
        label = control.text() if isinstance(control, QAbstractButton) else ""
        said = f"{type(control).__name__} {label or control.toolTip()}"
        assert control.toolTip(), said
        assert label or control.accessibleName(), said


def test_a_curve_keeps_its_colour() -> None:
    plot = LossPlot()
    plot.restart(9)
    plot.add(1, {"total": 1.0, "bsp": 0.5})
    before = {curve.name: curve.colour for curve in plot.curves()}
    plot.add(2, {"total": 1.0, "bsp": 0.5}, held_out=0.7)
    after = {curve.name: curve.colour for curve in plot.curves()}
    assert {name: after[name] for name in before} == before
    assert len(set(after.values())) == len(after) == 3
