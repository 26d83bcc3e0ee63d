"""The benchmark of the intervals: rows, what is not measured twice, and the figures."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_selfdeconv.benchmark.coverage import cover
from napari_selfdeconv.cli import main
from napari_selfdeconv.io.images import write_ome_tiff

TINY = "quick,steps=1,patch=16,batch_size=1,refine=false"


def test_the_figures_of_a_row() -> None:
    truth = np.arange(8.0).reshape(2, 4)
    result = truth.copy()
    result[0] += 2
    marked = np.zeros((2, 4), bool)
    marked[0, :2] = True
    found: Any = SimpleNamespace(result=result, half_width=np.ones((2, 4)), unsupported=marked)
    assert cover(found, truth) == {
        "coverage": 0.5,
        "half_width": pytest.approx(1 / 7, abs=1e-3),
        "error": pytest.approx(np.sqrt(2) / 7, abs=1e-3),
        "marked": 0.25,
        "marked_coverage": 0.0,
    }


def test_rows_are_added_and_not_measured_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truths = tmp_path / "truths"
    truths.mkdir()
    y, x = np.mgrid[:48, :48]
    write_ome_tiff(truths / "a.tif", (100 * np.exp(-((y - 20) ** 2 + (x - 30) ** 2) / 60)).astype(np.float32))
    asked = ["benchmark", "coverage", "--images", str(truths), "--method", TINY, "--out", str(tmp_path / "out")]
    assert main([*asked, "--noise", "gaussian:0.05"]) == 0
    capsys.readouterr()
    assert main([*asked, "--noise", "gaussian:0.05", "protocol"]) == 0
    told = capsys.readouterr().err
    assert "protocol:" in told
    assert "gaussian:0.05:" not in told
    lines = (tmp_path / "out" / "coverage.csv").read_text().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("image,shape,noise,psf,method,coverage,half_width")
    assert "| a.tif | protocol | 17x17 |" in (tmp_path / "out" / "coverage.md").read_text()
    assert main(["benchmark", "coverage", "--out", str(tmp_path)]) == 2
