"""The docks as the menus open them: tabs with short names, one of each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari._app_model import get_app_model
from npe2 import PluginManager
from qtpy.QtWidgets import QApplication, QScrollArea

from napari_selfdeconv._gui.docks.base import PLUGIN, TITLE
from napari_selfdeconv._gui.docks.batch import BatchWidget
from napari_selfdeconv._gui.docks.compare import CompareWidget, open_compare
from napari_selfdeconv._gui.docks.deconvolve import DeconvolveWidget
from napari_selfdeconv._gui.docks.psf import PsfWidget, open_psf

KINDS = (DeconvolveWidget, CompareWidget, PsfWidget, BatchWidget)


def open_from_menu(viewer: Any, command: str) -> None:
    get_app_model().commands.execute_command(f"{PLUGIN}.{command}").result()
    for _ in range(5):
        QApplication.processEvents()


def docks(viewer: Any) -> list[Any]:
    return [widget for widget in viewer.window.dock_widgets.values() if isinstance(widget, KINDS)]


def test_docks_from_the_menu_are_tabs(make_napari_viewer: Callable[..., Any]) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.add_image(np.ones((8, 8), np.float32))
    for command in ("deconvolve", "compare", "psf", "batch"):
        open_from_menu(viewer, command)
    main, *others = docks(viewer)
    window = viewer.window._qt_window
    assert {type(dock) for dock in (main, *others)} == set(KINDS)
    assert len(window.tabifiedDockWidgets(main.parentWidget())) == 3
    assert [dock.parentWidget().windowTitle() for dock in (main, *others)] == [kind.NAME for kind in KINDS]
    # The newest lies on top, and a button that opens a dock finds the one that the menu has opened.
    assert others[-1].isVisible()
    assert open_compare(viewer) is others[0]
    assert open_psf(viewer) is others[1]
    assert len(docks(viewer)) == 4


def test_the_menu_finds_the_dock_that_a_button_opened(make_napari_viewer: Callable[..., Any]) -> None:
    viewer = make_napari_viewer(show=True)
    dock = open_psf(viewer)
    open_from_menu(viewer, "psf")
    assert docks(viewer) == [dock]


def test_menu_entry_and_title_are_different_words() -> None:
    manifest = PluginManager.instance().get_manifest(PLUGIN)
    assert manifest.display_name == TITLE
    names = [widget.display_name for widget in manifest.contributions.widgets or ()]
    assert names == [kind.NAME for kind in KINDS]
    assert TITLE not in names


@pytest.mark.canvas
def test_the_question_about_the_axes_scrolls_into_view(open_dock: Callable[..., Any], qtbot: Any) -> None:
    dock = open_dock(show=True)
    dock.viewer.window._qt_window.resize(1000, 500)
    for section in dock.sections.values():
        section.unfold()
    QApplication.processEvents()
    bar = dock.findChild(QScrollArea).verticalScrollBar()
    bar.setValue(bar.maximum())
    assert bar.value() > 0
    film = dock.viewer.add_image(np.zeros((2, 3, 8, 8), np.float32), name="film")
    dock.image_box.choose(film)
    qtbot.waitUntil(lambda: dock.axes_form.visibleRegion().boundingRect().height() == dock.axes_form.height())
