"""Commands of the Layers menu and the command palette: they open the main dock and press its buttons."""

from __future__ import annotations

import napari

from napari_selfdeconv._gui.docks.base import open_dock
from napari_selfdeconv._gui.docks.deconvolve import DeconvolveWidget


def repeat_run(viewer: napari.Viewer) -> None:
    """Run the selected result again, with its settings and seed."""
    _dock(viewer).model_panel.repeat_button.click()


def copy_as_python(viewer: napari.Viewer) -> None:
    """Put a script on the clipboard that gives the same array as the selected result."""
    _dock(viewer).model_panel.python_button.click()


def copy_as_command(viewer: napari.Viewer) -> None:
    """Put a command line on the clipboard that gives the same array as the selected result."""
    _dock(viewer).model_panel.command_button.click()


def _dock(viewer: napari.Viewer) -> DeconvolveWidget:
    found = open_dock(viewer, DeconvolveWidget)
    found.sections["model"].unfold()
    return found
