"""How fields are laid out in a dock: rows, labelled grids, sections that fold, and what scrolls."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_selfdeconv._gui.qt import existing


def name_fields(form: QWidget) -> None:
    """Name fields that have no name for screen readers, by the first part of their tooltip."""
    fields = (*form.findChildren(QAbstractSpinBox), *form.findChildren(QComboBox), *form.findChildren(QLineEdit))
    for field in fields:
        if not field.accessibleName():
            field.setAccessibleName(re.split(r"[:;,(]", field.toolTip())[0].strip())


def scroll_to(widget: QWidget) -> None:
    """Scroll the form that holds ``widget`` until it is seen, and unfold the sections around it."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QScrollArea):
        if isinstance(parent, Section):
            parent.unfold()
        parent = parent.parentWidget()
    if isinstance(parent, QScrollArea):
        # The section that was just unfolded is laid out first.
        QTimer.singleShot(0, lambda area=parent: area.ensureWidgetVisible(widget, 0, 40))


def in_a_row(*widgets: QWidget, stretch: Sequence[int] = ()) -> QWidget:
    """Lay widgets side by side; ``stretch`` has their shares of the width, the same for all if empty."""
    box = QWidget()
    layout = QHBoxLayout(box)
    layout.setContentsMargins(0, 0, 0, 0)
    for widget, share in zip(widgets, stretch or (0,) * len(widgets), strict=True):
        layout.addWidget(widget, share)
    return box


def labelled_grid(fields: Sequence[tuple[str, QWidget]]) -> QWidget:
    """Lay labelled fields side by side, each label above its field."""
    box = QWidget()
    layout = QGridLayout(box)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setVerticalSpacing(2)
    for column, (text, field) in enumerate(fields):
        layout.addWidget(QLabel(text), 0, column)
        layout.addWidget(field, 1, column)
        layout.setColumnStretch(column, 1)
    return box


def scrolled(dock: QWidget, *widgets: QWidget, spacing: int = 4, pinned: QWidget | None = None) -> None:
    """Fill a dock or a tab with widgets, one below the other, that scroll if they are taller than it.

    ``pinned`` lies below them and does not scroll: it is always in view.
    """
    inside = FormBody()
    layout = QVBoxLayout(inside)
    layout.setContentsMargins(8, 2, 8, 2)
    layout.setSpacing(spacing)
    for widget in widgets:
        layout.addWidget(widget)
    # With a share of 0 Qt gives a part of the room to the sections, and gaps open between their fields.
    layout.addStretch(1)
    outer = QVBoxLayout(dock)
    outer.setContentsMargins(0, 0, 0, 0)
    outer.setSpacing(0)
    name_fields(inside)
    outer.addWidget(TallForm(inside), 1)
    if pinned is not None:
        line = QFrame()
        line.setFrameShape(QFrame.Shape.HLine)
        outer.addWidget(line)
        foot = QWidget()
        inner = QVBoxLayout(foot)
        inner.setContentsMargins(8, 4, 8, 4)
        inner.addWidget(pinned)
        outer.addWidget(foot)


class Section(QWidget):
    """A heading that folds what lies below it."""

    def __init__(self, title: str, *, folded: bool = False) -> None:
        super().__init__()
        self.heading = QToolButton()
        self.heading.setText(title)
        self.heading.setToolTip(f"Show or hide the fields of '{title}'")
        self.heading.setCheckable(True)
        self.heading.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.heading.setStyleSheet("QToolButton { font-weight: bold; border: none; padding: 0; }")
        self.heading.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._inside = QWidget()
        self.body = QVBoxLayout(self._inside)
        self.body.setContentsMargins(0, 0, 0, 0)
        self.body.setSpacing(4)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.heading)
        layout.addWidget(self._inside)
        self.heading.toggled.connect(self._unfold)
        self.heading.setChecked(not folded)
        self._unfold(not folded)

    def add(self, *widgets: QWidget) -> None:
        """Put widgets below the heading, one below the other."""
        for widget in widgets:
            self.body.addWidget(widget)

    def unfold(self) -> None:
        """Show what is below the heading."""
        self.heading.setChecked(True)

    def _unfold(self, shown: bool) -> None:
        self._inside.setVisible(shown)
        self.heading.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)


class FormBody(QWidget):
    """A column of fields and wrapped notes that asks for the height it needs at its present width.

    Qt would ask for the height at the smallest width, and show a scroll bar for lines that are not there.
    """

    def minimumSizeHint(self) -> QSize:
        size = super().minimumSizeHint()
        layout = self.layout()
        if layout is not None and layout.hasHeightForWidth():
            size.setHeight(layout.minimumHeightForWidth(max(self.width(), size.width())))
        return size


class TallForm(QScrollArea):
    """Scrolls up and down what is taller than the window; never narrower than what it holds."""

    def __init__(self, inside: QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidget(inside)
        inside.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Ask the dock for room when a section unfolds: Qt does not pass size hints through a scroll area."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))

    def minimumSizeHint(self) -> QSize:
        # Leave room for the scroll bar, which would otherwise cover the right-hand fields.
        bar = existing(self.verticalScrollBar()).sizeHint().width()
        return QSize(existing(self.widget()).minimumSizeHint().width() + bar, 80)
