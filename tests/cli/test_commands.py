"""What a user types: settings files, parts of a file, prepared PSFs, beads, series, many files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from napari_selfdeconv import api
from napari_selfdeconv.cli import main
from napari_selfdeconv.cli.parser import COMMANDS, make_parser
from napari_selfdeconv.io.images import read_image, write_ome_tiff
from napari_selfdeconv.io.record import ChannelRecord, ImageRecord

Run = Callable[..., int]
TINY = ("--steps", 1, "--set", "patch=16", "--set", "features=4", "--set", "batch_size=1", "--random-start")
OPTICS = ("--na", 0.8, "--wavelength-um", 0.6, "--refractive-index", 1.33)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    channels = tuple(
        ChannelRecord(name=name, colour=colour, emission_um=wave, modality="widefield")
        for name, colour, wave in (("DAPI", "#0000ff", 0.46), ("GFP", "#00ff00", 0.52))
    )
    record = ImageRecord(
        file="cells.czi", format="x", axes="TCYX", shape=(2, 2, 28, 32), dtype="uint16", channels=channels,
        na=0.8, refractive_index=1.0, time_step_s=5.0,
    )  # fmt: skip
    spots = gaussian_filter((random.random((2, 2, 28, 32)) > 0.97) * 900.0, (0, 0, 1.2, 1.2)) + 100
    write_ome_tiff(
        "movie.ome.tif", spots + random.normal(0, 3, spots.shape), (0.1, 0.1), axes="TCYX", record=record
    )
    write_ome_tiff("plane.tif", spots[0, 0] + random.normal(0, 3, (28, 32)), (0.1, 0.1))
    y, x = np.mgrid[:40, :40]
    bead = 400 * np.exp(-((y - 17.3) ** 2 + (x - 21.6) ** 2) / 8) + 90 + random.normal(0, 1, (40, 40))
    write_ome_tiff("bead.tif", bead, (0.1, 0.1))
    return tmp_path


def run(*args: Any) -> int:
    try:
        return main([str(arg) for arg in args])
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_has_help_with_an_example_that_parses(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, "--help") == 0
    said = capsys.readouterr().out
    example = said.split("example:\n")[1].strip()
    assert example.startswith(f"selfdeconv {command} ")
    words = example.split(" >> ")[0].split()[1:]
    assert make_parser().parse_args(words).run is not None


def test_a_settings_file_goes_from_template_to_result(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = (*OPTICS, "--method", "wiener", "--regularisation", 0.1, "--crop", "0:20", "4:28", "--dtype", "uint16")
    assert run("template", *given, "--out", "run.toml") == 0
    assert run("classical", "plane.tif", "--config", "run.toml", "--out", "a.ome.tif") == 0
    read = read_image("a.ome.tif")
    assert read.data.shape == (20, 24)
    assert tifffile.imread("a.ome.tif").dtype == np.uint16
    assert read.provenance is not None
    assert read.provenance["settings"]["regularisation"] == 0.1
    assert read.provenance["optics"]["sources"] == dict.fromkeys(
        ("na", "wavelength_um", "refractive_index"), "given"
    )
    # Flags are above the file.
    flags = ("--regularisation", 0.3, "--na", 0.5, "--dtype", "float32")
    assert run("classical", "plane.tif", "--config", "run.toml", *flags, "--out", "b.ome.tif") == 0
    read = read_image("b.ome.tif")
    assert read.provenance is not None
    assert (read.provenance["settings"]["regularisation"], read.provenance["optics"]["na"]) == (0.3, 0.5)
    assert read.data.dtype == np.float32
    capsys.readouterr()
    for text, words in (
        ("[optics]\nna = 'big'", "optics: na must be"),
        ("[optic]\nna = 1", "unknown setting for Template: optic"),
        ("[training]\nstepz = 1", "did you mean steps"),
        ("[image]\nz = '5:2'", "image: z must count up"),
        ("na 1", "does not hold the settings of a run"),
    ):
        (folder / "bad.toml").write_text(text, "utf-8")
        assert run("classical", "plane.tif", "--config", "bad.toml", "--method", "wiener", "--out", "c.tif") == 2
        said = capsys.readouterr().err
        assert words in said
        assert said.count("\n") == 1


def test_a_psf_on_top_of_a_settings_file_replaces_its_optics(folder: Path) -> None:
    run("template", *OPTICS, "--method", "wiener", "--regularisation", 0.1, "--out", "run.toml")
    run("psf", *OPTICS, "--voxel-um", 0.1, 0.1, "--shape", 7, 7, "--out", "psf.tif")
    assert run("classical", "plane.tif", "--config", "run.toml", "--psf", "psf.tif", "--out", "a.tif") == 0
    run("template", "--psf", "psf.tif", "--method", "wiener", "--regularisation", 0.1, "--out", "other.toml")
    assert run("classical", "plane.tif", "--config", "other.toml", *OPTICS, "--out", "b.tif") == 0
    told = read_image("a.tif").provenance, read_image("b.tif").provenance
    assert ["optics" in one for one in told if one] == [False, True]


def test_parts_of_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    method = ("--method", "wiener", "--regularisation", 0.1)
    assert run("classical", "movie.ome.tif", *method, "--out", "a.tif") == 2
    assert "--time N (0 to 1) and --channel N (0 to 1)" in capsys.readouterr().err
    part = ("--channel", 1, "--time", 1, "--crop", "2:26", ":24")
    assert run("classical", "movie.ome.tif", *method, *part, "--out", "a.ome.tif") == 0
    said = capsys.readouterr().err
    assert "--wavelength-um 0.52 (the OME-XML)" in said
    read = read_image("a.ome.tif")
    assert read.data.shape == (24, 24)
    assert read.provenance is not None
    assert read.provenance["part"] == {"channel": 1, "time": 1, "crop": ["2:26", ":24"]}
    assert read.record is not None
    assert (read.record.channels[0].name, read.record.channels[0].colour) == ("GFP", "#00ff00")
    for wrong, words in (
        (("--channel", 2), "has no channel 2"),
        (("--channel", 0, "--time", 0, "--z", "1:3"), "has no axis Z"),
        (("--channel", 0, "--time", 0, "--crop", "0:99", ":"), "there are only 28"),
    ):
        assert run("classical", "movie.ome.tif", *method, *wrong, "--out", "b.tif") == 2
        assert words in capsys.readouterr().err


def test_series_and_what_the_result_keeps(folder: Path) -> None:
    assert run("series", "movie.ome.tif", *TINY, "--save-model", "m.safetensors", "--out", "s.ome.tif", "-q") == 0
    read = read_image("s.ome.tif")
    assert (read.axes, read.data.shape) == ("TCYX", (2, 2, 28, 32))
    assert read.record is not None
    assert read.record.time_step_s == 5.0
    assert [one.emission_um for one in read.record.channels] == [0.46, 0.52]
    assert (folder / "m_c1.safetensors").exists()
    method = ("--method", "wiener", "--regularisation", 0.1)
    assert run("series", "movie.ome.tif", *method, "--out", "w.zarr") == 0
    assert read_image("w.zarr").data.shape == (2, 2, 28, 32)


def test_a_zarr_result_is_replaced_only_if_it_is_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ("classical", "plane.tif", *OPTICS, "--method", "wiener", "--regularisation", 0.1, "--out", "r.zarr")
    assert run(*args) == 0
    assert run(*args) == 2
    assert "exists already" in capsys.readouterr().err
    assert run(*args, "--overwrite") == 0
    # A result is an input of every command.
    assert run("classical", "r.zarr", *args[2:-1], "again.zarr") == 0
    (folder / "mine.zarr").mkdir()
    (folder / "mine.zarr" / "thesis.txt").write_text("x")
    assert run(*args[:-1], "mine.zarr", "--overwrite") == 2
    assert "no OME-Zarr image" in capsys.readouterr().err
    assert (folder / "mine.zarr" / "thesis.txt").exists()


def test_a_run_that_fails_leaves_the_zarr_that_it_would_replace(folder: Path) -> None:
    method = ("--method", "wiener", "--regularisation", 0.1)
    out = ("--out", "r.zarr", "--overwrite")
    assert run("classical", "plane.tif", *OPTICS, *method, *out) == 0
    before = {path: path.read_bytes() for path in Path("r.zarr").rglob("*") if path.is_file()}
    for command in (("classical", "plane.tif", *method), ("deconvolve", "plane.tif", *TINY)):
        assert run(*command, *out) == 2  # without optics
        assert {path: path.read_bytes() for path in Path("r.zarr").rglob("*") if path.is_file()} == before
    assert run("deconvolve", "plane.tif", *OPTICS, *TINY, *out) == 0
    made = read_image("r.zarr").provenance
    assert made is not None
    assert made["steps_done"] == 1


def test_models_of_further_channels_and_a_mask_are_not_replaced(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("m_c1.safetensors").write_text("an old model")
    assert run("series", "movie.ome.tif", *TINY, "--save-model", "m.safetensors", "--out", "s.ome.tif") == 2
    assert "m_c1.safetensors exists already" in capsys.readouterr().err
    mask = ("--mask", "bead.tif", "--out", "bead.tif", "--overwrite")
    for command in (("apply", "m.safetensors", "plane.tif"), ("uncertainty", "m.safetensors", "plane.tif")):
        assert run(*command, *mask) == 2
        assert "--out and --mask are the same file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "settings", "said"),
    [
        (("deconvolve", "plane.tif"), "[method]\nname = 'rl'", "the method rl: selfdeconv classical runs it"),
        (("series", "plane.tif", "--save-model", "m.safetensors"), "[method]\nname = 'rl'", "has no model"),
        (("rl", "plane.tif"), "[output]\nalign = 'scope.toml'", "rl does not use align"),
        (("rl", "plane.tif"), "[image]\ncorrect_light = 'both'", "rl does not use correct_light"),
        (("evaluate", "plane.tif"), "[image]\ncorrect_light = 'both'", "evaluate does not use correct_light"),
    ],
)
def test_a_command_refuses_settings_that_it_does_not_use(
    folder: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], settings: str, said: str
) -> None:
    Path("run.toml").write_text(settings)
    out = () if words[0] == "evaluate" else ("--out", "r" if words[0] == "rl" else "r.tif")
    assert run(*words, "--config", "run.toml", *out) == 2
    assert said in capsys.readouterr().err


def test_prepare_psf_says_what_is_wrong_and_mends_it(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prepare-psf", "bead.tif") == 1
    assert "background" in capsys.readouterr().out
    assert run("prepare-psf", "bead.tif", "--out", "psf.tif", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert {"background", "centre"} <= {finding["key"] for finding in report["findings"]}
    assert report["did"]
    assert run("prepare-psf", "psf.tif", "--image", "plane.tif") == 0
    # The check before a run finds the same.
    args = ("rl", "plane.tif", "--psf", "bead.tif", "--iterations", 2, "--overwrite", "--out", "o")
    assert run(*args) == 0
    assert "background of 89.9, 93% of all its light" in capsys.readouterr().err
    assert run(*args, "--prepare-psf") == 0
    assert "background of" not in capsys.readouterr().err


def test_a_psf_with_a_background_is_said_before_the_run(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    y, x = np.mgrid[:15, :15]
    psf = np.exp(-((y - 7) ** 2 + (x - 7) ** 2) / 4) + 1
    write_ome_tiff("flat.tif", psf, (0.1, 0.1))
    assert run("rl", "plane.tif", "--psf", "flat.tif", "--iterations", 2, "--out", "o") == 0
    said = capsys.readouterr().err
    assert said.count("warning: the PSF has a background of") == 1
    assert "prepare the PSF (--prepare-psf) to subtract it" in said


def test_beads_become_a_psf(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = np.full((96, 96), 100.0)
    y, x = np.mgrid[:96, :96]
    for a, b in ((20.2, 22.7), (21.9, 70.4), (70.5, 24.1), (72.3, 71.8)):
        image += 900 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 6)
    write_ome_tiff("beads.tif", image + np.random.default_rng(0).normal(0, 2, image.shape), (0.1, 0.1))
    assert run("beads", "beads.tif", "--window-um", 1.5, 1.5, "--out", "psf.tif", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["used"] == 4
    assert report["fwhm_um"] == pytest.approx([0.41, 0.41], abs=0.02)
    assert read_image("psf.tif").data.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "command",
    [
        ("deconvolve", "plane.tif", *OPTICS, *TINY, "--save-model", "m.safetensors"),
        ("apply", "m.safetensors", "plane.tif"),
        ("uncertainty", "m.safetensors", "plane.tif", "--samples", 1),
        ("psf", *OPTICS, "--image", "plane.tif"),
        ("beads", "bead.tif"),
        ("degrade", "bead.tif", "--psf", "plane.tif"),
    ],
)
def test_every_command_says_that_a_voxel_size_is_not_the_files(
    command: tuple[Any, ...], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "m.safetensors" in command[:2]:
        run("deconvolve", "plane.tif", *OPTICS, *TINY, "--save-model", "m.safetensors", "--out", "r.tif")
        capsys.readouterr()
    assert run(*command, "--voxel-um", 0.1, 0.11, "--out", "out.tif") == 0
    said = "warning: the voxel size is 0.1 x 0.11 um, as given; the file states 0.1 x 0.1 um\n"
    assert capsys.readouterr().err.count(said) == 1


def test_a_microscope_gives_the_step_that_a_file_does_not_state(folder: Path) -> None:
    usual = api.Microscope(
        name="mine", voxel_um=(0.3, 0.2, 0.2), optics=api.Optics(na=0.8, wavelength_um=0.6, refractive_index=1.33)
    )
    api.save_microscope("mine.toml", usual)
    tifffile.imwrite(
        "stack.tif", np.ones((5, 16, 16), np.float32), resolution=(1e5, 1e5), resolutionunit="CENTIMETER"
    )
    template = api.Template.from_dict({"optics": {"microscope": "mine.toml"}, "image": {"axes": "ZYX"}})
    assert api.open_input("stack.tif", template).voxel_um == pytest.approx((0.3, 0.1, 0.1))


def test_uncertainty_of_a_saved_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("deconvolve", "plane.tif", *OPTICS, *TINY, "--save-model", "m.safetensors", "--out", "r.tif")
    capsys.readouterr()
    assert run("uncertainty", "m.safetensors", "plane.tif", "--samples", 1, "--out", "u.tif", "--json") == 0
    told, file = json.loads(capsys.readouterr().out), read_image("u.tif")
    model, plane = api.load_model("m.safetensors"), read_image("plane.tif").data
    found = api.uncertainty(model, plane, weights="auto", samples=1)
    np.testing.assert_array_equal(file.data, found.channels)
    assert told["median"] == pytest.approx(float(np.median(found.half_width)))
    assert told["unsupported"] == pytest.approx(float(found.unsupported.mean()), abs=1e-4)
    assert file.voxel_um == (0.1, 0.1)
    assert file.record is not None
    assert [channel.name for channel in file.record.channels] == list(found.CHANNELS)
    again = ("--other", "m.safetensors", "--out", "m.safetensors")
    assert run("uncertainty", "m.safetensors", "plane.tif", *again) == 2


def test_a_psf_has_a_size_without_being_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("psf", *OPTICS, "--voxel-um", 0.1, 0.1, "--out", "psf.tif") == 0
    assert "size:" in capsys.readouterr().err
    assert run("psf", "--image", "movie.ome.tif", "--channel", 1, "--time", 0, "--out", "own.tif") == 0
    told = read_image("own.tif").provenance
    assert told is not None
    assert told["optics"]["wavelength_um"] == 0.52
    layers = ("--sample-index", 1.33, "--sample-depth-um", 2)
    oil = ("--na", 1.3, "--wavelength-um", 0.52, "--refractive-index", 1.515)
    assert run("psf", *oil, *layers, "--voxel-um", 0.2, 0.1, 0.1, "--shape", 9, 9, 9, "--out", "deep.tif") == 0
    told = read_image("deep.tif").provenance
    assert told is not None
    assert told["optics"]["layers"]["sample_depth_um"] == 2


def test_json_tells_infinite_from_undefined(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", "plane.tif", "plane.tif", "--json") == 0
    assert json.loads(capsys.readouterr().out)["psnr"] == "infinite"
    assert run("evaluate", "plane.tif", "--image", "plane.tif", *OPTICS, "--json") == 0
    assert set(json.loads(capsys.readouterr().out)) >= {"whiteness", "frc_resolution"}
    assert run("evaluate", "plane.tif", "plane.tif", "--image", "plane.tif", *OPTICS) == 2
    assert "give one of them" in capsys.readouterr().err


def test_a_result_without_its_background_is_scored_with_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Richardson-Lucy gives the light above the background of the image, which is 100 here."""
    method = ("--method", "rl", "--iterations", 5)
    assert run("classical", "plane.tif", *OPTICS, *method, "--out", "r.tif") == 0
    assert run("classical", "plane.tif", *OPTICS, *method, "--dtype", "uint16", "--out", "whole.tif") == 0
    capsys.readouterr()
    told = {}
    for name in ("r.tif", "whole.tif"):
        assert run("evaluate", name, "--image", "plane.tif", *OPTICS, "--json") == 0
        told[name] = json.loads(capsys.readouterr().out)
    assert told["r.tif"]["residual_rms"] < 40
    assert told["whole.tif"]["residual_rms"] == pytest.approx(told["r.tif"]["residual_rms"], rel=1e-2)


