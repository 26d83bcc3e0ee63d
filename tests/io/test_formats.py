"""The makers' own formats. LIF, CZI and zarr files are made here; ND2 and bioio have stand-ins."""

from __future__ import annotations

import json
import struct
import sys
from types import SimpleNamespace

import nd2
import numpy as np
import pytest
import zarr
from nd2 import structures

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.images import read_image, read_record
from napari_selfdeconv.io.ome_zarr import create_zarr
from napari_selfdeconv.io.record import ChannelRecord

VOXEL = {"voxel_z_um": 0.3, "voxel_y_um": 0.1, "voxel_x_um": 0.1}
OBJECTIVE = {"objective": "HC PL APO CS2 63x/1.40 OIL", "magnification": 63, "na": 1.4, "immersion": "oil"}
INDEX = {"refractive_index": 1.518}


def stated(record):
    """Return every value that a record holds, by its name."""
    parts = {"": record, **{f"channels.{number}.": channel for number, channel in enumerate(record.channels)}}
    fields = (*VOXEL, "time_step_s", *OBJECTIVE, *INDEX)
    return {
        key + name: getattr(part, name)
        for key, part in parts.items()
        for name in (fields if key == "" else ChannelRecord.__dataclass_fields__)
        if getattr(part, name) is not None
    }


# Leica


def lif_image(name, settings, channels=1, shape=(4, 8, 9), block=0):
    size = 2 * int(np.prod(shape))
    z, y, x = shape
    described = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" Min="0" '
        f'Max="1" Unit="" LUTName="{lut}" IsLUTInverted="0" BytesInc="{size * number}" BitInc="0">'
        f"<ChannelProperty><Key>DyeName</Key><Value>{dye}</Value></ChannelProperty></ChannelDescription>"
        for number, (lut, dye) in enumerate((("Green", "Alexa 488"), ("Red", "Cy5"))[:channels])
    )
    steps = ((1, x, 1e-7, 2), (2, y, 1e-7, 2 * x), (3, z, 3e-7, 2 * x * y))
    dimensions = "".join(
        f'<DimensionDescription DimID="{number}" NumberOfElements="{count}" Origin="0" '
        f'Length="{step * (count - 1)}" Unit="m" BitInc="0" BytesInc="{increment}"/>'
        for number, count, step, increment in steps
    )
    return (
        f'<Element Name="{name}"><Data><Image><ImageDescription><Channels>{described}</Channels><Dimensions>'
        f'{dimensions}</Dimensions></ImageDescription><Attachment Name="HardwareSetting">{settings}</Attachment>'
        f'</Image></Data><Memory Size="{size * channels}" MemoryBlockID="MemBlock_{block}"/></Element>'
    )


def write_lif(path, images, pixels, head=""):
    text = (
        f'{head}<LMSDataContainerHeader Version="2"><Element Name="project"><Data><Experiment/></Data>'
        f"<Children>{''.join(images)}</Children></Element></LMSDataContainerHeader>"
    )
    content = struct.pack("<IIBI", 0x70, 2 * len(text) + 5, 0x2A, len(text)) + text.encode("utf-16-le")
    for number, block in enumerate(pixels):
        name, data = f"MemBlock_{number}", block.astype("<u2").tobytes()
        content += (
            struct.pack("<IIBQBI", 0x70, 0, 0x2A, len(data), 0x2A, len(name)) + name.encode("utf-16-le") + data
        )
    path.write_bytes(content)
    return path


CONFOCAL = (
    '<ATLConfocalSettingDefinition ObjectiveName="HC PL APO CS2 63x/1.40 OIL" NumericalAperture="1.4" '
    'Magnification="63" Immersion="OIL" RefractionIndex="1.518" Pinhole="9.55e-05" PinholeAiry="1"/>'
)
CAMERA = (
    '<ATLCameraSettingDefinition ObjectiveName="HC PL FLUOTAR 20x/0.50 DRY" NumericalAperture="0.5" '
    'Magnification="20" Immersion="DRY" RefractionIndex="1"><WideFieldChannelConfigurator>'
    '<WideFieldChannelInfo EmissionWavelength="525" ExcitationWavelength="490"/>'
    "</WideFieldChannelConfigurator></ATLCameraSettingDefinition>"
)


