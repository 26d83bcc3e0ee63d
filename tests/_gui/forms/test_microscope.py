"""One microscope for all docks of a viewer: what is typed in one stands in the others, and outlives them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog, QInputDialog

from napari_selfdeconv import Optics, api
from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.docks.psf import open_psf
from napari_selfdeconv._gui.forms.microscope import TypedOptics, microscope_of
from napari_selfdeconv._gui.forms.psf import PsfForm
from napari_selfdeconv._gui.forms.train import REFINED, describe
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, snapshot
from napari_selfdeconv._gui.layers.file_record import RECORD_KEY


def lens(na: float, wavelength_um: float, refractive_index: float) -> TypedOptics:
    return TypedOptics(na=na, wavelength_um=wavelength_um, refractive_index=refractive_index)


WATER = lens(1.2, 0.61, 1.33)


def shown(form: Any) -> TypedOptics:
    return lens(form.na.value(), form.wavelength.um(), form.index.value())


def type_water(form: Any) -> None:
    form.na.setValue(WATER.na)
    form.wavelength.set_um(WATER.wavelength_um)
    form.index.setValue(WATER.refractive_index)


def sizes(form: Any) -> list[float]:
    return [box.value() for box in form.voxel[-2:]]


def test_every_viewer_has_one_microscope() -> None:
    first, second = ViewerModel(), ViewerModel()
    assert microscope_of(first) is microscope_of(first)
    assert microscope_of(first) is not microscope_of(second)


def test_the_defocus_of_a_sample_does_not_hold_for_the_next_image() -> None:
    viewer = ViewerModel()
    microscope = microscope_of(viewer)
    optics = Optics(na=0.5, wavelength_um=0.6, refractive_index=1.0, defocus_um=2.5)
    told = {METADATA_KEY: {"optics": optics.to_dict()}}
    sample, mine, other = (viewer.add_image(np.eye(4), metadata=one) for one in (told, {}, {}))
    microscope.follow(sample)
    assert microscope.optics == TypedOptics.of(optics)
    microscope.follow(mine)
    assert microscope.optics == replace(TypedOptics.of(optics), defocus_um=0.0)
    microscope.set_optics(replace(microscope.optics, defocus_um=2.5))  # as typed
    microscope.follow(other)
    assert microscope.optics.defocus_um == 2.5
    microscope.follow(sample)
    microscope.set_optics(replace(microscope.optics, defocus_um=1.0))
    microscope.follow(mine)
    assert microscope.optics.defocus_um == 1.0


@pytest.mark.parametrize("channels", [1, 2])
def test_a_result_of_the_command_line_states_its_optics(channels: int) -> None:
    optics = Optics(na=0.5, wavelength_um=0.6, refractive_index=1.0)
    told = {**optics.to_dict(), "sources": {"na": "given"}}
    viewer = ViewerModel()
    about = {"optics": told if channels == 1 else [told] * channels}
    microscope_of(viewer).follow(viewer.add_image(np.eye(4), metadata={METADATA_KEY: about}))
    assert microscope_of(viewer).optics == TypedOptics.of(optics)


def test_what_is_typed_while_the_file_is_read_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    viewer, path, reading = ViewerModel(), tmp_path / "a.tif", []
    path.touch()
    layer = viewer.add_image(np.eye(4))
    monkeypatch.setattr("napari_selfdeconv._gui.forms.microscope.file_of", lambda _layer: path)
    microscope = microscope_of(viewer)
    monkeypatch.setattr(microscope._reading, "start_newest", reading.append)
    microscope.follow(layer)
    microscope.set_optics(replace(microscope.optics, na=1.2))
    channel = api.ChannelRecord(emission_um=0.52)
    record = api.ImageRecord(
        file="a.tif",
        format="x",
        axes="YX",
        shape=(4, 4),
        dtype="f",
        na=0.8,
        refractive_index=1.0,
        channels=(channel,),
    )
    reading[0].on_success(record)
    assert microscope.optics == lens(1.2, 0.52, 1.0)


@pytest.mark.parametrize(
    ("kinds", "other"),
    [
        (["light sheet"], "light sheet"),
        (["TIRF", "TIRF"], "TIRF"),
        (["laser scanning confocal"], ""),
        ([None, "widefield"], ""),
    ],
)
def test_a_kind_of_microscope_that_the_psf_is_not_of_is_said_and_recorded(
    qtbot: Any, kinds: list[str | None], other: str
) -> None:
    channels = tuple(api.ChannelRecord(emission_um=0.52, modality=kind, pinhole_au=0.0) for kind in kinds)
    axes, shape = ("YX", (4, 4)) if len(kinds) == 1 else ("CYX", (2, 4, 4))
    record = api.ImageRecord(
        file="a.tif",
        format="x",
        axes=axes,
        shape=shape,
        dtype="f",
        na=0.8,
        refractive_index=1.0,
        channels=channels,
    )
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros(shape), metadata={METADATA_KEY: {RECORD_KEY: record}})
    form = PsfForm(viewer)
    qtbot.addWidget(form)
    lens = form.lens
    lens.follow(layer)
    microscope = microscope_of(viewer)
    sources = microscope.facts(layer).sources_of(microscope.optics)
    said = f"The file states the microscope {other}, and the PSF is computed for a widefield one"
    assert (said in lens.file_note.text()) == bool(other)
    assert lens.file_note.kind == ("warning" if other else "")
    assert sources.get("psf_model") == (f"given; the file states {other}" if other else None)
    if microscope.optics.model == "confocal":
        assert dict(microscope.optics.values)["pinhole_au"] == 0.0  # a point, not a value that is missing
        microscope.set_optics(replace(microscope.optics, model="widefield", values=(), na=0.7))
        assert "laser scanning confocal, and the PSF is computed for a widefield" in lens.file_note.text()
        assert lens._labels[0].toolTip() == "The file states 0.8"


def test_optics_typed_in_any_dock_stand_in_all(open_dock: Callable[..., Any]) -> None:
    main = open_dock(scale=(1, 1))
    compare, psf = open_compare(main.viewer, main.image_box.layer), open_psf(main.viewer).generate
    psf.image_box.choose(main.image_box.layer)
    for typed_in, others in (
        (main.psf_form, (compare.psf_form, psf.optics_form)),
        (psf.optics_form, (main.psf_form, compare.psf_form)),
        (compare.psf_form, (main.psf_form, psf.optics_form)),
    ):
        typed_in.na.setValue(0.7)
        type_water(typed_in)
        assert [shown(form) for form in others] == [WATER, WATER]
    for size, (typed_in, others) in zip(
        (0.1, 0.2, 0.3),
        ((main.psf_form, (compare.psf_form, psf)), (psf, (main.psf_form,)), (compare.psf_form, (main.psf_form,))),
        strict=True,
    ):
        for box in typed_in.voxel[-2:]:
            box.setValue(size)
        assert [sizes(form) for form in others] == [[size, size]] * len(others)


def test_a_dock_that_is_closed_forgets_nothing(open_dock: Callable[..., Any]) -> None:
    main = open_dock(scale=(1, 1))
    viewer = main.viewer
    main.psf_form.generated.click()
    type_water(main.psf_form)
    for box in main.psf_form.voxel[-2:]:
        box.setValue(0.17)
    viewer.window.remove_dock_widget(main)
    _, again = viewer.window.add_plugin_dock_widget("napari-selfdeconv", "Deconvolve")
    assert shown(again.psf_form) == WATER
    assert sizes(again.psf_form) == [0.17, 0.17]


def test_what_an_image_says_does_not_undo_what_was_typed_for_it(open_dock: Callable[..., Any]) -> None:
    main = open_dock()
    told = {"optics": {"na": 0.8, "wavelength_um": 0.5, "refractive_index": 1.0}}
    image = main.viewer.add_image(np.ones((8, 8)), name="told", metadata={METADATA_KEY: told})
    main.image_box.choose(image)
    assert shown(main.psf_form) == lens(0.8, 0.5, 1.0)
    type_water(main.psf_form)
    compare = open_compare(main.viewer, image)
    assert shown(compare.psf_form) == shown(main.psf_form) == WATER


def test_a_layer_that_is_changed_has_the_last_word(open_dock: Callable[..., Any]) -> None:
    main = open_dock()
    image = main.image_box.layer
    for box in main.psf_form.voxel[-2:]:
        box.setValue(0.17)
    image.scale = (0.4, 0.4)
    assert sizes(main.psf_form) == pytest.approx([0.4, 0.4])


def test_the_source_of_the_psf_stands_in_all_docks(open_dock: Callable[..., Any]) -> None:
    main = open_dock()
    other = main.viewer.add_image(np.ones((5, 5)), name="bead PSF", visible=False)
    compare = open_compare(main.viewer, main.image_box.layer)
    first, second = main.psf_form, compare.psf_form
    first.generated.click()
    assert second.generated.isChecked()
    second.from_layer.click()
    assert first.from_layer.isChecked()
    first.layer_box.choose(other)
    assert second.layer_box.layer is other
    second.clean.click()
    assert first.clean.isChecked()
    main.viewer.window.remove_dock_widget(main)
    _, again = main.viewer.window.add_plugin_dock_widget("napari-selfdeconv", "Deconvolve")
    form = again.psf_form
    assert (form.from_layer.isChecked(), form.layer_box.layer, form.clean.isChecked()) == (True, other, True)


def test_a_confocal_typed_in_the_tools_is_used_and_said_in_the_main_dock(open_dock: Callable[..., Any]) -> None:
    main = open_dock()
    tools = open_psf(main.viewer).generate.optics_form
    main.psf_form.generated.click()
    assert main.psf_form.more_note.text() == ""
    tools.model.setCurrentIndex(tools.model.findData("confocal"))
    tools.parameters["confocal"]["pinhole_au"].setValue(0.7)
    assert "confocal, excitation 488 nm, pinhole, au 0.7" in main.psf_form.more_note.text().lower()
    optics = main.psf_form.psf(main.image_box.layer).optics
    assert (optics.excitation_um, optics.pinhole_au) == (0.488, 0.7)


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The remembered microscopes of this test alone, and a name whenever one is asked for."""
    monkeypatch.setenv("SELFDECONV_CONFIG_FOLDER", str(tmp_path))
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("Zeiss 63x/1.4 oil, GFP", True))
    return tmp_path


