"""An error of the optics stands at its field until it is mended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from napari_selfdeconv._gui.docks.compare import open_compare


@pytest.mark.parametrize("kind", ["main", "compare"])
@pytest.mark.parametrize(
    ("field", "bad", "good"), [("wavelength", 5000, 525), ("na", 1.6, 1.3), ("index", 5, 1.515)]
)
def test_the_field_is_outlined_and_focused_until_it_is_mended(
    open_dock: Callable[..., Any], field: str, bad: float, good: float, kind: str
) -> None:
    dock = open_dock(show=True)
    start = dock.train
    if kind == "compare":
        dock = open_compare(dock.viewer, dock.image_box.layer)
        start = dock.compare
    form = dock.psf_form
    form.generated.click()
    box = getattr(form, field)
    box.setValue(bad)
    start()
    assert not dock.busy
    assert dock.run_panel.status.kind == "error"
    assert form.wrong is box
    assert "border" in box.styleSheet()
    assert dock.window().focusWidget() is box or box.hasFocus()
    box.setValue(good)
    assert form.wrong is None
    assert box.styleSheet() == ""
    assert dock.run_panel.status.text() == ""