def test_lif(tmp_path, microscope):
    data = [microscope.pixels(2, 4, 8, 9), microscope.pixels(4, 8, 9)]
    images = [lif_image("confocal", CONFOCAL, channels=2), lif_image("camera", CAMERA, block=1)]
    path = write_lif(tmp_path / "x.lif", images, data)
    record = read_record(path)
    assert (record.format, record.series_names, record.axes) == ("Leica LIF", ("confocal", "camera"), "CZYX")
    pinhole = {"modality": "laser scanning confocal", "pinhole_um": 95.5, "pinhole_au": 1}
    assert stated(record) == pytest.approx({
        **VOXEL, **OBJECTIVE, **INDEX,
        **{f"channels.{n}.{name}": value for n in (0, 1) for name, value in pinhole.items()},
        "channels.0.name": "Alexa 488", "channels.0.colour": "#00ff00",
        "channels.1.name": "Cy5", "channels.1.colour": "#ff0000",
    })  # fmt: skip
    with pytest.raises(ConfigError, match=r"holds 2 images \(0: confocal, 1: camera\)"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, series=0).data, data[0])
    file = read_image(path, series=1)
    np.testing.assert_array_equal(file.data, data[1])
    assert stated(file.record) == pytest.approx({
        **VOXEL, "objective": "HC PL FLUOTAR 20x/0.50 DRY", "magnification": 20, "na": 0.5, "immersion": "air",
        "refractive_index": 1, "channels.0.name": "Alexa 488", "channels.0.colour": "#00ff00",
        "channels.0.emission_um": 0.525, "channels.0.excitation_um": 0.49,
    })  # fmt: skip


def test_hostile_lif(tmp_path, microscope):
    head = '<!DOCTYPE x [<!ENTITY a "ha">]>'
    path = write_lif(tmp_path / "x.lif", [lif_image("a", "")], [microscope.pixels(4, 8, 9)], head)
    with pytest.raises(ConfigError, match="declares a document type or entities"):
        read_image(path)


# Zeiss


CZI_XML = """<ImageDocument><Metadata><Scaling><Items><Distance Id="X"><Value>1e-07</Value></Distance>
<Distance Id="Y"><Value>1e-07</Value></Distance><Distance Id="Z"><Value>3e-07</Value></Distance></Items></Scaling>
<Information><Image><ObjectiveSettings><RefractiveIndex>1.518</RefractiveIndex><ObjectiveRef Id="Objective:1"/>
</ObjectiveSettings><Dimensions><Channels><Channel Id="Channel:0" Name="AF488"><Fluor>Alexa 488</Fluor>
<Color>#FF00FF00</Color><EmissionWavelength>520</EmissionWavelength><ExcitationWavelength>488</ExcitationWavelength>
<AcquisitionMode>LaserScanningConfocalMicroscopy</AcquisitionMode><PinholeSizeAiry>1.2</PinholeSizeAiry>
<DetectorSettings><Gain>650</Gain><Offset>0</Offset></DetectorSettings></Channel></Channels>
<S><Scenes><Scene Index="0" Name="left"/><Scene Index="1" Name="right"/></Scenes></S></Dimensions></Image>
<Instrument><Objectives><Objective Id="Objective:0"><LensNA>0.3</LensNA></Objective>
<Objective Id="Objective:1" Name="HC PL APO CS2 63x/1.40 OIL"><LensNA>1.4</LensNA>
<NominalMagnification>63</NominalMagnification><Immersion>Oil</Immersion></Objective></Objectives></Instrument>
</Information></Metadata></ImageDocument>"""


def czi_entry(position, plane, shape, compression=0, stored=None):
    _, y, x = shape
    stored = stored or (y, x)
    dimensions = [(b"X", 0, x, stored[1]), (b"Y", 0, y, stored[0]), (b"Z", plane[1], 1, 1), (b"S", plane[0], 1, 1)]
    head = struct.pack("<2siqiiBB4si", b"DV", 1, position, 0, compression, 0, 0, b"", len(dimensions))
    return head + b"".join(
        struct.pack("<4siifi", name, at, size, 0.0, kept) for name, at, size, kept in dimensions
    )


def czi_segment(kind, payload):
    return struct.pack("<16sqq", kind, len(payload), len(payload)) + payload


