"""Lines and words over the canvas: the line of before/after, the frame of a preview, the names of tiles.

Qt draws them, because some OpenGL drivers crash after napari has removed one of its own overlays.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import QEvent, QLineF, QObject, QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QImage, QPaintDevice, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget

from napari_selfdeconv._gui.layers.exchange import SWIPE, role

#: Seen on dark and on bright images.
ACCENT = "#e8833a"
_SHADE = QColor(0, 0, 0, 140)
_GRIP = 8.0


class Sheet(QWidget):
    """A transparent sheet over the canvas of a viewer; the mouse goes through it.

    Parameters
    ----------
    viewer : whose canvas it covers.
    paint : draws on it, in pixels of the canvas; called whenever the scene has moved.
    in_screenshots : whether napari's screenshots of the canvas show it; one sheet at a time.
    """

    def __init__(
        self, viewer: Any, paint: Callable[[QPainter, QRectF], None], *, in_screenshots: bool = False
    ) -> None:
        canvas = viewer.window._qt_window.findChild(QOpenGLWidget)
        super().__init__(canvas)
        self._viewer, self._paint, self._canvas = viewer, paint, canvas
        self._in_screenshots = in_screenshots
        if in_screenshots:
            # napari has no event before a screenshot, and this method of its canvas takes it.
            canvas.grabFramebuffer = self._grab
        self._there = True
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.resize(canvas.size())
        canvas.installEventFilter(self)
        # A run may outlive the window that it was started from.
        canvas.destroyed.connect(self._leave)
        for event in self._events():
            event.connect(self._soon)
        self.show()

    def take_away(self) -> None:
        """Remove the sheet, if it did not go with the window."""
        if self._there:
            self._leave()
            if self._in_screenshots:
                del self._canvas.grabFramebuffer
            self._canvas.removeEventFilter(self)
            self.hide()
            self.deleteLater()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        if event is not None and event.type() == QEvent.Type.Resize:
            self.resize(self._canvas.size())
        return bool(super().eventFilter(watched, event))

    def paintEvent(self, _event: QPaintEvent | None) -> None:
        self._paint_on(self, QRectF(self.rect()))

    def _grab(self) -> QImage:
        """Return the picture of the canvas with this sheet over it."""
        picture = QOpenGLWidget.grabFramebuffer(self._canvas)
        self._paint_on(picture, QRectF(QPointF(), picture.deviceIndependentSize()))
        return picture

    def _paint_on(self, device: QPaintDevice, canvas: QRectF) -> None:
        painter = QPainter(device)
        try:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            self._paint(painter, canvas)
        finally:
            # A painter that is still active makes Qt crash when it paints the window.
            painter.end()

    def _events(self) -> list[Any]:
        camera, dims = self._viewer.scene.camera.events, self._viewer.dims.events
        return [camera.zoom, camera.center, camera.angles, dims.ndisplay, dims.order, dims.current_step]

    def _leave(self) -> None:
        if self._there:
            self._there = False
            for event in self._events():
                event.disconnect(self._soon)

    def _soon(self, _event: Any = None) -> None:
        self.update()


def draw_line(painter: QPainter, canvas: QRectF, share: float, *, grip: bool) -> None:
    """Draw an upright line at ``share`` of the canvas's width, with a ``grip`` if it can be dragged."""
    if not 0 < share < 1:
        return
    # The middle of a column of pixels, so that the line is sharp.
    x, middle = int(canvas.width() * share) + 0.5, canvas.center().y()
    for colour, width in ((_SHADE, 3.0), (QColor("white"), 1.0)):
        painter.setPen(QPen(colour, width))
        painter.drawLine(QLineF(x, 0, x, canvas.height()))
    if not grip:
        return
    painter.setPen(QPen(_SHADE, 1.0))
    painter.setBrush(QColor("white"))
    painter.drawEllipse(QPointF(x, middle), _GRIP, _GRIP)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor("black"))
    for side in (-1, 1):
        tip, base = x + side * 0.7 * _GRIP, x + side * 0.2 * _GRIP
        corners = (QPointF(tip, middle), QPointF(base, middle - 3.5), QPointF(base, middle + 3.5))
        painter.drawPolygon(QPolygonF(corners))


