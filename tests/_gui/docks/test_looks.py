"""What the docks look like in their main states, held against small reference pictures.

Every section of a dock is drawn, and shrunk to WIDTH x HEIGHT grey pixels: fonts and widths differ from machine to
machine, and at this size they hardly show, while a field, a button or a section that is gone does. The references
lie in the folder looks, one picture a state with the sections below each other. After a change that is meant:

    xvfb-run -a -s "-screen 0 1600x1000x24" python -m pytest tests/_gui/docks/test_looks.py --write-looks

Look at the new pictures before you commit them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QTabWidget, QWidget

from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.docks.psf import open_psf
from napari_selfdeconv._gui.forms.layout import FormBody
from napari_selfdeconv._gui.panels.run import RunPanel
from napari_selfdeconv.events import Finished, Progress, Started, Warned

LOOKS = Path(__file__).parent / "looks"
WIDTH, HEIGHT = 8, 4
# Grey levels of 255, in the mean of a section. DejaVu Serif instead of DejaVu Sans gives up to 4.1.
TOLERANCE = 7.0


def parts(form: QWidget) -> list[QWidget]:
    """The sections, or whatever else lies below each other in a form, and the run below them."""
    (body,) = [body for body in form.findChildren(FormBody) if body.isVisibleTo(form)]
    layout = body.layout()
    found = [layout.itemAt(i).widget() for i in range(layout.count())]
    found += form.findChildren(RunPanel)
    return [part for part in found if part is not None and part.isVisibleTo(form) and part.height()]


def shrunk(part: QWidget) -> np.ndarray:
    """The luminance of a widget in WIDTH x HEIGHT pixels."""
    image = part.grab().toImage().convertToFormat(QImage.Format.Format_Grayscale8)
    mode = Qt.AspectRatioMode.IgnoreAspectRatio, Qt.TransformationMode.SmoothTransformation
    small = image.scaled(WIDTH, HEIGHT, *mode).convertToFormat(QImage.Format.Format_Grayscale8)
    grey = [[small.pixelColor(x, y).lightness() for x in range(WIDTH)] for y in range(HEIGHT)]
    return np.array(grey, np.uint8)


def look(form: QWidget) -> np.ndarray:
    return np.concatenate([shrunk(part) for part in parts(form)])


def difference(seen: np.ndarray, expected: np.ndarray) -> float:
    """How much the worst section differs, in grey levels of 255; infinite if one is missing or new."""
    if seen.shape != expected.shape:
        return float("inf")
    levels = np.abs(seen.astype(float) - expected.astype(float))
    return float(levels.reshape(-1, HEIGHT, WIDTH).mean((1, 2)).max())


@pytest.fixture
def form(open_dock: Callable[..., Any], qtbot: Any) -> Callable[[str], QWidget]:
    """Return a function that opens a dock in a state, at a fixed width."""

    def show(state: str) -> QWidget:
        main = open_dock(image=np.tile(np.arange(64, dtype=np.float32), (64, 1)), show=True)
        found: QWidget = {"compare": compare, "generate": generate, "check": check, "beads": beads}.get(
            state, lambda dock: main_dock(dock, state)
        )(main)
        found.window().resize(1500, 950)
        dock = found.parentWidget()
        while isinstance(dock, QTabWidget):
            dock = dock.parentWidget()
        found.setMinimumWidth(360)
        before: list[Any] = []
        # Folding, wrapped lines and the scroll bar take a few turns of the event loop.
        while before != (now := [part.geometry() for part in parts(found)]):
            before = now
            qtbot.wait(200)
        return found

    def main_dock(dock: Any, state: str) -> QWidget:
        panel = dock.run_panel
        if state == "light":
            dock.viewer.theme = "light"
        if state == "unfolded":
            dock.psf_form.generated.click()
            dock.train_form.advanced.setChecked(True)
            for section in dock.sections.values():
                section.unfold()
            camera = dock.camera_panel
            qtbot.waitUntil(lambda: camera.report_note.text() != "" and not camera.runs.busy, timeout=30_000)
        if state in ("training", "finished"):
            panel.start("Training", trains=True)
            panel.show_event(
                Started(
                    device="cpu", device_reason="no GPU was found", precision="float32", parameters=1, steps=100,
                    symmetries=8,
                )
            )  # fmt: skip
            for step in range(1, 60):
                losses = {"total": 1 / step, "bsp": 0.5 / step}
                panel.show_event(
                    Progress(stage="train", step=step, steps=100, seconds=1.0, eta_s=9.0, losses=losses)
                )
        if state == "finished":
            panel.show_event(Warned("The border of the image is dark."))
            panel.show_event(Finished(seconds=9.0, steps_done=59, stopped=True))
            panel.succeeded("Deconvolved")
        return dock

    def compare(main: Any) -> QWidget:
        viewer = main.viewer
        return open_compare(viewer, viewer.layers["spots"], viewer.layers["spots PSF"])

    def tab(main: Any, name: str) -> QWidget:
        dock = open_psf(main.viewer)
        panel: QWidget = getattr(dock, name)
        dock.tabs.setCurrentWidget(panel)
        qtbot.waitUntil(lambda: not (dock.generate.busy or dock.doctor.busy), timeout=30_000)
        return panel

    def generate(main: Any) -> QWidget:
        return tab(main, "generate")

    def check(main: Any) -> QWidget:
        return tab(main, "doctor")

    def beads(main: Any) -> QWidget:
        return tab(main, "beads")

    return show


@pytest.mark.canvas
@pytest.mark.parametrize(
    "state", ["idle", "light", "unfolded", "training", "finished", "compare", "generate", "check", "beads"]
)
def test_a_dock_looks_as_it_did(
    form: Callable[[str], QWidget], state: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    seen, reference = look(form(state)), LOOKS / f"{state}.png"
    if request.config.getoption("--write-looks"):
        LOOKS.mkdir(exist_ok=True)
        imageio.imwrite(reference, seen)
    imageio.imwrite(tmp_path / "seen.png", seen)
    found = difference(seen, imageio.imread(reference))
    assert found < TOLERANCE, f"{state}: differs by {found:.1f} of 255; seen: {tmp_path / 'seen.png'}"


@pytest.mark.canvas
def test_a_part_that_is_gone_is_seen(form: Callable[[str], QWidget]) -> None:
    dock: Any = form("idle")
    before = look(dock)
    assert difference(look(dock), before) == 0
    dock.psf_form.tools.hide()
    dock.repaint()
    assert difference(look(dock), before) > TOLERANCE
    dock.psf_form.tools.show()
    dock.sections["compare"].hide()
    assert difference(look(dock), before) > TOLERANCE
