"""Training, live: curves, previews, pause, results on request, continuing, and a viewer that changes meanwhile."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication
from superqt.utils import WorkerBase

from napari_selfdeconv._gui.layers.exchange import METADATA_KEY
from napari_selfdeconv._gui.layers.preview import BOX_NAME
from napari_selfdeconv._gui.panels.plots import HELD_OUT
from napari_selfdeconv._gui.panels.run_words import pace
from napari_selfdeconv.config.loss_terms import LOSS_TERMS, LOSSES
from napari_selfdeconv.events import Filling, Finished, Progress, Started, Warned

FOREVER = 1_000_000


def names(dock: Any) -> list[str]:
    return [layer.name for layer in dock.viewer.layers]


def started(**changes: Any) -> Started:
    values: dict[str, Any] = dict(
        device="cpu",
        device_reason="PyTorch sees no GPU",
        precision="float32",
        parameters=1,
        steps=100,
        symmetries=8,
    )
    return Started(**{**values, **changes})


def progress(step: int, held_out: float | None = None) -> Progress:
    losses = {"total": 1.0 / step, "bsp": 0.9 / step, "tv": 0.01}
    return Progress(
        stage="train", step=step, steps=100, seconds=step / 4, eta_s=9.0, losses=losses, held_out=held_out
    )


def test_the_curves_of_the_loss_its_terms_and_the_held_out_error(
    open_dock: Callable[..., Any], qtbot: Any
) -> None:
    panel = open_dock().run_panel
    panel.start("Training", trains=True)
    panel.show_event(started())
    for step in range(1, 60):
        panel.show_event(progress(step, held_out=2.0 / step if step % 10 == 0 else None))
    plot = panel.plot
    found = {curve.name: len(curve.x) for curve in plot.curves()}
    assert found == {"loss": 59, HELD_OUT: 5, "hidden pixels": 59, "total variation": 59}
    panel.show_event(Finished(seconds=1.0, steps_done=59, stopped=False, converged=True, refined_iterations=12))
    assert plot.ended_at == 59
    panel.succeeded("Deconvolved")
    assert "stopped automatically after step 59: the held-out error no longer fell" in panel.status.text()
    assert "Refined by 12 iterations of Richardson-Lucy" in panel.status.text()
    assert "initial" not in panel.status.text()


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (0.0, "did not improve the prediction of held-out pixels: the initial weights were used"),
        (0.5, "the weights are 50% of the way to the trained ones"),
    ],
)
def test_the_dock_says_how_much_of_the_training_was_kept(
    open_dock: Callable[..., Any], share: float, said: str
) -> None:
    panel = open_dock().run_panel
    panel.show_event(Finished(seconds=1.0, steps_done=100, stopped=False, kept_share=share))
    panel.succeeded("Deconvolved")
    assert said in panel.status.text()


def test_pace_device_and_remedy_are_shown(open_dock: Callable[..., Any]) -> None:
    panel = open_dock().run_panel
    panel.start("Training", trains=True)
    panel.show_event(started(remedy="Install the CUDA build."))
    assert panel.status.text() == "On cpu (float32): PyTorch sees no GPU. Install the CUDA build."
    panel.show_event(progress(8))
    assert panel.bar.text() == "Training 8/100 · 9 s left · 4.0 steps/s"
    assert pace(1, 8.14) == "8.1 s a step"
    panel.idle()


def test_the_status_says_that_a_series_shows_instant_frames(open_dock: Callable[..., Any]) -> None:
    panel = open_dock().run_panel
    panel.start("Training", trains=True)
    panel.show_event(Filling(image=np.zeros((2, 4, 4)), instant=True))
    panel.show_event(started())
    assert panel.status.text().startswith("Instant result of one frame of each channel.")
    panel.start("Training", trains=True)
    panel.show_event(started())
    assert "instant" not in panel.status.text()


def test_a_run_that_begins_anew_is_shown(open_dock: Callable[..., Any]) -> None:
    panel = open_dock().run_panel
    panel.start("Training", trains=True)
    panel.show_event(started())
    panel.show_event(progress(5))
    panel.show_event(Warned("Training collapsed (the result became flat); it begins anew with seed 1."))
    panel.show_event(started())
    assert panel.plot.points == 0
    assert "begins anew with seed 1" in panel.remarks.text()
    panel.idle()


def test_an_interim_result_says_what_is_done_for_it(open_dock: Callable[..., Any]) -> None:
    """It has several parts, each with a progress of its own."""
    panel = open_dock().run_panel
    panel.start("Training", trains=True)
    panel.show_event(started())
    panel.show_event(progress(5))
    for part, said in (("predict", "Deconvolving 50%"), ("refine", "Refining 50%")):
        panel.show_event(Progress(stage="interim", part=part, step=2, steps=4, seconds=1.0, eta_s=1.0))
        assert panel.status.text() == f"{said} with what has been learned so far"
    assert panel.bar.value() == 5


def test_pause_use_now_resume_and_stop(
    open_dock: Callable[..., Any], finish: Callable[..., None], under_way: Callable[..., None], qtbot: Any
) -> None:
    dock = open_dock(steps=FOREVER)
    panel = dock.run_panel
    dock.train()
    under_way(dock)
    panel.pause_button.click()
    assert panel.pause_button.text() == "Resume"
    qtbot.wait(300)
    held = panel.plot.points
    qtbot.wait(300)
    assert panel.plot.points == held
    texts: list[str] = []
    dock.runs.happened.connect(lambda _event: texts.append(panel.bar.text()))
    panel.use_button.click()
    assert not panel.use_button.isEnabled()
    qtbot.waitUntil(lambda: any("network, step" in name for name in names(dock)), timeout=60_000)
    (interim,) = [layer for layer in dock.viewer.layers if "network, step" in layer.name]
    assert interim.data.shape == dock.viewer.layers["spots"].data.shape
    step = interim.metadata[METADATA_KEY]["steps_done"]
    assert interim.name == f"spots [network, step {step}]"
    qtbot.waitUntil(panel.use_button.isEnabled, timeout=60_000)
    assert panel.status.text().startswith(f"Added {interim.name}. Paused")
    # The bar says how far training is, whatever else is computed meanwhile; the preview stays on top.
    assert all(text.startswith("Training") for text in texts)
    assert dock.viewer.layers[-1].name == "spots [preview]"
    assert dock.busy
    panel.pause_button.click()
    assert panel.pause_button.text() == "Pause"
    qtbot.waitUntil(lambda: panel.plot.points > held, timeout=60_000)
    panel.stop_button.click()
    finish(dock)
    assert "spots [deconvolved]" in names(dock)


def test_training_is_continued_from_the_last_model(
    open_dock: Callable[..., Any], finish: Callable[..., None]
) -> None:
    dock = open_dock()
    panel = dock.run_panel
    assert panel.continue_button.isHidden()
    dock.train()
    finish(dock)
    first = dock.model
    assert first.provenance["steps_done"] == 3
    assert not panel.continue_button.isHidden()
    panel.continue_button.click()
    finish(dock)
    told = dock.viewer.layers["spots [deconvolved] [1]"].metadata[METADATA_KEY]
    assert told["continued_from"]["steps_done"] == 3
    assert dock.model is not first


def test_the_stop_can_be_left_to_the_user(open_dock: Callable[..., Any]) -> None:
    form = open_dock(steps=40).train_form
    assert form.config(2).optimiser.auto_stop
    form.auto_stop.setChecked(False)
    assert not form.config(2).optimiser.auto_stop
    form.preset.setCurrentIndex(form.preset.findData("paper"))
    assert not form.auto_stop.isEnabled()
    form.auto_stop.setChecked(True)
    assert not form.config(2).optimiser.auto_stop


def test_a_loss_that_is_added_is_in_the_dock(
    open_dock: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOSS_TERMS, "dummy", LOSS_TERMS["tv"]._replace(label="dummy term"))
    monkeypatch.setitem(LOSSES, "dummy_loss", LOSSES["noise2self"]._replace(label="a dummy"))
    dock = open_dock()
    loss = dock.train_form.loss
    assert loss.itemText(loss.findData("dummy_loss")) == "a dummy"
    dock.run_panel.plot.add(1, {"total": 1.0, "dummy": 0.5})
    assert {curve.name for curve in dock.run_panel.plot.curves()} == {"loss", "dummy term"}


def test_the_start_can_be_random(open_dock: Callable[..., Any]) -> None:
    form = open_dock(steps=40).train_form
    assert form.config(2).start.pretrained
    assert form.steps.specialValueText() == "preset's (42)"
    form.pretrained.setChecked(False)
    assert not form.config(2).start.pretrained
    assert form.steps.specialValueText() == "preset's (350)"
    assert "350 steps from random weights" in form.note.text()
    form.pretrained.setChecked(True)
    # The weights were learned with the preset's own loss; another one starts at random.
    form.loss.setCurrentIndex(form.loss.findData("noise2self"))
    assert not form.pretrained.isEnabled()
    assert not form.config(2).start.pretrained
    assert form.steps.specialValueText() == "preset's (350)"
    form.loss.setCurrentIndex(0)
    form.preset.setCurrentIndex(form.preset.findData("paper"))
    assert not form.pretrained.isEnabled()
    assert not form.config(2).start.pretrained


def test_an_even_border_is_asked_for(open_dock: Callable[..., Any]) -> None:
    form = open_dock(steps=40).train_form
    for name in ("quick", "paper"):
        form.preset.setCurrentIndex(form.preset.findData(name))
        form.even_border.setChecked(False)
        assert not form.config(2).result.even_border
        form.even_border.setChecked(True)
        assert form.config(2).result.even_border


@pytest.mark.parametrize("name", ["refine"])
def test_what_a_preset_adds_can_be_turned_off(open_dock: Callable[..., Any], name: str) -> None:
    form = open_dock(steps=40).train_form
    switch = getattr(form, name)
    assert getattr(form.config(2).result, name)
    switch.setChecked(False)
    assert not getattr(form.config(2).result, name)
    switch.setChecked(True)
    form.preset.setCurrentIndex(form.preset.findData("paper"))
    assert not switch.isEnabled()
    assert not getattr(form.config(2).result, name)


def test_reblurred_and_residual_previews(
    open_dock: Callable[..., Any], finish: Callable[..., None], qtbot: Any
) -> None:
    dock = open_dock(steps=FOREVER)
    panel, layers = dock.preview_panel, dock.viewer.layers
    panel.reblurred.setChecked(True)
    panel.residual.setChecked(True)
    dock.train()
    wanted = ("spots [preview]", "spots [preview reblurred]", "spots [preview residual]")
    qtbot.waitUntil(lambda: all(name in layers and layers[name].visible for name in wanted), timeout=60_000)
    residual = layers[wanted[2]]
    assert np.allclose(layers[wanted[1]].data + residual.data, layers["spots"].data, atol=1e-3)
    low, high = residual.contrast_limits
    assert low == pytest.approx(-high)
    panel.reblurred.setChecked(False)
    qtbot.waitUntil(lambda: wanted[1] not in layers, timeout=60_000)
    layers.remove(residual)  # one that the user deletes stays away
    shown = layers[wanted[0]].data
    qtbot.waitUntil(lambda: layers[wanted[0]].data is not shown, timeout=60_000)
    assert wanted[2] not in layers
    dock.run_panel.cancel_button.click()
    finish(dock)
    assert names(dock) == ["spots", "spots PSF", "spots [deconvolved]"]


def test_a_box_says_what_to_preview(
    open_dock: Callable[..., Any], finish: Callable[..., None], qtbot: Any
) -> None:
    dock = open_dock(steps=FOREVER, image=np.random.default_rng(0).random((64, 64)).astype(np.float32))
    viewer, panel = dock.viewer, dock.preview_panel
    panel.box_button.click()
    box = viewer.layers[BOX_NAME]
    assert panel.box_button.text() == "Preview the view"
    box.data = [np.array([[10, 20], [10, 44], [40, 44], [40, 20]], float)]
    assert panel.box.region(viewer.layers["spots"]) == (slice(10, 40), slice(20, 44))
    dock.train()
    qtbot.waitUntil(lambda: "spots [preview]" in viewer.layers, timeout=60_000)
    preview = viewer.layers["spots [preview]"]
    qtbot.waitUntil(lambda: preview.data.shape == (30, 24), timeout=60_000)
    assert np.allclose(preview.data_to_world((0, 0)), viewer.layers["spots"].data_to_world((10, 20)))
    viewer.layers.remove(box)
    assert panel.box_button.text() == "Preview a box"
    qtbot.waitUntil(lambda: preview.data.shape != (30, 24), timeout=60_000)
    dock.run_panel.cancel_button.click()
    finish(dock)


def test_a_box_on_a_stack_means_the_planes_in_view(open_dock: Callable[..., Any]) -> None:
    placed = dict(scale=(0.5, 0.1, 0.1), units=("um",) * 3, translate=(3.0, 1.0, 2.0))
    dock = open_dock(image=np.zeros((40, 64, 64), np.float32), **placed)
    dock.viewer.dims.set_current_step(0, 30)
    dock.preview_panel.box_button.click()
    dock.viewer.layers[BOX_NAME].data = [np.array([[10, 20], [10, 44], [40, 44], [40, 20]], float)]
    region = dock.preview_panel.box.region(dock.viewer.layers["spots"])
    assert region[1:] == (slice(10, 40), slice(20, 44))
    assert region[0] == slice(26, 34)


def test_the_result_shares_the_contrast_of_the_image(
    open_dock: Callable[..., Any], finish: Callable[..., None]
) -> None:
    dock = open_dock()
    image = dock.viewer.layers["spots"]
    image.contrast_limits = (90, 400)
    dock.train()
    finish(dock)
    result = dock.viewer.layers["spots [deconvolved]"]
    assert tuple(result.contrast_limits) == (90, 400)
    image.contrast_limits = (100, 300)
    assert tuple(result.contrast_limits) == (100, 300)
    dock.preview_panel.link.setChecked(False)
    dock.train()
    finish(dock)
    other = dock.viewer.layers["spots [deconvolved] [1]"]
    image.contrast_limits = (90, 200)
    assert tuple(other.contrast_limits) != (90, 200)


def test_a_second_run_is_refused_while_one_is_under_way(
    open_dock: Callable[..., Any], finish: Callable[..., None], under_way: Callable[..., None]
) -> None:
    dock = open_dock(steps=FOREVER)
    dock.train()
    under_way(dock)
    run = dock.runs.run
    dock.run_richardson_lucy()
    assert dock.runs.run is run
    assert "stop it first" in dock.run_panel.status.text()
    dock.run_panel.cancel_button.click()
    finish(dock)


def test_two_viewers_train_at_once(
    open_dock: Callable[..., Any], finish: Callable[..., None], under_way: Callable[..., None]
) -> None:
    first, second = open_dock(steps=FOREVER), open_dock(steps=FOREVER)
    for dock in (first, second):
        dock.train()
    for dock in (first, second):
        under_way(dock)
    first.run_panel.cancel_button.click()
    finish(first)
    assert second.busy
    assert first.viewer.layers["spots [deconvolved]"].metadata[METADATA_KEY]["steps_done"] == 0
    second.run_panel.stop_button.click()
    finish(second)
    assert second.viewer.layers["spots [deconvolved]"].metadata[METADATA_KEY]["steps_done"] > 0


def test_layers_may_be_reordered_and_the_plane_changed(
    open_dock: Callable[..., Any], finish: Callable[..., None], qtbot: Any
) -> None:
    dock = open_dock(
        steps=FOREVER, image=np.random.default_rng(0).random((20, 32, 32)).astype(np.float32),
        scale=(0.5, 0.1, 0.1), units=("um",) * 3,
    )  # fmt: skip
    viewer = dock.viewer
    dock.train()
    qtbot.waitUntil(lambda: "spots [preview]" in viewer.layers, timeout=60_000)
    viewer.layers.reverse()
    viewer.dims.set_current_step(0, 3)
    preview = viewer.layers["spots [preview]"]
    qtbot.waitUntil(lambda: preview.data.shape[0] == 8 and preview.translate[0] == 0, timeout=60_000)
    viewer.dims.ndisplay = 3
    shown = preview.data
    qtbot.waitUntil(lambda: preview.data is not shown, timeout=60_000)
    dock.run_panel.cancel_button.click()
    finish(dock)
    assert set(names(dock)) == {"spots", "spots PSF", "spots [deconvolved]"}


def test_nothing_of_a_closed_run_stays_in_memory(
    open_dock: Callable[..., Any], under_way: Callable[..., None], qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_selfdeconv.training import run as training_run

    made: list[weakref.ref[Any]] = []
    build = training_run.build_network

    def remembered(*arguments: Any) -> Any:
        network = build(*arguments)
        made.append(weakref.ref(network))
        return network

    monkeypatch.setattr(training_run, "build_network", remembered)
    dock = open_dock(steps=FOREVER)
    viewer = dock.viewer
    dock.train()
    under_way(dock)
    viewer.window.remove_dock_widget(dock)
    del dock
    qtbot.waitUntil(lambda: not WorkerBase._worker_set, timeout=20_000)
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    qtbot.wait(50)
    gc.collect()
    assert [network() for network in made] == [None]
