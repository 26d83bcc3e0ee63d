"""What OME-XML states about an image. The format: https://docs.openmicroscopy.org/ome-model/.

It is read element by element, and missing elements are accepted: many writers leave out required ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from xml.etree.ElementTree import Element, ParseError

from napari_selfdeconv.io.facts import Facts
from napari_selfdeconv.io.optics_names import add_objective, immersion_name, modality_name
from napari_selfdeconv.io.units import micrometres, number, seconds
from napari_selfdeconv.io.xml_text import parse_xml

_SOURCE = "the OME-XML"


def add_ome_xml(facts: Facts, xml: str, series: int, count: int, name: str) -> str:
    """Note what OME-XML states about one of its images.

    Parameters
    ----------
    facts : to add to.
    xml : the text.
    series, count : which image of how many the file holds.
    name : name of the file, for messages.

    Returns
    -------
    str
        The description of the image.
    """
    try:
        root = parse_xml(xml, name)
    except ParseError as error:
        facts.doubt("file", f"the OME-XML cannot be read ({error})", "save the image again")
        return ""
    images = root.findall("{*}Image")
    # Writers also list images that are not in this file, so numbers are used only if the list is complete.
    if not images or (len(images) != count and count > 1) or series >= len(images):
        facts.doubt("file", f"the OME-XML describes {len(images)} images and the file holds {count}", "")
        return ""
    image = images[series]
    pixels = image.find("{*}Pixels")
    if pixels is not None:
        _add_pixels(facts, pixels)
        instrument = _referenced(root, "Instrument", image.find("{*}InstrumentRef"))
        for number_, channel in enumerate(pixels.findall("{*}Channel")):
            _add_channel(facts, f"channels.{number_}.", channel, instrument)
        _add_objective_of(facts, image, instrument)
    return image.findtext("{*}Description") or ""


def _add_pixels(facts: Facts, pixels: Element) -> None:
    for axis in "ZYX":
        field = f"PhysicalSize{axis}"
        facts.add(f"voxel_{axis.lower()}_um", _quantity(pixels.attrib, field, "um", micrometres), _SOURCE)
    facts.add("time_step_s", _quantity(pixels.attrib, "TimeIncrement", "s", seconds), _SOURCE)
    planes = [plane.attrib for plane in pixels.findall("{*}Plane")]
    if "voxel_z_um" not in facts.values:
        # The unit of a position is that of the stage unless the file names another.
        step = _step(planes, "TheZ", lambda plane: _quantity(plane, "PositionZ", "", _signed_um))
        facts.add("voxel_z_um", step, "the positions of the planes in the OME-XML")
    if "time_step_s" not in facts.values:
        step = _step(planes, "TheT", lambda plane: _quantity(plane, "DeltaT", "s", _signed_s))
        facts.add("time_step_s", step, "the times of the planes in the OME-XML")


def _add_channel(facts: Facts, key: str, channel: Element, instrument: Element | None) -> None:
    stated = channel.attrib
    facts.add(key + "name", stated.get("Name") or stated.get("Fluor"), _SOURCE)
    facts.add(key + "colour", _colour(stated.get("Color")), _SOURCE)
    facts.add(key + "modality", modality_name(stated.get("AcquisitionMode", "")), _SOURCE)
    for field, attribute, unit in (
        ("emission_um", "EmissionWavelength", "nm"),
        ("excitation_um", "ExcitationWavelength", "nm"),
        ("pinhole_um", "PinholeSize", "um"),
    ):
        facts.add(key + field, _quantity(stated, attribute, unit, micrometres), _SOURCE)
    light = channel.find("{*}LightSourceSettings")
    if light is not None and key + "excitation_um" not in facts.values:
        facts.add(key + "excitation_um", _quantity(light.attrib, "Wavelength", "nm", micrometres), _SOURCE)
        source = _by_id(instrument, "Laser", light.get("ID"))
        if source is not None:
            facts.add(key + "excitation_um", _quantity(source.attrib, "Wavelength", "nm", micrometres), _SOURCE)
    detector = channel.find("{*}DetectorSettings")
    if detector is not None:
        facts.add(key + "camera_offset", number(detector.get("Offset")), _SOURCE)
        facts.add(key + "camera_gain", number(detector.get("Gain")), _SOURCE)


def _add_objective_of(facts: Facts, image: Element, instrument: Element | None) -> None:
    settings = image.find("{*}ObjectiveSettings")
    if settings is not None:
        facts.add("refractive_index", number(settings.get("RefractiveIndex")), _SOURCE)
    objectives = [] if instrument is None else instrument.findall("{*}Objective")
    if settings is not None:
        objectives = [objective for objective in objectives if objective.get("ID") == settings.get("ID")]
    if len(objectives) > 1:
        facts.doubt(
            "objective",
            f"the OME-XML lists {len(objectives)} objectives and does not say which one was used",
            "give --na and --refractive-index",
        )
    if len(objectives) != 1:
        return
    stated = objectives[0].attrib
    facts.add("na", number(stated.get("LensNA")), _SOURCE)
    for attribute in ("CalibratedMagnification", "NominalMagnification"):
        if "magnification" not in facts.values:
            facts.add("magnification", number(stated.get(attribute)), _SOURCE)
    facts.add("immersion", immersion_name(stated.get("Immersion", "")), _SOURCE)
    add_objective(facts, stated.get("Model", ""), _SOURCE)


def _referenced(root: Element, kind: str, reference: Element | None) -> Element | None:
    """Return the element that a reference names, or without a reference the only element."""
    found = root.findall(f"{{*}}{kind}")
    if reference is not None:
        found = [element for element in found if element.get("ID") == reference.get("ID")]
    return found[0] if len(found) == 1 else None


def _by_id(parent: Element | None, kind: str, identity: str | None) -> Element | None:
    elements = [] if parent is None else parent.findall(f"{{*}}{kind}")
    return next((element for element in elements if element.get("ID") == identity), None)


def _quantity(
    stated: Mapping[str, str], field: str, unit: str, convert: Callable[[float, str], float | None]
) -> float | None:
    return convert(number(stated.get(field)), stated.get(f"{field}Unit", unit))


def _signed_um(position: float, unit: str) -> float | None:
    """Return a position in micrometres; it may be zero or negative."""
    factor = micrometres(1.0, unit)
    return None if factor is None or not math.isfinite(position) else position * factor


def _signed_s(time: float, unit: str) -> float | None:
    factor = seconds(1.0, unit)
    return None if factor is None or not math.isfinite(time) else time * factor


def _step(
    planes: Sequence[Mapping[str, str]], along: str, value: Callable[[Mapping[str, str]], float | None]
) -> float | None:
    """Return the step between planes along one axis, the others at 0; None unless it is even to 1 %."""
    others = {"TheZ", "TheC", "TheT"} - {along}
    line = [plane for plane in planes if all(plane.get(other, "0") == "0" for other in others)]
    numbers = [(number(plane.get(along)), value(plane)) for plane in line]
    known = sorted((index, where) for index, where in numbers if where is not None and math.isfinite(index))
    if len(known) < 2 or [index for index, _ in known] != list(range(len(known))):
        return None
    steps = [b - a for (_, a), (_, b) in zip(known, known[1:], strict=False)]
    mean = sum(steps) / len(steps)
    even = all(abs(step - mean) <= 0.01 * abs(mean) for step in steps)
    return float(f"{abs(mean):.6g}") if even and mean else None


def _colour(text: str | None) -> str | None:
    """Return "#rrggbb" of the signed RGBA number of OME."""
    try:
        return f"#{(int(text) >> 8) & 0xFFFFFF:06x}" if text else None
    except ValueError:
        return None
