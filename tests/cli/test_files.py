"""What the commands do with files: outputs checked first by one function, SIGTERM as Ctrl-C, nothing left over."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdeconv.cli import main, scores
from napari_selfdeconv.cli.parser import make_parser
from napari_selfdeconv.cli.terminal import interruptible
from napari_selfdeconv.errors import Cancelled, ConfigError
from napari_selfdeconv.io import claims
from napari_selfdeconv.io.images import read_image, write_ome_tiff
from napari_selfdeconv.network import model_file
from napari_selfdeconv.stop_token import StopToken
from napari_selfdeconv.training import checkpoint

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    psf = np.zeros((7, 7), np.float32)
    psf[3, 3] = 1
    write_ome_tiff("image.ome.tif", gaussian_filter(rng.random((36, 40)), 2), voxel_um=(0.1, 0.1))
    write_ome_tiff("psf.tif", gaussian_filter(psf, 1.2), voxel_um=(0.1, 0.1))
    (tmp_path / "images").mkdir()
    return tmp_path


def run(*args):
    return main([str(a) for a in args])


COMMANDS = {
    "psf": (
        "--na", 1.2, "--wavelength-um", 0.5, "--refractive-index", 1.33, "--voxel-um", 0.1, 0.1, "--shape", 9, 9,
    ),
    "deconvolve": ("image.ome.tif", "--psf", "psf.tif", "--steps", 2, "--device", "cpu"),
    "apply": ("psf.tif", "image.ome.tif"),
    "classical": ("image.ome.tif", "--psf", "psf.tif", "--method", "wiener", "--regularisation", 0.01),
    "degrade": ("image.ome.tif", "--psf", "psf.tif"),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("there.ome.tif", "exists already"),
        ("out.png", "call it out.ome.tif"),
        ("/dev/null", "a device or a pipe"),
        ("no/out.tif", "there is no folder no"),
        ("n" * 300 + ".tif", "too long"),
    ],
)
def test_every_command_checks_its_output_first(folder, capsys, command, out, words):
    (folder / "there.ome.tif").write_text("an old result")
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    assert run(command, *COMMANDS[command], "--out", out) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    assert words in lines[0]
    assert "Errno" not in lines[0]
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "psf"])
def test_no_command_writes_over_its_input(folder, capsys, command):
    before = (folder / "image.ome.tif").read_bytes()
    assert run(command, *COMMANDS[command], "--out", folder / "image.ome.tif", "--overwrite") == 2
    assert "are the same file" in capsys.readouterr().err
    assert (folder / "image.ome.tif").read_bytes() == before


def test_overwrite_replaces_an_old_result(folder):
    (folder / "there.ome.tif").write_text("an old result")
    assert run("classical", *COMMANDS["classical"], "--out", "there.ome.tif", "--overwrite") == 0
    assert read_image("there.ome.tif").data.shape == (36, 40)


@pytest.mark.parametrize(
    ("command", "more"), [("classical", ()), ("apply", ()), ("deconvolve", ("--dtype", "uint16"))]
)
def test_only_the_run_that_was_killed_goes_on_in_its_folder(folder, capsys, command, more):
    """Others replaced hours of tiles without --overwrite."""
    state = folder / "there.zarr" / ".selfdeconv" / "state.json"
    state.parent.mkdir(parents=True)
    state.write_text("{}")
    assert run(command, *COMMANDS[command], *more, "--out", "there.zarr") == 2
    assert "there.zarr exists already" in capsys.readouterr().err
    assert state.exists()


@pytest.mark.parametrize("command", ["psf", "degrade"])
def test_a_psf_or_a_blurred_image_is_no_zarr(folder, capsys, command):
    """A TIFF with the name of a zarr folder opens nowhere."""
    assert run(command, *COMMANDS[command], "--out", "out.zarr") == 2
    assert "call it out.ome.tif" in capsys.readouterr().err


def test_a_training_is_kept_until_its_model_is_written(folder, capsys, monkeypatch):
    monkeypatch.setattr(checkpoint, "EVERY_S", 0.0)
    small = ("--random-start", "--set", "features=4", "--set", "patch=16", "--set", "batch_size=1")
    args = ("deconvolve", *COMMANDS["deconvolve"], *small, "--out", "out.tif")
    with monkeypatch.context() as full:
        full.setattr(model_file, "write_tensors", refuse)
        assert run(*args, "--save-model", "m.safetensors") == 2
    assert "the disk is full" in capsys.readouterr().err
    assert run(*args, "--save-model", "m.safetensors", "--resume", "--overwrite") == 0
    assert "continues from step 2 of 2" in capsys.readouterr().err
    assert not (folder / "out.tif.checkpoint").exists()


def test_a_command_that_trains_nothing_leaves_the_training_of_another(folder):
    (folder / "out.tif.checkpoint").write_text("hours of training")
    assert run("classical", *COMMANDS["classical"], "--out", "out.tif") == 0
    assert (folder / "out.tif.checkpoint").exists()


def refuse(*_):
    raise ConfigError("the disk is full")


def test_the_model_is_not_the_image_and_not_the_psf(folder, capsys):
    args = ("deconvolve", *COMMANDS["deconvolve"], "--out", "out.ome.tif", "--save-model")
    for model, words in (
        ("out.ome.tif", "--save-model and --out are the same file"),
        ("psf.tif", "--save-model and --psf are the same file"),
        ("model.pt", "call it model.safetensors"),
    ):
        assert run(*args, model, "--overwrite") == 2
        assert words in capsys.readouterr().err
    assert not (folder / "out.ome.tif").exists()


def test_richardson_lucy_keeps_earlier_results(folder, capsys):
    args = ("rl", "image.ome.tif", "--psf", "psf.tif", "--out", "results", "--iterations")
    assert run(*args, 2, 3, 2) == 0
    assert len(list((folder / "results").iterdir())) == 2
    capsys.readouterr()
    assert run(*args, 3, 4) == 2
    assert "image_rl_n0003.ome.tif exists already" in capsys.readouterr().err
    assert len(list((folder / "results").iterdir())) == 2
    assert run(*args, 3, 4, "--overwrite") == 0
    assert run("rl", "image.ome.tif", "--psf", "psf.tif", "--out", "psf.tif") == 2
    assert "--out and --psf are the same folder" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["quality", "validation", "real"])
def test_a_benchmark_does_not_write_among_its_images(folder, capsys, kind):
    args = ("benchmark", kind, "--images", "images", "--psf", "psf.tif", "--out")
    assert run(*args, "images") == 2
    assert "--out and --images are the same folder" in capsys.readouterr().err
    assert run(*args, "psf.tif") == 2
    assert "--out and --psf are the same folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, "[]", "{}", '{"config": 3}', '{"config": {"network": {"features": {}}}}',
             '{"config": {}, "tiles": {"tile": "x"}}', '{"config": {"loss": "x"}}', '{"config": null}'],
)  # fmt: skip
def test_settings_that_cannot_be_read_are_one_line(folder, capsys, text):
    (folder / "run.json").write_text(text)
    args = ("deconvolve", "image.ome.tif", "--psf", "psf.tif", "--config", "run.json", "--out", "o.tif")
    assert run(*args) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "run.json does not hold the settings of a run" in lines[0]


@POSIX
@pytest.mark.parametrize("first", ["keep", "discard", None])
def test_sigterm_is_a_ctrl_c(first):
    before = signal.getsignal(signal.SIGTERM)
    token = StopToken()

    def terminated():
        with interruptible(token, first):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)

    if first is None:
        with pytest.raises(KeyboardInterrupt):
            terminated()
    else:
        terminated()
        assert token.stopped
        assert token.cancelled == (first == "discard")
    assert signal.getsignal(signal.SIGTERM) is before


@POSIX
def test_sigterm_while_a_file_is_written_leaves_nothing(folder, capsys, monkeypatch):
    def interrupted(args, _token):
        from napari_selfdeconv.io.atomic import whole_or_not_at_all

        with whole_or_not_at_all(args.out) as temporary:
            temporary.write_text("half")
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)

    monkeypatch.setattr(scores, "run_degrade", interrupted)
    before = sorted(folder.iterdir())
    assert run("degrade", *COMMANDS["degrade"], "--out", "out.tif") == 130
    assert capsys.readouterr().err == "selfdeconv: stopped; nothing was written\n"
    assert sorted(folder.iterdir()) == before


@POSIX
def test_sigterm_keeps_the_result_of_a_training(folder):
    code = "import sys; from napari_selfdeconv.cli import main; sys.exit(main())"
    args = ["deconvolve", "image.ome.tif", "--psf", "psf.tif", "--steps", "1000000", "--out", "out.ome.tif"]
    command = [sys.executable, "-u", "-c", code, *args, "--json"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if "training" in line:
                break
        time.sleep(0.5)
        process.send_signal(signal.SIGTERM)
        out, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, error
    assert json.loads(out)["stopped"] is True
    assert read_image("out.ome.tif").provenance["stopped"] is True
    assert not list(folder.glob(".*"))


@POSIX
def test_two_commands_never_write_one_result(folder, capsys):
    """Both ended with exit code 0, and the later one replaced the result of the other without a word."""
    out = ["--psf", "psf.tif", "--steps", "1000000", "--out", "out.zarr", "--device", "cpu"]
    code = "import sys; from napari_selfdeconv.cli import main; sys.exit(main())"
    command = [sys.executable, "-u", "-c", code, "deconvolve", "image.ome.tif", *out]
    first = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert any("training" in line for line in first.stderr)
        for more in ((), ("--overwrite",)):
            assert run("classical", *COMMANDS["classical"], "--out", "out.zarr", *more) == 2
            said = capsys.readouterr().err.splitlines()
            assert len(said) == 1
            assert f"another run (process {first.pid}) is writing out.zarr: wait until it has ended, or" in said[0]
        # Another result beside it may be written.
        assert run("classical", *COMMANDS["classical"], "--out", "other.ome.tif") == 0
    finally:
        first.kill()
        first.communicate()
    assert run("classical", *COMMANDS["classical"], "--out", "out.zarr") == 0
    assert not list(folder.glob(".*"))


def test_a_result_of_a_run_that_ends_during_the_checks_is_not_replaced(folder, capsys, monkeypatch):
    @contextlib.contextmanager
    def ends_meanwhile(outputs):
        (folder / "out.ome.tif").write_text("the result of the first run")
        yield

    monkeypatch.setattr(claims, "claim_outputs", ends_meanwhile)
    assert run("classical", *COMMANDS["classical"], "--out", "out.ome.tif") == 2
    assert "out.ome.tif exists already" in capsys.readouterr().err
    assert (folder / "out.ome.tif").read_text() == "the result of the first run"


def test_a_stop_before_the_first_iteration_says_that_nothing_was_written(folder):
    """It said "wrote  after 1.2 s", without a name."""
    args = make_parser().parse_args([str(a) for a in ("rl", "image.ome.tif", "--psf", "psf.tif", "--out", "r")])
    token = StopToken()
    token.stop()
    with pytest.raises(Cancelled), contextlib.ExitStack() as args.until_end:
        args.run(args, token)
    assert not list((folder / "r").iterdir())
