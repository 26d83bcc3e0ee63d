"""What a file states is used, what it does not state is asked for, and nothing is guessed.

Each file is made here with the quirks of one writer. `FILES` lists what has to be read; no other value may be.
"""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import tifffile

from napari_selfdeconv.api.image_part import voxel_doubts
from napari_selfdeconv.api.inputs import choose_psf
from napari_selfdeconv.api.outcome import origin
from napari_selfdeconv.cli.info import info_lines
from napari_selfdeconv.config.template import Template
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.facts import Facts
from napari_selfdeconv.io.images import ImageFile, read_image, read_record
from napari_selfdeconv.io.optics_names import add_objective
from napari_selfdeconv.io.record import ChannelRecord, ImageRecord
from napari_selfdeconv.io.units import micrometres, seconds

OBJECTIVE = (
    '<Objective ID="Objective:0" LensNA="1.4" Immersion="Oil" NominalMagnification="63" '
    'Model="Plan-Apochromat 63x/1.40 Oil DIC"/>'
)
SETTINGS = '<ObjectiveSettings ID="Objective:0" RefractiveIndex="1.518"/>'
SIZE = 'PhysicalSizeX="0.1" PhysicalSizeY="0.1" PhysicalSizeZ="0.3"'
CONFOCAL = (
    '<Channel Name="DAPI" Color="65535" EmissionWavelength="461" ExcitationWavelength="405" PinholeSize="50" '
    'AcquisitionMode="LaserScanningConfocalMicroscopy">'
    '<DetectorSettings ID="D:0" Offset="100" Gain="2.5"/></Channel>'
    '<Channel Fluor="Cy5" Color="-16776961" EmissionWavelength="0.67" EmissionWavelengthUnit="µm" '
    'AcquisitionMode="Other"><LightSourceSettings ID="Laser:1"/></Channel>'
)
LASERS = '<Laser ID="Laser:0" Wavelength="405"/><Laser ID="Laser:1" Wavelength="633" WavelengthUnit="nm"/>'
VOXEL = {"voxel_z_um": 0.3, "voxel_y_um": 0.1, "voxel_x_um": 0.1}


def stated(record: ImageRecord) -> dict:
    """Return every value that the record holds, by its name."""
    found = {name: getattr(record, name) for name in IMAGE_FIELDS if getattr(record, name) is not None}
    for number, channel in enumerate(record.channels):
        for name in ChannelRecord.__dataclass_fields__:
            if getattr(channel, name) is not None:
                found[f"channels.{number}.{name}"] = getattr(channel, name)
    return found


IMAGE_FIELDS = (
    "voxel_z_um", "voxel_y_um", "voxel_x_um", "time_step_s",
    "objective", "magnification", "na", "immersion", "refractive_index",
)  # fmt: skip


def test_a_record_without_places_is_enough():
    record = ImageRecord(
        file="a.tif", format="x", axes="YX", shape=(32, 32), dtype="f4", voxel_y_um=0.1, voxel_x_um=0.1, na=0.8,
        refractive_index=1.0, channels=(ChannelRecord(emission_um=0.5, modality="widefield"),),
    )  # fmt: skip
    assert record.voxel_note == "from the record"
    file = ImageFile(data=np.eye(32), axes="YX", voxel_um=record.voxel_um, record=record)
    assert [one.source for one in choose_psf(file, Template()).stated] == ["the record"] * 3
    assert any(line.endswith("the record") for line in info_lines(record))


def test_a_given_voxel_size_that_is_not_the_files_is_said_and_recorded():
    record = ImageRecord(
        file="a.tif", format="x", axes="YX", shape=(32, 32), dtype="f4", voxel_y_um=0.1, voxel_x_um=0.1, na=0.8,
        refractive_index=1.0, channels=(ChannelRecord(emission_um=0.5, modality="widefield"),),
    )  # fmt: skip
    for given, other in (((0.1, 0.1), False), ((0.1, 0.2), True)):
        file = ImageFile(data=np.eye(32), axes="YX", voxel_um=given, record=record)
        chosen = choose_psf(file, Template())
        said = "the voxel size is 0.1 x 0.2 um, as given; the file states 0.1 x 0.1 um"
        assert (said in chosen.warnings) == other
        assert origin(file, [chosen]).get("voxel_um_of_file") == ([0.1, 0.1] if other else None)


