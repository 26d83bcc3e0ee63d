"""The dock at work, with the real computation: results, previews, stopping, failing, closing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication
from superqt.utils import WorkerBase

from napari_selfdeconv import api
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, looked_at
from napari_selfdeconv._gui.runs.failure import explain
from napari_selfdeconv._gui.runs.psf_choice import MeasuredPsf
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.errors import ComputeError, OutOfMemory
from napari_selfdeconv.events import Warned

FOREVER = 1_000_000


def names(dock: Any) -> list[str]:
    return [layer.name for layer in dock.viewer.layers]


def no_worker_left() -> bool:
    return not WorkerBase._worker_set


def test_the_result_lies_where_the_image_lies(open_dock: Callable[..., Any], finish: Callable[..., None]) -> None:
    placed = {
        "scale": (0.2, 0.1),
        "translate": (3, 4),
        "rotate": 20,
        "shear": (0.1,),
        "affine": np.diag([2.0, 1.0, 1.0]),
        "units": ("um", "um"),
        "axis_labels": ("y", "x"),
        "blending": "additive",
    }
    dock = open_dock(**placed)
    dock.run_panel.train_button.click()
    assert dock.busy
    assert not dock.run_panel.train_button.isEnabled()
    finish(dock)
    assert names(dock) == ["spots", "spots PSF", "spots [deconvolved]"]
    source, result = dock.viewer.layers["spots"], dock.viewer.layers["spots [deconvolved]"]
    assert result.data.shape == source.data.shape
    assert result.data.dtype == np.float32
    assert np.allclose(result.data_to_world((5, 7)), source.data_to_world((5, 7)))
    for name in ("units", "axis_labels", "blending"):
        assert getattr(result, name) == getattr(source, name)
    told = result.metadata[METADATA_KEY]
    assert (told["source"], told["config"]["optimiser"]["steps"], told["seed"]) == ("spots", 3, 0)
    assert told["voxel_um"] == [0.2, 0.1]
    assert dock.run_panel.status.text().startswith("Deconvolved in")
    assert "cpu" in dock.run_panel.status.text()
    assert dock.run_panel.train_button.isEnabled()
    assert dock.run_panel.plot.points > 0


def test_the_dock_and_the_api_agree(open_dock: Callable[..., Any], finish: Callable[..., None]) -> None:
    dock = open_dock()
    dock.train_form.seed.setValue(5)
    dock.train()
    finish(dock)
    image, psf = dock.viewer.layers["spots"].data, dock.viewer.layers["spots PSF"].data
    expected = api.deconvolve(image, psf, preset("quick", 2, steps=3, patch=16, seed=5)).image
    assert np.array_equal(dock.viewer.layers["spots [deconvolved]"].data, expected)


def test_preview_then_stop_keeps_the_result(
    open_dock: Callable[..., Any], finish: Callable[..., None], qtbot: Any
) -> None:
    dock = open_dock(steps=FOREVER)
    viewer = dock.viewer
    viewer.layers.selection = {viewer.layers["spots"]}
    dock.train()
    qtbot.waitUntil(lambda: "spots [preview]" in viewer.layers, timeout=60_000)
    preview = viewer.layers["spots [preview]"]
    assert viewer.layers.selection.active is viewer.layers["spots"]
    assert np.allclose(preview.extent.world, viewer.layers["spots"].extent.world)
    first = preview.data
    qtbot.waitUntil(lambda: preview.data is not first, timeout=60_000)
    dock.run_panel.stop_button.click()
    assert dock.run_panel.stop_button.text() == "Stopping …"
    finish(dock)
    assert names(dock) == ["spots", "spots PSF", "spots [deconvolved]"]
    assert "stopped after step" in dock.run_panel.status.text()
    assert viewer.layers["spots [deconvolved]"].metadata[METADATA_KEY]["stopped"]


def test_cancel_leaves_the_instant_result_and_the_dock_is_live_again(
    open_dock: Callable[..., Any], finish: Callable[..., None], under_way: Callable[..., None]
) -> None:
    dock = open_dock(steps=FOREVER)
    dock.train()
    under_way(dock)
    dock.run_panel.cancel_button.click()
    assert dock.run_panel.cancel_button.text() == "Cancelling …"
    finish(dock)
    assert names(dock) == ["spots", "spots PSF", "spots [deconvolved]"]
    assert dock.viewer.layers["spots [deconvolved]"].metadata[METADATA_KEY]["steps_done"] == 0
    assert dock.run_panel.status.text() == "Cancelled. This layer stays: spots [deconvolved]."
    assert dock.run_panel.train_button.isEnabled()
    assert dock.compare.rl_button.isEnabled()
    dock.train_form.steps.setValue(2)
    dock.train()
    finish(dock)
    assert "spots [deconvolved]" in dock.viewer.layers


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "smaller patch or tile"),
        (
            OutOfMemory("this computer ran out of memory", "set a smaller patch or tile"),
            "Set a smaller patch or tile.",
        ),
        (RuntimeError("a torch shape error"), "report it"),
        (MemoryError(), "smaller patch or tile"),
        (ComputeError("the loss is no longer finite"), "another seed"),
        (StopIteration(), "report it"),
        (SystemExit(3), "SystemExit(3)"),
        (KeyboardInterrupt(), "KeyboardInterrupt()"),
        (GeneratorExit(), "GeneratorExit()"),
    ],
)
@pytest.mark.usefixtures("train_once")
def test_an_error_in_the_worker_shows_the_remedy_and_the_next_run_works(
    open_dock: Callable[..., Any],
    finish: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    words: str,
) -> None:
    def broken(*_: Any, **__: Any) -> Generator[None, None, None]:
        yield None
        raise error

    reported: list[BaseException] = []
    monkeypatch.setattr(
        "napari_selfdeconv._gui.runs.controller.notification_manager.receive_error",
        lambda _kind, value, _traceback: reported.append(value),
    )
    dock = open_dock()
    with monkeypatch.context() as only_now:
        only_now.setattr(api, "iter_deconvolve", broken)
        dock.train()
        finish(dock)
    assert dock.run_panel.train_button.isEnabled()
    assert words in dock.run_panel.status.text()
    assert dock.run_panel.status.kind == "error"
    said = dock.run_panel.status.text().lower()
    assert all(said.count(phrase) <= 1 for phrase in ("out of memory", "patch or tile", "seed"))
    assert bool(reported) == ("report it" in said)
    assert all(isinstance(one, Exception) for one in reported)  # napari ends after a KeyboardInterrupt
    assert no_worker_left()
    dock.train()
    finish(dock)
    assert names(dock)[-1] == "spots [deconvolved]"


@pytest.mark.parametrize("error", [ValueError("no value"), RuntimeError("no run"), SystemExit(1)])
def test_an_error_while_a_cancelled_run_clears_up_ends_it_all_the_same(
    open_dock: Callable[..., Any],
    finish: Callable[..., None],
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
) -> None:
    def broken(*_: Any, **__: Any) -> Generator[Any, None, None]:
        try:
            while True:
                yield Warned("at work")
        finally:
            raise error

    monkeypatch.setattr(api, "iter_deconvolve", broken)
    dock = open_dock()
    dock.train()
    qtbot.waitUntil(lambda: dock.run_panel.cancel_button.isEnabled(), timeout=20_000)
    dock.run_panel.cancel_button.click()
    finish(dock)
    assert dock.run_panel.status.text().startswith("Cancelled")
    assert no_worker_left()


def test_a_worker_that_dies_is_no_cancelled_run(
    open_dock: Callable[..., Any], finish: Callable[..., None], qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(_worker: Any) -> None:
        raise ValueError("of the worker itself")

    monkeypatch.setattr("napari_selfdeconv._gui.runs.worker._TokenWorker.work", dies)
    dock = open_dock()
    with qtbot.capture_exceptions() as raised:
        dock.train()
        finish(dock)
    assert "of the worker itself" in str(raised[0][1])
    assert "ended without a result" in dock.run_panel.status.text()
    assert dock.run_panel.train_button.isEnabled()


def test_an_error_of_the_api_is_shown_in_its_own_words(
    open_dock: Callable[..., Any], finish: Callable[..., None]
) -> None:
    dock = open_dock(image=np.ones((32, 32), np.float32))
    dock.train()
    finish(dock)
    assert "constant" in dock.run_panel.status.text()
    assert names(dock) == ["spots", "spots PSF"]


def test_a_warning_is_shown_and_the_run_goes_on(
    open_dock: Callable[..., Any], finish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = MeasuredPsf.kernel
    monkeypatch.setattr(MeasuredPsf, "kernel", lambda self, image: (kernel(self, image)[0], ["the bead is large"]))
    dock = open_dock()
    dock.train()
    finish(dock)
    assert "the bead is large" in dock.run_panel.remarks.text()
    assert "spots [deconvolved]" in dock.viewer.layers


def test_closing_the_dock_ends_the_run(
    open_dock: Callable[..., Any], under_way: Callable[..., None], qtbot: Any
) -> None:
    dock = open_dock(steps=FOREVER)
    viewer = dock.viewer
    dock.train()
    under_way(dock)
    viewer.window.remove_dock_widget(dock)
    del dock
    qtbot.waitUntil(no_worker_left, timeout=20_000)
    qtbot.waitUntil(lambda: "spots [preview]" not in viewer.layers, timeout=20_000)
    assert viewer.layers["spots [deconvolved]"].metadata[METADATA_KEY]["steps_done"] == 0
    # A closed dock must not hear of the viewer any more: its widgets are gone.
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    viewer.layers["spots"].name = "renamed"
    viewer.layers["renamed"].scale = (1, 2)
    viewer.add_image(np.zeros((8, 8)))


def test_a_dock_may_be_moved_to_another_place(open_dock: Callable[..., Any], qtbot: Any) -> None:
    dock = open_dock()
    viewer = dock.viewer
    viewer.window.remove_dock_widget(dock)
    viewer.window.add_dock_widget(dock, area="left")
    qtbot.wait(50)
    viewer.layers["spots"].name = "renamed"
    assert dock.image_box.combo.currentText() == "renamed"


def test_closing_the_viewer_ends_the_run(
    open_dock: Callable[..., Any], under_way: Callable[..., None], qtbot: Any
) -> None:
    dock = open_dock(steps=FOREVER)
    dock.train()
    under_way(dock)
    token = dock.runs.run.token
    dock.viewer.close()
    del dock
    assert token.cancelled
    qtbot.waitUntil(no_worker_left, timeout=20_000)


def test_layers_may_be_renamed_and_deleted_during_the_run(
    open_dock: Callable[..., Any], finish: Callable[..., None], qtbot: Any
) -> None:
    dock = open_dock(steps=FOREVER)
    viewer = dock.viewer
    dock.train()
    qtbot.waitUntil(lambda: "spots [preview]" in viewer.layers, timeout=60_000)
    viewer.layers.remove("spots [preview]")
    viewer.layers["spots"].name = "renamed"
    steps = dock.run_panel.plot.points
    qtbot.waitUntil(lambda: dock.run_panel.plot.points > steps + 12, timeout=60_000)
    assert names(dock) == ["renamed", "spots PSF", "renamed [deconvolved]"]
    viewer.layers.clear()
    dock.run_panel.stop_button.click()
    finish(dock)
    assert names(dock) == ["renamed [deconvolved]"]


def test_a_stack_is_previewed_around_the_plane_in_view(open_dock: Callable[..., Any]) -> None:
    dock = open_dock(image=np.zeros((64, 40, 48), np.float32), scale=(0.5, 0.1, 0.1), units=("um",) * 3)
    viewer, layer = dock.viewer, dock.viewer.layers["spots"]
    viewer.dims.set_current_step(0, 40)
    region = looked_at(viewer, layer)
    assert region == (slice(36, 44), slice(0, 40), slice(0, 48))
    viewer.dims.set_current_step(0, 0)
    assert looked_at(viewer, layer)[0] == slice(0, 8)
    viewer.layers.remove(layer)
    assert looked_at(viewer, layer) is None


def test_a_stack_gives_a_stack(open_dock: Callable[..., Any], finish: Callable[..., None]) -> None:
    image = np.random.default_rng(0).random((9, 24, 24)).astype(np.float32)
    dock = open_dock(image=image, steps=2, scale=(0.5, 0.1, 0.1), units=("um",) * 3)
    dock.train()
    finish(dock)
    result = dock.viewer.layers["spots [deconvolved]"]
    assert result.data.shape == image.shape
    assert tuple(result.scale) == (0.5, 0.1, 0.1)


def test_the_computation_is_imported_in_the_background(open_dock: Callable[..., Any]) -> None:
    open_dock()
    for thread in threading.enumerate():
        if thread.name == "selfdeconv-warm-up":
            thread.join(60)
    import sys

    assert "napari_selfdeconv.api" in sys.modules


def test_explanations_keep_no_arrays_alive() -> None:
    def work() -> None:
        big = np.zeros(8)
        raise RuntimeError(f"shape {big.shape}")

    with pytest.raises(RuntimeError) as caught:
        work()
    failure = explain(caught.value)
    assert "big" not in caught.traceback[-1].frame.f_locals
    assert "shape (8,)" in failure.message


def test_an_image_with_nan_says_where_they_are_left_out(
    open_dock: Callable[..., Any], finish: Callable[..., None]
) -> None:
    image = np.random.default_rng(0).normal(100, 9, (64, 64)).astype(np.float32)
    image[:3] = np.nan
    dock = open_dock(image=image)
    dock.train()
    finish(dock)
    said = dock.run_panel.status.text()
    assert "192 NaN" in said
    choice = dock.camera_panel.pixels.findText("leave out, and NaN")
    assert choice >= 0
    assert "under 'Camera and pixels' choose 'leave out, and NaN'" in said


def test_a_flat_psf_for_a_stack_says_that_the_first_axis_may_be_no_depth(
    open_dock: Callable[..., Any], finish: Callable[..., None]
) -> None:
    dock = open_dock()
    movie = dock.viewer.add_image(np.random.default_rng(0).random((3, 64, 64)), name="movie")
    dock.image_box.choose(movie)
    dock.train()
    finish(dock)
    assert "choose time or channel for its first axis" in dock.run_panel.status.text()


def test_the_size_of_a_colour_picture_is_that_of_its_plane(open_dock: Callable[..., Any]) -> None:
    dock = open_dock()
    dock.image_box.choose(dock.viewer.add_image(np.zeros((20, 30, 3), np.uint8), rgb=True, name="picture"))
    assert dock.image_note.text().startswith("20 × 30 in colour")
