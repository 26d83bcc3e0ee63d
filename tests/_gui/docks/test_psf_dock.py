"""The PSF dock: fields, live picture, layers, files; the doctor with its buttons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QApplication, QFileDialog
from superqt.utils import WorkerBase

from napari_selfdeconv import api
from napari_selfdeconv._gui.docks.psf import open_psf
from napari_selfdeconv._gui.forms.microscope import TypedOptics, microscope_of
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, voxel_um
from napari_selfdeconv.config.optics import Optics

NOISE = np.random.default_rng(0).random


@pytest.fixture
def dock(make_napari_viewer: Callable[..., Any], qtbot: Any) -> Callable[..., Any]:
    """Return a function that opens a viewer with one image and the PSF dock."""

    def make(shape: tuple[int, ...] = (12, 32, 32), **placed: Any) -> Any:
        viewer = make_napari_viewer(show=True)
        placed = placed or {"scale": (0.3, 0.1, 0.1)[-len(shape) :], "units": ("um",) * len(shape)}
        viewer.add_image(NOISE(shape).astype(np.float32), name="cells", **placed)
        microscope_of(viewer).set_optics(TypedOptics(na=1.4, wavelength_um=0.525, refractive_index=1.515))
        widget = open_psf(viewer)
        qtbot.waitUntil(widget.isVisible, timeout=10_000)
        return widget

    return make


@pytest.fixture
def settle(qtbot: Any) -> Callable[[Any], None]:
    def wait(widget: Any) -> None:
        qtbot.waitUntil(lambda: not (widget.generate.busy or widget.doctor.busy), timeout=30_000)

    return wait


def test_the_picture_follows_the_fields(dock: Callable[..., Any], settle: Callable[[Any], None]) -> None:
    widget = dock()
    panel = widget.generate
    settle(widget)
    first = panel.generated
    assert first.psf.ndim == 3
    assert [name[:2] for name in panel.preview.sections] == ["xy", "xz"]
    assert "half-maximum width: axial" in panel.facts.text()
    panel.optics_form.na.setValue(0.5)
    settle(widget)
    assert panel.generated.parameters.optics.na == 0.5
    assert not np.array_equal(panel.generated.psf, first.psf)
    expected = api.richards_wolf_psf(panel.generated.psf.shape, (0.3, 0.1, 0.1), panel.generated.parameters.optics)
    assert np.array_equal(panel.generated.psf, expected)
    assert all(n % 2 for n in panel.generated.psf.shape)
    widget.grab()


def test_only_the_newest_answer_is_shown(dock: Callable[..., Any], settle: Callable[[Any], None]) -> None:
    widget = dock()
    panel = widget.generate
    for na in (0.4, 0.5, 0.6):
        panel.optics_form.na.setValue(na)
        panel._compute()  # without waiting for the pause in typing
    settle(widget)
    assert panel.generated.parameters.optics.na == 0.6


@pytest.mark.parametrize("typed", [525.0, 0.525])
def test_wavelengths_in_nm_or_um(dock: Callable[..., Any], typed: float) -> None:
    box = dock().generate.optics_form.wavelength
    box.setValue(typed)
    assert box.um() == pytest.approx(0.525)
    box.editingFinished.emit()
    assert box.text() == "525 nm"


def test_objectives_and_immersions_fill_in(dock: Callable[..., Any]) -> None:
    form = dock().generate.optics_form
    box = form.lens.list.box
    box.setCurrentIndex(box.findText("60× / 1.2 water"))
    box.activated.emit(box.currentIndex())
    assert (form.na.value(), form.index.value(), form.immersion.currentText()) == (1.2, 1.33, "water")
    form.index.setValue(1.4)
    assert form.immersion.currentText() == "other"


def test_all_optics_go_out_and_come_back(dock: Callable[..., Any]) -> None:
    form = dock().generate.optics_form
    from napari_selfdeconv.config.optics import CoverslipLayers

    optics = Optics(
        na=1.3, wavelength_um=0.52, refractive_index=1.515, defocus_um=0.4, excitation_um=0.488, pinhole_au=0.8,
        layers=CoverslipLayers(sample_index=1.38, sample_depth_um=5.0, coverslip_um=165.0),
        pixel_integration=False,
    )  # fmt: skip
    form.fill(optics)
    assert form.optics() == optics
    form.model.setCurrentIndex(form.model.findData("widefield"))
    assert form.pixel.isChecked()  # a camera integrates over its pixels


def test_an_unknown_voxel_size_is_asked_for_and_can_be_written(
    dock: Callable[..., Any], settle: Callable[[Any], None]
) -> None:
    widget = dock(units=("pixel",) * 3)
    panel = widget.generate
    settle(widget)
    assert "Type it" in panel.voxel_note.text()
    assert panel.generated is None
    assert "The layer has no voxel size" in panel.note.text()
    assert not panel.add_button.isEnabled()
    panel.magnification.setValue(50)
    panel.camera_button.click()
    assert [box.value() for box in panel.voxel[1:]] == [0.13, 0.13]
    panel.voxel[0].setValue(0.3)
    settle(widget)
    assert panel.generated is not None
    panel.write_button.click()
    assert voxel_um(panel.image_box.layer) == pytest.approx((0.3, 0.13, 0.13))
    assert panel.voxel_note.text() == ""


def test_units_are_converted(dock: Callable[..., Any]) -> None:
    panel = dock((32, 32), scale=(200, 100), units=("nm", "nm")).generate
    assert [box.value() for box in panel.voxel[1:]] == pytest.approx([0.2, 0.1])
    assert panel.voxel[0].isHidden()


def test_the_colours_of_a_picture_are_no_axis_of_its_psf(
    dock: Callable[..., Any], settle: Callable[[Any], None]
) -> None:
    """The PSF of a picture was three voxels wide, as many as there are colours."""
    widget = dock((64, 64), scale=(0.1, 0.1), units=("um", "um"))
    settle(widget)
    grey = widget.generate.generated.psf
    colours = (255 * NOISE((64, 64, 3))).astype(np.uint8)
    picture = widget.viewer.add_image(colours, rgb=True, name="picture", scale=(0.1, 0.1), units=("um", "um"))
    widget.generate.image_box.choose(picture)
    widget.doctor.image_box.choose(picture)
    settle(widget)
    assert widget.generate.generated.psf.shape == grey.shape
    assert grey.shape[0] == grey.shape[1] > 3
    psf = widget.viewer.add_image(sick_bead()[4], name="bead PSF", scale=(0.1, 0.1), units=("um", "um"))
    assert widget.doctor._snapshot(psf).image_shape == (64, 64)


def test_the_size_holds_the_share_asked_for_or_is_set_by_hand(
    dock: Callable[..., Any], settle: Callable[[Any], None]
) -> None:
    widget = dock()
    panel = widget.generate
    sizes = []
    for share in (60, 90):
        panel.share.setValue(share)
        settle(widget)
        sizes.append(panel.generated.psf.shape)
    assert sizes[0][1] < sizes[1][1]
    panel.fixed.setChecked(True)
    for box, size in zip(panel.sizes, (5, 9, 8), strict=True):
        box.setValue(size)
    settle(widget)
    assert "odd numbers" in panel.note.text()
    panel.sizes[2].setValue(11)
    settle(widget)
    assert panel.generated.psf.shape == (5, 9, 11)


def test_a_layer_with_its_parameters_there_and_back(
    dock: Callable[..., Any], settle: Callable[[Any], None]
) -> None:
    widget = dock()
    panel = widget.generate
    panel.optics_form.na.setValue(1.1)
    settle(widget)
    panel.add_button.click()
    layer = widget.viewer.layers["cells PSF"]
    assert np.array_equal(layer.data, panel.generated.psf)
    assert voxel_um(layer) == pytest.approx((0.3, 0.1, 0.1))
    assert layer.metadata[METADATA_KEY]["role"] == "psf"
    assert "Added 'cells PSF';" in panel.note.text()
    panel.add_button.click()
    assert "Added 'cells PSF [1]';" in panel.note.text()
    widget.viewer.layers.remove("cells PSF [1]")
    made = panel.generated.parameters
    panel.optics_form.na.setValue(0.3)
    widget.viewer.layers.selection = {layer}
    panel.read_button.click()
    settle(widget)
    assert panel.generated.parameters == made
    widget.viewer.layers.selection = {widget.viewer.layers["cells"]}
    panel.read_button.click()
    assert "Select a PSF layer" in panel.note.text()
    panel.note.say("")
    beads = widget.viewer.add_image(np.eye(3), metadata={METADATA_KEY: {"role": "psf", "shape": [3, 3]}})
    widget.viewer.layers.selection = {beads}
    panel.read_button.click()
    assert "Select a PSF layer" in panel.note.text()
    _, main = widget.viewer.window.add_plugin_dock_widget("napari-selfdeconv", "Deconvolve")
    assert main.psf_form.layer_box.layer is layer  # the main dock prefers it


def test_parameters_in_a_file(
    dock: Callable[..., Any], settle: Callable[[Any], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widget = dock()
    panel = widget.generate
    settle(widget)
    made = panel.generated.parameters
    path = str(tmp_path / "psf.json")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (path, ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (path, ""))
    panel.save_button.click()
    panel.optics_form.na.setValue(0.3)
    panel.load_button.click()
    settle(widget)
    assert panel.generated.parameters == made
    (tmp_path / "psf.json").write_text("{}")
    panel.load_button.click()
    assert "its format is not" in panel.note.text()


def test_impossible_optics_are_said(dock: Callable[..., Any], settle: Callable[[Any], None]) -> None:
    widget = dock()
    widget.generate.optics_form.na.setValue(1.7)
    settle(widget)
    assert "A numerical aperture of 1.7 is not possible in a medium of index 1.515" in widget.generate.note.text()


def test_closing_the_dock_leaves_nothing_running(dock: Callable[..., Any], qtbot: Any) -> None:
    widget = dock()
    viewer = widget.viewer
    widget.generate._compute()
    viewer.window.remove_dock_widget(widget)
    qtbot.waitUntil(lambda: not WorkerBase._worker_set, timeout=20_000)
    QApplication.processEvents()
    viewer.layers["cells"].name = "renamed"


def sick_bead() -> np.ndarray:
    z, y, x = np.mgrid[-10:11, -8:8, -8:9]
    light = 200 * np.exp(-(z**2) / 32 - (y - 2) ** 2 / 8 - x**2 / 8) + 20
    return light.astype(np.float32)


def test_the_doctor_lists_findings_and_fixes_them(dock: Callable[..., Any], settle: Callable[[Any], None]) -> None:
    widget = dock()
    viewer = widget.viewer
    sick = viewer.add_image(sick_bead(), name="bead PSF", scale=(0.3, 0.1, 0.1), units=("um",) * 3)
    before = sick.data.copy()
    widget.tabs.setCurrentWidget(widget.doctor)
    doctor = widget.doctor
    assert doctor.psf_box.layer is sick
    settle(widget)
    assert {"background", "centre", "even", "sum"} <= set(doctor.fix_buttons)
    assert "problem" in doctor.summary.text()
    doctor.fix_buttons["centre"].click()
    settle(widget)
    repaired = viewer.layers["bead PSF [repaired]"]
    assert set(doctor.fix_buttons) == {"larger"}  # the background went first, or it would have become an edge
    doctor.fix_all_button.click()
    settle(widget)
    assert viewer.layers["bead PSF [repaired]"] is repaired  # the same layer, repaired further
    assert not doctor.fix_buttons
    assert not doctor.fix_all_button.isEnabled()
    assert np.array_equal(sick.data, before)
    assert repaired.data.sum() == pytest.approx(1, abs=1e-4)
    assert voxel_um(repaired) == pytest.approx((0.3, 0.1, 0.1))
    widget.grab()


def test_the_doctor_follows_changes(dock: Callable[..., Any], settle: Callable[[Any], None]) -> None:
    widget = dock()
    viewer, doctor = widget.viewer, widget.doctor
    z, y, x = np.mgrid[-9:10, -6:7, -6:7]
    good = np.exp(-(z**2) / 18 - y**2 / 8 - x**2 / 8)
    layer = viewer.add_image(
        (good / good.sum()).astype(np.float32), name="my PSF", scale=(0.3, 0.1, 0.1), units=("um",) * 3
    )
    viewer.layers["cells"].data = NOISE((40, 32, 32)).astype(np.float32)
    widget.tabs.setCurrentWidget(doctor)
    settle(widget)
    assert "Nothing to repair" in doctor.summary.text()
    layer.data = layer.data * 3
    settle(widget)
    assert set(doctor.fix_buttons) == {"sum"}
    viewer.layers["cells"].scale = (0.3, 0.2, 0.2)
    settle(widget)
    assert "voxels" in doctor.fix_buttons
    layer.data = np.zeros((5, 5, 5), np.float32)
    settle(widget)
    assert "0 or less" in doctor.summary.text()
    viewer.layers.remove(layer)
    assert "Choose the layer" in doctor.summary.text()


def test_the_main_dock_opens_the_tools(dock: Callable[..., Any]) -> None:
    widget = dock()
    _, main = widget.viewer.window.add_plugin_dock_widget("napari-selfdeconv", "Deconvolve")
    main.psf_form.tools.click()
    assert open_psf(widget.viewer) is widget
