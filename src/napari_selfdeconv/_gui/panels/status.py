"""The messages of a run: one line of status, and remarks in a folded list."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtGui import QMouseEvent, QResizeEvent
from qtpy.QtWidgets import QPlainTextEdit, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from napari_selfdeconv._gui.forms.fields import Note, with_micro

# Border and padding of a marked note, and a pixel to spare.
_EDGE = 12
_MOST_ROWS = 7


class StatusLine(Note):
    """One line that is shortened to the dock's width. A click shows all of it; an error always shows all."""

    def __init__(self) -> None:
        self._whole = ""
        self._unfolded = False
        super().__init__()
        self.setAccessibleName("Status")

    def text(self) -> str:
        """Return the whole text, whatever fits the line."""
        return self._whole

    def say(self, text: str, kind: str = "") -> None:
        """Show ``text`` as `Note.say` does."""
        self._unfolded = kind == "error"
        super().say(text, kind)

    def setText(self, text: str | None) -> None:
        self._whole = text or ""
        self._fit()

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._fit()

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        super().mouseReleaseEvent(event)
        if self.kind != "error" and not self.hasSelectedText():
            self._unfolded = not self._unfolded
            self._fit()

    def _fit(self) -> None:
        line = " ".join(self._whole.split())
        short = self.fontMetrics().elidedText(line, Qt.TextElideMode.ElideRight, max(20, self.width() - _EDGE))
        shown = self._whole if self._unfolded else short
        self.setWordWrap(self._unfolded)
        if shown != super().text():
            super().setText(shown)
        self.setToolTip(self._whole if shown != self._whole else "")
        self.setAccessibleDescription(self._whole)


class Remarks(QWidget):
    """'2 remarks': what a run has said that the user should know. A click unfolds them."""

    def __init__(self) -> None:
        super().__init__()
        self._said: list[str] = []
        self.heading = QToolButton()
        self.heading.setCheckable(True)
        self.heading.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.heading.setStyleSheet("QToolButton { border: none; padding: 0; }")
        self.heading.setToolTip("Show or hide what this run has remarked about the image and the PSF")
        self.body = QPlainTextEdit()
        self.body.setReadOnly(True)
        self.body.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.body.setAccessibleName("Remarks")
        self.body.setToolTip("What this run has remarked about the image and the PSF")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.heading)
        layout.addWidget(self.body)
        self.heading.toggled.connect(self._unfold)
        self.clear()

    def text(self) -> str:
        """Return all remarks, one below the other."""
        return "\n".join(self._said)

    def add(self, message: str) -> None:
        """Add a remark, unless it exists already."""
        message = with_micro(message)
        if message not in self._said:
            self._said.append(message)
            self._show()

    def clear(self) -> None:
        """Forget the remarks, and fold."""
        self._said = []
        self.heading.setChecked(False)
        self._unfold(False)
        self._show()

    def _show(self) -> None:
        count = len(self._said)
        self.heading.setText("1 remark" if count == 1 else f"{count} remarks")
        self.body.setPlainText("\n".join(f"• {said}" for said in self._said))
        self._fit()
        # Not before it has a parent, or it would open a window of its own.
        self.setVisible(count > 0 and self.parent() is not None)

    def resizeEvent(self, event: QResizeEvent | None) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Give the text the height it needs, up to a few rows; more is scrolled."""
        height = self.fontMetrics().lineSpacing()
        width = max(100, self.width() - 24)
        rows = sum(1 + self.fontMetrics().horizontalAdvance(f"• {said}") // width for said in self._said)
        self.body.setFixedHeight(min(max(rows, 2), _MOST_ROWS) * height + 12)

    def _unfold(self, shown: bool) -> None:
        self.body.setVisible(shown)
        self.heading.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)
