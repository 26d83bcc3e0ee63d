"""The section 'Camera and pixels': it says and shows what was found, and what is chosen reaches the runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt

from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY
from napari_selfdeconv._gui.panels.camera import CameraPanel


def recorded() -> np.ndarray:
    """Photons on an offset of 100, with a dead column and a saturated spot."""
    random = np.random.default_rng(0)
    light = np.linspace(5, 400, 64) * np.ones((64, 1))
    image = (random.poisson(light) + random.normal(100, 2, light.shape)).astype(np.float32)
    image[20:26, 40:46] = image.max() + 50
    image[:, 7] = 0
    return image


@pytest.fixture
def looked(open_dock: Callable[..., Any], qtbot: Any) -> Any:
    """The main dock with its section open, when it has looked at the image."""
    dock = open_dock(image=recorded(), show=True)
    dock.sections["camera"].unfold()
    panel = dock.camera_panel
    qtbot.waitUntil(lambda: panel.report_note.text() != "", timeout=20_000)
    return dock


def test_pixels_are_counted_and_shown_as_a_layer(looked: Any) -> None:
    panel = looked.camera_panel
    assert re.search(r"3\d saturated", panel.count_note.text())
    assert "64 in dead rows or columns" in panel.count_note.text()
    (background,) = re.findall(r"[Bb]ackground ([\d.]+)", panel.report_note.text())
    assert float(background) == pytest.approx(100, abs=15)
    assert "photons a pixel in the mean" in panel.report_note.text()
    panel.show_button.click()
    layer = looked.viewer.layers["spots [no measurement]"]
    image = looked.image_box.layer
    assert layer.scale == pytest.approx(image.scale)
    kinds = layer.metadata[METADATA_KEY]["kinds"]
    assert np.count_nonzero(layer.data == 1 + kinds.index("in dead rows or columns")) == 64
    assert panel.labels_box.layer is layer


def test_grey_levels_are_counted_and_the_background_is_marked(looked: Any) -> None:
    plot = looked.camera_panel.histogram
    assert plot.isVisible()
    measured, apart = plot.curves()
    assert (measured.name, apart.name) == ("measured", "no measurement")
    # Each bin is drawn by two points; an empty one lies below the axis.
    assert measured.y[::2][measured.y[::2] >= 1].sum() + apart.y[::2][apart.y[::2] >= 1].sum() == 64 * 64
    assert apart.y[0] >= 64  # the dead column is black
    assert apart.y[-1] >= 30  # the saturated spot is the brightest
    (mark,) = [line for (text, _), line in plot._lines.items() if text == "background"]
    assert 90 < mark.value() < 130
    assert mark.pen.isCosmetic()  # as wide on any axis


def test_what_is_known_of_the_camera_is_taken(looked: Any, qtbot: Any) -> None:
    panel = looked.camera_panel
    assert panel.camera() == {}
    assert panel.numbers["gain"].text() == "auto"
    before = panel.report_note.text()
    panel.numbers["gain"].setValue(2.0)
    panel.background.setCurrentIndex(1)
    assert panel.camera() == {"gain": 2.0, "background": "varying"}
    qtbot.waitUntil(lambda: panel.report_note.text() != before, timeout=20_000)
    assert "2 a photon" in panel.report_note.text()


@pytest.mark.parametrize("typed", ["0", "-3.5", "100"])
def test_any_offset_can_be_typed_and_an_empty_field_is_estimated(qtbot: Any, typed: str) -> None:
    panel = CameraPanel(ViewerModel())
    qtbot.addWidget(panel)
    box = panel.numbers["offset"]

    def type_in(text: str) -> None:
        box.selectAll()
        qtbot.keyClick(box, Qt.Key.Key_Delete)
        qtbot.keyClicks(box, text)
        qtbot.keyClick(box, Qt.Key.Key_Return)

    assert (box.text(), panel.camera()) == ("auto", {})
    type_in(typed)
    assert (box.text(), panel.camera()) == (typed, {"offset": float(typed)})
    type_in("")
    assert (box.text(), panel.camera()) == ("auto", {})
    qtbot.keyClick(box, Qt.Key.Key_Up)
    assert panel.camera() == {"offset": 0.0}


@pytest.mark.parametrize(("name", "number"), [("gain", 0.0), ("gain", -5.0), ("read_noise", -1.0)])
def test_an_impossible_number_is_named_below_the_fields_and_refused(
    looked: Any, qtbot: Any, name: str, number: float
) -> None:
    panel = looked.camera_panel
    box = panel.numbers[name]
    box.setValue(number)
    qtbot.waitUntil(lambda: panel.report_note.kind == "error", timeout=20_000)
    assert f"{number:g}" in panel.report_note.text()
    assert [n for n, one in panel.numbers.items() if one.styleSheet()] == [name]
    assert not panel.histogram.isVisible()
    looked.run_richardson_lucy()
    assert not looked.busy
    assert looked.run_panel.status.text() == panel.report_note.text()
    box.setValue(2.0)
    qtbot.waitUntil(lambda: panel.report_note.kind == "", timeout=20_000)
    assert not box.styleSheet()
    assert "photons" in panel.report_note.text()


@pytest.mark.parametrize("offset", [90_000.0, -50_000.0])
def test_an_offset_far_from_the_image_is_marked_inside_the_histogram(
    looked: Any, qtbot: Any, offset: float
) -> None:
    panel = looked.camera_panel
    panel.numbers["offset"].setValue(offset)
    qtbot.waitUntil(lambda: f"{offset:.0f}" in panel.report_note.text(), timeout=20_000)
    assert "e+" not in panel.report_note.text()
    above = offset > 0
    assert panel.report_note.kind == ("warning" if above else "")
    assert ("cannot be right" in panel.report_note.text()) == above
    qtbot.wait(50)
    text = panel.histogram._lines["background", True].label.sceneBoundingRect()
    inside = panel.histogram._axes.getPlotItem().getViewBox().sceneBoundingRect()
    assert inside.left() - 1 <= text.left() < text.right() <= inside.right() + 1


def test_an_image_is_looked_at_only_when_the_section_is_open(open_dock: Callable[..., Any]) -> None:
    dock = open_dock(image=recorded(), show=True)
    assert not dock.camera_panel.isVisible()
    assert not dock.camera_panel._timer.isActive()
    assert not dock.camera_panel.runs.busy


def test_what_was_found_out_about_one_image_is_not_said_of_the_next(looked: Any, qtbot: Any) -> None:
    panel = looked.camera_panel
    panel._look()
    panel.follow(None)
    qtbot.waitUntil(lambda: not panel.runs.busy, timeout=20_000)
    assert panel._seen is None
    assert (panel.report_note.text(), panel.show_button.isVisible()) == ("", False)


def test_the_pixels_reach_every_run(
    open_dock: Callable[..., Any], script: Any, finish: Callable[..., None]
) -> None:
    dock = open_dock(image=recorded())
    dock.train()
    finish(dock)
    assert script.calls[-1]["weights"] == "auto"
    labels = np.zeros((64, 64), np.uint8)
    labels[:4] = 3
    layer = dock.viewer.add_labels(labels, name="dust")
    dock.camera_panel.pixels.setCurrentIndex(dock.camera_panel.pixels.findData("layer"))
    assert dock.camera_panel.labels_box.layer is layer
    for start in (dock.train, dock.run_richardson_lucy):
        start()
        finish(dock)
        assert np.array_equal(script.calls[-1]["weights"], labels == 0)
    dock.viewer.layers.remove(layer)
    dock.train()
    assert "Choose the Labels layer" in dock.run_panel.status.text()
    compare = open_compare(dock.viewer, dock.image_box.layer)
    compare.camera_panel.pixels.setCurrentIndex(compare.camera_panel.pixels.findData(None))
    compare.methods.network.setChecked(True)
    compare.compare()
    finish(compare)
    assert [call["weights"] for call in script.calls[-2:]] == [None, None]


def test_methods_that_model_a_background_get_the_camera(open_dock: Callable[..., Any]) -> None:
    methods = open_compare(open_dock().viewer).methods
    for tick in methods.ticks.values():
        tick.setChecked(True)
    chosen = {method.method: method for method in methods.classical({"offset": 100.0})}
    assert {method.offset for method in chosen.values()} == {100.0}
