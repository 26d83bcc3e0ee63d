"""Files in and out: what is written comes back, what other programs write is understood, nothing half-written."""

from __future__ import annotations

import errno
import json
import re

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.checks import check_image
from napari_selfdeconv.io.images import ImageFile, read_image, read_psf, write_ome_tiff, write_psf
from napari_selfdeconv.io.ome_tiff import as_stored
from napari_selfdeconv.io.ome_zarr import write_zarr
from napari_selfdeconv.io.record import ChannelRecord, ImageRecord
from napari_selfdeconv.io.units import micrometres

PROVENANCE = {"seed": 3, "text": 'a <b> & "c" µm', "nested": {"list": [1, 2.5, None]}}


def image_of(*shape, dtype=np.float32):
    return np.random.default_rng(0).uniform(0, 200, shape).astype(dtype)


def files_in(folder):
    return sorted(path.name for path in folder.iterdir())


# What we write ourselves


@pytest.mark.parametrize(
    ("shape", "voxel", "axes"),
    [
        ((20, 30), (0.406, 0.11), "YX"),
        ((20, 3), (0.1, 0.1), "YX"),
        ((5, 20, 30), (0.3, 0.13, 0.1299999), "ZYX"),
        ((3, 20, 30), (1 / 3, 0.065, 1e-3), "ZYX"),
        ((4, 20, 3), (2.0, 12.5, 0.5), "ZYX"),
    ],
)
def test_round_trip(tmp_path, shape, voxel, axes):
    path = tmp_path / "out.ome.tif"
    image = image_of(*shape) - 100  # negative values too, and nothing is rescaled
    write_ome_tiff(path, image, voxel_um=voxel, provenance=PROVENANCE)
    file = read_image(path)
    assert file.data.dtype == np.float32
    np.testing.assert_array_equal(file.data, image)
    assert file.axes == axes
    assert file.voxel_um == voxel
    assert file.provenance == PROVENANCE
    assert file.description == ""
    assert files_in(tmp_path) == ["out.ome.tif"]


def test_round_trip_of_extreme_values(tmp_path):
    info = np.finfo(np.float32)
    image = np.array([[info.max, info.tiny], [-info.max, -0.0], [np.nan, np.inf]], np.float32)
    write_ome_tiff(tmp_path / "x.tif", image)
    assert read_image(tmp_path / "x.tif").data.tobytes() == image.tobytes()


def test_without_a_voxel_size_there_is_none(tmp_path):
    write_ome_tiff(tmp_path / "x.ome.tif", image_of(8, 8))
    file = read_image(tmp_path / "x.ome.tif")
    assert file.voxel_um is None
    assert "no voxel size" in file.note
    assert file.provenance is None


def test_a_stack_of_one_plane_comes_back_as_that_plane(tmp_path):
    write_ome_tiff(tmp_path / "x.ome.tif", image_of(1, 8, 9), voxel_um=(0.5, 0.2, 0.1))
    file = read_image(tmp_path / "x.ome.tif")
    assert (file.data.shape, file.axes, file.voxel_um) == ((8, 9), "YX", (0.2, 0.1))


def test_the_file_is_valid_ome_for_other_readers(tmp_path):
    path = tmp_path / "x.ome.tif"
    write_ome_tiff(path, image_of(5, 16, 24), voxel_um=(0.3, 0.2, 0.1), provenance=PROVENANCE)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        assert not tif.is_bigtiff
        assert (tif.series[0].axes, tif.series[0].shape) == ("ZYX", (5, 16, 24))
        pixels = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Pixels"]
        tags = tif.pages.first.tags
        # ImageJ: pixels in the unit of its own text, which is the second description.
        assert (tags["XResolution"].value, tags["YResolution"].value) == ((10, 1), (5, 1))
        assert tags["ResolutionUnit"].value == 1
        assert tif.is_imagej
        told = tif.imagej_metadata
    assert (told["slices"], told["spacing"], told["unit"]) == (5, 0.3, "um")
    assert {key: pixels[key] for key in pixels if key.startswith("Physical")} == {
        "PhysicalSizeX": 0.1,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": 0.2,
        "PhysicalSizeYUnit": "µm",
        "PhysicalSizeZ": 0.3,
        "PhysicalSizeZUnit": "µm",
    }
    assert (pixels["Type"], pixels["SizeZ"], pixels["SizeC"], pixels["SizeT"]) == ("float", 5, 1, 1)


