"""The PSF that a command takes from a file: in the voxels of the image, prepared or as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_selfdeconv.api import ImageFile, Template, choose_psf, open_input, prepare_psf, write_ome_tiff
from napari_selfdeconv.psf.measure import fwhm

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


KNOWN = {"PhysicalSizeZ": 0.3, "PhysicalSizeY": 0.1, "PhysicalSizeX": 0.1}


def stack(path: Path, data: np.ndarray, **sizes: float) -> Path:
    tifffile.imwrite(path, data.astype(np.float32), metadata={"axes": "ZYX", **sizes}, ome=True)
    return path


@pytest.mark.parametrize("prepare", [False, True], ids=["as it is", "prepared"])
@pytest.mark.parametrize(
    ("of_psf", "of_image", "along", "unknown"),
    [
        ("YX", "ZYX", "y and x", "z"),
        ("ZYX", "YX", "y and x", "z"),
        ("Z", "Z", "z", "y, x"),
        ("ZYX", "ZYX", "", ""),
        ("YX", "Z", None, "z, y, x"),
    ],
)
def test_voxels_are_compared_along_the_axes_that_both_files_state(
    tmp_path: Path, of_psf: str, of_image: str, along: str | None, unknown: str, prepare: bool
) -> None:
    """A PSF of half the pixel size was used as it was, without a word, if the image stated no step along z."""
    z, y, x = np.mgrid[-6:7, -10:11, -10:11]
    bead = np.exp(-((z / 3) ** 2 + (y / 4) ** 2 + (x / 4) ** 2))
    finer = {f"PhysicalSize{axis}": KNOWN[f"PhysicalSize{axis}"] / 2 for axis in of_psf}
    own = {f"PhysicalSize{axis}": KNOWN[f"PhysicalSize{axis}"] for axis in of_image}
    psf = stack(tmp_path / "psf.ome.tif", bead, **finer)
    image = stack(tmp_path / "image.ome.tif", np.random.default_rng(0).random((30, 40, 40)), **own)
    template = Template.from_dict({"psf": {"file": str(psf), "prepare": prepare}})
    found = choose_psf(open_input(image, template), template)
    widths = [fwhm(found.psf, axis) for axis in range(3)]
    halved = [axis in (along or "") if unknown else True for axis in "zyx"]
    expected = [w / (1 + half) for w, half in zip((5.0, 6.66, 6.66), halved, strict=True)]
    np.testing.assert_allclose(widths, expected, rtol=0.1)
    said = " ".join(found.notes)
    assert ("resampled" in said) == (along is not None)
    assert not along or f"along {along} from voxels" in said
    assert (f"as large as the image's along {unknown}, because not both" in said) == bool(unknown)


@pytest.mark.parametrize(("offset", "said"), [(0.0, False), (-0.5, True)])
def test_a_centre_between_two_voxels_is_said(tmp_path: Path, offset: float, said: bool) -> None:
    """A PSF of even size that is generated about (n - 1) / 2 shifted the result without a word."""
    z, y, x = np.indices((8, 12, 12)) - np.array([4, 6, 6]).reshape(3, 1, 1, 1) - offset
    psf = stack(tmp_path / "psf.ome.tif", np.exp(-(z**2 + y**2 + x**2) / 3), **KNOWN)
    image = stack(tmp_path / "image.ome.tif", np.random.default_rng(0).random((20, 40, 40)), **KNOWN)
    found = choose_psf(open_input(image, Template()), Template.from_dict({"psf": {"file": str(psf)}}))
    assert any("off the middle voxel (n // 2) by (-0.5, -0.5, -0.5) voxels" in one for one in found.notes) == said


def test_an_impossible_voxel_size_of_a_psf_is_said(tmp_path: Path) -> None:
    """Nanometres without their unit: the voxel size of the PSF was left out without a word."""
    z, y, x = np.indices((7, 11, 11)) - np.array([3, 5, 5]).reshape(3, 1, 1, 1)
    sizes = {axis: 1000 * size for axis, size in KNOWN.items()}
    psf = stack(tmp_path / "psf.ome.tif", np.exp(-(z**2 + y**2 + x**2) / 3), **sizes)
    image = stack(tmp_path / "image.ome.tif", np.random.default_rng(0).random((20, 40, 40)), **KNOWN)
    found = choose_psf(open_input(image, Template()), Template.from_dict({"psf": {"file": str(psf)}}))
    for axis, size in (("z", 300), ("y", 100), ("x", 100)):
        assert any(f"the PSF: the voxel size along {axis} is {size} um" in one for one in found.warnings)
