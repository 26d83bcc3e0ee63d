"""The registry of classical methods: one row, and command line, dock, benchmark and API know the method."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_selfdeconv import api
from napari_selfdeconv.api import METHODS, Classical, Method
from napari_selfdeconv.benchmark.methods import classical_families, labels, measure
from napari_selfdeconv.cli import main
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Progress, Tick, drain
from napari_selfdeconv.io.images import read_image, write_ome_tiff
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.restoration.forward_operator import BlurOperator
from napari_selfdeconv.restoration.method_inputs import MethodInputs
from napari_selfdeconv.restoration.methods import Setting
from napari_selfdeconv.stop_token import StopToken

PSF = np.ones((3, 3)) / 9


def image(shape: tuple[int, ...] = (32, 32)) -> np.ndarray:
    return np.random.default_rng(0).random(shape).astype(np.float32)


def _darken(
    inputs: MethodInputs, settings: Classical, _counts: Sequence[int], _each: Any
) -> Generator[Tick, None, dict[int, torch.Tensor]]:
    yield Tick(1, 1)
    assert settings.regularisation is not None
    return {0: torch.from_numpy(settings.regularisation * inputs.image)[None, None]}


@pytest.fixture
def dummy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that exists in the registry only."""
    row = Method(
        label="Dim",
        title="Dimmed image",
        summary="Multiplies by a number",
        solve=_darken,
        regularisation=Setting(most=1.0, default=0.5),
        compared=(0.25, 0.75),
    )
    monkeypatch.setitem(METHODS, "dim", row)


@pytest.mark.usefixtures("dummy")
def test_a_row_of_the_registry_is_known_to_the_api() -> None:
    result = api.classical_method(image(), PSF, Classical(method="dim"), device_name="cpu")
    assert np.array_equal(result.image, np.float32(0.5) * image())
    assert result.label == "Dim auto (0.5)"
    assert result.provenance["settings"]["regularisation"] == 0.5
    with pytest.raises(ConfigError, match="Dimmed image has no iterations, got 3"):
        Classical(method="dim", iterations=3)
    with pytest.raises(ConfigError, match="regularisation must be"):
        Classical(method="dim", regularisation=2.0)


@pytest.mark.usefixtures("dummy")
def test_a_row_of_the_registry_is_known_to_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_ome_tiff(tmp_path / "image.tif", image())
    np.save(tmp_path / "psf.npy", PSF)
    words = ["classical", tmp_path / "image.tif", "--psf", tmp_path / "psf.npy", "--method", "dim"]
    assert main([*map(str, words), "--device", "cpu", "--out", str(tmp_path / "out.tif")]) == 0
    assert read_image(tmp_path / "out.tif").provenance["label"] == "Dim auto (0.5)"
    for command, told in ((["classical"], "0.5 (dim)"), (["benchmark", "quality"], "dim, dim-auto")):
        with pytest.raises(SystemExit):
            main([*command, "--help"])
        assert told in " ".join(capsys.readouterr().out.split())


@pytest.mark.usefixtures("dummy")
def test_a_row_of_the_registry_is_known_to_the_benchmark() -> None:
    assert labels("dim") == ["Dim 0.25", "Dim 0.75"]
    assert labels("dim:0.1") == ["Dim 0.1"]
    assert labels("dim-auto") == ["Dim auto"]
    assert {"Dim", "Dim auto"} <= classical_families()
    found = drain(measure("dim", image(), PSF, "cpu", StopToken()))
    assert [(one.label, one.family) for one in found] == [("Dim 0.25", "Dim"), ("Dim 0.75", "Dim")]


@pytest.mark.usefixtures("dummy")
def test_a_row_of_the_registry_is_known_to_the_dock(qtbot: Any) -> None:
    from napari_selfdeconv._gui.forms.methods import MethodsForm

    form = MethodsForm()
    qtbot.addWidget(form)
    for tick in form.ticks.values():
        tick.setChecked(False)
    form.ticks["dim"].setChecked(True)
    assert form.classical() == [Classical(method="dim")]
    form.settings["dim"].setText("0.1, auto 0.2")
    assert [one.label for one in form.classical()] == ["Dim 0.1", "Dim auto", "Dim 0.2"]
    form.settings["dim"].setText("much")
    with pytest.raises(ConfigError, match="Dimmed image needs numbers above 0 or the word auto"):
        form.classical()


