"""The voxel size that was typed reaches the preview, the result, the file, and at a click the image layer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_selfdeconv import api
from napari_selfdeconv._gui.forms.voxels import VoxelFields
from napari_selfdeconv._gui.layers.exchange import snapshot, snapshot_any, transform_of, voxel_um
from napari_selfdeconv._gui.layers.preview import PreviewBox
from napari_selfdeconv._gui.layers.voxels import (
    moved,
    place,
    scale_without_unit,
    with_channel_axis,
    with_voxel_um,
    without_channel_axis,
    write_voxel_um,
)
from napari_selfdeconv._gui.panels.profiles import ProfileLine
from napari_selfdeconv._gui.plugin.files import write_image

TYPED = (0.25, 0.13)


def type_voxels(dock: Any, sizes: tuple[float, ...] = TYPED) -> None:
    dock.psf_form.generated.click()
    for box, size in zip(dock.psf_form.voxel[-len(sizes) :], sizes, strict=True):
        box.setValue(size)


@pytest.mark.usefixtures("qtbot")
@pytest.mark.parametrize(
    ("known", "filled"),
    [((0, 0, 0), (0.3, 0.2, 0.2)), ((0, 0.1, 0.1), (0.3, 0.1, 0.1)), ((0.5, 0.1, 0.1), (0.5, 0.1, 0.1))],
)
def test_a_microscope_fills_in_the_sizes_that_are_not_known(
    known: tuple[float, ...], filled: tuple[float, ...]
) -> None:
    fields = VoxelFields(ViewerModel())
    fields.set_sizes(known)
    fields.fill((0.3, 0.2, 0.2))
    assert fields.sizes() == filled


PLACED: list[dict[str, Any]] = [
    {},
    {"scale": (2, 3), "translate": (5, 6), "rotate": 30, "shear": (0.2,), "affine": np.diag([2.0, 1.0, 1.0])},
    {"scale": (0.2, 0.2), "units": ("um", "um"), "translate": (1, 0)},
]


@pytest.mark.parametrize("placed", PLACED)
def test_a_typed_size_is_carried_and_the_result_lies_over_the_image(placed: dict[str, Any]) -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((8, 8)), **placed)
    source = with_voxel_um(snapshot(layer), TYPED)
    result = Image(layer.data, **source.transform)
    assert voxel_um(result) == pytest.approx(TYPED)
    assert source.voxel_um == pytest.approx(TYPED)
    for index in ((0, 0), (3, 4)):
        assert result.data_to_world(index) == pytest.approx(layer.data_to_world(index))
    # While the layer has no size of its own the typed one stays, wherever the layer goes.
    layer.translate = (7, 8)
    there = Image(layer.data, **moved(source, layer).transform)
    assert there.data_to_world((3, 4)) == pytest.approx(layer.data_to_world((3, 4)))
    if "units" not in placed:
        assert voxel_um(there) == pytest.approx(TYPED)
    write_voxel_um(viewer, layer, TYPED)
    assert voxel_um(layer) == pytest.approx(TYPED)
    assert moved(source, layer).typed_um is None


@pytest.mark.parametrize("placed", PLACED)
@pytest.mark.parametrize("make", [PreviewBox, ProfileLine])
def test_what_is_drawn_over_an_image_lies_where_the_image_lies(make: Any, placed: dict[str, Any]) -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((64, 64)), **placed)
    make(viewer, lambda: None).add(image)
    for corner in viewer.layers[-1].data[0]:
        assert viewer.layers[-1].data_to_world(corner) == pytest.approx(image.data_to_world(corner))


@pytest.mark.parametrize("placed", PLACED)
def test_colours_as_channels_lie_where_the_picture_lies(placed: dict[str, Any]) -> None:
    picture = Image(np.zeros((8, 8, 3)), rgb=True, **placed)
    channels = Image(np.zeros((3, 8, 8)), **with_channel_axis(transform_of(picture)))
    again = Image(np.zeros((8, 8)), **without_channel_axis(transform_of(channels)))
    for index in ((0, 0), (3, 4)):
        assert channels.data_to_world((2, *index))[1:] == pytest.approx(picture.data_to_world(index))
        assert again.data_to_world(index) == pytest.approx(picture.data_to_world(index))


def test_a_size_that_the_layer_has_changes_nothing() -> None:
    source = snapshot(Image(np.zeros((8, 8)), scale=TYPED, units=("um", "um")))
    assert with_voxel_um(source, TYPED) is source


def test_what_is_in_its_place_is_not_drawn_again() -> None:
    layer = Image(np.ones((4, 5)), scale=(0.2, 0.1), translate=(1, 2), rotate=10, units=("um", "um"))
    there, events = transform_of(layer), list[str]()
    for name in ("scale", "translate", "rotate", "shear", "affine", "units"):
        getattr(layer.events, name).connect(lambda event: events.append(event.type))
    place(layer, there)
    assert events == []
    place(layer, {**there, "translate": np.array([1.0, 3.0])})
    assert events == ["translate"]
    assert tuple(layer.translate) == (1, 3)


def test_the_size_of_a_frame_leaves_time_alone() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((3, 8, 8)), scale=(5, 1, 1), units=("s", "pixel", "pixel"))
    source = with_voxel_um(snapshot_any(layer), TYPED)
    assert tuple(source.transform["scale"]) == (5, *TYPED)
    assert [str(unit) for unit in source.transform["units"]] == ["second", "um", "um"]
    write_voxel_um(viewer, layer, TYPED)
    assert tuple(layer.scale) == (5, *TYPED)


def test_the_viewer_goes_on_showing_the_same_part_of_the_image() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image(np.zeros((9, 32, 32)))
    viewer.dims.point = (5, 16, 16)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (0, 10, 20), 8
    write_voxel_um(viewer, layer, (0.3, 0.1, 0.1))
    assert layer.world_to_data(viewer.dims.point)[0] == pytest.approx(5)
    assert viewer.scene.camera.center == pytest.approx((0, 1, 2))
    assert viewer.scene.camera.zoom == pytest.approx(80)


def test_a_scale_without_unit() -> None:
    assert scale_without_unit(Image(np.zeros((8, 8)), scale=(0.3, 0.13)), 2) == (0.3, 0.13)
    assert scale_without_unit(Image(np.zeros((8, 8))), 2) is None
    assert scale_without_unit(Image(np.zeros((8, 8)), scale=(0.3, 0.13), units=("um", "um")), 2) is None


def test_the_result_and_its_file_carry_the_typed_size(
    open_dock: Callable[..., Any], script: Any, finish: Callable[..., None], tmp_path: Path
) -> None:
    dock = open_dock(scale=(1, 1))
    layers = dock.viewer.layers
    type_voxels(dock)
    dock.train()
    finish(dock)
    dock.run_richardson_lucy()
    finish(dock)
    for name in ("spots [deconvolved]", "spots [RL 2]"):
        result = layers[name]
        assert voxel_um(result) == pytest.approx(TYPED)
        path = str(tmp_path / "result.ome.tif")
        data, meta, _ = result.as_layer_data_tuple()
        write_image(path, data, meta)
        assert api.read_image(path).voxel_um == pytest.approx(TYPED)
    image = layers["spots"]
    assert voxel_um(image) is None  # offered, not done
    button = dock.psf_form.write_button
    assert button.isVisibleTo(dock)
    assert "0.25 × 0.13" in button.text()
    button.click()
    assert voxel_um(image) == pytest.approx(TYPED)
    assert not button.isVisibleTo(dock)
    for name in ("spots [deconvolved]", "spots [RL 2]"):
        assert layers[name].data_to_world((3, 4)) == pytest.approx(image.data_to_world((3, 4)))
        assert np.allclose(layers[name].affine.affine_matrix, np.eye(3))


def test_a_scale_without_unit_is_taken_with_one_click(open_dock: Callable[..., Any]) -> None:
    dock = open_dock(scale=TYPED)
    button = dock.psf_form.write_button
    assert "0.25 × 0.13 µm" in button.text()
    button.click()
    assert voxel_um(dock.image_box.layer) == pytest.approx(TYPED)
    assert [box.value() for box in dock.psf_form.voxel[-2:]] == pytest.approx(TYPED)
    assert not button.isVisibleTo(dock)
    # The size that was typed has the last word.
    type_voxels(dock, (0.5, 0.5))
    button.click()
    assert voxel_um(dock.image_box.layer) == pytest.approx((0.5, 0.5))


def test_written_during_a_run_it_moves_the_preview_and_the_result(
    open_dock: Callable[..., Any], qtbot: Any, under_way: Callable[..., None], finish: Callable[..., None]
) -> None:
    dock = open_dock(scale=(1, 1), steps=1_000_000)
    layers = dock.viewer.layers
    type_voxels(dock)
    dock.train()
    under_way(dock)
    name = "spots [preview]"
    qtbot.waitUntil(lambda: name in layers and layers[name].visible, timeout=60_000)
    assert voxel_um(layers[name]) == pytest.approx(TYPED)
    dock.psf_form.write_button.click()
    image = layers["spots"]
    for layer in (layers[name],):
        assert tuple(layer.scale) == pytest.approx(tuple(image.scale))
        assert np.allclose(layer.affine.affine_matrix, image.affine.affine_matrix)
    dock.run_panel.stop_button.click()
    finish(dock)
    result = layers["spots [deconvolved]"]
    assert result.data_to_world((3, 4)) == pytest.approx(image.data_to_world((3, 4)))
    assert voxel_um(result) == pytest.approx(TYPED)


def test_another_image_has_not_the_size_typed_for_the_first(open_dock: Callable[..., Any]) -> None:
    dock = open_dock(scale=(1, 1))
    type_voxels(dock)
    dock.image_box.layer.opacity = 0.5
    dock.image_box.choose(dock.viewer.add_image(np.ones((8, 8)), name="other"))
    assert [box.value() for box in dock.psf_form.voxel[-2:]] == [0, 0]
