"""Side by side: the same part of the image in every tile, short names, the profile line, and back as before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication

from napari_selfdeconv._gui.docks.compare import open_compare
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY, add_result, snapshot
from napari_selfdeconv._gui.layers.tiles import LINE_COPY, short_names
from napari_selfdeconv._gui.panels.profiles import LINE_NAME

TAGS = ("RL 2", "deconvolved", "residual of deconvolved")


def add(viewer: Any, tag: str) -> Any:
    image = viewer.layers["spots"]
    array = np.full(image.data.shape, 50, np.float32)
    return add_result(viewer, snapshot(image), array, tag, {"role": "residual"} if "residual" in tag else {})


@pytest.fixture
def dock(open_dock: Callable[..., Any], request: pytest.FixtureRequest) -> Any:
    """The Compare dock on a stack with a result, the network's result and a residual."""
    seen = request.node.get_closest_marker("canvas") is not None
    placed = dict(scale=(0.4, 0.2, 0.1), units=("um",) * 3)
    main = open_dock(image=np.full((16, 32, 64), 60, np.float32), show=seen, **placed)
    viewer = main.viewer
    viewer.layers["spots"].contrast_limits = (0, 255)
    for tag in TAGS:
        add(viewer, tag)
    viewer.fit_to_view()
    return open_compare(viewer, viewer.layers["spots"], viewer.layers["spots PSF"])


def state(viewer: Any) -> list[Any]:
    return [(layer.name, layer.visible, tuple(getattr(layer, "contrast_limits", ()))) for layer in viewer.layers]


def lines(viewer: Any) -> list[Any]:
    return [layer for layer in viewer.layers if layer.metadata.get(METADATA_KEY, {}).get("role") == LINE_COPY]


def test_short_names_differ() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.ones((8, 8)), name="2026-01-01 a nucleus of the second day")
    tags = ("RL 10", "RL 10", "deconvolved", "network, step 3", "deconvolved")
    made = [add_result(viewer, snapshot(image), np.ones((8, 8)), tag, {}) for tag in tags]
    other = viewer.add_image(np.ones((8, 8)), name="2026-01-01 a nucleus of the third day")
    truth = viewer.add_image(np.ones((8, 8)), metadata={METADATA_KEY: {"role": "truth"}})
    names = short_names([image, *made, other, truth])
    assert names[:4] == ["image", "RL 10", "RL 10 (2)", "network"]
    assert names[4:] == ["network, step 3", "network (2)", "2026-01-0…hird day", "truth"]
    assert max(map(len, names)) <= 18


@pytest.mark.parametrize("view", ["plane", "xz", "3D"])
def test_the_same_part_of_the_image_is_seen_in_every_tile_and_then_as_before(dock: Any, view: str) -> None:
    viewer = dock.viewer
    viewer.dims.order = (1, 0, 2) if view == "xz" else (0, 1, 2)
    viewer.dims.ndisplay = 3 if view == "3D" else 2
    camera = viewer.scene.camera
    camera.angles = (10, 20, 30) if view == "3D" else camera.angles
    camera.zoom, camera.center = 2 * camera.zoom, (1.0 if view == "3D" else 0.0, 2.0, 3.0)
    before, seen = (
        state(viewer),
        (camera.zoom, camera.center, camera.angles, viewer.dims.ndisplay, viewer.dims.order),
    )
    whole = np.array(viewer.canvas.viewbox_size(viewer.layers)) / camera.zoom
    dock.grid_button.click()
    assert dock.side_by_side.names == ["image", "RL 2", "network"]  # a residual is no result
    tile = np.array(viewer.canvas.viewbox_size(viewer.layers)) / camera.zoom
    assert (tile / whole).min() == pytest.approx(1, rel=0.02)
    assert (camera.center, camera.angles, viewer.dims.ndisplay) == (seen[1], seen[2], seen[3])
    dock.grid_button.click()
    assert state(viewer) == before
    assert camera.zoom == pytest.approx(seen[0])
    assert (camera.center, camera.angles, viewer.dims.ndisplay, viewer.dims.order) == seen[1:]


