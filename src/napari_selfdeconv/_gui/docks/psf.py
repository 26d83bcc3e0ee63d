"""The dock 'Point spread function': generate one, check one, or average beads."""

from __future__ import annotations

from typing import Any

import napari
from qtpy.QtCore import QEvent, QSize, QTimer
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_selfdeconv._gui.panels.beads import BeadsPanel
from napari_selfdeconv._gui.panels.psf_check import DoctorPanel
from napari_selfdeconv._gui.panels.psf_generate import GeneratePanel
from napari_selfdeconv._gui.runs.worker import warm_up

DOCK_NAME = "Point spread function"


class PsfWidget(QWidget):
    """Three tabs: Generate, Check, Beads.

    Parameters
    ----------
    napari_viewer : the viewer it is docked in.
    """

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        self.viewer = viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.generate = GeneratePanel(viewer)
        self.doctor = DoctorPanel(viewer)
        self.beads = BeadsPanel(viewer)
        self.tabs = QTabWidget()
        for panel, name in ((self.generate, "Generate"), (self.doctor, "Check"), (self.beads, "Beads")):
            self.tabs.addTab(panel, name)
        self._closed = False
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)
        warm_up()

    def reset_choices(self, _event: Any = None) -> None:
        """Follow the viewer's layers; napari calls this when one comes, goes, moves or is renamed."""
        if self._closed:
            return
        for box in (self.generate.image_box, self.doctor.psf_box, self.doctor.image_box):
            box.refresh()

    def sizeHint(self) -> QSize:
        """Ask for the width that the forms read well at."""
        return QSize(340, 700)

    def event(self, event: QEvent | None) -> bool:
        # A docked widget gets no closeEvent: closing the dock takes its parent away.
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.generate.close_panel()
            self.beads.cancel()
            QTimer.singleShot(0, self._delete_if_closed)
        return bool(super().event(event))

    def _delete_if_closed(self) -> None:
        if self.parent() is None:
            self._closed = True
            self.doctor.close_panel()
            self.deleteLater()


def open_psf(viewer: Any) -> PsfWidget:
    """Open the dock beside the others, or raise it."""
    dock, widget = viewer.window.add_plugin_dock_widget("napari-selfdeconv", DOCK_NAME, tabify=True)
    dock.raise_()
    found: PsfWidget = widget
    return found