def write_czi(path, data, xml=CZI_XML, compression=0, pyramid=False):
    """Write uint16 planes; ``data`` is scene, z, y, x. A pyramid has a half-sized copy of each plane as well."""
    scenes, z, y, x = data.shape
    content, entries = bytearray(32 + 512), []
    planes = [(s, k) for s in range(scenes) for k in range(z)]
    for plane, stored in [(one, None) for one in planes] + [(one, (y // 2, x // 2)) for one in planes if pyramid]:
        pixels = data[plane] if stored is None else np.zeros(stored, np.uint16)
        entry = czi_entry(len(content), plane, (z, y, x), compression, stored)
        entries.append(entry)
        body = struct.pack("<iiq", 0, 0, pixels.nbytes) + entry
        content += czi_segment(b"ZISRAWSUBBLOCK", body.ljust(16 + 240, b"\0") + pixels.astype("<u2").tobytes())
    directory = len(content)
    content += czi_segment(b"ZISRAWDIRECTORY", struct.pack("<i124x", len(entries)) + b"".join(entries))
    metadata = len(content)
    text = xml.encode()
    content += czi_segment(b"ZISRAWMETADATA", struct.pack("<ii248x", len(text), 0) + text)
    header = struct.pack("<iiii16s16siqqiq", 1, 0, 0, 0, bytes(16), bytes(16), 0, directory, metadata, 0, 0)
    content[: 32 + 80] = struct.pack("<16sqq", b"ZISRAWFILE", 512, 512) + header
    path.write_bytes(content)
    return path


CZI = {
    **VOXEL, **OBJECTIVE, **INDEX, "channels.0.name": "Alexa 488", "channels.0.colour": "#00ff00",
    "channels.0.emission_um": 0.52, "channels.0.excitation_um": 0.488, "channels.0.pinhole_au": 1.2,
    "channels.0.modality": "laser scanning confocal", "channels.0.camera_gain": 650, "channels.0.camera_offset": 0,
}  # fmt: skip


@pytest.mark.parametrize("pyramid", [False, True])
def test_czi(tmp_path, microscope, pyramid):
    data = microscope.pixels(2, 4, 8, 10)
    path = write_czi(tmp_path / "x.czi", data, pyramid=pyramid)
    record = read_record(path)
    assert (record.format, record.series_names, record.axes) == ("Zeiss CZI", ("left", "right"), "ZYX")
    assert stated(record) == pytest.approx(CZI)
    assert record.missing == ()
    with pytest.raises(ConfigError, match=r"holds 2 images \(0: left, 1: right\)"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, series=1).data, data[1])


def test_a_czi_of_one_scene_is_not_asked_about(tmp_path, microscope):
    data = microscope.pixels(1, 4, 8, 10)
    np.testing.assert_array_equal(read_image(write_czi(tmp_path / "x.czi", data)).data, data[0])


def test_czi_that_is_not_read(tmp_path, microscope):
    zstd = write_czi(tmp_path / "zstd.czi", microscope.pixels(1, 4, 8, 10), compression=5)
    with pytest.raises(ConfigError, match="compressed in a way that czifile does not read: in ZEN"):
        read_image(zstd)
    bomb = '<!DOCTYPE x [<!ENTITY a "ha">]><ImageDocument>&a;</ImageDocument>'
    with pytest.raises(ConfigError, match="declares a document type or entities"):
        read_image(write_czi(tmp_path / "bomb.czi", microscope.pixels(1, 4, 8, 10), bomb))


# Nikon


class Nd2:
    """Stands in for `nd2.ND2File`, with that package's own records."""

    def __init__(self, _path):
        self.data = np.arange(2 * 4 * 8 * 9, dtype=np.uint16).reshape(2, 4, 8, 9)
        self.sizes, self.dtype, self.text_info = (
            {"P": 2, "Z": 4, "Y": 8, "X": 9},
            np.uint16,
            {"description": "a note"},
        )
        volume = structures.Volume(
            axesCalibrated=(True, True, True), axesCalibration=(0.1, 0.1, 0.3),
            axesInterpretation=("distance",) * 3, bitsPerComponentInMemory=16, bitsPerComponentSignificant=12,
            cameraTransformationMatrix=(1, 0, 0, 1), componentCount=1, componentDataType="unsigned",
            voxelCount=(9, 8, 4),
        )  # fmt: skip
        microscope = structures.Microscope(
            objectiveMagnification=60, objectiveName="Plan Apo VC 60x WI", objectiveNumericalAperture=1.2,
            immersionRefractiveIndex=1.33, pinholeDiameterUm=30,
            modalityFlags=["fluorescence", "laserScanConfocal"],
        )  # fmt: skip
        meta = structures.ChannelMeta("GFP", 0, structures.Color(0, 255, 0), 525, 488)
        channel = structures.Channel(channel=meta, loops=None, microscope=microscope, volume=volume)
        self.metadata = structures.Metadata(channels=[channel])
        points = [structures.Position(structures.StagePosition(0, 0, 0), name=name) for name in ("A1", None)]
        self.experiment = [
            structures.XYPosLoop(2, 0, structures.XYPosLoopParams(False, points)),
            structures.ZStackLoop(4, 1, structures.ZStackLoopParams(0, -0.3, True)),
        ]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def asarray(self):
        return self.data


def test_nd2(tmp_path, monkeypatch):
    monkeypatch.setattr(nd2, "ND2File", Nd2)
    path = tmp_path / "x.nd2"
    path.write_bytes(b"\xda\xce\xbe\x0a and more")
    record = read_record(path)
    assert (record.format, record.series_names, record.axes) == ("Nikon ND2", ("A1", "position 1"), "ZYX")
    assert stated(record) == pytest.approx({
        **VOXEL, "objective": "Plan Apo VC 60x WI", "magnification": 60, "na": 1.2, "refractive_index": 1.33,
        "channels.0.name": "GFP", "channels.0.colour": "#00ff00", "channels.0.emission_um": 0.525,
        "channels.0.excitation_um": 0.488, "channels.0.modality": "laser scanning confocal",
        "channels.0.pinhole_um": 30,
    })  # fmt: skip
    assert record.doubts == ()
    np.testing.assert_array_equal(read_image(path, series=1).data, Nd2(path).data[1])
    assert read_image(path, series=1).description == "a note"


def test_a_damaged_nd2_is_said_in_one_line(tmp_path):
    (tmp_path / "x.nd2").write_bytes(b"\xda\xce\xbe\x0a and nothing more")
    with pytest.raises(ConfigError, match="damaged, or not an image that this program reads"):
        read_image(tmp_path / "x.nd2")


# OME-Zarr


def test_our_own_zarr(tmp_path):
    out = create_zarr(tmp_path / "x.zarr", (4, 8, 9), voxel_um=(0.3, 0.1, 0.1))
    out[:] = 7
    file = read_image(tmp_path / "x.zarr")
    assert (file.record.format, file.axes, file.voxel_um) == ("OME-Zarr", "ZYX", (0.3, 0.1, 0.1))
    assert (file.data == 7).all()
    with pytest.raises(ConfigError, match=r"one array of a zarr folder: give .*x\.zarr, which names its axes"):
        read_image(tmp_path / "x.zarr" / "0")


@pytest.mark.parametrize("version", [2, 3])
def test_an_array_that_stands_alone_is_not_said_to_belong_to_a_folder(tmp_path, version):
    zarr.save_array(tmp_path / "x.zarr", np.ones((8, 9)), zarr_format=version)
    with pytest.raises(ConfigError, match="without the metadata of an OME-Zarr, which names the axes: open it in"):
        read_image(tmp_path / "x.zarr")


def ngff_04(group, data, name="cell", unit="nanometer"):
    """Write a pyramid of two levels as version 0.4 has it, with a scale for both."""
    axes = [{"name": "c", "type": "channel"}, *({"name": a, "type": "space", "unit": unit} for a in "zyx")]
    datasets = [
        {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 2**level, 2**level]}]}
        for level in (0, 1)
    ]
    scale = [{"type": "scale", "scale": [1, 300, 100, 100]}]
    multiscales = [{"version": "0.4", "name": name, "axes": axes, "datasets": datasets}]
    multiscales[0]["coordinateTransformations"] = scale
    channels = [{"label": "DAPI", "color": "0000FF"}, {"label": "GFP", "color": "00FF00"}]
    group.attrs.update({"multiscales": multiscales, "omero": {"channels": channels}})
    group.create_array("0", data=data)
    group.create_array("1", data=data[..., ::2, ::2])


