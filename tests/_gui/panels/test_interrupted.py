"""A training that a crash interrupted is offered again, with its own settings and its own PSF."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_selfdeconv import api
from napari_selfdeconv._gui.layers.exchange import snapshot
from napari_selfdeconv._gui.panels import interrupted as panel
from napari_selfdeconv._gui.runs.deconvolve import deconvolve_job
from napari_selfdeconv._gui.runs.inputs import Previews
from napari_selfdeconv._gui.runs.psf_choice import GivenPsf, MeasuredPsf
from napari_selfdeconv._gui.runs.series import large_job, series_job, series_snapshot
from napari_selfdeconv.api import interrupted
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Filling, drain
from napari_selfdeconv.io import atomic
from napari_selfdeconv.io.images import read_image
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training import checkpoint as checkpoints


@pytest.fixture
def crashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[np.ndarray], api.TrainConfig]:
    """Return a function that leaves a run as a crash does: its checkpoint, of a process that is gone."""
    monkeypatch.setenv(interrupted.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.0)

    def crash(image: np.ndarray) -> api.TrainConfig:
        config = api.preset("quick", 2, steps=6, patch=16, features=4, levels=2, batch_size=1, pretrained=False)
        about = {"name": "spots", "shape": list(image.shape), "tiles": api.TileConfig().to_dict(), "weights": None}
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 2**22 + 1)  # beyond the numbers of processes
            file = api.new_checkpoint(config, about)
        assert file is not None
        for event in api.iter_deconvolve(image, np.ones((3, 3)) / 9, config, checkpoint=file):
            if getattr(event, "step", 0) >= 4:
                break
        return config

    return crash


def test_it_is_offered_once_the_computation_is_loaded(
    open_dock: Callable[..., Any], crashed: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.random.default_rng(0).normal(100, 9, (32, 32)).astype(np.float32)
    crashed(image)
    state: list[bool | None] = [None]
    monkeypatch.setattr(panel, "has_loaded", lambda: state[0])
    dock = open_dock(image=image)
    qtbot.wait(3 * panel._WAIT_MS)
    assert dock.interrupted.isHidden()
    assert dock.interrupted.found is None
    state[0] = True
    qtbot.waitUntil(lambda: not dock.interrupted.isHidden(), timeout=5_000)
    assert "'spots' was interrupted at step" in dock.interrupted.note.text()


def test_without_a_torch_that_loads_the_dock_opens(
    open_dock: Callable[..., Any], crashed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.random.default_rng(0).normal(100, 9, (32, 32)).astype(np.float32)
    crashed(image)
    monkeypatch.setattr(panel, "has_loaded", lambda: False)
    dock = open_dock(image=image)
    assert dock.interrupted.isHidden()
    assert not dock.interrupted._loading.isActive()


@pytest.mark.usefixtures("qtbot")
def test_an_interrupted_run_is_offered_and_goes_on(
    open_dock: Callable[..., Any], finish: Callable[..., None], crashed: Any, tmp_path: Path
) -> None:
    image = np.random.default_rng(0).normal(100, 9, (32, 32)).astype(np.float32)
    config = crashed(image)
    dock = open_dock(image=image)
    assert not dock.interrupted.isHidden()
    assert "'spots' was interrupted at step" in dock.interrupted.note.text()
    other = dock.viewer.add_image(image[:20], name="other")
    dock.image_box.choose(other)
    dock.interrupted.resume_button.click()
    assert "32 × 32 pixels): choose that image" in dock.run_panel.status.text()
    dock.image_box.choose(dock.viewer.layers["spots"])
    dock.interrupted.resume_button.click()
    assert dock.busy
    finish(dock)
    whole = api.deconvolve(image, np.ones((3, 3)) / 9, config)
    result = next(layer for layer in dock.viewer.layers if layer.metadata.get("selfdeconv", {}).get("resumed_at"))
    np.testing.assert_array_equal(result.data, whole.image)
    assert dock.interrupted.isHidden()
    assert not list(tmp_path.glob(".*"))


@pytest.fixture
def crash_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Return a function that drops a job of the dock half-way, as if its process were gone."""
    monkeypatch.setenv(interrupted.FOLDER_VARIABLE, str(tmp_path / "checkpoints"))
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.0)

    def crash(job: Any, last: Callable[[Any], bool]) -> None:
        with monkeypatch.context() as other:
            other.setattr(os, "getpid", lambda: 2**22 + 1)
            work = job(StopToken())
            for event in work:
                if last(event):
                    break
        # Of a process that is gone nobody closes the generator.
        dropped.append(work)

    dropped: list[Any] = []
    yield crash
    for work in dropped:
        work.close()