@pytest.mark.parametrize("key", ["rl", "rl-tv", "tv"])
def test_counts_of_one_method_are_one_run_and_equal_runs_of_their_own(key: str) -> None:
    weight = {} if key == "rl" else {"regularisation": 0.01}
    methods = [Classical(method=key, iterations=count, **weight) for count in (5, 2, 9)]  # type: ignore[arg-type]
    steps: list[tuple[int, int]] = []

    def note(event: Event) -> None:
        if isinstance(event, Progress):
            steps.append((event.step, event.steps))

    together = drain(api.iter_classical(image(), PSF, methods, device_name="cpu"), note)
    assert {last for _, last in steps} == {9}
    assert [step for step, _ in steps] == sorted(step for step, _ in steps)
    assert [one.settings.iterations for one in together] == [5, 2, 9]
    for method, result in zip(methods, together, strict=True):
        alone = api.classical_method(image(), PSF, method, device_name="cpu")
        assert np.array_equal(alone.image, result.image)
        assert alone.provenance == result.provenance


@pytest.mark.parametrize("shape", [(9, 14), (5, 6, 7)])
def test_the_forward_operator_and_its_adjoint(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    psf = torch.rand((3,) * len(shape), generator=generator).numpy()
    operator = BlurOperator(Blur(psf / psf.sum()), shape)
    f, y = (torch.randn(1, 1, *shape, generator=generator, dtype=torch.float64) for _ in range(2))
    left, right = (operator.forward(f) * y).sum(), (f * operator.adjoint(y)).sum()
    assert float(left) == pytest.approx(float(right), abs=1e-10)
    ones = torch.ones(1, 1, *shape)
    back = operator.backproject_into(ones, torch.empty_like(ones))
    assert torch.allclose(back, ones, atol=1e-5)
    assert operator.crop(f).shape[2:] == operator.image_shape == shape
    assert operator.extend(y).shape[2:] == operator.estimate_shape


def test_richardson_lucy_has_one_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """API, both commands and the main dock write the same one."""
    from napari_selfdeconv._gui.layers.exchange import LayerSnapshot
    from napari_selfdeconv._gui.runs.deconvolve import richardson_lucy_job

    expected = api.classical_method(
        image(), PSF, Classical(method="rl", iterations=4), device_name="cpu"
    ).provenance
    assert (expected["method"], expected["label"]) == ("rl", "RL 4")
    assert expected["settings"] == Classical(method="rl", iterations=4, boundary="open").to_dict()
    monkeypatch.chdir(tmp_path)
    write_ome_tiff(tmp_path / "image.tif", image())
    np.save("psf.npy", PSF)
    words = ["image.tif", "--psf", "psf.npy", "--iterations", "4", "--mask", "none", "--device", "cpu"]
    assert main(["rl", *words, "--out", "counts"]) == 0
    assert main(["classical", *words, "--method", "rl", "--out", "one.tif"]) == 0
    for path in ("counts/image_rl_n0004.ome.tif", "one.tif"):
        written = {key: value for key, value in read_image(tmp_path / path).provenance.items() if key != "camera"}
        assert written == {**expected, "source": "image.tif"}

    class Kernel:
        def kernel(self, _image: LayerSnapshot) -> tuple[np.ndarray, list[str]]:
            return PSF, []

    class Layer:
        data = image()

    job = richardson_lucy_job(Layer(), Kernel(), (4,), "cpu")  # type: ignore[arg-type]
    (array, provenance) = drain(job(StopToken()))[4]
    assert {key: value for key, value in provenance.items() if key != "psf"} == expected
    assert np.array_equal(array, api.richardson_lucy(image(), PSF, 4))


def test_records_of_version_0_1_can_still_be_made_again() -> None:
    for name in ("richardson-lucy", "Richardson-Lucy"):
        old = {"method": name, "iterations": 7}
        assert "--method rl --iterations 7" in api.as_command(old, "i.tif", "p.tif")
        assert "richardson_lucy(image, psf, 7, boundary='reflect')" in api.as_python(old, "i.tif", "p.tif")
