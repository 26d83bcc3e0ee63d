"""The text that stands for a missing number gives way to what is typed into it."""

from __future__ import annotations

from itertools import takewhile

from qtpy.QtGui import QValidator
from qtpy.QtWidgets import QDoubleSpinBox, QSpinBox


class TypedOver:
    """A field of a number whose special text is replaced by typing.

    A click puts the cursor behind that text, where Qt refuses every digit.
    """

    def validate(self, text: str | None, place: int) -> tuple[QValidator.State, str, int]:
        text = text or ""
        number = self._typed(text)
        place = min(len(number), len(self._typed(text[:place])))
        return super().validate(number, place)  # type: ignore[misc, no-any-return]

    def _typed(self, text: str) -> str:
        box: QDoubleSpinBox | QSpinBox = self  # type: ignore[assignment]
        missing = box.specialValueText()
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