CONFIG = api.preset("quick", 2, steps=6, patch=16, features=4, levels=2, batch_size=1, pretrained=False)
PREVIEWS = Previews(region=lambda: None, extra=lambda: False)
PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0


def trains(event: Any) -> bool:
    return getattr(event, "stage", "") == "train" and event.step >= 4


@pytest.mark.parametrize("axes", ["tyx", "ctyx"])
def test_an_interrupted_series_goes_on(
    axes: str, open_dock: Callable[..., Any], finish: Callable[..., None], crash_of: Any, tmp_path: Path
) -> None:
    shape = (2, 32, 32) if axes == "tyx" else (2, 2, 32, 32)
    image = np.random.default_rng(0).normal(100, 9, shape).astype(np.float32)
    plan = SeriesPlan(axes=axes, train_on="sampled", frames=2)
    dock = open_dock(image=image, axis_labels=tuple(axes), scale=(1.0,) * (len(axes) - 2) + (0.2, 0.1))
    source = series_snapshot(dock.viewer.layers["spots"], plan, grey=False)
    dock.psf_form.layer_box.choose(dock.viewer.add_image(PSF, name="flat PSF", visible=False))
    psf = MeasuredPsf(snapshot(dock.viewer.layers["flat PSF"]))
    tiles, about = api.TileConfig(), {"grey": False, "colour_picture": False}
    crash_of(series_job(source, plan, [psf], CONFIG, tiles, PREVIEWS, None, about=about), trains)
    dock.interrupted.look()
    dock.interrupted.resume_button.click()
    assert dock.busy
    finish(dock)
    result = dock.viewer.layers["spots [deconvolved]"]
    whole = drain(api.iter_deconvolve_series(image, PSF, plan, CONFIG))
    np.testing.assert_array_equal(result.data, whole.image)
    assert result.metadata["selfdeconv"]["resumed_at"]
    assert dock.interrupted.isHidden()
    assert not list((tmp_path / "checkpoints").glob(".*"))


@pytest.mark.parametrize("tiles_done", [False, True])
def test_an_interrupted_result_on_disk_goes_on(
    tiles_done: bool, open_dock: Callable[..., Any], finish: Callable[..., None], crash_of: Any, tmp_path: Path
) -> None:
    """From the training, or from the tiles that are written; around the place that was in view at its start."""
    image = np.random.default_rng(0).normal(100, 9, (64, 72)).astype(np.float32)
    dock = open_dock(image=image)
    psf, tiles, out = GivenPsf(PSF, (0.2, 0.1)), api.TileConfig(tile=32), tmp_path / "out"
    previews = Previews(region=lambda: (slice(4, 9), slice(5, 9)), extra=lambda: False)
    job = large_job(snapshot(dock.viewer.layers["spots"]), psf, CONFIG, tiles, previews, out)
    crash_of(job, (lambda event: isinstance(event, Filling)) if tiles_done else trains)
    assert len(list(out.iterdir())) == tiles_done
    dock.interrupted.look()
    dock.interrupted.resume_button.click()
    finish(dock)
    result = dock.viewer.layers["spots [deconvolved]"]
    whole = np.zeros_like(image)
    region = previews.region()
    drain(api.iter_deconvolve_large(image, PSF, CONFIG, out=whole, region=region, tiles=tiles))
    np.testing.assert_array_equal(np.asarray(result.data), whole)
    assert len(list(out.iterdir())) == 1
    assert dock.interrupted.isHidden()
    assert not list((tmp_path / "checkpoints").glob(".*"))


@pytest.fixture
def crash_on_disk(
    open_dock: Callable[..., Any], crash_of: Any, tmp_path: Path
) -> Callable[[str], tuple[Any, Path]]:
    """Return a function that leaves a run with its result on disk, and returns the dock and that folder."""

    def crash(kind: str) -> tuple[Any, Path]:
        out, tiles = tmp_path / "out", api.TileConfig(tile=32)
        psf = GivenPsf(PSF, (0.2, 0.1))
        if kind == "series":
            image = np.random.default_rng(0).normal(100, 9, (2, 32, 32)).astype(np.float32)
            dock = open_dock(image=image, axis_labels=("t", "y", "x"), scale=(1.0, 0.2, 0.1))
            plan = SeriesPlan(axes="tyx", train_on="sampled", frames=2)
            source = series_snapshot(dock.viewer.layers["spots"], plan, grey=False)
            about = {"grey": False, "colour_picture": False}
            job = series_job(source, plan, [psf], CONFIG, tiles, PREVIEWS, out, about=about)
        else:
            image = np.random.default_rng(0).normal(100, 9, (64, 72)).astype(np.float32)
            dock = open_dock(image=image)
            job = large_job(snapshot(dock.viewer.layers["spots"]), psf, CONFIG, tiles, PREVIEWS, out)
        crash_of(job, (lambda event: isinstance(event, Filling)) if kind == "tiles" else trains)
        dock.interrupted.look()
        return dock, out

    return crash


