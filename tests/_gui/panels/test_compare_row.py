"""Richardson-Lucy, the grid, the samples and the demonstration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_selfdeconv import api
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, results_of, role, voxel_um
from napari_selfdeconv.errors import SelfDeconvError
from selfdeconv_tools import demo


def test_one_layer_per_count_and_side_by_side(open_dock: Callable[..., Any], finish: Callable[..., None]) -> None:
    dock = open_dock()
    viewer = dock.viewer
    other = viewer.add_image(np.zeros((8, 8)), name="other", scale=(1, 1), units=("um", "um"))
    dock.compare.side_button.click()
    assert "nothing to compare" in dock.run_panel.status.text()
    assert not viewer.canvas.grid.enabled
    dock.compare.counts.setText("4, 2")
    dock.compare.rl_button.click()
    finish(dock)
    results = [viewer.layers["spots [RL 2]"], viewer.layers["spots [RL 4]"]]
    image, psf = viewer.layers["spots"], viewer.layers["spots PSF"]
    assert np.array_equal(results[1].data, api.richardson_lucy(image.data, psf.data, 4))
    assert results[0].metadata[METADATA_KEY]["iterations"] == 2
    assert results_of(viewer, image) == results

    limits = image.contrast_limits
    dock.compare.side_button.click()
    assert dock.compare.side_button.text() == "Back to one view"
    assert viewer.canvas.grid.enabled
    shown = [layer for layer in viewer.layers if layer.visible and isinstance(layer, Image)]
    assert shown == [image, *results]
    assert len({tuple(layer.contrast_limits) for layer in shown}) == 1
    results[0].contrast_limits = (1, 2)
    assert image.contrast_limits == [1, 2]
    viewer.layers.remove(results[1])
    dock.compare.side_button.click()
    assert not viewer.canvas.grid.enabled
    assert other.visible
    assert not psf.visible
    assert image.contrast_limits == limits
    # As before: results share the image's contrast.
    results[0].contrast_limits = (1, 3)
    assert image.contrast_limits == [1, 3]


def test_stop_keeps_the_counts_reached(
    open_dock: Callable[..., Any], finish: Callable[..., None], qtbot: Any
) -> None:
    dock = open_dock()
    dock.compare.counts.setText("1 90000")
    dock.compare.rl_button.click()
    qtbot.waitUntil(lambda: dock.run_panel.bar.value() > 1, timeout=60_000)
    dock.run_panel.stop_button.click()
    finish(dock)
    assert "spots [RL 1]" in dock.viewer.layers
    assert "spots [RL 90000]" not in dock.viewer.layers


def test_bad_counts_start_nothing(open_dock: Callable[..., Any]) -> None:
    dock = open_dock()
    dock.compare.counts.setText("ten")
    dock.compare.rl_button.click()
    assert not dock.busy
    assert "whole numbers" in dock.run_panel.status.text()


@pytest.mark.parametrize(("key", "ndim"), [("cells_2d", 2), ("microtubules_3d", 3)])
def test_samples_come_with_psf_and_truth(make_napari_viewer: Callable[..., Any], key: str, ndim: int) -> None:
    viewer = make_napari_viewer()
    layers = viewer.open_sample("napari-selfdeconv", key)
    assert [role(layer) for layer in layers] == ["truth", "psf", "image"]
    assert viewer.layers.selection.active is layers[-1]
    assert all(layer.ndim == ndim and voxel_um(layer) is not None for layer in layers)
    truth, psf, image = layers
    assert image.data.shape == truth.data.shape
    assert results_of(viewer, image) == [truth]
    _, dock = viewer.window.add_plugin_dock_widget("napari-selfdeconv", "Deconvolve")
    assert (dock.image_box.layer, dock.psf_form.layer_box.layer) == (image, psf)
    assert dock.psf_form.na.value() == pytest.approx(image.metadata[METADATA_KEY]["optics"]["na"])


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the 2D sample small enough for a test."""
    sample = api.sample_2d()
    small = replace(sample, image=sample.image[:48, :48], truth=sample.truth[:48, :48])
    monkeypatch.setattr(api, "sample_2d", lambda: small)


@pytest.mark.canvas
@pytest.mark.usefixtures("small_sample")
def test_the_demonstration(
    make_napari_viewer: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    viewer = make_napari_viewer(show=True)
    words = ["--sample", "2d", "--steps", "2", "--out", str(tmp_path / "out"), "--headless"]
    demo.Demo(viewer, demo.arguments(words)).play()
    assert viewer.layers["cells"].data.shape == (48, 48)
    printed = capsys.readouterr().out
    assert "Training" in printed
    assert "cells [deconvolved]" in printed
    assert {"session.png", "deconvolved.ome.tif"} == {path.name for path in (tmp_path / "out").iterdir()}
    assert viewer.canvas.grid.enabled


@pytest.mark.canvas
def test_the_demonstration_on_a_file(make_napari_viewer: Callable[..., Any], tmp_path: Path) -> None:
    from napari_selfdeconv.io.images import read_image, write_ome_tiff

    image = np.random.default_rng(0).random((32, 40)).astype(np.float32)
    record = api.ImageRecord(
        file="mine.ome.tif", format="OME-TIFF", axes="YX", shape=image.shape, dtype="float32",
        channels=(api.ChannelRecord(emission_um=0.61),),
    )  # fmt: skip
    write_ome_tiff(tmp_path / "mine.ome.tif", image, voxel_um=(0.1, 0.1), record=record)
    words = ["--image", str(tmp_path / "mine.ome.tif"), "--na", "0.8", "--refractive-index", "1", "--steps", "1"]
    demo.Demo(make_napari_viewer(show=True), demo.arguments([*words, "--out", str(tmp_path)])).play()
    result = read_image(tmp_path / "deconvolved.ome.tif")
    assert result.data.shape == image.shape
    assert result.voxel_um == pytest.approx((0.1, 0.1))
    assert result.provenance["config"]["optimiser"]["steps"] == 1
    assert result.provenance["optics"]["wavelength_um"] == pytest.approx(0.61)


@pytest.mark.canvas
def test_the_demonstration_says_what_went_wrong(make_napari_viewer: Callable[..., Any], tmp_path: Path) -> None:
    from napari_selfdeconv.io.images import write_ome_tiff

    write_ome_tiff(tmp_path / "bare.ome.tif", np.random.default_rng(0).random((32, 32)).astype(np.float32))
    options = demo.arguments(["--image", str(tmp_path / "bare.ome.tif"), "--out", str(tmp_path)])
    with pytest.raises(SelfDeconvError, match="numerical aperture"):
        demo.Demo(make_napari_viewer(show=True), options).play()