RECORD = ImageRecord(
    file="cells.czi", format="Zeiss CZI", axes="TCZYX", shape=(2, 3, 4, 8, 9), dtype="uint16", time_step_s=5.0,
    objective="Plan-Apo", magnification=63.0, na=1.4, immersion="silicone", refractive_index=1.406,
    channels=tuple(
        ChannelRecord(
            name=name, colour=colour, emission_um=emission, excitation_um=0.405, modality="light sheet"
        )
        for name, colour, emission in (("D", "#0000ff", 0.46), ("α & <β>", "#00ff80", 0.52), ("R", "#ff0000", 0.6))
    ),
)  # fmt: skip


@pytest.mark.parametrize("compression", ["none", "zlib", "zstd", "lzw"])
def test_a_result_keeps_what_its_image_stated(tmp_path, compression):
    data = np.random.default_rng(0).random((2, 3, 4, 8, 9)).astype(np.float32)
    path = tmp_path / "x.ome.tif"
    write_ome_tiff(path, data, (0.3, 0.2, 0.1), {"a": 1}, "TCZYX", record=RECORD, compression=compression)
    read = read_image(path)
    np.testing.assert_array_equal(read.data, data)
    assert (read.axes, read.voxel_um, read.provenance) == ("TCZYX", (0.3, 0.2, 0.1), {"a": 1})
    assert read.record.doubts == ()
    for name in ("time_step_s", "objective", "magnification", "na", "refractive_index"):
        assert getattr(read.record, name) == getattr(RECORD, name)
    # The schema has no silicone.
    assert read.record.immersion is None
    assert read.record.channels == RECORD.channels
    with tifffile.TiffFile(path) as tif:
        assert tif.is_imagej == (compression == "none")
        if compression == "none":
            told = tif.imagej_metadata
            assert (told["channels"], told["slices"], told["frames"], told["mode"]) == (3, 4, 2, "composite")
            assert [table[:, -1].tolist() for table in told["LUTs"]] == [[0, 0, 255], [0, 255, 128], [255, 0, 0]]
            assert (told["unit"], told["spacing"], told["finterval"]) == ("um", 0.3, 5.0)


def test_the_ome_xml_follows_the_schema(tmp_path):
    ome_types = pytest.importorskip("ome_types")
    data = np.zeros((2, 3, 4, 8, 9), np.float32)
    write_ome_tiff(tmp_path / "x.ome.tif", data, (0.3, 0.2, 0.1), {"a": "µ"}, "TCZYX", record=RECORD)
    with tifffile.TiffFile(tmp_path / "x.ome.tif") as tif:
        image = ome_types.from_xml(tif.ome_metadata, validate=True).images[0]
    assert image.pixels.channels[1].name == "α & <β>"
    assert image.objective_settings.refractive_index == 1.406


@pytest.mark.parametrize("kind", ["tif", "zarr"])
@pytest.mark.parametrize("shift", [0.0, 1e12])
def test_scaled_whole_numbers_are_read_as_the_values(tmp_path, kind, shift):
    data = np.array([[-1.0, 0.0], [0.5, 1.0]]) * (1 + shift / 1e7) + shift
    path = tmp_path / f"x.{kind}"
    stored, told = as_stored(data, "uint16")
    provenance = {"seed": 1, "stored": told}
    if kind == "zarr":
        write_zarr(path, stored, provenance=provenance)
    else:
        write_ome_tiff(path, stored, provenance=provenance, dtype="uint16")
    read = read_image(path)
    np.testing.assert_allclose(read.data, data, atol=2 * np.ptp(data) / 65535)
    assert read.provenance == {"seed": 1}
    # The values are not scaled a second time after they were written again.
    for dtype in ("float32", "uint16"):
        if shift and dtype == "float32":
            continue  # which refuses such values
        write_ome_tiff(tmp_path / "again.tif", read.data, provenance=read.provenance, dtype=dtype)
        again = read_image(tmp_path / "again.tif").data
        np.testing.assert_allclose(again, data, atol=4 * np.ptp(data) / 65535)