def test_zarr_of_version_04(tmp_path, microscope):
    data = microscope.pixels(2, 4, 8, 9)
    ngff_04(zarr.create_group(str(tmp_path / "x.zarr"), zarr_format=2), data)
    file = read_image(tmp_path / "x.zarr")
    np.testing.assert_array_equal(file.data, data)
    assert stated(file.record) == pytest.approx({
        **VOXEL, "channels.0.name": "DAPI", "channels.0.colour": "#0000ff", "channels.1.name": "GFP",
        "channels.1.colour": "#00ff00",
    })  # fmt: skip


def test_zarr_of_bioformats2raw(tmp_path, microscope):
    root = zarr.create_group(str(tmp_path / "x.zarr"), attributes={"bioformats2raw.layout": 3}, zarr_format=2)
    for number in range(2):
        ngff_04(root.create_group(str(number)), microscope.pixels(2, 4, 8, 9) + number, name=f"well {number}")
    (tmp_path / "x.zarr" / "OME").mkdir()
    images = [
        microscope.ome_image(name=f"well {n}", channels='<Channel EmissionWavelength="461"/>') for n in (0, 1)
    ]
    (tmp_path / "x.zarr" / "OME" / "METADATA.ome.xml").write_text(microscope.ome_xml(*images))
    record = read_record(tmp_path / "x.zarr", series=1)
    assert (record.series_names, record.channels[0].emission_um) == (("well 0", "well 1"), 0.461)
    np.testing.assert_array_equal(
        read_image(tmp_path / "x.zarr", series=1).data, microscope.pixels(2, 4, 8, 9) + 1
    )
    with pytest.raises(ConfigError, match="holds 2 images"):
        read_image(tmp_path / "x.zarr")


