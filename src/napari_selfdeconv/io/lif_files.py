"""Leica's LIF, read by the package liffile."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from napari_selfdeconv.io.facts import Facts
from napari_selfdeconv.io.optics_names import add_objective, immersion_name
from napari_selfdeconv.io.optional import import_for
from napari_selfdeconv.io.source import Source, check_series
from napari_selfdeconv.io.units import micrometres, number, seconds
from napari_selfdeconv.io.xml_text import refuse_entities

_SOURCE = "Leica's metadata"
# Numbers of the dimensions in Leica's XML.
_DIMENSIONS = {"1": "voxel_x_um", "2": "voxel_y_um", "3": "voxel_z_um", "4": "time_step_s"}
_COLOURS = {
    "red": "#ff0000", "green": "#00ff00", "blue": "#0000ff", "cyan": "#00ffff", "magenta": "#ff00ff",
    "yellow": "#ffff00", "gray": "#ffffff", "grey": "#ffffff",
}  # fmt: skip


@contextlib.contextmanager
def open_lif(path: Path, series: int) -> Iterator[Source]:
    """Open one image of a LIF file."""
    liffile = import_for(path, "liffile")
    _refuse_hostile(path)
    with liffile.LifFile(path) as file:
        images = list(file.images)
        check_series(path.name, series, len(images))
        image = images[series]
        facts = Facts()
        _add_image(facts, image.xml_element)
        yield Source(
            path=path,
            format="Leica LIF",
            # A scan field is one position of several; liffile calls it M.
            axes="".join(axis[0] for axis in image.dims).replace("M", "P"),
            shape=tuple(image.shape),
            dtype=np.dtype(image.dtype),
            series_names=tuple(one.name for one in images),
            series=series,
            facts=facts,
            load=lambda: np.asarray(image.asarray()),
        )


def _refuse_hostile(path: Path) -> None:
    """Raise ConfigError if the XML at the head of the file declares entities: liffile would expand them."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(13)[9:], "little") * 2
        refuse_entities(file.read(min(length, 1 << 28)), path.name)


def _add_image(facts: Facts, element: Element) -> None:
    for dimension in element.iter("DimensionDescription"):
        stated: Any = dimension.attrib
        field, steps = _DIMENSIONS.get(stated.get("DimID", "")), number(stated.get("NumberOfElements")) - 1
        if field is None or not steps >= 1:
            continue
        # The stored length reaches from the first to the last voxel.
        step, unit = abs(number(stated.get("Length"))) / steps, stated.get("Unit", "")
        facts.add(
            field, _rounded(seconds(step, unit) if field == "time_step_s" else micrometres(step, unit)), _SOURCE
        )
    for index, channel in enumerate(element.iter("ChannelDescription")):
        key = f"channels.{index}."
        facts.add(key + "colour", _COLOURS.get(channel.get("LUTName", "").lower()), _SOURCE)
        values = {item.findtext("Key"): item.findtext("Value") for item in channel.iter("ChannelProperty")}
        facts.add(key + "name", values.get("DyeName"), _SOURCE)
    settings = next(
        (
            one
            for tag in ("ATLConfocalSettingDefinition", "ATLCameraSettingDefinition")
            for one in element.iter(tag)
        ),
        None,
    )
    if settings is not None:
        _add_settings(facts, settings, len(list(element.iter("ChannelDescription"))))


def _add_settings(facts: Facts, settings: Element, channels: int) -> None:
    stated = settings.attrib
    facts.add("na", number(stated.get("NumericalAperture")), _SOURCE)
    facts.add("magnification", number(stated.get("Magnification")), _SOURCE)
    facts.add("immersion", immersion_name(stated.get("Immersion", "")), _SOURCE)
    facts.add("refractive_index", number(stated.get("RefractionIndex")), _SOURCE)
    add_objective(facts, stated.get("ObjectiveName", ""), _SOURCE)
    confocal = settings.tag == "ATLConfocalSettingDefinition"
    for index in range(channels):
        key = f"channels.{index}."
        if confocal:
            facts.add(key + "modality", "laser scanning confocal", _SOURCE)
            facts.add(key + "pinhole_um", _rounded(micrometres(number(stated.get("Pinhole")), "m")), _SOURCE)
            facts.add(key + "pinhole_au", number(stated.get("PinholeAiry")), _SOURCE)
    # The camera's list of channels holds the wavelengths in nanometres.
    for index, channel in enumerate(settings.iter("WideFieldChannelInfo")):
        key = f"channels.{index}."
        facts.add(key + "emission_um", micrometres(number(channel.get("EmissionWavelength")), "nm"), _SOURCE)
        facts.add(key + "excitation_um", micrometres(number(channel.get("ExcitationWavelength")), "nm"), _SOURCE)


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.6g}")
