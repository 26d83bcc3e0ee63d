"""Curves drawn by hand: axes, a legend that hides and shows, and the live loss curve on top of them.

An update costs a tenth of pyqtgraph's, and nothing is left behind when the dock closes (pyqtgraph's plots own
menus without a parent, which napari's leak check finds).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_selfdeconv.config.loss_terms import LOSS_TERMS

#: Middle shades: to be seen on napari's dark and light backgrounds alike.
COLOURS = (
    *("#4f9dff", "#e8833a", "#3fa66b", "#c15fd0", "#c9a227", "#2fb5b5", "#e0555f", "#8c8c8c"),
    *("#9a6b3f", "#e07fb0", "#7d8ce0", "#9bbf3b", "#5f8f8f"),
)
_MOST_POINTS = 600
_LEFT, _RIGHT, _TOP, _BOTTOM, _LINE = 70, 12, 8, 36, 15
_CENTRE = Qt.AlignmentFlag.AlignCenter


@dataclass(frozen=True)
class Curve:
    """One line of a plot; ``faint`` is drawn thin and pale, ``dots`` mark its points."""

    name: str
    x: np.ndarray
    y: np.ndarray
    colour: str
    faint: bool = False
    dots: bool = False


class Plot(QWidget):
    """Curves over common axes, with a legend whose entries hide and show a curve when they are clicked.

    Parameters
    ----------
    x_label, y_label : with units.
    y_text : how a tick of the y axis reads.
    height : in pixels, legend not included.
    """

    def __init__(
        self, x_label: str, y_label: str, y_text: Callable[[float], str] = "{:.3g}".format, height: int = 145
    ) -> None:
        super().__init__()
        self._x_label, self._y_label, self._y_text = x_label, y_label, y_text
        self._height = height
        self._legend: list[tuple[QRectF, str]] = []
        self.hidden_curves: set[str] = set()
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(height)
        self.setToolTip("Click a name to hide or show its curve")

    # Not abc's abstract methods: a QWidget has a metaclass of its own.
    def curves(self) -> Sequence[Curve]:
        """Return what there is to draw."""
        raise NotImplementedError

    def ranges(self, shown: Sequence[Curve]) -> tuple[float, float, float, float]:
        """Return (left, right, bottom, top) of the axes."""
        raise NotImplementedError

    def draw_marks(self, painter: QPainter, place: Callable[[float, float], QPointF], field: QRectF) -> None:
        """Draw what else there is to draw, over the curves."""

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        for box, name in self._legend:
            if event is not None and box.contains(event.position()):
                self.hidden_curves ^= {name}
                self.update()
                return
        super().mousePressEvent(event)

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        curves = self.curves()
        rows = self._lay_out_legend(painter, curves)
        field = QRectF(
            _LEFT, _TOP, max(20, self.width() - _LEFT - _RIGHT), self.height() - _TOP - _BOTTOM - rows * _LINE
        )
        shown = [c for c in curves if c.name not in self.hidden_curves and len(c.x)]
        left, right, low, high = self.ranges(shown)
        self._draw_axes(painter, field, left, right, low, high, bool(shown))

        def place(x: float, y: float) -> QPointF:
            return QPointF(
                field.left() + field.width() * (x - left) / (right - left),
                field.bottom() - field.height() * (y - low) / (high - low),
            )

        for curve in shown:
            _draw_curve(painter, curve, place)
        self.draw_marks(painter, place, field)
        self._draw_legend(painter, curves)
        painter.end()

    def _lay_out_legend(self, painter: QPainter, curves: Sequence[Curve]) -> int:
        """Place the legend's entries below the axes; return how many rows they take."""
        self._legend = []
        x, row = float(_LEFT), 0
        for name in dict.fromkeys(c.name for c in curves):
            width = painter.fontMetrics().horizontalAdvance(name) + 24.0
            if x + width > self.width() - 2 and x > _LEFT:
                x, row = float(_LEFT), row + 1
            self._legend.append((QRectF(x, row, width, _LINE), name))
            x += width
        rows = row + 1 if self._legend else 0
        wanted = self._height + rows * _LINE
        if wanted != self.height():
            self.setFixedHeight(wanted)
        top = self.height() - rows * _LINE - 2
        self._legend = [(QRectF(b.x(), top + b.y() * _LINE, b.width(), _LINE), n) for b, n in self._legend]
        return rows

    def _draw_legend(self, painter: QPainter, curves: Sequence[Curve]) -> None:
        colours = {c.name: c.colour for c in curves}
        for box, name in self._legend:
            painter.setOpacity(0.35 if name in self.hidden_curves else 1.0)
            painter.setPen(QPen(QColor(colours[name]), 3.0))
            middle = box.center().y()
            painter.drawLine(QPointF(box.left(), middle), QPointF(box.left() + 12, middle))
            painter.setPen(self.palette().color(self.foregroundRole()))
            left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(box.adjusted(16, 0, 0, 0), left, name)
        painter.setOpacity(1.0)

    def _draw_axes(
        self, painter: QPainter, field: QRectF, left: float, right: float, low: float, high: float, numbers: bool
    ) -> None:
        # The theme's text colour, as napari's style sheet left it in the palette.
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawLine(field.bottomLeft(), field.bottomRight())
        painter.drawLine(field.bottomLeft(), field.topLeft())
        for value in round_values(left, right, 5):
            x = field.left() + field.width() * (value - left) / (right - left)
            painter.drawLine(QPointF(x, field.bottom()), QPointF(x, field.bottom() + 3))
            painter.drawText(QRectF(x - 40, field.bottom() + 3, 80, 15), _CENTRE, f"{value:g}")
        to_the_right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if numbers:
            for value in np.linspace(low, high, 4):
                y = field.bottom() - field.height() * (value - low) / (high - low)
                painter.drawLine(QPointF(field.left() - 3, y), QPointF(field.left(), y))
                box = QRectF(14, y - 8, field.left() - 20, 16)
                painter.drawText(box, to_the_right, self._y_text(float(value)))
        painter.drawText(QRectF(field.left(), field.bottom() + 17, field.width(), 16), _CENTRE, self._x_label)
        painter.translate(0, field.center().y())
        painter.rotate(-90)
        painter.drawText(QRectF(-60, 0, 120, 15), _CENTRE, self._y_label)
        painter.resetTransform()


