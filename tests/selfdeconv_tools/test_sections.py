"""The picture of planes and sections side by side."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from napari_selfdeconv import api
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.simulate.widefield import simulate_stack
from selfdeconv_tools.sections import draw_sections, main


def test_white_is_the_brightest_and_the_section_to_scale() -> None:
    bright = np.zeros((4, 6, 10))
    bright[2, 3] = 8.0
    picture = np.asarray(draw_sections({"a": bright, "b": bright / 2, "c": bright}, (0.3, 0.1, 0.1), zoom=1))
    assert picture.shape == (16 + 6 + 4 + 12, 3 * 10 + 2 * 4)
    plane = picture[16 + 3]
    np.testing.assert_array_equal(plane[[2, 16, 30]], 255)
    assert plane[[10, 11]].min() == 255  # the gap
    section = picture[26:, 2]
    np.testing.assert_array_equal(section, [0] * 6 + [255] * 3 + [0] * 3)
    with pytest.raises(ConfigError, match="one shape"):
        draw_sections({"a": bright, "b": bright[:2]}, (0.3, 0.1, 0.1))


def test_the_command_draws_a_simulated_and_a_recorded_stack(tmp_path: Path) -> None:
    field, methods = ["--field", "6", "24", "24"], ["--methods", "input", "rl:3", "--device", "cpu"]
    main([str(tmp_path / "a.png"), "--seed", "0", *field, *methods])
    shape = 16 + 48 + 4 + 30, 3 * 48 + 2 * 4
    assert iio.imread(tmp_path / "a.png").shape == shape
    api.write_ome_tiff(tmp_path / "stack.tif", simulate_stack(0, field=(6, 24, 24)).image)
    optics = ["--voxel-um", "0.3", "0.12", "0.12", "--na", "1.2", "--wavelength-um", "0.52"]
    words = [
        str(tmp_path / "b.png"),
        "--stack",
        str(tmp_path / "stack.tif"),
        *optics,
        "--refractive-index",
        "1.33",
    ]
    main([*words, *methods, "--saved", f"saved={tmp_path / 'stack.tif'}"])
    assert iio.imread(tmp_path / "b.png").shape == shape
    with pytest.raises(SystemExit):
        main([str(tmp_path / "c.png")])