def test_whole_numbers_that_were_scaled_are_read_as_values(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_ome_tiff("unit.tif", np.random.default_rng(0).random((28, 32)), (0.1, 0.1))
    words = (*OPTICS, "--method", "wiener", "--regularisation", 0.1, "--out")
    assert run("classical", "unit.tif", *words, "float.tif") == 0
    assert run("classical", "unit.tif", *words, "whole.tif", "--dtype", "uint16") == 0
    assert "value = number x" in capsys.readouterr().err
    for name in ("float", "whole"):
        assert run("classical", f"{name}.tif", *words, f"{name}2.tif") == 0
    first, second = (read_image(f"{name}2.tif").data for name in ("float", "whole"))
    np.testing.assert_allclose(second, first, atol=2e-3)


def test_batch_gives_a_table_and_a_status(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "day").mkdir()
    for number in range(3):
        (folder / "day" / f"im{number}.tif").write_bytes((folder / "plane.tif").read_bytes())
    (folder / "day" / "bad.tif").write_text("no image")
    args = ("batch", "day", *OPTICS, "--method", "wiener", "--regularisation", 0.1, "--out", "out")
    assert run(*args, "--json") == 1
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert (report["done"], list(report["failed"])) == (3, ["day/bad.tif"])
    assert "failed: day/bad.tif" in captured.err
    assert run(*args, "-q") == 1
    assert all("bad.tif" in line for line in capsys.readouterr().err.splitlines())
    (folder / "day" / "bad.tif").unlink()
    assert run(*args) == 0
    assert "0 done, 3 there already, 0 failed" in capsys.readouterr().err
    assert run("batch", "nowhere", "--out", "out2") == 2
    # Results are no images of the next run.
    inside = ("day", *args[2:-2], "--recursive", "--out", "day/results")
    beside = ("day/*.tif", *args[2:-2], "--out", "day")
    for where, counts in ((inside, (3, 0)), (inside, (0, 3)), (beside, (3, 0)), (beside, (0, 3))):
        capsys.readouterr()
        assert run("batch", *where, "--json") == 0
        report = json.loads(capsys.readouterr().out)
        assert (report["done"], report["there already"]) == counts


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_knows_the_commands(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab")
    assert run("completion", shell) == 0
    said = capsys.readouterr().out
    assert "prepare-psf" in said
    assert "--wavelength-um" in said


def test_quiet_and_verbose(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = ("classical", "plane.tif", *OPTICS, "--method", "wiener", "--regularisation", 0.1, "--overwrite")
    assert run(*args, "-q", "--out", "a.tif") == 0
    assert not [line for line in capsys.readouterr().err.splitlines() if "warning" not in line]
    assert run(*args[:2], "-v", *args[2:], "--channel", 3, "--out", "a.tif") == 2
    assert "Traceback" in capsys.readouterr().err


def test_help_and_version_are_at_hand_at_once() -> None:
    """0.2 s of a processor; it does not count the time that other processes take on a busy machine."""
    code = (
        "import time\n"
        "from napari_selfdeconv.cli import main\n"
        "try:\n    main(['--version'])\nexcept SystemExit:\n    print(time.process_time())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert float(done.stdout.splitlines()[-1]) < 0.6


def test_apply_compares_the_voxels_that_an_image_states(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An image that states the size of its pixels and no step along z was not compared with the model."""
    stack = np.random.default_rng(0).random((16, 16, 16)).astype(np.float32)
    config = api.preset("quick", 3, steps=1, patch=16, features=2, batch_size=1, pretrained=False)
    trained = api.deconvolve(stack, np.ones((3, 3, 3)) / 27, config, voxel_um=(0.3, 0.1, 0.1)).model
    api.save_model("stack.safetensors", trained)
    for pixel, warned in ((0.1, False), (0.2, True)):
        metadata = {"axes": "ZYX", "PhysicalSizeY": pixel, "PhysicalSizeX": pixel}
        tifffile.imwrite("sized.ome.tif", stack, metadata=metadata)
        assert run("apply", "stack.safetensors", "sized.ome.tif", "--out", f"{pixel}.ome.tif") == 0
        said = "the voxels of the image are 0.2 x 0.2 um, and the model was trained on 0.1 x 0.1 um"
        assert (said in capsys.readouterr().err) == warned


def test_nan_is_refused_with_the_option_that_leaves_it_out(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = read_image("plane.tif").data.copy()
    image[:, 3] = np.nan
    write_ome_tiff("holes.tif", image, (0.1, 0.1))
    command = ("rl", "holes.tif", "--psf", "bead.tif", "--iterations", 1, "--out", "o")
    assert run(*command) == 2
    assert "28 NaN and 0 infinite pixels: replace them first, or leave them out with --mask auto+nan" in (
        capsys.readouterr().err
    )
    assert run(*command, "--mask", "auto+nan") == 0
    psf = read_image("bead.tif").data.copy()
    psf[3, 3] = np.nan
    write_ome_tiff("broken.tif", psf, (0.1, 0.1))
    assert run("rl", "plane.tif", "--psf", "broken.tif", "--out", "o") == 2
    assert "--mask" not in capsys.readouterr().err
