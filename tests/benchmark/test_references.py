"""Real images with a reference: how results are compared with it, and the command."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from napari_selfdeconv import api
from napari_selfdeconv.benchmark.references import frame_pairs
from napari_selfdeconv.cli import main
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.metrics.references import find_lines, fitted_psnr, line_contrast, measure_darkness
from napari_selfdeconv.simulate.widefield import simulate_stack


def lines(contrast: float, noise: float, angle: float = 0.3) -> np.ndarray:
    y, x = np.mgrid[:96, :104]
    wave = np.cos(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / 12)
    plane: np.ndarray = 20 * (1 + contrast * wave) + np.random.default_rng(0).normal(0, noise, wave.shape)
    return plane


def test_lines_are_measured_at_any_angle() -> None:
    for angle in (0.0, 0.3, 1.2):
        found = find_lines(lines(0.5, 3, angle))
        assert found.spacing == pytest.approx(12, rel=0.03)
    sharp, grainy = (line_contrast(lines(0.5, noise), find_lines(lines(0.5, 3))) for noise in (1, 8))
    assert sharp[0] == pytest.approx(0.5, abs=0.05)
    assert sharp[1] < 0.2 * grainy[1]
    with pytest.raises(ConfigError, match="too small"):
        find_lines(np.ones((6, 6)))


def test_gain_and_offset_do_not_count() -> None:
    reference = lines(0.5, 0)
    assert fitted_psnr(3 * lines(0.5, 2) - 7, reference) == pytest.approx(fitted_psnr(lines(0.5, 2), reference))


def test_haze_plates_and_dark_rims_are_seen() -> None:
    image = np.random.default_rng(0).normal(100, 1, (9, 24, 24))
    image[3:6, 6:18, 6:18] += 50
    hazy, plates, rim = image + 10, image.copy(), image.copy()
    plates[4, 6:18, 6:18] = 150
    rim[4, 5, 5:19] -= 9
    plain = measure_darkness(image, image - 100, image, 100.0, 1.0)
    assert plain.light == pytest.approx(1)
    assert abs(plain.first) < 0.05
    assert measure_darkness(hazy, hazy - 100, image, 100.0, 1.0).first > 0.3
    assert measure_darkness(plates, plates - 100, image, 100.0, 1.0).equal > plain.equal + 0.04
    assert measure_darkness(rim, rim - 100, image, 100.0, 1.0).rim > plain.rim + 3


def test_pairs_are_found_by_their_names(tmp_path: Path) -> None:
    for name in ("a_1frame.tif", "a_400frames.tif", "a_16frames.tif", "b_1frame.tif", "notes.txt"):
        (tmp_path / name).touch()
    (found,) = frame_pairs(tmp_path)
    assert (found.name, found.path.name) == ("a", "a_1frame.tif")
    assert found.reference == tmp_path / "a_400frames.tif"
    with pytest.raises(ConfigError, match="NAME_1frame"):
        list(frame_pairs(tmp_path / "none"))


def test_the_command_adds_to_its_table(tmp_path: Path) -> None:
    scene = gaussian_filter(np.random.default_rng(0).random((40, 40)) ** 8, 1.5)
    expected = 100 * scene / scene.max()
    api.write_ome_tiff(tmp_path / "s_1frame.tif", np.random.default_rng(1).poisson(expected).astype(np.float32))
    api.write_ome_tiff(tmp_path / "s_100frames.tif", expected.astype(np.float32))
    api.write_ome_tiff(tmp_path / "stack.tif", simulate_stack(0, field=(6, 28, 28)).image)
    api.write_ome_tiff(tmp_path / "grid.tif", lines(0.5, 3).astype(np.float32))
    words = ["--na", "1.2", "--wavelength-um", "0.52", "--refractive-index", "1.33", "--device", "cpu"]
    words += ["--methods", "input", "rl:4", "--out", str(tmp_path / "out")]
    flat = ["--voxel-um", "0.1", "0.1", *words]
    assert main(["benchmark", "real", "--pairs", str(tmp_path), *flat]) == 0
    assert main(["benchmark", "real", "--lines", str(tmp_path / "grid.tif"), *flat]) == 0
    stack = ["--stack", str(tmp_path / "stack.tif"), "--voxel-um", "0.3", "0.12", "0.12", *words]
    assert main(["benchmark", "real", *stack]) == 0
    with (tmp_path / "out" / "references.csv").open(encoding="utf-8") as file:
        rows = {(row["kind"], row["method"]): row for row in csv.DictReader(file)}
    assert len(rows) == 6
    assert float(rows["frames", "RL 4"]["psnr"]) > float(rows["frames", "input"]["psnr"])
    assert float(rows["stack", "RL 4"]["first"]) < float(rows["stack", "input"]["first"])
    assert rows["lines", "RL 4"]["contrast"]
    assert rows["lines", "RL 4"]["psnr"] == ""
    assert "AVX512-BF16" in rows["lines", "RL 4"]["machine"]
    assert main(["benchmark", "real", *stack, "--images", str(tmp_path)]) == 2
    assert main(["benchmark", "real", *words]) == 2
