"""The dock with a list of files: what was done is seen beside each file, and a broken one stops none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_selfdeconv._gui.docks.batch import BatchWidget
from napari_selfdeconv.api import FileFinished, FileStarted
from napari_selfdeconv.io.images import write_ome_tiff


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "day").mkdir()
    for number in range(3):
        image = 100 + np.random.default_rng(number).random((24, 28)) * 50
        write_ome_tiff(tmp_path / "day" / f"im{number}.tif", image, (0.1, 0.1))
    (tmp_path / "day" / "im1x.tif").write_text("no image")
    (tmp_path / "run.toml").write_text(
        "[method]\nname = 'wiener'\nregularisation = 0.1\n"
        "[optics]\nna = 0.8\nwavelength_um = 0.6\nrefractive_index = 1.0\n",
        "utf-8",
    )
    return tmp_path


@pytest.fixture
def dock(make_napari_viewer: Callable[..., Any], folder: Path) -> BatchWidget:
    viewer = make_napari_viewer()
    widget = BatchWidget(viewer)
    viewer.window.add_dock_widget(widget, name=BatchWidget.NAME)
    widget.settings.setText(str(folder / "run.toml"))
    widget.out.setText(str(folder / "out"))
    return widget


def states(dock: BatchWidget) -> list[str]:
    return [item.text(1) for item in dock.files.rows]


def test_a_list_is_done_and_a_broken_file_is_marked(dock: BatchWidget, folder: Path, qtbot: Any) -> None:
    assert not dock.start_button.isEnabled()
    dock.files.add_places([folder / "day"])
    assert [path.name for path in dock.files.paths] == ["im0.tif", "im1.tif", "im1x.tif", "im2.tif"]
    dock.start_button.click()
    assert dock.busy
    qtbot.waitUntil(lambda: not dock.busy, timeout=60_000)
    assert states(dock) == ["done", "done", "failed", "done"]
    assert "not an image that this program reads" in dock.files.rows[2].toolTip(1)
    assert (dock.status.text(), dock.status.kind) == ("3 done, 1 failed", "warning")
    assert dock.report_button.isEnabled()
    dock.files.itemDoubleClicked.emit(dock.files.rows[0], 0)
    assert dock.viewer.layers[-1].data.shape == (24, 28)
    assert dock.viewer.layers[-1].axis_labels == ("y", "x")
    # Again: nothing is made twice. Without the broken file all is well.
    dock.files.rows[2].setSelected(True)
    dock.remove_button.click()
    dock.start_button.click()
    qtbot.waitUntil(lambda: not dock.busy, timeout=60_000)
    assert states(dock) == ["there already"] * 3
    assert (dock.status.text(), dock.status.kind) == ("3 there already", "good")


def test_what_is_missing_is_said(dock: BatchWidget, folder: Path, qtbot: Any) -> None:
    dock.files.add([folder / "day" / "im0.tif"])
    dock.out.clear()
    dock.start_button.click()
    assert (dock.status.text(), dock.status.kind) == ("Choose a folder for the results.", "error")
    dock.out.setText(str(folder / "out"))
    dock.settings.setText(str(folder / "none.toml"))
    dock.start_button.click()
    qtbot.waitUntil(lambda: not dock.busy, timeout=60_000)
    assert dock.status.kind == "error"
    assert "none.toml" in dock.status.text()
    assert states(dock) == ["waiting"]


def test_files_stay_in_the_list_while_they_are_counted(dock: BatchWidget, folder: Path, qtbot: Any) -> None:
    dock.files.add_places([folder / "day"])
    dock.start_button.click()
    dock.files.rows[0].setSelected(True)
    qtbot.keyClick(dock.files, Qt.Key.Key_Delete)
    assert len(dock.files.paths) == 4
    qtbot.waitUntil(lambda: not dock.busy, timeout=60_000)
    assert states(dock) == ["done", "done", "failed", "done"]
    qtbot.keyClick(dock.files, Qt.Key.Key_Delete)
    assert len(dock.files.paths) == 3


def test_a_file_of_which_an_image_has_failed_has_failed(dock: BatchWidget, tmp_path: Path) -> None:
    dock.files.add([tmp_path / "a.lif"])
    dock._on_event(FileStarted(number=1, total=1, path=tmp_path / "a.lif"))
    dock._on_event(FileFinished(file="a [0]", status="failed", message="it is flat"))
    dock._on_event(FileFinished(file="a [1]", status="done", output=tmp_path / "a_1.tif"))
    assert states(dock) == ["failed"]
    assert dock.files.rows[0].toolTip(1) == "it is flat"


def test_files_can_be_dropped(dock: BatchWidget, folder: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(folder / "day")), QUrl.fromLocalFile(str(folder / "day" / "im0.tif"))])
    where, copy = QPointF(5, 5), Qt.DropAction.CopyAction
    event = QDropEvent(where, copy, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    dock.files.dropEvent(event)
    assert len(dock.files.paths) == 4
    assert dock.start_button.isEnabled()
