"""Microscopes: a file gives back what was saved, and the last ten named ones are remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_selfdeconv import api
from napari_selfdeconv.api import CoverslipLayers, Microscope, Optics
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.microscope_files import FOLDER_VARIABLE, MOST

OIL = Optics(na=1.4, wavelength_um=0.51, refractive_index=1.515)
CONFOCAL = Optics(
    na=1.2, wavelength_um=0.52, refractive_index=1.33, excitation_um=0.488, pinhole_au=1.0,
    pixel_integration=False, layers=CoverslipLayers(sample_index=1.38, sample_depth_um=20.0),
)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "settings"))


@pytest.mark.parametrize("voxel", [None, (0.3, 0.13, 0.13), (0.1, 0.1)])
@pytest.mark.parametrize("optics", [OIL, CONFOCAL])
def test_a_file_gives_back_what_was_saved(tmp_path: Path, optics: Optics, voxel: tuple[float, ...] | None) -> None:
    saved = Microscope(name='Zeiss 63x/1.4 öl, "GFP"', optics=optics, voxel_um=voxel)
    api.save_microscope(tmp_path / "zeiss.toml", saved)
    assert api.load_microscope(tmp_path / "zeiss.toml") == saved


def test_a_file_can_be_written_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'format = "napari-selfdeconv microscope 1"\nname = "mine"\n'
        "[optics]\nna = 0.8\nwavelength_um = 0.6\nrefractive_index = 1\n",
        "utf-8",
    )
    assert api.load_microscope(path).optics == Optics(na=0.8, wavelength_um=0.6, refractive_index=1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = 'x'", "its format is not"),
        ("name = ", "does not hold a microscope"),
        ('format = "napari-selfdeconv microscope 1"\nname = "x"', "missing setting for Microscope: optics"),
        (
            'format = "napari-selfdeconv microscope 1"\nname = "x"\n'
            "[optics]\nna = 1.6\nwavelength_um = 0.6\nrefractive_index = 1.515",
            "na must be below refractive_index",
        ),
    ],
)
def test_another_file_is_refused_in_words(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "other.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(ConfigError, match=words) as error:
        api.load_microscope(path)
    assert "other.toml" in str(error.value)


def test_the_last_ten_are_remembered_newest_first() -> None:
    assert api.remembered_microscopes() == []
    for number in range(MOST + 2):
        api.remember_microscope(Microscope(name=f"number {number}", optics=OIL))
    assert [one.name for one in api.remembered_microscopes()] == [f"number {n}" for n in range(MOST + 1, 1, -1)]
    api.remember_microscope(Microscope(name="number 5", optics=CONFOCAL))
    first, *others = api.remembered_microscopes()
    assert (first.name, first.optics, len(others)) == ("number 5", CONFOCAL, MOST - 1)
    assert "number 5" not in [one.name for one in others]
    api.forget_microscope("number 5")
    assert api.remembered_microscopes() == others
