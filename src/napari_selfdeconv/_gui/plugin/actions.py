"""Commands of the Layers menu and the command palette: they open the main dock and press its buttons."""

from __future__ import annotations

import napari
from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog

from napari_selfdeconv._gui.docks.base import open_dock
from napari_selfdeconv._gui.docks.deconvolve import DeconvolveWidget
from napari_selfdeconv._gui.layers.exchange import METADATA_KEY
from napari_selfdeconv.errors import ConfigError


def repeat_run(viewer: napari.Viewer) -> None:
    """Run the selected result again, with its settings and seed."""
    _dock(viewer).model_panel.repeat_button.click()


def copy_as_python(viewer: napari.Viewer) -> None:
    """Put a script on the clipboard that gives the same array as the selected result."""
    _dock(viewer).model_panel.python_button.click()


def copy_as_command(viewer: napari.Viewer) -> None:
    """Put a command line on the clipboard that gives the same array as the selected result."""
    _dock(viewer).model_panel.command_button.click()


def save_settings(viewer: napari.Viewer) -> None:
    """Save the settings of the selected result as TOML: for selfdeconv --config, and for the dock 'Many files'."""
    from napari_selfdeconv.api import save_template, template_of_record

    layer = viewer.layers.selection.active
    try:
        template = template_of_record({} if layer is None else layer.metadata.get(METADATA_KEY, {}))
        name, _ = QFileDialog.getSaveFileName(None, "Settings of this result", "run.toml", "Settings (*.toml)")
        if name:
            save_template(name, template)
            show_info(f"Settings saved: {name}")
    except ConfigError as error:
        show_error(str(error))


def _dock(viewer: napari.Viewer) -> DeconvolveWidget:
    found = open_dock(viewer, DeconvolveWidget)
    found.sections["model"].unfold()
    return found
