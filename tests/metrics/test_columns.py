"""The registry of metrics: one row, and API, command line, table, CSV and benchmark know the metric."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_selfdeconv import api
from napari_selfdeconv.benchmark.methods import Measured
from napari_selfdeconv.benchmark.records import append_row, new_row, read_rows
from napari_selfdeconv.benchmark.report import markdown
from napari_selfdeconv.cli import main
from napari_selfdeconv.io.images import write_ome_tiff
from napari_selfdeconv.metrics.columns import COLUMNS, Column, Residual, TruthPair, explain_columns

TRUTH = np.random.default_rng(0).random((32, 32)).astype(np.float32)
RESULT = (0.5 * TRUTH).astype(np.float32)


def _bias(pair: TruthPair) -> float:
    return float(pair.result.mean() - pair.truth.mean())


def _highest(found: Residual) -> float:
    return float(found.result.max())


@pytest.fixture
def dummies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two metrics that exist in the registry only."""
    bias = Column(title="Bias", unit="units", score=_bias, needs_truth=True, better=-1, digits=".1f")
    highest = Column(
        title="Highest", score=_highest, needs_truth=False, better=0, digits=".1f", note="Highest is the maximum."
    )
    monkeypatch.setitem(COLUMNS, "bias", bias)
    monkeypatch.setitem(COLUMNS, "highest", highest)


@pytest.mark.usefixtures("dummies")
def test_a_row_of_the_registry_is_known_to_api_and_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bias = float(RESULT.mean() - TRUTH.mean())
    assert api.evaluate(RESULT, TRUTH)["bias"] == pytest.approx(bias)
    assert api.evaluate_without_truth(RESULT, TRUTH, np.ones((1, 1)))["highest"] == RESULT.max()
    monkeypatch.chdir(tmp_path)
    write_ome_tiff(tmp_path / "truth.tif", TRUTH)
    write_ome_tiff(tmp_path / "result.tif", RESULT)
    assert main(["evaluate", "result.tif", "truth.tif"]) == 0
    assert f"Bias         {bias:.1f} units" in capsys.readouterr().out.splitlines()
    assert main(["evaluate", "result.tif", "truth.tif", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bias"] == pytest.approx(bias)


@pytest.mark.usefixtures("dummies")
def test_a_row_of_the_registry_is_known_to_the_table(qtbot: Any) -> None:
    from napari_selfdeconv._gui.panels.metrics_table import MetricsTable
    from napari_selfdeconv._gui.runs.compare import Row

    table = MetricsTable()
    qtbot.addWidget(table)
    table.show_rows([Row("a", {"bias": 0.25, "highest": 3.0}), Row("b", {"bias": 0.75, "highest": math.nan})])
    heads = [table.horizontalHeaderItem(i).text() for i in range(table.columnCount())]
    assert heads == ["Method", "Bias, units", "Highest"]
    assert [table.item(0, 1).text(), table.item(1, 2).text()] == ["0.2", "–"]
    assert [table.item(row, 1).font().bold() for row in (0, 1)] == [True, False]
    assert "Less is better: Bias." in table.explain()
    assert "Highest is the maximum." in table.explain()
    assert next(csv.reader(table.text(",").splitlines())) == ["method", "bias", "highest"]


@pytest.mark.usefixtures("dummies")
def test_a_row_of_the_registry_is_known_to_the_benchmark(tmp_path: Path) -> None:
    found = Measured(label="RL 2", family="RL", image=RESULT, seconds=1.0, device="cpu")
    append_row(tmp_path / "t.csv", new_row("a", TRUTH, TRUTH, None, found))
    rows = read_rows(tmp_path / "t.csv")
    assert float(rows[0]["bias"]) == pytest.approx(_bias(TruthPair(RESULT, TRUTH)), abs=1e-4)
    lines = markdown(rows).splitlines()
    assert "| method | images | PSNR | SSIM | MI | SMI | RMSE | Bias | mean out / in | seconds |" in lines
    assert len({line.count("|") for line in lines if line.startswith("| *paper") or "| RL 2 | 1" in line}) == 1


def test_the_registry_is_read_without_torch_and_scipy() -> None:
    code = (
        "import sys, napari_selfdeconv.metrics.columns\n"
        "print([name for name in ('torch', 'scipy', 'skimage') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_is_said_of_columns_without_a_truth() -> None:
    said = explain_columns(["whiteness", "frc_resolution"])
    assert said.startswith("A good result leaves a white residual")
    assert "truth" not in said
