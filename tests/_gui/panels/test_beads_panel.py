"""The tab 'Beads': from beads to a PSF layer, with the real computation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_selfdeconv._gui.docks.psf import open_psf
from napari_selfdeconv._gui.layers.beads import BEADS_NAME, COLOURS
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY
from napari_selfdeconv._gui.panels.beads import WORDS, BeadsPanel
from napari_selfdeconv._gui.plugin.sample_data import beads_3d
from napari_selfdeconv.psf.beads import REASONS

CENTRES = [(20.3, 21.7), (20.8, 59.2), (58.6, 20.1), (59.3, 58.8), (40.1, 40.2), (2.0, 40.0)]


def beads_image() -> np.ndarray:
    y, x = np.mgrid[:80, :80]
    image = sum(900 * np.exp(-(((y - a) / 1.5) ** 2 + ((x - b) / 1.3) ** 2) / 2) for a, b in CENTRES)
    return (image + 100 + np.random.default_rng(0).normal(0, 3, (80, 80))).astype(np.uint16)


@pytest.fixture
def open_panel(make_napari_viewer: Callable[..., Any]) -> Callable[..., BeadsPanel]:
    """Return a function that opens a viewer with 'beads' and the panel."""

    def make(image: np.ndarray | None = None, **placed: Any) -> BeadsPanel:
        viewer = make_napari_viewer()
        placed = placed or {"scale": (0.1, 0.1), "units": ("um", "um")}
        viewer.add_image(beads_image() if image is None else image, name="beads", **placed)
        return open_psf(viewer).beads

    return make


@pytest.fixture
def make_psf(qtbot: Any) -> Callable[[BeadsPanel], None]:
    """Return a function that presses the button and waits."""

    def run(panel: BeadsPanel) -> None:
        panel.make_button.click()
        qtbot.waitUntil(lambda: not panel.busy, timeout=60_000)

    return run


def rows(panel: BeadsPanel) -> dict[str, str]:
    table = panel.table
    return {table.item(row, 0).text(): table.item(row, 1).text() for row in range(table.rowCount())}


def test_a_psf_layer_and_the_beads(
    open_panel: Callable[..., BeadsPanel], make_psf: Callable[[BeadsPanel], None]
) -> None:
    panel = open_panel(scale=(0.1, 0.2), translate=(3, 4), units=("um", "um"))
    make_psf(panel)
    psf = panel.viewer.layers["beads PSF from 5 beads"]
    assert np.allclose(psf.scale, (0.1, 0.2))
    assert [str(unit) for unit in psf.units] == ["micrometer"] * 2
    assert all(n % 2 for n in psf.data.shape)
    assert psf.data.min() >= 0
    assert psf.data.sum(dtype=float) == pytest.approx(1, abs=1e-5)
    about = psf.metadata[METADATA_KEY]
    assert (about["role"], about["beads_used"], about["beads_rejected"]) == ("psf", 5, {"clipped": 1})
    assert about["fwhm_um"] == pytest.approx([0.353, 0.612], rel=0.05)
    points = panel.viewer.layers[BEADS_NAME]
    assert sorted(points.features["reason"]) == ["clipped", *["used"] * 5]
    world = [points.data_to_world(point) for point in points.data]
    expected = [panel.viewer.layers["beads"].data_to_world(centre) for centre in CENTRES]
    assert np.allclose(sorted(map(tuple, world)), sorted(map(tuple, expected)), atol=0.12)
    colours = {tuple(np.round(colour, 2)) for colour in points.border_color}
    assert len(colours) == 2
    assert rows(panel) == {"used": "5", "window reaches over the border": "1"}
    assert "5 of 6 beads averaged" in panel.status.text()
    assert panel.make_button.isEnabled()


def test_a_row_of_the_table_selects_its_beads(
    open_panel: Callable[..., BeadsPanel], make_psf: Callable[[BeadsPanel], None]
) -> None:
    panel = open_panel()
    make_psf(panel)
    panel.table.selectRow(1)
    points = panel.viewer.layers[BEADS_NAME]
    assert [points.features["reason"][i] for i in points.selected_data] == ["clipped"]


def test_points_mark_the_beads_and_one_bead_is_warned_of(
    open_panel: Callable[..., BeadsPanel], make_psf: Callable[[BeadsPanel], None]
) -> None:
    panel = open_panel()
    points = panel.viewer.add_points([[2.03, 2.17]], name="mine")  # in um: the layer has a scale of 1
    panel.form.choose_points(points)
    points.name = "my beads"
    assert panel.form.points_box.combo.currentText() == "my beads"
    make_psf(panel)
    assert "beads PSF from 1 bead" in panel.viewer.layers
    assert "Only one bead" in panel.warning.text()
    panel.viewer.layers.remove(points)
    assert panel.form.points_box.layer is None


def test_flat_points_on_a_stack(
    open_panel: Callable[..., BeadsPanel], make_psf: Callable[[BeadsPanel], None]
) -> None:
    depth = np.exp(-((np.arange(21) - 10) ** 2) / 18.0)[:, None, None]
    stack = (beads_image() - 100.0) * depth + np.random.default_rng(1).normal(100, 3, (21, 80, 80))
    panel = open_panel(stack, scale=(0.3, 0.1, 0.1), units=("um",) * 3)
    panel.form.choose_points(panel.viewer.add_points(np.array(CENTRES[:3]) * 0.1, name="flat"))
    make_psf(panel)
    assert panel.viewer.layers["beads PSF from 3 beads"].ndim == 3
    assert "no z" in panel.warning.text()
    assert panel.viewer.layers[BEADS_NAME].ndim == 2
    assert np.allclose(panel.viewer.layers[BEADS_NAME].features["z"], 10, atol=0.5)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda panel: panel.form.voxel[1].setValue(0), "no voxel size along y"),
        (lambda panel: panel.form.brightness.setValue(300), "min_brightness"),
        (lambda panel: panel.form.choose_points(panel.viewer.add_points(ndim=2)), "has no points"),
        (lambda panel: panel.form.choose_points(panel.viewer.add_points(np.zeros((1, 3)))), "3 coordinates"),
        (lambda panel: panel.viewer.layers.clear(), "No image chosen"),
    ],
)
def test_nonsense_starts_nothing_and_is_said(
    open_panel: Callable[..., BeadsPanel], spoil: Callable[[BeadsPanel], Any], words: str
) -> None:
    panel = open_panel()
    spoil(panel)
    panel.make_button.click()
    assert not panel.busy
    assert words in panel.status.text()
    assert panel.status.kind == "error"


def test_an_unknown_voxel_size_is_asked_for(open_panel: Callable[..., BeadsPanel]) -> None:
    panel = open_panel(scale=(1, 1))
    assert "Type it" in panel.form.voxel_note.text()
    panel.make_button.click()
    assert "no voxel size" in panel.status.text()


def test_failures_are_told_with_the_remedy(
    open_panel: Callable[..., BeadsPanel], make_psf: Callable[[BeadsPanel], None]
) -> None:
    panel = open_panel()
    panel.form.window_um[1].setValue(7.5)
    make_psf(panel)
    assert "All 6 beads were rejected" in panel.status.text()
    assert "smaller window" in panel.status.text()
    assert len(panel.viewer.layers) == 1
    panel.form.window_um[1].set_number(None)
    make_psf(panel)
    assert "beads PSF from 5 beads" in panel.viewer.layers


def test_cancel_and_a_closed_dock_add_nothing(open_panel: Callable[..., BeadsPanel], qtbot: Any) -> None:
    panel = open_panel()
    panel.make()
    panel.cancel_button.click()
    assert panel.cancel_button.text() == "Cancelling …"
    qtbot.waitUntil(lambda: not panel.busy, timeout=60_000)
    assert "Cancelled" in panel.status.text()
    panel.make()
    panel.viewer.window.remove_dock_widget(open_psf(panel.viewer))
    qtbot.waitUntil(lambda: not panel.busy, timeout=60_000)
    assert len(panel.viewer.layers) == 1


def test_the_image_may_go_while_it_runs(open_panel: Callable[..., BeadsPanel], qtbot: Any) -> None:
    panel = open_panel()
    panel.make()
    panel.viewer.layers.clear()
    qtbot.waitUntil(lambda: not panel.busy, timeout=60_000)
    assert "beads PSF from 5 beads" in panel.viewer.layers


def test_a_second_run_replaces_the_bead_marks(
    open_panel: Callable[..., BeadsPanel], make_psf: Callable[[BeadsPanel], None]
) -> None:
    panel = open_panel()
    make_psf(panel)
    make_psf(panel)
    assert sum(layer.name.startswith(BEADS_NAME) for layer in panel.viewer.layers) == 1


def test_marks_that_a_person_has_thinned_out_are_taken_as_points(
    open_panel: Callable[..., BeadsPanel], make_psf: Callable[[BeadsPanel], None]
) -> None:
    panel = open_panel()
    make_psf(panel)
    marks = panel.viewer.layers[BEADS_NAME]
    marks.selected_data = {0}
    marks.remove_selected()
    panel.form.choose_points(marks)
    make_psf(panel)
    assert rows(panel)["used"] in ("4", "5")
    assert sum(int(count) for count in rows(panel).values()) == 5
    assert panel.form.points_box.layer is panel.viewer.layers[BEADS_NAME]


def test_every_reason_has_words_and_a_colour() -> None:
    assert set(WORDS) == set(COLOURS) == {"used", *REASONS}


def test_the_sample_has_its_true_psf() -> None:
    (psf, meta, _), (image, about, kind) = beads_3d()
    assert (image.dtype, kind, about["name"]) == (np.uint16, "image", "beads")
    assert about["scale"] == meta["scale"] == (0.25, 0.1, 0.1)
    assert psf.sum(dtype=float) == pytest.approx(1, abs=1e-5)
