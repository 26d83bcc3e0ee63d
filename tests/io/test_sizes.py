"""Files that name more pixels than they hold, or than memory can hold, and damaged ones: refused or said, soon."""

import io
import json
import struct
import time
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_selfdeconv.compute import allocation
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.images import read_image, read_record
from selfdeconv_tools.cases import cases

FUZZ = cases(250)
IMAGE = np.arange(256, dtype=np.uint16).reshape(16, 16)


def ome_xml(z, c=1, t=1):
    return (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="P" '
        f'DimensionOrder="XYZCT" Type="uint16" SizeX="16" SizeY="16" SizeZ="{z}" SizeC="{c}" SizeT="{t}">'
        "<TiffData/></Pixels></Image></OME>"
    )


def described(path, text):
    tifffile.imwrite(path, IMAGE, description=text, metadata=None)


def tagged(path, compression=None, **tags):
    tifffile.imwrite(path, IMAGE, metadata=None, compression=compression)
    with tifffile.TiffFile(path, mode="r+") as tif:
        for name, value in tags.items():
            tif.pages[0].tags[name].overwrite(value)


def png(path, width, height):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0" * 100)), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def npy(path, shape, dtype="<f8"):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    path.write_bytes(file.getvalue() + b"\0" * 64)


def cut(path, share=0.5, **how):
    tifffile.imwrite(path, np.zeros((8, 64, 64), np.uint16), photometric="minisblack", **how)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])


def animation(path, **how):
    frames = [Image.fromarray(np.full((20, 20), 40 * n + 9, np.uint8)) for n in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], **how)


def circle(path, back_to=0):
    with tifffile.TiffWriter(path) as writer:
        for _ in range(3):
            writer.write(IMAGE, metadata=None)
    with tifffile.TiffFile(path) as tif:
        offsets = [page.offset for page in tif.pages]
        last, form = offsets[-1], tif.tiff
    data = bytearray(path.read_bytes())
    (tags,) = struct.unpack_from(form.tagnoformat, data, last)
    struct.pack_into(form.offsetformat, data, last + form.tagnosize + tags * form.tagsize, offsets[back_to])
    path.write_bytes(data)


def sizes(path):
    with tifffile.TiffWriter(path) as writer:
        writer.write(IMAGE)
        writer.write(IMAGE[:8, :9])


