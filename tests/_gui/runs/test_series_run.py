"""Time, channels, colours and images larger than memory, in the dock."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.settings import get_plugin_settings

from napari_selfdeconv import api
from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.layers.colour import ColourResult
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, snapshot
from napari_selfdeconv._gui.runs.inputs import Previews
from napari_selfdeconv._gui.runs.psf_choice import GivenPsf
from napari_selfdeconv._gui.runs.series import large_job, series_snapshot
from napari_selfdeconv.api import series
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.config.tiles import TileConfig
from napari_selfdeconv.errors import Cancelled
from napari_selfdeconv.events import Filling, Finished, Interim, drain
from napari_selfdeconv.stop_token import StopToken


def noise(shape: tuple[int, ...]) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(0)
    return (100 + 50 * gaussian_filter(random.random(shape), 1.0) + random.normal(0, 1, shape)).astype(np.float32)


def answer(box: Any, value: str) -> None:
    box.setCurrentIndex(box.findData(value))


@pytest.fixture
def with_layer(open_dock: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that opens the dock on one layer."""

    def make(data: Any, **placed: Any) -> Any:
        dock = open_dock(steps=3)
        dock.image_box.choose(dock.viewer.add_image(data, name="series", contrast_limits=(90, 200), **placed))
        return dock

    return make


def test_a_movie_gives_one_layer_of_the_same_axes(
    with_layer: Callable[..., Any], finish: Callable[..., None]
) -> None:
    movie = noise((3, 32, 32))
    placed = dict(scale=(2.0, 0.2, 0.1), units=("s", "um", "um"), axis_labels=("t", "y", "x"))
    dock = with_layer(movie, **placed)
    assert "A series of images (tyx)" in dock.axes_form.note.text()
    assert [box.value() for box in dock.psf_form.voxel[1:]] == [0.2, 0.1]
    dock.viewer.dims.set_current_step(0, 1)
    dock.train()
    finish(dock)
    result = dock.viewer.layers["series [deconvolved]"]
    psf = dock.viewer.layers["spots PSF"].data
    config = preset("quick", 2, steps=3, patch=16)
    expected = drain(api.iter_deconvolve_series(movie, psf, SeriesPlan(axes="tyx", current=1), config))
    assert np.array_equal(result.data, expected.image)
    for name in ("units", "axis_labels"):
        assert getattr(result, name) == getattr(dock.viewer.layers["series"], name)
    assert tuple(result.scale) == (2.0, 0.2, 0.1)
    assert result.metadata[METADATA_KEY]["series"]["axes"] == "tyx"
    assert dock.model is not None


def test_an_unnamed_stack_is_one_in_depth_until_told_otherwise(
    with_layer: Callable[..., Any], finish: Callable[..., None]
) -> None:
    dock = with_layer(noise((6, 32, 32)), scale=(0.5, 0.1, 0.1), units=("um",) * 3)
    form = dock.axes_form
    assert form.plan() is None
    assert not dock.psf_form.voxel[0].isHidden()
    answer(form.meanings[0], "t")
    assert form.plan().axes == "tyx"
    assert dock.psf_form.voxel[0].isHidden()
    answer(form.train_on, "sampled")
    form.frames.setValue(2)
    dock.train()
    # Its result fills frame by frame: there is no whole to be used before the end.
    assert not dock.run_panel.use_button.isVisibleTo(dock.run_panel)
    assert dock.run_panel.pause_button.isVisibleTo(dock.run_panel)
    finish(dock)
    told = dock.viewer.layers["series [deconvolved]"].metadata[METADATA_KEY]
    assert told["series"]["times"] == [0, 5]


