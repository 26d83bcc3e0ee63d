"""The dock before anything runs: it follows the viewer, fills itself in, and refuses nonsense in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_selfdeconv._gui.forms.axes import AxesForm
from napari_selfdeconv._gui.forms.train import describe, offered
from napari_selfdeconv._gui.layers.exchange import LayerSnapshot
from napari_selfdeconv._gui.panels.run_words import clock
from napari_selfdeconv._gui.runs import warm_up
from napari_selfdeconv._gui.runs.deconvolve import parse_counts
from napari_selfdeconv._gui.runs.psf_choice import GeneratedPsf, MeasuredPsf
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Progress, Warned


def texts(box: Any) -> list[str]:
    return [box.itemText(i) for i in range(box.count())]


def test_boxes_follow_layers_that_come_go_and_are_renamed(open_dock: Callable[..., Any]) -> None:
    dock = open_dock()
    viewer, image_box, psf_box = dock.viewer, dock.image_box, dock.psf_form.layer_box
    assert (image_box.combo.currentText(), psf_box.combo.currentText()) == ("spots", "spots PSF")
    viewer.layers["spots"].name = "beads"
    viewer.layers["spots PSF"].name = "measured psf"
    assert (image_box.combo.currentText(), psf_box.combo.currentText()) == ("beads", "measured psf")
    other = viewer.add_image(np.zeros((8, 8)), name="other")
    assert image_box.combo.currentText() == "beads"
    image_box.choose(other)
    viewer.layers.move(2, 0)
    assert (image_box.layer, texts(image_box.combo)) == (other, ["other", "beads", "measured psf"])
    viewer.layers.remove(other)
    assert image_box.combo.currentText() == "beads"
    viewer.layers.clear()
    assert (image_box.layer, image_box.combo.count(), psf_box.layer) == (None, 0, None)


def test_the_psf_source_follows_until_the_user_decides(open_dock: Callable[..., Any]) -> None:
    dock = open_dock()
    form = dock.psf_form
    assert form.from_layer.isChecked()
    dock.viewer.layers.remove("spots PSF")
    assert form.generated.isChecked()
    form.generated.click()
    dock.viewer.add_image(np.ones((5, 5)), name="PSF")
    assert form.generated.isChecked()


def test_voxel_size_is_filled_from_the_layer_or_asked_for(open_dock: Callable[..., Any]) -> None:
    dock = open_dock()
    form = dock.psf_form
    form.generated.click()
    assert [box.value() for box in form.voxel[1:]] == [0.2, 0.1]
    assert form.voxel[0].isHidden()
    assert form.voxel_note.isHidden()
    dock.image_box.choose(dock.viewer.add_image(np.zeros((4, 8, 8)), name="bare"))
    assert [box.text() for box in form.voxel] == ["?", "?", "?"]
    assert not form.voxel[0].isHidden()
    assert "Type it" in form.voxel_note.text()
    dock.viewer.layers["bare"].units = ("um",) * 3
    dock.viewer.layers["bare"].scale = (0.3, 0.1, 0.1)
    assert [box.value() for box in form.voxel] == [0.3, 0.1, 0.1]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("na", 1.6, "is not possible in a medium of index 1.515"),
        ("wavelength", 8000, "do not record light of 8000 nm"),
        ("index", 0.9, "A refractive index of 0.9 is not possible"),
    ],
)
def test_bad_optics_say_so_and_start_nothing(
    open_dock: Callable[..., Any], field: str, value: float, words: str
) -> None:
    dock = open_dock()
    dock.psf_form.generated.click()
    getattr(dock.psf_form, field).setValue(value)
    for start in (dock.run_panel.train_button, dock.compare.rl_button):
        dock.run_panel.status.say("")
        start.click()
        assert not dock.busy
        assert words in dock.run_panel.status.text()
        assert dock.run_panel.train_button.isEnabled()


def test_an_unknown_voxel_size_is_asked_for(open_dock: Callable[..., Any]) -> None:
    dock = open_dock(units=("pixel", "pixel"))
    dock.psf_form.generated.click()
    dock.run_panel.train_button.click()
    assert not dock.busy
    assert "The layer has no voxel size" in dock.run_panel.status.text()


def test_images_that_cannot_be_used_say_why_at_once(open_dock: Callable[..., Any]) -> None:
    dock = open_dock()
    dock.image_box.choose(dock.viewer.add_image(np.zeros((8, 8, 3), np.uint8), rgb=True, name="photo"))
    assert "The result is a colour picture" in dock.axes_form.note.text()
    dock.image_box.choose(dock.viewer.add_image(np.zeros((2, 2, 8, 8)), name="film"))
    assert "Say what the axes of 'film' mean" in dock.axes_form.note.text()
    dock.run_panel.train_button.click()
    assert not dock.busy
    assert "Say what the axes of 'film' mean" in dock.run_panel.status.text()
    dock.compare.rl_button.click()
    assert "4 axes" in dock.run_panel.status.text()
    dock.image_box.choose(dock.viewer.layers["spots PSF"])
    dock.run_panel.train_button.click()
    assert "The PSF is the image itself" in dock.run_panel.status.text()


def test_settings_reach_the_config(open_dock: Callable[..., Any]) -> None:
    form = open_dock(steps=0).train_form
    form.patch.setValue(0)
    form.preset.setCurrentIndex(form.preset.findData("paper"))
    form.loss.setCurrentIndex(form.loss.findData("noise2self"))
    form.device.setCurrentIndex(form.device.findData("cpu"))
    form.seed.setValue(7)
    config = form.config(2)
    assert (config.name, config.optimiser.steps, config.loss.weights.bsp, config.compute.device, config.seed) == (
        "paper",
        3000,
        1.0,
        "cpu",
        7,
    )
    assert "3000" in form.steps.text()
    form.tile.setValue(8)
    with pytest.raises(ConfigError, match="tile"):
        form.tiles()


def test_a_sample_brings_its_optics(open_dock: Callable[..., Any]) -> None:
    dock = open_dock()
    optics = {"na": 0.8, "wavelength_um": 0.6, "refractive_index": 1.0}
    layer = dock.viewer.add_image(np.zeros((8, 8)), name="air", metadata={"selfdeconv": {"optics": optics}})
    dock.image_box.choose(layer)
    form = dock.psf_form
    assert (form.na.value(), form.wavelength.um(), form.index.value()) == (0.8, 0.6, 1.0)


def test_the_frame_in_view_is_counted_in_the_layer(qtbot: Any) -> None:
    """Not in the steps of the slider, which are those of all layers together."""
    viewer = ViewerModel()
    viewer.add_image(np.zeros((20, 8, 8)), scale=(0.5, 1, 1))
    labels = ("t", "y", "x")
    movie = viewer.add_image(np.zeros((4, 8, 8)), axis_labels=labels, scale=(2, 1, 1), translate=(3, 0, 0))
    form = AxesForm(viewer)
    qtbot.addWidget(form)
    form.follow(movie)
    for point, frame in ((7.0, 2), (3.0, 0), (0.0, 0), (9.5, 3)):
        viewer.dims.set_point(0, point)
        assert form.plan().current == frame


@pytest.mark.parametrize(("text", "counts"), [("2 5 10 20", (2, 5, 10, 20)), ("5, 2,2", (2, 5))])
def test_iteration_counts(text: str, counts: tuple[int, ...]) -> None:
    assert parse_counts(text) == counts


@pytest.mark.parametrize("text", ["", "0", "two", "2.5", "-1"])
def test_bad_iteration_counts(text: str) -> None:
    with pytest.raises(ConfigError, match="whole numbers"):
        parse_counts(text)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", offered())
def test_every_preset_is_described(name: str, ndim: int) -> None:
    assert describe(name, ndim).startswith("No training step, " if name == "instant" else tuple("123456789"))


def test_the_dock_offers_the_presets_that_say_what_they_cost() -> None:
    assert offered() == ["instant", "quick", "standard", "paper"]


@pytest.mark.parametrize(("seconds", "text"), [(8.4, "8 s"), (125, "2 min 05 s"), (11_400, "3 h 10 min")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def snapshot(data: np.ndarray, voxel_um: tuple[float, ...] | None) -> LayerSnapshot:
    return LayerSnapshot(data=data, name="a", source_id="", transform={}, look={}, voxel_um=voxel_um)


def test_a_psf_of_other_voxels_is_resampled_and_that_is_said() -> None:
    y, x = np.mgrid[-10:11, -10:11]
    psf = np.exp(-(x**2 + y**2) / 18.0)
    image = snapshot(np.zeros((32, 32)), (0.2, 0.2))
    same, notes = MeasuredPsf(snapshot(psf, (0.2, 0.2))).kernel(image)
    assert same is psf
    assert not notes
    coarser, notes = MeasuredPsf(snapshot(psf, (0.1, 0.1))).kernel(image)
    assert coarser.shape[0] < psf.shape[0]
    assert "resampled" in notes[-1]
    cleaned, notes = MeasuredPsf(snapshot(psf + 3, None), clean=True).kernel(image)
    assert cleaned.min() == 0
    assert "background" in notes[-1]
    with pytest.raises(ConfigError, match="axes"):
        MeasuredPsf(snapshot(psf, None)).kernel(snapshot(np.zeros((4, 8, 8)), None))


@pytest.mark.parametrize("clean", [False, True])
def test_a_voxel_size_that_only_one_of_image_and_psf_states_is_said(clean: bool) -> None:
    """A PSF of other voxels than the image would be used without a word."""
    psf, image = np.outer([1, 2, 1], [1, 2, 1]) / 16.0, np.zeros((32, 32))
    for own, wanted, one, other, size in (
        ((0.2, 0.1), None, "image", "PSF", "0.2 × 0.1 µm"),
        (None, (0.3, 0.1), "PSF", "image", "0.3 × 0.1 µm"),
    ):
        made, notes = MeasuredPsf(snapshot(psf, own), clean=clean).kernel(snapshot(image, wanted))
        said = f"The {one} 'a' has no voxel size, so its voxels are taken to be those of the {other}, {size}."
        assert notes[0].startswith(said)
        assert made.shape == psf.shape
    for size in (None, (0.2, 0.1)):
        _, notes = MeasuredPsf(snapshot(psf, size), clean=clean).kernel(snapshot(image, size))
        assert not any("has no voxel size" in note for note in notes)


def test_a_generated_psf_fits_the_image() -> None:
    from napari_selfdeconv.config.optics import Optics

    optics = Optics(na=0.8, wavelength_um=0.5, refractive_index=1.0)
    kernel, _ = GeneratedPsf(optics, (0.12, 0.1)).kernel(snapshot(np.zeros((32, 48)), None))
    assert kernel.ndim == 2
    assert kernel.sum() == pytest.approx(1, abs=1e-5)


def test_the_panel_shows_what_it_is_told(open_dock: Callable[..., Any]) -> None:
    panel = open_dock().run_panel
    panel.start("Training", trains=True)
    panel.plot.restart(5000)
    for step in range(1, 5000):
        panel.plot.add(step, {"total": 1.0 / step})
    panel.plot.add(5000, {"total": float("nan")})
    assert 300 < panel.plot.points <= 600
    panel.show_event(Progress(stage="train", step=6, steps=9, seconds=1.0, eta_s=125.0, losses={"total": 1.0}))
    assert panel.bar.text() == "Training 6/9 · 2 min 05 s left · 6.0 steps/s"
    panel.show_event(Warned("first"))
    panel.show_event(Warned("second"))
    assert panel.remarks.text() == "first\nsecond"
    panel.idle()


def test_the_memory_is_said_before_the_run_and_follows_the_forms(
    open_dock: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warm_up, "_usual", {"cpu": "bfloat16"})
    dock = open_dock()
    note = dock.memory_note
    before = note.text()
    assert before.startswith("Memory: about ")
    assert "for the result" in before
    # A device by its name computes in the same precision as when it was chosen by itself.
    dock.train_form.device.setCurrentIndex(dock.train_form.device.findData("cpu"))
    assert note.text().partition("(")[0] == before.partition("(")[0]
    dock.train_form.patch.setValue(32)
    larger = note.text()
    assert larger != before
    dock.image_box.choose(dock.viewer.add_image(np.random.default_rng(0).random((2048, 2048)), name="large"))
    assert note.text() != larger
    dock.viewer.layers.clear()
    assert note.isHidden()
