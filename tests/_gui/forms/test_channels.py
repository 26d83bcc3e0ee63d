"""The emission of each channel: from the file, typed, for all, and impossible."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.forms.microscope import microscope_of
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY
from napari_selfdeconv._gui.layers.file_record import RECORD_KEY
from napari_selfdeconv._gui.runs.psf_choice import optics_record
from napari_selfdeconv.api import ChannelRecord, ImageRecord

CHANNELS = (
    ChannelRecord(name="GFP", colour="#00ff00", emission_um=0.51),
    ChannelRecord(name="a red dye with a long name", colour="#ff0000", emission_um=0.61),
    ChannelRecord(),
)


@pytest.fixture
def dock(open_dock: Callable[..., Any]) -> Any:
    """The main dock on an image of three channels, whose file states two emissions."""
    made = open_dock()
    record = ImageRecord(
        file="cells.czi", format="CZI", axes="CYX", shape=(3, 32, 32), dtype="uint16", channels=CHANNELS
    )
    layer = made.viewer.add_image(
        np.random.default_rng(0).random((3, 32, 32)),
        name="cells",
        axis_labels=("c", "y", "x"),
        scale=(1, 0.1, 0.1),
        units=("pixel", "um", "um"),
        metadata={METADATA_KEY: {RECORD_KEY: record}},
    )
    made.image_box.choose(layer)
    made.psf_form.generated.click()
    return made


def emissions(dock: Any) -> list[float]:
    return [psf.optics.wavelength_um for psf in dock.inputs().psfs]


def test_each_channel_has_the_emission_of_the_file_and_a_mark(dock: Any) -> None:
    channels = dock.psf_form.channels
    assert channels.isVisibleTo(dock)
    assert [box.um() for box in channels.boxes] == [0.51, 0.61, 0]
    texts = [label.text() for label in channels.labels]
    assert "GFP *" in texts[0]
    assert "#00ff00" in texts[0]
    assert "cells.czi" in channels.labels[0].toolTip()
    assert texts[2] == "channel 2"
    assert dock.psf_form.lens.file_note.text().count("kind of microscope") == 1
    # What is unknown takes the emission of all channels.
    assert emissions(dock) == [0.51, 0.61, 0.525]
    told = optics_record(dock.inputs().psfs)["optics"]
    assert [one["wavelength_um"] for one in told] == [0.51, 0.61, 0.525]
    given = [{name for name, source in one["sources"].items() if source == "given"} for one in told]
    assert [names & {"wavelength_um"} for names in given] == [set(), set(), {"wavelength_um"}]


def test_what_is_typed_stands_in_its_place_and_is_kept(dock: Any) -> None:
    channels = dock.psf_form.channels
    channels.boxes[1].setValue(640)
    assert emissions(dock) == [0.51, 0.64, 0.525]
    assert "*" not in channels.labels[1].text()
    cells, spots = dock.image_box.layer, dock.viewer.layers["spots"]
    dock.image_box.choose(spots)
    assert not channels.isVisibleTo(dock)
    assert emissions(dock) == [0.525]
    dock.image_box.choose(cells)
    assert emissions(dock) == [0.51, 0.64, 0.525]
    assert microscope_of(dock.viewer).emissions_um(cells, 3) == (0.51, 0.64, 0)


def test_layers_of_psfs_need_no_emission(dock: Any) -> None:
    channels = dock.psf_form.channels
    dock.axes_form.each_psf.setChecked(True)
    assert not channels.isVisibleTo(dock)
    dock.axes_form.each_psf.setChecked(False)
    dock.psf_form.from_layer.click()
    assert not channels.isVisibleTo(dock)


def test_an_impossible_emission_is_said_at_its_field(dock: Any) -> None:
    form = dock.psf_form
    box = form.channels.boxes[1]
    box.setValue(6100)
    assert "Did you mean 610 nm?" in form.channels.note.text()
    dock.train()
    assert form.lens.error_note.text() == ""  # it is said at the channel
    assert not dock.busy
    assert form.wrong is box
    assert "border" in box.styleSheet()
    assert dock.run_panel.status.kind == "error"
    box.setValue(610)
    assert form.wrong is None
    assert form.channels.note.text() == ""


def test_the_compare_dock_asks_for_one_emission(dock: Any) -> None:
    form = open_compare(dock.viewer, dock.viewer.layers["spots"]).psf_form
    assert not form.channels.isVisibleTo(form)
