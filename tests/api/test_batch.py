"""Many files: every file that can be used has a result and a page, and none stops the others."""

from __future__ import annotations

import csv
import os
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_selfdeconv import api
from napari_selfdeconv.api.batch import iter_batch
from napari_selfdeconv.api.batch_items import BatchItem, find_images
from napari_selfdeconv.api.batch_rows import FileFinished, FileStarted
from napari_selfdeconv.config.template import Template
from napari_selfdeconv.errors import Cancelled, ConfigError
from napari_selfdeconv.events import Progress
from napari_selfdeconv.io.images import read_image, write_ome_tiff, write_psf
from napari_selfdeconv.io.ome_zarr import write_zarr
from napari_selfdeconv.io.record import ChannelRecord, ImageRecord
from napari_selfdeconv.stop_token import StopToken

WIENER = {"method": {"name": "wiener", "regularisation": 0.1}}
NETWORK = {"training": {"steps": 1, "patch": 16, "features": 4, "batch_size": 1, "pretrained": False}}
EVIL = '<script>alert(1)</script> & "x"'


def write(path: Path, *, seed: int = 0, axes: str = "YX", shape: tuple[int, ...] = (24, 28)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    channels = tuple(
        ChannelRecord(name=f"dye {n} {EVIL}", emission_um=wave, modality="widefield")
        for n, wave in enumerate((0.46, 0.52)[: shape[axes.index("C")] if "C" in axes else 1])
    )
    record = ImageRecord(
        file=path.name, format="x", axes=axes, shape=shape, dtype="float32", na=0.8, refractive_index=1.0,
        channels=channels,
    )  # fmt: skip
    data = 100 + 50 * np.random.default_rng(seed).random(shape)
    write_ome_tiff(path, data, (0.3, 0.1, 0.1)[-2 - ("Z" in axes) :], axes=axes, record=record)


def run(folder: Path, template: dict[str, Any] = WIENER, **settings: Any) -> tuple[Any, list[Any]]:
    where = settings.pop("where", folder / "day")
    events = []
    work = iter_batch(find_images(where), Template.from_dict(template), folder / "out", **settings)
    while True:
        try:
            events.append(next(work))
        except StopIteration as end:
            return end.value, events


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        write(tmp_path / "day" / f"im{number}.ome.tif", seed=number)
    return tmp_path


def test_three_broken_files_leave_all_others(folder: Path) -> None:
    (folder / "day" / "text.tif").write_text("no image")
    (folder / "day" / "empty.czi").touch()
    whole = (folder / "day" / "im0.ome.tif").read_bytes()
    (folder / "day" / "cut.ome.tif").write_bytes(whole[: len(whole) // 2])
    result, events = run(folder)
    assert (result.count("done"), result.count("failed")) == (4, 3)
    assert [event.number for event in events if isinstance(event, FileStarted)] == [1, 2, 3, 4, 5, 6, 7]
    with result.table.open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    assert [row["status"] for row in rows] == [row.status for row in result.rows]
    assert all(row["message"] for row in rows if row["status"] == "failed")
    done = read_image(folder / "out" / "im1_deconvolved.ome.tif")
    assert done.provenance is not None
    assert done.provenance["optics"]["sources"]["na"] == "the OME-XML"
    assert done.record is not None
    assert done.record.na == 0.8


def test_what_is_there_is_not_made_again(folder: Path) -> None:
    run(folder)
    kept = folder / "out" / "im0_deconvolved.ome.tif"
    (folder / "out" / "im2_deconvolved.ome.tif").unlink()
    before = kept.read_bytes()
    result, _ = run(folder)
    assert [row.status for row in result.rows] == ["there already", "there already", "done", "there already"]
    assert kept.read_bytes() == before
    other = {"method": {"name": "wiener", "regularisation": 0.2}}
    with pytest.raises(ConfigError, match="holds results of other settings"):
        run(folder, other)
    result, _ = run(folder, other, overwrite=True)
    assert result.count("done") == 4
    assert kept.read_bytes() != before


@pytest.mark.parametrize("kind", ["ome.tif", "zarr"])
def test_overwriting_that_is_stopped_goes_on(folder: Path, kind: str) -> None:
    where = folder / "day" / "im[01].*"
    output = {"output": {"kind": kind}}
    run(folder, WIENER | output, where=where)
    other = {"method": {"name": "wiener", "regularisation": 0.2}} | output
    stop = StopToken()
    work = iter_batch(find_images(where), Template.from_dict(other), folder / "out", overwrite=True, stop=stop)
    for event in work:
        if isinstance(event, FileFinished):
            stop.stop()
    result, _ = run(folder, other, where=where)
    assert [row.status for row in result.rows] == ["there already", "done"]
    made = [(read_image(row.output).provenance or {})["settings"]["regularisation"] for row in result.rows]
    assert made == [0.2, 0.2]
    result, _ = run(folder, other, where=where)
    assert result.count("there already") == 2
    assert not list((folder / "out").glob("*.json"))


def statuses(result: Any) -> list[str]:
    return [row.status for row in result.rows]


def test_overwriting_goes_on_with_some_of_the_files_first(folder: Path) -> None:
    run(folder)
    work = iter_batch(find_images(folder / "day"), Template.from_dict(WIENER), folder / "out", overwrite=True)
    next(event for event in work if isinstance(event, FileFinished))
    work.close()
    result, _ = run(folder, where=folder / "day" / "im1.*")
    assert statuses(result) == ["done"]
    result, _ = run(folder)
    assert statuses(result) == ["there already", "there already", "done", "done"]
    result, _ = run(folder)
    assert result.count("there already") == 4


def test_results_that_were_not_overwritten_have_the_settings_of_before(folder: Path) -> None:
    run(folder)
    other = {"method": {"name": "wiener", "regularisation": 0.2}}
    result, _ = run(folder, other, overwrite=True, where=folder / "day" / "im1.*")
    assert statuses(result) == ["done"]
    result, _ = run(folder, other)
    assert statuses(result) == ["failed", "there already", "failed", "failed"]
    assert "is a result of other settings: move it elsewhere to make it again, name" in result.rows[0].message


def test_a_result_of_another_image_is_not_taken_for_that_of_this_one(folder: Path) -> None:
    run(folder)
    write(folder / "second" / "im1.ome.tif", seed=9, shape=(26, 28))
    result, _ = run(folder, where=folder / "second")
    assert statuses(result) == ["failed"]
    assert "im1_deconvolved.ome.tif exists and is a result of another image" in result.rows[0].message
    (folder / "day").rename(folder / "moved")
    result, _ = run(folder, where=folder / "moved")
    assert result.count("there already") == 4
    write_ome_tiff(folder / "out" / "im1_deconvolved.ome.tif", np.zeros((24, 28)))
    result, _ = run(folder, where=folder / "moved")
    assert "does not say what it was made from: no batch made it, or an earlier version" in result.rows[1].message
    (folder / "out" / "im1_deconvolved.ome.tif").rename(folder / "out" / "elsewhere.tif")
    result, _ = run(folder, where=folder / "moved")
    assert result.count("done") == 1


def test_copies_are_the_same_images(folder: Path) -> None:
    """Wherever they are, and from whatever folder the command is run: the content counts."""
    (folder / "day" / "psf").mkdir()
    write_psf(folder / "day" / "psf" / "psf.tif", np.ones((3, 3), np.float32) / 9, (0.1, 0.1))
    psf = {"psf": {"file": str(folder / "day" / "psf" / "psf.tif")}}
    run(folder, WIENER | psf)
    shutil.copytree(folder / "day", folder / "copy", copy_function=shutil.copyfile)
    for one in (folder / "copy").rglob("*.tif"):
        os.utime(one, (1e9, 1e9))
    copy = {"psf": {"file": os.path.relpath(folder / "copy" / "psf" / "psf.tif")}}
    result, _ = run(folder, WIENER | copy, where=folder / "copy")
    assert statuses(result) == ["there already"] * 4
    write_psf(folder / "copy" / "psf" / "psf.tif", np.eye(3, dtype=np.float32) / 3, (0.1, 0.1))
    result, _ = run(folder, WIENER | copy, where=folder / "copy")
    assert [row.message.count("another image, PSF or mask") for row in result.rows] == [1] * 4
    with pytest.raises(ConfigError, match="holds results of other settings"):
        run(folder, WIENER | psf)


def test_an_image_inside_a_zarr_folder_that_changes_is_another(tmp_path: Path) -> None:
    data = np.random.default_rng(0).random((24, 28)).astype(np.float32)
    where, optics = tmp_path / "day" / "a.zarr", {"na": 0.8, "wavelength_um": 0.6, "refractive_index": 1.0}
    where.parent.mkdir()
    write_zarr(where, data, axes="YX", voxel_um=(0.1, 0.1))
    run(tmp_path, WIENER | {"optics": optics})
    shutil.copytree(where, tmp_path / "copy" / "a.zarr", copy_function=shutil.copyfile)
    (tmp_path / "copy" / "a.zarr" / ".DS_Store").touch()
    result, _ = run(tmp_path, WIENER | {"optics": optics}, where=tmp_path / "copy")
    assert statuses(result) == ["there already"]
    chunk = max(where.rglob("*"), key=lambda one: one.stat().st_size if one.is_file() else 0)
    chunk.write_bytes(chunk.read_bytes()[::-1])
    result, _ = run(tmp_path, WIENER | {"optics": optics})
    assert "is a result of another image" in result.rows[0].message


def test_an_image_that_is_added_leaves_the_results_of_others(folder: Path) -> None:
    """Also if it comes before them, and has the name of one with another ending."""
    run(folder)
    write(folder / "day" / "im0.TIF", seed=7)
    result, _ = run(folder)
    assert [(row.output.name, row.status) for row in result.rows if row.status != "there already"] == [
        ("im0_TIF_deconvolved.ome.tif", "done")
    ]
    result, _ = run(folder)
    assert statuses(result) == ["there already"] * 5
    result, _ = run(folder, where=folder / "day" / "im0.TIF", overwrite=True)
    assert result.rows[0].output.name == "im0_TIF_deconvolved.ome.tif"


def test_a_result_that_cannot_be_read_is_named_with_what_to_do(folder: Path) -> None:
    run(folder, where=folder / "day" / "im0.*")
    (folder / "out" / "im0_deconvolved.ome.tif").write_bytes(b"II")
    result, _ = run(folder, where=folder / "day" / "im0.*")
    assert "cannot be read" in result.rows[0].message
    assert "move it elsewhere" in result.rows[0].message


def test_a_table_that_changes_makes_other_results(folder: Path) -> None:
    table = folder / "day" / "list.csv"
    table.write_text("file,regularisation\nim0.ome.tif,0.3\nim1.ome.tif,0.3\n", "utf-8")
    run(folder, where=table)
    table.write_text("file,regularisation\nim0.ome.tif,0.3\nim1.ome.tif,0.4\n", "utf-8")
    result, _ = run(folder, where=table)
    assert statuses(result) == ["there already", "failed"]
    result, _ = run(folder, where=table, overwrite=True)
    assert statuses(result) == ["done", "done"]


def test_networks_that_are_shared_otherwise_make_other_results(folder: Path) -> None:
    where = folder / "day" / "im[01].*"
    run(folder, NETWORK, sharing="all", where=where)
    result, _ = run(folder, NETWORK, where=where)
    assert statuses(result) == ["failed", "failed"]


def test_a_training_that_was_stopped_is_made_again(folder: Path) -> None:
    settings = NETWORK | {"training": NETWORK["training"] | {"steps": 3}}
    stop, where = StopToken(), find_images(folder / "day" / "im[01].*")
    work = iter_batch(where, Template.from_dict(settings), folder / "out", sharing="all", stop=stop)
    rows = []
    for event in work:
        if isinstance(event, Progress) and event.stage == "train":
            stop.stop()
        if isinstance(event, FileFinished):
            rows.append(event)
    assert ["was stopped" in row.message for row in rows] == [True]
    result, _ = run(folder, settings, sharing="all", where=folder / "day" / "im[01].*")
    assert statuses(result) == ["done", "done"]
    assert [(read_image(row.output).provenance or {})["steps_done"] for row in result.rows] == [3, 3]


def test_the_table_names_the_results_of_earlier_runs(folder: Path) -> None:
    (folder / "day" / "text.tif").write_text("no image")
    first, _ = run(folder)
    (folder / "out" / "im3_deconvolved.ome.tif").unlink()
    again, _ = run(folder, where=folder / "day" / "im1.*")
    assert again.rows[0].status == "there already"
    assert again.rows[0].seconds == first.rows[1].seconds > 0
    with again.table.open(encoding="utf-8", newline="") as table:
        rows = [(Path(row["file"]).name, row["status"]) for row in csv.DictReader(table)]
    assert rows == [
        ("im1.ome.tif", "there already"),
        ("im0.ome.tif", "done"),
        ("im2.ome.tif", "done"),
        ("text.tif", "failed"),
    ]
    assert "im2.ome.tif" in (folder / "out" / "index.html").read_text("utf-8")
    again.table.write_bytes("file;status\nmüll;done\n".encode("cp1252"))
    run(folder, where=folder / "day" / "text.*")
    write(folder / "day" / "text.tif")
    again, _ = run(folder, where=folder / "day" / "text.*")
    assert len(again.table.read_text("utf-8").splitlines()) == 2


def test_a_stop_keeps_what_is_done_and_a_later_run_goes_on(folder: Path) -> None:
    stop = StopToken()
    work = iter_batch(find_images(folder / "day"), Template.from_dict(WIENER), folder / "out", stop=stop)
    for event in work:
        if isinstance(event, FileFinished):
            stop.cancel()
            break
    with pytest.raises(Cancelled):
        list(work)
    assert len(list((folder / "out").glob("*.tif"))) == 1
    result, _ = run(folder)
    assert [row.status for row in result.rows] == ["there already", "done", "done", "done"]


def test_one_network_for_all_is_trained_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = run(folder, NETWORK, sharing="all")
    assert result.count("done") == 4
    (folder / "out" / "im3_deconvolved.ome.tif").unlink()

    def never(*_: Any, **__: Any) -> Any:
        raise AssertionError("trained again")

    monkeypatch.setattr("napari_selfdeconv.api.every_frame.iter_deconvolve", never)
    result, _ = run(folder, NETWORK, sharing="all")
    assert result.rows[-1].status == "done"
    model = api.load_model(folder / "out" / "models" / "channel0.safetensors")
    image = read_image(folder / "day" / "im3.ome.tif").data
    again = read_image(folder / "out" / "im3_deconvolved.ome.tif").data
    np.testing.assert_array_equal(again, api.apply_model(model, image))


@pytest.mark.parametrize(("sharing", "models"), [("channel", 2), ("all", 2)])
def test_channels_have_their_own_psf(tmp_path: Path, sharing: Any, models: int) -> None:
    for number in range(2):
        write(tmp_path / "day" / f"c{number}.ome.tif", axes="CYX", shape=(2, 24, 28), seed=number)
    result, _ = run(tmp_path, NETWORK, sharing=sharing)
    assert result.count("done") == 2
    assert len(list((tmp_path / "out" / "models").iterdir())) == models
    read = read_image(tmp_path / "out" / "c0_deconvolved.ome.tif")
    assert read.axes == "CYX"
    assert read.provenance is not None
    assert [one["wavelength_um"] for one in read.provenance["optics"]] == [0.46, 0.52]


def test_all_positions_of_a_file_are_done(tmp_path: Path) -> None:
    (tmp_path / "day").mkdir()
    with tifffile.TiffWriter(tmp_path / "day" / "wells.ome.tif", ome=True) as tif:
        for number in range(2):
            metadata = {"axes": "YX", "Name": f"well {number}", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1}
            tif.write(np.random.default_rng(number).random((24, 28)), photometric="minisblack", metadata=metadata)
    optics = {"na": 0.8, "wavelength_um": 0.6, "refractive_index": 1.0}
    result, _ = run(tmp_path, {**WIENER, "optics": optics})
    assert [row.status for row in result.rows] == ["done", "done"]
    assert sorted(path.name for path in (tmp_path / "out").glob("*.tif")) == [
        "wells_0_deconvolved.ome.tif",
        "wells_1_deconvolved.ome.tif",
    ]
    result, _ = run(tmp_path, {**WIENER, "optics": {**optics}, "image": {"series": 1}}, overwrite=True)
    assert [row.status for row in result.rows] == ["done"]


def test_a_table_names_files_and_what_differs(folder: Path) -> None:
    table = folder / "day" / "list.csv"
    table.write_text("file,crop,regularisation\nim1.ome.tif,0:20 4:24,0.3\nim0.ome.tif,,\nnone.tif,,\n", "utf-8")
    result, _ = run(folder, where=table)
    assert [row.status for row in result.rows] == ["done", "done", "failed"]
    assert read_image(folder / "out" / "im1_deconvolved.ome.tif").data.shape == (20, 20)
    told = read_image(folder / "out" / "im1_deconvolved.ome.tif").provenance
    assert told is not None
    assert told["settings"]["regularisation"] == 0.3
    table.write_text("file,colour\nim1.ome.tif,red\n", "utf-8")
    with pytest.raises(ConfigError, match="a column 'colour'"):
        find_images(table)
    table.write_text("name\nim1.ome.tif\n", "utf-8")
    with pytest.raises(ConfigError, match="one of them 'file'"):
        find_images(table)


def test_folders_patterns_and_names_that_differ_by_their_ending(tmp_path: Path) -> None:
    write(tmp_path / "day" / "a.ome.tif")
    write(tmp_path / "day" / "a.tif")
    write(tmp_path / "day" / "sub" / "a.tif")
    (tmp_path / "day" / "notes.txt").write_text("x")
    assert [item.path.name for item in find_images(tmp_path / "day")] == ["a.ome.tif", "a.tif"]
    assert len(find_images(tmp_path / "day", recursive=True)) == 3
    assert [item.path.name for item in find_images(f"{tmp_path}/day/*.ome.tif")] == ["a.ome.tif"]
    with pytest.raises(ConfigError, match="there is no image in"):
        find_images(tmp_path / "none")
    work = iter_batch(find_images(tmp_path / "day", recursive=True), Template.from_dict(WIENER), tmp_path / "out")
    names = {event.output for event in work if isinstance(event, FileFinished)}
    assert len(names) == 3
    assert tmp_path / "out" / "sub" / "a_deconvolved.ome.tif" in names


def test_an_image_that_is_added_above_the_others_moves_no_result(tmp_path: Path) -> None:
    """The results were below the folder that all images had in common."""
    for name in ("mouse/left/a.tif", "mouse/right/a.tif"):
        write(tmp_path / "day" / name, seed=len(name))
    template = Template.from_dict(WIENER)

    def again() -> dict[str, str]:
        items = find_images(tmp_path / "day", recursive=True)
        rows = [row for row in iter_batch(items, template, tmp_path / "out") if isinstance(row, FileFinished)]
        return {row.output.relative_to(tmp_path / "out").as_posix(): row.status for row in rows if row.output}

    results = [f"mouse/{side}/a_deconvolved.ome.tif" for side in ("left", "right")]
    assert again() == dict.fromkeys(results, "done")
    write(tmp_path / "day" / "b.tif", seed=1)
    assert again() == {"b_deconvolved.ome.tif": "done", **dict.fromkeys(results, "there already")}
    for gone in (tmp_path / "day" / "b.tif", tmp_path / "day" / "mouse" / "left" / "a.tif"):
        gone.unlink()
    assert again() == {results[1]: "there already"}


@pytest.mark.parametrize(
    ("path", "root", "inside"),
    [
        ("day/a.tif", "day", "."),
        ("day/mouse/left/a.tif", "day", "mouse/left"),
        ("day/list/../mouse/a.tif", "day/list", "mouse"),
        ("elsewhere/left/a.tif", "day/list", "elsewhere/left"),
        ("day/a.tif", None, "day"),
        ("/a.tif", None, "."),
        ("/a.tif", "/day", "."),
    ],
)
def test_the_place_of_a_result_is_that_of_its_image(path: str, root: str | None, inside: str) -> None:
    item = BatchItem(path=Path(path), root=None if root is None else Path(root))
    assert item.inside.as_posix() == inside
    assert BatchItem(path=item.path.absolute(), root=item.root).inside == item.inside


def test_the_folder_that_was_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "day" / "mouse" / "a.tif")
    (tmp_path / "day" / "list.csv").write_text("file\nmouse/a.tif\n", "utf-8")
    for where, inside in (
        ("day", "mouse"), ("day/list.csv", "mouse"), ("day/*/a.tif", "mouse"), ("*/mouse/*.tif", "day/mouse"),
        ("day/mouse/*", "."), ("day/mouse/a.tif", "."), (f"{tmp_path}/day/m*/a.tif", "mouse"),
    ):  # fmt: skip
        assert [item.inside.as_posix() for item in find_images(where, recursive=True)] == [inside], where


def test_no_two_images_share_a_result(tmp_path: Path) -> None:
    """Not one file in three rows, and not an image of a file beside a file of that name."""
    day = tmp_path / "day"
    write(day / "wells_1.ome.tif")
    with tifffile.TiffWriter(day / "wells.ome.tif", ome=True) as tif:
        for number in range(2):
            metadata = {"axes": "YX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1}
            tif.write(np.random.default_rng(number).random((24, 28)), photometric="minisblack", metadata=metadata)
    crops = [f"wells_1.ome.tif,0:{rows} 0:20" for rows in (20, 18, 16)]
    (day / "list.csv").write_text("\n".join(["file,crop", "wells.ome.tif,", *crops]), "utf-8")
    optics = {"optics": {"na": 0.8, "wavelength_um": 0.6, "refractive_index": 1.0}}
    for status in ("done", "there already"):
        result, _ = run(tmp_path, {**WIENER, **optics}, where=day / "list.csv")
        assert [row.status for row in result.rows] == [status] * 5
        shapes = [read_image(row.output).data.shape for row in result.rows]
        assert shapes == [(24, 28), (24, 28), (20, 20), (18, 20), (16, 20)]
        assert len({row.report for row in result.rows}) == 5


def test_a_run_that_overwrites_trains_its_own_network(folder: Path) -> None:
    where = str(folder / "day" / "im0.*")
    run(folder, NETWORK, sharing="all", where=where)
    (folder / "out" / "models" / "channel1.safetensors").write_bytes(b"of a file with more channels")
    seeded = {"training": {**NETWORK["training"], "seed": 7}}
    result, _ = run(folder, seeded, sharing="all", overwrite=True, where=where)
    assert result.count("done") == 1
    (model,) = (folder / "out" / "models").iterdir()
    assert api.load_model(model).config.seed == 7


@pytest.mark.parametrize(
    ("column", "cell", "value"),
    [
        ("mask", "my mask.tif", "my mask.tif"),
        ("mask", "2", "2"),
        ("microscope", "63x oil", "63x oil"),
        ("crop", "1:20 :8", ("1:20", ":8")),
        ("voxel_um", "0.3 0.1 0.1", (0.3, 0.1, 0.1)),
        ("wavelength_um", "0.52", 0.52),
        ("channel", "1", 1),
        ("channel", "first", "first"),
    ],
)
def test_a_cell_is_read_as_its_column_allows(tmp_path: Path, column: str, cell: str, value: Any) -> None:
    (tmp_path / "list.csv").write_text(f"file,{column}\na.tif,{cell}\n", "utf-8")
    (item,) = find_images(tmp_path / "list.csv")
    ((_, name, found),) = item.changes
    assert (name, found) == (column, value)


@pytest.mark.parametrize(("row", "said"), [("a.tif,1,2", "more cells"), (",1", "names no file")])
def test_a_row_that_does_not_fit_its_table_is_refused(tmp_path: Path, row: str, said: str) -> None:
    (tmp_path / "list.csv").write_text(f"file,channel\nb.tif,0\n{row}\n", "utf-8")
    with pytest.raises(ConfigError, match=f"row 2 of .*{said}"):
        find_images(tmp_path / "list.csv")


def test_a_batch_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file"):
        next(iter_batch([], Template(), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.seen.append(tag)
        assert not any(name.startswith("on") for name, _ in attrs)
        for name, value in attrs:
            if name in ("src", "href"):
                assert value.startswith(("data:image/png;base64,", "./")), value

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_shows_all_and_runs_nothing(tmp_path: Path) -> None:
    name = "cells <img src=x onerror=alert(1)> & co.ome.tif"
    write(tmp_path / "day" / name, axes="CZYX", shape=(2, 5, 24, 28))
    (tmp_path / "day" / "<b>.tif").write_text("no image")
    result, _ = run(tmp_path, NETWORK, sharing="file")
    done = next(row for row in result.rows if row.status == "done")
    assert done.report is not None
    for path in (done.report, tmp_path / "out" / "index.html"):
        page = Tags()
        page.feed(path.read_text("utf-8"))
        assert "script" not in page.seen
        assert "b" not in page.seen
        assert "onerror" in page.text
    page = Tags()
    page.feed(done.report.read_text("utf-8"))
    # xy and xz, before and after, two channels.
    assert page.seen.count("img") == 8
    for words in ("wavelength_um of channel 1", "0.52", "the OME-XML", "xz, after, channel 1", "steps done"):
        assert words in page.text


def test_items_of_a_list_are_enough(folder: Path) -> None:
    """As a dock gives them."""
    items = [BatchItem(path=folder / "day" / "im0.ome.tif", changes=(("method", "regularisation", 0.5),))]
    rows = list(iter_batch(items, Template.from_dict(WIENER), folder / "out", reports=False))
    finished = [row for row in rows if isinstance(row, FileFinished)]
    assert [row.status for row in finished] == ["done"]
    assert not (folder / "out" / "reports").exists()


def test_two_batches_never_write_one_folder(folder: Path) -> None:
    """The later one removed the rows of the other from the table."""
    work = iter_batch(find_images(folder / "day"), Template.from_dict(WIENER), folder / "out")
    next(work)
    with pytest.raises(ConfigError, match=r"is writing .*batch.csv: wait until it has ended, or .* the folder"):
        run(folder)
    work.close()
    run(folder)
    assert not list((folder / "out").glob(".*"))
