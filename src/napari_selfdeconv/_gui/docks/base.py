"""What all docks have in common: the viewer, the width, and how they end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar
from weakref import ref

import napari
from napari.settings import get_settings
from qtpy.QtCore import QEvent, QSize, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QMessageBox, QWidget

from napari_selfdeconv._gui.runs.controller import RunController

#: The plugin's name in the manifest, and how menus call it.
PLUGIN, TITLE = "napari-selfdeconv", "Self-supervised deconvolution"
_D = TypeVar("_D", bound="DockBase")


def open_dock(viewer: Any, kind: type[_D]) -> _D:
    """Raise the dock of a kind, whoever opened it, or open it beside the others as the menu would."""
    for widget in viewer.window.dock_widgets.values():
        if isinstance(widget, kind):
            dock = widget.parentWidget()
            assert dock is not None
            dock.show()
            dock.raise_()
            return widget
    widget = kind(viewer)
    viewer.window.add_dock_widget(widget, name=f"{kind.NAME} ({TITLE})", tabify=True).raise_()
    return widget


class DockBase(QWidget):
    """A dock that follows the viewer's layers until it is closed, and then leaves nothing behind.

    Parameters
    ----------
    napari_viewer : the viewer it is docked in.
    """

    SIZE: ClassVar[tuple[int, int]] = (340, 700)
    #: As the manifest calls it.
    NAME: ClassVar[str]

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__()
        # Plugins get a proxy that wraps every layer again at each access. Layers are compared by identity here,
        # so the viewer itself is needed.
        self.viewer: Any = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self._closed = False
        self._follow_font_size()
        # napari refers to a bound method weakly.
        get_settings().appearance.events.font_size.connect(self._follow_font_size)

    def follow_layers(self) -> None:
        """Show the viewer's layers as they are now."""
        raise NotImplementedError

    def leave_viewer(self) -> None:
        """Take away what the dock has put into the viewer, and disconnect from the viewer's events."""
        raise NotImplementedError

    def runs_to_ask_about(self) -> Sequence[RunController]:
        """Return the run controllers. The user is asked before one of their runs is lost."""
        return [runs for runs in self.findChildren(RunController) if runs.asks]

    def reset_choices(self, _event: Any = None) -> None:
        """Follow the viewer's layers; napari calls this when one comes, goes, moves or is renamed."""
        if not self._closed:
            self.follow_layers()

    def sizeHint(self) -> QSize:
        """Return the width at which the forms are easy to read."""
        return QSize(*self.SIZE)

    def event(self, event: QEvent | None) -> bool:
        # A docked widget gets no closeEvent: closing the dock takes its parent away.
        if event is not None and event.type() == QEvent.Type.ParentChange and self.parent() is None:
            for runs in self.findChildren(RunController):
                runs.close()
            # Not at once: a script may dock it again.
            QTimer.singleShot(0, self._delete_if_closed)
        elif event is not None and event.type() == QEvent.Type.ParentChange:
            self._ask_before_closing(self.parent())
            # Later, when napari has placed the dock.
            QTimer.singleShot(0, self._join_tabs)
        return bool(super().event(event))

    def _follow_font_size(self, _event: Any = None) -> None:
        """Take the size of the font from napari's preferences, which napari gives to labels and buttons only."""
        size = get_settings().appearance.font_size
        self.setStyleSheet(f"QToolButton, QLineEdit, QAbstractItemView {{ font-size: {size}pt; }}")

    def _join_tabs(self) -> None:
        """Become a tab beside the other docks of this plugin, because stacked docks have too little height."""
        mine = self.parentWidget()
        window = None if mine is None else mine.parentWidget()
        if not isinstance(mine, QDockWidget) or not isinstance(window, QMainWindow) or mine.isFloating():
            return
        # On a tab there is room for the dock's own name only.
        mine.setWindowTitle(self.NAME)
        for other in window.findChildren(DockBase):
            dock = other.parentWidget()
            if other is self or not isinstance(dock, QDockWidget) or dock.isFloating():
                continue
            if window.dockWidgetArea(dock) == window.dockWidgetArea(mine):
                if dock not in window.tabifiedDockWidgets(mine):
                    window.tabifyDockWidget(dock, mine)
                    mine.show()
                    mine.raise_()
                return

    def _ask_before_closing(self, dock: Any) -> None:
        """Make the close button of napari's dock ask the user during a run. A script is not asked."""
        if not hasattr(dock, "destroyOnClose"):
            return  # it is in a window of its own
        close, me = dock.destroyOnClose, ref(self)

        def ask_and_close() -> None:
            widget = me()
            if widget is None or widget._may_close():
                close()

        # napari has no event before a dock is closed: its button calls this method.
        dock.destroyOnClose = ask_and_close

    def _may_close(self) -> bool:
        """Return whether the dock may close: no run is under way, or the user agrees to end it."""
        if not any(runs.busy for runs in self.runs_to_ask_about()):
            return True
        box = QMessageBox(self)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle("Close the dock?")
        box.setText("A run is under way. Closing the dock ends it, and its result is lost.")
        box.setInformativeText("Layers that were added already stay. To keep the result, press Stop (keep) first.")
        end = box.addButton("End the run and close", QMessageBox.ButtonRole.DestructiveRole)
        stay = box.addButton("Keep it open", QMessageBox.ButtonRole.RejectRole)
        box.setDefaultButton(stay)
        box.exec()
        return box.clickedButton() is end

    def _delete_if_closed(self) -> None:
        # Otherwise napari's dock would keep the widget alive.
        if self.parent() is None and not self._closed:
            self._closed = True
            self.leave_viewer()
            self.deleteLater()
