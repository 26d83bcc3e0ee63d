"""Numbers that are typed as users type them: into a field that shows "?" or "auto", and with a comma."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from qtpy.QtCore import Qt

from napari_selfdeconv._gui.forms.fields import AutoBox, NumberBox, WavelengthBox, WholeBox

MISSING: dict[str, Callable[[], Any]] = {
    "auto": lambda: AutoBox(1.0, "tip"),
    "?": lambda: NumberBox(0.0, 1.0, "tip", may_be_unknown=True),
    "preset's (350)": lambda: WholeBox("tip", "preset's (350)"),
}


@pytest.mark.parametrize("place", [0, 1, None], ids=["before", "within", "behind"])
@pytest.mark.parametrize("shown", MISSING)
def test_a_number_is_typed_into_the_text_of_a_missing_one(qtbot: Any, shown: str, place: int | None) -> None:
    box = MISSING[shown]()
    qtbot.addWidget(box)
    assert box.text() == shown
    box.lineEdit().setCursorPosition(len(shown) if place is None else place)
    qtbot.keyClicks(box.lineEdit(), "35")
    assert (box.text(), box.lineEdit().cursorPosition()) == ("35", 2)
    qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Return)
    assert (box.text(), box.value()) == ("35", 35)


@pytest.mark.parametrize("shown", MISSING)
def test_the_text_of_a_missing_number_is_deleted_and_returns(qtbot: Any, shown: str) -> None:
    box = MISSING[shown]()
    qtbot.addWidget(box)
    box.lineEdit().setCursorPosition(len(shown))
    qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Backspace)
    assert box.text() == ""
    qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Return)
    assert box.text() == shown


LOWEST = {"auto": ("-100000", "-1e5"), "?": ("0", "0,0"), "preset's (350)": ("0", "00")}


@pytest.mark.parametrize("shown", MISSING)
def test_the_lowest_number_is_not_the_missing_one_and_an_empty_field_is(qtbot: Any, shown: str) -> None:
    box = MISSING[shown]()
    qtbot.addWidget(box)
    for before in (None, 35):
        for typed in LOWEST[shown]:
            if before is not None:
                box.setValue(before)
            box.selectAll()
            qtbot.keyClick(box, Qt.Key.Key_Delete)
            qtbot.keyClicks(box, typed)
            assert box.text() == typed.replace(",", ".")
            qtbot.keyClick(box, Qt.Key.Key_Return)
            assert box.text() == (shown if before is None else "35")
    box.selectAll()
    qtbot.keyClick(box, Qt.Key.Key_Delete)
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert (box.text(), box.value()) == (shown, box.minimum())


def test_a_wavelength_without_its_number_is_missing(qtbot: Any) -> None:
    box = WavelengthBox(0.525, "tip")
    qtbot.addWidget(box)
    box.lineEdit().setSelection(0, 3)
    qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Delete)
    assert box.text() == " nm"
    qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Return)
    assert (box.text(), box.um()) == ("?", 0)


def test_steps_do_not_end_in_auto(qtbot: Any) -> None:
    box = AutoBox(1.0, "tip")
    qtbot.addWidget(box)
    numbers: list[float] = []
    box.valueChanged.connect(numbers.append)
    box.stepBy(-1)
    assert numbers == [0]
    box.setValue(-99_999.5)
    box.stepBy(-1)
    assert box.number() == -99_999.5


@pytest.mark.parametrize(
    ("typed", "number"), [("1,5", 1.5), ("1.5", 1.5), ("1e3", 1000), ("2,5e-2", 0.025), ("-", 7), ("", 7)]
)
def test_a_comma_is_a_decimal_point_and_an_exponent_can_be_typed(qtbot: Any, typed: str, number: float) -> None:
    box = NumberBox(7.0, 1.0, "tip")
    qtbot.addWidget(box)
    box.selectAll()
    qtbot.keyClick(box, Qt.Key.Key_Delete)
    qtbot.keyClicks(box, typed)
    qtbot.keyClick(box, Qt.Key.Key_Return)
    assert box.value() == pytest.approx(number)


def test_a_wavelength_is_typed_with_a_comma_behind_the_question_mark(qtbot: Any) -> None:
    box = WavelengthBox(0.0, "tip")
    qtbot.addWidget(box)
    box.lineEdit().setCursorPosition(1)
    qtbot.keyClicks(box.lineEdit(), "0,525")
    qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Return)
    assert box.text() == "525 nm"
