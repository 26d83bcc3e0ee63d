"""An output is written by one run at a time, and a run that was killed is in nobody's way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.atomic import temporary_name
from napari_selfdeconv.io.claims import claim_outputs
from napari_selfdeconv.io.outputs import Output

# Claims a path when a line arrives, says whether it was free, and ends with its input.
CLAIMS = """
import sys
from pathlib import Path
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.claims import claim_outputs
from napari_selfdeconv.io.outputs import Output
print("ready", flush=True)
sys.stdin.readline()
try:
    with claim_outputs([Output("--out", Path(sys.argv[1]))]):
        print("mine", flush=True)
        sys.stdin.readline()
except ConfigError:
    print("refused", flush=True)
"""


@pytest.fixture
def start():
    started = []

    def begin(path):
        command = [sys.executable, "-c", CLAIMS, str(path)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def claim(path):
    with claim_outputs([Output("--out", Path(path))]):
        return [one.name for one in Path(path).parent.iterdir() if one.name.startswith(".")]


def tell(process):
    process.stdin.write("\n")
    process.stdin.flush()


def test_a_killed_run_leaves_its_output_free(tmp_path, start):
    out = tmp_path / "out.ome.tif"
    first = start(out)
    tell(first)
    assert first.stdout.readline() == "mine\n"
    with pytest.raises(ConfigError, match=rf"process {first.pid}\) is writing .*out.ome.tif: wait until"):
        claim(out)
    assert len(claim(tmp_path / "other.ome.tif")) == 2
    first.kill()
    # Its parent has not waited for it yet, as a script may do: it has ended all the same.
    for _ in range(1000):
        try:
            mine = claim(out)
            break
        except ConfigError:
            continue
    assert len(mine) == 1
    assert not list(tmp_path.iterdir())


def test_of_runs_that_begin_at_once_one_goes_on(tmp_path, start):
    for number in range(3):
        runs = [start(tmp_path / f"{number}.zarr") for _ in range(3)]
        for process in runs:
            tell(process)
        assert sorted(process.stdout.readline() for process in runs) == ["mine\n", "refused\n", "refused\n"]


@pytest.mark.skipif(sys.platform == "win32", reason="links are POSIX")
def test_the_same_file_by_another_name_is_claimed(tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    with claim_outputs([Output("--out", Path("out.tif"))]):
        with pytest.raises(ConfigError, match=rf"process {os.getpid()}\)"):
            claim(tmp_path / "link" / "out.tif")
        with claim_outputs([Output("--save-model", Path("out.safetensors"), "model")]):
            pass


def test_the_claim_of_a_process_with_the_number_of_this_one_does_not_count(tmp_path):
    """In containers, every run may have the same number."""
    names = claim(tmp_path / "out.tif")
    left = tmp_path / names[0]
    left.touch()
    os.utime(left, (1, 1))
    assert claim(tmp_path / "out.tif") == names


def test_claims_of_other_machines_and_folders_are_not_in_the_way(tmp_path):
    name = temporary_name("claim", "0" * 8)
    machine = name.split("-")[1]
    for one in claim(tmp_path / "out.tif"):
        (tmp_path / one.replace(machine, "0" * 8)).write_text("held")
    assert len(claim(tmp_path / "out.tif")) == 2
    folder = Output("--out", tmp_path, "folder")
    with claim_outputs([folder]), claim_outputs([folder]):
        pass


def test_where_no_file_can_be_made_nothing_is_claimed(tmp_path):
    with claim_outputs([Output("--out", tmp_path / "no" / "out.tif")]):
        assert not list(tmp_path.iterdir())
