"""The Compare dock: methods in one go, grid, profiles, table; a viewer that changes meanwhile."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image
from napari.settings import get_plugin_settings
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication
from superqt.utils import WorkerBase

from napari_selfdeconv import api
from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY
from napari_selfdeconv._gui.panels.profiles import LINE_NAME
from napari_selfdeconv._gui.runs.compare import Row, against_truth
from napari_selfdeconv.errors import ConfigError

SCALE, UNITS = (0.2, 0.1), ("um", "um")


def blurred_spots() -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(0)
    spots = gaussian_filter((random.random((32, 32)) > 0.97) * 500.0, 1.2)
    return (spots + 100 + random.normal(0, 5, (32, 32))).astype(np.float32)


def small_psf() -> np.ndarray:
    line = np.array([1.0, 4.0, 6.0, 4.0, 1.0])
    return np.outer(line, line).astype(np.float32) / 256


@pytest.fixture
def compare(make_napari_viewer: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that opens a viewer with an image, its PSF and its truth, and the Compare dock."""

    def make(image: np.ndarray | None = None, *, show: bool = False, truth: bool = True) -> Any:
        viewer = make_napari_viewer(show=show)
        image = blurred_spots() if image is None else image
        placed = {"scale": SCALE, "units": UNITS}
        about = {"sample": "s", "role": "image"}
        viewer.add_image(image, name="spots", metadata={METADATA_KEY: about}, **placed)
        viewer.add_image(small_psf(), name="spots PSF", visible=False, **placed)
        if truth:
            meta = {METADATA_KEY: {**about, "role": "truth"}}
            viewer.add_image(blurred_spots() + 1, name="true spots", visible=False, metadata=meta, **placed)
        dock = open_compare(viewer, viewer.layers["spots"], viewer.layers["spots PSF"])
        dock.methods.settings["rl"].setText("2 4")
        dock.methods.ticks["tv"].setChecked(False)
        return dock

    return make


def names(dock: Any) -> list[str]:
    return [layer.name for layer in dock.viewer.layers]


def column(dock: Any, i: int) -> list[str]:
    return [dock.table.item(row, i).text() for row in range(dock.table.rowCount())]


def test_methods_in_one_go_then_the_table(compare: Callable[..., Any], finish: Callable[..., None]) -> None:
    dock = compare()
    dock.methods.settings["rl"].setText("2 4 auto")
    for key in ("rl-tv", "tv", "wiener"):
        dock.methods.ticks[key].setChecked(True)
    dock.run_panel.train_button.click()
    finish(dock)  # the methods, and the metrics that follow by themselves
    results = [name for name in names(dock) if "[" in name]
    assert results[:2] == ["spots [RL 2]", "spots [RL 4]"]
    assert [name.split("[")[1].split()[0] for name in results[2:]] == ["RL", "RL-TV", "TV", "Wiener"]
    layer, source = dock.viewer.layers["spots [RL 4]"], dock.viewer.layers["spots"]
    assert np.array_equal(layer.data, api.richardson_lucy(source.data, dock.viewer.layers["spots PSF"].data, 4))
    assert tuple(layer.scale) == SCALE
    assert tuple(layer.contrast_limits) == tuple(source.contrast_limits)
    assert column(dock, 0) == ["spots", *results]
    header = [dock.table.horizontalHeaderItem(i).text() for i in range(dock.table.columnCount())]
    assert header == ["Method", "PSNR, dB", "SSIM", "MI", "SMI", "RMSE"]
    assert "rows measured" in dock.run_panel.status.text()


def test_what_was_remarked_stays_while_the_table_is_filled(
    compare: Callable[..., Any], finish: Callable[..., None]
) -> None:
    """The measurement follows the run by itself, and took its remarks away before anybody could read them."""
    striped = np.pad(blurred_spots(), 16, mode="symmetric")
    striped += np.random.default_rng(0).normal(0, 40, (len(striped), 1)).astype(np.float32)
    dock = compare(striped, truth=False)
    dock.compare()
    finish(dock)
    assert "rows measured" in dock.run_panel.status.text()
    assert "offsets of their own" in dock.run_panel.remarks.text()
    dock.measure()
    finish(dock)
    assert dock.run_panel.remarks.text() == ""


def test_without_a_truth_the_residual_speaks(compare: Callable[..., Any], finish: Callable[..., None]) -> None:
    dock = compare(truth=False)
    assert not dock.use_truth.isChecked()
    dock.compare()
    finish(dock)
    assert "spots" not in column(dock, 0)  # nothing to say of the image itself
    row = next(row for row in dock.table.rows if row.name == "spots [RL 4]")
    layers = dock.viewer.layers
    result = layers["spots [RL 4]"]
    background = api.background_of(result.metadata[METADATA_KEY])
    assert background > 50  # the image has 100, and the result the light above it
    expected = api.evaluate_without_truth(
        result.data, layers["spots"].data, layers["spots PSF"].data, SCALE, background=background
    )
    assert row.scores == pytest.approx(expected, nan_ok=True)
    assert "white residual" in dock.table_note.text()


