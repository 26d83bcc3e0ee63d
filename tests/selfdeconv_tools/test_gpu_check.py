"""The check of a graphics card, at sizes that only test the code, on the processor."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from selfdeconv_tools.gpu_check import results
from selfdeconv_tools.gpu_check.__main__ import main


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "gpu_check.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_part_gives_rows_and_none_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "PRESETS", ("instant",))
    monkeypatch.setattr(results, "PAPER", results.PAPER[:1])
    assert main(["--device", "cpu", "--tiny", "--out", str(tmp_path)]) == 0
    rows = rows_of(tmp_path)
    assert {row["part"] for row in rows} == {
        *("device", "step", "memory", "convolution", "transfers", "presets", "compile", "graphs", "paper", "check")
    }
    assert [row for row in rows if row["value"] == "failed"] == []
    # The same weights on the same device: only the precision differs.
    differences = [float(row["value"]) for row in rows if row["quantity"] == "difference"]
    assert len(differences) == 2
    assert max(differences) < 0.05


def test_what_there_is_no_time_for_is_a_row(tmp_path: Path) -> None:
    assert main(["--device", "cpu", "--tiny", "--out", str(tmp_path), "--budget-s", "0"]) == 0
    rows = rows_of(tmp_path)
    missing = {row["part"] for row in rows if row["value"] == "not run"}
    assert missing == {"step", "convolution", "transfers", "presets", "compile", "paper"}
