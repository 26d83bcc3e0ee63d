"""Outputs are checked before anything is computed, and nothing is destroyed that the user did not name."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io import atomic
from napari_selfdeconv.io.atomic import (
    remove_leftovers,
    temporary_name,
    whole_folder_or_not_at_all,
    whole_or_not_at_all,
)
from napari_selfdeconv.io.json_files import parse_json, read_json
from napari_selfdeconv.io.outputs import Output, check_outputs
from selfdeconv_tools.cases import cases

IN_A_FOLDER = cases(150)
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="links, pipes and /dev are POSIX")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "image.tif").write_text("the image")
    (tmp_path / "old.tif").write_text("an old result")
    (tmp_path / "sub").mkdir()
    return tmp_path


def refusal(call):
    """What a call is refused with, "" if it is accepted."""
    try:
        call()
    except ConfigError as error:
        return str(error)
    return ""


def content(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("output", "words"),
    [
        (Output("--out", Path("image.tif")), "--out and the image are the same file"),
        (Output("--out", Path("sub/../image.tif")), "--out and the image are the same file"),
        (Output("--out", Path("old.tif")), "old.tif exists already.*--overwrite"),
        (Output("--out", Path("new.png")), "or OME-Zarr, but its name is new.png: call it new.ome.tif"),
        (Output("--out", Path("new")), "call it new.ome.tif"),
        (Output("--save-model", Path("model.pt"), "model"), "call it model.safetensors"),
        (Output("--out", Path("sub")), "cannot write sub: it is a folder"),
        (Output("--out", Path("nowhere/new.tif")), "there is no folder nowhere, create it first"),
        (Output("--out", Path("image.tif/new.tif")), "cannot write image.tif.new.tif"),
        (Output("--out", Path("n" * 300 + ".tif")), "the name is too long"),
        (Output("--out", Path("old.tif"), "folder"), "--out is a folder, but old.tif is a file"),
        (Output("--out", Path("old.tif/new"), "folder"), "cannot make the folder"),
        (Output("--out", Path("new.ome.tif"), "folder"), "a folder, but its name is that of a file: call it new$"),
    ],
)  # fmt: skip
def test_outputs_that_cannot_be_written_or_would_destroy_something(folder, output, words):
    before = content(folder)
    with pytest.raises(ConfigError, match=words) as caught:
        check_outputs([output], {"the image": Path("image.tif"), "--psf": None})
    assert "Errno" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert content(folder) == before


def test_what_exists_is_replaced_only_if_asked_for_and_an_input_never(folder):
    check_outputs([Output("--out", Path("old.tif"))], {"the image": Path("image.tif")}, overwrite=True)
    with pytest.raises(ConfigError, match="the same file"):
        check_outputs([Output("--out", Path("image.tif"))], {"the image": Path("image.tif")}, overwrite=True)


def test_two_outputs_of_a_run_are_two_files(folder):
    pair = [Output("--out", Path("new.tif")), Output("the second", Path("sub/../new.tif"))]
    with pytest.raises(ConfigError, match="the second and --out are the same file"):
        check_outputs(pair, {})


@POSIX
def test_a_link_to_an_input_is_the_input_and_a_link_stays_one(folder):
    Path("link.tif").symlink_to("image.tif")
    Path("hard.tif").hardlink_to("image.tif")
    for name in ("link.tif", "hard.tif"):
        with pytest.raises(ConfigError, match="the same file"):
            check_outputs([Output("--out", Path(name))], {"the image": Path("image.tif")}, overwrite=True)
    Path("other.tif").symlink_to("sub/there.tif")
    with whole_or_not_at_all(Path("other.tif")) as temporary:
        temporary.write_text("new")
    assert Path("other.tif").is_symlink()
    assert Path("sub/there.tif").read_text() == "new"


@POSIX
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_device_or_a_pipe_is_not_replaced(folder, overwrite):
    os.mkfifo("pipe.tif")
    for name in ("/dev/null", "pipe.tif"):
        with pytest.raises(ConfigError, match="a device or a pipe"):
            check_outputs([Output("--out", Path(name))], {}, overwrite=overwrite)
        with pytest.raises(ConfigError, match="a device or a pipe"), whole_or_not_at_all(Path(name)) as temporary:
            temporary.write_text("never")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "the disk is read-only"),
        (errno.EACCES, "no permission"),
        (errno.EIO, "the disk does not answer"),
        (errno.ENODEV, "the disk does not answer"),
        (errno.ENAMETOOLONG, "the name is too long"),
    ],
)
def test_a_faulty_disk_is_one_sentence(folder, monkeypatch, number, words):
    def faulty(*_args, **_kwargs):
        raise OSError(number, os.strerror(number), "new.tif")

    before = content(folder)
    with pytest.raises(ConfigError, match=words), whole_or_not_at_all(Path("new.tif")):
        faulty()
    monkeypatch.setattr(Path, "touch", faulty)
    with pytest.raises(ConfigError, match=words) as caught:
        check_outputs([Output("--out", Path("new.tif"))], {})
    assert "Errno" not in str(caught.value)
    assert content(folder) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_whatever_ends_the_writing_leaves_nothing(folder, error):
    before = content(folder)

    def write():
        with whole_or_not_at_all(Path("old.tif")) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write()
    assert content(folder) == before


def test_a_folder_that_cannot_be_replaced_is_put_back(folder, monkeypatch):
    old = folder / "old.zarr"
    old.mkdir()
    (old / "a").write_text("an old result")
    before, rename = content(folder), Path.rename

    def refused(self, target):
        if target == old and (self / "a").read_text() == "new":
            raise PermissionError(13, "no")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)

    def write():
        with whole_folder_or_not_at_all(old) as temporary:
            temporary.mkdir()
            (temporary / "a").write_text("new")

    assert "cannot write" in refusal(write)
    assert content(folder) == before


WHOLE = {
    "whole_or_not_at_all": "temporary.write_text('half')",
    "whole_folder_or_not_at_all": "temporary.mkdir(); (temporary / 'a').write_text('half')",
}


@pytest.mark.parametrize(("kind", "write"), WHOLE.items())
def test_what_a_killed_process_left_is_removed_at_the_next_start(folder, kind, write):
    code = (
        "import os, pathlib, signal\n"
        f"from napari_selfdeconv.io.atomic import {kind} as whole\n"
        "with whole(pathlib.Path('new.tif')) as temporary:\n"
        f"    {write}\n"
        "    os._exit(9)\n"  # as after SIGKILL: no handler, no finally
    )
    before = content(folder)
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 9
    assert len(content(folder)) == len(before) + 1
    check_outputs([Output("--out", Path("new.tif"))], {})
    assert content(folder) == before
    assert sorted(path.name for path in folder.iterdir()) == ["image.tif", "old.tif", "sub"]


def test_files_of_others_are_left_alone(folder, monkeypatch):
    own = Path(temporary_name())
    own.write_text("this process is writing it")
    names = [".hidden.part", ".selfdeconv-x.part", temporary_name() + ".tif", "notes.part"]
    with monkeypatch.context() as patched:
        patched.setattr(atomic, "_machine", lambda: "0123abcd")
        names.append(temporary_name())
    for name in names:
        Path(name).write_text("not ours")
    remove_leftovers(folder)
    assert own.exists()
    assert all(Path(name).exists() for name in names)


NAMES = st.sampled_from(
    ["image.tif", "old.tif", "a.tif", "b.TIFF", "./a.tif", "sub/a.tif", "x.png", "sub", "no/a.tif"]
)


@IN_A_FOLDER
@given(outputs=st.lists(NAMES, min_size=1, max_size=3), overwrite=st.booleans())
def test_what_is_accepted_can_be_written_and_costs_no_other_file(folder, outputs, overwrite):
    for path in content(folder):
        if path.name not in ("image.tif", "old.tif") or path.parent != folder:
            path.unlink()
    (folder / "old.tif").write_text("an old result")
    before = content(folder)
    listed = [Output(f"output {number}", Path(name)) for number, name in enumerate(outputs)]
    refused = refusal(lambda: check_outputs(listed, {"the image": Path("image.tif")}, overwrite=overwrite))
    assert "\n" not in refused
    assert content(folder) == before
    if refused:
        return
    for output in listed:
        with whole_or_not_at_all(output.path) as temporary:
            temporary.write_text(output.name)
    after = content(folder)
    assert len({output.path.resolve() for output in listed}) == len(listed)
    assert all(output.path.read_text() == output.name for output in listed)
    lost = {path for path in before if after.get(path) != before[path]}
    assert lost <= ({folder / "old.tif"} if overwrite else set())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "Expecting value"),
        (b"\xff\xfe\x00", "no text file"),
        (b"[1, 2]", "no names and values"),
        (b"[" * 1_000_000, "nested too deep"),
        (b'{"a":' * 100_000, "nested too deep"),
        (b"null", "no names and values"),
    ],
)
def test_a_file_that_holds_no_json_object(folder, data, words):
    Path("a.json").write_bytes(data)
    with pytest.raises(ConfigError, match=f"a.json does not hold settings: .*{words}"):
        read_json("a.json", "settings")


def test_a_json_file_that_cannot_be_read_has_no_error_number(folder, monkeypatch):
    for name in ("none.json", "sub"):
        with pytest.raises(ConfigError, match="cannot read settings from") as caught:
            read_json(name, "settings")
        assert "Errno" not in str(caught.value)
    with Path("huge.json").open("wb") as file:
        file.truncate(20_000_000_000)
    with pytest.raises(ConfigError, match="it has 20000 MB"):
        read_json("huge.json", "settings")


@cases(300)
@given(st.text(max_size=60) | st.text('{}[]":,0e-.', max_size=60))
def test_any_text_is_an_object_or_a_config_error(text):
    refused = refusal(lambda: parse_json(text, "no settings"))
    assert not refused or refused.startswith("no settings: ")
    assert "\n" not in refused


def test_a_missing_input_leaves_no_empty_folder(folder):
    check_outputs([Output("--out", Path("new"), "folder")], {"the image": Path("imgae.tif")})
    assert not Path("new").exists()
    check_outputs([Output("--out", Path("new"), "folder")], {"the image": Path("image.tif")})
    assert Path("new").is_dir()
