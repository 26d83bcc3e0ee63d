"""``selfdeconv info`` prints what a file states; other commands read the image that they are told to."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile

from napari_selfdeconv.cli import main
from napari_selfdeconv.io.images import read_image, write_ome_tiff

IMAGE = np.random.default_rng(0).integers(0, 200, (3, 8, 9)).astype(np.uint16)


@pytest.fixture
def stack(tmp_path):
    write_ome_tiff(tmp_path / "stack.ome.tif", IMAGE, voxel_um=(0.3, 0.1, 0.1))
    return tmp_path / "stack.ome.tif"


@pytest.fixture
def positions(tmp_path):
    with tifffile.TiffWriter(tmp_path / "wells.ome.tif", ome=True) as tif:
        for number in range(2):
            tif.write(IMAGE + number, photometric="minisblack", metadata={"axes": "ZYX", "Name": f"well {number}"})
    return tmp_path / "wells.ome.tif"


def test_info_says_what_is_there_and_what_is_missing(stack, capsys):
    assert main(["info", str(stack)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "stack.ome.tif: OME-TIFF, ZYX 3 x 8 x 9, float32"
    assert lines[1].split() == ["voxel", "size", "z", "0.3", "um", "the", "OME-XML"]
    assert "needed for a PSF, and missing" in lines
    assert lines[-1].startswith("  the kind of microscope is not known: ")
    assert any("--na" in line for line in lines)


def test_info_lists_the_images_of_a_file(positions, capsys):
    main(["info", str(positions), "--series", "1"])
    out = capsys.readouterr().out
    assert "2 images in the file; choose one with --series N" in out
    assert "  0: well 0\n  1: well 1  <- this one\n" in out


def test_info_as_json(stack, capsys):
    main(["info", str(stack), "--json"])
    record = json.loads(capsys.readouterr().out)
    assert record["voxel_um"] == [0.3, 0.1, 0.1]
    assert record["sources"]["voxel_z_um"] == "the OME-XML"
    assert [remark["field"] for remark in record["missing"]][:2] == ["na", "refractive_index"]


def test_info_of_no_image(tmp_path, capsys):
    (tmp_path / "x.txt").write_text("hello, this is a text file")
    assert main(["info", str(tmp_path / "x.txt")]) == 2
    assert "not an image that this program reads" in capsys.readouterr().err


def degrade(image, out, *options):
    psf = out.with_name("psf.tif")
    write_ome_tiff(psf, np.ones((3, 3, 3)))
    return main(["degrade", str(image), "--psf", str(psf), "--out", str(out), "--no-salt", *options])


def test_a_file_of_several_images_is_asked_about(positions, tmp_path, capsys):
    out = tmp_path / "out.ome.tif"
    assert degrade(positions, out) == 2
    assert "holds 2 images (0: well 0, 1: well 1): choose one by its number" in capsys.readouterr().err
    assert degrade(positions, out, "--series", "1") == 0
    assert read_image(out).data.shape == (3, 8, 9)


def test_doubts_are_said_and_axes_can_be_corrected(tmp_path, capsys):
    path = tmp_path / "x.tif"
    metadata = {"axes": "TYX", "unit": "um", "spacing": 0.3}
    tifffile.imwrite(path, IMAGE, imagej=True, resolution=(10, 10), metadata=metadata)
    out = tmp_path / "out.ome.tif"
    assert degrade(path, out) == 2
    assert "warning: the file states a step along z and no time step" in capsys.readouterr().err
    assert degrade(path, out, "--axes", "ZYX") == 0
    assert "warning" not in capsys.readouterr().err
    assert read_image(out).voxel_um == (0.3, 0.1, 0.1)