def test_the_profile_line_is_on_every_tile_and_moves_in_all(dock: Any) -> None:
    viewer = dock.viewer
    dock.line_button.click()
    line = viewer.layers[LINE_NAME]
    dock.grid_button.click()
    tiles = lines(viewer)
    assert viewer.layers.selection == {tiles[0]}  # it is the line that the user moves
    assert all(np.array_equal(tile.data[0], line.data[0]) for tile in tiles)
    moved = np.array([[3.0, 4.0], [20.0, 30.0]])
    tiles[1].data = [moved]
    assert all(np.array_equal(layer.data[0], moved) for layer in (line, *tiles))
    assert dock.plot.curves()[0].x[-1] == pytest.approx(np.hypot(17 * 0.2, 26 * 0.1))
    dock.grid_button.click()
    assert viewer.layers.selection == {line}
    assert lines(viewer) == []


def test_a_result_that_comes_joins_and_one_that_goes_leaves(dock: Any, qtbot: Any) -> None:
    viewer = dock.viewer
    dock.grid_button.click()
    dock.line_button.click()
    add(viewer, "RL 9")
    qtbot.waitUntil(lambda: dock.side_by_side.names == ["image", "RL 2", "network", "RL 9"])
    assert [len(tile.data) for tile in lines(viewer)] == [1, 1, 1, 1]
    viewer.layers.remove("spots [RL 2]")
    qtbot.waitUntil(lambda: dock.side_by_side.names == ["image", "network", "RL 9"])
    dock.line_button.click()
    qtbot.waitUntil(lambda: not lines(viewer))
    assert dock.side_by_side.names == ["image", "network", "RL 9"]
    viewer.layers.remove("spots")
    qtbot.waitUntil(lambda: not viewer.canvas.grid.enabled)
    assert dock.grid_button.text() == "Side by side"
    assert dock.side_by_side.names == []


def test_no_layer_is_added_or_touched_without_need(dock: Any) -> None:
    """napari needs half a second for a layer that comes, and draws the canvas again for each that is touched."""
    viewer, changes = dock.viewer, []
    events = viewer.layers.events
    for event in (events.inserted, events.removed, events.reordered):
        event.connect(lambda event: changes.append(event.type))
    for layer in viewer.layers:
        layer.events.visible.connect(lambda event: changes.append(f"{event.source.name} {event.type}"))
    for _ in range(2):
        dock.grid_button.click()
        assert sorted(changes) == ["reordered", "spots [residual of deconvolved] visible"]
        changes.clear()


def test_a_residual_keeps_its_limits(dock: Any) -> None:
    viewer = dock.viewer
    residual = viewer.layers["spots [residual of deconvolved]"]
    residual.contrast_limits = (-1, 1)
    dock.side_by_side.show(lambda: [viewer.layers["spots"], viewer.layers["spots [RL 2]"], residual])
    assert tuple(residual.contrast_limits) == (-1, 1)
    assert viewer.layers["spots"].contrast_limits == viewer.layers["spots [RL 2]"].contrast_limits


@pytest.mark.canvas
def test_names_and_line_are_seen_in_each_tile(dock: Any) -> None:
    viewer = dock.viewer
    dock.line_button.click()
    dock.grid_button.click()
    viewer.layers.selection = set()
    for ndisplay, lines in ((2, True), (3, False)):
        viewer.dims.ndisplay = ndisplay
        QApplication.processEvents()
        picture = viewer.screenshot(canvas_only=True, flash=False).astype(int)
        height, width = picture.shape[0] // 2, picture.shape[1] // 2
        for row, column in ((0, 0), (0, 1), (1, 0)):
            tile = picture[row * height : (row + 1) * height, column * width : (column + 1) * width]
            orange = tile[..., 0] - tile[..., 2] > 60
            assert orange.any() == lines
            assert (tile[: height // 5, : width // 2, :3].min(-1) > 200).any()  # the letters of the name