@pytest.mark.parametrize("told", [{"scale": 2.0}, {"dtype": "uint16", "scale": "x", "offset": 0}, {}, 5, None])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_numbers_without_a_known_scale_are_read_as_stored(tmp_path, told, dtype):
    data = np.array([[0, 300], [7, 9]], dtype)
    write_ome_tiff(tmp_path / "x.tif", data, provenance={"stored": told}, dtype=data.dtype.name)
    read = read_image(tmp_path / "x.tif")
    np.testing.assert_array_equal(read.data, data)
    assert read.data.dtype == dtype
    assert read.provenance == {"stored": told}


def test_whole_numbers_that_are_only_rounded_stay_whole(tmp_path):
    counts = np.array([[0.4, 300.6], [65535.0, 7.0]])
    write_ome_tiff(tmp_path / "y.tif", counts, dtype="uint16")
    assert read_image(tmp_path / "y.tif").data.tolist() == [[0, 301], [65535, 7]]
    assert read_image(tmp_path / "y.tif").provenance["stored"]["scale"] == 1


@pytest.mark.parametrize(
    ("calibration", "dtype", "words"),
    [
        ({"cf": 0, "c0": -32768.0, "c1": 1.0, "vunit": "gray value"}, np.int16, ""),
        (
            {"cf": 0, "c0": 3.0, "c1": 0.5, "vunit": "photons"},
            np.uint16,
            "calibration of its values is not applied",
        ),
        ({"cf": 0, "c0": 0.0, "c1": 1.0, "vunit": "gray value"}, np.uint16, ""),
        ({"cf": 21, "vunit": "OD"}, np.uint16, ""),
    ],
)
def test_signed_numbers_of_imagej_are_read_as_such(tmp_path, calibration, dtype, words):
    stored = np.arange(32700, 32844, dtype=np.uint16).reshape(2, 8, 9)
    tifffile.imwrite(tmp_path / "a.tif", stored, imagej=True, metadata={"axes": "ZYX", **calibration})
    read = read_image(tmp_path / "a.tif")
    assert read.data.dtype == dtype
    np.testing.assert_array_equal(read.data, stored.astype(int) - 32768 * (dtype == np.int16))
    said = [doubt.problem for doubt in read.record.doubts if doubt.field == "file"]
    assert len(said) == bool(words)
    assert all(words in one for one in said)


def test_beyond_four_gigabytes_it_is_a_bigtiff(tmp_path, monkeypatch):
    opened = {}

    class Writer:
        def __init__(self, _, **options):
            opened.update(options)
            raise OSError(errno.ENOSPC, "enough seen")

    monkeypatch.setattr(tifffile.tifffile, "TiffWriter", Writer)
    # 4.3 GB without the memory: every row is the same one. Copying it would be the memory.
    monkeypatch.setattr(np, "ascontiguousarray", np.asarray)
    huge = np.broadcast_to(np.float32(1), (1100, 1000, 1000))
    with pytest.raises(ConfigError):
        write_ome_tiff(tmp_path / "x.ome.tif", huge)
    assert opened["bigtiff"] is True


def test_other_types_are_converted(tmp_path):
    image = image_of(8, 9, dtype=np.uint16)
    write_ome_tiff(tmp_path / "x.ome.tif", image[:, ::-1])
    file = read_image(tmp_path / "x.ome.tif")
    assert file.data.dtype == np.float32
    np.testing.assert_array_equal(file.data, image[:, ::-1])