def choose(box: Any, text: str) -> None:
    box.setCurrentIndex(box.findText(text))
    box.activated.emit(box.currentIndex())


def test_a_microscope_is_remembered_under_its_name_and_offered(open_dock: Callable[..., Any], named: Path) -> None:
    main = open_dock(show=True)
    form = main.psf_form
    form.generated.click()
    type_water(form)
    form.lens.list.ask_name()
    assert form.lens.list.box.currentText() == "Zeiss 63x/1.4 oil, GFP"
    assert "Remembered" in form.lens.said.text()
    form.na.setValue(0.9)
    assert form.lens.list.box.currentText() == ""
    compare = open_compare(main.viewer, main.image_box.layer)
    compare.psf_form.lens.list.refresh()
    choose(compare.psf_form.lens.list.box, "Zeiss 63x/1.4 oil, GFP")
    assert shown(form) == shown(compare.psf_form) == WATER
    compare.psf_form.lens.list.forget()
    assert compare.psf_form.lens.list.box.findText("Zeiss 63x/1.4 oil, GFP") == -1
    assert shown(form) == WATER


def test_an_objective_fills_na_and_immersion_and_leaves_the_emission(open_dock: Callable[..., Any]) -> None:
    form = open_dock().psf_form
    form.wavelength.setValue(600)
    choose(form.lens.list.box, "25× / 1.05 water")
    assert shown(form) == lens(1.05, 0.6, 1.33)
    assert form.lens.list.box.currentText() == "25× / 1.05 water"


