"""The instant result in the dock: first the layer, then training improves it, and Revert goes back."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QLabel

from napari_selfdeconv import api
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, snapshot
from napari_selfdeconv._gui.layers.results import FillingResult, WholeResult
from napari_selfdeconv._gui.panels.revert import RevertButton
from napari_selfdeconv._gui.panels.run import RunPanel
from napari_selfdeconv._gui.runs.controller import RunController
from napari_selfdeconv.events import Filling, Interim, Preview, Progress, Started

NAME = "spots [deconvolved]"


def names(dock: Any) -> list[str]:
    return [layer.name for layer in dock.viewer.layers]


def interim(value: float, step: int, *, improves: bool = True, refined: bool = True) -> Interim:
    image = np.full((64, 64), value, np.float32)
    provenance = {"steps_done": step, "kept_share": 1.0}
    psf = np.ones((3, 3), np.float32)
    return Interim(step=step, image=image, provenance=provenance, psf=psf, improves=improves, refined=refined)


def final(value: float, share: float = 1.0) -> Any:
    model = SimpleNamespace(given_psf=np.ones((3, 3), np.float32))
    told = {"steps_done": 9, "kept_share": share}
    return SimpleNamespace(image=np.full((64, 64), value, np.float32), model=model, provenance=told)


@pytest.fixture
def result(make_napari_viewer: Callable[..., Any]) -> tuple[Any, WholeResult]:
    viewer = make_napari_viewer(show=False)
    source = snapshot(viewer.add_image(np.eye(64), name="spots", scale=(0.1, 0.1), units=("um", "um")))
    return viewer, WholeResult(viewer, source, lambda: False, {"optics": "known"})


def shown(viewer: Any) -> tuple[float, int]:
    layer = viewer.layers[NAME]
    return float(layer.data[0, 0]), int(layer.metadata[METADATA_KEY]["steps_done"])


def test_one_layer_improves_in_place_and_goes_back(result: tuple[Any, WholeResult]) -> None:
    viewer, whole = result
    whole.show_event(interim(1, 0))
    assert shown(viewer) == (1, 0)
    whole.show_event(interim(2, 5))
    assert shown(viewer) == (2, 5)
    assert not whole.reverts
    assert viewer.layers.selection == {viewer.layers["spots"]}
    whole.finish(final(3))
    assert shown(viewer) == (3, 9)
    assert viewer.layers.selection == {viewer.layers[NAME]}
    assert [layer.name for layer in viewer.layers] == ["spots", NAME]
    about = viewer.layers[NAME].metadata[METADATA_KEY]
    assert about["role"] == "result"
    assert about["optics"] == "known"
    assert about["psf"].shape == (3, 3)
    button = RevertButton()
    button.offer(whole)
    said: list[str] = []
    button.reverted.connect(said.append)
    button.click()
    assert shown(viewer) == (1, 0)
    assert button.text() == "Trained"
    button.click()
    assert shown(viewer) == (3, 9)
    assert said == [
        "The layer shows the instant result.",
        "The layer shows the result of the training.",
    ]
    viewer.layers.remove(NAME)
    button.click()
    assert not button.isVisibleTo(None)


def test_the_refined_instant_result_of_a_stack_is_what_one_goes_back_to(result: tuple[Any, WholeResult]) -> None:
    viewer, whole = result
    whole.show_event(interim(1, 0, refined=False))
    assert shown(viewer) == (1, 0)
    whole.show_event(interim(2, 0))
    assert shown(viewer) == (2, 0)
    assert not whole.reverts
    whole.finish(final(3))
    whole.revert()
    assert shown(viewer) == (2, 0)
    assert [layer.name for layer in viewer.layers] == ["spots", NAME]


def test_a_result_that_was_asked_for_is_a_layer_of_its_own(result: tuple[Any, WholeResult]) -> None:
    viewer, whole = result
    whole.show_event(interim(1, 0))
    whole.show_event(interim(2, 5, improves=False))
    assert [layer.name for layer in viewer.layers] == ["spots", NAME, "spots [network, step 5]"]
    assert shown(viewer) == (1, 0)


def test_a_cancelled_run_leaves_the_instant_result(result: tuple[Any, WholeResult]) -> None:
    viewer, whole = result
    whole.show_event(interim(1, 0))
    whole.show_event(interim(2, 5))
    whole.discard()
    assert shown(viewer) == (1, 0)


def test_training_that_gained_nothing_leaves_nothing_to_go_back_to(result: tuple[Any, WholeResult]) -> None:
    viewer, whole = result
    whole.show_event(interim(1, 0))
    whole.finish(final(1, share=0.0))
    assert shown(viewer) == (1, 9)
    assert not whole.reverts


def test_a_deleted_layer_comes_back_at_the_end_only(result: tuple[Any, WholeResult]) -> None:
    viewer, whole = result
    whole.show_event(interim(1, 0))
    viewer.layers.remove(NAME)
    whole.show_event(interim(2, 5))
    assert NAME not in viewer.layers
    whole.finish(final(3))
    assert shown(viewer) == (3, 9)


@pytest.mark.parametrize("cancelled", [False, True])
def test_the_part_in_view_is_shown_until_the_result_on_disk_is_complete(
    result: tuple[Any, WholeResult], cancelled: bool
) -> None:
    viewer, _ = result
    filling = FillingResult(viewer, snapshot(viewer.layers["spots"]), (0.0, 2.0), lambda: False)
    viewer.add_image(np.eye(8), name="spots [preview]", metadata={METADATA_KEY: {"role": "preview"}})
    viewer.layers.selection = {viewer.layers["spots"]}
    name = "spots [part in view]"
    for step in (0, 40):
        image = np.full((20, 30), step, np.float32)
        filling.show_event(Interim(step=step, image=image, provenance={}, improves=True, offset=(8, 10)))
    part = viewer.layers[name]
    assert (part.data.max(), tuple(part.contrast_limits)) == (40, (0, 2))
    np.testing.assert_allclose((part.translate, part.scale), ((0.8, 1.0), (0.1, 0.1)))
    assert viewer.layers.selection == {viewer.layers["spots"]}
    tiles = np.zeros((64, 64), np.float32)
    filling.show_event(Filling(image=tiles))
    assert [layer.name for layer in viewer.layers] == ["spots", NAME, name, "spots [preview]"]
    if cancelled:
        filling.discard()
        assert [layer.name for layer in viewer.layers] == ["spots", "spots [preview]"]
        return
    filling.finish(SimpleNamespace(provenance={}))
    assert [layer.name for layer in viewer.layers] == ["spots", NAME, "spots [preview]"]
    assert viewer.layers[NAME].data is tiles


@pytest.mark.parametrize("step", [0, 120])
def test_a_narrow_dock_says_what_the_result_is_before_the_name_of_its_layer(step: int, qtbot: Any) -> None:
    panel = RunPanel()
    qtbot.addWidget(panel)
    panel._kept = lambda: ["2026-11-27 HeLa 63x oil 488 nm [part in view]", "another [network, step 5]"]
    panel.status.resize(306, 20)
    panel.show_event(Interim(step=step, image=np.zeros((4, 4)), provenance={}, improves=True, offset=(0, 0)))
    what = f"Result of step {step}" if step else "Instant result"
    assert QLabel.text(panel.status).startswith(f"{what} of the part in view")
    assert "488 nm [part in view]." in panel.status.text()


def test_after_the_instant_result_the_bar_no_longer_tells_of_its_last_stage(qtbot: Any) -> None:
    panel = RunPanel()
    qtbot.addWidget(panel)
    panel.show_event(Progress(stage="refine", step=5, steps=5, seconds=1.0, eta_s=0.0))
    assert "5/5" in panel.bar.text()
    panel.show_event(Interim(step=0, image=np.zeros((4, 4)), provenance={}, improves=True))
    assert panel.bar.text() == "Preparing the training …"
    panel.show_event(Progress(stage="train", step=3, steps=9, seconds=1.0, eta_s=2.0))
    panel.show_event(Interim(step=3, image=np.zeros((4, 4)), provenance={}, improves=True))
    assert "3/9" in panel.bar.text()


def test_the_first_result_of_a_stack_is_said_to_be_refined_now(qtbot: Any) -> None:
    panel = RunPanel()
    qtbot.addWidget(panel)
    panel._kept = lambda: [NAME]
    panel.show_event(Progress(stage="predict", step=5, steps=5, seconds=1.0, eta_s=0.0))
    panel.show_event(Interim(step=0, image=np.zeros((4, 4)), provenance={}, improves=True, refined=False))
    assert panel.status.text() == f"First result; it is refined now. The layer is {NAME}."
    assert panel.status.kind == "good"
    panel.show_event(Progress(stage="refine", step=2, steps=80, seconds=1.0, eta_s=2.0))
    assert panel.status.text().startswith("First result")
    assert "2/80" in panel.bar.text()


def test_the_instant_result_is_still_named_when_the_first_step_begins(qtbot: Any) -> None:
    panel = RunPanel()
    qtbot.addWidget(panel)
    panel._kept = lambda: [NAME]
    begins = Started(
        device="cpu", device_reason="no GPU", precision="float32", parameters=1, steps=9, symmetries=8
    )
    panel.start("Training", trains=True)
    panel.show_event(Interim(step=0, image=np.zeros((4, 4)), provenance={}, improves=True))
    panel.show_event(begins)
    assert panel.status.text().startswith(f"Instant result. Training goes on. The layer is {NAME}. On cpu")
    assert panel.status.kind == "good"
    panel.start("Training", trains=True)
    panel.show_event(begins)
    assert panel.status.text().startswith("On cpu")


def test_a_stack_that_is_not_trained_on_shows_no_training(qtbot: Any) -> None:
    panel = RunPanel()
    qtbot.addWidget(panel)
    begins = Started(
        device="cpu", device_reason="no GPU", precision="float32", parameters=1, steps=0, symmetries=8
    )
    panel.start("Training", trains=True)
    assert not panel.pause_button.isHidden()
    assert not panel.plot.isHidden()
    panel.show_event(begins)
    assert panel.pause_button.isHidden()
    assert panel.use_button.isHidden()
    assert panel.plot.isHidden()
    assert panel.cancel_button.isEnabled()


def test_a_run_without_a_step_leaves_no_empty_plot(qtbot: Any) -> None:
    panel = RunPanel()
    qtbot.addWidget(panel)
    for steps in (0, 1):
        panel.start("Training", trains=True)
        assert not panel.plot.isHidden()
        if steps:
            panel.show_event(
                Progress(stage="train", step=1, steps=9, seconds=1.0, eta_s=8.0, losses={"total": 1.0})
            )
        panel.cancelled()
        assert panel.plot.isHidden() == (steps == 0)


def test_the_dock_shows_the_instant_result_and_trains_on(
    open_dock: Callable[..., Any], finish: Callable[..., None], qtbot: Any
) -> None:
    dock = open_dock()
    said: list[str] = []
    steps: list[int] = []

    def look(event: Any) -> None:
        if isinstance(event, Interim):
            said.append(dock.run_panel.status.text())
            steps.append(dock.viewer.layers[NAME].metadata[METADATA_KEY]["steps_done"])

    dock.runs.happened.connect(look)
    dock.train()
    finish(dock)
    assert steps[0] == 0
    assert f"Instant result. Training goes on. The layer is {NAME}." in said[0]
    about = dock.viewer.layers[NAME].metadata[METADATA_KEY]
    assert about["steps_done"] == 3 or about["kept_share"] == 0
    assert names(dock).count(NAME) == 1
    assert dock.run_panel.revert_button.isHidden() == (about["kept_share"] == 0)


def test_instant_in_the_dock_trains_nothing(
    open_dock: Callable[..., Any], finish: Callable[..., None], qtbot: Any
) -> None:
    dock = open_dock()
    form = dock.train_form
    form.preset.setCurrentIndex(form.preset.findData("instant"))
    assert not form.loss.isEnabled()
    assert not form.steps.isEnabled()
    assert form.note.text().startswith("No training step, ")
    dock.train()
    assert dock.run_panel.pause_button.isHidden()
    finish(dock)
    assert dock.viewer.layers[NAME].metadata[METADATA_KEY]["steps_done"] == 0
    assert dock.run_panel.revert_button.isHidden()


def test_another_psf_refreshes_the_preview_of_the_view(
    open_dock: Callable[..., Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock = open_dock()
    asked: list[tuple[Any, Any]] = []

    def instant(image: np.ndarray, psf: np.ndarray, _config: Any, *, region: Any, **_: Any) -> Any:
        asked.append((psf, region))
        return Preview(step=0, image=np.full((9, 8), len(asked), np.float32), offset=(0, 0))

    monkeypatch.setattr(api, "preview_region", instant)
    dock.live.psf_changed()
    assert not dock.live._timer.isActive()  # there is no result yet
    dock.live.follow(dock.image_box.layer)
    for _ in range(3):
        dock.psf_form.changed.emit()
    qtbot.waitUntil(
        lambda: "spots [preview]" in names(dock) and dock.viewer.layers["spots [preview]"].visible, timeout=20_000
    )
    assert dock.viewer.layers["spots [preview]"].data.shape == (9, 8)
    assert len(asked) == 1
    assert asked[0][1] is not None
    dock.live.follow(None)
    assert "spots [preview]" not in names(dock)


def test_no_preview_of_a_psf_while_training(
    open_dock: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    dock = open_dock()
    dock.live.follow(dock.image_box.layer)
    monkeypatch.setattr(RunController, "busy", property(lambda _self: True))
    dock.psf_form.changed.emit()
    assert not dock.live._timer.isActive()
