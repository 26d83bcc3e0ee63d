"""The check of a graphics card, at sizes that only test the code, on the processor."""

from __future__ import annotations

import csv
from multiprocessing.pool import ThreadPool
from pathlib import Path

import numpy as np
import pytest

from napari_selfdeconv.config.presets import preset
from selfdeconv_tools.gpu_check import results
from selfdeconv_tools.gpu_check.__main__ import main
from selfdeconv_tools.gpu_check.table import Bench


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


def test_an_error_on_the_processor_is_a_row_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compute(case: results.Case, _config: object) -> results.Computed:
        if case.name == "broken":
            raise RuntimeError("no memory")
        return case.noisy, 1.0, "float32"

    monkeypatch.setattr(results, "_on_processor", compute)
    bench = Bench("cpu", tmp_path / "gpu_check.csv", 60.0, True, lambda _line: None)
    processor = results.Processor(ThreadPool(1))
    image = np.random.default_rng(0).random((8, 8), np.float32)
    for name in ("broken", "whole"):
        processor.begin(name, results.Case(name, image, image), preset("instant", 2), image)
    processor.compare(bench)
    told = {row["case"]: row for row in rows_of(tmp_path) if row["quantity"] == "difference"}
    assert (told["broken"]["value"], told["broken"]["note"]) == ("failed", "RuntimeError: no memory")
    assert told["whole"]["value"] == "0"
