"""Which methods to compare."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QGridLayout, QLineEdit, QWidget

from napari_selfdeconv._gui.runs.deconvolve import parse_counts
from napari_selfdeconv.config.classical import Classical


class MethodsForm(QWidget):
    """A tick for each method."""

    def __init__(self) -> None:
        super().__init__()
        self.lucy = QCheckBox("Richardson-Lucy")
        self.counts = QLineEdit("2 5 10 20")
        self.counts.setToolTip("Iteration counts; one result for each")
        self.lucy_auto = QCheckBox("LR, best count")
        self.lucy_auto.setToolTip("The smallest count that predicts held-out pixels as well as the best")
        self.lucy_tv = QCheckBox("LR with TV")
        self.lucy_tv.setToolTip("Richardson-Lucy with total variation (0.002), best count")
        self.tv = QCheckBox("Total variation")
        self.tv.setToolTip("Its weight is chosen: the largest that predicts held-out pixels as well as the best")
        self.wiener = QCheckBox("Wiener")
        self.wiener.setToolTip("Its regularisation is chosen likewise")
        self.network = QCheckBox("Network (quick)")
        self.guard = QCheckBox("Replace lone bright or dark pixels first")
        self.guard.setToolTip("Salt and pepper, hot pixels: for total variation and Wiener, which square them")
        for tick in (self.lucy, self.lucy_auto, self.tv):
            tick.setChecked(True)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(3)
        places = (
            (self.lucy, self.counts),
            (self.lucy_auto, self.lucy_tv),
            (self.tv, self.wiener),
        )
        for row, pair in enumerate(places):
            for column, widget in enumerate(pair):
                layout.addWidget(widget, row, column)
        layout.addWidget(self.guard, 3, 0, 1, 2)
        layout.addWidget(self.network, 4, 0, 1, 2)

    def classical(self) -> list[Classical]:
        """Return the classical methods that are ticked; ConfigError if the counts are none."""
        guard = self.guard.isChecked()
        chosen: list[Classical] = []
        if self.lucy.isChecked():
            chosen += [Classical(method="rl", iterations=n) for n in parse_counts(self.counts.text())]
        for tick, method in (
            (self.lucy_auto, Classical(method="rl")),
            (self.lucy_tv, Classical(method="rl-tv")),
            (self.tv, Classical(method="tv", median_guard=guard)),
            (self.wiener, Classical(method="wiener", median_guard=guard)),
        ):
            if tick.isChecked():
                chosen.append(method)
        return chosen

    def offer_network(self, offered: bool) -> None:
        """Say whether the network is still to be trained, or has a result already."""
        self.network.setText("Network: train 'quick' in the same go" if offered else "Network: train it again")
        if not offered:
            self.network.setChecked(False)
