"""The life cycle of runs: one at a time, the newest, stopping in a series, and what is said of an error."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator
from functools import partial
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image
from superqt.utils import WorkerBase

from napari_selfdeconv import api
from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.docks.psf import open_psf
from napari_selfdeconv._gui.layers.exchange import layer_limits
from napari_selfdeconv._gui.runs.controller import Ending, RunController, RunRequest
from napari_selfdeconv._gui.runs.failure import Failure, explain
from napari_selfdeconv._gui.runs.psf import generate_job
from napari_selfdeconv._gui.runs.worker import Discarded, Succeeded
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.events import Event, Progress, Started, drain
from napari_selfdeconv.stop_token import StopToken


def started() -> Started:
    return Started(device="cpu", device_reason="no GPU", precision="float32", parameters=1, steps=9, symmetries=8)


def waiting(value: Any) -> Callable[[StopToken], Generator[Event, None, Any]]:
    """A job that ends when it is told to."""

    def job(token: StopToken) -> Generator[Event, None, Any]:
        yield started()
        while not token.stopped:
            time.sleep(0.002)
        return value

    return job


@pytest.fixture
def runs(qtbot: Any) -> RunController:
    return RunController()


def test_only_the_newest_request_is_answered(runs: RunController, qtbot: Any) -> None:
    shown: list[int] = []
    discarded: list[int] = []
    for number in range(4):
        runs.start_newest(
            RunRequest(
                job=waiting(number),
                what="test",
                on_success=lambda value: str(shown.append(value)),
                on_discard=lambda number=number: discarded.append(number),
            )
        )
    qtbot.waitUntil(lambda: discarded == [0], timeout=10_000)
    assert runs.busy
    runs.stop()
    qtbot.waitUntil(lambda: not runs.busy, timeout=10_000)
    assert shown == [3]
    assert discarded == [0]


def test_a_result_on_its_way_is_not_shown_after_cancel(runs: RunController, qtbot: Any) -> None:
    computed, shown, endings = threading.Event(), [], []
    runs.finished.connect(endings.append)

    def job(_: StopToken) -> Generator[Event, None, int]:
        yield started()
        computed.set()
        return 1

    runs.start(RunRequest(job=job, what="test", on_success=lambda value: str(shown.append(value))))
    assert computed.wait(10)
    time.sleep(0.1)  # no event of Qt is processed here, so the result waits
    runs.cancel()
    qtbot.waitUntil(lambda: not runs.busy, timeout=10_000)
    assert shown == []
    assert [type(ending.outcome) for ending in endings] == [Discarded]


def test_a_result_that_cannot_be_shown_is_a_failure(runs: RunController, qtbot: Any) -> None:
    endings: list[Ending] = []
    discarded: list[bool] = []
    runs.finished.connect(endings.append)

    def show(_value: object) -> str:
        raise MemoryError

    request = RunRequest(job=waiting(1), what="test", on_success=show, on_discard=lambda: discarded.append(True))
    runs.start(request)
    runs.stop()
    qtbot.waitUntil(lambda: bool(endings), timeout=10_000)
    assert not runs.busy
    assert discarded == [True]
    assert isinstance(endings[0].outcome, Failure)
    assert "out of memory" in endings[0].outcome.message


def test_a_closed_run_is_discarded_at_once_and_says_nothing_more(runs: RunController, qtbot: Any) -> None:
    endings: list[Ending] = []
    heard: list[str] = []
    runs.finished.connect(endings.append)
    request = RunRequest(
        job=waiting(1),
        what="test",
        on_success=lambda _value: "never",
        on_discard=lambda: heard.append("discard"),
        on_end=lambda: heard.append("end"),
    )
    runs.start(request)
    runs.close()
    assert not runs.busy
    assert heard == ["end", "discard"]
    qtbot.wait(100)
    assert [type(ending.outcome) for ending in endings] == [Discarded]
    runs.start(RunRequest(job=waiting(2), what="test", on_success=str))
    runs.stop()
    qtbot.waitUntil(lambda: not runs.busy, timeout=10_000)
    assert endings[-1] == Ending(Succeeded(2), "2")


def test_a_run_that_napari_quits_lets_go_of_what_it_holds(runs: RunController, qtbot: Any) -> None:
    held = threading.Event()

    def deaf(_token: StopToken) -> Generator[Event, None, Any]:
        held.set()
        try:
            while True:
                yield started()
                time.sleep(0.002)
        finally:
            held.clear()

    runs.start(RunRequest(job=deaf, what="", on_success=str))
    qtbot.waitUntil(held.is_set)
    with qtbot.waitSignal(runs.finished) as ended:
        # As napari does when the last window closes.
        WorkerBase.await_workers(20_000)
    assert ended.args[0].outcome == Discarded()
    assert not held.is_set()


def test_after_stop_the_next_channel_can_be_paused_and_stopped(
    open_dock: Callable[..., Any], finish: Callable[..., None], monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    held: list[bool] = []

    def two_channels(image: np.ndarray, *_: Any, stop: StopToken, **__: Any) -> Generator[Event, None, Any]:
        for _channel in range(2):
            part = stop.child()
            yield started()
            while not part.stopped:
                held.append(part.paused)
                yield Progress(stage="train", step=1, steps=9, seconds=1.0, eta_s=8.0, losses={"total": 1.0})
                time.sleep(0.005)
        model: Any = SimpleNamespace(psf=np.ones((3, 3)), provenance={})
        return api.SeriesDeconvolution(image=image, models=(model,), provenance={})

    monkeypatch.setattr(api, "iter_deconvolve_series", two_channels)
    dock = open_dock()
    panel, layers = dock.run_panel, dock.viewer.layers
    dock.image_box.choose(dock.viewer.add_image(np.ones((2, 8, 8)), name="two", axis_labels=("c", "y", "x")))
    dock.psf_form.layer_box.choose(layers["spots PSF"])
    dock.train()
    qtbot.waitUntil(lambda: panel.plot.points > 0, timeout=20_000)
    panel.stop_button.click()
    assert panel.stop_button.text() == "Stopping …"
    qtbot.waitUntil(lambda: panel.stop_button.text() == "Stop (keep)", timeout=20_000)
    assert panel.stop_button.isEnabled()
    assert panel.pause_button.isVisibleTo(panel)
    assert not panel.use_button.isVisibleTo(panel)
    panel.pause_button.click()
    qtbot.waitUntil(lambda: held[-1], timeout=20_000)
    panel.pause_button.click()
    qtbot.waitUntil(lambda: not held[-1], timeout=20_000)
    panel.stop_button.click()
    finish(dock)
    assert "Deconvolved" in panel.status.text()


@pytest.mark.parametrize("error", [RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryError()])
def test_an_out_of_memory_message_says_everything_once(error: Exception) -> None:
    failure = explain(error)
    assert failure.unexpected is None
    assert failure.text.lower().count("memory") == 1
    assert failure.remedy


def test_a_model_is_applied_to_an_image_without_voxel_size(
    open_dock: Callable[..., Any], finish: Callable[..., None], script: Any
) -> None:
    dock = open_dock(units=("pixel", "pixel"))
    dock.model_panel.model = script.model()
    dock.psf_form.generated.click()
    dock.model_panel.apply_button.click()
    finish(dock)
    assert "spots [applied]" in dock.viewer.layers
    assert "was not compared with the PSF of the model" in dock.run_panel.remarks.text()


def test_compare_heeds_the_memory_preference(
    open_dock: Callable[..., Any], finish: Callable[..., None], script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari.settings import get_plugin_settings

    monkeypatch.setattr(get_plugin_settings("napari-selfdeconv").compute, "memory_percent", 30)
    viewer = open_dock().viewer
    dock = open_compare(viewer, viewer.layers["spots"], viewer.layers["spots PSF"])
    for tick in dock.methods.ticks.values():
        tick.setChecked(False)
    dock.methods.network.setChecked(True)
    dock.compare()
    finish(dock)
    assert script.calls[0]["tiles"].memory_share == pytest.approx(0.3)


def test_a_psf_is_examined_and_repaired_in_the_worker(
    make_napari_viewer: Callable[..., Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: set[str] = set()

    def watched(name: str, real: Callable[..., Any], *arguments: Any) -> Any:
        in_the_window = threading.current_thread() is threading.main_thread()
        used.add(f"{name} in the window's thread" if in_the_window else name)
        return real(*arguments)

    for name in ("examine_psf", "repair_psf"):
        monkeypatch.setattr(api, name, partial(watched, name, getattr(api, name)))
    viewer = make_napari_viewer()
    viewer.add_image(np.pad(np.ones((3, 3)), ((2, 4), (3, 3))), name="PSF")
    panel = open_psf(viewer).doctor
    panel.examine()
    qtbot.waitUntil(lambda: not panel.busy, timeout=20_000)
    panel.fix_all_button.click()
    qtbot.waitUntil(lambda: not panel.busy and "PSF [repaired]" in viewer.layers, timeout=20_000)
    assert used == {"examine_psf", "repair_psf"}


def test_a_psf_is_generated_without_touching_the_warning_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Any] = []

    optics = Optics(na=0.8, wavelength_um=0.5, refractive_index=1.0)
    work = generate_job(optics, (0.4, 0.4), (16, 16), 0.9, (5, 5))(StopToken())
    with monkeypatch.context() as patch:
        patch.setattr(warnings, "simplefilter", lambda *_: used.append("the filters belong to all threads"))
        result = drain(work)
    assert not used
    assert "cannot be recovered" in result.notes[0]


def test_contrast_limits_of_data_on_disk_read_nothing() -> None:
    read: list[Any] = []

    def note(block: np.ndarray) -> np.ndarray:
        read.append(block.shape)
        return block

    lazy = da.from_array(np.ones((64, 64)), chunks=(16, 16)).map_blocks(note, dtype=float)
    layer = Image(lazy, contrast_limits=(3, 7))
    read.clear()
    assert layer_limits(layer) == (3, 7)
    assert not read


def test_what_fits_in_memory_is_known_without_torch() -> None:
    code = (
        "import sys, types\n"
        "from napari_selfdeconv._gui.runs.series import fits_in_memory\n"
        "print(fits_in_memory(types.SimpleNamespace(shape=(8, 8)), 0.5), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["True", "False"]
