"""The PSF that a command takes from a file: in the voxels of the image, prepared or as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_selfdeconv.api import ImageFile, Template, choose_psf, prepare_psf, write_ome_tiff

VOXEL = (0.3, 0.1, 0.1)


def chosen(path: Path, shape: tuple[int, ...], prepare: bool) -> tuple[np.ndarray, str]:
    image = ImageFile(data=np.ones(shape), axes="ZYX"[-len(shape) :], voxel_um=VOXEL[-len(shape) :])
    psf = choose_psf(image, Template.from_dict({"psf": {"file": str(path), "prepare": prepare}}))
    return psf.psf, " ".join(psf.warnings)


def test_a_prepared_psf_is_cropped_to_the_image_in_the_voxels_of_the_image(tmp_path: Path) -> None:
    """The docks do the same. Planes three times as close lost most of their light to a stack of nine planes."""
    z, y, x = np.mgrid[-15:16, -7:8, -7:8]
    bead = 1000 * np.exp(-((z / 9) ** 2 + (y / 3) ** 2 + (x / 3) ** 2)) + 50
    write_ome_tiff(tmp_path / "fine.tif", bead, (0.1, 0.1, 0.1))
    shape = (9, 40, 40)
    expected, _ = prepare_psf(bead, voxel_um=(0.1,) * 3, target_voxel_um=VOXEL, max_shape=shape)
    assert expected.shape[0] == 9
    found, _ = chosen(tmp_path / "fine.tif", shape, prepare=True)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("voxel", [(0.1, 0.1), (0.08, 0.08), None], ids=["same", "other", "unknown"])
@pytest.mark.parametrize("prepare", [False, True], ids=["as it is", "prepared"])
def test_neither_preparing_nor_resampling_hides_that_a_bead_is_saturated(
    tmp_path: Path, prepare: bool, voxel: tuple[float, ...] | None
) -> None:
    y, x = np.mgrid[-10:11, -10:11]
    bead = np.minimum(90_000 * np.exp(-(y**2 + x**2) / 8), 65_535)
    sizes = {} if voxel is None else {"PhysicalSizeY": voxel[0], "PhysicalSizeX": voxel[1]}
    tifffile.imwrite(tmp_path / "flat.ome.tif", bead.astype(np.uint16), metadata={"axes": "YX", **sizes})
    _, said = chosen(tmp_path / "flat.ome.tif", (40, 40), prepare)
    assert said.count("saturated") == 1
