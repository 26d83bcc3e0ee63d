"""The speed benchmark: that pairs alternate, that the baselines compute the same, that rows resume and compare."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.errors import ComputeError, ConfigError
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.stop_token import StopToken
from selfdeconv_tools.speed import __main__ as command
from selfdeconv_tools.speed import convolution, figure, find_regressions, opening, run_speed, steps, winning
from selfdeconv_tools.speed.breakdown import group_of
from selfdeconv_tools.speed.catalogue import chosen, figures
from selfdeconv_tools.speed.figure import Pair, Result, Setting, Target
from selfdeconv_tools.speed.inputs import gaussian_psf
from selfdeconv_tools.speed.memory import output_of, peak_of_call, peak_of_side
from selfdeconv_tools.speed.records import machine, new_row
from selfdeconv_tools.speed.reference import PlainBlur, PlainStep
from selfdeconv_tools.speed.report import markdown
from selfdeconv_tools.speed.timing import Timing, alternate

SMALL = Setting(device="cpu", repeats=1, small=True)


class Clock:
    """Time passes only when something is said to take it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def __call__(self) -> float:
        return self.now

    def task(self, name: str, *seconds: float) -> Callable[[], str]:
        times = iter(seconds)

        def call() -> str:
            self.order.append(name)
            self.now += next(times)
            return name

        return call


def run(out: Path, *only: str, **more: object) -> list[str]:
    said: list[str] = []
    run_speed(
        out, device_name="cpu", only=only, repeats=2, small=True, stop=StopToken(), say=said.append, **more
    )  # fmt: skip
    return said


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