def test_a_microscope_goes_through_a_file(
    open_dock: Callable[..., Any], named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main = open_dock(scale=(1, 1))
    form, path = main.psf_form, named / "water.toml"
    form.generated.click()
    type_water(form)
    form.voxel_fields.set_sizes((0.17, 0.17))
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    form.lens.list._ask_save()
    assert api.load_microscope(path).voxel_um == (0.17, 0.17)
    form.na.setValue(0.9)
    form.voxel_fields.set_sizes((0.0, 0.0))
    form.lens.list._ask_load()
    assert shown(form) == WATER
    assert sizes(form) == [0.17, 0.17]
    path.write_text("name = 1", "utf-8")
    form.lens.list._ask_load()
    assert "its format is not" in form.lens.said.text()


def test_what_is_not_known_is_asked_for_and_never_guessed(open_dock: Callable[..., Any]) -> None:
    main = open_dock()
    microscope_of(main.viewer).set_optics(TypedOptics())
    form = main.psf_form
    form.generated.click()
    assert [form.na.text(), form.wavelength.text(), form.index.text()] == ["?", "?", "?"]
    assert form.lens.error_note.isHidden()  # asked for when a run starts, and not before
    for field, value, words in (
        (form.na, 1.2, "numerical aperture"),
        (form.wavelength, 525, "emission wavelength"),
        (form.index, 1.33, "refractive index"),
    ):
        main.train()
        assert not main.busy
        assert form.wrong is field
        assert words in form.lens.error_note.text()
        field.setValue(value)
        assert form.wrong is None


OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Instrument ID="Instrument:0">'
    '<Objective ID="Objective:0" LensNA="1.2" Immersion="Water" NominalMagnification="60"/></Instrument>'
    '<Image ID="Image:0"><InstrumentRef ID="Instrument:0"/><ObjectiveSettings ID="Objective:0"{index}/>'
    '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="float" SizeX="16" SizeY="16" SizeZ="1" SizeC="1" '
    'SizeT="1" PhysicalSizeX="0.1" PhysicalSizeY="0.1" PhysicalSizeXUnit="µm" PhysicalSizeYUnit="µm" '
    'BigEndian="false">'
    '<Channel ID="Channel:0:0" EmissionWavelength="610" EmissionWavelengthUnit="nm"/><TiffData/>'
    "</Pixels></Image></OME>"
)