def test_psf_round_trip(tmp_path):
    psf = image_of(7, 5, 5)
    write_psf(tmp_path / "psf.tif", psf / psf.sum(), voxel_um=(0.3, 0.1, 0.1), provenance={"na": 1.4})
    file = read_psf(tmp_path / "psf.tif")
    np.testing.assert_array_equal(file.data, psf / psf.sum())
    assert (file.voxel_um, file.provenance) == ((0.3, 0.1, 0.1), {"na": 1.4})


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (image_of(8), {}, "can write axes YX or ZYX"),
        (image_of(2, 2, 8, 8), {}, "can write axes YX or ZYX"),
        (image_of(0, 8), {}, "can write axes YX or ZYX"),
        (image_of(8, 8), {"axes": "ZYX"}, "can write axes YX or ZYX"),
        (image_of(8, 8), {"voxel_um": (0.1, 0.1, 0.1)}, "voxel_um must be 2 positive numbers"),
        (image_of(8, 8), {"voxel_um": (0.1, 0.0)}, "voxel_um must be 2 positive numbers"),
        (image_of(8, 8), {"voxel_um": (0.1, np.nan)}, "voxel_um must be 2 positive numbers"),
    ],
)
def test_what_cannot_be_written(tmp_path, data, options, message):
    with pytest.raises(ConfigError, match=message):
        write_ome_tiff(tmp_path / "x.ome.tif", data, **options)
    assert files_in(tmp_path) == []


# Nothing half-written


