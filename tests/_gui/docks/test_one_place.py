"""One place to look: progress, status, remarks and loss curve lie below Train, always in view, and never stale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.layers import Image
from napari.utils import progress
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QLabel, QScrollArea

from napari_selfdeconv._gui.docks.compare import CompareWidget, open_compare
from napari_selfdeconv._gui.docks.psf import open_psf
from napari_selfdeconv._gui.panels.status import StatusLine
from napari_selfdeconv.events import Progress, Warned

SMALL_WINDOW, DOCK = (1280, 800), 330
#: Off centre, with a background.
SHIFTED = np.pad([[0.2, 0.4, 0.2], [0.4, 0.8, 0.4], [0.2, 0.4, 0.2]], ((3, 1), (2, 2))) + 0.01
PLACED = {"scale": (0.2, 0.1), "units": ("um", "um")}


def at_work(panel: Any) -> None:
    """Bring the panel into the state in which it needs most room."""
    panel.start("Training", trains=True)
    for step in range(1, 30):
        losses = dict.fromkeys(("total", "bsp", "tv", "bootstrap"), 1 / step)
        panel.show_event(Progress(stage="train", step=step, steps=100, seconds=1.0, eta_s=9.0, losses=losses))
    for message in ("The pixels are large. " * 6, "The planes are far apart. " * 6):
        panel.show_event(Warned(message))


@pytest.mark.canvas
@pytest.mark.parametrize("unfolded", [False, True])
def test_a_small_window_shows_the_loss_curve_during_a_run(open_dock: Callable[..., Any], unfolded: bool) -> None:
    dock = open_dock(show=True)
    window = dock.viewer.window._qt_window
    window.resize(*SMALL_WINDOW)
    panel = dock.run_panel
    at_work(panel)
    panel.remarks.heading.setChecked(unfolded)
    for _ in range(10):
        QApplication.processEvents()
        window.resizeDocks([dock.parent()], [DOCK], Qt.Orientation.Horizontal)
    assert (window.width(), window.height()) == SMALL_WINDOW
    for part in (panel.train_button, panel.stop_button, panel.bar, panel.status, panel.remarks, panel.plot):
        assert part.isVisible()
        # Not inside what scrolls, and inside the dock.
        assert not any(area.isAncestorOf(part) for area in dock.findChildren(QScrollArea))
        assert part.mapTo(dock, QPoint(0, part.height())).y() <= dock.height()


def test_remarks_are_folded_and_counted(open_dock: Callable[..., Any]) -> None:
    panel = open_dock().run_panel
    panel.start("Training", trains=True)
    assert panel.remarks.isHidden()
    panel.show_event(Warned("The pixels are large."))
    assert (panel.remarks.heading.text(), panel.remarks.body.isHidden()) == ("1 remark", True)
    panel.show_event(Warned("The planes are far apart."))
    panel.show_event(Warned("The planes are far apart."))
    assert panel.remarks.heading.text() == "2 remarks"
    panel.remarks.heading.click()
    assert not panel.remarks.body.isHidden()
    assert "The planes are far apart." in panel.remarks.body.toPlainText()
    panel.start("Training", trains=True)
    assert panel.remarks.isHidden()
    assert panel.remarks.body.isHidden()


@pytest.mark.parametrize("kind", ["main", "compare"])
def test_what_is_said_of_a_run_goes_when_the_psf_changes(open_dock: Callable[..., Any], kind: str) -> None:
    dock = open_dock()
    if kind == "compare":
        dock = open_compare(dock.viewer, dock.viewer.layers["spots"])
    dock.psf_form.generated.click()
    panel = dock.run_panel

    def finish() -> None:
        at_work(panel)
        panel.succeeded("Deconvolved")
        assert panel.remarks.text()

    for change in (
        lambda: dock.psf_form.na.setValue(0.8),
        lambda: dock.psf_form.voxel[-1].setValue(0.3),
        dock.psf_form.from_layer.click,
    ):
        finish()
        change()
        assert (panel.remarks.text(), panel.status.text(), panel.plot.points) == ("", "", 0)


def test_the_status_is_one_line_and_a_click_shows_all(qtbot: Any) -> None:
    line = StatusLine()
    qtbot.addWidget(line)
    line.resize(200, 20)
    line.show()
    long = "Deconvolved in 1 min 04 s. Refined by 20 iterations of Richardson-Lucy. On cpu (bfloat16)."
    line.say(long, "good")
    rows = line.sizeHint().height()
    assert line.text() == line.toolTip() == long
    assert rows < 2 * line.fontMetrics().lineSpacing()
    qtbot.mouseClick(line, Qt.MouseButton.LeftButton)
    assert line.heightForWidth(200) > 2 * rows
    assert line.text() == long
    line.say("short")
    assert (line.text(), line.toolTip()) == ("short", "")
    line.say(long, "error")  # all of it at once
    assert line.heightForWidth(200) > 2 * rows


def test_the_time_left_is_told_after_five_steps(open_dock: Callable[..., Any]) -> None:
    panel = open_dock().run_panel
    panel.start("Training", trains=True)
    for step, told in ((1, False), (4, False), (5, True)):
        panel.show_event(
            Progress(stage="train", step=step, steps=9, seconds=1.0, eta_s=8.0, losses={"total": 1.0})
        )
        assert ("8 s left" in panel.bar.text()) == told


def test_a_run_is_in_the_activity_dock_from_its_start_to_its_end(
    open_dock: Callable[..., Any], script: Any, qtbot: Any, finish: Callable[..., None]
) -> None:
    dock = open_dock()
    script.ending = "cancelled"
    dock.train()
    # Not in the click: making the bar processes events, and the button would stay pressed until they are over.
    assert not progress._all_instances
    qtbot.waitUntil(lambda: len(progress._all_instances) == 1, timeout=20_000)
    (bar,) = progress._all_instances
    assert bar.desc.startswith("Training")
    # Each frame of napari's sign for work under way draws the whole window again.
    status_bar = dock.viewer.window._qt_window.statusBar()
    (movie,) = (label.movie() for label in status_bar.findChildren(QLabel) if label.movie() is not None)
    assert movie.speed() == 10
    qtbot.waitUntil(lambda: (bar.n, bar.total) == (2, 9), timeout=20_000)
    compare = open_compare(dock.viewer)
    compare.compare()
    qtbot.waitUntil(lambda: len(progress._all_instances) == 2, timeout=20_000)
    dock.run_panel.cancel_button.click()
    finish(dock)
    assert movie.speed() == 10  # of the other dock
    compare.run_panel.cancel_button.click()
    finish(compare)
    assert not progress._all_instances
    assert movie.speed() == 100  # the sign is also that of other plugins
    dock.train()
    qtbot.waitUntil(lambda: len(progress._all_instances) == 1, timeout=20_000)
    dock.viewer.window.remove_dock_widget(dock)
    assert not progress._all_instances
    assert movie.speed() == 100


def test_the_compare_dock_takes_the_psf_of_the_main_dock(open_dock: Callable[..., Any]) -> None:
    dock = open_dock()
    chosen = dock.psf_form.layer_box.layer
    dock.viewer.add_image(chosen.data, name="later PSF", visible=False)
    assert dock.psf_form.layer_box.layer is chosen
    dock.open_compare()
    (compare,) = (one for one in dock.viewer.window.dock_widgets.values() if isinstance(one, CompareWidget))
    assert compare.psf_form.layer_box.layer is chosen


@pytest.fixture
def add_psf(qtbot: Any) -> Callable[..., Any]:
    """Return a function that adds a PSF layer in one of the tabs of the PSF dock, and returns the layer."""

    def add(viewer: Any, tab: str) -> Any:
        tools, before = open_psf(viewer), list(viewer.layers)
        if tab == "generate":
            panel = tools.generate
            qtbot.waitUntil(lambda: panel.generated is not None and not panel.busy, timeout=30_000)
            panel.add_button.click()
        elif tab == "beads":
            tools.beads.form.image_box.choose(viewer.layers["beads"])
            tools.beads.make_button.click()
            qtbot.waitUntil(lambda: not tools.beads.busy, timeout=60_000)
        else:
            tools.tabs.setCurrentWidget(tools.doctor)
            tools.doctor.psf_box.choose(viewer.layers["shifted PSF"])
            tools.doctor.examine()
            qtbot.waitUntil(lambda: not tools.doctor.busy, timeout=30_000)
            tools.doctor.fix_all_button.click()
            qtbot.waitUntil(lambda: not tools.doctor.busy, timeout=30_000)
        (layer,) = (one for one in viewer.layers if one not in before and isinstance(one, Image))
        return layer

    return add


@pytest.mark.parametrize("tab", ["generate", "beads", "check"])
def test_a_psf_that_a_dock_adds_is_used_in_all_docks_unless_another_was_chosen_by_hand(
    open_dock: Callable[..., Any], add_psf: Callable[..., Any], tab: str
) -> None:
    main = open_dock()
    viewer = main.viewer
    forms = (main.psf_form, open_compare(viewer, main.image_box.layer).psf_form)
    first = viewer.layers["spots PSF"]
    y, x = np.mgrid[:64, :64]
    beads = sum(900 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 4) for a, b in ((20, 20), (20, 44), (44, 30)))
    noise = np.random.default_rng(0).normal(100, 3, y.shape)
    viewer.add_image((beads + noise).astype(np.float32), name="beads", **PLACED)
    viewer.add_image(SHIFTED, name="shifted PSF", **PLACED)
    assert [form.layer_box.layer for form in forms] == [first, first]
    for undecided in (True, False):
        if not undecided:
            first = viewer.layers["spots PSF"]
            # What a click in the list does.
            box = main.psf_form.layer_box
            box.combo.setCurrentIndex(box.combo.findText("spots PSF"))
            box.combo.activated.emit(box.combo.currentIndex())
            if tab == "check":
                viewer.layers.remove("shifted PSF [repaired]")
        made = add_psf(viewer, tab)
        chosen = made if undecided else first
        assert [form.layer_box.layer for form in forms] == [chosen, chosen]
        assert [form.psf(main.image_box.layer).source.name for form in forms] == [chosen.name] * 2
    # By hand for that image only.
    other = viewer.add_image(np.ones((32, 32)), name="other", **PLACED)
    main.image_box.choose(other)
    if tab == "check":
        viewer.layers.remove("shifted PSF [repaired]")
    made = add_psf(viewer, tab)
    assert [form.layer_box.layer for form in forms] == [made, made]


def test_generated_is_a_choice_by_hand_and_a_psf_in_use_that_is_repaired_is_used(
    open_dock: Callable[..., Any], add_psf: Callable[..., Any]
) -> None:
    main = open_dock()
    viewer, form = main.viewer, main.psf_form
    form.generated.click()
    add_psf(viewer, "generate")
    assert form.generated.isChecked()
    assert "that you have chosen stays" in open_psf(viewer).generate.note.text()
    shifted = viewer.add_image(SHIFTED, name="shifted PSF", **PLACED)
    form.from_layer.click()
    form.layer_box.combo.setCurrentIndex(form.layer_box.combo.findText("shifted PSF"))
    form.layer_box.combo.activated.emit(form.layer_box.combo.currentIndex())
    assert form.layer_box.layer is shifted
    assert form.layer_box.layer is not add_psf(viewer, "generate")
    repaired = add_psf(viewer, "check")
    assert form.layer_box.layer is repaired


def test_the_psf_follows_the_image_until_one_is_chosen(open_dock: Callable[..., Any]) -> None:
    dock = open_dock()
    viewer, box = dock.viewer, dock.psf_form.layer_box
    flat, other = viewer.layers["spots"], viewer.add_image(np.ones((32, 32)), name="day 2", **PLACED)
    stack = viewer.add_image(np.ones((8, 32, 32)), name="stack")
    psfs = {name: viewer.add_image(np.ones((3, 3)), name=name, visible=False) for name in ("day 2 PSF", "any PSF")}
    deep = viewer.add_image(np.ones((3, 3, 3)), name="deep PSF", visible=False)
    assert box.layer is viewer.layers["spots PSF"]
    for image, psf in ((other, psfs["day 2 PSF"]), (stack, deep), (flat, viewer.layers["spots PSF"])):
        dock.image_box.choose(image)
        assert box.layer is psf
    dock.image_box.choose(stack)
    dock.axes_form.meanings[0].setCurrentIndex(dock.axes_form.meanings[0].findText("time"))
    assert box.layer.ndim == 2
    box.choose(psfs["any PSF"])
    for image in (other, flat):
        dock.image_box.choose(image)
        assert box.layer is psfs["any PSF"]


@pytest.mark.parametrize("kind", ["main", "compare"])
def test_a_psf_of_other_axes_is_refused_before_the_run(open_dock: Callable[..., Any], kind: str) -> None:
    """The run began, imported, and added a preview layer, before it said so."""
    dock = open_dock()
    if kind == "compare":
        dock = open_compare(dock.viewer, dock.viewer.layers["spots"])
    dock.psf_form.layer_box.choose(dock.viewer.add_image(np.ones((3, 3, 3)), name="deep PSF", visible=False))
    dock.run_panel.train_button.click()
    assert not dock.busy
    assert "'deep PSF' has 3 axes and the image 'spots' has 2" in dock.run_panel.status.text()
