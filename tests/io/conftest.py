"""Small files as the programs of microscopes write them, with each one's own quirks."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tifffile

OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"

NO_CHANNEL = '<Channel SamplesPerPixel="1"/>'


@pytest.fixture
def microscope() -> ModuleType:
    """Return this module: what writes the files."""
    return sys.modules[__name__]


def pixels(*shape, dtype=np.uint16):
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


def ome_image(size="", channels="", planes="", settings="", name="cell", shape=(1, 1, 5, 8, 9), ifd=0):
    """Return the element Image: ``shape`` is t, c, z, y, x."""
    t, c, z, y, x = shape
    return (
        f'<Image ID="Image:{name}" Name="{name}"><InstrumentRef ID="Instrument:0"/>{settings}'
        f'<Pixels ID="Pixels:{name}" DimensionOrder="XYZCT" Type="uint16" SizeX="{x}" SizeY="{y}" SizeZ="{z}" '
        f'SizeC="{c}" SizeT="{t}" {size}>{channels or NO_CHANNEL * c}'
        f'<TiffData IFD="{ifd}" PlaneCount="{t * c * z}"/>{planes}</Pixels></Image>'
    )


def ome_xml(*images, instrument="", namespace=OME):
    xmlns = f' xmlns="{namespace}"' if namespace else ""
    instrument = f'<Instrument ID="Instrument:0">{instrument}</Instrument>' if instrument else ""
    return f'<?xml version="1.0" encoding="UTF-8"?><OME{xmlns}>{instrument}{"".join(images)}</OME>'


def write_pages(path: Path, pages, description: str, **options):
    """Write pages of one size after one another, with a description that tifffile does not touch."""
    with tifffile.TiffWriter(path, byteorder=options.pop("byteorder", "<")) as tif:
        for number, page in enumerate(pages):
            text = description.encode() if number == 0 else None
            tif.write(page, description=text, metadata=None, photometric="minisblack", **options)
    return path


def write_ome(path: Path, *images, shape=(1, 1, 5, 8, 9), instrument="", namespace=OME, **options):
    t, c, z, y, x = shape
    count = t * c * z * max(len(images), 1)
    return write_pages(
        path, pixels(count, y, x), ome_xml(*images, instrument=instrument, namespace=namespace), **options
    )


def write_imagej(path: Path, axes: str, shape, per_pixel, **metadata):
    """Write as ImageJ does. ``per_pixel`` is the pixel size in the unit of the text, y and x."""
    resolution = None if per_pixel is None else (1 / per_pixel[1], 1 / per_pixel[0])
    options = {} if resolution is None else {"resolution": resolution}
    tifffile.imwrite(
        path, pixels(*shape), imagej=True, metadata={"axes": axes, **metadata}, photometric="minisblack", **options
    )
    return path


def write_stk(path: Path, planes=4, unit="um", pixel=(0.13, 0.13), step=0.3, times_ms=None):
    """Write a MetaMorph stack: one page, whose planes follow each other, and the tags UIC1 and UIC2."""
    data = pixels(planes, 8, 9)
    tifffile.imwrite(path, data, metadata=None, photometric="minisblack", contiguous=True)
    content = bytearray(path.read_bytes())
    header, offset = content[:8], len(content)
    name = unit.encode() + b"\0"
    strings, fractions = struct.pack("<I", len(name)) + name, b""
    fractions = b"".join(struct.pack("<2I", round(size * 1e6), 10**6) for size in pixel)
    content += strings + fractions
    at = {"unit": offset, "y": offset + len(strings) + 8, "x": offset + len(strings)}
    uic1_at = len(content)
    content += struct.pack("<6I", 4, at["x"], 5, at["y"], 6, at["unit"])
    uic2_at = len(content)
    for plane in range(planes):
        time = 0 if times_ms is None else times_ms * plane
        content += struct.pack("<6I", round(step * 1e6), 10**6, 2_451_545, time, 2_451_545, time)
    ifd = len(content)
    bits = [(256, 4, 1, 9), (257, 4, 1, 8), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 0)]
    with tifffile.TiffFile(path) as tif:
        bits[-1] = (273, 4, 1, tif.pages.first.dataoffsets[0])
    bits += [(277, 3, 1, 1), (278, 4, 1, 8), (279, 4, 1, 144)]
    bits += [(33628, 4, 3, uic1_at), (33629, 5, planes, uic2_at)]
    content += struct.pack("<H", len(bits)) + b"".join(struct.pack("<HHII", *tag) for tag in bits) + bytes(4)
    content[4:8] = struct.pack("<I", ifd)
    assert header[:4] == b"II*\0"
    path.write_bytes(content)
    return path


def write_lsm(path: Path, shape=(4, 3, 8, 9), voxel_m=(3e-7, 1e-7, 1e-7), objective="", positions=0, scan=True):
    """Write a Zeiss LSM stack: axes z, channel, y, x; the scan information has one track a channel."""
    z, channels, y, x = shape
    names = [b"Alexa 488", b"Cy5", b"DAPI"][:channels]
    info = np.dtype(tifffile.TIFF.CZ_LSMINFO)
    record = np.zeros((), info)
    colours = struct.pack(
        "<6I", 24 + 8 + 4 * channels + 8 * channels, channels, channels, 24, 24 + 4 * channels, 0
    )
    colours += b"".join(bytes(c) for c in ((0, 255, 0, 0), (255, 0, 0, 0), (0, 0, 255, 0))[:channels])
    colours += b"".join(struct.pack("<I", 4) + f"Ch{n}".encode() + b"\0" for n in range(1, channels + 1))
    # The tag is written before its parts, which follow it: their places in the file are relative to it.
    blocks = _scan_information(objective.encode(), names) if scan else b""
    for field, value in {
        "MagicNumber": 67127628, "StructureSize": info.itemsize, "DimensionX": x, "DimensionY": y, "DimensionZ": z,
        "DimensionChannels": channels, "DimensionTime": 1, "DimensionP": positions, "VoxelSizeX": voxel_m[2],
        "VoxelSizeY": voxel_m[1], "VoxelSizeZ": voxel_m[0],
    }.items():  # fmt: skip
        record[field] = value
    planes = max(positions, 1) * z
    with tifffile.TiffWriter(path) as tif:
        for page in pixels(planes, channels, y, x):
            extra = [(34412, 1, info.itemsize, record.tobytes(), True)]
            if channels == 1:
                tif.write(page[0], metadata=None, photometric="minisblack", extratags=extra)
            else:
                tif.write(page, metadata=None, photometric="minisblack", planarconfig="separate", extratags=extra)
            tif.write(page[:1, :4, :4], metadata=None, photometric="minisblack", subfiletype=1)
    content = bytearray(path.read_bytes())
    record["OffsetChannelColors"] = len(content)
    content += colours
    record["OffsetScanInformation"] = len(content) if scan else 0
    content += blocks
    with tifffile.TiffFile(path) as tif:
        at = tif.pages.first.tags[34412].valueoffset
    content[at : at + info.itemsize] = record.tobytes()
    path.write_bytes(content)
    return path


def _scan_information(objective: bytes, dyes: list[bytes]) -> bytes:
    def text(entry, value):
        return struct.pack("<III", entry, 2, len(value) + 1) + value + b"\0"

    def real(entry, value):
        return struct.pack("<IIId", entry, 5, 8, value)

    def whole(entry, value):
        return struct.pack("<IIIi", entry, 4, 4, value)

    def block(entry, *parts):
        return struct.pack("<III", entry, 0, 0) + b"".join(parts) + struct.pack("<III", 0xFFFFFFFF, 0, 0)

    tracks = [
        block(
            0x40000000,
            block(
                0x60000000,
                block(0x70000000, whole(0x7000000B, 1), real(0x70000009, 90.0 + n), text(0x70000026, dye)),
                block(0x70000000, whole(0x7000000B, 0), real(0x70000009, 500.0), text(0x70000026, b"unused")),
            ),
            block(
                0x80000000,
                block(0x90000000, real(0x90000003, (488.0, 633.0, 405.0)[n]), whole(0x90000004, 1)),
                block(0x90000000, real(0x90000003, 561.0), whole(0x90000004, 0)),
            ),
        )
        for n, dye in enumerate(dyes)
    ]
    return block(0x10000000, text(0x10000004, objective), block(0x20000000, *tracks))


def write_metaseries(path: Path, extra: str = ""):
    """Write one plane as MetaMorph's newer TIFF."""
    text = (
        '<MetaData><prop id="Description" type="string" value="Exposure: 100 ms"/><PlaneInfo>'
        '<prop id="spatial-calibration-state" type="bool" value="on"/>'
        '<prop id="spatial-calibration-x" type="float" value="0.1075"/>'
        '<prop id="spatial-calibration-y" type="float" value="0.1075"/>'
        '<prop id="spatial-calibration-units" type="string" value="um"/>'
        '<prop id="wavelength" type="float" value="525"/>'
        '<prop id="_IllumSetting_" type="string" value="GFP"/>'
        '<prop id="_MagSetting_" type="string" value="60x Water"/>'
        '<prop id="_MagNA_" type="float" value="1.2"/>'
        f'<prop id="_MagRI_" type="float" value="1.333"/>{extra}</PlaneInfo></MetaData>'
    )
    tifffile.imwrite(path, pixels(8, 9), metadata=None, description=text, software="MetaSeries")
    return path