def draw_frame(painter: QPainter, canvas: QRectF, viewer: Any, layer: Image, word: str) -> None:
    """Draw a thin line around what is seen of ``layer``, in 3D along the edges of its box, and ``word`` in it."""
    corners = _corners(viewer, layer)
    if corners is None or not layer.visible or viewer.canvas.grid.enabled or _is_covered(viewer, layer):
        return
    painter.setPen(QPen(QColor(ACCENT), 1.2))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    if viewer.dims.ndisplay > corners.shape[1]:
        # A plane lies at z = 0 in 3D.
        corners = np.pad(corners, ((0, 0), (1, 0)))
    points = _on_canvas(viewer, canvas, corners)
    around = QRectF(QPointF(*points.min(0)), QPointF(*points.max(0)))
    inside = canvas.adjusted(1, 1, -1, -1)
    if viewer.dims.ndisplay == 2:
        # A frame that lies outside is drawn along the border of the canvas.
        around = around.intersected(inside)
        painter.drawRect(around)
    else:
        for i, j in _box_edges(len(points)):
            painter.drawLine(QLineF(*points[i], *points[j]))
    around = around.intersected(inside)
    if not around.isEmpty():
        draw_word(painter, around, word, QColor(ACCENT))


def _is_covered(viewer: Any, layer: Image) -> bool:
    """Whether another image lies above ``layer`` and hides it."""
    above = list(viewer.layers)[viewer.layers.index(layer) + 1 :]
    return any(isinstance(other, Image) and other.visible and role(other) != SWIPE for other in above)


def draw_word(painter: QPainter, around: QRectF, word: str, colour: QColor) -> None:
    """Draw ``word`` on a shade in the upper left corner of ``around``."""
    size = painter.fontMetrics().size(0, word)
    box = QRectF(around.left() + 3, around.top() + 3, size.width() + 8, size.height() + 2)
    painter.fillRect(box, _SHADE)
    painter.setPen(colour)
    painter.drawText(box, Qt.AlignmentFlag.AlignCenter, word)


def _corners(viewer: Any, layer: Image) -> np.ndarray | None:
    """Return the corners of ``layer`` in the axes that are displayed; None if no part is in view."""
    shape = np.array(layer.data.shape[: layer.ndim])
    displayed = [axis - (viewer.dims.ndim - layer.ndim) for axis in viewer.dims.displayed]
    here = np.asarray(layer.world_to_data(viewer.dims.point), float)
    hidden = [axis for axis in range(layer.ndim) if axis not in displayed]
    if min(displayed) < 0 or any(not -0.5 <= here[axis] < shape[axis] - 0.5 for axis in hidden):
        return None
    found = []
    for ends in product((0, 1), repeat=len(displayed)):
        point = here.copy()
        point[displayed] = np.array(ends) * shape[displayed] - 0.5
        found.append(np.asarray(layer.data_to_world(point))[displayed])
    return np.array(found)


def _box_edges(corners: int) -> list[tuple[int, int]]:
    """Return the pairs of corners, counted in binary, that an edge of a box or a rectangle joins.

    Examples
    --------
    >>> len(_box_edges(8)), _box_edges(4)
    (12, [(0, 1), (0, 2), (1, 3), (2, 3)])
    """
    return [(i, i | bit) for i in range(corners) for bit in (1, 2, 4) if not i & bit and i | bit < corners]


def _on_canvas(viewer: Any, canvas: QRectF, points: np.ndarray) -> np.ndarray:
    """Return where world ``points`` (in the axes displayed) lie on the canvas, x and y in pixels."""
    camera = viewer.scene.camera
    from_centre = points - np.asarray(camera.center)[-points.shape[1] :]
    if points.shape[1] == 2:
        down, right = np.array([1.0, 0.0]), np.array([0.0, 1.0])
        vertical, horizontal = camera.orientation2d
        down, right = (down if vertical == "down" else -down), (right if horizontal == "right" else -right)
    else:
        down = -np.asarray(camera.up_direction)
        right = np.cross(camera.view_direction, camera.up_direction)
    # From pixels of napari's canvas to those of the widget.
    pixel = camera.zoom * canvas.height() / viewer.canvas.size[0]
    centre = np.array([canvas.center().x(), canvas.center().y()])
    return np.asarray(centre + pixel * np.stack([from_centre @ right, from_centre @ down], axis=1))