@pytest.mark.parametrize(
    "failure",
    [OSError(errno.ENOSPC, "No space left on device"), OSError("1000000 requested and 4096 written")],
    ids=["from the system", "from numpy"],
)
def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, failure):
    path = tmp_path / "x.ome.tif"
    path.write_bytes(b"old")

    def write_a_bit(file, *args, **kwargs):
        file.write_bytes(b"half a fi")
        raise failure

    monkeypatch.setattr(tifffile, "imwrite", write_a_bit)
    with pytest.raises(ConfigError, match=r"cannot write .*the disk is full") as caught:
        write_ome_tiff(path, image_of(8, 8))
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert files_in(tmp_path) == ["x.ome.tif"]


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(file, *args, **kwargs):
        file.write_bytes(b"half a fi")
        raise KeyboardInterrupt

    monkeypatch.setattr(tifffile, "imwrite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_ome_tiff(tmp_path / "x.ome.tif", image_of(8, 8))
    assert files_in(tmp_path) == []


def test_where_it_cannot_be_written(tmp_path):
    with pytest.raises(ConfigError, match=r"there is no folder .*nowhere, create it"):
        write_ome_tiff(tmp_path / "nowhere" / "x.ome.tif", image_of(8, 8))
    with pytest.raises(ConfigError, match="it is a folder, give a file name"):
        write_ome_tiff(tmp_path, image_of(8, 8))
    assert files_in(tmp_path) == []


def test_no_permission(tmp_path, monkeypatch):
    def denied(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tifffile, "imwrite", denied)
    with pytest.raises(ConfigError, match="no permission, choose another folder"):
        write_ome_tiff(tmp_path / "x.ome.tif", image_of(8, 8))


# What others write


@pytest.mark.parametrize(
    ("unit", "per_pixel", "spacing", "expected"),
    [
        ("um", 0.125, 0.3, (0.3, 0.125, 0.125)),
        ("micron", 0.5, -0.25, (0.25, 0.5, 0.5)),
        ("\\u00B5m", 0.25, 0.5, (0.5, 0.25, 0.25)),
        ("nm", 62.5, 300, (0.3, 0.0625, 0.0625)),
        ("cm", 1.25e-5, 3e-5, (0.3, 0.125, 0.125)),
        ("mm", 0.000125, 0.0003, (0.3, 0.125, 0.125)),
    ],
)
def test_imagej_stack(tmp_path, unit, per_pixel, spacing, expected):
    path = tmp_path / "imagej.tif"
    image = image_of(5, 16, 24, dtype=np.uint16)
    tifffile.imwrite(
        path,
        image,
        imagej=True,
        resolution=(1 / per_pixel, 1 / per_pixel),
        metadata={"axes": "ZYX", "unit": unit, "spacing": spacing, "Info": "a note"},
    )
    file = read_image(path)
    np.testing.assert_array_equal(file.data, image)
    assert file.data.dtype == np.uint16
    assert file.axes == "ZYX"
    assert file.voxel_um == expected
    assert "ImageJ" in file.note
    assert file.description == "a note"


@pytest.mark.parametrize("unit", ["pixel", "inches of water", ""])
def test_imagej_without_a_length_is_not_trusted(tmp_path, unit):
    path = tmp_path / "imagej.tif"
    tifffile.imwrite(path, image_of(16, 24), imagej=True, resolution=(1, 1), metadata={"unit": unit})
    file = read_image(path)
    assert file.voxel_um is None
    assert "no voxel size" in file.note


def test_imagej_stack_without_spacing_says_what_is_missing(tmp_path):
    path = tmp_path / "imagej.tif"
    metadata = {"axes": "ZYX", "unit": "um"}
    tifffile.imwrite(path, image_of(5, 16, 24), imagej=True, resolution=(4, 4), metadata=metadata)
    file = read_image(path)
    assert file.voxel_um is None
    assert file.note.startswith("voxel size unknown along z (y 0.25 um, x 0.25 um")


@pytest.mark.parametrize(
    ("size", "unit", "expected"), [(0.1, "µm", 0.1), (65, "nm", 0.065), (1.5e-4, "mm", 0.15), (1, "pixel", None)]
)
def test_ome_with_units_and_a_text(tmp_path, size, unit, expected):
    path = tmp_path / "x.ome.tif"
    metadata = {"axes": "YX", "Description": "Dapi, [1]"}
    for axis in "XY":
        metadata |= {f"PhysicalSize{axis}": size, f"PhysicalSize{axis}Unit": unit}
    tifffile.imwrite(path, image_of(8, 9, dtype=np.uint8), ome=True, metadata=metadata)
    file = read_image(path)
    assert file.voxel_um == (None if expected is None else (expected, expected))
    assert (file.description, file.provenance) == ("Dapi, [1]", None)


def test_damaged_ome_xml_is_said_and_not_printed(tmp_path, capfd):
    path = tmp_path / "x.ome.tif"
    write_ome_tiff(path, image_of(5, 8, 9), voxel_um=(0.3, 0.1, 0.1))
    path.write_bytes(path.read_bytes().replace(b"<Pixels", b"<Pixxxx"))
    file = read_image(path)
    np.testing.assert_array_equal(file.data, image_of(5, 8, 9))
    assert file.voxel_um is None
    assert "OME-XML cannot be read" in file.note
    assert capfd.readouterr().err == ""


def test_ome_time_series_keeps_its_axes(tmp_path):
    path = tmp_path / "x.ome.tif"
    metadata = {"axes": "TCYX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.1}
    tifffile.imwrite(path, image_of(3, 2, 8, 9), ome=True, photometric="minisblack", metadata=metadata)
    file = read_image(path)
    assert (file.axes, file.voxel_um) == ("TCYX", (0.1, 0.2))


def test_tifffile_description_with_a_unit(tmp_path):
    metadata = {"axes": "ZYX", "unit": "um", "spacing": 0.5}
    tifffile.imwrite(tmp_path / "x.tif", image_of(5, 8, 9), resolution=(10, 5), metadata=metadata)
    assert read_image(tmp_path / "x.tif").voxel_um == (0.5, 0.2, 0.1)


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        ((100_000, 80_000), "CENTIMETER", (0.125, 0.1)),
        ((254_000, 254_000), "INCH", (0.1, 0.1)),
        ((72, 72), "INCH", None),
        ((300, 300), "CENTIMETER", None),
        ((10, 10), "NONE", None),
    ],
)
def test_resolution_tags_are_trusted_only_where_a_microscope_could_have_set_them(
    tmp_path, resolution, unit, expected
):
    tifffile.imwrite(tmp_path / "x.tif", image_of(8, 9), resolution=resolution, resolutionunit=unit)
    file = read_image(tmp_path / "x.tif")
    assert file.voxel_um == expected
    assert file.note


def test_plain_stack_is_taken_for_planes(tmp_path):
    pages = image_of(6, 12, 13, dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "pages.tif") as tif:
        for page in pages:
            tif.write(page, metadata=None, photometric="minisblack")
    tifffile.imwrite(tmp_path / "shaped.tif", pages[:, None], photometric="minisblack")
    for name in ("pages.tif", "shaped.tif"):
        file = read_image(tmp_path / name)
        assert file.axes == "ZYX"
        np.testing.assert_array_equal(file.data, pages)


