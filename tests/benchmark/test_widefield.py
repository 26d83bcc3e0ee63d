"""The simulated stack and its benchmark."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from napari_selfdeconv.benchmark.widefield import score
from napari_selfdeconv.cli import main
from napari_selfdeconv.physics.mask import find_unmeasured
from napari_selfdeconv.simulate.widefield import OFFSET, Defect, simulate_stack

FIELD = (6, 28, 28)


def test_the_stack_has_light_from_outside_and_an_offset() -> None:
    sample, other = simulate_stack(0, field=FIELD), simulate_stack(1, field=FIELD)
    assert sample.image.shape == sample.truth.shape == FIELD
    assert sample.image.dtype == sample.truth.dtype == np.float32
    assert not np.array_equal(sample.truth, other.truth)
    assert np.array_equal(sample.image, simulate_stack(0, field=FIELD).image)
    assert OFFSET < sample.image.mean() < OFFSET + 200
    # Where the truth is empty a widefield image is far from dark.
    empty = sample.truth < 0.01 * sample.truth.max()
    assert (sample.image[empty].mean() - OFFSET) > 0.2 * (sample.image.mean() - OFFSET)


def test_a_confocal_stack_has_less_haze_and_fewer_photons() -> None:
    wide, confocal = (simulate_stack(0, kind, FIELD) for kind in ("widefield", "confocal"))  # type: ignore[arg-type]
    assert np.array_equal(wide.truth, confocal.truth)
    assert confocal.image.max() < wide.image.max()
    assert score(confocal.image, wide.truth)["correlation"] > score(wide.image, wide.truth)["correlation"]


@pytest.mark.parametrize("defect", ["star", "column", "quadrant"])
def test_a_defect_spoils_its_pixels_alone_and_is_found(defect: Defect) -> None:
    sample = simulate_stack(0, field=(6, 48, 48), defect=defect)
    assert 0 < sample.spoiled.mean() < 0.3
    np.testing.assert_array_equal(sample.image[~sample.spoiled], sample.sound[~sample.spoiled])
    assert not np.isin(sample.image[sample.spoiled], sample.sound[sample.spoiled]).all()
    np.testing.assert_array_equal(find_unmeasured(sample.image).any, sample.spoiled)


def test_the_command_measures_light_beside_defects(tmp_path: Path) -> None:
    words = [
        "--field",
        "6",
        "40",
        "40",
        "--seeds",
        "0",
        "--methods",
        "rl:4",
        "--defects",
        "column",
        "--device",
        "cpu",
    ]
    assert main(["benchmark", "widefield", *words, "--out", str(tmp_path)]) == 0
    with (tmp_path / "widefield.csv").open(encoding="utf-8") as file:
        plain, column = csv.DictReader(file)
    assert (plain["beside"], column["stack"]) == ("", "widefield, column")
    assert abs(float(column["beside"])) < 0.1


def test_gain_and_offset_do_not_count_and_haze_does() -> None:
    truth = simulate_stack(0, field=FIELD).truth
    exact, scaled = score(truth, truth), score(7 * truth + 100, truth)
    assert scaled["haze"] == pytest.approx(exact["haze"], abs=1e-3)
    assert scaled["correlation"] == 1
    assert scaled["psnr"] > 80
    hazy = score(truth + 0.3 * np.random.default_rng(0).random(truth.shape), truth)
    assert hazy["haze"] > exact["haze"] + 0.05
    assert hazy["psnr"] < 40


def test_the_command_writes_a_table(tmp_path: Path) -> None:
    words = ["--field", *map(str, FIELD), "--seeds", "0", "--methods", "input", "rl:3+6", "--device", "cpu"]
    assert main(["benchmark", "widefield", *words, "--out", str(tmp_path)]) == 0
    with (tmp_path / "widefield.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == ["input", "RL 3", "RL 6"]
    assert float(rows[2]["haze"]) < float(rows[0]["haze"])
    assert all(row["date"] and row["machine"] and row["version"] for row in rows)
    assert "| widefield | RL 6 |" in (tmp_path / "widefield.md").read_text(encoding="utf-8")