@pytest.mark.parametrize(
    ("stated", "given", "said"),
    [
        ((None, 0.1, 0.1), (0.3, 0.1, 0.1), ""),
        ((None, 0.1, 0.1), (0.3, 0.2, 0.1), "0.1 x 0.1 um along y and x"),
        ((None, None, 0.1), (0.3, 0.1, 0.2), "0.1 um along x"),
        ((0.3, None, None), (0.2, 0.1, 0.1), "0.3 um along z"),
        ((0.3, 0.1, 0.1), (0.3, 0.1, 0.2), "0.3 x 0.1 x 0.1 um"),
        ((None, None, None), (0.3, 0.1, 0.2), ""),
    ],
)
def test_a_voxel_size_is_compared_along_the_axes_that_the_file_states(stated, given, said):
    z, y, x = stated
    record = ImageRecord(
        file="a.tif", format="x", axes="ZYX", shape=(4, 32, 32), dtype="f4", voxel_z_um=z, voxel_y_um=y,
        voxel_x_um=x,
    )  # fmt: skip
    file = ImageFile(data=np.ones((4, 32, 32)), axes="ZYX", voxel_um=given, record=record)
    size = " x ".join(map(str, given))
    assert voxel_doubts(file) == (
        (f"the voxel size is {size} um, as given; the file states {said}",) if said else ()
    )
    assert origin(file, []).get("voxel_um_of_file") == (list(stated) if said else None)


def plane_positions(unit):
    return "".join(
        f'<Plane TheZ="{z}" TheC="0" TheT="0" PositionZ="{-3 + 0.25 * z}" PositionZUnit="{unit}"/>'
        for z in range(5)
    )


def frame_times():
    return "".join(f'<Plane TheZ="0" TheC="0" TheT="{t}" DeltaT="{1500 * t}" DeltaTUnit="ms"/>' for t in range(4))


FULL = {
    **VOXEL,
    "objective": "Plan-Apochromat 63x/1.40 Oil DIC",
    "magnification": 63,
    "na": 1.4,
    "immersion": "oil",
    "refractive_index": 1.518,
    "channels.0.name": "DAPI",
    "channels.0.colour": "#0000ff",
    "channels.0.emission_um": 0.461,
    "channels.0.excitation_um": 0.405,
    "channels.0.pinhole_um": 50,
    "channels.0.modality": "laser scanning confocal",
    "channels.0.camera_offset": 100,
    "channels.0.camera_gain": 2.5,
    "channels.1.name": "Cy5",
    "channels.1.colour": "#ff0000",
    "channels.1.emission_um": 0.67,
    "channels.1.excitation_um": 0.633,
}
LSM = {
    **VOXEL,
    "objective": "Plan-Apochromat 63x/1.4 Oil DIC",
    "magnification": 63,
    "na": 1.4,
    "immersion": "oil",
    "channels.0.name": "Alexa 488",
    "channels.0.colour": "#00ff00",
    "channels.0.pinhole_um": 90,
    "channels.0.excitation_um": 0.488,
    "channels.1.name": "Cy5",
    "channels.1.colour": "#ff0000",
    "channels.1.pinhole_um": 91,
    "channels.1.excitation_um": 0.633,
    "channels.2.name": "DAPI",
    "channels.2.colour": "#0000ff",
    "channels.2.pinhole_um": 92,
    "channels.2.excitation_um": 0.405,
}
METAMORPH = {
    "voxel_y_um": 0.1075,
    "voxel_x_um": 0.1075,
    "na": 1.2,
    "refractive_index": 1.333,
    "objective": "60x Water",
    "magnification": 60,
    "immersion": "water",
    "channels.0.name": "GFP",
    "channels.0.emission_um": 0.525,
}


