"""What stays after a run is said, closing a dock during a run asks, and closing the viewer ends the process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QMessageBox

from napari_selfdeconv._gui.docks.psf import open_psf
from napari_selfdeconv._gui.layers.exchange import add_result, snapshot
from napari_selfdeconv._gui.runs.failure import explain
from napari_selfdeconv.errors import ComputeError
from napari_selfdeconv.events import Interim

# On a computer with a processor core to spare; most of it is the end of the interpreter.
LONGEST_S = 5.0
TRAINING = """
import time, napari
import numpy as np
from qtpy.QtCore import QTimer
viewer = napari.Viewer()
viewer.add_image(np.random.default_rng(0).random((16, 64, 64), np.float32), name="spots")
viewer.add_image(np.ones((3, 3, 3), np.float32), name="spots PSF")
_, dock = viewer.window.add_plugin_dock_widget("napari-selfdeconv", "Deconvolve")

def close():
    print(time.time(), flush=True)
    viewer.close()

def look():
    if dock.run_panel.plot.points > 0:
        timer.stop()
        close()

timer = QTimer()
timer.timeout.connect(look)
timer.start(50)
QTimer.singleShot(0, dock.train)
napari.run()
"""


@pytest.fixture
def answered(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Return a function that answers every question by the button with some text; it returns what is asked."""

    def answer(text: str) -> list[str]:
        asked: list[str] = []

        def press(box: QMessageBox) -> int:
            asked.append(box.text())
            next(button for button in box.buttons() if button.text() == text).click()
            return 0

        monkeypatch.setattr(QMessageBox, "exec", press)
        return asked

    return answer


def test_closing_a_dock_during_a_run_asks(
    open_dock: Callable[..., Any], script: Any, answered: Callable[[str], list[str]], finish: Callable[..., None]
) -> None:
    dock = open_dock()
    docked = dock.parent()
    script.ending = "cancelled"
    dock.train()
    asked = answered("Keep it open")
    docked.title.close_button.click()
    assert len(asked) == 1
    assert "its result is lost" in asked[0]
    assert dock.busy
    assert dock.parent() is docked
    docked.setFloating(True)  # has another title bar
    asked = answered("End the run and close")
    docked.title.close_button.click()
    assert len(asked) == 1
    assert not dock.busy
    assert dock.parent() is None


def test_closing_a_dock_without_a_run_does_not_ask(
    open_dock: Callable[..., Any], answered: Callable[[str], list[str]]
) -> None:
    main = open_dock()
    asked = answered("Keep it open")
    for dock in (open_psf(main.viewer), main):
        dock.parent().title.close_button.click()
        assert dock.parent() is None
    assert asked == []


@pytest.mark.canvas
def test_closing_the_viewer_during_training_ends_the_process() -> None:
    with subprocess.Popen([sys.executable, "-c", TRAINING], stdout=subprocess.PIPE, text=True) as process:
        try:
            output, _ = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0
    took = time.time() - float(output.split()[-1])
    waiting_for_a_core = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert took < LONGEST_S * waiting_for_a_core


@pytest.mark.parametrize("axes", [("y", "x"), ("t", "y", "x")])
def test_the_status_says_which_layer_a_run_has_added(
    open_dock: Callable[..., Any], script: Any, finish: Callable[..., None], axes: tuple[str, ...]
) -> None:
    dock = open_dock()
    layer = dock.viewer.add_image(np.ones((2, 16, 16)[-len(axes) :], np.float32), name="a", axis_labels=axes)
    dock.image_box.choose(layer)
    dock.train()
    finish(dock)
    assert dock.run_panel.status.text().startswith("Deconvolved in 1 s: a [deconvolved]")
    script.ending = "cancelled"
    dock.train()
    dock.run_panel.cancel_button.click()
    finish(dock)
    assert dock.run_panel.status.text() == "Cancelled; nothing was kept."


@pytest.mark.parametrize("ending", ["cancelled", "failed"])
def test_the_status_says_which_layers_stay_without_a_result(
    open_dock: Callable[..., Any], script: Any, finish: Callable[..., None], qtbot: Any, ending: str
) -> None:
    dock = open_dock()
    image = dock.viewer.layers["spots"]
    add_result(dock.viewer, snapshot(image), image.data, "RL 9", {})  # of an earlier run
    script.ending = "cancelled"
    dock.train()
    run = dock.runs.run
    qtbot.waitUntil(lambda: dock.run_panel.plot.points > 0, timeout=20_000)
    run.happened.emit(Interim(step=3, image=image.data, provenance={}))
    assert dock.run_panel.status.text().startswith("Added spots [network, step 3]. On cpu")
    if ending == "cancelled":
        dock.run_panel.cancel_button.click()
    else:
        run.ended.emit(explain(ComputeError("the computation broke")))
    finish(dock)
    text = dock.run_panel.status.text()
    assert text.endswith("This layer stays: spots [network, step 3].")
    assert "RL 9" not in text
