"""A table of metrics: sortable, the best of a column in bold, to the clipboard and to a CSV file."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QApplication, QHeaderView, QTableWidget, QTableWidgetItem

from napari_selfdeconv._gui.qt import existing
from napari_selfdeconv._gui.runs.compare import Row
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.metrics.columns import COLUMNS, explain_columns

# In pixels.
_WIDEST_COLUMN = 160


class _Number(QTableWidgetItem):
    """A cell that sorts by its value, not by its text. Unknown values come last."""

    def __init__(self, value: float, text: str) -> None:
        super().__init__(text)
        self.value = value
        self.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)

    def __lt__(self, other: QTableWidgetItem) -> bool:
        mine, theirs = (math.inf if math.isnan(v) else v for v in (self.value, getattr(other, "value", math.nan)))
        return mine < theirs


class MetricsTable(QTableWidget):
    """Methods down, metrics across."""

    def __init__(self) -> None:
        super().__init__(0, 0)
        self.setAccessibleName("Metrics")
        self.setToolTip("One row for each result; a click on a title sorts")
        self.rows: list[Row] = []
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        existing(self.verticalHeader()).setVisible(False)
        existing(self.verticalHeader()).setDefaultSectionSize(22)
        existing(self.horizontalHeader()).setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        # The names of a long file differ at their end, and the numbers beside them must stay in view.
        existing(self.horizontalHeader()).setMaximumSectionSize(_WIDEST_COLUMN)
        self.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.setWordWrap(False)
        self.setMinimumHeight(190)

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show ``rows``, as they come; a click on a title sorts."""
        self.rows = list(rows)
        keys = self._keys()
        self.setSortingEnabled(False)
        self.setColumnCount(1 + len(keys))
        self.setHorizontalHeaderLabels(["Method", *[COLUMNS[key].head for key in keys]])
        self.setRowCount(len(self.rows))
        best = {key: _best([row.scores[key] for row in self.rows], COLUMNS[key].better) for key in keys}
        for i, row in enumerate(self.rows):
            name = QTableWidgetItem(row.name)
            name.setToolTip(row.name)
            self.setItem(i, 0, name)
            for column, key in enumerate(keys, 1):
                item = _Number(row.scores[key], COLUMNS[key].show(row.scores[key]))
                if row.scores[key] == best[key]:
                    font = item.font()
                    font.setBold(True)
                    item.setFont(font)
                    item.setToolTip("best of this column")
                self.setItem(i, column, item)
        self.setSortingEnabled(True)

    def text(self, separator: str) -> str:
        """Return the table as text, numbers in full with a decimal point."""
        keys = self._keys()
        out = io.StringIO()
        writer = csv.writer(out, delimiter=separator, lineterminator="\n")
        writer.writerow(["method", *keys])
        for row in self.rows:
            writer.writerow([row.name, *[repr(float(row.scores[key])) for key in keys]])
        return out.getvalue()

    def explain(self) -> str:
        """Return the notes on the displayed columns."""
        return explain_columns(self._keys())

    def copy(self) -> None:
        """Put the table on the clipboard, ready for a spreadsheet."""
        existing(QApplication.clipboard()).setText(self.text("\t"))

    def save(self, path: str) -> None:
        """Write the table as CSV; ConfigError if that fails."""
        try:
            Path(path).write_text(self.text(","), "utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error

    def _keys(self) -> list[str]:
        return [key for key in COLUMNS if self.rows and all(key in row.scores for row in self.rows)]


def _best(values: Sequence[float], direction: int) -> float | None:
    known = [value for value in values if not math.isnan(value)]
    if direction == 0 or len(known) < 2:
        return None
    return max(known) if direction > 0 else min(known)
