"""What a method invents: scenes with a known truth, the figures, and the command."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from napari_selfdeconv.benchmark.trust_figures import measure_figures
from napari_selfdeconv.benchmark.trust_scenes import make_scene, scene_names
from napari_selfdeconv.cli import main


@pytest.mark.parametrize("name", scene_names())
def test_a_scene_is_what_it_says(name: str) -> None:
    scene = make_scene(name, size=64)
    assert scene.image.shape == scene.empty.shape == scene.support.shape == (64, 64)
    assert np.isfinite(scene.image).all()
    assert float(scene.psf.sum()) == pytest.approx(1)
    assert np.array_equal(scene.image, make_scene(name, size=64).image)
    # Nothing is claimed to be there where the image is empty, and what is there is brighter.
    if scene.support.any():
        light = scene.image - scene.empty
        assert light[scene.support].mean() > light[~scene.support].mean() + 2 * scene.noise
    assert measure_figures(scene, scene.empty).false_peaks == 0


def test_peaks_that_are_not_there_are_counted_and_lost_ones_missed() -> None:
    scene = make_scene("points", size=96)
    light = np.zeros_like(scene.image)
    for (y, x), height in zip(scene.points.round().astype(int), scene.brightness, strict=True):
        light[y, x] = 1000 * height
    perfect = measure_figures(scene, scene.empty + light)
    assert (perfect.false_peaks, perfect.missed, perfect.outside) == (0, 0, 0.0)
    false = light.copy()
    false[~scene.support & (np.indices(light.shape).sum(axis=0) % 40 == 0)] = 900
    assert measure_figures(scene, scene.empty + false).false_peaks > 5
    lost = light.copy()
    first, second = scene.points[:2].round().astype(int)
    lost[tuple(first)] = lost[tuple(second)] = 0
    assert measure_figures(scene, scene.empty + lost).missed == 2
    # Light that is everywhere lies outside the points.
    figures = measure_figures(scene, scene.empty + light + 5)
    assert figures.outside is not None
    assert figures.outside > 0.5


def test_pairs_and_grain() -> None:
    scene = make_scene("pairs", size=96)
    merged = np.where(scene.support, 100.0, 0).astype(np.float32)
    assert measure_figures(scene, scene.empty + merged).contrast == pytest.approx((0.0,) * 5)
    apart = np.zeros_like(scene.image)
    for place in scene.points.round().astype(int):
        apart[tuple(place)] = 1000
    contrast = measure_figures(scene, scene.empty + apart).contrast
    assert contrast is not None
    assert contrast[-1] > 0.9
    noise = make_scene("Gaussian noise 10", size=64)
    figures = measure_figures(noise, noise.image)
    assert figures.grain == pytest.approx(1, abs=0.05)
    assert figures.false_peaks > 5


def test_the_command_writes_its_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_selfdeconv.benchmark.trust.EQUAL_FIT", {"RL": "rl:2+9"})
    words = ["benchmark", "trust", "--size", "64", "--device", "cpu", "--out", str(tmp_path)]
    few = ["--scenes", "bead", "pairs", "--methods", "quick,steps=1,average_symmetries=false,refine=false", "rl:3"]
    assert main([*words, *few]) == 0
    with (tmp_path / "trust.csv").open(encoding="utf-8") as file:
        rows = {(row["scene"], row["method"]): row for row in csv.DictReader(file)}
    assert len(rows) == 6
    assert rows["bead", "RL 3"]["false_peaks"] == rows["bead", "RL 3"]["missed"] == "0"
    assert "AVX512-BF16" in rows["bead", "RL 3"]["machine"]
    assert rows["bead", "RL 3"]["pair_10"] == ""
    assert float(rows["pairs", "RL 3"]["pair_14"]) > float(rows["pairs", "RL 3"]["pair_06"])
    # Of the counts that are compared the one is taken that fits the image as the first method does.
    first, equal = (
        next(row for (_, method), row in rows.items() if method.startswith(start))
        for start in ("quick", "RL as quick")
    )
    assert abs(float(equal["misfit"]) - float(first["misfit"])) < 0.5
    assert "| bead |" in (tmp_path / "trust.md").read_text(encoding="utf-8")
    # Other scenes are added to the table.
    assert main([*words, "--scenes", "points", "--methods", "rl:3"]) == 0
    with (tmp_path / "trust.csv").open(encoding="utf-8") as file:
        assert [row["scene"] for row in csv.DictReader(file)].count("points") == 2
    assert "| pairs |" in (tmp_path / "trust.md").read_text(encoding="utf-8")
    assert main([*words, "--scenes", "nowhere"]) == 2
    assert main([*words[:3], "8", *words[4:]]) == 2
