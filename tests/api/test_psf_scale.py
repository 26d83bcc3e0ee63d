"""The scale of a PSF says nothing: every public function gives the same for ``psf`` and for ``k * psf``."""

from __future__ import annotations

import inspect
import math
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from napari_selfdeconv import api, preset
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.events import drain
from napari_selfdeconv.restoration.methods import Classical

PSF = np.outer([1, 3, 2], [1, 2, 1]) / 24.0
IMAGE = np.random.default_rng(0).gamma(2.0, 10.0, (24, 28))
RESULT = np.random.default_rng(1).gamma(2.0, 10.0, (24, 28))
CONFIG = preset(
    "quick", 2, steps=2, patch=16, features=4, pretrained=False, batch_size=1, refine=False, device="cpu"
)
METHODS = [Classical(method="rl", iterations=3), Classical(method="wiener"), Classical(method="tv", iterations=5)]
VOXEL, COARSER = (0.1, 0.1), (0.13, 0.13)


def series(psf: np.ndarray) -> Any:
    return drain(api.iter_deconvolve_series(IMAGE[None], psf, SeriesPlan(axes="tyx"), CONFIG)).image


def large(psf: np.ndarray) -> Any:
    return drain(api.iter_deconvolve_large(IMAGE, psf, CONFIG, out=np.zeros(IMAGE.shape, np.float32))).image


def in_a_folder(psf: np.ndarray) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return np.asarray(drain(api.iter_deconvolve_zarr(IMAGE, psf, f"{folder}/r.zarr", CONFIG)).image)


# What each public function returns for a PSF. Those in PAIRS are the generator beside a function of the same name.
FUNCTIONS: dict[str, Callable[[np.ndarray], Any]] = {
    "classical_method": lambda psf: api.classical_method(IMAGE, psf, Classical(method="rl")).image,
    "deconvolve": lambda psf: api.deconvolve(IMAGE, psf, CONFIG).image,
    "degrade": lambda psf: api.degrade(IMAGE, psf),
    "evaluate_without_truth": lambda psf: list(api.evaluate_without_truth(RESULT, IMAGE, psf, VOXEL).values()),
    "fit_to_voxels": lambda psf: unit(api.fit_to_voxels(psf, VOXEL, COARSER)[0]),
    "iter_classical": lambda psf: [r.image for r in drain(api.iter_classical(IMAGE, psf, METHODS))],
    "iter_deconvolve_large": large,
    "iter_deconvolve_series": series,
    "iter_deconvolve_zarr": in_a_folder,
    "prepare_psf": lambda psf: api.prepare_psf(psf, background=0.0)[0],
    "preview_region": lambda psf: api.preview_region(IMAGE, psf).image,
    "residual": lambda psf: api.residual(IMAGE, RESULT, psf),
    "richardson_lucy": lambda psf: api.richardson_lucy(IMAGE, psf, 3),
}
PAIRS = {
    "iter_deconvolve": "deconvolve",
    "iter_evaluate_without_truth": "evaluate_without_truth",
    "iter_residual": "residual",
    "iter_richardson_lucy": "richardson_lucy",
}
# These look at the scale on purpose: the PSF doctor names a sum that is not 1, and changes what it is told to.
# The others are records and files, or compare PSFs (see test_a_scaled_psf_is_the_same_psf).
ABOUT_SCALE = {"examine_psf", "repair_psf", "write_psf", "as_command", "as_python", "model_differences"}


def unit(psf: np.ndarray) -> np.ndarray:
    return psf / psf.sum()


def test_every_public_function_with_a_psf_is_here() -> None:
    functions = {name: getattr(api, name) for name in api.__all__ if inspect.isfunction(getattr(api, name))}
    takes_psf = {name for name, function in functions.items() if "psf" in inspect.signature(function).parameters}
    assert takes_psf == FUNCTIONS.keys() | PAIRS.keys() | ABOUT_SCALE


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_scale_of_the_psf_changes_nothing(name: str) -> None:
    function = FUNCTIONS[name]
    expected = np.asarray(function(PSF))

    @settings(max_examples=3, deadline=None, derandomize=True)
    @given(st.floats(-3.0, 3.0))
    @example(-3.0)
    @example(3.0)
    def same(power: float) -> None:
        found = np.asarray(function(10.0**power * PSF))
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4 * np.ptp(expected))

    same()


def test_a_scaled_psf_is_the_same_psf() -> None:
    model = api.deconvolve(IMAGE, PSF, CONFIG).model
    assert api.model_differences(model, 4 * PSF, None) == []
    assert math.isclose(float(model.psf.sum()), 1.0, rel_tol=1e-6)
