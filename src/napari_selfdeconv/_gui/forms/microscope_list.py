"""The list of named microscopes and common objectives, and the menu to name, save and load them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from qtpy.QtCore import QSignalBlocker, Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QToolButton,
    QWidget,
)
from superqt import QSearchableComboBox

from napari_selfdeconv._gui.forms.fields import QuietWheel
from napari_selfdeconv._gui.forms.microscope import SharedMicroscope, TypedOptics
from napari_selfdeconv._gui.qt import existing
from napari_selfdeconv.api import (
    IMMERSIONS,
    OBJECTIVES,
    Microscope,
    Objective,
    forget_microscope,
    load_microscope,
    remember_microscope,
    remembered_microscopes,
    save_microscope,
)
from napari_selfdeconv.errors import ConfigError

_FILTER = "Microscope (*.toml)"
_CHOOSE = "choose microscope or objective"


class _List(QuietWheel, QSearchableComboBox):
    """A drop-down in which one can type to search."""


class MicroscopeList(QWidget):
    """Offers the microscopes that were named, then common objectives. What is chosen fills the fields.

    Signals: ``said`` carries (text, kind) for the user, as `Note.say` takes them; ``voxel_um`` the usual voxel
    size of the microscope that was chosen, where it has one.
    """

    said = Signal(str, str)
    voxel_um = Signal(object)

    def __init__(self, shared: SharedMicroscope) -> None:
        super().__init__()
        self._shared = shared
        self._voxel: tuple[float, ...] | None = None
        self.box = _List()
        self.box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.box.setMinimumWidth(90)
        self.box.setPlaceholderText(_CHOOSE)
        self.box.setToolTip(
            "Microscopes that you have named, and common objectives. Type to search. A choice fills in "
            "the fields: check them."
        )
        self.box.setAccessibleName("Microscope or objective")
        existing(self.box.lineEdit()).setPlaceholderText(_CHOOSE)
        self.menu_button = QToolButton()
        self.menu_button.setText("…")
        # The arrow of a menu would lie over the text.
        self.menu_button.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.menu_button.setToolTip("Name this microscope, save it to a file, load or forget one")
        self.menu_button.setAccessibleName("Microscope: name, save, load, forget")
        self.menu_button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.menu_button.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        menu = QMenu(self)
        menu.addAction("Remember under a name …", self.ask_name)
        menu.addAction("Save to a file …", self._ask_save)
        menu.addAction("Load from a file …", self._ask_load)
        self._forget = existing(menu.addAction("Forget the chosen one", self.forget))
        self.menu_button.setMenu(menu)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.box, 1)
        layout.addWidget(self.menu_button)
        self.box.activated.connect(self._on_activated)
        menu.aboutToShow.connect(lambda: self._forget.setEnabled(isinstance(self.box.currentData(), Microscope)))
        shared.changed.connect(self._show_chosen)
        self.refresh()

    def refresh(self) -> None:
        """Read the remembered microscopes again."""
        try:
            named = remembered_microscopes()
        except ConfigError as error:
            named = []
            self.said.emit(str(error), "warning")
        with QSignalBlocker(self.box):
            add: Any = self.box.addItem
            self.box.clear()
            for one in named:
                add(one.name, one)
            if named:
                self.box.insertSeparator(len(named))
            for objective in OBJECTIVES:
                add(objective.label, objective)
        self._show_chosen()

    def showEvent(self, event: Any) -> None:
        # Another dock may have named one meanwhile.
        super().showEvent(event)
        self.refresh()

    def offer_voxel_um(self, sizes: tuple[float, ...]) -> None:
        """Store the voxel size of a remembered microscope; empty if it is unknown."""
        self._voxel = sizes if sizes and all(sizes) else None

    def ask_name(self) -> None:
        """Ask for a name, and remember the microscope under it."""
        try:
            optics = self._shared.optics.optics()
        except ConfigError as error:
            self.said.emit(str(error), "error")
            return
        chosen = self.box.currentData()
        proposed = chosen.name if isinstance(chosen, Microscope) else self.box.currentText().strip()
        name, sure = QInputDialog.getText(
            self,
            "Remember this microscope",
            "Name, such as Zeiss 63x/1.4 oil, GFP:",
            QLineEdit.EchoMode.Normal,
            proposed,
        )
        if sure and name.strip():
            microscope = Microscope(name=name.strip(), optics=optics, voxel_um=self._voxel)
            self._guarded(lambda: remember_microscope(microscope), f"Remembered: {microscope.name}")
            self.refresh()

    def forget(self) -> None:
        """Forget the chosen microscope; the fields do not change."""
        chosen = self.box.currentData()
        if isinstance(chosen, Microscope):
            self._guarded(lambda: forget_microscope(chosen.name), f"Forgotten: {chosen.name}")
            self.refresh()

    def take(self, microscope: Microscope) -> None:
        """Fill the fields from a microscope."""
        self._shared.set_optics(TypedOptics.of(microscope.optics))
        if microscope.voxel_um is not None:
            self.voxel_um.emit(microscope.voxel_um)

    def _on_activated(self, _index: int) -> None:
        chosen = self.box.currentData()
        if isinstance(chosen, Microscope):
            self.take(chosen)
        elif isinstance(chosen, Objective):
            index = IMMERSIONS[chosen.immersion]
            self._shared.set_optics(replace(self._shared.optics, na=chosen.na, refractive_index=index))

    def _show_chosen(self) -> None:
        """Show the microscope or objective that has the numbers of the fields, if there is one."""
        typed = self._shared.optics
        for i in range(self.box.count()):
            one = self.box.itemData(i)
            same = isinstance(one, Microscope) and TypedOptics.of(one.optics) == typed
            if not same and isinstance(one, Objective):
                same = (one.na, IMMERSIONS[one.immersion]) == (typed.na, typed.refractive_index)
            if same:
                # Two objectives may have the same numbers: the one that was chosen stays.
                mine = self.box.currentData()
                if not (isinstance(one, Objective) and isinstance(mine, Objective) and _same(one, mine)):
                    self.box.setCurrentIndex(i)
                return
        self.box.setCurrentIndex(-1)

    def _ask_save(self) -> None:
        try:
            optics = self._shared.optics.optics()
        except ConfigError as error:
            self.said.emit(str(error), "error")
            return
        path, _ = QFileDialog.getSaveFileName(self, "Save the microscope", "microscope.toml", _FILTER)
        if path:
            name = self.box.currentText().strip() or "microscope"
            microscope = Microscope(name=name, optics=optics, voxel_um=self._voxel)
            self._guarded(lambda: save_microscope(path, microscope), f"Saved {path}")

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load a microscope", "", _FILTER)
        if path:
            self._guarded(lambda: self._load(path), f"Loaded {path}")
            self.refresh()

    def _load(self, path: str) -> None:
        microscope = load_microscope(path)
        remember_microscope(microscope)
        self.take(microscope)

    def _guarded(self, action: Any, done: str) -> None:
        try:
            action()
        except ConfigError as error:
            self.said.emit(str(error), "error")
            return
        self.said.emit(done, "good")


def _same(one: Objective, other: Objective) -> bool:
    return (one.na, one.immersion) == (other.na, other.immersion)
