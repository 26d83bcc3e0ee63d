"""Files that napari opens through our reader."""

from __future__ import annotations

import numpy as np
import tifffile

from napari_selfdeconv._gui.plugin.files import get_reader


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
