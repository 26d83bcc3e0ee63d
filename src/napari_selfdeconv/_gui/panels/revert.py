"""The button that switches a result between the states before and after training."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QPushButton

from napari_selfdeconv._gui.layers.colour import ColourResult
from napari_selfdeconv._gui.layers.results import FillingResult, WholeResult


class RevertButton(QPushButton):
    """Shown after a run whose training has changed the instant result.

    Signal ``reverted`` says what the layer shows now.
    """

    reverted = Signal(str)

    def __init__(self) -> None:
        super().__init__("Revert")
        self._result: WholeResult | None = None
        self.clicked.connect(self._revert)
        self._describe()

    def offer(self, result: WholeResult | FillingResult | ColourResult) -> None:
        """A run has ended with ``result``: show the button if there is something to go back to."""
        self._result = result if isinstance(result, WholeResult) and result.reverts else None
        self._describe()

    def withdraw(self) -> None:
        """Hide the button: another run begins."""
        self._result = None
        self._describe()

    def _revert(self) -> None:
        if self._result is not None and self._result.reverts:
            self._result.revert()
            what = "instant result" if self._result.is_instant else "result of the training"
            self.reverted.emit(f"The layer shows the {what}.")
        else:
            self._result = None
        self._describe()

    def _describe(self) -> None:
        self.setVisible(self._result is not None)
        instant = self._result is not None and self._result.is_instant
        self.setText("Trained" if instant else "Revert")
        self.setToolTip(
            "Show the result of the training again" if instant else "Show the instant result, without training"
        )
