"""Zeiss's CZI, read by the package czifile."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.facts import Facts
from napari_selfdeconv.io.optics_names import add_objective, immersion_name, modality_name
from napari_selfdeconv.io.optional import import_for
from napari_selfdeconv.io.source import Source, pick_position
from napari_selfdeconv.io.units import micrometres, number
from napari_selfdeconv.io.xml_text import parse_xml

_SOURCE = "Zeiss's metadata"
# None, JPEG, LZW, JPEG XR.
_COMPRESSIONS = (0, 1, 2, 4)
# czifile's letters: S is a scene, and 0 the samples of a colour.
_AXES = str.maketrans({"S": "P", "0": "S"})


@contextlib.contextmanager
def open_czi(path: Path, series: int) -> Iterator[Source]:
    """Open one scene of a CZI file."""
    with import_for(path, "czifile").CziFile(str(path)) as file:
        # Otherwise czifile writes the smaller copies of a pyramid over the image.
        file.filtered_subblock_directory = [
            block for block in file.filtered_subblock_directory if block.shape == block.stored_shape
        ]
        if any(block.compression not in _COMPRESSIONS for block in file.filtered_subblock_directory):
            raise ConfigError(
                f"{path.name} is compressed in a way that czifile does not read",
                "in ZEN, save it without compression or as OME-TIFF",
            )
        facts = Facts()
        root = parse_xml(file.metadata() or "<ImageDocument/>", path.name)
        _add_document(facts, root)
        source = Source(
            path=path,
            format="Zeiss CZI",
            axes=file.axes.translate(_AXES),
            shape=tuple(file.shape),
            dtype=np.dtype(file.dtype),
            facts=facts,
            load=lambda: _pixels(file),
        )
        scenes = root.iterfind(".//Information/Image/Dimensions/S/Scenes/Scene")
        yield pick_position(source, series, tuple(scene.get("Name", "") for scene in scenes))


def _pixels(file: Any) -> NDArray[Any]:
    with warnings.catch_warnings():
        # A block that cannot be decoded is a warning there and would be a black tile here. With several
        # workers czifile drops the error of a worker.
        warnings.simplefilter("error")
        return np.asarray(file.asarray(max_workers=1))


def _add_document(facts: Facts, root: Element) -> None:
    for distance in root.iterfind(".//Metadata/Scaling/Items/Distance"):
        size = micrometres(number(distance.findtext("Value")), "m")
        facts.add(f"voxel_{distance.get('Id', '').lower()}_um", size, _SOURCE)
    image = root.find(".//Information/Image")
    if image is None:
        return
    increment = number(image.findtext("Dimensions/T/Positions/Interval/Increment"))
    facts.add("time_step_s", increment, _SOURCE)
    facts.add("refractive_index", number(image.findtext("ObjectiveSettings/RefractiveIndex")), _SOURCE)
    used = image.find("ObjectiveSettings/ObjectiveRef")
    objectives = root.findall(".//Information/Instrument/Objectives/Objective")
    if used is not None:
        objectives = [one for one in objectives if one.get("Id") == used.get("Id")]
    if len(objectives) == 1:
        one = objectives[0]
        facts.add("na", number(one.findtext("LensNA")), _SOURCE)
        facts.add("magnification", number(one.findtext("NominalMagnification")), _SOURCE)
        facts.add("immersion", immersion_name(one.findtext("Immersion") or ""), _SOURCE)
        add_objective(facts, one.get("Name") or one.findtext("Manufacturer/Model") or "", _SOURCE)
    for index, channel in enumerate(image.iterfind("Dimensions/Channels/Channel")):
        _add_channel(facts, f"channels.{index}.", channel)


def _add_channel(facts: Facts, key: str, channel: Element) -> None:
    facts.add(key + "name", channel.findtext("Fluor") or channel.get("Name"), _SOURCE)
    colour = channel.findtext("Color") or ""
    # "#AARRGGBB"
    facts.add(key + "colour", f"#{colour[-6:].lower()}" if len(colour) in (7, 9) else None, _SOURCE)
    facts.add(key + "emission_um", micrometres(number(channel.findtext("EmissionWavelength")), "nm"), _SOURCE)
    facts.add(key + "excitation_um", micrometres(number(channel.findtext("ExcitationWavelength")), "nm"), _SOURCE)
    facts.add(key + "modality", modality_name(channel.findtext("AcquisitionMode") or ""), _SOURCE)
    facts.add(key + "pinhole_um", number(channel.findtext("PinholeSize")), _SOURCE)
    facts.add(key + "pinhole_au", number(channel.findtext("PinholeSizeAiry")), _SOURCE)
    facts.add(key + "camera_offset", number(channel.findtext("DetectorSettings/Offset")), _SOURCE)
    facts.add(key + "camera_gain", number(channel.findtext("DetectorSettings/Gain")), _SOURCE)
