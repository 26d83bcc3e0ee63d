"""The layers of a run: their names, their contrast, and which of them are results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_selfdeconv._gui.layers.exchange import (
    add_result,
    add_unsupported,
    computed_from,
    results_of,
    snapshot,
)
from napari_selfdeconv._gui.layers.preview import PreviewLayer
from napari_selfdeconv._gui.layers.results import AddedLayers
from napari_selfdeconv._gui.layers.voxels import move_results, moved


def test_a_preview_has_the_name_of_its_image_unless_the_user_gives_it_another() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.ones((8, 8)), name="a")
    source = snapshot(image)
    preview = PreviewLayer(viewer, source)
    preview.show(np.zeros((4, 4), np.float32), (0, 0))
    image.name = "b"
    preview.move(moved(source, image))
    assert preview.layer is not None
    assert preview.layer.name == "b [preview]"
    preview.layer.name, image.name = "mine", "c"
    preview.move(moved(source, image))
    assert preview.layer.name == "mine"


@pytest.mark.parametrize("axes", [("y", "x"), ("t", "y", "x")])
def test_renamed_during_a_run_the_result_has_the_new_name(
    open_dock: Callable[..., Any], script: Any, finish: Callable[..., None], qtbot: Any, axes: tuple[str, ...]
) -> None:
    dock = open_dock()
    layer = dock.viewer.add_image(np.ones((2, 16, 16)[-len(axes) :], np.float32), name="a", axis_labels=axes)
    dock.image_box.choose(layer)
    script.ending = "stopped"
    dock.train()
    qtbot.waitUntil(lambda: dock.run_panel.plot.points > 0, timeout=20_000)
    layer.name = "b"
    dock.run_panel.stop_button.click()
    finish(dock)
    assert [result.name for result in results_of(dock.viewer, layer)] == ["b [deconvolved]"]


@pytest.mark.parametrize("linked", [True, False])
def test_a_series_shares_the_contrast_of_its_image_as_a_single_image_does(
    open_dock: Callable[..., Any], script: Any, finish: Callable[..., None], linked: bool
) -> None:
    dock = open_dock()
    dock.preview_panel.link.setChecked(linked)
    layer = dock.viewer.add_image(
        np.ones((2, 16, 16), np.float32), name="a", axis_labels=("t", "y", "x"), contrast_limits=(90, 200)
    )
    dock.image_box.choose(layer)
    dock.train()
    finish(dock)
    (result,) = results_of(dock.viewer, layer)
    assert (tuple(result.contrast_limits) == (90, 200)) == linked
    layer.contrast_limits = (80, 300)
    assert (tuple(result.contrast_limits) == (80, 300)) == linked


def test_residual_and_uncertainty_are_no_results_and_lie_over_the_image() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.ones((8, 8)), name="a")
    source = snapshot(image)
    added = AddedLayers(viewer)
    added.begin()
    made: list[Any] = [
        add_result(viewer, source, np.ones((8, 8), np.float32), kind, {"role": kind})
        for kind in ("result", "residual", "uncertainty")
    ]
    made.append(add_unsupported(viewer, source, np.eye(8) > 0, {}))
    assert added.names() == [layer.name for layer in made]
    assert made[-1].name == "a [not supported]"
    assert computed_from(viewer, image) == made
    assert results_of(viewer, image) == made[:1]
    image.scale, image.units = (0.2, 0.1), ("um", "um")
    move_results(viewer, image)
    assert all(tuple(layer.scale) == (0.2, 0.1) for layer in made)
