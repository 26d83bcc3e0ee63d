"""The text that stands for a missing number: typing replaces it, and an empty field brings it back."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QDoubleSpinBox, QSpinBox


class TypedOver:
    """A field of a number whose special text is replaced by typing, and returns if the field is emptied.

    A click puts the cursor behind that text, where Qt refuses every digit. Qt has no empty number: the lowest of
    the range stands for it. That number cannot be typed, because it would be shown as the missing one.
    """

    def validate(self, text: str | None, place: int) -> tuple[QValidator.State, str, int]:
        text = text or ""
        number = self._typed(text)
        place = min(len(number), len(self._typed(text[:place])))
        if self._is_missing(number):
            return QValidator.State.Acceptable, number, place
        state, number, place = super().validate(number, place)  # type: ignore[misc]
        lowest = state == QValidator.State.Acceptable and self.valueFromText(number) == self._box.minimum()
        # Digits may follow, as after 0 or 0.0. If none do, the field goes back to the number before.
        refused = lowest and bool(self._box.specialValueText())
        return QValidator.State.Intermediate if refused else state, number, place

    def valueFromText(self, text: str | None) -> Any:
        return self._box.minimum() if self._is_missing(text) else super().valueFromText(text)  # type: ignore[misc]

    @property
    def _box(self) -> QDoubleSpinBox | QSpinBox:
        return self  # type: ignore[return-value]

    def _is_missing(self, text: str | None) -> bool:
        missing = self._box.specialValueText()
        return bool(missing) and (text or "").removesuffix(self._box.suffix()).strip() in ("", missing)

    def _typed(self, text: str) -> str:
        box, missing = self._box, self._box.specialValueText()
        return text if text == missing or box.value() != box.minimum() else typed_into(missing, text)


def typed_into(missing: str, text: str) -> str:
    """Return what was typed into ``missing`` to give ``text``.

    Examples
    --------
    >>> [typed_into("auto", text) for text in ("auto5", "5auto", "au5to", "aut", "5")]
    ['5', '5', '5', '', '5']
    """
    start = _same(text, missing)
    end = _same(text[start:][::-1], missing[start:][::-1])
    return text[start : len(text) - end]


def _same(one: str, other: str) -> int:
    """Return how many characters at the beginning are the same."""
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))))