def test_a_stack_over_time_from_dask_is_not_loaded_whole(
    with_layer: Callable[..., Any], finish: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: set[int] = set()

    def note(block: np.ndarray, block_info: Any = None) -> np.ndarray:
        read.add(int(block_info[0]["chunk-location"][0]))
        return block

    lazy = da.from_array(noise((4, 5, 24, 24)), chunks=(1, 5, 24, 24)).map_blocks(note, dtype=np.float32)
    dock = with_layer(lazy, scale=(1, 0.5, 0.1, 0.1), units=("s", "um", "um", "um"))
    answer(dock.axes_form.meanings[0], "t")
    answer(dock.axes_form.meanings[1], "z")
    assert "series of stacks (tzyx)" in dock.axes_form.note.text()
    flat = dock.viewer.layers["spots PSF"].data
    psf = np.multiply.outer(np.array([0.25, 0.5, 0.25], np.float32), flat)
    dock.psf_form.layer_box.choose(dock.viewer.add_image(psf, name="deep PSF", visible=False))
    seen: list[int] = []
    iter_train = series.iter_train

    def watched(*arguments: Any, **settings: Any) -> Any:
        training = yield from iter_train(*arguments, **settings)
        seen.append(len(read))
        return training

    monkeypatch.setattr(series, "iter_train", watched)
    read.clear()
    dock.train()
    finish(dock)
    assert seen == [1]  # when training was over, one frame had been read
    assert dock.viewer.layers["series [deconvolved]"].data.shape == (4, 5, 24, 24)


def test_two_channels_with_two_psfs(with_layer: Callable[..., Any], finish: Callable[..., None]) -> None:
    image = noise((2, 32, 32))
    dock = with_layer(image, axis_labels=("c", "y", "x"))
    viewer, form = dock.viewer, dock.axes_form
    wide = viewer.add_image(np.ones((5, 5), np.float32), name="wide PSF", visible=False)
    form.each_psf.setChecked(True)
    form.psfs[0].choose(viewer.layers["spots PSF"])
    form.psfs[1].choose(wide)
    dock.train()
    finish(dock)
    result = viewer.layers["series [deconvolved]"]
    config = preset("quick", 2, steps=3, patch=16)
    for channel, psf in enumerate((viewer.layers["spots PSF"].data, wide.data)):
        assert np.array_equal(result.data[channel], api.deconvolve(image[channel], psf, config).image)


@pytest.mark.parametrize("choice", ["picture", "grey", "channels"])
def test_a_colour_picture_comes_back_as_the_dock_says_before(
    with_layer: Callable[..., Any], finish: Callable[..., None], choice: str
) -> None:
    picture = np.clip(noise((32, 36, 3)), 0, 255).astype(np.uint8)
    dock = with_layer(picture, rgb=True, scale=(0.2, 0.1), units=("um", "um"))
    assert dock.axes_form.colours.value() == "picture"
    answer(dock.axes_form.colours, choice)
    assert ("no colour picture" in dock.axes_form.note.text()) == (choice != "picture")
    axes: set[int] = set()
    dock.viewer.layers.events.inserted.connect(lambda event: axes.add(event.value.ndim))
    dock.train()
    finish(dock)
    result = dock.viewer.layers["series [deconvolved]"]
    psf, config = dock.viewer.layers["spots PSF"].data, preset("quick", 2, steps=3, patch=16)
    if choice == "grey":
        expected = api.deconvolve(picture.mean(-1), psf, config).image
        assert np.array_equal(result.data, expected)
        assert tuple(result.scale) == (0.2, 0.1)
        return
    one = api.deconvolve(picture[..., 2], psf, config).image
    assert result.rgb == (choice == "picture")
    if choice == "picture":
        assert (result.data.shape, result.data.dtype) == (picture.shape, picture.dtype)
        assert np.array_equal(result.data[..., 2], np.clip(np.rint(one), 0, 255))
        assert (tuple(result.scale), result.units) == ((0.2, 0.1), dock.viewer.layers["series"].units)
        assert axes == {2}  # neither preview nor result bring a slider for the colours
        assert "series [deconvolved]" in dock.run_panel.status.text()
    else:
        assert result.data.shape == (3, 32, 36)
        assert np.array_equal(result.data[2], one)
        assert tuple(result.scale) == (1, 0.2, 0.1)


def test_a_colour_picture_is_not_written_to_disk(with_layer: Callable[..., Any]) -> None:
    dock = with_layer(np.zeros((32, 36, 3), np.uint8), rgb=True)
    dock.train_form.to_disk.setChecked(True)
    dock.train()
    assert not dock.busy
    assert "on disk cannot be a colour picture" in dock.run_panel.status.text()


def test_a_picture_and_its_result_are_compared(with_layer: Callable[..., Any]) -> None:
    dock = with_layer(np.full((32, 36, 3), 90, np.uint8), rgb=True)
    image = dock.viewer.layers["series"]
    result = ColourResult(dock.viewer, series_snapshot(image, dock.axes_form.plan(), grey=False))
    result.finish(SimpleNamespace(image=np.full((3, 32, 36), 100.0), provenance={}))
    compare = open_compare(dock.viewer, image)
    compare.line_button.click()
    assert [curve.y[0] for curve in compare.plot.curves()] == [90, 100]
    compare.grid_button.click()
    assert dock.viewer.canvas.grid.enabled
    dock.before_after.button.click()
    assert "series [before]" in dock.viewer.layers


def test_cancelling_a_series_leaves_nothing(
    with_layer: Callable[..., Any], finish: Callable[..., None], under_way: Callable[..., None]
) -> None:
    dock = with_layer(noise((3, 32, 32)), axis_labels=("t", "y", "x"))
    dock.train_form.steps.setValue(1_000_000)
    before = [layer.name for layer in dock.viewer.layers]
    dock.train()
    under_way(dock)
    dock.run_panel.cancel_button.click()
    finish(dock)
    assert [layer.name for layer in dock.viewer.layers] == before


def test_previews_of_a_movie_lie_in_its_frame(
    with_layer: Callable[..., Any], finish: Callable[..., None], qtbot: Any
) -> None:
    dock = with_layer(noise((3, 32, 32)), axis_labels=("t", "y", "x"))
    dock.viewer.dims.set_current_step(0, 2)
    dock.train_form.steps.setValue(1_000_000)
    dock.train()
    layers = dock.viewer.layers
    qtbot.waitUntil(lambda: "series [preview]" in layers and layers["series [preview]"].visible, timeout=60_000)
    preview = layers["series [preview]"]
    assert preview.data.ndim == 3
    qtbot.waitUntil(lambda: preview.data.shape[0] == 1 and preview.translate[0] == 2, timeout=60_000)
    dock.run_panel.cancel_button.click()
    finish(dock)


def test_a_result_on_disk_fills_tile_by_tile(
    with_layer: Callable[..., Any], finish: Callable[..., None], tmp_path: Path, qtbot: Any
) -> None:
    compute = get_plugin_settings("napari-selfdeconv").compute
    before, compute.cache_folder = compute.cache_folder, str(tmp_path / "cache")
    try:
        image = noise((64, 72))
        dock = with_layer(da.from_array(image, chunks=(32, 36)), scale=(0.2, 0.1), units=("um", "um"))
        dock.train_form.to_disk.setChecked(True)
        dock.train_form.tile.setValue(48)
        said: dict[int, str] = {}

        def note(event: Any) -> None:
            if isinstance(event, Interim):
                said[event.step] = dock.run_panel.status.text()

        dock.runs.happened.connect(note)
        dock.train()
        finish(dock)
    finally:
        compute.cache_folder = before
    part = "series [part in view]"
    assert said[0].startswith(f"Instant result of the part in view. Training goes on. The layer is {part}.")
    assert part not in dock.viewer.layers
    result = dock.viewer.layers["series [deconvolved]"]
    (folder,) = (tmp_path / "cache").iterdir()
    assert folder.suffix == ".zarr"
    assert str(folder) in dock.run_panel.remarks.text()
    filled = np.asarray(result.data)
    assert filled.shape == image.shape
    assert (filled != 0).all()
    assert filled.mean() == pytest.approx(image.mean(), rel=0.03)
    assert not isinstance(result.data, np.ndarray)
    assert tuple(result.scale) == (0.2, 0.1)
    told = json.loads((folder / "zarr.json").read_text("utf-8"))["attributes"]["ome"]["multiscales"][0]
    assert [axis["name"] for axis in told["axes"]] == ["y", "x"]
    assert told["datasets"][0]["coordinateTransformations"] == [{"type": "scale", "scale": [0.2, 0.1]}]
    assert result.data.attrs["provenance"]["software"] == "napari-selfdeconv"


def test_a_series_on_disk_is_instant_first(tmp_path: Path) -> None:
    movie, plan = noise((2, 32, 32)), SeriesPlan(axes="tyx", current=1)
    config = preset("quick", 2, steps=1, patch=16, device="cpu")
    psf = np.outer([1, 2, 1], [1, 2, 1]) / 16.0
    with api.new_zarr(tmp_path / "movie.zarr", movie.shape, axes="tyx", voxel_um=(0.2, 0.1)) as out:
        filled = []

        def note(event: Any) -> None:
            if isinstance(event, Filling):
                filled.append((event.instant, np.asarray(event.image)))

        result = drain(api.iter_deconvolve_series(movie, psf, plan, config, out=out, instant_first=True), note)
    ((instant, first),) = filled
    assert instant
    assert not first[0].any()
    assert first[1].mean() == pytest.approx(movie[1].mean(), rel=0.03)
    assert np.asarray(result.image)[0].any()


@pytest.mark.parametrize("how", ["dropped", "cancelled", "cancelled after the last tile"])
def test_cancel_removes_the_folder_of_the_result_and_nothing_else(
    how: str, open_dock: Callable[..., Any], tmp_path: Path
) -> None:
    layer = open_dock(image=noise((64, 72))).viewer.layers["spots"]
    earlier = tmp_path / "earlier.zarr"
    earlier.mkdir()
    psf = GivenPsf(np.outer([1, 2, 1], [1, 2, 1]) / 16.0, None)
    config = preset("quick", 2, steps=2, patch=16, features=2, batch_size=1, pretrained=False)
    token = StopToken()
    previews = Previews(region=lambda: None, extra=lambda: False)
    job = large_job(snapshot(layer), psf, config, TileConfig(tile=32), previews, tmp_path)
    work = job(token)
    last = Finished if how == "cancelled after the last tile" else Filling
    assert any(isinstance(event, last) for event in work)
    assert len(list(tmp_path.iterdir())) == 2
    if how == "dropped":
        work.close()
    else:
        token.cancel()
        with pytest.raises(Cancelled):
            list(work)
    assert list(tmp_path.iterdir()) == [earlier]


def test_a_folder_that_cannot_be_written_to_is_said_before_training(
    with_layer: Callable[..., Any], finish: Callable[..., None], tmp_path: Path
) -> None:
    compute = get_plugin_settings("napari-selfdeconv").compute
    (tmp_path / "a_file").write_text("")
    before, compute.cache_folder = compute.cache_folder, str(tmp_path / "a_file")
    try:
        dock = with_layer(noise((32, 36)))
        dock.train_form.to_disk.setChecked(True)
        dock.train()
        finish(dock)
    finally:
        compute.cache_folder = before
    assert "is a file: choose another name" in dock.run_panel.status.text()
    assert dock.run_panel.plot.points == 0
