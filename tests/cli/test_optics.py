"""The optics of a run: what is given counts, then the microscope, then the file; the rest is asked for."""

from __future__ import annotations

import pytest

from napari_selfdeconv.api import Microscope, complete_optics, save_microscope
from napari_selfdeconv.api.record_optics import given_optics, told_optics
from napari_selfdeconv.cli.options import template_of
from napari_selfdeconv.cli.parser import make_parser
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.record import ChannelRecord, ImageRecord, Remark

IMAGE = {"na": 1.4, "refractive_index": 1.515, "immersion": "oil"}
CHANNEL = {"emission_um": 0.52, "modality": "widefield"}


def record_of(doubts=(), image=IMAGE, **channel):
    names = [*image, *(f"channels.0.{name}" for name in channel)]
    return ImageRecord(
        file="x.czi", format="Zeiss CZI", axes="ZYX", shape=(4, 8, 9), dtype="uint16", doubts=doubts,
        channels=(ChannelRecord(**channel),), sources=dict.fromkeys(names, "Zeiss's metadata"), **image,
    )  # fmt: skip


def complete(record, *options):
    args = make_parser().parse_args(["deconvolve", "x.czi", "--out", "o.tif", *options])
    return complete_optics(template_of(args).optics, record)


def optics(record, *options):
    return complete(record, *options)[0]


def test_a_file_that_states_all_needs_no_option():
    found, stated, doubts = complete(record_of(**CHANNEL))
    assert found == Optics(na=1.4, wavelength_um=0.52, refractive_index=1.515)
    assert "--na 1.4 (Zeiss's metadata)" in [str(one) for one in stated]
    assert doubts == ()


def test_an_option_replaces_what_the_file_states():
    assert optics(record_of(**CHANNEL), "--na", "1.3").na == 1.3


def test_a_confocal_file_gives_a_confocal_psf():
    confocal = {**CHANNEL, "modality": "laser scanning confocal", "excitation_um": 0.488}
    assert optics(record_of(**confocal, pinhole_au=1.2)).pinhole_au == 1.2
    with pytest.raises(ConfigError, match=r"or --pinhole-au \(the pinhole, which is 90 um, in Airy units is not"):
        optics(record_of(**confocal, pinhole_um=90.0))
    assert optics(record_of(**confocal, pinhole_um=90.0), "--pinhole-au", "1").excitation_um == 0.488
    assert optics(record_of(**confocal), "--psf-model", "widefield").excitation_um is None


def test_what_is_in_neither_is_asked_for():
    image = {"na": 1.4, "immersion": "oil"}
    with pytest.raises(ConfigError) as caught:
        optics(record_of(image=image, modality="widefield"))
    assert "the refractive index of the immersion (oil) is not known" in str(caught.value)
    assert "--wavelength-um" in str(caught.value)
    assert "numerical aperture" not in str(caught.value)


def test_a_microscope_without_a_model_is_not_taken_for_another():
    other = record_of(**{**CHANNEL, "modality": "light sheet"})
    with pytest.raises(
        ConfigError, match=r"recorded by light sheet, which has no PSF model here: give --psf FILE"
    ):
        optics(other)
    assert optics(other, "--psf-model", "widefield").na == 1.4


@pytest.mark.parametrize("modality", ["light sheet", "laser scanning confocal", "TIRF"])
def test_a_kind_of_microscope_that_overrules_the_file_is_said_and_recorded(modality):
    record = record_of(**{**CHANNEL, "modality": modality})
    found, stated, said = complete(record, "--psf-model", "widefield")
    assert said == (
        f"the file states the microscope {modality}, and the PSF is that of a widefield one, as chosen",
    )
    sources = {one.name: one.source for one in stated}
    assert sources["psf_model"] == f"given; the file states {modality}"
    # Settings that are saved from the result choose it again.
    assert given_optics({"optics": told_optics(found, sources)}) == {"psf_model": "widefield"}


def test_values_that_ask_for_another_kind_of_microscope_are_said():
    confocal = ("--excitation-um", "0.488", "--pinhole-au", "0")
    found, stated, said = complete(record_of(**CHANNEL), *confocal)
    assert found.pinhole_au == 0
    assert "states the microscope widefield, and the PSF is that of a confocal one" in said[0]
    assert str(stated[-1]) == "--psf-model confocal (given; the file states widefield)"


def test_a_given_value_says_what_the_file_states():
    _, stated, said = complete(record_of(**CHANNEL), "--na", "1.3", "--wavelength-um", "0.5201")
    assert [str(one) for one in stated[:2]] == [
        "--na 1.3 (given; the file states 1.4)",
        "--wavelength-um 0.5201 (given)",
    ]
    assert said == ()


def test_an_unknown_microscope_and_doubts_are_said():
    doubts = (Remark(field="na", problem="two numbers", remedy="choose"),)
    found, _, said = complete(record_of(doubts, emission_um=0.52))
    assert found.excitation_um is None
    assert "the file does not state the kind of microscope; the PSF is that of a widefield" in said[0]
    assert said[1] == "two numbers: choose"


def test_a_microscope_fills_what_is_not_given(tmp_path):
    water = Optics(na=1.2, wavelength_um=0.6, refractive_index=1.33, excitation_um=0.488, pinhole_au=1.0)
    path = str(tmp_path / "water.toml")
    save_microscope(path, Microscope(name="60x water", optics=water))
    found, stated, _ = complete(record_of(**CHANNEL), "--microscope", path, "--wavelength-um", "0.52")
    assert (found.na, found.wavelength_um, found.pinhole_au) == (1.2, 0.52, 1.0)
    sources = {one.name: one.source for one in stated}
    assert (sources["na"], sources["wavelength_um"]) == (
        "the microscope 60x water; the file states 1.4",
        "given",
    )
    assert sources["psf_model"] == "the microscope 60x water; the file states widefield"
    with pytest.raises(ConfigError, match="there is no microscope 'mine'"):
        optics(record_of(**CHANNEL), "--microscope", "mine")


def test_layers_of_a_coverslip_are_options():
    found = optics(record_of(**CHANNEL), "--sample-index", "1.33", "--sample-depth-um", "5")
    assert (found.layers.sample_index, found.layers.sample_depth_um, found.layers.coverslip_um) == (1.33, 5, 170)
    with pytest.raises(ConfigError, match="missing setting for CoverslipLayers: sample_index"):
        optics(record_of(**CHANNEL), "--sample-depth-um", "5")
