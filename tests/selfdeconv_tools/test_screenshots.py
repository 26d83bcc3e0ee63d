"""The pictures of the documentation: every one that a page shows is made by the script, by the real docks."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_selfdeconv import Optics, api
from napari_selfdeconv.config.microscope import Microscope
from napari_selfdeconv.io.microscope_files import FOLDER_VARIABLE, remember_microscope, remembered_microscopes
from selfdeconv_tools.screenshots import Photographer, nobodys_settings

ROOT = Path(__file__).parents[2]


@pytest.mark.canvas
@pytest.mark.timeout(600)
def test_every_picture_is_made(
    make_napari_viewer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, cut in (("sample_2d", np.s_[::4, ::4]), ("sample_3d", np.s_[::3, :64, :64])):
        sample = getattr(api, name)()
        small = replace(sample, image=sample.image[cut].copy(), truth=sample.truth[cut].copy())
        monkeypatch.setattr(api, name, lambda small=small: small)
    monkeypatch.setattr("selfdeconv_tools.screenshots.MOVIE", (slice(16, 96), slice(16, 96)))
    Photographer(make_napari_viewer(show=True), tmp_path, steps=2, settle_s=0.05).take_all()
    made = {path.name for path in tmp_path.iterdir()}
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    wanted = {
        Path(found).name
        for page in pages
        for found in re.findall(r"!\[[^]]*\]\(([^)]+)\)", page.read_text("utf-8"))
    }
    # These show no dock: `picture`, `sections` and `pages` make them, with tests of their own.
    others = {"methods.png", "widefield.png", "nucleus.png", "lines.png", "gains.svg", "architecture.svg"}
    assert wanted == made | others
    assert wanted == {path.name for path in (ROOT / "docs" / "images").iterdir()}


def test_pictures_show_nothing_of_whoever_makes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    remember_microscope(Microscope(name="mine", optics=Optics(na=1.2, wavelength_um=0.5, refractive_index=1.33)))
    mine = {path.name for path in tmp_path.iterdir()}
    with nobodys_settings():
        assert remembered_microscopes() == []
        settings = Path(os.environ["NAPARI_CONFIG"])
        assert settings.parent == Path(os.environ[FOLDER_VARIABLE]) != tmp_path
        (settings.parent / "left behind").touch()
    assert not settings.parent.exists()
    assert {path.name for path in tmp_path.iterdir()} == mine
    assert [one.name for one in remembered_microscopes()] == ["mine"]


def test_a_picture_waits_until_the_dock_is_laid_out(
    open_dock: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dock = open_dock(show=True)
    photographer = Photographer(dock.viewer, tmp_path, settle_s=0.05)
    moves, wait = 6, photographer._wait

    def move_and_wait(seconds: float) -> None:
        nonlocal moves
        if moves:
            moves -= 1
            dock.setFixedWidth(360 + moves)
        wait(seconds)

    monkeypatch.setattr(photographer, "_wait", move_and_wait)
    photographer._settle()
    assert (moves, dock.width()) == (0, 360)
