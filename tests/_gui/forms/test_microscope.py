"""One microscope for all docks of a viewer: what is typed in one stands in the others, and outlives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.docks.psf import open_psf
from napari_selfdeconv._gui.forms.microscope import Lens, microscope_of
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY

WATER = Lens(1.2, 0.61, 1.33)


def shown(form: Any) -> Lens:
    return Lens(form.na.value(), form.wavelength.um(), form.index.value())


def type_water(form: Any) -> None:
    form.na.setValue(WATER.na)
    form.wavelength.set_um(WATER.wavelength_um)
    form.index.setValue(WATER.refractive_index)


def sizes(form: Any) -> list[float]:
    return [box.value() for box in form.voxel[-2:]]


def test_every_viewer_has_one_microscope() -> None:
    first, second = ViewerModel(), ViewerModel()
    assert microscope_of(first) is microscope_of(first)
    assert microscope_of(first) is not microscope_of(second)


def test_optics_typed_in_any_dock_stand_in_all(open_dock: Callable[..., Any]) -> None:
    main = open_dock(scale=(1, 1))
    compare, psf = open_compare(main.viewer, main.image_box.layer), open_psf(main.viewer).generate
    psf.image_box.choose(main.image_box.layer)
    for typed_in, others in (
        (main.psf_form, (compare.psf_form, psf.optics_form)),
        (psf.optics_form, (main.psf_form, compare.psf_form)),
        (compare.psf_form, (main.psf_form, psf.optics_form)),
    ):
        typed_in.na.setValue(0.7)
        type_water(typed_in)
        assert [shown(form) for form in others] == [WATER, WATER]
    for size, (typed_in, others) in zip(
        (0.1, 0.2, 0.3),
        ((main.psf_form, (compare.psf_form, psf)), (psf, (main.psf_form,)), (compare.psf_form, (main.psf_form,))),
        strict=True,
    ):
        for box in typed_in.voxel[-2:]:
            box.setValue(size)
        assert [sizes(form) for form in others] == [[size, size]] * len(others)


def test_a_dock_that_is_closed_forgets_nothing(open_dock: Callable[..., Any]) -> None:
    main = open_dock(scale=(1, 1))
    viewer = main.viewer
    main.psf_form.generated.click()
    type_water(main.psf_form)
    for box in main.psf_form.voxel[-2:]:
        box.setValue(0.17)
    viewer.window.remove_dock_widget(main)
    _, again = viewer.window.add_plugin_dock_widget("napari-selfdeconv", "Self-supervised deconvolution")
    assert shown(again.psf_form) == WATER
    assert sizes(again.psf_form) == [0.17, 0.17]


def test_what_an_image_says_does_not_undo_what_was_typed_for_it(open_dock: Callable[..., Any]) -> None:
    main = open_dock()
    told = {"optics": {"na": 0.8, "wavelength_um": 0.5, "refractive_index": 1.0}}
    image = main.viewer.add_image(np.ones((8, 8)), name="told", metadata={METADATA_KEY: told})
    main.image_box.choose(image)
    assert shown(main.psf_form) == Lens(0.8, 0.5, 1.0)
    type_water(main.psf_form)
    compare = open_compare(main.viewer, image)
    assert shown(compare.psf_form) == shown(main.psf_form) == WATER


def test_a_layer_that_is_changed_has_the_last_word(open_dock: Callable[..., Any]) -> None:
    main = open_dock()
    image = main.image_box.layer
    for box in main.psf_form.voxel[-2:]:
        box.setValue(0.17)
    image.scale = (0.4, 0.4)
    assert sizes(main.psf_form) == pytest.approx([0.4, 0.4])