OUTSIDE = ("namespace", "byteorder", "resolution", "resolutionunit")


def one(size="", shape=(1, 1, 5, 8, 9), instrument="", **options):
    """Return the writer of an OME-TIFF with one image."""
    outside = {key: options.pop(key) for key in OUTSIDE if key in options}

    def write(m, path):
        m.write_ome(path, m.ome_image(size, shape=shape, **options), shape=shape, instrument=instrument, **outside)

    return write


def imagej(axes, shape, per_pixel, **metadata):
    return lambda m, path: m.write_imagej(path, axes, shape, per_pixel, **metadata)


def plain(shape=(8, 9), **options):
    return lambda m, path: tifffile.imwrite(path, m.pixels(*shape), photometric="minisblack", **options)


def lateral(y, x=None):
    return {"voxel_y_um": y, "voxel_x_um": y if x is None else x}


# name: (writer, format, axes, values)
FILES = {
    "OME, all that there is": (
        one(SIZE, (1, 2, 5, 8, 9), LASERS + OBJECTIVE, channels=CONFOCAL, settings=SETTINGS),
        "OME-TIFF", "CZYX", FULL,
    ),
    "OME, big-endian": (one(SIZE, byteorder=">"), "OME-TIFF", "ZYX", VOXEL),
    "OME, old namespace": (
        one(SIZE, namespace="http://www.openmicroscopy.org/Schemas/OME/2010-06"), "OME-TIFF", "ZYX", VOXEL,
    ),
    "OME, no namespace": (one(SIZE, namespace=""), "OME-TIFF", "ZYX", VOXEL),
    "OME, nanometres": (
        one('PhysicalSizeX="65" PhysicalSizeXUnit="nm" PhysicalSizeY="65" PhysicalSizeYUnit="nm" '
            'PhysicalSizeZ="300" PhysicalSizeZUnit="nm"'),
        "OME-TIFF", "ZYX", {"voxel_z_um": 0.3, **lateral(0.065)},
    ),
    "OME, inches and millimetres": (
        one('PhysicalSizeX="5e-6" PhysicalSizeXUnit="in" PhysicalSizeY="0.000127" PhysicalSizeYUnit="mm"',
            (1, 1, 1, 8, 9)),
        "OME-TIFF", "YX", lateral(0.127),
    ),
    "OME, micro sign mangled": (
        one('PhysicalSizeX="0.1" PhysicalSizeXUnit="Âµm" PhysicalSizeY="0.1" PhysicalSizeYUnit="?m" '
            'PhysicalSizeZ="0.3" PhysicalSizeZUnit="&#956;m"'),
        "OME-TIFF", "ZYX", VOXEL,
    ),
    "OME, unequal pixels": (
        one('PhysicalSizeX="0.2" PhysicalSizeY="0.1" PhysicalSizeZ="0.5"'), "OME-TIFF", "ZYX",
        {"voxel_z_um": 0.5, **lateral(0.1, 0.2)},
    ),
    "OME, no step along z": (
        one('PhysicalSizeX="0.1" PhysicalSizeY="0.1"'), "OME-TIFF", "ZYX", lateral(0.1),
    ),
    "OME, step along z in the positions": (
        one('PhysicalSizeX="0.1" PhysicalSizeY="0.1"', planes=plane_positions("µm")), "OME-TIFF", "ZYX",
        {**lateral(0.1), "voxel_z_um": 0.25},
    ),
    "OME, positions in the stage's own unit": (
        one('PhysicalSizeX="0.1" PhysicalSizeY="0.1"', planes=plane_positions("reference frame")),
        "OME-TIFF", "ZYX", lateral(0.1),
    ),
    "OME, zero for unknown": (
        one('PhysicalSizeX="0.1" PhysicalSizeY="0.1" PhysicalSizeZ="0" TimeIncrement="0"', instrument=
            '<Objective ID="Objective:0" LensNA="0" Immersion="Unknown"/>',
            channels='<Channel Name="" EmissionWavelength="0" ExcitationWavelength="0" PinholeSize="0"/>'),
        "OME-TIFF", "ZYX", lateral(0.1),
    ),
    "OME, length-1 axes and a time step": (
        one('TimeIncrement="2" TimeIncrementUnit="min"', (4, 1, 1, 8, 9)), "OME-TIFF", "TYX", {"time_step_s": 120},
    ),
    "OME, times of the planes": (
        one(planes=frame_times(), shape=(4, 1, 1, 8, 9)), "OME-TIFF", "TYX", {"time_step_s": 1.5},
    ),
    "OME, the only objective": (
        one(instrument='<Objective ID="Objective:7" LensNA="0.8" Immersion="Air"/>'), "OME-TIFF", "ZYX",
        {"na": 0.8, "immersion": "air"},
    ),
    "ImageJ, um": (
        imagej("ZYX", (5, 8, 9), (0.125, 0.125), unit="um", spacing=0.3), "ImageJ TIFF", "ZYX",
        {"voxel_z_um": 0.3, **lateral(0.125)},
    ),
    "ImageJ, micro sign escaped": (
        imagej("ZYX", (5, 8, 9), (0.1, 0.2), unit="\\u00B5m", spacing=-0.5), "ImageJ TIFF", "ZYX",
        {"voxel_z_um": 0.5, **lateral(0.1, 0.2)},
    ),
    "ImageJ, inches": (
        imagej("YX", (8, 9), (5e-6, 5e-6), unit="inch"), "ImageJ TIFF", "YX", lateral(0.127),
    ),
    "ImageJ, a unit for each axis": (
        imagej("ZYX", (5, 8, 9), (0.1, 0.1), unit="um", yunit="um", zunit="nm", spacing=250), "ImageJ TIFF", "ZYX",
        {"voxel_z_um": 0.25, **lateral(0.1)},
    ),
    "ImageJ, time and channels": (
        imagej("TCYX", (3, 2, 8, 9), (0.1, 0.1), unit="um", finterval=0.5, tunit="min",
               LUTs=[np.stack([np.arange(256)] * 3).astype(np.uint8),
                     np.stack([np.zeros(256), np.arange(256), np.zeros(256)]).astype(np.uint8)]),
        "ImageJ TIFF", "TCYX",
        {**lateral(0.1), "time_step_s": 30, "channels.0.colour": "#ffffff", "channels.1.colour": "#00ff00"},
    ),
    "ImageJ, pixels": (imagej("YX", (8, 9), (1, 1), unit="pixel"), "ImageJ TIFF", "YX", {}),
    "tags, centimetres": (
        plain(resolution=(100_000, 80_000), resolutionunit="CENTIMETER", metadata=None), "TIFF", "YX",
        lateral(0.125, 0.1),
    ),
    "tags, 72 dpi": (plain(resolution=(72, 72), resolutionunit="INCH", metadata=None), "TIFF", "YX", {}),
    "text in um beside tags in cm": (
        plain(resolution=(1e4 / 0.13, 1e4 / 0.13), resolutionunit="CENTIMETER", metadata={"unit": "um"}), "TIFF",
        "YX", lateral(0.13),
    ),
    "MetaMorph STK, z": (
        lambda m, path: m.write_stk(path), "MetaMorph STK", "ZYX", {"voxel_z_um": 0.3, **lateral(0.13)},
    ),
    "MetaMorph STK, time": (
        lambda m, path: m.write_stk(path, step=0, times_ms=200), "MetaMorph STK", "TYX",
        {**lateral(0.13), "time_step_s": 0.2},
    ),
    "MetaMorph STK, not calibrated": (
        lambda m, path: m.write_stk(path, unit="pixel", pixel=(1, 1)), "MetaMorph STK", "ZYX", {"voxel_z_um": 0.3},
    ),
    "MetaMorph TIFF": (lambda m, path: m.write_metaseries(path), "MetaMorph TIFF", "YX", METAMORPH),
    "Zeiss LSM": (
        lambda m, path: m.write_lsm(path, objective="Plan-Apochromat 63x/1.4 Oil DIC"), "Zeiss LSM", "CZYX", LSM,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_value_is_right(tmp_path, microscope, name):
    write, kind, axes, values = FILES[name]
    path = tmp_path / "image.tif"
    write(microscope, path)
    record = read_record(path)
    assert (record.format, record.axes) == (kind, axes)
    assert stated(record) == pytest.approx(values)
    assert set(record.sources) == set(values)
    file = read_image(path)
    assert (file.axes, file.data.shape, str(file.data.dtype)) == (record.axes, record.shape, record.dtype)
    assert file.voxel_um == record.voxel_um
    assert json.loads(json.dumps(record.to_dict()))["axes"] == axes


def test_a_complete_file_leaves_nothing_to_ask(tmp_path, microscope):
    channel = '<Channel EmissionWavelength="461" AcquisitionMode="WideField"/>'
    one(SIZE, instrument=OBJECTIVE, channels=channel, settings=SETTINGS)(microscope, tmp_path / "x.tif")
    record = read_record(tmp_path / "x.tif")
    assert record.missing == ()
    assert record.doubts == ()


def test_what_is_missing_is_asked_for_with_its_flag(tmp_path, microscope):
    one('PhysicalSizeX="0.1" PhysicalSizeY="0.1"')(microscope, tmp_path / "x.tif")
    missing = {remark.field: remark for remark in read_record(tmp_path / "x.tif").missing}
    assert list(missing) == [
        "voxel_z_um", "na", "refractive_index", "channels.0.emission_um", "channels.0.modality",
    ]  # fmt: skip
    assert "--voxel-um" in missing["voxel_z_um"].remedy
    assert "--wavelength-um" in missing["channels.0.emission_um"].remedy


def test_confocal_needs_laser_and_pinhole(tmp_path, microscope):
    one(channels='<Channel AcquisitionMode="SpinningDiskConfocal"/>')(microscope, tmp_path / "x.tif")
    fields = [remark.field for remark in read_record(tmp_path / "x.tif").missing]
    assert fields[-2:] == ["channels.0.excitation_um", "channels.0.pinhole_au"]


def test_an_immersion_does_not_give_its_index(tmp_path, microscope):
    one(instrument=OBJECTIVE)(microscope, tmp_path / "x.tif")
    record = read_record(tmp_path / "x.tif")
    assert (record.immersion, record.refractive_index) == ("oil", None)
    assert any("immersion (oil) is not known" in remark.problem for remark in record.missing)


# What cannot be right


DOUBTS = {
    "300 um": (
        one('PhysicalSizeX="65" PhysicalSizeY="65" PhysicalSizeZ="300"'), {},
        {"voxel_x_um": r"65 um by the OME-XML.*nanometres\? then it is 0\.065 um.*--voxel-um",
         "voxel_z_um": r"300 um.*nanometres\? then it is 0\.3 um"},
    ),
    "72 dpi": (
        plain(resolution=(72, 72), resolutionunit="INCH", metadata=None), {},
        {"voxel": r"352\.778 um a pixel, which describes printing: give --voxel-um"},
    ),
    "cm beside um": (
        plain(resolution=(1e4 / 0.13, 1e4 / 0.13), resolutionunit="CENTIMETER", metadata={"unit": "um"}),
        lateral(0.13), {"voxel_x_um": r"in um \(1\.3e-05 um\).*in cm \(0\.13 um\): 0\.13 um is used"},
    ),
    "two sources differ": (
        one('PhysicalSizeX="0.1" PhysicalSizeY="0.1"', resolution=(20_000, 20_000), resolutionunit="CENTIMETER"),
        lateral(0.1),
        {"voxel_x_um": r"0\.1 by the OME-XML and 0\.5 by the resolution tags: the first one is used"},
    ),
    "z stored as t": (
        imagej("TYX", (5, 8, 9), (0.1, 0.1), unit="um", spacing=0.3), {"voxel_z_um": 0.3, **lateral(0.1)},
        {"axes": r"step along z and no time step.*--axes ZYX"},
    ),
    "a step far from the pixel": (
        one('PhysicalSizeX="0.1" PhysicalSizeY="0.1" PhysicalSizeZ="30"'), {**lateral(0.1), "voxel_z_um": 30},
        {"voxel_z_um": r"30 um\) is 300 times the pixel"},
    ),
    "the name of the objective differs": (
        one(instrument='<Objective ID="O:0" LensNA="1.2" Model="Plan-Apochromat 63x/1.40 Oil"/>'),
        {"na": 1.2, "objective": "Plan-Apochromat 63x/1.40 Oil", "magnification": 63, "immersion": "oil"},
        {"na": r"1\.2 by the OME-XML and 1\.4 by the objective's name"},
    ),
    "dry and above 1": (
        one(instrument='<Objective ID="O:0" LensNA="1.4" Immersion="Air"/>'), {"na": 1.4, "immersion": "air"},
        {"na": r"1\.4 is not possible with the immersion air"},
    ),
    "dry in oil": (
        one(settings='<ObjectiveSettings ID="O:0" RefractiveIndex="1.515"/>',
            instrument='<Objective ID="O:0" LensNA="0.8" Immersion="Air"/>'),
        {"na": 0.8, "immersion": "air", "refractive_index": 1.515},
        {"refractive_index": r"1\.515 and the immersion air.*--refractive-index"},
    ),
    "two objectives": (
        one(instrument='<Objective ID="O:0" LensNA="0.8"/><Objective ID="O:1" LensNA="1.4"/>'), {},
        {"objective": "lists 2 objectives and does not say which"},
    ),
    "an impossible objective": (
        one(instrument='<Objective ID="O:0" LensNA="14"/>'), {},
        {"na": "14 by the OME-XML, which no objective has"},
    ),
    "a wavelength in the wrong unit": (
        one(channels='<Channel EmissionWavelength="520" EmissionWavelengthUnit="µm"/>'), {},
        {"channels.0.emission_um": r"nanometres\? then it is 0\.52 um; give it with --wavelength-um"},
    ),
    "more excitation than emission": (
        one(channels='<Channel EmissionWavelength="405" ExcitationWavelength="461"/>'),
        {"channels.0.emission_um": 0.405, "channels.0.excitation_um": 0.461},
        {"channels.0.excitation_um": r"0\.461 um\) is not below that of the emission"},
    ),
    "no unit": (imagej("YX", (8, 9), (1, 1)), {}, {"voxel": "the file names no unit of its voxel size"}),
}  # fmt: skip


@pytest.mark.parametrize("name", DOUBTS)
def test_what_cannot_be_right_is_said_with_the_remedy(tmp_path, microscope, name):
    write, values, doubts = DOUBTS[name]
    write(microscope, tmp_path / "x.tif")
    record = read_record(tmp_path / "x.tif")
    assert stated(record) == pytest.approx(values)
    for field, pattern in doubts.items():
        told = [str(doubt) for doubt in record.doubts if doubt.field == field]
        assert len(told) == 1, record.doubts
        assert re.search(pattern, told[0]), told


def test_axes_can_be_corrected(tmp_path, microscope):
    path = microscope.write_imagej(tmp_path / "x.tif", "TYX", (5, 8, 9), (0.1, 0.1), unit="um", spacing=0.3)
    file = read_image(path, axes="zyx")
    assert (file.axes, file.voxel_um) == ("ZYX", (0.3, 0.1, 0.1))
    assert file.record.doubts == ()
    for axes in ("YX", "ZXY", "ZZYX", "QYX"):
        with pytest.raises(ConfigError, match=r"must name the 3 axes of the image .*in the file TYX"):
            read_image(path, axes=axes)


# Several images in one file


def test_positions_are_asked_about(tmp_path, microscope):
    path = tmp_path / "x.ome.tif"
    images = [
        microscope.ome_image(f'PhysicalSizeX="{0.1 * n}" PhysicalSizeY="0.1"', name=f"well {n}", ifd=5 * (n - 1))
        for n in (1, 2, 3)
    ]
    microscope.write_ome(path, *images)
    record = read_record(path)
    assert (record.series_names, record.series) == (("well 1", "well 2", "well 3"), 0)
    with pytest.raises(ConfigError, match=r"holds 3 images \(0: well 1, 1: well 2, 2: well 3\).*--series N"):
        read_image(path)
    file = read_image(path, series=2)
    np.testing.assert_array_equal(file.data, microscope.pixels(15, 8, 9)[10:])
    assert (file.record.series, file.record.voxel_x_um) == (2, pytest.approx(0.3))
    with pytest.raises(ConfigError, match="numbered 0 to 2: it has no series 3"):
        read_image(path, series=3)


def test_positions_of_lsm(tmp_path, microscope):
    path = microscope.write_lsm(tmp_path / "x.lsm", shape=(4, 1, 8, 9), positions=3)
    assert read_record(path).series_names == ("position 0", "position 1", "position 2")
    file = read_image(path, series=1)
    np.testing.assert_array_equal(file.data, microscope.pixels(12, 1, 8, 9)[4:8, 0])
    assert (file.axes, file.voxel_um) == ("ZYX", (0.3, 0.1, 0.1))


def test_overviews_are_no_images(tmp_path, microscope):
    path = tmp_path / "x.ome.tif"
    label = microscope.ome_image(name="label image", ifd=5)
    microscope.write_ome(path, microscope.ome_image(SIZE, name="cell"), label)
    file = read_image(path)
    assert (file.record.series_names, file.voxel_um) == (("cell",), (0.3, 0.1, 0.1))


def test_a_pyramid_is_read_at_full_resolution(tmp_path, microscope):
    image = microscope.pixels(32, 48)
    metadata = {"axes": "YX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.1}
    with tifffile.TiffWriter(tmp_path / "x.ome.tif") as tif:
        tif.write(image, subifds=2, metadata=metadata, tile=(16, 16), photometric="minisblack")
        for step in (2, 4):
            tif.write(image[::step, ::step], subfiletype=1, tile=(16, 16), photometric="minisblack")
    file = read_image(tmp_path / "x.ome.tif")
    np.testing.assert_array_equal(file.data, image)
    assert file.voxel_um == (0.1, 0.2)


# What numbers mean


def test_small_numbers_that_are_bright_are_inverted(tmp_path, microscope):
    image = microscope.pixels(8, 9, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", image, photometric="miniswhite")
    file = read_image(tmp_path / "x.tif")
    np.testing.assert_array_equal(file.data, 255 - image)
    assert "small numbers are bright" in file.record.doubts[0].problem


@pytest.mark.parametrize("name", ["x.tif", "x.ome.tif"])
def test_a_mask_of_numpy_stays_as_it_is(tmp_path, name):
    """A mask that tifffile or scikit-image saved came back inverted: it left out what it was to keep."""
    mask = np.random.default_rng(0).random((8, 9)) > 0.8
    tifffile.imwrite(tmp_path / name, mask)
    file = read_image(tmp_path / name)
    np.testing.assert_array_equal(file.data, mask)
    assert not file.record.doubts
    # Two colours of a scanner mean what they say.
    tifffile.imwrite(tmp_path / "fax.tif", mask, software="fax")
    np.testing.assert_array_equal(read_image(tmp_path / "fax.tif").data, ~mask)


def test_imagejs_inverted_table_is_about_the_screen(tmp_path, microscope):
    image = microscope.pixels(8, 9, dtype=np.uint8)
    description = "ImageJ=1.54f\nunit=micron\n"
    tifffile.imwrite(tmp_path / "x.tif", image, photometric="miniswhite", description=description, metadata=None)
    np.testing.assert_array_equal(read_image(tmp_path / "x.tif").data, image)


def test_palettes(tmp_path, microscope):
    image = microscope.pixels(8, 9, dtype=np.uint8)
    ramp = np.arange(256, dtype=np.uint16) * 257
    tables = {
        "falling.tif": np.stack([ramp[::-1]] * 3),
        "green.tif": np.stack([0 * ramp, ramp, 0 * ramp]),
        "wild.tif": np.random.default_rng(1).integers(0, 65535, (3, 256)).astype(np.uint16),
    }
    for name, table in tables.items():
        tifffile.imwrite(tmp_path / name, image, photometric="palette", colormap=table)
    np.testing.assert_array_equal(read_image(tmp_path / "falling.tif").data, 255 - image)
    green = read_image(tmp_path / "green.tif")
    np.testing.assert_array_equal(green.data, image)
    assert "display colours" in green.record.doubts[0].problem
    with pytest.raises(ConfigError, match=r"a colour image with a palette: convert it to grey"):
        read_image(tmp_path / "wild.tif")


def test_colour_has_a_record_and_no_image(tmp_path, microscope):
    tifffile.imwrite(tmp_path / "x.tif", microscope.pixels(8, 9, 3, dtype=np.uint8), photometric="rgb")
    assert (read_record(tmp_path / "x.tif").axes, read_record(tmp_path / "x.tif").shape) == ("YXS", (8, 9, 3))
    with pytest.raises(ConfigError, match="convert it to grey"):
        read_image(tmp_path / "x.tif")


@pytest.mark.parametrize("compression", ["lzw", "zstd", "jpeg", "deflate", "lzma", "packbits"])
def test_compressed_tiff(tmp_path, microscope, compression):
    image = microscope.pixels(64, 64, dtype=np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", image, compression=compression, photometric="minisblack")
    error = np.abs(read_image(tmp_path / "x.tif").data.astype(int) - image)
    assert error.max() <= (0 if compression != "jpeg" else 40)


# Hostile files


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize("end", ["OME>", "MetaData>"])
def test_entities_are_not_expanded(tmp_path, microscope, end):
    kind = end[:-1]
    text = f"<?xml version='1.0'?>{BOMB}<{kind}>&b;</{kind}>"
    software = "MetaSeries" if kind == "MetaData" else None
    tifffile.imwrite(
        tmp_path / "x.tif", microscope.pixels(8, 9), metadata=None, description=text, software=software
    )
    for read in (read_image, read_record):
        with pytest.raises(
            ConfigError, match=r"declares a document type or entities, which can be an attack: save"
        ):
            read(tmp_path / "x.tif")


# The parts


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("Plan-Apochromat 63x/1.40 Oil DIC M27", {"magnification": 63, "na": 1.4, "immersion": "oil"}),
        ("HC PL APO CS2 63x/1,20 WATER", {"magnification": 63, "na": 1.2, "immersion": "water"}),
        ("UPLSAPO 100XO NA1.40", {"na": 1.4}),
        ("EC Plan-Neofluar 10x/0.3", {"magnification": 10, "na": 0.3}),
        ("CFI Plan Apo VC 60X WI NA 1.2", {"magnification": 60, "na": 1.2}),
        ("LD LCI Plan-Apochromat 25x/0.8 Imm Korr", {"magnification": 25, "na": 0.8}),
        ("Objective 3", {}),
    ],
)
def test_names_of_objectives(text, values):
    facts = Facts()
    add_objective(facts, text, "the file")
    assert facts.values == {"objective": text, **values}
    assert facts.doubts == []


@pytest.mark.parametrize(
    ("unit", "expected"),
    [
        ("µm", 1.0), ("μm", 1.0), ("\\u00B5m", 1.0), ("Âµm", 1.0), ("¬µm", 1.0), ("?m", 1.0), ("\ufffdm", 1.0),
        ("nm", 1e-3), ("mm", 1e3), ("inch", 25_400.0), ("Å", 1e-4), ("pixel", None), ("m", 1e6),
        ("", None), ("µ", None),
    ],
)  # fmt: skip
def test_micrometres(unit, expected):
    assert micrometres(1.0, unit) == expected


def test_seconds():
    assert (seconds(2, "min"), seconds(5, "ms"), seconds(3, "µs"), seconds(1, "frame")) == (120, 0.005, 3e-6, None)