@pytest.mark.parametrize("kind", ["training", "tiles", "series"])
def test_a_discarded_run_leaves_nothing_on_disk(kind: str, crash_on_disk: Any, tmp_path: Path) -> None:
    dock, out = crash_on_disk(kind)
    assert (out.exists() and len(list(out.iterdir()))) == (kind != "training")
    dock.interrupted.discard_button.click()
    assert not out.exists() or not list(out.iterdir())
    assert not list((tmp_path / "checkpoints").glob(".*"))
    assert dock.interrupted.isHidden()


@pytest.mark.parametrize("kind", ["tiles", "series"])
def test_a_discarded_run_leaves_files_that_it_did_not_write(kind: str, crash_on_disk: Any) -> None:
    dock, out = crash_on_disk(kind)
    (made,) = out.iterdir()
    (made / "notes.txt").write_text("mine")
    dock.interrupted.discard_button.click()
    assert (made / "notes.txt").exists()
    assert (made / "0" / "zarr.json").exists()
    assert f"{made} stays" in dock.interrupted.note.text()
    assert not dock.interrupted.isHidden()
    assert dock.interrupted.resume_button.isHidden()
    dock.interrupted.look()
    assert dock.interrupted.isHidden()


def test_a_discarded_run_leaves_a_complete_result(crash_on_disk: Any) -> None:
    """Its process has died after the last file of the result, or somebody has continued it by command."""
    dock, out = crash_on_disk("tiles")
    (made,) = out.iterdir()
    found = api.find_interrupted()
    assert found is not None
    image = dock.viewer.layers["spots"].data
    drain(api.iter_deconvolve_zarr(image, PSF, made, CONFIG, tiles=api.TileConfig(tile=32)))
    assert not api.is_unfinished(made)
    assert found.discard() == made
    assert read_image(made).provenance is not None


def test_a_series_that_goes_on_leaves_one_result_on_disk(crash_on_disk: Any, finish: Callable[..., None]) -> None:
    dock, out = crash_on_disk("series")
    (before,) = out.iterdir()
    dock.interrupted.resume_button.click()
    finish(dock)
    (after,) = out.iterdir()
    assert after != before
    assert read_image(after).provenance is not None


def test_a_run_that_is_continued_belongs_to_its_process(crashed: Any, tmp_path: Path) -> None:
    """No other window offers it, removes it or continues it at the same time."""
    image = np.random.default_rng(0).normal(100, 9, (32, 32)).astype(np.float32)
    crashed(image)
    found, other = api.find_interrupted(), api.find_interrupted()
    assert found is not None
    assert other is not None
    os.utime(found.path, (1, 1))  # long before this process
    Path(f"{found.path}.c1").touch()
    source, psf = snapshot(Image(image, name="spots")), GivenPsf(found.psf, None)
    job = deconvolve_job(source, psf, found.config, api.TileConfig(), PREVIEWS, resumed=found)
    work = job(StopToken())
    while getattr(next(work), "step", 0) < 5:
        pass
    assert api.find_interrupted() is None
    with pytest.raises(ConfigError, match="continued in another window"), other.claimed():
        raise AssertionError("claimed twice")
    assert other.discard() is None
    assert len(list(tmp_path.glob(".*"))) == 2
    work.close()  # it ends without a result
    again = api.find_interrupted()
    assert again is not None
    assert again.path == found.path
    assert Path(f"{found.path}.c1").exists()


def test_a_run_that_goes_on_elsewhere_is_not_offered_and_one_can_be_discarded(
    crashed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed(np.random.default_rng(0).normal(100, 9, (32, 32)))
    found = api.find_interrupted()
    assert found is not None
    mine = tmp_path / atomic.temporary_name("checkpoint")
    shutil.copy(found.path, mine)  # of this process, which is alive
    found.discard()
    assert api.find_interrupted() is None
    assert mine.exists()
    monkeypatch.setattr(atomic, "_is_alive", lambda *_: False)
    mine.write_bytes(b"damaged")
    assert api.find_interrupted() is None
    assert not mine.exists()
