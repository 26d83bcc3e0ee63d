"""The dock 'Many files': a list of files, one settings file, a folder for the results."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import napari
from qtpy.QtCore import Qt, QUrl
from qtpy.QtGui import QDesktopServices, QDragEnterEvent, QDropEvent, QKeySequence
from qtpy.QtWidgets import (
    QCheckBox,
    QFileDialog,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
)

from napari_selfdeconv._gui.docks.base import DockBase
from napari_selfdeconv._gui.forms.fields import ChoiceBox
from napari_selfdeconv._gui.forms.layout import in_a_row, scrolled
from napari_selfdeconv._gui.panels.status import StatusLine
from napari_selfdeconv._gui.runs.activity import Activity
from napari_selfdeconv._gui.runs.batch import BatchOrder, batch_job
from napari_selfdeconv._gui.runs.controller import Ending, RunController, RunRequest
from napari_selfdeconv._gui.runs.failure import Failure
from napari_selfdeconv._gui.runs.worker import Succeeded
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Progress

DOCK_NAME = "Many files"
_FILE, _STATE = 0, 1
_PATH, _OUTPUT = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole.value + 1
_SHARING = [("One for each file", "file"), ("One for all files", "all"), ("One for each channel", "channel")]


class FileList(QTreeWidget):
    """Files and their status; files and folders can be dropped on it."""

    def __init__(self) -> None:
        super().__init__()
        #: Whether files stay where they are, because a run counts them.
        self.locked = False
        self.setHeaderLabels(["File", "State"])
        self.setRootIsDecorated(False)
        self.setSelectionMode(QTreeWidget.SelectionMode.ExtendedSelection)
        self.setAcceptDrops(True)
        self.setMinimumHeight(180)
        self.setAccessibleName("Files to deconvolve")
        self.setToolTip("Drop files or folders here. Double-click a finished file to open its result")
        header = self.header()
        if header is not None:
            header.setSectionResizeMode(_FILE, QHeaderView.ResizeMode.Stretch)
            header.setSectionResizeMode(_STATE, QHeaderView.ResizeMode.ResizeToContents)
            header.setStretchLastSection(False)

    @property
    def paths(self) -> list[Path]:
        """All files, in their order."""
        return [item.data(_FILE, _PATH) for item in self.rows]

    @property
    def rows(self) -> list[QTreeWidgetItem]:
        found = [self.topLevelItem(number) for number in range(self.topLevelItemCount())]
        return [item for item in found if item is not None]

    def add(self, paths: list[Path]) -> None:
        """Add files that are not there yet."""
        known = set(self.paths)
        for path in paths:
            if path in known:
                continue
            known.add(path)
            item = QTreeWidgetItem([path.name, "waiting"])
            item.setData(_FILE, _PATH, path)
            item.setToolTip(_FILE, str(path))
            self.addTopLevelItem(item)

    def remove_selected(self) -> None:
        """Remove the selected files from the list, unless it is locked. Files on disk are not changed."""
        for item in () if self.locked else self.selectedItems():
            self.takeTopLevelItem(self.indexOfTopLevelItem(item))

    def keyPressEvent(self, event: Any) -> None:
        if event is not None and event.matches(QKeySequence.StandardKey.Delete):
            self.remove_selected()
        else:
            super().keyPressEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        self._accept_files(event)

    def dragMoveEvent(self, event: Any) -> None:
        self._accept_files(event)

    def dropEvent(self, event: QDropEvent | None) -> None:
        data = None if event is None else event.mimeData()
        if event is None or data is None:
            return
        self.add_places([Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()])
        event.acceptProposedAction()

    def add_places(self, places: list[Path]) -> None:
        """Add files, and the images in folders."""
        from napari_selfdeconv.api import find_images

        for place in places:
            try:
                self.add([item.path for item in find_images(place)] if place.is_dir() else [place])
            except ConfigError:
                continue  # a folder without images adds none

    def _accept_files(self, event: Any) -> None:
        data = None if event is None else event.mimeData()
        if event is not None and data is not None and data.hasUrls():
            event.acceptProposedAction()


class PathField(QLineEdit):
    """A path that can be typed or chosen."""

    def __init__(self, tip: str, hint: str) -> None:
        super().__init__()
        self.setToolTip(tip)
        self.setPlaceholderText(hint)
        self.setMinimumWidth(60)
        self.button = QPushButton("...")
        self.button.setToolTip(f"Choose: {tip}")
        self.button.setMaximumWidth(32)

    @property
    def path(self) -> Path | None:
        text = self.text().strip()
        return Path(text) if text else None


class BatchWidget(DockBase):
    """Deconvolves the files of a list, as the command ``selfdeconv batch`` does.

    Parameters
    ----------
    napari_viewer : the viewer it is docked in.
    """

    NAME = DOCK_NAME

    def __init__(self, napari_viewer: napari.Viewer) -> None:
        super().__init__(napari_viewer)
        self.files = FileList()
        self.add_button = QPushButton("Add files...")
        self.add_button.setToolTip("Add image files to the list")
        self.folder_button = QPushButton("Add folder...")
        self.folder_button.setToolTip("Add all images of a folder to the list")
        self.remove_button = QPushButton("Remove")
        self.remove_button.setToolTip("Remove the selected files from the list. Files on disk are not changed")
        self.settings = PathField(
            "Settings file (TOML), as selfdeconv template writes it", "none: preset quick, optics of each file"
        )
        self.sharing = ChoiceBox(
            _SHARING, "Train a network for each file, or train one on the first file and use it for all"
        )
        self.out = PathField("Folder for the results", "needed")
        self.overwrite = QCheckBox("Overwrite existing results")
        self.overwrite.setToolTip("If this is off, files that have a result in the folder are skipped")
        self.start_button = QPushButton("Start")
        self.start_button.setToolTip(
            "Deconvolve all files of the list. A file that cannot be read does not stop the others"
        )
        self.stop_button = QPushButton("Stop (keep)")
        self.stop_button.setToolTip(
            "Stop after the current file. Start continues with the remaining files, unless it overwrites"
        )
        self.report_button = QPushButton("Open report")
        self.report_button.setToolTip("The table of all files, with a page for each, in the browser")
        self.status = StatusLine()
        self.runs = RunController(self)
        Activity(self.runs)
        self._current: QTreeWidgetItem | None = None
        self._index: Path | None = None
        scrolled(
            self,
            self.files,
            in_a_row(self.add_button, self.folder_button, self.remove_button),
            QLabel("Settings"),
            in_a_row(self.settings, self.settings.button, stretch=(1, 0)),
            QLabel("Network"),
            self.sharing,
            QLabel("Results"),
            in_a_row(self.out, self.out.button, stretch=(1, 0)),
            self.overwrite,
            in_a_row(self.start_button, self.stop_button, self.report_button),
            self.status,
        )
        self._connect()
        self._follow()

    def follow_layers(self) -> None:
        """Nothing here depends on layers."""

    def leave_viewer(self) -> None:
        """Do nothing: the dock has added no layers but those that the user opened."""

    @property
    def busy(self) -> bool:
        """Whether files are being deconvolved."""
        return self.runs.busy

    def start(self) -> None:
        """Deconvolve the files of the list."""
        if self.out.path is None:
            self.status.say("Choose a folder for the results.", "error")
            return
        order = BatchOrder(
            paths=tuple(self.files.paths),
            settings=self.settings.path,
            out=self.out.path,
            sharing=self.sharing.value(),
            overwrite=self.overwrite.isChecked(),
        )
        for item in self.files.rows:
            item.setText(_STATE, "waiting")
            item.setToolTip(_STATE, "")
        self._index = order.out / "index.html"
        job = cast(Any, batch_job(order))
        self.runs.start(
            RunRequest(job=job, what="Many files", on_event=self._on_event, on_success=self._say_counts)
        )
        self._follow()

    def _on_event(self, event: Any) -> None:
        """Show in the list what happens to a file."""
        from napari_selfdeconv.api import FileFinished, FileStarted

        if isinstance(event, FileStarted):
            self._current = self.files.rows[event.number - 1]
            self._current.setText(_STATE, "running")
            self.files.scrollToItem(self._current)
            self.status.say(f"{event.number} of {event.total}: {event.path.name}")
        elif isinstance(event, Progress) and self._current is not None and event.steps:
            self._current.setText(_STATE, f"{event.stage} {100 * event.step // event.steps} %")
        elif isinstance(event, FileFinished) and self._current is not None:
            self._finish_image(self._current, event)

    def _finish_image(self, item: QTreeWidgetItem, row: Any) -> None:
        """Show how an image of a file has ended; a file of which one has failed has failed."""
        if item.text(_STATE) != "failed":
            item.setText(_STATE, row.status)
        item.setToolTip(_STATE, "\n".join(filter(None, (item.toolTip(_STATE), row.message))))
        if row.output is not None:
            item.setData(_FILE, _OUTPUT, row.output)

    def _say_counts(self, result: Any) -> str:
        counts = {status: result.count(status) for status in ("done", "there already", "failed")}
        return ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "Nothing was done"

    def _on_finished(self, ending: Ending) -> None:
        if isinstance(ending.outcome, Failure):
            self.status.say(ending.outcome.text, "error")
        elif isinstance(ending.outcome, Succeeded):
            failed = any(item.text(_STATE) == "failed" for item in self.files.rows)
            self.status.say(ending.said, "warning" if failed else "good")
        else:
            self.status.say(
                "Stopped. Finished results are kept. Press Start to continue with the remaining files."
            )
        for item in self.files.rows:
            if item.text(_STATE) not in ("done", "there already", "failed"):
                item.setText(_STATE, "waiting")
        self._current = None
        self._follow()

    def _open_result(self, item: QTreeWidgetItem, _column: int = 0) -> None:
        """Open the result of a file as a layer."""
        output = item.data(_FILE, _OUTPUT)
        if output is not None and Path(output).exists():
            self.viewer.open(str(output), plugin="napari-selfdeconv" if output.suffix != ".zarr" else None)

    def _open_report(self) -> None:
        if self._index is not None and self._index.exists():
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._index.resolve())))

    def _choose_files(self) -> None:
        names, _ = QFileDialog.getOpenFileNames(self, "Images to deconvolve")
        self.files.add([Path(name) for name in names])

    def _choose_folder(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Folder with images"):
            self.files.add_places([Path(name)])

    def _choose_settings(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Settings of the runs", "", "Settings (*.toml *.json)")
        if name:
            self.settings.setText(name)

    def _choose_out(self) -> None:
        if name := QFileDialog.getExistingDirectory(self, "Folder for the results"):
            self.out.setText(name)

    def _connect(self) -> None:
        self.add_button.clicked.connect(self._choose_files)
        self.folder_button.clicked.connect(self._choose_folder)
        self.remove_button.clicked.connect(self.files.remove_selected)
        self.settings.button.clicked.connect(self._choose_settings)
        self.out.button.clicked.connect(self._choose_out)
        self.start_button.clicked.connect(self.start)
        self.stop_button.clicked.connect(self.runs.stop)
        self.report_button.clicked.connect(self._open_report)
        self.files.itemDoubleClicked.connect(self._open_result)
        self.runs.finished.connect(self._on_finished)
        model = self.files.model()
        if model is not None:
            model.rowsInserted.connect(self._follow)
            model.rowsRemoved.connect(self._follow)

    def _follow(self, *_: Any) -> None:
        """Enable the buttons that do something."""
        busy, there = self.busy, self.files.topLevelItemCount() > 0
        self.files.locked = busy
        for widget in (self.add_button, self.folder_button, self.remove_button, self.sharing, self.overwrite):
            widget.setEnabled(not busy)
        self.start_button.setEnabled(there and not busy)
        self.stop_button.setEnabled(busy)
        self.report_button.setEnabled(self._index is not None and self._index.exists())
