"""The optics of ``deconvolve``: what is given counts, then what the file states; the rest is asked for."""

from __future__ import annotations

import pytest

from napari_selfdeconv.cli.optics import optics_for
from napari_selfdeconv.cli.parser import _parser
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


def optics(record, *options):
    return optics_for(_parser().parse_args(["deconvolve", "x.czi", "--out", "o.tif", *options]), record)


def test_a_file_that_states_all_needs_no_option(capsys):
    assert optics(record_of(**CHANNEL)) == Optics(na=1.4, wavelength_um=0.52, refractive_index=1.515)
    said = capsys.readouterr().err
    assert "--na 1.4 (Zeiss's metadata)" in said
    assert "warning" not in said


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


def test_an_unknown_microscope_and_doubts_are_said(capsys):
    doubts = (Remark(field="na", problem="two numbers", remedy="choose"),)
    assert optics(record_of(doubts, emission_um=0.52)).excitation_um is None
    said = capsys.readouterr().err
    assert "warning: the file does not state the kind of microscope; the PSF is that of a widefield" in said
    assert "warning: two numbers: choose" in said