@pytest.fixture
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the processes that measure memory: each loads torch anew."""
    monkeypatch.setattr(figure, "peak_of_side", lambda *_: 2**20)


def test_sides_alternate_and_the_middle_of_the_ratios_counts() -> None:
    clock = Clock()
    # Two calls that do not count (the first one slow), then three pairs.
    ours = clock.task("ours", 9.0, 1.0, 1.0, 2.0, 1.0)
    baseline = clock.task("baseline", 9.0, 3.0, 3.0, 2.0, 8.0)
    timing, mine, other = alternate(ours, baseline, 3, clock)
    assert clock.order == ["ours"] * 2 + ["baseline"] * 2 + ["ours", "baseline"] * 3
    assert (mine, other) == ("ours", "baseline")
    assert timing.ratios == [3.0, 1.0, 8.0]
    assert (timing.ours_median_s, timing.baseline_median_s) == (1.0, 3.0)
    assert Result(name="a", size="", compares="", timing=timing).ratio == 3.0


def test_short_calls_are_repeated_and_long_ones_measured_less_often() -> None:
    clock = Clock()
    timing, _, _ = alternate(clock.task("a", *[0.05] * 6), None, 1, clock)
    assert len(clock.order) == 2 + 4
    assert timing.ours_s == pytest.approx((0.05,))
    assert timing.ratios == []
    timing, _, _ = alternate(clock.task("a", *[100.0] * 5), None, 50, clock)
    assert len(timing.ours_s) == 3


def test_targets() -> None:
    result = Result(name="a", size="", compares="", timing=Timing((1.0,), (3.0,)), ours_peak_bytes=10)
    assert Target.ratio(3.0).reached(result) is True
    assert Target.seconds(0.5).reached(result) is False
    assert Target(of="peak_bytes", limit=9, text="").reached(result) is False
    alone = Result(name="a", size="", compares="", timing=Timing((1.0,)))
    assert Target.ratio(3.0).reached(alone) is None


@pytest.mark.parametrize("shape", [(5, 4), (27, 3), (5, 3, 4), (11, 3, 5)])
def test_the_plain_blur_is_the_library_s(shape: tuple[int, ...]) -> None:
    psf = np.random.default_rng(0).random(shape)
    x = torch.rand((2, 1, *[30] * len(shape)), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(PlainBlur(psf, "reflect")(x), Blur(psf)(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "ndim", "pretrained"),
    [
        ("paper", 2, False),
        ("paper", 3, False),
        ("quick", 2, False),
        ("quick", 3, False),
        ("quick", 2, True),
        ("standard", 2, True),
    ],
)
def test_the_plain_step_computes_the_library_s_loss(name: str, ndim: int, pretrained: bool) -> None:
    config = steps.step_config(name, ndim, SMALL)
    if pretrained:
        # A patch that is the whole image, as it lies: there the first result of the image is that of the patch.
        config = preset(name, ndim, patch=40, batch_size=1, augment=False, learning_rate=1e-4)
        assert config.loss.weights.term_with_reference
    runs = [steps.make_run(config, ndim, SMALL, "float32") for _ in range(2)]
    for one in runs:
        # Two passes in one batch share their statistics, two passes one after the other do not.
        one.network.eval()
    plain = PlainStep(runs[1], gaussian_psf(steps.psf_shape(ndim, SMALL)))
    assert all(weight.is_contiguous() for weight in runs[1].network.parameters())
    assert float(runs[0].make_step()["total"]) == pytest.approx(plain(), rel=1e-4)
    # Adam's first step goes by the signs of the gradients: of those near 0 rounding decides.
    assert float(runs[0].make_step()["total"]) == pytest.approx(plain(), rel=8e-2)


def test_auto_chooses_and_a_direct_convolution_of_minutes_is_left_out(
    no_memory: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {f.name: f for f in convolution.figures(Setting(device="cpu"))}
    assert {"forward-17x17", "forward-31x31x31", "forward-64x128x128", "auto-3x3x3"} <= set(found)
    # 3 x 3 is no small kernel to the rule on a processor: 9 voxels are above its 8.
    assert "auto against direct" in found["auto-3x3"].compares
    monkeypatch.setattr(convolution, "estimated_direct_s", lambda *_: 61.0)
    (slow, *_) = convolution.figures(SMALL)
    (result,) = slow.measure(SMALL)
    assert result.ratio is None
    assert "about 61 s a call" in result.note


def test_figures_are_chosen_by_name() -> None:
    found = figures(Setting(device="cpu"))
    names = [f.name for f in found]
    assert len(set(names)) == len(names)
    assert [f.name for f in chosen(found, ["step-2d"])] == ["step-2d-paper", "step-2d-quick"]
    assert chosen(found, []) == found
    with pytest.raises(ConfigError, match="no speed figure is called 'stp'"):
        chosen(found, ["stp"])


def test_every_pair_runs_and_both_sides_return_alike(no_memory: None) -> None:
    for one in figures(SMALL):
        if not isinstance(one, Pair) or one.name.startswith("step-"):
            continue
        ours = np.asarray(one.side("ours", "cpu")())
        assert np.isfinite(ours).all()
        if one.baseline is None or one.missing():
            continue
        # Sums, because the borders of other people's Richardson-Lucy are not ours.
        baseline = np.asarray(one.side("baseline", "cpu")())
        assert float(ours.sum()) == pytest.approx(float(baseline.sum()), rel=0.2, abs=0.2 * ours.size)


def test_it_measures_resumes_and_tabulates(no_memory: None, tmp_path: Path) -> None:
    only = ("step-2d-paper", "rl-scikit-image", "psf-widefield", "profile-2d-quick")
    said = run(tmp_path, *only)
    rows = {row["name"]: row for row in read(tmp_path / "speed.csv")}
    assert {name.split("/")[0] for name in rows} == set(only)
    step = rows["step-2d-paper"]
    assert float(step["ratio_min"]) <= float(step["ratio_median"]) <= float(step["ratio_max"])
    assert float(step["ours_s"]) > 0
    assert (step["to_reach"], step["samples"], step["ours_peak_bytes"]) == (">= 3 times", "2", str(2**20))
    assert "results differ by" in rows["rl-scikit-image"]["note"]
    assert rows["psf-widefield"]["baseline_s"] == ""
    shares = [float(row["rate"]) for name, row in rows.items() if name.startswith("profile-2d-quick/")]
    assert sum(shares) == pytest.approx(100, abs=0.1)
    assert float(rows["profile-2d-quick/convolution backward"]["rate"]) > 0
    report = (tmp_path / "speed.md").read_text("utf-8")
    assert "| step-2d-paper | 1x16x16 PSF 5x5" in report
    assert "| batch norm |" in report
    assert run(tmp_path, *only) == said[-1:]
    assert len(read(tmp_path / "speed.csv")) == len(rows)


def test_a_figure_that_fails_does_not_end_the_others(
    no_memory: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Blur, "_forward", lambda *_: torch.zeros(1).reshape(2))
    said = run(tmp_path, "forward-5x5", "psf-widefield")
    assert said[0].startswith("1/2 forward-5x5 failed: shape")
    assert [row["name"] for row in read(tmp_path / "speed.csv")] == ["psf-widefield"]


def test_a_stopped_benchmark_drops_the_figure_it_was_at(no_memory: None, tmp_path: Path) -> None:
    stop = StopToken()
    stop.stop()
    run_speed(
        tmp_path, device_name="cpu", only=["psf"], repeats=1, small=True, stop=stop, say=lambda _: None
    )  # fmt: skip
    assert not (tmp_path / "speed.csv").exists()


def test_the_race_with_lucy_ends_with_a_preview_and_a_score() -> None:
    (race,) = winning.figures(SMALL, None, None)
    won, first = race.measure(SMALL)
    assert "best Richardson-Lucy" in won.note
    assert first.timing is not None
    assert first.timing.ours_median_s > 0


def test_the_import_is_timed_in_another_process() -> None:
    (result,) = next(f for f in opening.figures() if f.name == "import").measure(SMALL)
    assert result.timing is not None
    assert result.timing.ours_median_s > 0


def test_without_napari_the_dock_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening.importlib.util, "find_spec", lambda _: None)
    (result,) = next(f for f in opening.figures() if f.name == "dock").measure(SMALL)
    assert (result.timing, result.note) == (None, "napari is not installed")


@pytest.mark.usefixtures("memory_given_back")
def test_memory_is_that_of_the_call() -> None:
    megabytes = 64
    peak = peak_of_call(lambda: np.ones((megabytes, 2**20), np.uint8).sum(), "cpu")
    assert 0.8 < peak / (megabytes * 2**20) < 1.5


def test_memory_is_measured_in_another_process() -> None:
    peak = peak_of_side("psf-widefield", "ours", "cpu", True)
    assert peak is not None
    assert 0 <= peak < 2**30
    assert peak_of_side("no such figure", "ours", "cpu", True) is None
    with pytest.raises(ComputeError, match="NameError"):
        output_of([sys.executable, "-c", "nothing"])


def test_operations_are_grouped_by_what_they_are_part_of() -> None:
    assert group_of(["aten::_fft_r2c", "_Linear"]) == "PSF and Wiener filters"
    assert group_of(["aten::mkldnn_convolution", "aten::convolution", "aten::conv2d"]) == "convolution forward"
    assert group_of(["aten::convolution_backward", "ConvolutionBackward0"]) == "convolution backward"
    assert group_of(["aten::addcdiv_", "Optimizer.step#Adam.step"]) == "optimizer"
    assert group_of(["aten::relu"]) == "rest"


def table(path: Path, ours_s: float, baseline_s: float | None, cpu: str = "a") -> Path:
    timing = Timing((ours_s,), () if baseline_s is None else (baseline_s,))
    fast = Result(name="step", size="8", compares="", timing=timing)
    other = Result(name="other", size="8", compares="", timing=Timing((1.0,), (2.0,)))
    rows = [new_row(one, {**machine("cpu"), "cpu": cpu}) for one in (fast, other)]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_slower_figure_is_a_regression(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = table(tmp_path / "old.csv", 1.0, 4.0)
    # Everything is slower on this machine, but not against the baseline.
    assert find_regressions(old, table(tmp_path / "same.csv", 2.0, 7.2, cpu="b")) == ([], 2)
    worse = table(tmp_path / "worse.csv", 1.0, 3.0, cpu="b")
    (line,), _ = find_regressions(old, worse)
    assert line.startswith("step (8, cpu): 4 times the baseline's speed before, 3 now")
    assert find_regressions(old, worse, 0.5)[0] == []
    assert command.main(["compare", str(old), str(worse)]) == 1
    assert "1 of 2 figures became more than 15% slower" in capsys.readouterr().err
    assert command.main(["compare", str(old), str(worse), "--tolerance", "0.5"]) == 0
    assert command.main(["compare", str(old), str(tmp_path / "none.csv")]) == 2


def test_seconds_are_compared_on_one_machine_only(tmp_path: Path) -> None:
    old = table(tmp_path / "old.csv", 1.0, None)
    (line,), compared = find_regressions(old, table(tmp_path / "slow.csv", 1.3, None))
    assert compared == 2
    assert "1.30 times slower" in line
    short = table(tmp_path / "short.csv", 0.001, None)
    assert find_regressions(short, table(tmp_path / "noise.csv", 0.002, None)) == ([], 2)
    assert find_regressions(old, table(tmp_path / "elsewhere.csv", 1.3, None, cpu="b")) == ([], 1)


def test_the_table_says_what_was_not_measured() -> None:
    row = new_row(Result(name="rl", size="8", compares="us with them", note="not installed"), machine("cpu"))
    assert "| rl | 8 |  |  |  |  |  |  |  | not installed |" in markdown([row])


def test_gaussian_psf_sums_to_one_with_its_peak_in_the_middle() -> None:
    psf = gaussian_psf((4, 7))
    assert psf.sum() == pytest.approx(1)
    assert np.unravel_index(psf.argmax(), psf.shape) == (2, 3)
