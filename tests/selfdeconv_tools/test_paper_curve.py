"""The curve of a run with the paper's settings: its rows, and that it goes on where it was."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from napari_selfdeconv.api import Checkpoint
from napari_selfdeconv.simulate import degrade
from selfdeconv_tools import paper_curve

pytestmark = pytest.mark.usefixtures("told_of_every_step")
TINY = "paper:noise2self+bound,steps=4,features=4,levels=2,patch=16,batch_size=1"


@pytest.fixture
def told_of_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_selfdeconv.training.loop.REPORT_EVERY_S", 0.0)


def test_a_row_every_second_step_and_one_at_the_end(tmp_path: Path) -> None:
    words = ["--method", TINY, "--volume", "18", "18", "18", "--every", "2", "--out", str(tmp_path)]
    paper_curve.main(words)
    with (tmp_path / "paper_curve.csv").open(newline="", encoding="utf-8") as file:
        half, end = csv.DictReader(file)
    assert (half["step"], end["step"], end["steps"]) == ("2", "4", "4")
    assert half["shape"] == "18x18x18"
    assert float(half["psnr"]) != float(end["psnr"])


def test_a_run_that_was_left_goes_on_and_ends_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_selfdeconv.training.checkpoint.EVERY_S", 0.0)
    truth = np.random.default_rng(0).random((24, 24), dtype=np.float32)
    psf = np.full((3, 3), 1 / 9, np.float32)
    noisy = degrade(truth, psf)

    def rows(name: str) -> list[paper_curve.Row]:
        checkpoint = Checkpoint(tmp_path / name, resume=True)
        return list(paper_curve.measure(TINY, "a", truth, noisy, psf, 2, checkpoint))

    whole = rows("whole")
    left = paper_curve.measure(TINY, "a", truth, noisy, psf, 2, Checkpoint(tmp_path / "left", resume=True))
    assert next(left).step == 2
    left.close()  # type: ignore[attr-defined]
    assert (tmp_path / "left").exists()
    rest = rows("left")
    assert [row.step for row in rest] == [4]
    assert rest[-1].psnr == whole[-1].psnr
