"""What the preview covers, that it is framed, and that no preview of another view is shown."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QEvent, QPoint, QRectF
from qtpy.QtGui import QPainter
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QApplication, QWidget

from napari_selfdeconv._gui.layers.exchange import looked_at, snapshot
from napari_selfdeconv._gui.layers.preview import PreviewLayers
from napari_selfdeconv._gui.layers.sheet import Sheet
from napari_selfdeconv.events import Preview

PREVIEW = "spots [preview]"


@pytest.fixture
def dock(open_dock: Callable[..., Any], qtbot: Any) -> Any:
    """The main dock, shown, on a grey stack of 40 planes of 300 x 400 voxels, with a run's preview begun."""
    image = np.full((40, 300, 400), 100, np.float32)
    made = open_dock(image=image, show=True, scale=(0.3, 0.1, 0.1), units=("um",) * 3)
    viewer = made.viewer
    viewer.layers["spots"].contrast_limits = (0, 255)
    viewer.dims.set_current_step(0, 20)
    viewer.window._qt_window.resize(1280, 800)
    qtbot.wait(100)
    viewer.fit_to_view()
    qtbot.wait(50)
    made.preview_panel.start(viewer.layers["spots"], snapshot(viewer.layers["spots"]))
    yield made
    made.preview_panel.stop()


def show(dock: Any, qtbot: Any) -> Any:
    """Send the preview of what is asked for, as a run does."""
    region = dock.preview_panel.region()
    grey = np.full([part.stop - part.start for part in region], 50, np.float32)
    grey[..., ::2] = 60
    dock.preview_panel.show_preview(Preview(step=1, image=grey, offset=tuple(part.start for part in region)))
    qtbot.waitUntil(lambda: PREVIEW in dock.viewer.layers and dock.viewer.layers[PREVIEW].visible)
    return dock.viewer.layers[PREVIEW]


@pytest.mark.canvas
def test_it_covers_the_plane_in_view_and_few_planes_around_it(dock: Any, qtbot: Any) -> None:
    image = dock.viewer.layers["spots"]
    assert looked_at(dock.viewer, image) == (slice(16, 24), slice(0, 300), slice(0, 400))
    assert show(dock, qtbot).data.shape == (8, 300, 400)
    dock.viewer.dims.ndisplay = 3
    assert dock.preview_panel.region() == (slice(0, 40), slice(0, 300), slice(0, 400))


def orange(viewer: Any) -> np.ndarray:
    """Where on the canvas the window is orange, as the frame is."""
    canvas = viewer.window._qt_window.findChild(QOpenGLWidget)
    window = viewer.window.screenshot(canvas_only=False, flash=False).astype(int)
    corner = canvas.mapTo(viewer.window._qt_window, QPoint(0, 0))
    seen = window[corner.y() : corner.y() + canvas.height(), corner.x() : corner.x() + canvas.width()]
    found: np.ndarray = seen[..., 0] - seen[..., 2] > 60
    return found


@pytest.mark.canvas
@pytest.mark.parametrize("ndisplay", [2, 3])
def test_it_is_framed_and_named(dock: Any, qtbot: Any, ndisplay: int) -> None:
    viewer = dock.viewer
    viewer.dims.ndisplay = ndisplay
    viewer.fit_to_view()
    preview = show(dock, qtbot)
    viewer.scene.camera.zoom *= 0.7
    qtbot.wait(50)
    frame = orange(viewer)
    height, width = frame.shape
    high, wide = (viewer.scene.camera.zoom * n * 0.1 / 2 for n in (300, 400))
    rows, columns = np.flatnonzero(frame.mean(1) > 0.3), np.flatnonzero(frame.mean(0) > 0.3)
    assert rows[[0, -1]] == pytest.approx([height / 2 - high, height / 2 + high], abs=3)
    assert columns[[0, -1]] == pytest.approx([width / 2 - wide, width / 2 + wide], abs=3)
    assert len(rows) + len(columns) <= 12  # thin lines
    # The word stands in the corner.
    left, top = columns[0] + 4, rows[0] + 4
    assert frame[top : top + 25, left : left + 90].sum() > 40
    assert preview.name == PREVIEW
    dock.preview_panel._layers.blank()
    qtbot.wait(20)
    assert not orange(viewer).any()