@pytest.fixture
def ome_file(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes a file which states the microscope, with the immersion's index or without."""

    def write(name: str, index: str) -> str:
        told = OME.format(index=f' RefractiveIndex="{index}"' if index else "")
        random = np.random.default_rng(0)
        tifffile.imwrite(
            tmp_path / name, random.random((16, 16), np.float32), description=told.encode(), metadata=None
        )
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize("name", ["cells.ome.tif", "cells.tif"])
def test_fields_are_filled_from_the_file_and_marked(
    open_dock: Callable[..., Any], ome_file: Callable[..., str], name: str, qtbot: Any
) -> None:
    main = open_dock()
    # Our reader brings the record; where another one has opened the file, the dock reads it.
    plugin = "napari-selfdeconv" if name.endswith(".ome.tif") else "napari"
    (image,) = main.viewer.open(ome_file(name, "1.33"), plugin=plugin)
    main.image_box.choose(image)
    form = main.psf_form
    form.generated.click()
    qtbot.waitUntil(lambda: shown(form) == WATER, timeout=20_000)
    assert sizes(form) == [0.1, 0.1]
    marks = [label.text() for label in (*form.lens._labels, *form.voxel_fields._labels[1:])]
    assert marks == ["NA *", "Emission *", "Refr. index *", "Voxel y, µm *", "Voxel x, µm *"]
    assert "OME-XML" in form.lens._labels[0].toolTip()
    assert f"* from the file {name}" in form.lens.file_note.text()
    form.na.setValue(1.1)
    assert form.lens._labels[0].text() == "NA"


def test_what_the_file_does_not_state_is_said(open_dock: Callable[..., Any], ome_file: Callable[..., str]) -> None:
    main = open_dock()
    microscope_of(main.viewer).set_optics(TypedOptics())
    (image,) = main.viewer.open(ome_file("cells.ome.tif", ""), plugin="napari-selfdeconv")
    main.image_box.choose(image)
    main.psf_form.generated.click()
    assert (main.psf_form.na.value(), main.psf_form.index.value()) == (1.2, 0)
    assert "does not state the refractive index of the immersion (water)" in main.psf_form.lens.file_note.text()


def test_the_light_held_is_said_and_the_whole_stack_offered(open_dock: Callable[..., Any], qtbot: Any) -> None:
    stack = np.random.default_rng(0).random((16, 24, 24)).astype(np.float32)
    main = open_dock(image=stack, scale=(0.3, 0.12, 0.12), units=("um",) * 3, show=True)
    form = main.psf_form
    form.generated.click()
    size = form.size_note
    qtbot.waitUntil(lambda: "%" in size.note.text(), timeout=20_000)
    assert re.search(
        r"holds \d+% of the light inside the stack. A compact one would hold \d+%; this one takes \S+ \d+ s more",
        size.note.text(),
    )
    image = main.image_box.layer
    assert form.psf(image).whole_stack
    kernel, _ = form.psf(image).kernel(snapshot(image))
    assert kernel.shape == (31, 47, 47)
    size.whole.click()
    assert not form.psf(image).whole_stack
    assert re.search(r"holds \d+% of the light inside the stack. Whole stack: \d+%, about", size.note.text())
    compact, _ = form.psf(image).kernel(snapshot(image))
    assert compact.shape == form.psf(image).compact_kernel(snapshot(image))[0].shape < kernel.shape
    # Another microscope loses the light of other planes: there is nothing to offer.
    microscope_of(main.viewer).set_optics(
        replace(
            microscope_of(main.viewer).optics,
            model="confocal",
            values=(("excitation_um", 0.488), ("pinhole_au", 1)),
        )
    )
    assert size.note.text() == ""


def test_a_stack_that_is_only_refined_is_said_to_be(open_dock: Callable[..., Any], qtbot: Any) -> None:
    stack = np.random.default_rng(0).random((16, 24, 24)).astype(np.float32)
    dock = open_dock(image=stack, scale=(0.3, 0.12, 0.12), units=("um",) * 3, show=True)
    form, train = dock.psf_form, dock.train_form
    form.generated.click()
    microscope_of(dock.viewer).set_optics(TypedOptics(na=1.2, wavelength_um=0.52, refractive_index=1.33))
    qtbot.waitUntil(lambda: "%" in form.size_note.note.text(), timeout=20_000)
    assert train.note.text() == REFINED
    assert "for training" not in dock.memory_note.text()
    assert "for the result" in dock.memory_note.text()
    train.pretrained.setChecked(False)
    assert "random weights" in train.note.text()
    assert "for training" in dock.memory_note.text()
    train.pretrained.setChecked(True)
    assert train.note.text() == REFINED
    train.preset.setCurrentText("instant")
    assert train.note.text() == describe("instant", 3)
    train.preset.setCurrentText("quick")
    form.size_note.whole.setChecked(False)
    assert train.note.text() == describe("quick", 3)
    assert "for training" in dock.memory_note.text()


def test_nothing_is_said_of_refinement_where_the_size_of_the_psf_is_not_known(
    open_dock: Callable[..., Any],
) -> None:
    stack = np.random.default_rng(0).random((16, 24, 24)).astype(np.float32)
    dock = open_dock(image=stack, scale=(0.3, 0.12, 0.12), units=("um",) * 3)
    form, said = dock.psf_form, dock.train_form.note
    psf = dock.viewer.add_image(np.ones((31, 47, 47)), name="bead PSF", scale=(0.3, 0.12, 0.12), units=("um",) * 3)
    form.from_layer.click()
    form.layer_box.choose(psf)
    assert said.text() == REFINED
    # A PSF that is cleaned up is cropped, and one of other voxels is resampled.
    form.clean.setChecked(True)
    assert said.text() == describe("quick", 3)
    form.clean.setChecked(False)
    assert said.text() == REFINED
    psf.scale = (0.6, 0.12, 0.12)
    form.changed.emit()
    assert said.text() == describe("quick", 3)
    psf.scale = (0.3, 0.12, 0.12)
    # An array that is not in memory may be too large to be used whole.
    lazy = dock.viewer.add_image(da.from_array(stack), name="lazy", scale=(0.3, 0.12, 0.12), units=("um",) * 3)
    dock.image_box.choose(lazy)
    assert said.text() == describe("quick", 3)
