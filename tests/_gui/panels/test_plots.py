"""The plots: drawn in the theme's colours, with decades, a legend that hides, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPointF, Qt
from qtpy.QtWidgets import QApplication, QToolTip

from napari_selfdeconv._gui.panels.plots import COLOURS, Curve, LossPlot, running_mean


@pytest.fixture
def plot(qtbot: Any) -> LossPlot:
    """A loss plot that is shown, with three curves."""
    made = LossPlot()
    qtbot.addWidget(made)
    made.resize(300, 200)
    made.restart(100)
    made.show()
    for step in range(1, 60):
        made.add(step, {"total": 10.0 / step, "bsp": 5.0 / step}, held_out=4.0 / step if step % 10 == 0 else None)
    return made


def colours(widget: Any) -> list[Any]:
    image = widget.grab().toImage()
    return [image.pixelColor(x, y) for x in range(image.width()) for y in range(image.height())]


@pytest.mark.canvas
def test_a_plot_is_drawn_in_the_colours_of_the_theme(open_dock: Callable[..., Any]) -> None:
    dock = open_dock(show=True)
    panel = dock.run_panel
    panel.start("Training", trains=True)
    panel.plot.restart(100)
    for step in range(1, 60):
        panel.plot.add(step, {"total": 1.0 / step})
    drawn = {}
    for theme in ("light", "dark"):
        dock.viewer.theme = theme
        for _ in range(5):
            QApplication.processEvents()
        drawn[theme] = colours(panel.plot)
    for theme, seen in drawn.items():
        assert any(colour.blue() - colour.red() > 100 for colour in seen)  # the curve
        shades = [colour.lightness() for colour in seen]
        contrast = max(shades) - shades[0] if theme == "dark" else shades[0] - min(shades)
        assert contrast > 120, theme  # the axes and their numbers


def test_the_whole_label_is_in_the_plot(plot: LossPlot, qtbot: Any) -> None:
    qtbot.wait(20)
    label = plot._axes.getAxis("bottom").label.sceneBoundingRect()
    assert label.bottom() <= plot._axes.sceneRect().bottom()
    assert label.top() > plot._axes.getPlotItem().getViewBox().sceneBoundingRect().bottom()


def test_the_loss_axis_has_decades_and_holds_all_values(plot: LossPlot) -> None:
    axis = plot._axes.getAxis("left")
    low, high = plot._axes.getPlotItem().getViewBox().viewRange()[1]
    assert low < np.log10(4.0 / 50) < np.log10(10.0) < high
    decades = [value for spacing, values in axis.tickValues(low, high, 145) for value in values if spacing]
    assert decades == pytest.approx([-1, 0, 1])
    assert axis.tickStrings(decades, 1.0, 1.0) == ["0.1", "1", "10¹"]


def test_a_flat_curve_is_not_blown_up_to_noise(qtbot: Any) -> None:
    plot = LossPlot()
    qtbot.addWidget(plot)
    plot.show()
    for step in range(1, 20):
        plot.add(step, {"total": 1 + 1e-6 * (step % 2)})
    low, high = plot._axes.getPlotItem().getViewBox().viewRange()[1]
    assert high - low >= 0.1
    assert running_mean([1.0] * 50) == pytest.approx(np.ones(50))


def test_a_name_in_the_legend_hides_its_curve_and_can_be_reached_by_key(plot: LossPlot, qtbot: Any) -> None:
    assert set(plot._buttons) == {"loss", "held-out", "hidden pixels"}
    button = plot._buttons["hidden pixels"]
    assert button.focusPolicy() & Qt.FocusPolicy.TabFocus
    assert "blind spot" in button.toolTip()
    lines = [plot._lines["hidden pixels", faint] for faint in (True, False)]
    assert all(line.isVisible() for line in lines)
    qtbot.keyClick(button, Qt.Key.Key_Space)
    assert not any(line.isVisible() for line in lines)
    plot.add(60, {"total": 0.1, "bsp": 0.1})
    assert not any(line.isVisible() for line in lines)
    button.click()
    assert all(line.isVisible() for line in lines)


def test_curves_differ_by_more_than_colour() -> None:
    pens = [Curve("c", np.zeros(2), np.zeros(2), colour).pen for colour in range(4)]
    assert len({pen.style() for pen in pens}) == len(pens)
    assert len({pen.color().name() for pen in pens}) == len(pens) <= len(COLOURS)


def test_hovering_tells_the_values(plot: LossPlot, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(QToolTip, "showText", lambda _place, text, *_: said.append(text))
    box = plot._axes.getPlotItem().getViewBox()
    place = box.mapViewToScene(QPointF(20.0, np.mean(box.viewRange()[1])))
    plot._axes.scene().sigMouseMoved.emit(place)
    assert said[-1].splitlines()[0] == "training step: 20"
    assert "held-out: 0.2" in said[-1]


@pytest.mark.parametrize("step", [8, 90])
def test_the_text_of_the_end_is_inside_the_plot(plot: LossPlot, qtbot: Any, step: int) -> None:
    plot.mark_end(step)
    qtbot.wait(20)
    text = plot._lines["stopped automatically", True].label.sceneBoundingRect()
    inside = plot._axes.getPlotItem().getViewBox().sceneBoundingRect()
    assert inside.left() - 1 <= text.left() < text.right() <= inside.right() + 1


def test_the_end_is_marked_and_the_next_run_starts_empty(plot: LossPlot) -> None:
    plot.mark_end(59)
    assert plot.ended_at == 59
    assert any(label == "stopped automatically" for label, _ in plot._lines)
    plot.restart(10)
    assert (plot.points, plot.ended_at, plot._lines, plot._buttons) == (0, None, {}, {})
