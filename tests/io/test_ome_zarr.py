"""Results on disk say what they are, and a cancelled run leaves nothing behind."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaozarrs
import zarr

from napari_selfdeconv import api, preset
from napari_selfdeconv.errors import Cancelled, ConfigError
from napari_selfdeconv.events import Progress, drain
from napari_selfdeconv.io import ome_zarr
from napari_selfdeconv.io.images import read_image
from napari_selfdeconv.io.ome_zarr import create_zarr, new_zarr, record_provenance, remove_unfinished, write_zarr
from napari_selfdeconv.io.record import ChannelRecord, ImageRecord
from napari_selfdeconv.stop_token import StopToken

PSF = np.outer([1, 2, 1], [1, 2, 1]) / 16.0


def few(**changes: Any) -> Any:
    values = {"steps": 3, "patch": 16, "features": 4, "batch_size": 1, "pretrained": False}
    return preset("quick", 2, **{**values, **changes})


def image() -> np.ndarray:
    return 100 + np.random.default_rng(0).random((40, 48)).astype(np.float32)


def multiscales(path: Path) -> Any:
    return json.loads((path / "zarr.json").read_text("utf-8"))["attributes"]["ome"]["multiscales"][0]


def test_axes_and_voxel_size_are_those_of_ome_zarr(tmp_path: Path) -> None:
    path = tmp_path / "series.zarr"
    create_zarr(path, (5, 2, 4, 8, 8), {"sample": "cells"}, voxel_um=(0.3, 0.1, 0.2))
    found = multiscales(path)
    assert found["axes"] == [
        {"name": "t", "type": "time"},
        {"name": "c", "type": "channel"},
        {"name": "z", "type": "space", "unit": "micrometer"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    (dataset,) = found["datasets"]
    scale = {"type": "scale", "scale": [1.0, 1.0, 0.3, 0.1, 0.2]}
    assert dataset == {"path": "0", "coordinateTransformations": [scale]}
    array = zarr.open_group(path, mode="r")["0"]
    assert array.metadata.dimension_names == ("t", "c", "z", "y", "x")
    assert dict(array.attrs) == {"sample": "cells"}


def test_an_unknown_voxel_size_claims_no_unit(tmp_path: Path) -> None:
    create_zarr(tmp_path / "plain.zarr", (8, 8))
    found = multiscales(tmp_path / "plain.zarr")
    assert found["axes"] == [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    assert found["datasets"][0]["coordinateTransformations"][0]["scale"] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"axes": "zyx"}, "axes must name each axis"),
        ({"axes": "yy"}, "axes must name each axis"),
        ({"voxel_um": (0.1, 0.1, 0.1)}, "a size for each of z, y, x"),
    ],
)
def test_axes_that_do_not_fit_are_refused_before_a_folder_is_made(
    settings: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words):
        create_zarr(tmp_path / "out.zarr", (8, 8), **settings)
    assert not any(tmp_path.iterdir())


def test_the_record_of_a_run_lies_beside_its_result(tmp_path: Path) -> None:
    out = create_zarr(tmp_path / "large.zarr", image().shape, voxel_um=(0.1, 0.1))
    result = drain(api.iter_deconvolve_large(image(), PSF, few(), out=out, voxel_um=(0.1, 0.1)))
    told = zarr.open_group(tmp_path / "large.zarr", mode="r")["0"].attrs["provenance"]
    assert told == json.loads(json.dumps(result.provenance))
    assert told["voxel_um"] == [0.1, 0.1]
    movie = create_zarr(tmp_path / "movie.zarr", (2, *image().shape), axes="tyx")
    plan = api.SeriesPlan(axes="tyx")
    drain(api.iter_deconvolve_series(np.stack([image()] * 2), PSF, plan, few(), out=movie))
    assert movie.attrs["provenance"]["series"]["axes"] == "tyx"
    record_provenance(np.zeros(3), {})  # an array in memory is left as it is


def test_a_cancelled_run_removes_the_folder_it_made(tmp_path: Path) -> None:
    other = create_zarr(tmp_path / "other.zarr", (8, 8))
    other[:] = 1
    stop = StopToken()

    def cancel(event: object) -> None:
        if isinstance(event, Progress) and event.stage == "predict":
            stop.cancel()

    with pytest.raises(Cancelled), new_zarr(tmp_path / "out.zarr", image().shape) as out:
        drain(api.iter_deconvolve_large(image(), PSF, few(), out=out, stop=stop), cancel)
    assert [path.name for path in tmp_path.iterdir()] == ["other.zarr"]
    assert (other[:] == 1).all()


def test_a_run_that_fails_keeps_what_was_written(tmp_path: Path) -> None:
    def work() -> None:
        with new_zarr(tmp_path / "out.zarr", (8, 8)) as out:
            out[:4] = 1
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        work()
    assert zarr.open_group(tmp_path / "out.zarr", mode="r")["0"][:].sum() == 32


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_folder_that_cannot_be_written_whole_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, earlier: bool, error: BaseException
) -> None:
    path, data = tmp_path / "a.zarr", np.ones((8, 9), np.float32)
    if earlier:
        write_zarr(path, data)
    before = {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()}

    def full(*_args: Any) -> None:
        raise error

    monkeypatch.setattr(ome_zarr, "finish_zarr", full)
    with pytest.raises((ConfigError, KeyboardInterrupt), match=r"a\.zarr: the disk is full, free some space|^$"):
        write_zarr(path, 2 * data, overwrite=True)
    assert {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()} == before
    assert [one.name for one in tmp_path.iterdir()] == ["a.zarr"] * earlier


def test_a_folder_is_replaced_when_the_new_one_is_complete(tmp_path: Path) -> None:
    for factor in (1, 2):
        write_zarr(tmp_path / "a.zarr", np.full((8, 9), factor, np.float32), overwrite=True)
    assert read_image(tmp_path / "a.zarr").data.max() == 2
    with pytest.raises(ConfigError, match="exists already"):
        write_zarr(tmp_path / "a.zarr", np.zeros((8, 9), np.float32))
    assert [one.name for one in tmp_path.iterdir()] == ["a.zarr"]


def test_what_is_there_already_is_neither_written_nor_removed(tmp_path: Path) -> None:
    create_zarr(tmp_path / "out.zarr", (8, 8))
    with pytest.raises(ConfigError, match="exists already"), new_zarr(tmp_path / "out.zarr", (8, 8)):
        raise AssertionError("unreachable")
    assert (tmp_path / "out.zarr").is_dir()


@pytest.mark.parametrize(
    ("shape", "axes", "voxel"),
    [((700, 600), "yx", (0.1, 0.1)), ((9, 600, 520), "zyx", (0.5, 0.1, 0.1)), ((2, 3, 300, 40), "tcyx", None)],
)
def test_a_result_has_a_pyramid_of_means_and_follows_the_specification(
    shape: tuple[int, ...], axes: str, voxel: tuple[float, ...] | None, tmp_path: Path
) -> None:
    data = np.random.default_rng(0).random(shape).astype(np.float32)
    channels = tuple(ChannelRecord(name=f"dye {n}", colour="#00ff00") for n in range(3))
    record = ImageRecord(
        file="x.czi",
        format="CZI",
        axes=axes.upper(),
        shape=shape,
        dtype="uint16",
        time_step_s=5.0,
        channels=channels,
    )
    path = tmp_path / "x.zarr"
    told = {"a": 1, "optics": {"na": 1.2, "wavelength_um": 0.52, "refractive_index": 1.33}}
    write_zarr(path, data, axes=axes, voxel_um=voxel, record=record, provenance=told)
    yaozarrs.validate_zarr_store(str(path))
    group = zarr.open_group(path, mode="r")
    levels = [group[dataset["path"]] for dataset in group.attrs["ome"]["multiscales"][0]["datasets"]]
    np.testing.assert_array_equal(levels[0][:], data)
    assert max(levels[-1].shape[-2:]) <= 256 < max(levels[-2].shape[-2:])
    even = tuple(slice(0, n // 2 * 2) for n in shape[-2:])
    means = data[(..., *even)].reshape(*shape[:-2], shape[-2] // 2, 2, shape[-1] // 2, 2).mean((-3, -1))
    np.testing.assert_allclose(levels[1][(..., *(slice(0, n // 2) for n in shape[-2:]))], means, rtol=1e-5)
    read = read_image(path)
    np.testing.assert_array_equal(read.data, data)
    assert read.voxel_um == voxel
    assert read.record is not None
    assert read.record.time_step_s == (5.0 if "t" in axes else None)
    assert [one.name for one in read.record.channels] == ["dye 0", "dye 1", "dye 2"][: 3 if "c" in axes else 1]
    assert levels[0].attrs["provenance"] == read.provenance == told
    assert (read.record.na, read.record.channels[0].emission_um) == (1.2, 0.52)


@pytest.mark.parametrize("inside", ["", "notes.txt", "0/mine.tif", "0/c/0/0.3f.partial"])
@pytest.mark.parametrize("complete", [False, True])
def test_an_unfinished_result_is_removed_unless_there_is_more_in_it(
    inside: str, complete: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.zarr"
    with new_zarr(path, (8, 8)) as out:
        out[:] = 1.0
        if complete:
            record_provenance(out, {"seed": 1})
    if inside:
        (path / inside).parent.mkdir(parents=True, exist_ok=True)
        (path / inside).touch()
    removed = not complete and inside in ("", "0/c/0/0.3f.partial")
    assert remove_unfinished(path) == removed
    assert path.exists() != removed


def test_only_a_folder_is_removed(tmp_path: Path) -> None:
    assert remove_unfinished(tmp_path / "none.zarr")
    create_zarr(tmp_path / "a.zarr", (8, 8))
    (tmp_path / "link.zarr").symlink_to(tmp_path / "a.zarr")
    assert not remove_unfinished(tmp_path / "link.zarr")
    (tmp_path / "file.zarr").write_text("mine")
    assert not remove_unfinished(tmp_path / "file.zarr")
    (tmp_path / "a.zarr" / "0" / "zarr.json").write_text("{")
    assert not remove_unfinished(tmp_path / "a.zarr")
