"""The command line: files out, one line on standard error for bad input, status 2, nothing half-written."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from napari_selfdeconv import api, preset
from napari_selfdeconv.cli import deconvolve, main, terminal
from napari_selfdeconv.errors import Cancelled
from napari_selfdeconv.events import Finished, Progress
from napari_selfdeconv.io.images import read_image, write_ome_tiff
from napari_selfdeconv.stop_token import StopToken

FAST = ["--steps", "2", "--device", "cpu"]


def gaussian_psf(ndim, size=7):
    psf = np.zeros((size,) * ndim)
    psf[(size // 2,) * ndim] = 1
    psf = gaussian_filter(psf, 1.2)
    return (psf / psf.sum()).astype(np.float32)


def noisy(shape, seed=0):
    rng = np.random.default_rng(seed)
    return (gaussian_filter(rng.random(shape), 2) + rng.normal(0, 0.01, shape)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    write_ome_tiff(tmp_path / "image.ome.tif", noisy((36, 40)), voxel_um=(0.1, 0.1))
    write_ome_tiff(tmp_path / "stack.ome.tif", noisy((13, 32, 28)), voxel_um=(0.3, 0.13, 0.13))
    write_ome_tiff(tmp_path / "psf.tif", gaussian_psf(2), voxel_um=(0.1, 0.1))
    write_ome_tiff(tmp_path / "psf3.tif", gaussian_psf(3, 5), voxel_um=(0.3, 0.13, 0.13))
    np.save(tmp_path / "psf.npy", gaussian_psf(2))
    return tmp_path


def run(folder, *args):
    os.chdir(folder)
    return main([str(a) for a in args])


@pytest.fixture(autouse=True)
def _stay(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


def test_psf_writes_voxel_size_and_unit_sum(folder):
    shape = ("--shape", 9, 11, 13, "--voxel-um", 0.3, 0.13, 0.13, "--out", "made.tif")
    status = run(folder, "psf", "--na", 1.2, "--wavelength-um", 0.5, "--refractive-index", 1.33, *shape)
    assert status == 0
    file = read_image(folder / "made.tif")
    assert file.data.shape == (9, 11, 13)
    assert file.voxel_um == pytest.approx((0.3, 0.13, 0.13))
    assert file.data.sum() == pytest.approx(1, abs=1e-5)
    assert np.unravel_index(file.data.argmax(), file.data.shape) == (4, 5, 6)


def test_what_is_given_beside_the_settings_of_an_earlier_run_replaces_them(folder, capsys):
    (folder / "run.json").write_text(json.dumps({"config": preset("quick", 2, steps=9, device="cpu").to_dict()}))
    args = ("deconvolve", "image.ome.tif", "--psf", "psf.tif", "--config", "run.json")
    assert run(folder, *args, "--steps", 2, "--seed", 5, "--no-refine", "--out", "o.ome.tif") == 0
    told = read_image(folder / "o.ome.tif").provenance
    settings = told["config"]
    assert (settings["optimiser"]["steps"], told["seed"], settings["result"]["refine"]) == (2, 5, False)
    capsys.readouterr()
    assert run(folder, *args, "--preset", "quick", "--out", "p.ome.tif") == 2
    assert "leave out --preset" in capsys.readouterr().err


def test_what_a_preset_adds_can_be_left_out(folder, capsys):
    args = ("deconvolve", "image.ome.tif", "--psf", "psf.tif", *FAST, "--no-refine")
    assert run(folder, *args, "--out", "o.ome.tif", "--json") == 0
    assert json.loads(capsys.readouterr().out.strip().splitlines()[-1])["refined_iterations"] is None
    config = read_image(folder / "o.ome.tif").provenance["config"]["result"]
    assert not config["refine"]
    assert not config["even_border"]
    assert run(folder, *args, "--even-border", "--out", "evened.ome.tif") == 0
    assert read_image(folder / "evened.ome.tif").provenance["config"]["result"]["even_border"]


def test_deconvolve_equals_the_api_and_reports(folder, capsys):
    status = run(folder, "deconvolve", "image.ome.tif", "--psf", "psf.tif", *FAST, "--seed", 3,
                 "--out", "out.ome.tif", "--save-model", "m.safetensors", "--json")  # fmt: skip
    assert status == 0
    report = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert {"seconds", "device", "steps", "losses", "output"} <= set(report)
    assert report["steps"] == 2
    assert report["device"] == "cpu"
    assert report["refined_iterations"] >= 0
    assert 0 <= report["kept_share"] <= 1
    out = read_image(folder / "out.ome.tif")
    assert out.voxel_um == pytest.approx((0.1, 0.1))
    assert out.data.dtype == np.float32
    image, psf = read_image(folder / "image.ome.tif").data, read_image(folder / "psf.tif").data
    same = api.deconvolve(image, psf, preset("quick", 2, steps=2, device="cpu", seed=3))
    np.testing.assert_array_equal(out.data, same.image)
    assert run(folder, "apply", "m.safetensors", "image.ome.tif", "--out", "again.ome.tif") == 0
    np.testing.assert_array_equal(read_image(folder / "again.ome.tif").data, out.data)


def test_deconvolve_a_stack_with_a_generated_psf(folder):
    optics = ("--na", 1.2, "--wavelength-um", 0.5, "--refractive-index", 1.33)
    assert run(folder, "deconvolve", "stack.ome.tif", *optics, *FAST, "--out", "out.ome.tif") == 0
    out = read_image(folder / "out.ome.tif")
    assert out.data.shape == (13, 32, 28)
    assert out.voxel_um == pytest.approx((0.3, 0.13, 0.13))


def test_a_psf_of_other_voxels_is_resampled_and_said(folder, capsys):
    write_ome_tiff(folder / "fine.tif", gaussian_psf(2, 15), voxel_um=(0.05, 0.05))
    assert run(folder, "rl", "image.ome.tif", "--psf", "fine.tif", "--iterations", 3, "--out", "a") == 0
    assert "the PSF was resampled from voxels of 0.05 x 0.05 um" in capsys.readouterr().err


def test_rl_writes_one_file_a_count(folder, capsys):
    args = ("--psf", "psf.tif", "--iterations", 2, 5, "--out", "results")
    assert run(folder, "rl", "image.ome.tif", *args) == 0
    assert "{" not in (said := capsys.readouterr().err)
    assert "image_rl_n0002.ome.tif, " in said
    names = sorted(p.name for p in (folder / "results").iterdir())
    assert names == ["image_rl_n0002.ome.tif", "image_rl_n0005.ome.tif"]
    five = read_image(folder / "results" / names[1]).data
    image, psf = read_image(folder / "image.ome.tif").data, read_image(folder / "psf.tif").data
    np.testing.assert_array_equal(five, api.richardson_lucy(image, psf, 5))


def test_degrade_then_evaluate(folder, capsys):
    truth = (gaussian_filter(np.random.default_rng(0).random((64, 64)), 2) * 2000).astype(np.uint16)
    iio.imwrite(folder / "truth.tif", truth)
    assert run(folder, "degrade", "truth.tif", "--psf", "psf.npy", "--seed", 0, "--out", "noisy.tif") == 0
    noisy_image = read_image(folder / "noisy.tif").data
    assert noisy_image.dtype == np.float32
    assert 0 <= noisy_image.min() < noisy_image.max() <= 1
    capsys.readouterr()
    assert run(folder, "evaluate", "noisy.tif", "truth.tif", "--json") == 0
    scores = json.loads(capsys.readouterr().out)
    assert set(scores) == {"psnr", "ssim", "rmse", "mi", "smi"}
    assert 10 < scores["psnr"] < 30
    assert run(folder, "degrade", "truth.tif", "--psf", "psf.npy", "--no-salt", "--out", "clean.tif") == 0
    assert not np.array_equal(read_image(folder / "clean.tif").data, noisy_image)


def test_the_benchmark_needs_something_to_measure_on(folder, capsys):
    assert run(folder, "benchmark", "quality", "--psf", "psf.tif", "--out", "bench") == 2
    assert "give --images DIR, --volume Z Y X, or both" in capsys.readouterr().err


GOOD = ("--psf", "psf.tif", *FAST)
BAD = {
    "missing file": (("none.tif", *GOOD), "there is no file none.tif"),
    "not an image": (("text.txt", *GOOD), "not an image|cannot read|image"),
    "NaN": (("nan.tif", *GOOD), "NaN"),
    "infinite": (("inf.tif", *GOOD), "infinite"),
    "constant": (("flat.tif", *GOOD), "constant"),
    "RGB": (("rgb.png", *GOOD), "colour|RGB"),
    "PSF larger": (("small.tif", *GOOD), "larger than the image"),
    "PSF zero": (("image.ome.tif", "--psf", "zero.tif", *FAST), "PSF"),
    "PSF negative": (("image.ome.tif", "--psf", "negative.tif", *FAST), "negative"),
    "PSF 2D": (("stack.ome.tif", *GOOD), "2D.*3D|3D.*2D"),
    "no PSF": (("image.ome.tif", *FAST), "--psf FILE, or --na"),
    "both": (("image.ome.tif", *GOOD, "--na", "1.2"), "not both"),
    "both, the model": (("image.ome.tif", *GOOD, "--psf-model", "widefield"), "not both"),
    "both, its parameter": (("image.ome.tif", *GOOD, "--pinhole-au", "1"), "not both"),
    "both, the focus": (("image.ome.tif", *GOOD, "--defocus-um", "0.5"), "not both"),
    "NA": (
        ("image.ome.tif", "--na", "1.6", "--wavelength-um", ".5", "--refractive-index", "1.5", *FAST),
        "na must be below refractive_index",
    ),
    "nanometres": (
        ("image.ome.tif", "--na", "1.2", "--wavelength-um", "520", "--refractive-index", "1.5", *FAST),
        "nanometres",
    ),
    "voxel unknown": (
        ("plain.tif", "--na", "1.2", "--wavelength-um", ".52", "--refractive-index", "1.5", *FAST),
        "voxel size .* give --voxel-um",
    ),
    "voxel count": (("image.ome.tif", *GOOD, "--voxel-um", "1", "1", "1"), "--voxel-um needs 2 numbers"),
    "device": (("image.ome.tif", "--psf", "psf.tif", "--steps", "2", "--device", "gpu"), "device must be"),
    "steps": (("image.ome.tif", "--psf", "psf.tif", "--steps=-1"), "steps must be"),
    "preset": (("image.ome.tif", *GOOD, "--preset", "fast"), "--preset"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_status_2_and_no_file(folder, capsys, case):
    args, words = BAD[case]
    image = noisy((36, 40))
    (folder / "text.txt").write_text("hello")
    tifffile.imwrite(folder / "plain.tif", image)
    tifffile.imwrite(folder / "small.tif", image[:5, :5])
    tifffile.imwrite(folder / "flat.tif", np.ones((20, 20), np.float32))
    tifffile.imwrite(folder / "zero.tif", np.zeros((5, 5), np.float32))
    tifffile.imwrite(folder / "negative.tif", gaussian_psf(2) - 0.01)
    for name, value in (("nan", np.nan), ("inf", np.inf)):
        broken = image.copy()
        broken[3, 4] = value
        tifffile.imwrite(folder / f"{name}.tif", broken)
    iio.imwrite(folder / "rgb.png", np.random.default_rng(0).integers(0, 255, (30, 30, 3), np.uint8))
    before = sorted(folder.iterdir())
    try:
        status = run(folder, "deconvolve", *args, "--out", "out.ome.tif")
    except SystemExit as end:
        status = end.code
    lines = capsys.readouterr().err.strip().splitlines()
    assert status == 2
    assert len(lines) == 1, lines
    assert lines[0].startswith("selfdeconv: ")
    assert re.search(words, lines[0]), lines[0]
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("out", ["nowhere/out.ome.tif", "."])
def test_an_impossible_output_is_refused_before_training(folder, capsys, out):
    assert run(folder, "deconvolve", "image.ome.tif", *GOOD, "--out", out) == 2
    assert "cannot write" in capsys.readouterr().err


def test_a_full_disk_leaves_nothing(folder, capsys, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile.TiffWriter, "write", full)
    before = sorted(folder.iterdir())
    assert run(folder, "deconvolve", "image.ome.tif", *GOOD, "--out", "out.ome.tif") == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "disk is full" in last
    assert sorted(folder.iterdir()) == before


def test_a_terminal_gets_one_bar_a_stage(capsys, monkeypatch):
    def work():
        for stage, done in (("train", 3), ("predict", 4)):  # training was stopped at 3 of 4
            for step in range(1, done + 1):
                losses = {"total": 0.5} if stage == "train" else {}
                yield Progress(stage=stage, step=step, steps=4, seconds=0.0, eta_s=None, losses=losses)
        yield Finished(seconds=0.0, steps_done=3, stopped=True)
        return "result"

    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    assert terminal.watch(work()) == "result"
    lines = [line.split("\r")[-1] for line in capsys.readouterr().err.strip().split("\n")]
    assert len(lines) == 2
    assert lines[0].startswith("train: ")
    assert "3/4" in lines[0]
    assert "loss 0.5000" in lines[0]
    assert lines[1].startswith("predict: 100%")


def test_a_cancelled_run_writes_nothing_and_exits_130(folder, capsys, monkeypatch):
    def cancelled(_work):
        raise Cancelled("the run was cancelled")

    monkeypatch.setattr(deconvolve, "watch", cancelled)
    before = sorted(folder.iterdir())
    assert run(folder, "deconvolve", "image.ome.tif", *GOOD, "--out", "out.ome.tif") == 130
    assert capsys.readouterr().err == "selfdeconv: stopped; nothing was written\n"
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("there", [False, True])
def test_resume_says_that_there_is_nothing_to_resume(folder, capsys, monkeypatch, there):
    def cancelled(_work):
        raise Cancelled("the run was cancelled")

    monkeypatch.setattr(deconvolve, "watch", cancelled)
    if there:
        (folder / "out.ome.tif.checkpoint").touch()
    assert run(folder, "deconvolve", "image.ome.tif", *GOOD, "--resume", "--out", "out.ome.tif") == 130
    said = "out.ome.tif.checkpoint, so this one starts from the beginning"
    assert (said in capsys.readouterr().err) is not there


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
@pytest.mark.parametrize(("first", "cancelled"), [("keep", [False, True]), ("discard", [True, True])])
def test_ctrl_c_sets_the_token(first, cancelled):
    token, seen, before = StopToken(), [], signal.getsignal(signal.SIGINT)
    with terminal.interruptible(token, first):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.01)
            seen.append(token.cancelled)
            assert token.stopped
    assert seen == cancelled
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_ctrl_c_keeps_the_result(folder):
    command = [sys.executable, "-u", "-c", "import sys; from napari_selfdeconv.cli import main; sys.exit(main())"]
    args = ["deconvolve", "image.ome.tif", "--psf", "psf.tif", "--steps", "1000000", "--out", "out.ome.tif"]
    process = subprocess.Popen(
        [*command, *args], cwd=folder, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    try:
        for line in process.stderr:
            if "training" in line:
                break
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert read_image(folder / "out.ome.tif").provenance["stopped"] is True
    assert not list(folder.glob(".*"))