CASES = {
    "a billion planes.tif": (lambda p: described(p, ome_xml(10**9)), "names 1e.09 planes"),
    "planes of three axes.tif": (lambda p: described(p, ome_xml(10**6, 10**6, 10**6)), "names 1e.18 planes"),
    "a million planes.tif": (lambda p: described(p, ome_xml(10**6)), "cannot hold them"),
    "shape in words.tif": (lambda p: described(p, json.dumps({"shape": [10**9, 16, 16]})), "cannot hold them"),
    "two billion.tif": (lambda p: tagged(p, ImageWidth=2**31 - 1, ImageLength=2**31 - 1), "cannot hold them"),
    "60000 a side.tif": (lambda p: tagged(p, ImageWidth=60_000, ImageLength=60_000), "cannot hold them"),
    "compressed.tif": (lambda p: tagged(p, "zlib", ImageWidth=10**5, ImageLength=10**5), "cannot hold them"),
    "cut.tif": (cut, "cut off"),
    "cut pages.tif": (lambda p: cut(p, metadata=None, contiguous=False), "cut off"),
    "cut header.tif": (lambda p: cut(p, 0.01), "damaged|cut off"),
    "pages in a circle.tif": (circle, "its list of pages is circular: export it again"),
    "page after itself.tif": (lambda p: circle(p, 2), "is circular"),
    "two sizes.tif": (sizes, "holds 2 images.*choose one"),
    "animation.gif": (animation, "an animation of 3 pictures"),
    "animation.png": (animation, "an animation of 3 pictures"),
    "animation.webp": (lambda p: animation(p, lossless=True), "an animation of 3 pictures"),
    "two billion a side.png": (lambda p: png(p, 2**31 - 1, 2**31 - 1), "too large for a picture"),
    "no pixels.png": (lambda p: png(p, 3000, 3000), "damaged"),
    "a billion a side.npy": (lambda p: npy(p, (10**9, 10**9)), "cut off"),
    "cut.npy": (lambda p: npy(p, (30, 30)), "cut off"),
    "negative.npy": (lambda p: npy(p, (-1, 5)), "no array of numbers"),
    "objects.npy": (lambda p: npy(p, (2, 2), "|O"), "no array of numbers"),
    "structure.npy": (lambda p: npy(p, (2, 2), [("a", "<f8")]), "no array of numbers"),
    "empty.npy": (lambda p: npy(p, (0, 5)), "no image"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_promises_more_than_it_holds(tmp_path, name):
    make, words = CASES[name]
    path = tmp_path / name
    make(path)
    started = time.perf_counter()
    with pytest.raises(ConfigError, match=words) as caught:
        read_image(path)
    assert time.perf_counter() - started < 10
    assert "\n" not in str(caught.value)
    assert "Errno" not in str(caught.value)


def test_planes_that_are_missing_are_said(tmp_path):
    described(tmp_path / "a.tif", ome_xml(3))
    file = read_image(tmp_path / "a.tif")
    assert file.data.shape == (3, 16, 16)
    assert any("names 3 planes and the file holds 1" in doubt.problem for doubt in file.record.doubts)


@pytest.mark.parametrize("text", ["[" * 50_000, '{"a":' * 50_000, "{", "x" * 100_000])
def test_a_description_that_is_no_record_is_text(tmp_path, text):
    xml = ome_xml(1).replace("<Pixels", f"<Description>{text}</Description><Pixels")
    described(tmp_path / "a.tif", xml)
    file = read_image(tmp_path / "a.tif")
    assert file.provenance is None
    assert file.description == text


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.npy"])
def test_what_memory_cannot_hold_is_refused_before_it_is_loaded(tmp_path, monkeypatch, name):
    path = tmp_path / name
    if name.endswith("npy"):
        np.save(path, IMAGE)
    elif name.endswith("png"):
        Image.fromarray(IMAGE.astype(np.uint8)).save(path)
    else:
        tifffile.imwrite(path, IMAGE)
    assert read_image(path).data.shape == (16, 16)
    monkeypatch.setattr(allocation, "free_bytes", lambda: 100)
    with pytest.raises(ConfigError, match=r"needs about 0 MB of memory.*crop it"):
        read_image(path)


def test_a_large_picture_is_read_without_a_warning(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 200)
    Image.fromarray(IMAGE.astype(np.uint8)).save(tmp_path / "a.png")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "a.png").data.shape == (16, 16)


@pytest.fixture
def small(tmp_path):
    good = {}
    for name, write in (
        ("a.ome.tif", lambda p: tifffile.imwrite(p, IMAGE[None], ome=True, metadata={"axes": "ZYX"})),
        ("a.tif", lambda p: tifffile.imwrite(p, IMAGE, imagej=True)),
        ("a.png", lambda p: Image.fromarray(IMAGE.astype(np.uint8)).save(p)),
        ("a.npy", lambda p: np.save(p, IMAGE)),
    ):
        write(tmp_path / name)
        good[name] = (tmp_path / name).read_bytes()
    return tmp_path, good


@FUZZ
@given(data=st.data())
def test_any_damaged_file_is_read_or_refused_in_one_line(small, data):
    folder, good = small
    name = data.draw(st.sampled_from(sorted(good)))
    broken = bytearray(good[name])
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, 40) | st.integers(0, len(broken) - 1))
        broken[place] = data.draw(st.sampled_from([0, 1, 127, 128, 255]) | st.integers(0, 255))
    end = data.draw(st.just(len(broken)) | st.integers(1, len(broken)))
    (folder / name).write_bytes(bytes(broken[:end]))
    started = time.perf_counter()
    for read in (read_record, read_image):
        try:
            read(folder / name)
        except ConfigError as error:
            message = str(error)
            assert "\n" not in message
    assert time.perf_counter() - started < 10
