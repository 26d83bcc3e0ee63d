"""The registry of PSF models: one row, and API, command line, dock and parameter files know the model."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_selfdeconv import api
from napari_selfdeconv.cli import main
from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.images import read_image
from napari_selfdeconv.psf.models import (
    MODELS,
    Computed,
    Parameter,
    PsfModel,
    make_optics,
    model_key,
    parameter_values,
)

SHARED: dict[str, Any] = {"na": 0.8, "wavelength_um": 0.52, "refractive_index": 1.33}
SHAPE, SPACING = (9, 41, 41), (0.4, 0.15, 0.15)


def _light_sheet(shape: Sequence[int], spacing: Sequence[float], optics: Optics) -> Computed:
    """Widefield detection of a sheet with a Gaussian profile."""
    psf, sampling, window = MODELS["widefield"].compute(shape, spacing, optics)
    z = (np.arange(shape[0]) - shape[0] // 2) * spacing[0]
    psf = psf * np.exp(-2 * (z / parameter_values(optics)["sheet_um"]) ** 2)[:, None, None]
    return (psf / psf.sum()).astype(np.float32), sampling, window


@pytest.fixture
def light_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that exists in the registry only."""
    sheet = Parameter(
        name="sheet_um",
        label="Sheet, µm",
        summary="half thickness of the sheet, um",
        proposed=2.0,
        low=0.1,
        high=50.0,
    )
    row = PsfModel(
        title="Light sheet",
        summary="A sheet of light",
        compute=_light_sheet,
        suggest_shape=MODELS["widefield"].suggest_shape,
        parameters=(sheet,),
    )
    monkeypatch.setitem(MODELS, "light-sheet", row)


@pytest.mark.usefixtures("light_sheet")
def test_a_row_of_the_registry_is_known_to_the_api(tmp_path: Path) -> None:
    optics = make_optics("light-sheet", {"sheet_um": 1.0}, **SHARED)
    psf = api.richards_wolf_psf(SHAPE, SPACING, optics)
    wide = api.richards_wolf_psf(SHAPE, SPACING, Optics(**SHARED))
    assert psf.sum() == pytest.approx(1, abs=1e-5)
    assert psf[0].sum() < 0.1 * wide[0].sum()
    assert api.suggest_psf_shape(optics, SPACING, (32, 64, 64)) == api.suggest_psf_shape(
        Optics(**SHARED), SPACING, (32, 64, 64)
    )
    api.save_parameters(tmp_path / "p.json", api.PsfParameters(optics=optics, voxel_um=SPACING, shape=SHAPE))
    assert api.load_parameters(tmp_path / "p.json").optics == optics


@pytest.mark.usefixtures("light_sheet")
def test_a_row_of_the_registry_is_known_to_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["psf", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "{widefield,confocal,light-sheet}" in told
    assert "--sheet-um UM light sheet: half thickness of the sheet, um" in told
    words = ["psf", "--na", "0.8", "--wavelength-um", "0.52", "--refractive-index", "1.33", "--sheet-um", "1"]
    words += ["--voxel-um", *map(str, SPACING), "--shape", *map(str, SHAPE), "--out", str(tmp_path / "p.tif")]
    assert main(words) == 0
    expected = api.richards_wolf_psf(SHAPE, SPACING, make_optics(None, {"sheet_um": 1.0}, **SHARED))
    assert np.array_equal(read_image(tmp_path / "p.tif").data, expected)
    assert main([*words, "--overwrite", "--pinhole-au", "1"]) == 2
    assert "no PSF model has all of" in capsys.readouterr().err


@pytest.mark.usefixtures("light_sheet")
def test_a_row_of_the_registry_is_known_to_the_form(qtbot: Any) -> None:
    from napari.components import ViewerModel

    from napari_selfdeconv._gui.forms.microscope import SharedMicroscope
    from napari_selfdeconv._gui.forms.optics import OpticsForm
    from napari_selfdeconv._gui.forms.voxels import VoxelFields

    shared, voxels = SharedMicroscope(), VoxelFields(ViewerModel())
    form = OpticsForm(shared, voxels)
    for widget in (voxels, form):
        qtbot.addWidget(widget)
    optics = make_optics("light-sheet", {"sheet_um": 3.5}, **SHARED)
    form.fill(optics)
    assert form.model.currentText() == "Light sheet"
    assert not form.parameter_rows["light-sheet"].isHidden()
    assert form.parameter_rows["confocal"].isHidden()
    assert form.optics() == optics
    form.parameters["light-sheet"]["sheet_um"].setValue(99)
    with pytest.raises(ConfigError, match=r"sheet_um must be a number from 0\.1 to 50"):
        form.optics()


def test_the_parameters_find_their_model() -> None:
    assert make_optics(None, {}, **SHARED) == Optics(**SHARED)
    confocal = {"excitation_um": 0.488, "pinhole_au": 1.0}
    optics = make_optics(None, confocal, **SHARED)
    assert optics == Optics(**SHARED, **confocal, pixel_integration=False)  # type: ignore[arg-type]
    assert (model_key(optics), parameter_values(optics)) == ("confocal", confocal)
    assert model_key(replace(optics, excitation_um=None, pinhole_au=None)) == "widefield"
    with pytest.raises(ConfigError, match="pinhole_au is missing"):
        make_optics(None, {"excitation_um": 0.488}, **SHARED)
    with pytest.raises(ConfigError, match="widefield does not have excitation_um"):
        make_optics("widefield", {"excitation_um": 0.488}, **SHARED)
    with pytest.raises(ConfigError, match="model must be one of widefield, confocal, got 'magic'"):
        api.richards_wolf_psf((5, 5), (0.1, 0.1), Optics(**SHARED, model="magic"))


def test_records_of_the_first_two_models_are_those_of_version_0_1() -> None:
    assert not {"model", "model_values"} & Optics(**SHARED).to_dict().keys()


def test_the_registry_is_read_without_scipy() -> None:
    code = "import sys, napari_selfdeconv.psf.models; print('scipy' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