def test_a_plate_is_asked_about(tmp_path):
    zarr.create_group(str(tmp_path / "x.zarr"), attributes={"ome": {"plate": {}}})
    with pytest.raises(ConfigError, match="is a plate: give the folder of one field"):
        read_image(tmp_path / "x.zarr")


# Others


@pytest.mark.parametrize(
    ("module", "content"), [("nd2", b"\xda\xce\xbe\x0a"), ("liffile", b"\x70\0\0\0"), ("czifile", b"ZISRAWFILE")]
)
def test_without_the_package_the_extra_is_named(tmp_path, monkeypatch, module, content):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(
        ConfigError, match=rf"needs the package {module}: pip install 'napari-selfdeconv\[formats\]'"
    ):
        read_image(tmp_path / "x")


def test_zarr_without_the_package(tmp_path, monkeypatch):
    (tmp_path / "x.zarr").mkdir()
    (tmp_path / "x.zarr" / "zarr.json").write_text(json.dumps({}))
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ConfigError, match=r"needs the package zarr: pip install 'napari-selfdeconv\[formats\]'"):
        read_record(tmp_path / "x.zarr")


def test_bioio_reads_what_nothing_else_reads(tmp_path, monkeypatch, microscope):
    data = microscope.pixels(1, 1, 4, 8, 9)
    xml = microscope.ome_xml(microscope.ome_image(channels='<Channel Name="GFP" EmissionWavelength="525"/>'))

    class BioImage:
        def __init__(self, _path):
            self.scenes, self.data, self.shape, self.dtype = ("only",), data, data.shape, data.dtype
            self.dims, self.channel_names = SimpleNamespace(order="TCZYX"), ["GFP"]
            self.physical_pixel_sizes = SimpleNamespace(Z=0.3, Y=0.1, X=0.1)
            self.ome_metadata = SimpleNamespace(to_xml=lambda: xml)

        def set_scene(self, _index):
            pass

    module = SimpleNamespace(BioImage=BioImage, __spec__=SimpleNamespace(name="bioio"))
    monkeypatch.setitem(sys.modules, "bioio", module)
    (tmp_path / "x.oib").write_bytes(b"a format of its own")
    file = read_image(tmp_path / "x.oib")
    np.testing.assert_array_equal(file.data, data[0, 0])
    assert stated(file.record) == pytest.approx(
        {**VOXEL, "channels.0.name": "GFP", "channels.0.emission_um": 0.525}
    )
