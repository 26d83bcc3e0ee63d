"""The live loss curve.

Drawn by hand: an update costs a tenth of pyqtgraph's, and nothing is left behind when the dock closes
(pyqtgraph's plots own menus without a parent, which napari's leak check finds).
"""

from __future__ import annotations

import math

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

_MOST_POINTS = 2000
_LINE = "#4f9dff"  # to be seen on napari's dark and light backgrounds alike
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 8, 36


class LossPlot(QWidget):
    """Total loss against the training step, with a logarithmic loss axis and the running mean."""

    def __init__(self) -> None:
        super().__init__()
        self.setFixedHeight(145)
        self._planned = 1
        self._steps: list[int] = []
        self._logarithms: list[float] = []

    @property
    def points(self) -> int:
        return len(self._steps)

    def restart(self, steps: int) -> None:
        """Forget the last run; the axis is laid out for ``steps``."""
        self._planned, self._steps, self._logarithms = max(1, steps), [], []
        self.update()

    def add(self, step: int, loss: float) -> None:
        """Add a point; a loss that has no logarithm is left out."""
        if not (math.isfinite(loss) and loss > 0):
            return
        self._steps.append(step)
        self._logarithms.append(math.log10(loss))
        if len(self._steps) > _MOST_POINTS:
            self._steps, self._logarithms = self._steps[::2], self._logarithms[::2]
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        field = QRectF(_LEFT, _TOP, self.width() - _LEFT - _RIGHT, self.height() - _TOP - _BOTTOM)
        low, high = loss_range(self._logarithms)
        self._draw_axes(painter, field, low, high)
        if self._steps:
            x = field.left() + field.width() * np.asarray(self._steps) / self._planned
            faint = QColor(_LINE)
            faint.setAlphaF(0.35)
            pens = (QPen(faint, 1.0), QPen(QColor(_LINE), 2.0))
            for values, pen in zip((self._logarithms, running_mean(self._logarithms)), pens, strict=True):
                y = field.bottom() - field.height() * (np.asarray(values) - low) / (high - low)
                painter.setPen(pen)
                painter.drawPolyline(QPolygonF([QPointF(*point) for point in zip(x, y, strict=True)]))
        painter.end()

    def _draw_axes(self, painter: QPainter, field: QRectF, low: float, high: float) -> None:
        # The theme's text colour, as napari's style sheet left it in the palette.
        painter.setPen(self.palette().color(self.foregroundRole()))
        painter.drawLine(field.bottomLeft(), field.bottomRight())
        painter.drawLine(field.bottomLeft(), field.topLeft())
        centre = Qt.AlignmentFlag.AlignCenter
        for step in round_values(0, self._planned, 5):
            x = field.left() + field.width() * step / self._planned
            painter.drawLine(QPointF(x, field.bottom()), QPointF(x, field.bottom() + 3))
            painter.drawText(QRectF(x - 40, field.bottom() + 3, 80, 15), centre, f"{step:g}")
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if self._steps:
            for value in np.linspace(low, high, 4):
                y = field.bottom() - field.height() * (value - low) / (high - low)
                painter.drawLine(QPointF(field.left() - 3, y), QPointF(field.left(), y))
                painter.drawText(QRectF(14, y - 8, field.left() - 20, 16), right, f"{10.0**value:.2g}")
        painter.drawText(QRectF(field.left(), self.height() - 18, field.width(), 16), centre, "training step")
        painter.translate(0, field.center().y())
        painter.rotate(-90)
        painter.drawText(QRectF(-40, 0, 80, 15), centre, "loss")
        painter.resetTransform()


def loss_range(logarithms: list[float]) -> tuple[float, float]:
    """Return the ends of the loss axis: all values fit, and a flat curve is not blown up to noise."""
    if not logarithms:
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


def running_mean(values: list[float]) -> np.ndarray:
    """Return the mean over a tenth of the values around each, so that the trend of a noisy loss is seen."""
    half = len(values) // 20
    sums = np.concatenate(([0.0], np.cumsum(values)))
    index = np.arange(len(values))
    low, high = np.maximum(index - half, 0), np.minimum(index + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)
