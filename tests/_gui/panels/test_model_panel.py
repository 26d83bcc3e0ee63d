"""Models, trust layers, repeating and copying a run, files, preferences, the manifest."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels
from napari.settings import get_plugin_settings
from npe2 import PluginManager, PluginManifest
from qtpy.QtWidgets import QApplication, QFileDialog

from napari_selfdeconv import api
from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, voxel_um
from napari_selfdeconv._gui.plugin import actions
from napari_selfdeconv._gui.plugin.preferences import preferences
from napari_selfdeconv._gui.runs.repeat import command_text, ingredients, python_text
from napari_selfdeconv.cli import parser
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.images import read_image
from napari_selfdeconv.stop_token import StopToken

PLUGIN = "napari-selfdeconv"
MANIFEST = PluginManifest.from_file(Path(__file__).parents[3] / "napari.yaml")


@pytest.fixture
def trained(open_dock: Callable[..., Any], finish: Callable[..., None], train_once: Callable[[], None]) -> Any:
    """A dock after a run of three steps; its result is selected."""
    dock = open_dock()
    dock.train_form.seed.setValue(3)
    dock.train()
    finish(dock)
    dock.viewer.layers.selection = {dock.viewer.layers["spots [deconvolved]"]}
    return dock


def test_save_load_apply(
    trained: Any, open_dock: Callable[..., Any], finish: Callable[..., None], tmp_path: Path
) -> None:
    panel = trained.model_panel
    panel.save(str(tmp_path / "m.safetensors"))
    other = open_dock()
    assert not other.model_panel.apply_button.isEnabled()
    other.model_panel.load(str(tmp_path / "m.safetensors"))
    done = panel.model.provenance["steps_done"]  # training may end before the steps that were asked for
    assert f", {done} steps" in other.model_panel.note.text()
    assert other.run_panel.continue_button.isVisibleTo(other.run_panel)
    other.model_panel.apply_button.click()
    finish(other)
    applied = other.viewer.layers["spots [applied]"]
    assert np.array_equal(applied.data, trained.viewer.layers["spots [deconvolved]"].data)
    assert applied.metadata[METADATA_KEY]["applied_to"] == "spots"
    assert other.run_panel.remarks.text() == ""


def test_another_psf_or_voxel_size_is_said(trained: Any, finish: Callable[..., None]) -> None:
    viewer = trained.viewer
    viewer.layers["spots PSF"].data = np.ones((3, 3), np.float32)
    viewer.layers["spots"].scale = (0.5, 0.5)
    viewer.layers["spots PSF"].scale = (0.5, 0.5)
    trained.model_panel.apply_button.click()
    finish(trained)
    told = trained.run_panel.remarks.text()
    assert "another PSF (5 x 5 voxels; the one chosen has 3 x 3)" in told
    assert "voxels of 0.2 x 0.1 µm and the image has 0.5 x 0.5 µm" in told
    assert "spots [applied]" in viewer.layers


def test_a_file_that_is_no_model_is_said(trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no.safetensors").write_text("nothing")
    chosen = (str(tmp_path / "no.safetensors"), "")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: chosen)
    trained.model_panel.load_button.click()
    assert "is not a model file" in trained.model_panel.note.text()
    assert trained.model is not None


def test_residual_and_uncertainty_layers(trained: Any, finish: Callable[..., None]) -> None:
    viewer, panel = trained.viewer, trained.model_panel
    result, image = viewer.layers["spots [deconvolved]"], viewer.layers["spots"]
    panel.residual_button.click()
    finish(trained)
    residual = viewer.layers["spots [residual of deconvolved]"]
    assert np.array_equal(residual.data, api.residual(image.data, result.data, viewer.layers["spots PSF"].data))
    assert residual.contrast_limits[0] == -residual.contrast_limits[1]
    assert "should look like noise" in panel.note.text()
    panel.uncertainty_button.click()
    finish(trained)
    width, mask = viewer.layers["spots [uncertainty]"], viewer.layers["spots [not supported]"]
    found = api.uncertainty(trained.model, image.data)
    assert np.array_equal(width.data, found.half_width)
    assert isinstance(mask, Labels)
    assert np.array_equal(mask.data == 1, found.unsupported)
    assert tuple(width.scale) == tuple(mask.scale) == tuple(image.scale)
    assert "90 % of the true values" in panel.note.text()
    assert "not supported by the data" in panel.note.text()
    assert "90 % interval" in panel.uncertainty_button.toolTip()
    compare = open_compare(viewer, image, viewer.layers["spots PSF"])
    compare.measure()
    finish(compare)
    assert [row.name for row in compare.table.rows] == ["spots [deconvolved]"]
    panel.residual_button.click()  # the uncertainty is selected now: no result to take a residual of
    assert "Select a result" in panel.note.text()


def test_repeat_gives_the_same_array_whatever_the_forms_say(
    trained: Any, finish: Callable[..., None], train_once: Callable[[], None]
) -> None:
    train_once()  # it is computed again
    viewer = trained.viewer
    trained.train_form.seed.setValue(99)
    trained.train_form.steps.setValue(1)
    viewer.layers["spots PSF"].data = np.ones((3, 3), np.float32)
    trained.model_panel.repeat_button.click()
    finish(trained)
    again = viewer.layers["spots [deconvolved] [1]"]
    assert np.array_equal(again.data, viewer.layers["spots [deconvolved]"].data)
    viewer.layers.selection = {viewer.layers["spots"]}
    trained.model_panel.repeat_button.click()
    assert "Select a result" in trained.model_panel.note.text()


def test_the_run_of_a_grey_picture_is_repeated(open_dock: Callable[..., Any], finish: Callable[..., None]) -> None:
    dock = open_dock()
    viewer = dock.viewer
    colours = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    dock.image_box.choose(viewer.add_image(colours, rgb=True, name="picture"))
    dock.axes_form.colours.setCurrentIndex(dock.axes_form.colours.findData("grey"))
    dock.train()
    finish(dock)
    result = viewer.layers["picture [deconvolved]"]
    viewer.layers.selection = {result}
    dock.model_panel.repeat_button.click()
    finish(dock)
    assert np.array_equal(viewer.layers["picture [deconvolved] [1]"].data, result.data)
    viewer.layers.selection = {result}
    dock.model_panel.residual_button.click()
    finish(dock)
    assert viewer.layers["picture [residual of deconvolved]"].data.shape == (32, 32)


def test_a_repetition_is_refused_while_a_run_is_under_way(
    trained: Any, script: Any, finish: Callable[..., None], under_way: Callable[..., None]
) -> None:
    script.ending = "cancelled"
    trained.train()
    under_way(trained)
    trained.model_panel.repeat_button.click()
    assert "A run is under way" in trained.run_panel.status.text()
    trained.run_panel.cancel_button.click()
    finish(trained)
    assert len(script.calls) == 1


def test_the_copied_script_gives_the_same_array(trained: Any, tmp_path: Path) -> None:
    made = ingredients(trained.viewer, trained.viewer.layers["spots [deconvolved]"])
    script = python_text(made, str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again = read_image(tmp_path / "result.ome.tif")
    assert np.array_equal(again.data, trained.viewer.layers["spots [deconvolved]"].data)
    assert again.voxel_um == pytest.approx((0.2, 0.1))


def test_the_copied_command_gives_the_same_array(
    trained: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(folder))
    trained.model_panel.command_button.click()
    words = shlex.split(QApplication.clipboard().text())
    assert words[:2] == ["selfdeconv", "deconvolve"]
    assert parser.main(words[1:]) == 0
    result = trained.viewer.layers["spots [deconvolved]"]
    assert np.array_equal(read_image(folder / "result.ome.tif").data, result.data)


@pytest.mark.parametrize("how", ["python", "command"])
def test_classical_results_can_be_made_again_too(
    open_dock: Callable[..., Any], finish: Callable[..., None], tmp_path: Path, how: str
) -> None:
    dock = open_dock()
    dock.compare.counts.setText("3")
    dock.run_richardson_lucy()
    finish(dock)
    result = dock.viewer.layers["spots [RL 3]"]
    made = ingredients(dock.viewer, result)
    if how == "python":
        script = python_text(made, str(tmp_path))
        subprocess.run([sys.executable, "-c", script], check=True)
    else:
        assert parser.main(shlex.split(command_text(made, str(tmp_path)))[1:]) == 0
    assert np.array_equal(read_image(tmp_path / "result.ome.tif").data, result.data)


@pytest.mark.parametrize("how", ["python", "command"])
def test_what_a_model_was_applied_to_can_be_made_again_too(
    trained: Any, finish: Callable[..., None], tmp_path: Path, how: str
) -> None:
    trained.model_panel.apply_button.click()
    finish(trained)
    result = trained.viewer.layers["spots [applied]"]
    made = ingredients(trained.viewer, result)
    if how == "python":
        subprocess.run([sys.executable, "-c", python_text(made, str(tmp_path))], check=True)
    else:
        assert parser.main(shlex.split(command_text(made, str(tmp_path)))[1:]) == 0
    assert np.array_equal(read_image(tmp_path / "result.ome.tif").data, result.data)
    trained.viewer.layers.selection = {result}
    trained.model_panel.repeat_button.click()
    assert "use 'Copy as Python'" in trained.model_panel.note.text()


@pytest.mark.parametrize(("key", "what"), [("series", "a series or of channels"), ("block", "larger than memory")])
def test_a_series_is_not_taken_for_one_image(trained: Any, key: str, what: str) -> None:
    layer = trained.viewer.layers["spots [deconvolved]"]
    layer.metadata[METADATA_KEY][key] = {}
    trained.model_panel.repeat_button.click()
    assert what in trained.model_panel.note.text()
    made = ingredients(trained.viewer, layer)
    for text in (python_text, command_text):
        with pytest.raises(ConfigError, match=what):
            text(made, "nowhere")


def test_a_model_is_applied_on_the_device_and_the_pixels_that_were_chosen(
    trained: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    for name in ("iter_apply_model", "iter_uncertainty"):
        monkeypatch.setattr(api, name, lambda *_, device_name, weights, **__: asked.append((device_name, weights)))
    device = trained.train_form.device
    device.setCurrentIndex(device.findData("cpu"))
    panel, requests = trained.model_panel, []
    panel.asked.disconnect()
    panel.asked.connect(requests.append)
    for ask in (panel.apply, panel.uncertainty):
        ask()
        with pytest.raises(TypeError):  # what stands in for the generator yields nothing
            list(requests.pop().job(StopToken()))
    assert asked == [("cpu", "auto")] * 2


def test_a_continued_run_says_that_it_is_not_made_in_one_go(trained: Any, finish: Callable[..., None]) -> None:
    trained.go_on()
    finish(trained)
    trained.viewer.layers.selection = {trained.viewer.layers["spots [deconvolved] [1]"]}
    trained.model_panel.repeat_button.click()
    assert "a model that was trained further" in trained.model_panel.note.text()


def test_a_source_that_is_gone_is_said(trained: Any) -> None:
    trained.viewer.layers.remove("spots")
    trained.model_panel.python_button.click()
    assert "'spots' that it was made from is not in the viewer" in trained.model_panel.note.text()


def test_the_commands_press_the_buttons(trained: Any, finish: Callable[..., None], tmp_path: Path) -> None:
    viewer = trained.viewer
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
        actions.copy_as_python(viewer)
        assert QApplication.clipboard().text().startswith("from napari_selfdeconv import")
        actions.copy_as_command(viewer)
        assert QApplication.clipboard().text().startswith("selfdeconv deconvolve")
    actions.repeat_run(viewer)
    finish(trained)
    assert "spots [deconvolved] [1]" in viewer.layers


@pytest.mark.parametrize("units", ["um", "nm", "pixel"])
def test_ome_tiff_keeps_voxels_units_and_provenance(trained: Any, tmp_path: Path, units: str) -> None:
    result = trained.viewer.layers["spots [deconvolved]"]
    result.units, result.scale = (units, units), (200, 100) if units == "nm" else (0.2, 0.1)
    path = tmp_path / "out.ome.tif"
    assert result.save(str(path), plugin=PLUGIN) == [str(path)]
    file = read_image(path)
    assert np.array_equal(file.data, result.data)
    assert file.voxel_um == (None if units == "pixel" else pytest.approx((0.2, 0.1)))
    told = result.metadata[METADATA_KEY]
    assert file.provenance["psf_sha256"] == told["psf_sha256"]
    assert file.provenance["config"] == json.loads(json.dumps(told["config"]))
    (layer,) = trained.viewer.open(path, plugin=PLUGIN)
    assert voxel_um(layer) == (None if units == "pixel" else pytest.approx((0.2, 0.1)))
    assert layer.metadata[METADATA_KEY]["seed"] == 3


def test_a_series_is_written_with_its_axes(make_napari_viewer: Callable[..., Any], tmp_path: Path) -> None:
    viewer = make_napari_viewer()
    data = np.random.default_rng(0).random((3, 2, 4, 8, 8)).astype(np.float32)
    layer = viewer.add_image(
        data, axis_labels=("t", "c", "z", "y", "x"), scale=(1, 1, 0.5, 0.1, 0.1), units=("s", "", "um", "um", "um")
    )
    layer.save(str(tmp_path / "s.ome.tif"), plugin=PLUGIN)
    file = read_image(tmp_path / "s.ome.tif")
    assert file.axes == "TCZYX"
    assert np.array_equal(file.data, data)
    assert file.voxel_um == pytest.approx((0.5, 0.1, 0.1))


def test_preferences_are_honoured(open_dock: Callable[..., Any]) -> None:
    compute = get_plugin_settings(PLUGIN).compute
    before = compute.device, compute.memory_percent, compute.cache_folder
    try:
        compute.device, compute.memory_percent, compute.cache_folder = "cpu", 30, "/somewhere"
        assert preferences().cache_folder == Path("/somewhere")
        form = open_dock().train_form
        assert form.device.value() == "cpu"
        assert form.tiles().memory_share == pytest.approx(0.3)
    finally:
        compute.device, compute.memory_percent, compute.cache_folder = before
    assert preferences().device == "auto"


def test_the_manifest_is_whole() -> None:
    manager = PluginManager.instance()
    contributions = manager.get_manifest(PLUGIN).contributions
    commands = {command.id for command in contributions.commands}
    for command in commands:
        assert callable(manager.commands.get(command))
    used = [item.command for items in contributions.menus.values() for item in items]
    used += [w.command for w in contributions.widgets] + [s.command for s in contributions.sample_data]
    used += [w.command for w in contributions.writers] + [r.command for r in contributions.readers]
    assert set(used) == commands  # nothing missing, nothing left over
    assert {"napari/layers/filter", "napari/layers/measure"} <= set(contributions.menus)
    assert not contributions.keybindings


@pytest.mark.parametrize("widget", [w.display_name for w in MANIFEST.contributions.widgets])
def test_every_widget_opens_on_an_empty_viewer(make_napari_viewer: Callable[..., Any], widget: str) -> None:
    viewer = make_napari_viewer()
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, widget)
    assert dock is not None
    viewer.add_image(np.zeros((8, 8)))
    viewer.layers.clear()


@pytest.mark.parametrize("key", [s.key for s in MANIFEST.contributions.sample_data])
def test_every_sample_opens(make_napari_viewer: Callable[..., Any], key: str) -> None:
    layers = make_napari_viewer().open_sample(PLUGIN, key)
    assert isinstance(layers[0], Image)
    assert voxel_um(layers[0]) is not None
