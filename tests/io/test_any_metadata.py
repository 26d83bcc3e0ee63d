"""Whatever a file states about its image: values that can be right, and doubts in one line each."""

from __future__ import annotations

import math
import random
import xml.sax.saxutils as sax

from hypothesis import given
from hypothesis import strategies as st

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.facts import Facts
from napari_selfdeconv.io.ome_xml import add_ome_xml
from napari_selfdeconv.io.optics_names import add_objective, immersion_name, modality_name
from napari_selfdeconv.io.plausible import check_facts
from napari_selfdeconv.io.tiff_records import json_dict
from napari_selfdeconv.io.units import micrometres, number, seconds
from napari_selfdeconv.io.xml_text import parse_xml
from selfdeconv_tools.cases import cases

NUMBERS = [
    "0",
    "-1",
    "0.1",
    "65",
    "1e-300",
    "1e300",
    "1e400",
    "-inf",
    "nan",
    "9" * 500,
    "1,5",
    "",
    " 2 ",
    "x",
    "0x1",
]
UNITS = ["um", "µm", "Âµm", "nm", "mm", "pixel", "reference frame", "", "s", "ms", "d", "ｎｍ"]
TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
VALUE = st.sampled_from([*NUMBERS, *UNITS]) | TEXT
ATTRIBUTES = {
    "Pixels": [
        "PhysicalSizeX", "PhysicalSizeXUnit", "PhysicalSizeY", "PhysicalSizeZ", "PhysicalSizeZUnit",
        "TimeIncrement", "TimeIncrementUnit", "SizeX", "SizeC", "Type",
    ],
    "Plane": ["TheZ", "TheC", "TheT", "PositionZ", "PositionZUnit", "DeltaT", "DeltaTUnit"],
    "Channel": [
        "Name", "Fluor", "Color", "AcquisitionMode", "EmissionWavelength", "EmissionWavelengthUnit",
        "ExcitationWavelength", "PinholeSize", "PinholeSizeUnit",
    ],
    "DetectorSettings": ["Offset", "Gain"],
    "LightSourceSettings": ["ID", "Wavelength", "WavelengthUnit"],
    "Laser": ["ID", "Wavelength"],
    "Objective": ["ID", "LensNA", "NominalMagnification", "CalibratedMagnification", "Immersion", "Model"],
    "ObjectiveSettings": ["ID", "RefractiveIndex"],
    "InstrumentRef": ["ID"],
    "Instrument": ["ID"],
    "Image": ["ID", "Name"],
    "Description": [],
}  # fmt: skip
INSIDE = {
    "OME": ["Image", "Instrument"],
    "Image": ["Pixels", "ObjectiveSettings", "InstrumentRef", "Description"],
    "Pixels": ["Plane", "Channel"],
    "Channel": ["DetectorSettings", "LightSourceSettings"],
    "Instrument": ["Objective", "Laser"],
}
BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'


LETTERS = "aZ09 µÅ<&\"'/x×.,-\u2028é"


def any_value(dice):
    if dice.random() < 0.7:
        return dice.choice([*NUMBERS, *UNITS])
    return "".join(dice.choices(LETTERS, k=dice.randrange(9)))


def element(dice, kind="OME"):
    """An element that may stand in OME-XML, with any attributes; drawn by hand, which is faster."""
    names = dice.sample(ATTRIBUTES.get(kind, ["x"]), k=min(dice.randrange(5), len(ATTRIBUTES.get(kind, ["x"]))))
    stated = "".join(f" {name}={sax.quoteattr(any_value(dice))}" for name in names)
    children = dice.choices(INSIDE[kind], k=dice.randrange(4)) if kind in INSIDE else []
    inner = "".join(element(dice, child) for child in children) or sax.escape(any_value(dice))
    return f"<{kind}{stated}>{inner}</{kind}>"


SEEDS = st.integers(0, 2**40)
DOCUMENTS = SEEDS.map(lambda seed: element(random.Random(seed)))


def check(facts):
    check_facts(facts, "CZYX", 2)
    for field, value in facts.values.items():
        assert field in facts.sources
        assert (isinstance(value, str) and value) or math.isfinite(value), field
        if isinstance(value, float) and not field.endswith("camera_offset"):
            assert value > 0, field
    for doubt in facts.doubts:
        message = str(doubt)
        assert "\n" not in message


@cases(700)
@given(xml=DOCUMENTS, series=st.integers(0, 2), count=st.integers(1, 2))
def test_any_ome_xml_is_read_or_doubted(xml, series, count):
    facts = Facts()
    add_ome_xml(facts, xml, series, count, "a.tif")
    check(facts)


@cases(300)
@given(
    xml=DOCUMENTS | st.text(max_size=40) | st.text("<>&;/?![]'\"=OMEx \0", max_size=60),
    place=st.integers(0, 400),
    junk=st.sampled_from(["", "<", "&x;", "\0", "\udcc1", "]]>", BOMB, "&#x0;", "<?xml version='9'?>"]),
)
def test_any_text_is_ome_xml_or_doubted(xml, place, junk):
    facts = Facts()
    try:
        add_ome_xml(facts, xml[:place] + junk + xml[place:], 0, 1, "a.tif")
    except ConfigError as error:
        message = str(error)
        assert "declares a document type or entities" in message
        return
    check(facts)


@cases(60)
@given(bomb=st.sampled_from([BOMB, BOMB.lower(), f"\n\n{BOMB}"]), xml=DOCUMENTS)
def test_no_entity_is_expanded(bomb, xml):
    try:
        parse_xml(bomb + xml, "a.tif")
    except ConfigError:
        return
    raise AssertionError("entities were accepted")


ANY_VALUE = st.none() | st.booleans() | st.integers() | st.floats() | VALUE | st.just(10**400) | st.lists(VALUE)


@cases(300)
@given(value=ANY_VALUE, unit=st.sampled_from(UNITS) | TEXT)
def test_any_value_in_any_unit_is_a_length_or_nothing(value, unit):
    read = number(value)
    assert isinstance(read, float)
    for convert in (micrometres, seconds):
        found = convert(read, unit)
        assert found is None or (math.isfinite(found) and found > 0)


NAMES = st.text("0123456789xX/.,NA oilÖlWaterDryAiplanfluor×-", max_size=30) | TEXT


@cases(250)
@given(name=NAMES)
def test_any_name_of_an_objective(name):
    facts = Facts()
    add_objective(facts, name, "the file")
    check(facts)
    assert immersion_name(name) in (None, "oil", "silicone", "glycerol", "water", "air")
    kind = modality_name(name)
    assert kind is None or kind.strip()


@cases(150)
@given(st.text('{}[]":,0e-.a', max_size=60) | st.text(max_size=30))
def test_any_text_is_a_json_object_or_none(text):
    found = json_dict(text)
    assert found is None or isinstance(found, dict)
