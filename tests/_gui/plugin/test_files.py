"""Files that napari opens through our reader, and those that our writer offers."""

from __future__ import annotations

import fnmatch

import numpy as np
import pytest
import tifffile
from napari.layers import Image
from npe2 import PluginManager

from napari_selfdeconv._gui.plugin.files import get_reader, write_image
from napari_selfdeconv.io.images import read_image, write_ome_tiff
from napari_selfdeconv.io.record import ChannelRecord, ImageRecord


def test_each_position_of_a_file_is_a_layer(tmp_path):
    path = str(tmp_path / "wells.ome.tif")
    image = np.random.default_rng(0).integers(0, 200, (3, 8, 9)).astype(np.uint16)
    with tifffile.TiffWriter(path, ome=True) as tif:
        for number in range(2):
            metadata = {"axes": "ZYX", "Name": f"well {number}", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1}
            tif.write(image + number, photometric="minisblack", metadata=metadata | {"PhysicalSizeZ": 0.3})
    layers = get_reader(path)(path)
    assert [meta["name"] for _, meta, _ in layers] == ["wells well 0", "wells well 1"]
    assert [meta["scale"] for _, meta, _ in layers] == [(0.3, 0.1, 0.1)] * 2
    np.testing.assert_array_equal(layers[1][0], image + 1)


def test_a_series_has_its_scale_units_and_labels(tmp_path):
    path = str(tmp_path / "movie.ome.tif")
    record = ImageRecord(
        file="m", format="x", axes="TCZYX", shape=(2, 3, 4, 8, 9), dtype="uint16", time_step_s=5.0
    )
    data = np.random.default_rng(0).random((2, 3, 4, 8, 9)).astype(np.float32)
    write_ome_tiff(path, data, (0.3, 0.2, 0.1), axes="TCZYX", record=record)
    ((read, meta, _),) = get_reader(path)(path)
    np.testing.assert_array_equal(read, data)
    layer = Image(read, **meta)
    assert tuple(layer.scale) == (5, 1, 0.3, 0.2, 0.1)
    assert [str(unit) for unit in layer.units] == ["second", "pixel", "micrometer", "micrometer", "micrometer"]
    assert layer.axis_labels == ("t", "c", "z", "y", "x")


@pytest.mark.parametrize(("dtype", "stored"), [("uint8", "uint16"), ("uint16", "uint16"), ("float64", "float32")])
def test_whole_numbers_stay_whole_numbers(tmp_path, dtype, stored):
    data = np.arange(72).reshape(8, 9).astype(dtype)
    write_image(str(tmp_path / "x.ome.tif"), data, {})
    read = read_image(tmp_path / "x.ome.tif")
    assert str(read.data.dtype) == stored
    np.testing.assert_array_equal(read.data, data)
    assert read.provenance is None


def test_a_result_in_scaled_whole_numbers_opens_with_its_values(tmp_path):
    path = str(tmp_path / "x.ome.tif")
    data = np.linspace(-0.25, 1, 72).reshape(8, 9)
    write_ome_tiff(path, data, dtype="uint16")
    ((read, meta, _),) = get_reader(path)(path)
    np.testing.assert_allclose(read, data, atol=1e-4)
    write_image(path, read, meta)
    np.testing.assert_array_equal(read_image(path).data, read)


@pytest.mark.parametrize("shape", [(8, 9, 3), (5, 8, 9, 4)])
def test_an_rgb_layer_is_saved_as_three_channels(tmp_path, shape):
    data = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
    write_image(str(tmp_path / "x.ome.tif"), data, {"rgb": True})
    read = read_image(tmp_path / "x.ome.tif")
    assert read.axes == ("CYX" if len(shape) == 3 else "CZYX")
    np.testing.assert_array_equal(read.data, np.moveaxis(data[..., :3], -1, 0))
    assert [channel.name for channel in read.record.channels] == ["red", "green", "blue"]
    assert read.record.channels[0] == ChannelRecord(name="red", colour="#ff0000")


def test_an_rgb_file_is_an_rgb_layer(tmp_path):
    path = str(tmp_path / "rgb.ome.tif")
    data = np.random.default_rng(0).integers(0, 255, (16, 18, 3)).astype(np.uint8)
    tifffile.imwrite(path, data, photometric="rgb", ome=True)
    ((read, meta, _),) = get_reader(path)(path)
    layer = Image(read, **meta)
    assert layer.rgb
    np.testing.assert_array_equal(layer.data, data)


def test_one_channel_opens_in_the_colour_of_its_file(tmp_path):
    path = str(tmp_path / "gfp.ome.tif")
    record = ImageRecord(
        file="g", format="x", axes="YX", shape=(8, 9), dtype="float32", channels=(ChannelRecord(colour="#20ff00"),)
    )
    write_ome_tiff(path, np.random.default_rng(0).random((8, 9)).astype(np.float32), axes="YX", record=record)
    ((read, meta, _),) = get_reader(path)(path)
    np.testing.assert_allclose(Image(read, **meta).colormap.map(1.0)[..., :3].ravel(), (32 / 255, 1, 0), atol=1e-3)


def test_a_file_that_the_writer_offers_comes_back_with_its_scale(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer()
    layer = viewer.add_image(np.ones((6, 8, 9), np.float32), scale=(0.3, 0.1, 0.1), units=("um",) * 3)
    contributions = PluginManager.instance().get_manifest("napari-selfdeconv").contributions
    (writer,) = contributions.writers
    for extension in writer.filename_extensions:
        path = tmp_path / f"result{extension}"
        assert layer.save(str(path), plugin="napari-selfdeconv") == [str(path)]
        # Ours is the only reader that asks for this ending, so napari does not choose another one.
        ours = [reader for reader in contributions.readers if reader.command.endswith("read_ome_tiff")]
        assert any(fnmatch.fnmatch(path.name, pattern) for pattern in ours[0].filename_patterns)
        (back,) = viewer.open(path, plugin="napari-selfdeconv")
        assert tuple(back.scale) == (0.3, 0.1, 0.1)
        assert back.units == layer.units