def test_singleton_axes_go(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", image_of(1, 1, 8, 9), photometric="minisblack")
    assert read_image(tmp_path / "x.tif").axes == "YX"
    tifffile.imwrite(tmp_path / "x.tif", image_of(1, 9), photometric="minisblack")
    assert read_image(tmp_path / "x.tif").data.shape == (1, 9)


@pytest.mark.parametrize(("shape", "axes"), [((8, 9), "YX"), ((4, 8, 9), "ZYX"), ((2, 4, 8, 9), "QQYX")])
def test_npy(tmp_path, shape, axes):
    image = image_of(*shape, dtype=np.float64)
    np.save(tmp_path / "x.npy", image)
    file = read_image(tmp_path / "x.npy")
    np.testing.assert_array_equal(file.data, image)
    assert file.data.dtype == np.float64
    assert (file.axes, file.voxel_um) == (axes, None)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_keeps_its_depth(tmp_path, dtype):
    image = (image_of(20, 21) * np.iinfo(dtype).max / 255).astype(dtype)
    iio.imwrite(tmp_path / "x.png", image)
    file = read_image(tmp_path / "x.png")
    np.testing.assert_array_equal(file.data, image)
    assert (file.data.dtype, file.axes) == (dtype, "YX")


def test_the_content_counts_and_not_the_name(tmp_path):
    tifffile.imwrite(tmp_path / "x.png", image_of(8, 9))
    np.testing.assert_array_equal(read_image(tmp_path / "x.png").data, image_of(8, 9))


def test_grey_stored_as_colour_is_grey(tmp_path):
    grey = image_of(20, 21, dtype=np.uint8)
    opaque = np.full_like(grey, 255)
    iio.imwrite(tmp_path / "rgb.png", np.stack([grey] * 3, axis=-1))
    iio.imwrite(tmp_path / "rgba.png", np.stack([grey] * 3 + [opaque], axis=-1))
    tifffile.imwrite(tmp_path / "rgb.tif", np.stack([grey] * 3, axis=-1), photometric="rgb")
    tifffile.imwrite(tmp_path / "planes.tif", np.stack([grey] * 3), photometric="rgb", planarconfig="separate")
    for name in ("rgb.png", "rgba.png", "rgb.tif", "planes.tif"):
        file = read_image(tmp_path / name)
        np.testing.assert_array_equal(file.data, grey)
        assert file.axes == "YX"


def test_colour_is_refused_with_a_remedy(tmp_path):
    colour = image_of(20, 21, 3, dtype=np.uint8)
    iio.imwrite(tmp_path / "x.png", colour)
    iio.imwrite(tmp_path / "x.jpg", colour)
    tifffile.imwrite(tmp_path / "x.tif", colour, photometric="rgb")
    np.save(tmp_path / "x.npy", colour)
    for name in ("x.png", "x.jpg", "x.tif", "x.npy"):
        with pytest.raises(ConfigError, match=r"colour image.*convert it to grey first.*rgb2gray"):
            read_image(tmp_path / name)


# What is no image


def broken_tiff(path):
    tifffile.imwrite(path, image_of(64, 64), compression="zlib")
    path.write_bytes(path.read_bytes()[:3000])


def broken_png(path):
    iio.imwrite(path, image_of(64, 64, dtype=np.uint8), extension=".png")
    path.write_bytes(path.read_bytes()[:1000])


def cut_off_stack(path):
    tifffile.imwrite(path, image_of(20, 64, 64), ome=True, photometric="minisblack", metadata={"axes": "ZYX"})
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda _: None, "there is no file .*check the path"),
        (lambda path: path.mkdir(), "is a folder: give the path of an image file"),
        (lambda path: path.write_bytes(b""), r"is empty \(0 bytes\)"),
        (
            lambda path: path.write_text("hello, this is a text file"),
            "not an image that this program reads.*save it as",
        ),
        (lambda path: path.write_bytes(b"II*\0 and then nothing"), "damaged"),
        (lambda path: path.write_bytes(b"\x93NUMPY and then nothing"), "damaged"),
        (lambda path: path.write_text(json.dumps(list(range(1000)))), "not an image that this program reads"),
        (broken_tiff, "damaged"),
        (cut_off_stack, "the file is cut off: copy it again"),
        (broken_png, "damaged"),
    ],
)
def test_what_is_no_image_ends_in_one_line(tmp_path, make, message):
    path = tmp_path / "input.dat"
    make(path)
    with pytest.raises(ConfigError, match=message) as caught:
        read_image(path)
    assert "\n" not in str(caught.value)