def test_the_network_in_the_same_go(
    compare: Callable[..., Any], finish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_selfdeconv.config.presets import preset

    small = preset("quick", 2, steps=2, patch=16, features=4, pretrained=False)
    monkeypatch.setattr(
        "napari_selfdeconv._gui.docks.compare.preset", lambda *_, device: small.replace(device=device)
    )
    monkeypatch.setattr(get_plugin_settings("napari-selfdeconv").compute, "device", "cpu")
    dock = compare()
    assert "as well" in dock.methods.network.text()
    dock.methods.network.setChecked(True)
    dock.compare()
    panel = dock.run_panel
    assert panel.stop_button.isVisibleTo(panel)
    # Nothing here holds training, or uses its model in between.
    assert not panel.pause_button.isVisibleTo(panel)
    assert not panel.use_button.isVisibleTo(panel)
    finish(dock)
    assert dock.viewer.layers["spots [deconvolved]"].metadata[METADATA_KEY]["config"]["compute"]["device"] == "cpu"
    assert "spots [deconvolved]" in column(dock, 0)
    assert "again" in dock.methods.network.text()


def test_nothing_ticked_and_bad_counts_are_said(compare: Callable[..., Any]) -> None:
    dock = compare()
    dock.methods.settings["rl"].setText("many")
    dock.compare()
    assert "whole numbers" in dock.run_panel.status.text()
    for tick in dock.methods.ticks.values():
        tick.setChecked(False)
    dock.compare()
    assert "No method is ticked" in dock.run_panel.status.text()
    dock.measure()
    assert "no result of this image" in dock.run_panel.status.text()
    assert not dock.busy


def test_copy_and_csv_hold_the_numbers_in_full(compare: Callable[..., Any], tmp_path: Path) -> None:
    table = compare().table
    rows = [Row("a, b", {"psnr": 20.123456789, "ssim": 0.5}), Row("c", {"psnr": 9.5, "ssim": 0.75})]
    table.show_rows(rows)
    table.copy()
    pasted = list(csv.reader(io.StringIO(QApplication.clipboard().text()), delimiter="\t"))
    assert pasted == [["method", "psnr", "ssim"], ["a, b", "20.123456789", "0.5"], ["c", "9.5", "0.75"]]
    table.save(str(tmp_path / "t.csv"))
    assert list(csv.reader(io.StringIO((tmp_path / "t.csv").read_text("utf-8"))))[1] == [
        "a, b",
        "20.123456789",
        "0.5",
    ]
    with pytest.raises(ConfigError, match="cannot write"):
        table.save(str(tmp_path / "nowhere" / "t.csv"))
    bold = {(i, j) for i in range(2) for j in (1, 2) if table.item(i, j).font().bold()}
    assert bold == {(0, 1), (1, 2)}
    table.sortItems(1)  # by value: 9.5 before 20.1, which as text it is not
    assert table.item(0, 0).text() == "c"


def test_the_numbers_are_in_view_beside_a_long_name(compare: Callable[..., Any], qtbot: Any) -> None:
    table = compare(show=True).table
    name = "2026-11-27 HeLa 63x oil 488 nm cells of the second well [RL auto (11)]"
    table.resize(300, 200)
    table.show_rows([Row(name, {"psnr": 20.1, "ssim": 0.5})])
    qtbot.waitUntil(lambda: table.columnWidth(1) > 0)
    assert table.columnViewportPosition(1) + table.columnWidth(1) < 290
    assert table.item(0, 0).toolTip() == name
    assert table.textElideMode() == Qt.TextElideMode.ElideMiddle  # the end says which result it is


def test_the_truth_may_have_any_range() -> None:
    truth = np.random.default_rng(0).random((32, 32))
    near = truth + 0.1 * np.random.default_rng(1).random((32, 32))
    scores = against_truth(1000 * near + 5, ("t", 1000 * truth + 5))
    span = np.ptp(truth)
    expected = np.sqrt(np.mean((np.clip((near - truth.min()) / span, 0, 1) - (truth - truth.min()) / span) ** 2))
    assert scores["rmse"] == pytest.approx(expected, rel=1e-4)
    with pytest.raises(ConfigError, match="shape"):
        against_truth(near[:5], ("t", truth))
    with pytest.raises(ConfigError, match="constant"):
        against_truth(near, ("t", np.ones((32, 32))))


def test_a_movable_line_with_all_profiles(compare: Callable[..., Any], finish: Callable[..., None]) -> None:
    dock = compare()
    dock.compare()
    finish(dock)
    dock.line_button.click()
    line = dock.viewer.layers[LINE_NAME]
    line.data = [np.array([[5.0, 3.0], [5.0, 27.0]])]
    curves = {curve.name: curve for curve in dock.plot.curves()}
    assert {"spots", "[RL 2]", "[RL 4]"} <= set(curves)
    here = curves["spots"]
    assert here.x[-1] == pytest.approx(24 * 0.1)  # um
    image = dock.viewer.layers["spots"].data
    assert np.allclose(here.y[::2], image[5, 3:28], atol=1e-3)
    line.data = [np.array([[5.0, 3.0], [15.0, 3.0]])]
    moved = dock.plot.curves()[0]
    assert moved.x[-1] == pytest.approx(10 * 0.2)
    assert np.allclose(moved.y[::2], image[5:16, 3], atol=1e-3)
    dock.plot.grab()
    dock.viewer.layers.remove(line)
    assert dock.plot.isHidden()
    assert dock.line_button.text() == "Profile line"


def test_the_line_follows_the_plane_and_reads_no_other(compare: Callable[..., Any]) -> None:
    import dask.array as da

    read: list[tuple[int, ...]] = []
    stack = np.arange(4 * 16 * 16, dtype=np.float32).reshape(4, 16, 16)

    def plane(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        read.append(tuple(block_info[0]["chunk-location"]))
        return block

    lazy = da.from_array(stack, chunks=(1, 16, 16)).map_blocks(plane, dtype=np.float32)
    dock = compare()
    layer = dock.viewer.add_image(lazy, name="lazy", contrast_limits=(0, 1))
    dock.image_box.choose(layer)
    dock.viewer.dims.set_current_step(0, 2)
    dock.line_button.click()
    dock.viewer.layers[LINE_NAME].data = [np.array([[3.0, 2.0], [3.0, 9.0]])]
    read.clear()
    curve = dock.plot.curves()[0]
    dock._draw_profiles()
    assert {location[0] for location in read} == {2}
    assert curve.y[0] == pytest.approx(stack[2, 3, 2])


def test_the_grid_and_back(compare: Callable[..., Any], finish: Callable[..., None]) -> None:
    dock = compare()
    dock.grid_button.click()  # the truth is there to be looked at
    dock.grid_button.click()
    dock.compare()
    finish(dock)
    dock.grid_button.click()
    shown = [layer for layer in dock.viewer.layers if layer.visible and isinstance(layer, Image)]
    assert "spots" in [layer.name for layer in shown]
    assert len({tuple(layer.contrast_limits) for layer in shown}) == 1
    assert dock.viewer.canvas.grid.enabled
    dock.grid_button.click()
    assert not dock.viewer.canvas.grid.enabled


def test_stop_keeps_what_is_done_and_cancel_discards(
    compare: Callable[..., Any], finish: Callable[..., None], qtbot: Any
) -> None:
    dock = compare()
    dock.methods.settings["rl"].setText("1 90000")
    dock.compare()
    qtbot.waitUntil(lambda: dock.run_panel.bar.value() > 2, timeout=60_000)
    dock.run_panel.stop_button.click()
    finish(dock)
    assert "spots [RL 1]" in names(dock)
    before = names(dock)
    dock.compare()
    qtbot.waitUntil(lambda: dock.run_panel.bar.value() > 2, timeout=60_000)
    dock.viewer.layers.remove("spots [RL 1]")
    dock.run_panel.cancel_button.click()
    assert dock.run_panel.cancel_button.text() == "Cancelling …"
    finish(dock)
    assert names(dock) == [name for name in before if name != "spots [RL 1]"]


def test_closing_the_dock_ends_the_run(compare: Callable[..., Any], qtbot: Any) -> None:
    dock = compare()
    viewer = dock.viewer
    dock.line_button.click()
    dock.methods.settings["rl"].setText("90000")
    dock.compare()
    qtbot.waitUntil(lambda: dock.run_panel.bar.value() > 2, timeout=60_000)
    viewer.window.remove_dock_widget(dock)
    qtbot.waitUntil(lambda: not WorkerBase._worker_set, timeout=20_000)
    qtbot.waitUntil(lambda: LINE_NAME not in viewer.layers, timeout=20_000)
    viewer.layers["spots"].name = "renamed"


def test_boxes_follow_the_layers(compare: Callable[..., Any]) -> None:
    dock = compare()
    dock.viewer.layers["spots"].name = "beads"
    assert dock.image_box.combo.currentText() == "beads"
    assert dock.truth_box.combo.currentText() == "true spots"
    dock.viewer.layers.remove("true spots")
    assert dock.truth_box.layer is None
    dock.viewer.layers.clear()
    dock.compare()
    assert "No image chosen" in dock.run_panel.status.text()


def test_the_main_dock_opens_it_with_its_layers(open_dock: Callable[..., Any]) -> None:
    main = open_dock()
    main.compare.more_button.click()
    dock = open_compare(main.viewer)
    assert (dock.image_box.layer, dock.psf_form.layer_box.layer) == (
        main.viewer.layers["spots"],
        main.viewer.layers["spots PSF"],
    )
