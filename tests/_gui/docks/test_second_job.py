"""A run leaves nothing behind: after every kind of first job, a second one of every kind."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.settings import get_plugin_settings

from napari_selfdeconv import api
from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.docks.psf import open_psf
from napari_selfdeconv.errors import ComputeError
from napari_selfdeconv.stop_token import StopToken

ENDINGS = ("finished", "stopped", "cancelled", "failed")
SAID = {"finished": "", "stopped": "stopped after step", "cancelled": "Cancelled", "failed": "broke"}


def names(dock: Any) -> list[str]:
    return [layer.name for layer in dock.viewer.layers]


def has_ended_as(panel: Any, ending: str) -> bool:
    live = panel.train_button.isEnabled() and panel.bar.isHidden() and not panel.stop_button.isVisibleTo(panel)
    return live and SAID[ending] in panel.status.text()


@pytest.fixture
def end_as(script: Any, qtbot: Any, finish: Callable[..., None]) -> Callable[..., None]:
    """Return a function that starts a run, and ends it in one of the four ways."""

    def run(dock: Any, start: Callable[[], None], ending: str) -> None:
        script.ending = ending
        start()
        panel = dock.run_panel
        button = {"stopped": panel.stop_button, "cancelled": panel.cancel_button}.get(ending)
        if button is not None:
            qtbot.waitUntil(lambda: panel.bar.value() == 2, timeout=20_000)
            button.click()
        finish(dock)  # in the Compare dock with the metrics, which have the last word
        measured = "rows measured" in panel.status.text()
        assert has_ended_as(panel, "finished" if measured else ending)

    return run


@pytest.fixture
def first_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The image of each kind of first job, with its axis labels; results on disk go to a temporary folder."""
    monkeypatch.setattr(get_plugin_settings("napari-selfdeconv").compute, "cache_folder", str(tmp_path))
    flat = np.full((16, 16), 100, np.float32)
    flat[4, 4] = 200
    on_disk = da.from_array(flat, chunks=(8, 8))
    series = np.stack([flat, flat])
    return {"series": (series, ("t", "y", "x")), "on disk": (on_disk, ("y", "x"))}


@pytest.mark.parametrize("kind", [*ENDINGS, "series", "on disk"])
def test_the_main_dock(
    open_dock: Callable[..., Any], end_as: Callable[..., None], first_jobs: dict[str, Any], kind: str
) -> None:
    dock = open_dock()
    heard = dock.receivers(dock.destroyed)
    if kind in first_jobs:
        data, labels = first_jobs[kind]
        layer = dock.viewer.add_image(data, name="other", axis_labels=labels, contrast_limits=(90, 200))
        dock.image_box.choose(layer)
        dock.train_form.to_disk.setChecked(kind == "on disk")
    end_as(dock, dock.train, kind if kind in ENDINGS else "finished")
    result = "other [deconvolved]" if kind in first_jobs else "spots [deconvolved]"
    assert (result in names(dock)) == (kind not in ("cancelled", "failed"))
    dock.image_box.choose(dock.viewer.layers["spots"])
    before = names(dock)
    for second in ("cancelled", "failed"):
        end_as(dock, dock.run_richardson_lucy, second)
        assert names(dock) == before
    dock.train_form.to_disk.setChecked(False)
    for second in ("cancelled", "failed"):
        end_as(dock, dock.train, second)
        assert names(dock) == before
    end_as(dock, dock.run_richardson_lucy, "finished")
    assert names(dock) == [*before, "spots [RL 2]"]
    assert dock.receivers(dock.destroyed) == heard


@pytest.mark.parametrize("kind", ENDINGS)
def test_the_compare_dock(open_dock: Callable[..., Any], end_as: Callable[..., None], kind: str) -> None:
    viewer = open_dock().viewer
    dock = open_compare(viewer, viewer.layers["spots"], viewer.layers["spots PSF"])
    heard = dock.receivers(dock.destroyed)
    end_as(dock, dock.compare, kind)
    before = names(dock)
    assert ("spots [RL 2]" in before) == (kind in ("finished", "stopped"))
    assert (dock.table.rowCount() > 0) == (kind in ("finished", "stopped"))
    for second in ("cancelled", "failed"):
        end_as(dock, dock.compare, second)
        assert names(dock) == before
    end_as(dock, dock.compare, "finished")
    assert len(names(dock)) == len(before) + 1
    assert dock.measure_button.isEnabled()
    assert dock.receivers(dock.destroyed) == heard