def _draw_curve(painter: QPainter, curve: Curve, place: Callable[[float, float], QPointF]) -> None:
    colour = QColor(curve.colour)
    if curve.faint:
        colour.setAlphaF(0.35)
    painter.setPen(QPen(colour, 1.0 if curve.faint else 2.0))
    points = [place(x, y) for x, y in zip(curve.x, curve.y, strict=True)]
    painter.drawPolyline(QPolygonF(points))
    if curve.dots:
        painter.setBrush(colour)
        for point in points:
            painter.drawEllipse(point, 2.5, 2.5)
        painter.setBrush(Qt.BrushStyle.NoBrush)


HELD_OUT = "held-out"
# What a term is called here: said by what it compares, not by its name in the literature.
_PLAIN_LABELS = {
    "total": "loss",
    "bsp": "hidden pixels",
    "anchor": "distance to start",
    "bootstrap": "simulated image",
}
_MEANINGS = (
    "loss: what training makes small, the sum of the others",
    "held-out: error at pixels that training never sees",
    "hidden pixels: error at pixels that were hidden from the network in this step (blind spot)",
    "total variation: how rough the result is",
    "simulated image: error for an image made of the first result, whose truth is known (bootstrap)",
    "distance to start: how far the result has moved from that of the initial weights (anchor)",
    "Click a name to hide or show its curve.",
)


class LossPlot(Plot):
    """Total loss, each term and the held-out error against the training step, on a logarithmic axis."""

    def __init__(self) -> None:
        super().__init__("training step", "loss", lambda logarithm: f"{10.0**logarithm:.2g}")
        self.setToolTip("\n".join(_MEANINGS))
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
        self.update()

    def add(self, step: int, losses: Mapping[str, float], held_out: float | None = None) -> None:
        """Add a point to each curve; a loss that has no logarithm is left out."""
        values = dict(losses) if held_out is None else {**losses, HELD_OUT: held_out}
        for name, value in values.items():
            if not (math.isfinite(value) and value > 0):
                continue
            steps, logarithms = self._series.setdefault(name, ([], []))
            steps.append(step)
            logarithms.append(math.log10(value))
            if len(steps) > _MOST_POINTS:
                self._series[name] = (steps[::2], logarithms[::2])
        self.update()

    def mark_end(self, step: int) -> None:
        """Mark the step at which training ended by itself."""
        self.ended_at = step
        self.update()

    def curves(self) -> list[Curve]:
        order = ["total", HELD_OUT, *[name for name in self._series if name not in ("total", HELD_OUT)]]
        found = []
        for name in (n for n in order if n in self._series):
            colour = _colour(name)
            steps, logarithms = (np.asarray(values, float) for values in self._series[name])
            text = _PLAIN_LABELS.get(name) or (LOSS_TERMS[name].label if name in LOSS_TERMS else name)
            if name == HELD_OUT:
                found.append(Curve(text, steps, logarithms, colour, dots=True))
            else:
                found.append(Curve(text, steps, logarithms, colour, faint=True))
                found.append(Curve(text, steps, running_mean(list(logarithms)), colour))
        return found

    def ranges(self, shown: Sequence[Curve]) -> tuple[float, float, float, float]:
        return (0.0, float(self._steps), *loss_range([value for curve in shown for value in curve.y]))

    def draw_marks(self, painter: QPainter, place: Callable[[float, float], QPointF], field: QRectF) -> None:
        if self.ended_at is None:
            return
        x = place(self.ended_at, 0.0).x()
        painter.setPen(QPen(self.palette().color(self.foregroundRole()), 1.0, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(x, field.top()), QPointF(x, field.bottom()))
        text = QRectF(x - 128, field.top(), 124, 15)
        painter.drawText(text, Qt.AlignmentFlag.AlignRight, "stopped by itself")


def _colour(name: str) -> str:
    """Return the colour of a curve: the same one in every run, whatever else is drawn."""
    known = ["total", HELD_OUT, *LOSS_TERMS]
    return COLOURS[known.index(name) % len(COLOURS)] if name in known else COLOURS[-1]


def loss_range(logarithms: Sequence[float]) -> tuple[float, float]:
    """Return the ends of the loss axis: all values fit, and a flat curve is not blown up to noise."""
    if not len(logarithms):
        return -1.0, 0.0
    low, high = min(logarithms), max(logarithms)
    margin = max(0.05 * (high - low), 0.02)
    return low - margin, high + margin


def round_values(low: float, high: float, most: int) -> list[float]:
    """Return at most ``most`` + 1 round numbers from ``low`` to ``high``, evenly spaced."""
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    spacing = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    return [spacing * i for i in range(math.ceil(low / spacing), math.floor(high / spacing + 1e-9) + 1)]


def running_mean(values: Sequence[float]) -> np.ndarray:
    """Return the mean over a tenth of the values around each, so that the trend of a noisy loss is seen."""
    half = len(values) // 20
    sums = np.concatenate(([0.0], np.cumsum(values)))
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    means: np.ndarray = (sums[high] - sums[low]) / (high - low)
    return means
