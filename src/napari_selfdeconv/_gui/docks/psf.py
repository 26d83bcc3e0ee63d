"""The dock 'Point spread function': generate one, check one, or average beads."""

from __future__ import annotations

from typing import Any

import napari
from qtpy.QtWidgets import QTabWidget, QVBoxLayout

from napari_selfdeconv._gui.docks.base import DockBase, open_dock
from napari_selfdeconv._gui.panels.beads import BeadsPanel
from napari_selfdeconv._gui.panels.psf_check import DoctorPanel
from napari_selfdeconv._gui.panels.psf_generate import GeneratePanel
from napari_selfdeconv._gui.runs.controller import RunController
from napari_selfdeconv._gui.runs.warm_up import warm_up

DOCK_NAME = "Point spread function"


class PsfWidget(DockBase):
    """Three tabs: Generate, Check, Beads.

    Parameters
    ----------
    napari_viewer : the viewer it is docked in.
    """

    NAME = DOCK_NAME

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.generate = GeneratePanel(self.viewer)
        self.doctor = DoctorPanel(self.viewer)
        self.beads = BeadsPanel(self.viewer)
        self.tabs = QTabWidget()
        for panel, name in ((self.generate, "Generate"), (self.doctor, "Check"), (self.beads, "Beads")):
            self.tabs.addTab(panel, name)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)
        warm_up()

    def follow_layers(self) -> None:
        """Refresh the layer boxes of all tabs."""
        for box in (self.generate.image_box, self.doctor.psf_box, self.doctor.image_box):
            box.refresh()
        self.beads.form.refresh()

    def runs_to_ask_about(self) -> list[RunController]:
        """Ask about the average of beads only: the others show what the fields say, within seconds."""
        return [self.beads.runs]

    def leave_viewer(self) -> None:
        """Stop what is about to be computed, and disconnect from the layers."""
        self.generate.close_panel()
        self.doctor.close_panel()


def open_psf(viewer: Any) -> PsfWidget:
    """Open the dock beside the others, or raise it."""
    return open_dock(viewer, PsfWidget)
