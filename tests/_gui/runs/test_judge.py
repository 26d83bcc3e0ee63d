"""Residuals and scores are made with the whole PSF, whatever part of it a result was made with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_selfdeconv import api
from napari_selfdeconv._gui.layers.exchange import about, add_result, snapshot
from napari_selfdeconv._gui.layers.results import WholeResult
from napari_selfdeconv._gui.panels.model import ModelPanel
from napari_selfdeconv._gui.runs.compare import measure_job
from napari_selfdeconv._gui.runs.judge import residual_job
from napari_selfdeconv._gui.runs.psf_choice import GeneratedPsf, optics_record
from napari_selfdeconv._gui.runs.series import series_snapshot
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.events import drain
from napari_selfdeconv.stop_token import StopToken

CHOSEN = GeneratedPsf(
    api.Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33), (0.3, 0.12, 0.12), whole_stack=False
)
STACK = np.random.default_rng(0).poisson(50, (6, 24, 24)).astype(np.float32)


def test_the_residual_of_a_result_with_a_compact_psf_is_that_of_the_whole_one() -> None:
    image = snapshot(ViewerModel().add_image(STACK, name="a"))
    compact, _ = CHOSEN.kernel(image)
    whole, _ = CHOSEN.whole_kernel(image)
    assert whole.size > 4 * compact.size
    record = {**optics_record([CHOSEN]), "voxel_um": CHOSEN.voxel_um, "background": {"mean": 2.0}}
    left = drain(residual_job(image, STACK, compact, record)(StopToken()))
    np.testing.assert_array_equal(left, api.residual(STACK, STACK, whole, background=2.0))
    scores = drain(measure_job(image, CHOSEN, [("r", STACK, 2.0)], None)(StopToken()))[0].scores
    expected = api.evaluate_without_truth(STACK, STACK, whole, CHOSEN.voxel_um, background=2.0)
    assert scores == pytest.approx(expected, nan_ok=True)


def test_a_layer_remembers_the_psf_that_was_given_and_its_optics() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(STACK, name="a")
    model: Any = SimpleNamespace(psf=np.ones((1, 1, 1)), given_psf=np.ones((9, 9, 9)))
    added = WholeResult(viewer, snapshot(image), lambda: False, optics_record([CHOSEN]))
    added.finish(SimpleNamespace(image=STACK, model=model, provenance={}))
    told = about(viewer.layers["a [deconvolved]"])
    assert told["psf"].shape == (9, 9, 9)
    assert api.optics_of(told) == (CHOSEN.optics,)


@pytest.mark.parametrize(("axes", "shape"), [("tyx", (3, 8, 8)), ("tzyx", (2, 3, 8, 8)), ("cyx", (8, 8, 3))])
def test_a_residual_of_a_series_is_refused_with_what_to_do(qtbot: Any, axes: str, shape: tuple[int, ...]) -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros(shape), name="movie", rgb=axes == "cyx")
    record = {"psf": np.ones((3, 3)), "series": {"axes": axes}}
    source = series_snapshot(image, SeriesPlan(axes=axes), grey=False)
    result = add_result(viewer, source, np.zeros(source.data.shape), "deconvolved", record)
    viewer.layers.selection = {result}
    panel = ModelPanel(viewer, lambda: None, lambda: False)  # type: ignore[arg-type, return-value]
    qtbot.addWidget(panel)
    panel.residual_button.click()
    said = panel.note.text()
    assert f"one frame only, and 'movie [deconvolved]' has several (axes {', '.join(axes)})" in said
    assert ("Split RGB" if axes == "cyx" else "Split Stack") in said
    assert "PSF" not in said
