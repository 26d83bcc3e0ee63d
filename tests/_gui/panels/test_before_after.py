"""Before and after: image and result on either side of a line, in 2D, in 3D, and while a network trains."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QApplication

from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.layers.exchange import SWIPE, add_result, role, snapshot
from napari_selfdeconv._gui.layers.preview import PreviewLayer

DARK, BRIGHT = 60, 200


@pytest.fixture
def dock(open_dock: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
    """The main dock on a stack of one dark grey, with a result of one bright grey."""
    placed = dict(scale=(0.4, 0.2, 0.1), units=("um",) * 3, translate=(1.0, 2.0, 3.0))
    seen = request.node.get_closest_marker("canvas") is not None
    made = open_dock(image=np.full((16, 32, 64), DARK, np.float32), show=seen, **placed)
    made.viewer.layers["spots"].contrast_limits = (0, 255)
    add(made, "RL 2")
    made.viewer.fit_to_view()
    return made


def add(dock: Any, tag: str) -> Any:
    image = dock.viewer.layers["spots"]
    bright = np.full(image.data.shape, BRIGHT, np.float32)
    layer = add_result(dock.viewer, snapshot(image), bright, tag, {})
    layer.contrast_limits = (0, 255)
    return layer


def state(viewer: Any) -> list[Any]:
    return [
        (layer.name, layer.visible, len(getattr(layer, "experimental_clipping_planes", ())))
        for layer in viewer.layers
    ]


def middle_row(dock: Any) -> np.ndarray:
    QApplication.processEvents()
    picture = dock.viewer.screenshot(canvas_only=True, flash=False)
    return picture[picture.shape[0] // 2, :, 1].astype(float)


def border(dock: Any) -> tuple[float, bool]:
    """Where on the canvas, from 0 to 1, dark turns into bright, and whether it does so once."""
    row = middle_row(dock)
    bright = np.flatnonzero(np.abs(row - BRIGHT) < 20)
    dark = np.flatnonzero(np.abs(row - DARK) < 20)
    return bright[0] / row.size, bool(dark[-1] < bright[0] + 4)


def drawn_line(dock: Any) -> float | None:
    """Where in the window, as a share of the canvas, a white line goes from top to bottom; None without one."""
    window = dock.viewer.window._qt_window
    canvas = window.findChild(QOpenGLWidget)
    corner = canvas.mapTo(window, QPoint(0, 0))
    picture = dock.viewer.window.screenshot(canvas_only=False, flash=False)
    seen = picture[corner.y() : corner.y() + canvas.height(), corner.x() : corner.x() + canvas.width(), :3]
    lines = np.flatnonzero((seen.min(-1) > 225).mean(0) > 0.8)
    return float(lines.mean() + 0.5) / seen.shape[1] if lines.size and np.ptp(lines) < 3 else None


@pytest.mark.canvas
@pytest.mark.parametrize("view", ["plane", "xz", "3D", "3D turned"])
def test_the_image_lies_left_of_the_line_and_the_result_right_of_it(dock: Any, qtbot: Any, view: str) -> None:
    viewer, panel = dock.viewer, dock.before_after
    before = state(viewer)
    viewer.dims.order = (1, 0, 2) if view == "xz" else (0, 1, 2)
    viewer.dims.ndisplay = 3 if view.startswith("3D") else 2
    viewer.fit_to_view()
    viewer.scene.camera.angles = (10, 20, 40) if view == "3D turned" else viewer.scene.camera.angles
    panel.button.click()
    for share in (0.5, 0.3):
        panel.slider.setValue(round(1000 * share))
        assert border(dock) == (pytest.approx(share, abs=0.03), True)
        assert drawn_line(dock) == pytest.approx(share, abs=0.005)
    # It stays where it is on the screen.
    viewer.scene.camera.zoom *= 2
    qtbot.wait(60)
    assert border(dock)[0] == pytest.approx(0.3, abs=0.03)
    panel.button.click()
    assert state(viewer) == before
    assert drawn_line(dock) is None


@pytest.mark.canvas
def test_held_down_the_button_shows_the_image_alone(dock: Any, qtbot: Any) -> None:
    panel = dock.before_after
    panel.button.click()
    curtain = next(layer for layer in dock.viewer.layers if role(layer) == SWIPE)
    assert np.shares_memory(curtain.data, dock.viewer.layers["spots"].data)
    qtbot.mousePress(panel.blink, Qt.MouseButton.LeftButton)
    assert not (np.abs(middle_row(dock) - BRIGHT) < 20).any()
    qtbot.mouseRelease(panel.blink, Qt.MouseButton.LeftButton)
    assert border(dock) == (pytest.approx(0.5, abs=0.03), True)


def test_the_line_is_dragged(dock: Any) -> None:
    viewer, panel = dock.viewer, dock.before_after
    panel.button.click()
    (drag,) = viewer.mouse_drag_callbacks[-1:]
    width = viewer.canvas.viewbox_size(viewer.layers)[1] / viewer.scene.camera.zoom
    centre = viewer.scene.camera.center[-1]
    event = SimpleNamespace(type="mouse_press", position=(0, 0, centre))
    steps = drag(viewer, event)
    next(steps)
    assert not viewer.scene.camera.mouse_pan
    event.type, event.position = "mouse_move", (0, 0, centre + width / 4)
    next(steps)
    assert panel.slider.value() == pytest.approx(750, abs=2)
    event.type = "mouse_release"
    assert list(steps) == []
    assert viewer.scene.camera.mouse_pan
    # Away from the line the mouse moves the image as always.
    assert list(drag(viewer, SimpleNamespace(type="mouse_press", position=(0, 0, centre)))) == []


def test_the_preview_is_taken_while_there_is_one_and_then_the_result(dock: Any, qtbot: Any) -> None:
    viewer, panel = dock.viewer, dock.before_after
    image = viewer.layers["spots"]
    preview = PreviewLayer(viewer, snapshot(image))
    preview.show(np.zeros((4, 8, 8), np.float32), (0, 0, 0))
    panel.button.click()
    assert panel.swipe.after is preview.layer
    assert image.visible  # the preview may be but a part of it
    result = add(dock, "deconvolved")
    assert not result.visible  # it would lie over the line
    preview.remove()
    viewer.layers.selection = {result}
    qtbot.waitUntil(lambda: panel.swipe.after is result)
    assert result.visible
    viewer.layers.remove(image)
    qtbot.waitUntil(lambda: not panel.swipe.active)
    assert not panel.button.isChecked()
    assert not [layer for layer in viewer.layers if role(layer) == SWIPE]


def test_one_arrangement_at_a_time(dock: Any) -> None:
    viewer, panel = dock.viewer, dock.before_after
    before = state(viewer)
    compare = open_compare(viewer, viewer.layers["spots"])
    panel.button.click()
    compare.before_after.button.click()
    assert (panel.button.isChecked(), compare.before_after.button.isChecked()) == (False, True)
    dock.compare.side_button.click()
    assert not compare.before_after.button.isChecked()
    assert dock.compare.side_button.text() == "Back to one view"
    panel.button.click()
    assert dock.compare.side_button.text() == "Side by side"
    assert not viewer.canvas.grid.enabled
    viewer.window.remove_dock_widget(dock)
    QApplication.processEvents()
    assert state(viewer) == before


def test_an_image_in_memory_does_not_wait_for_dask(dock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its import takes half a second, in which the window stands still."""
    monkeypatch.setitem(sys.modules, "dask.array", None)
    dock.before_after.button.click()
    (curtain,) = (layer for layer in dock.viewer.layers if role(layer) == SWIPE)
    assert np.shares_memory(curtain.data, dock.viewer.layers["spots"].data)
    dock.before_after.button.click()


def test_there_is_nothing_to_press_without_a_result(open_dock: Callable[..., Any]) -> None:
    panel = open_dock().before_after
    assert not panel.button.isEnabled()
    assert not panel.slider.isEnabled()