@pytest.mark.parametrize("kind", ["finished", "cancelled", "failed"])
def test_the_psf_dock(
    make_napari_viewer: Callable[..., Any], qtbot: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    viewer = make_napari_viewer()
    spots = np.zeros((60, 60), np.float32)
    spots[20, 20] = spots[40, 40] = 1000
    from scipy.ndimage import gaussian_filter

    image = gaussian_filter(spots, 1.5) + np.random.default_rng(0).normal(10, 0.1, (60, 60)).astype(np.float32)
    viewer.add_image(image, name="beads", scale=(0.1, 0.1), units=("um", "um"))
    dock = open_psf(viewer)
    panel = dock.beads
    heard = dock.receivers(dock.destroyed), panel.receivers(panel.destroyed)
    real = api.iter_beads_psf

    def broken(*_: Any, **__: Any) -> Any:
        yield None
        raise ComputeError("the computation broke")

    def waiting(*args: Any, stop: StopToken, **kwargs: Any) -> Any:
        # On an idle machine the beads are averaged before the button is reached.
        while not stop.cancelled:
            yield None
            time.sleep(0.001)
        return (yield from real(*args, stop=stop, **kwargs))

    def end(ending: str) -> None:
        works = {"finished": real, "cancelled": waiting, "failed": broken}
        monkeypatch.setattr(api, "iter_beads_psf", works[ending])
        panel.make()
        if ending == "cancelled":
            panel.cancel_button.click()
        qtbot.waitUntil(lambda: not panel.busy, timeout=60_000)
        assert panel.make_button.isEnabled()
        assert panel.bar.isHidden()
        assert {"finished": "averaged", "cancelled": "Cancelled", "failed": "broke"}[ending] in panel.status.text()

    end(kind)
    before = names(panel)
    assert (len(before) == 3) == (kind == "finished")
    for second in ("cancelled", "failed"):
        end(second)
        assert names(panel) == before
    end("finished")
    assert sum("PSF from" in name for name in names(panel)) == 1 + (kind == "finished")
    assert heard == (dock.receivers(dock.destroyed), panel.receivers(panel.destroyed))


def test_another_image_has_nothing_of_the_run_before(
    open_dock: Callable[..., Any], end_as: Callable[..., None]
) -> None:
    dock = open_dock()
    end_as(dock, dock.train, "finished")
    panel = dock.run_panel
    dock.model_panel.note.say("of the first image")
    assert "of the computation" in panel.remarks.text()
    assert panel.plot.points == 1
    dock.image_box.choose(dock.viewer.add_image(np.ones((8, 8)), name="other"))
    assert (panel.remarks.text(), panel.status.text(), dock.model_panel.note.text()) == ("", "", "")
    assert panel.plot.points == 0
    assert panel.plot.isHidden()
    assert dock.model is not None  # a model may be applied to another image


def test_another_image_in_the_compare_dock(open_dock: Callable[..., Any], end_as: Callable[..., None]) -> None:
    viewer = open_dock().viewer
    dock = open_compare(viewer, viewer.layers["spots"], viewer.layers["spots PSF"])
    end_as(dock, dock.compare, "finished")
    assert dock.table.rowCount() > 0
    dock.image_box.choose(viewer.add_image(np.ones((8, 8)), name="other"))
    assert (dock.run_panel.remarks.text(), dock.run_panel.status.text(), dock.table_note.text()) == ("", "", "")
    assert dock.table.rowCount() == 0
    assert not dock.copy_button.isEnabled()


def test_a_dock_that_is_closed_takes_the_unfinished_layer_away(
    open_dock: Callable[..., Any], first_jobs: dict[str, Any], script: Any, qtbot: Any
) -> None:
    dock = open_dock()
    viewer = dock.viewer
    data, labels = first_jobs["series"]
    dock.image_box.choose(viewer.add_image(data, name="other", axis_labels=labels, contrast_limits=(90, 200)))
    script.ending = "cancelled"
    dock.train()
    qtbot.waitUntil(lambda: "other [deconvolved]" in viewer.layers, timeout=20_000)
    viewer.window.remove_dock_widget(dock)
    assert "other [deconvolved]" not in viewer.layers
    assert not dock.busy
