"""The quality benchmark: what it measures, that it resumes, its tables, its rivals."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_selfdeconv.benchmark import methods as benchmark_methods
from napari_selfdeconv.benchmark import real, run_quality, run_real, run_validation, validation
from napari_selfdeconv.benchmark.methods import labels, network
from napari_selfdeconv.benchmark.report import best_fixed, markdown
from napari_selfdeconv.benchmark.smooth_tv import iter_smooth_tv
from napari_selfdeconv.benchmark.truths import Noise
from napari_selfdeconv.config.loss_terms import LOSSES
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import drain
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.simulate import measure
from napari_selfdeconv.stop_token import StopToken
from selfdeconv_tools.picture import make_picture


@pytest.mark.parametrize(
    ("method", "border", "expected"),
    [
        ("instant,even_border=true", "reflect", "network"),
        ("instant", "open", "open"),
        ("instant,refine_border=open", "reflect", "open"),
    ],
)
def test_the_rows_of_the_protocol_are_refined_with_the_mirror_image(
    method: str, border: Any, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def stop_there(_image: Any, _psf: Any, config: Any, **_: Any) -> Any:
        found.append(config.result.refine_border)
        raise StopIteration

    monkeypatch.setattr(benchmark_methods, "iter_deconvolve", stop_there)
    work = benchmark_methods.measure(method, np.zeros((8, 8)), np.ones((3, 3)), "cpu", StopToken(), border=border)
    with pytest.raises(RuntimeError):
        next(work)
    assert found == [expected]


@pytest.fixture
def truths(tmp_path: Path) -> Path:
    folder = tmp_path / "truths"
    folder.mkdir()
    for seed in (0, 1):
        field = gaussian_filter(np.random.default_rng(seed).random((40, 40)), 2)
        iio.imwrite(folder / f"t{seed}.png", (255 * field / field.max()).astype(np.uint8))
    spot = np.zeros((7, 7))
    spot[3, 3] = 1
    np.save(folder / "psf.npy", gaussian_filter(spot, 1))  # a PSF among the truths is no truth
    return folder


def run(
    folder: Path | None, psf: Path | None, out: Path, *methods: str, volume: tuple[int, ...] | None = None
) -> list[str]:
    said: list[str] = []
    run_quality(
        folder, psf, methods=methods, crop=None, device="cpu", out=out, stop=StopToken(), say=said.append,
        drain=drain, volume=volume,
    )  # fmt: skip
    return said


def test_it_measures_resumes_tabulates_and_draws(truths: Path, tmp_path: Path) -> None:
    out = tmp_path / "bench"
    methods = ("input", "rl", "wiener")
    said = run(truths, truths / "psf.npy", out, *methods)
    assert len(said) == 2 * (1 + 5 + 5) + 1
    assert "min left" in said[-2]
    first = (out / "quality.csv").read_text()
    rows = list(csv.DictReader(first.splitlines()))
    assert len(rows) == 2 * (1 + 5 + 5)
    assert all(0.9 < float(row["mean_ratio"]) < 1.1 for row in rows)
    report = (out / "quality.md").read_text()
    assert "| RL 3 | 2 |" in report
    assert "noise2same_d, its best" in report
    picture = iio.imread(out / "quality.png")
    # Truth, input, best of RL and best of Wiener, for two images.
    assert picture.shape == (2 * (192 + 16), 4 * (192 + 2))
    assert picture.std() > 10
    assert run(truths, truths / "psf.npy", out, *methods) == said[-1:]
    assert (out / "quality.csv").read_text() == first


def test_a_stopped_benchmark_goes_on_where_it_stopped(truths: Path, tmp_path: Path) -> None:
    out, stop, said = tmp_path / "bench", StopToken(), []

    def say(line: str) -> None:
        said.append(line)
        stop.stop()

    def measure(token: StopToken) -> None:
        run_quality(
            truths, truths / "psf.npy", methods=["input", "rl-auto"], crop=32, device="cpu", out=out,
            stop=token, say=say, drain=drain,
        )  # fmt: skip

    measure(stop)
    assert len(said) == 1
    assert not (out / "quality.md").exists()
    measure(StopToken())
    assert len(said) == 1 + 3 + 1


def test_a_generated_volume_is_measured(truths: Path, tmp_path: Path) -> None:
    spot = np.zeros((5, 5, 5))
    spot[2, 2, 2] = 1
    np.save(tmp_path / "psf3.npy", gaussian_filter(spot, 1))
    said = run(None, tmp_path / "psf3.npy", tmp_path / "bench", "input", "rl-auto", volume=(8, 24, 24))
    assert said[0].startswith("1/1 microtubules-8x24x24 input")
    assert "SSI" in (tmp_path / "bench" / "quality.md").read_text()


def test_without_a_psf_the_papers_kernel_blurs_and_a_psf_in_the_folder_is_no_truth(
    truths: Path, tmp_path: Path
) -> None:
    np.save(truths / "volume.npy", gaussian_filter(np.random.default_rng(0).random((20, 24, 24)), 1))
    said = run(truths, None, tmp_path / "bench", "input")
    assert [line.split()[1] for line in said[:-1]] == ["t0.png", "t1.png", "volume.npy"]


def test_the_psf_that_is_named_is_no_truth_whatever_it_sums_to(truths: Path, tmp_path: Path) -> None:
    np.save(truths / "psf.npy", 5 * np.load(truths / "psf.npy"))
    said = run(truths, truths / "psf.npy", tmp_path / "bench", "input")
    assert [line.split()[1] for line in said[:-1]] == ["t0.png", "t1.png"]


def test_a_psf_that_cannot_be_read_is_said_before_anything_is_made(truths: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none"):
        run(truths, tmp_path / "none.tif", tmp_path / "bench", "input")
    assert not (tmp_path / "bench").exists()


def test_a_table_of_another_version_is_refused(truths: Path, tmp_path: Path) -> None:
    (tmp_path / "quality.csv").write_text("image,method\n")
    with pytest.raises(ConfigError, match="choose another folder"):
        run(truths, truths / "psf.npy", tmp_path, "input")


def test_names() -> None:
    assert [len(labels(m)) for m in ("input", "rl", "tv", "tv-auto", "tv-cg", "quick@2")] == [1, 5, 4, 1, 4, 1]
    for method in [f"paper:{loss}{end}" for loss in LOSSES for end in ("", "+bound")]:
        config = network(method, 2)
        assert config.optimiser.steps == 3000
        assert (config.loss.weights.bound + config.loss.weights.bound_d > 0) == method.endswith("+bound")
    for wrong in ("rl-n", "quick:noise", "quick@one", "paper:noise2self+box"):
        with pytest.raises(ConfigError, match="expected input, rl"):
            labels(wrong)


def test_the_best_fixed_setting_is_the_same_for_all_images() -> None:
    rows = [
        {"family": "TV", "method": m, "image": i, "psnr": p}
        for m, i, p in [("TV 1", "a", "30"), ("TV 1", "b", "10"), ("TV 2", "a", "22"), ("TV 2", "b", "21")]
    ]
    assert best_fixed(rows) == {"TV": "TV 2"}


def test_networks_are_set_against_classical_methods_and_not_against_each_other() -> None:
    numbers = dict.fromkeys(("ssim", "mi", "smi", "rmse", "mean_ratio", "seconds"), "1") | {"shape": "8x8"}
    found = [("RL", "RL 3", "20"), ("quick", "quick", "22"), ("ssi", "ssi", "19"), ("paper", "paper", "21")]
    rows = [{**numbers, "image": "a", "family": f, "method": m, "psnr": p, "held_out": ""} for f, m, p in found]
    lines = [line for line in markdown(rows).splitlines() if line.startswith("- ")]
    assert lines == [
        "- paper against RL 3: +1.00 dB in the mean, better on 1 of 1",
        "- quick against RL 3: +2.00 dB in the mean, better on 1 of 1",
        "- ssi against RL 3: -1.00 dB in the mean, better on 0 of 1",
    ]


def test_smooth_tv_goes_down_to_where_its_gradient_is_zero() -> None:
    random = np.random.default_rng(0)
    truth = np.zeros((24, 24), np.float32)
    truth[8:16, 8:16] = 1
    spot = np.zeros((5, 5))
    spot[2, 2] = 1
    psf = gaussian_filter(spot, 1)
    psf /= psf.sum()
    blur = Blur(psf)
    x = blur(torch.from_numpy(truth)[None, None])[0, 0].numpy() + 0.05 * random.normal(size=truth.shape)
    x = x.astype(np.float32)

    def energy(f: np.ndarray) -> float:
        f = torch.from_numpy(f).double()
        gradients = torch.stack([torch.diff(f, dim=0, append=f[-1:]), torch.diff(f, dim=1, append=f[:, -1:])])
        smooth = torch.sqrt(gradients.square().sum(0) + 0.01**2).sum()
        return float(
            0.5 * (blur(f.float()[None, None])[0, 0] - torch.from_numpy(x)).square().sum() + 0.02 * smooth
        )

    energies, result = [energy(x)], x
    for steps in (1, 2, 5, 20, 100, 400):
        result = drain(iter_smooth_tv(x, psf, 0.02, steps, device=torch.device("cpu"), stop=StopToken()))
        energies.append(energy(result))
    assert energies == sorted(energies, reverse=True)
    # At the minimum no small change, in any direction, goes lower.
    for _ in range(10):
        change = 1e-2 * random.normal(size=x.shape).astype(np.float32)
        assert energy(result + change) > energies[-1]
    assert np.abs(result - truth).mean() < 0.7 * np.abs(x - truth).mean()


def test_validation_follows_every_knob(truths: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = preset(
        "quick", 2, steps=12, patch=16, features=4, batch_size=2, pretrained=False, device="cpu", auto_stop=False
    )
    monkeypatch.setattr(validation, "network", lambda *_: config)
    said: list[str] = []
    run_validation(
        truths, truths / "psf.npy", methods=["quick"], crop=32, device_name="cpu", out=tmp_path, stop=StopToken(),
        say=said.append, drain=drain,
    )  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "validation.csv").read_text().splitlines()))
    steps = [
        int(float(row["setting"])) for row in rows if row["knob"] == "quick, step" and row["image"] == "t0.png"
    ]
    assert steps == [5, 10]
    counts = [row for row in rows if row["knob"] == "Richardson-Lucy, iterations" and row["image"] == "t1.png"]
    assert [float(row["setting"]) for row in counts] == list(range(1, 21))
    # Too many iterations fit the noise, and the held-out pixels notice.
    assert float(counts[-1]["held_out"]) > min(float(row["held_out"]) for row in counts)
    assert "| total variation, weight | 2 |" in (tmp_path / "validation.md").read_text()


def test_real_images_are_compared_at_pixels_that_no_method_saw(
    truths: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "recorded"
    folder.mkdir()
    psf = np.load(truths / "psf.npy")
    image = measure(iio.imread(truths / "t0.png"), psf, sigma=0.05)
    np.save(folder / "a.npy", image)
    np.save(tmp_path / "psf.npy", 3 * psf)  # any scale will do
    seen: list[np.ndarray] = []

    def remembered(method: str, noisy: np.ndarray, *rest: Any) -> Any:
        seen.append(noisy)
        return benchmark_methods.measure(method, noisy, *rest)

    monkeypatch.setattr(real, "measure", remembered)
    run_real(
        folder, tmp_path / "psf.npy", methods=["input", "rl:5+300"], crop=None, device_name="cpu",
        out=tmp_path / "out", stop=StopToken(), say=lambda _: None, drain=drain,
    )  # fmt: skip
    for given in seen:
        assert 0.03 < (given != image.astype(np.float32)).mean() < 0.05
    rows = {row["method"]: row for row in csv.DictReader((tmp_path / "out" / "real.csv").read_text().splitlines())}
    assert list(rows) == ["input", "RL 5", "RL 300"]
    errors = {method: float(row["error"]) for method, row in rows.items()}
    # No less than the noise; three hundred iterations have fitted it.
    assert 0.04 < errors["RL 5"] < errors["RL 300"]
    assert float(rows["RL 5"]["worse_by"]) == 0
    assert float(rows["RL 300"]["worse_by"]) > 2
    assert "| a.npy | RL 5 |" in (tmp_path / "out" / "real.md").read_text()


def test_a_stop_keeps_the_real_images_that_are_done(truths: Path, tmp_path: Path) -> None:
    stop, said = StopToken(), []

    def say(line: str) -> None:
        said.append(line)
        stop.stop()

    run_real(
        truths, truths / "psf.npy", methods=["rl:2"], crop=32, device_name="cpu", out=tmp_path / "out", stop=stop,
        say=say, drain=drain,
    )  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "out" / "real.csv").read_text().splitlines()))
    assert [row["image"] for row in rows] == ["t0.png"]
    assert said[-1].startswith("wrote ")


def test_other_settings_and_other_noise(truths: Path, tmp_path: Path) -> None:
    out = tmp_path / "both"
    for noise in ("gaussian:0.01", "protocol"):
        run_quality(
            truths, truths / "psf.npy", methods=("rl:4+30", "tv:0.001"), crop=None, device="cpu", out=out,
            stop=StopToken(), say=lambda _: None, drain=drain, noise=noise,
        )  # fmt: skip
    rows = list(csv.DictReader((out / "quality.csv").read_text().splitlines()))
    assert [row["method"] for row in rows] == 4 * ["RL 4", "RL 30", "TV 0.001"]
    quiet, noisy = (row for row in rows if row["method"] == "RL 30" and row["image"].startswith("t0.png"))
    assert (quiet["image"], noisy["image"]) == ("t0.png gaussian:0.01", "t0.png")
    assert float(quiet["psnr"]) > float(noisy["psnr"]) + 2
    with pytest.raises(ConfigError, match="rl:many"):
        labels("rl:many")


@pytest.mark.parametrize("name", ["salt", "gaussian", "gaussian:-1", "poisson:many"])
def test_unknown_noise_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="protocol, gaussian:SIGMA or poisson:PHOTONS"):
        Noise(name)


def test_noise_is_as_strong_as_its_name() -> None:
    flat = np.zeros((64, 64))
    flat[:32] = 1
    spot = np.ones((1, 1))
    assert Noise("gaussian:0.02").of(flat, spot)[40:].std() == pytest.approx(0.02, rel=0.05)
    assert Noise("poisson:50").of(flat, spot)[:30].std() == pytest.approx(1 / np.sqrt(50), rel=0.05)
    assert Noise("gaussian:0.02").of(flat, spot).min() < 0


def test_the_picture_of_the_documentation(tmp_path: Path) -> None:
    make_picture(tmp_path / "methods.png", methods=("input", "rl:2"))
    # Truth, input and Richardson-Lucy, in 2D and in 3D.
    assert iio.imread(tmp_path / "methods.png").shape == (2 * (192 + 16), 3 * (192 + 2))