def test_pickled_arrays_are_not_executed(tmp_path):
    np.save(tmp_path / "x.npy", np.array([print, None], dtype=object), allow_pickle=True)
    with pytest.raises(ConfigError, match="no array of numbers"):
        read_image(tmp_path / "x.npy")


def test_compression_without_imagecodecs(tmp_path, monkeypatch):
    tifffile.imwrite(tmp_path / "x.tif", image_of(32, 32, dtype=np.uint8), compression="lzw")

    def decode(*_args, **_options):
        # What tifffile raises without the package.
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", decode)
    with pytest.raises(ConfigError, match="pip install imagecodecs"):
        read_image(tmp_path / "x.tif")


def test_psf_without_a_positive_value(tmp_path):
    for psf in (np.zeros((5, 5)), -np.ones((5, 5, 5))):
        np.save(tmp_path / "psf.npy", psf)
        with pytest.raises(ConfigError, match=r"the PSF psf\.npy has no positive value"):
            read_psf(tmp_path / "psf.npy")


def test_psf_must_be_an_image_of_numbers(tmp_path):
    np.save(tmp_path / "psf.npy", np.full((5, 5), np.inf))
    with pytest.raises(ConfigError, match=r"psf\.npy has 0 NaN and 25 infinite"):
        read_psf(tmp_path / "psf.npy")
    np.save(tmp_path / "psf.npy", np.ones((2, 2, 5, 5)))
    with pytest.raises(ConfigError, match=r"psf\.npy has axes QQYX"):
        read_psf(tmp_path / "psf.npy")


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float16, np.float32, np.float64, ">f4", ">u2"]
)
@pytest.mark.parametrize("shape", [(8, 9), (4, 8, 9)])
def test_images_that_can_be_deconvolved(shape, dtype):
    image = image_of(*shape).astype(dtype)
    assert check_image(image) is image
    assert check_image(image, "ZYX"[-len(shape) :]) is image


@pytest.mark.parametrize(
    ("data", "axes", "message"),
    [
        (np.arange(9), None, "must be 2D or 3D, got shape (9,)"),
        (image_of(2, 3, 8, 8), None, "must be 2D or 3D"),
        (image_of(2, 3, 8, 8), "TZYX", "has axes TZYX, shape (2, 3, 8, 8): keep one channel and one time point"),
        (image_of(3, 8, 8), "CYX", "has axes CYX"),
        (image_of(8, 8, 3), None, "looks like a colour image, shape (8, 8, 3)"),
        (image_of(0, 8), None, "is empty"),
        (np.full((8, 8), 7), None, "constant (every pixel is 7)"),
        (np.eye(8, dtype=bool), None, "must hold real numbers, got bool"),
        (np.eye(8) * 1j, None, "take its magnitude"),
        (np.full((8, 8), "a"), None, "must hold real numbers"),
        (np.where(np.eye(8), np.nan, 1), None, "8 NaN and 0 infinite pixels"),
        (np.where(np.eye(8), np.inf, np.nan), None, "56 NaN and 8 infinite pixels"),
    ],
)
def test_images_that_cannot(data, axes, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        check_image(data, axes)


def test_image_file_is_frozen():
    file = ImageFile(data=image_of(8, 8), axes="YX")
    with pytest.raises(AttributeError):
        file.axes = "ZYX"


def test_lengths_in_micrometres():
    assert micrometres(0.1, "\N{GREEK SMALL LETTER MU}m") == 0.1
    assert micrometres(1300, "Å") == 0.13
    for bad in (0, -1, np.nan, np.inf):
        assert micrometres(bad, "um") is None
