"""Which methods to compare, a row for each of the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtWidgets import QCheckBox, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QSizePolicy, QWidget

from napari_selfdeconv._gui.forms.fields import ChoiceBox
from napari_selfdeconv.api import METHODS, Classical, Method
from napari_selfdeconv.errors import ConfigError

_AUTO = "auto"
# A method that does not have the chosen rule uses its default.
# Short, for a narrow dock.
_BORDERS = {"any light": "open", "mirrored": "reflect", "no light": "zero"}


class MethodsForm(QWidget):
    """A tick for each method, and its settings; ``ticks`` and ``settings`` have the keys of `METHODS`."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks: dict[str, QCheckBox] = {}
        self.settings: dict[str, QLineEdit] = {}
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(3)
        for row, (key, method) in enumerate(METHODS.items()):
            self.ticks[key] = tick = QCheckBox(method.title)
            tick.setToolTip(method.summary)
            tick.setChecked(method.ticked)
            layout.addWidget(tick, row, 0)
            if method.shown is not None:
                self.settings[key] = field = QLineEdit(_proposed(method))
                field.setToolTip(_explain(method))
                field.setMinimumWidth(60)
                field.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
                layout.addWidget(field, row, 1)
        self.guard = QCheckBox("Replace hot and dead pixels first")
        squared = [method.title for method in METHODS.values() if method.least_squares]
        self.guard.setToolTip(
            f"Replaces hot pixels and salt and pepper for {', '.join(squared)}, which minimise squared errors"
        )
        self.border = ChoiceBox(
            list(_BORDERS.items()),
            "What is assumed beyond the border, for methods with several rules: any light that explains the "
            "image, the mirrored image, or no light",
        )
        self.network = QCheckBox("Network (quick)")
        self.network.setToolTip("Train the network with the preset 'quick' and compare its result as well")
        layout.addWidget(self.guard, len(METHODS), 0, 1, 2)
        beside = QHBoxLayout()
        beside.addWidget(QLabel("Beyond the border"))
        beside.addWidget(self.border, 1)
        layout.addLayout(beside, len(METHODS) + 1, 0, 1, 2)
        layout.addWidget(self.network, len(METHODS) + 2, 0, 1, 2)

    def classical(self, camera: Mapping[str, Any] | None = None) -> list[Classical]:
        """Return the classical methods that are ticked; ConfigError if a setting cannot be read.

        ``camera`` holds the camera settings that are given, for methods that model the camera.
        """
        chosen: list[Classical] = []
        for key, tick in self.ticks.items():
            if tick.isChecked():
                method, border = METHODS[key], self.border.currentData()
                start = Classical(
                    method=key,
                    median_guard=method.least_squares and self.guard.isChecked(),
                    boundary=border if border != "open" and border in method.boundaries else None,
                    **(camera if camera is not None and "open" in method.boundaries else {}),
                )
                chosen += _read(start, self.settings[key].text() if key in self.settings else "")
        return chosen

    def offer_network(self, offered: bool) -> None:
        """Say whether the network is still to be trained, or has a result already."""
        self.network.setText("Network: train 'quick' as well" if offered else "Network: train it again")
        if not offered:
            self.network.setChecked(False)


def _proposed(method: Method) -> str:
    if method.shown != "iterations":
        return _AUTO
    return " ".join([*(f"{count:g}" for count in method.compared), _AUTO])


def _explain(method: Method) -> str:
    what = "Iteration counts" if method.shown == "iterations" else "Regularisation"
    if method.chosen is None:
        auto = "the default of the method"
    elif method.chosen == "iterations":
        auto = "the smallest count that predicts held-out pixels as well as the best"
    else:
        auto = "the largest that predicts held-out pixels as well as the best"
    return f"{what}; one result for each. {_AUTO}: {auto}"


def _read(start: Classical, text: str) -> list[Classical]:
    """Return a method with each of the settings in ``text``, such as '2 5 auto'."""
    method = METHODS[start.method]
    words = list(dict.fromkeys(text.replace(",", " ").split()))
    if method.shown is None or words in ([], [_AUTO]):
        return [start]
    found = []
    for word in words:
        try:
            value = None if word == _AUTO else int(word) if method.shown == "iterations" else float(word)
        except ValueError:
            kind = "whole numbers" if method.shown == "iterations" else "numbers"
            raise ConfigError(f"{method.title} needs {kind} above 0 or the word {_AUTO}, got {text!r}") from None
        found.append(start.with_shown(value))
    return found
