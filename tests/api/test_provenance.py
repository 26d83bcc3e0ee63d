"""The record of every entry: one word for one thing, JSON-ready, and enough to make the result again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_selfdeconv import api, preset
from napari_selfdeconv.api import as_command, as_python
from napari_selfdeconv.api.provenance import applied_record
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.config.template import OpticsChoice
from napari_selfdeconv.errors import ComputeError, ConfigError
from napari_selfdeconv.events import drain
from napari_selfdeconv.restoration.methods import METHODS, Classical

PSF = np.outer([1, 3, 2], [1, 2, 1]) / 24.0
IMAGE = np.random.default_rng(0).gamma(2.0, 10.0, (24, 28)).astype(np.float32)
CONFIG = preset(
    "quick", 2, steps=2, patch=16, features=4, pretrained=False, batch_size=1, device="cpu", precision="float32"
)
SHARED = {"software", "version", "psf_sha256", "psf_shape", "device"}
OF_A_RUN = SHARED | {
    "torch", "date", "config", "seed", "voxel_um", "precision", "steps_done", "kept_step", "kept_share",
    "tiles", "seconds", "border_evened", "refined_iterations", "stopped", "converged",
}  # fmt: skip
CLASSICAL = SHARED | {"method", "label", "settings", "iterations"}


def network() -> Any:
    return api.deconvolve(IMAGE, PSF, CONFIG)


def series() -> Any:
    movie = np.stack([IMAGE, np.full_like(IMAGE, np.nan)])
    return drain(api.iter_deconvolve_series(movie, PSF, SeriesPlan(axes="tyx"), CONFIG))


def large() -> Any:
    return drain(api.iter_deconvolve_large(IMAGE, PSF, CONFIG, out=np.zeros_like(IMAGE)))


@pytest.mark.parametrize(
    ("entry", "keys"),
    [(network, OF_A_RUN), (series, OF_A_RUN | {"series", "nan_frames"}), (large, OF_A_RUN | {"block"})],
)
def test_the_record_of_a_network(entry: Callable[[], Any], keys: set[str]) -> None:
    record = entry().provenance
    assert record.keys() == keys
    assert json.loads(json.dumps(record)) == record
    assert record["tiles"]["tile"] == [24, 28]


@pytest.mark.parametrize("method", METHODS)
def test_the_record_of_a_classical_method(method: str) -> None:
    settings = {} if METHODS[method].iterations is None else {"iterations": 2}
    record = api.classical_method(IMAGE, PSF, Classical(method=method, **settings)).provenance
    assert record.keys() == CLASSICAL | ({"background"} if record["settings"]["boundary"] == "open" else set())
    assert json.loads(json.dumps(record)) == record
    assert as_command(record, "a.tif", "p.tif").startswith(
        f"selfdeconv classical a.tif --psf p.tif --method {method}"
    )


def run_script(record: dict[str, Any], folder: Path, second: Path) -> np.ndarray:
    image, out = folder / "image.ome.tif", folder / "result.ome.tif"
    api.write_ome_tiff(image, IMAGE)
    exec(compile(as_python(record, str(image), str(second), str(out)), "recipe", "exec"), {})
    return api.read_image(out).data


def test_a_recipe_makes_the_same_array(tmp_path: Path) -> None:
    psf, model = tmp_path / "psf.ome.tif", tmp_path / "model.safetensors"
    api.write_psf(psf, PSF, None)
    made = network()
    np.testing.assert_array_equal(run_script(made.provenance, tmp_path, psf), made.image)
    api.save_model(model, made.model)
    applied = applied_record(made.model, "image")
    np.testing.assert_array_equal(run_script(applied, tmp_path, model), api.apply_model(made.model, IMAGE))
    wiener = api.classical_method(IMAGE, PSF, Classical(method="wiener", regularisation=0.1))
    np.testing.assert_allclose(run_script(wiener.provenance, tmp_path, psf), wiener.image, rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mask", [None, "auto", "auto+nan", "given"])
def test_a_template_of_a_record_does_what_the_run_did(method: str, mask: str | None) -> None:
    settings = Classical(
        method=method, median_guard=True, boundary="zero", background=3.0, offset=7.0, gain=0.5, read_noise=1.5
    )
    record: dict[str, Any] = {"settings": settings.to_dict()} | ({} if mask is None else {"mask": {"from": mask}})
    template = api.template_of_record(record)
    assert api.classical_of(template.method) == settings
    assert api.weights_of(template.method) == ("auto" if mask == "given" else mask)
    assert api.template_of_record({**record, "config": CONFIG.to_dict()}).method.mask == template.method.mask


def test_a_correction_of_the_light_is_not_lost() -> None:
    record = {"settings": {"method": "wiener"}, "corrected_light": {"what": "both", "courses": [], "left": []}}
    assert api.template_of_record(record).image.correct_light == "both"
    with pytest.raises(ConfigError, match="corrected for uneven light"):
        as_python(record, "image.tif", "psf.tif")


def test_a_template_of_an_old_record_reflects_at_the_border() -> None:
    for record in (
        {"method": "richardson-lucy", "iterations": 5},
        {"settings": {"method": "tv", "iterations": 5}},
    ):
        template = api.template_of_record(record)
        assert (template.method.iterations, template.method.boundary) == (5, "reflect")


@pytest.mark.parametrize("source", ["given", "the microscope 63x oil"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    "own",
    [
        {},
        {"defocus_um": 0.3, "layers": api.CoverslipLayers(sample_index=1.38, sample_depth_um=4.0)},
        {"excitation_um": 0.488, "pinhole_au": 0.8, "pixel_integration": False},
    ],
)
def test_a_template_of_a_record_has_the_optics_that_no_file_states(
    own: dict[str, Any], channels: int, source: str
) -> None:
    optics = api.Optics(na=1.4, wavelength_um=0.52, refractive_index=1.515, **own)
    names = ["na", "wavelength_um", "refractive_index", *api.parameter_values(optics)]
    record: dict[str, Any] = {"config": CONFIG.to_dict()}

    def chosen(sources: dict[str, str]) -> OpticsChoice:
        told = {**optics.to_dict(), "sources": sources}
        return api.template_of_record({**record, "optics": told if channels == 1 else [told] * channels}).optics

    assert api.complete_optics(chosen(dict.fromkeys(names, source)), None)[0] == optics
    left = chosen(dict.fromkeys(names, "the OME-XML"))
    assert left == OpticsChoice(defocus_um=optics.defocus_um or None, layers=left.layers)


@pytest.mark.parametrize(("entry", "words"), [(series, "a series"), (large, "larger than memory")])
def test_what_one_command_cannot_make_again_is_said(entry: Callable[[], Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        as_python(entry().provenance, "a.tif", "p.tif")


@pytest.mark.parametrize("method", METHODS)
def test_a_classical_result_that_is_not_finite_is_an_error_that_names_the_method(
    method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def solve(inputs: Any, *_: Any) -> Any:
        yield from ()
        return dict.fromkeys((0, 2, 150), torch.full((1, 1, *inputs.operator.estimate_shape), torch.nan))

    monkeypatch.setitem(METHODS, method, replace(METHODS[method], solve=solve))
    settings = {} if METHODS[method].iterations is None else {"iterations": 2}
    if METHODS[method].regularisation is not None:
        settings["regularisation"] = 0.05
    with pytest.raises(ComputeError, match=f"^{METHODS[method].label} .* not finite"):
        api.classical_method(IMAGE, PSF, Classical(method=method, **settings))
