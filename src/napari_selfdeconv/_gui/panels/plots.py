"""Curves over common axes, drawn by pyqtgraph (zoom, export), with a legend of buttons that hide and show a curve.

The legend is ours because pyqtgraph's lies over the curves and cannot be reached with the keyboard.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtGui import QColor, QCursor, QIcon, QPainter, QPen, QPixmap
from qtpy.QtWidgets import QSizePolicy, QToolButton, QToolTip, QVBoxLayout, QWidget
from superqt.utils import QFlowLayout

from napari_selfdeconv.config.loss_terms import LOSS_TERMS

#: Middle shades: to be seen on napari's dark and light backgrounds alike.
COLOURS = (
    *("#4f9dff", "#e8833a", "#3fa66b", "#c15fd0", "#c9a227", "#2fb5b5", "#e0555f", "#8c8c8c"),
    *("#9a6b3f", "#e07fb0", "#7d8ce0", "#9bbf3b", "#5f8f8f"),
)
# Besides the colour, for colour-blind readers.
_DASHES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
_MOST_POINTS = 600
# pyqtgraph puts the label of the bottom axis this many pixels below the plot, where its letters were cut off.
_NUDGE = 5
_SAMPLE = (26, 10)


@dataclass(frozen=True)
class Curve:
    """One line of a plot.

    Attributes
    ----------
    colour : its place in `COLOURS`, which chooses the dashes as well.
    faint : drawn thin and pale, such as the values behind a mean.
    dots : its points are marked.
    tip : what it shows, at its name in the legend.
    """

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: int
    faint: bool = False
    dots: bool = False
    tip: str = ""

    @property
    def pen(self) -> QPen:
        """How it is drawn."""
        colour, dash = QColor(COLOURS[self.colour % len(COLOURS)]), _DASHES[self.colour % len(_DASHES)]
        if self.faint:
            colour.setAlphaF(0.35)
        # Qt takes very long for wide dashed lines.
        wide = not self.faint and dash == Qt.PenStyle.SolidLine
        pen = QPen(colour, 2.0 if wide else 1.0, Qt.PenStyle.SolidLine if self.faint else dash)
        pen.setCosmetic(True)  # in pixels, not in units of the axes
        return pen


class Plot(QWidget):
    """Curves over common axes. A wheel zooms, a right click exports, hovering tells the values.

    Parameters
    ----------
    x_label, y_label : with units.
    logarithmic : whether the y axis has decades.
    height : in pixels, legend not included.
    """

    #: The smallest range of the y axis, in units of the axis: noise of a flat curve does not fill the plot.
    LEAST_RANGE: ClassVar[float | None] = None

    def __init__(self, x_label: str, y_label: str, *, logarithmic: bool = False, height: int = 145) -> None:
        super().__init__()
        self._x_label, self._y_label = x_label, y_label
        self._logarithmic, self._height = logarithmic, height
        self._axes: Any = None
        self._lines: dict[tuple[str, bool], Any] = {}
        self._buttons: dict[str, QToolButton] = {}
        self.hidden_curves: set[str] = set()
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(2)
        self._legend = QWidget()
        self._flow = QFlowLayout(self._legend)
        self._flow.setContentsMargins(4, 0, 0, 0)
        self._flow.setSpacing(2)
        self._layout.addWidget(self._legend)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    # Not abc's abstract methods: a QWidget has a metaclass of its own.
    def curves(self) -> Sequence[Curve]:
        """Return what there is to draw."""
        raise NotImplementedError

    def refresh(self) -> None:
        """Draw the curves as they are now, if somebody sees them."""
        if self.isVisible():
            self._draw()

    def mark(self, x: float, text: str) -> None:
        """Draw a vertical line with a text, on the side where there is more room."""
        import pyqtgraph

        if self._axes is not None:
            pen = QPen(self.palette().color(self.foregroundRole()), 1.0, Qt.PenStyle.DashLine)
            pen.setCosmetic(True)
            # pyqtgraph takes the second anchor, which puts the text on the left, in the right half of the view.
            options = {"position": 0.9, "anchors": [(0, 0.5), (1, 0.5)], "color": pen.color()}
            line = pyqtgraph.InfiniteLine(x, pen=pen, label=text, labelOpts=options)
            self._axes.addItem(line)
            self._lines[text, True] = line

    def clear(self) -> None:
        """Take all curves and marks away."""
        for line in self._lines.values():
            self._axes.removeItem(line)
        for button in self._buttons.values():
            self._flow.removeWidget(button)
            button.deleteLater()
        self._lines, self._buttons = {}, {}

    def showEvent(self, event: Any) -> None:
        super().showEvent(event)
        self._draw()

    def changeEvent(self, event: QEvent | None) -> None:
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self._colour_axes()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        # Scrolling the dock must not zoom the plot that it passes over: a click takes the wheel.
        if event is not None and event.type() == QEvent.Type.Wheel and not self._axes.hasFocus():
            event.ignore()
            return True
        return bool(super().eventFilter(watched, event))

    def _build(self) -> None:
        # Imported here: it takes a quarter of a second, and a dock opens without a curve.
        import pyqtgraph

        class Axis(pyqtgraph.AxisItem):  # type: ignore[misc]  # pyqtgraph has no type hints
            def logTickStrings(self, values: Any, scale: float, spacing: Any) -> list[str]:
                # All nine of a decade would lie over each other.
                numbers = super().logTickStrings(values, scale, spacing)
                leading = [f"{10.0 ** float(value):e}"[0] for value in values]
                return [n if first in "125" else "" for n, first in zip(numbers, leading, strict=True)]

        self._axes = pyqtgraph.PlotWidget(self, background=None, axisItems={"left": Axis("left")})
        self._axes.setFixedHeight(self._height)
        self._axes.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._axes.setAccessibleName(f"Plot of {self._y_label}")
        self._axes.setToolTip("Click, then turn the wheel to zoom; drag to move; right click to export")
        item = self._axes.getPlotItem()
        item.layout.setContentsMargins(0, 0, 0, _NUDGE)
        item.setLogMode(y=self._logarithmic)
        item.getViewBox().setLimits(minYRange=self.LEAST_RANGE)
        for menu in (item.ctrlMenu, item.getViewBox().menu):
            # Without a parent they would be left behind when the dock closes.
            menu.setParent(self, menu.windowFlags())
        self._axes.viewport().installEventFilter(self)
        self._axes.scene().sigMouseMoved.connect(self._on_hover)
        self._layout.insertWidget(0, self._axes)
        self._colour_axes()

    def _colour_axes(self) -> None:
        if self._axes is None:
            return
        # The theme's text colour, as napari's style sheet left it in the palette.
        colour = self.palette().color(self.foregroundRole())
        for side, label in (("bottom", self._x_label), ("left", self._y_label)):
            axis = self._axes.getAxis(side)
            axis.setPen(colour)
            axis.setTextPen(colour)
            # Units such as k would be put before a label that has its unit.
            axis.enableAutoSIPrefix(False)
            axis.setLabel(label)

    def _draw(self) -> None:
        if self._axes is None:
            self._build()
        curves = [curve for curve in self.curves() if len(curve.x)]
        names = {curve.name: curve for curve in curves if not curve.faint}
        if not self._buttons.keys() <= names.keys():
            self.clear()
        for curve in curves:
            key = curve.name, curve.faint
            if key not in self._lines:
                self._lines[key] = self._axes.plot(symbol="o" if curve.dots else None, symbolSize=5)
            line = self._lines[key]
            line.setData(curve.x, curve.y)
            line.setPen(curve.pen)
            if curve.dots:
                line.setSymbolBrush(curve.pen.color())
                line.setSymbolPen(curve.pen.color())
            line.setVisible(curve.name not in self.hidden_curves)
        for name, curve in names.items():
            if name not in self._buttons:
                self._buttons[name] = self._button(curve)
                self._flow.addWidget(self._buttons[name])

    def _button(self, curve: Curve) -> QToolButton:
        button = QToolButton()
        button.setText(curve.name)
        button.setToolTip(f"{curve.tip}\nClick to hide or show the curve.".strip())
        button.setCheckable(True)
        button.setChecked(curve.name not in self.hidden_curves)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setIcon(_sample(curve))
        button.setIconSize(QSize(*_SAMPLE))
        button.setStyleSheet("QToolButton { border: none; padding: 0; } QToolButton:!checked { color: gray; }")
        button.toggled.connect(lambda shown, name=curve.name: self._show(name, shown))
        return button

    def _show(self, name: str, shown: bool) -> None:
        (self.hidden_curves.discard if shown else self.hidden_curves.add)(name)
        self.refresh()

    def _on_hover(self, place: Any) -> None:
        """Say the value of each curve below the mouse."""
        box = self._axes.getPlotItem().getViewBox()
        if not box.sceneBoundingRect().contains(place):
            return
        x = float(box.mapSceneToView(place).x())
        shown = [c for c in self.curves() if len(c.x) and not c.faint and c.name not in self.hidden_curves]
        if shown:
            words = [f"{c.name}: {float(c.y[int(np.abs(c.x - x).argmin())]):.4g}" for c in shown]
            QToolTip.showText(QCursor.pos(), "\n".join([f"{self._x_label}: {x:.4g}", *words]), self._axes)


def _sample(curve: Curve) -> QIcon:
    """Return a piece of a curve, for the legend."""
    picture = QPixmap(*_SAMPLE)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setPen(QPen(curve.pen.color(), 2.0, curve.pen.style()))
    painter.drawLine(0, _SAMPLE[1] // 2, _SAMPLE[0], _SAMPLE[1] // 2)
    if curve.dots:
        painter.setBrush(curve.pen.color())
        painter.drawEllipse(_SAMPLE[0] // 2 - 3, _SAMPLE[1] // 2 - 3, 6, 6)
    painter.end()
    return QIcon(picture)


HELD_OUT = "held-out"
# Names of the curves, by what they compare and not by their name in the literature, and their tooltips.
_PLAIN = {
    "total": ("loss", "What training minimises: the weighted sum of the others"),
    HELD_OUT: (HELD_OUT, "Error at pixels that training never sees"),
    "bsp": ("hidden pixels", "Error at pixels that were hidden from the network in this step (blind spot)"),
    "anchor": ("distance to start", "How far the result has moved from that of the initial weights (anchor)"),
    "bootstrap": (
        "simulated image",
        "Error for an image simulated from the reference result, whose truth is known (bootstrap)",
    ),
    "tv": ("total variation", "How rough the result is"),
}


class LossPlot(Plot):
    """Total loss, each term and the held-out error against the training step, on a logarithmic axis."""

    LEAST_RANGE = 0.1

    def __init__(self) -> None:
        super().__init__("training step", "loss", logarithmic=True)
        self._steps = 1
        self._series: dict[str, tuple[list[int], list[float]]] = {}
        self.ended_at: int | None = None

    @property
    def points(self) -> int:
        """How many points the loss curve has."""
        return len(self._series.get("total", ([], []))[0])

    def restart(self, steps: int) -> None:
        """Forget the last run; the axis is laid out for ``steps``."""
        self._steps, self._series, self.ended_at = max(1, steps), {}, None
        self.clear()
        if self._axes is not None:
            self._axes.setXRange(0, self._steps, padding=0.02)

    def add(self, step: int, losses: Mapping[str, float], held_out: float | None = None) -> None:
        """Add a point to each curve; a loss that has no logarithm is left out."""
        values = dict(losses) if held_out is None else {**losses, HELD_OUT: held_out}
        for name, value in values.items():
            if not (math.isfinite(value) and value > 0):
                continue
            steps, series = self._series.setdefault(name, ([], []))
            steps.append(step)
            series.append(value)
            if len(steps) > _MOST_POINTS:
                self._series[name] = (steps[::2], series[::2])
        self.refresh()

    def mark_end(self, step: int) -> None:
        """Mark the step at which training ended automatically."""
        self.ended_at = step
        self.mark(step, "stopped automatically")

    def curves(self) -> list[Curve]:
        order = ["total", HELD_OUT, *[name for name in self._series if name not in ("total", HELD_OUT)]]
        known = ["total", HELD_OUT, *LOSS_TERMS]
        found = []
        for name in (n for n in order if n in self._series):
            # The same colour in every run, whatever else is drawn.
            colour = known.index(name) if name in known else len(COLOURS) - 1
            steps, values = (np.asarray(series, float) for series in self._series[name])
            text, tip = _PLAIN.get(name) or (LOSS_TERMS[name].label if name in LOSS_TERMS else name, "")
            if name == HELD_OUT:
                found.append(Curve(text, steps, values, colour, dots=True, tip=tip))
            else:
                found.append(Curve(text, steps, values, colour, faint=True))
                found.append(Curve(text, steps, running_mean(values), colour, tip=tip))
        return found

    def _build(self) -> None:
        super()._build()
        self._axes.setXRange(0, self._steps, padding=0.02)


def running_mean(values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return the geometric mean over a tenth of the values around each, so that the trend of a loss is seen."""
    half = len(values) // 20
    sums = np.concatenate(([0.0], np.cumsum(np.log(values))))
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    means: np.ndarray = np.exp((sums[high] - sums[low]) / (high - low))
    return means