@pytest.mark.canvas
def test_the_preview_of_a_plane_is_framed_in_3d(make_napari_viewer: Any, qtbot: Any) -> None:
    viewer = make_napari_viewer(show=True)
    image = viewer.add_image(np.zeros((300, 400)), scale=(0.1, 0.1), units=("um", "um"))
    layers = PreviewLayers(viewer, snapshot(image))
    preview = Preview(step=1, image=np.zeros((200, 300), np.float32), offset=(50, 50))
    viewer.dims.ndisplay = 3
    viewer.fit_to_view()
    for update in layers.updates(preview, reblurred=False, residual=False):
        update()
    qtbot.wait(50)
    frame = orange(viewer)
    rows, columns = np.flatnonzero(frame.mean(1) > 0.2), np.flatnonzero(frame.mean(0) > 0.2)
    for found, size, n in ((rows, frame.shape[0], 200), (columns, frame.shape[1], 300)):
        half = viewer.scene.camera.zoom * n * 0.1 / 2
        assert found[[0, -1]] == pytest.approx([size / 2 - half, size / 2 + half], abs=3)
    layers.remove()


def test_a_picture_that_cannot_be_drawn_does_not_leave_qt_painting(make_napari_viewer: Any, qtbot: Any) -> None:
    def fail(painter: QPainter, _canvas: QRectF) -> None:
        painters.append(painter)
        raise ValueError("no picture")

    painters: list[QPainter] = []
    sheet = Sheet(make_napari_viewer(), fail)
    with pytest.raises(ValueError, match="no picture"):
        sheet.paintEvent(None)
    assert not painters[0].isActive()
    sheet.take_away()


@pytest.mark.canvas
def test_a_preview_larger_than_the_canvas_is_framed_along_its_border(dock: Any, qtbot: Any) -> None:
    viewer = dock.viewer
    show(dock, qtbot)
    viewer.scene.camera.zoom *= 4
    qtbot.wait(50)
    frame = orange(viewer)
    assert frame[:3].mean() > 0.2
    assert frame[:, -3:].mean() > 0.2
    other = viewer.add_image(np.zeros((40, 300, 400), np.float32), scale=(0.3, 0.1, 0.1), units=("um",) * 3)
    qtbot.wait(50)
    assert not orange(viewer).any()  # it is not the preview that is seen
    other.visible = False
    viewer.dims.set_current_step(0, 2)  # not one of the planes that it shows
    qtbot.wait(50)
    assert not orange(viewer).any()


@pytest.mark.canvas
def test_a_preview_of_another_view_is_not_shown(dock: Any, qtbot: Any) -> None:
    viewer, panel = dock.viewer, dock.preview_panel
    preview = show(dock, qtbot)
    on_its_way = Preview(step=2, image=np.ones((8, 9, 9), np.float32), offset=(16, 0, 0))
    viewer.dims.ndisplay = 3
    assert not preview.visible
    panel.show_preview(on_its_way)
    qtbot.wait(150)
    assert not preview.visible
    assert show(dock, qtbot) is preview
    assert preview.data.shape == (40, 300, 400)


def test_a_frame_that_outlives_the_window_ends_quietly(qtbot: Any) -> None:
    model, window = ViewerModel(), QWidget()
    qtbot.addWidget(window)
    canvas = QOpenGLWidget(window)
    viewer = SimpleNamespace(window=SimpleNamespace(_qt_window=window), scene=model.scene, dims=model.dims)
    gone, stays = (Sheet(viewer, lambda *_: None) for _ in range(2))
    gone.take_away()
    gone.take_away()
    canvas.deleteLater()
    QApplication.sendPostedEvents(canvas, QEvent.Type.DeferredDelete)
    model.scene.camera.zoom = 3.0
    stays.take_away()
