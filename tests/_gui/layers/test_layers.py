"""Napari layers in, arrays and metadata out."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image

from napari_selfdeconv._gui.forms.layer_box import looks_like_input, looks_like_psf
from napari_selfdeconv._gui.layers.exchange import (
    METADATA_KEY,
    display_limits,
    length_um,
    snapshot,
    voxel_um,
    window,
)
from napari_selfdeconv.errors import ConfigError


@pytest.mark.parametrize(
    ("scale", "units", "expected"),
    [
        ((0.3, 0.1), ("um", "um"), (0.3, 0.1)),
        ((300, 100), ("nm", "nm"), (0.3, 0.1)),
        ((3e-4, 1e-4), ("mm", "mm"), (0.3, 0.1)),
        ((0.3, 0.1), None, None),
        ((0.3, 0.1), ("um", "pixel"), None),
        ((1, 1), ("um", "um"), None),
        ((-0.3, 0.1), ("um", "um"), (0.3, 0.1)),
    ],
)
def test_voxel_size(scale: tuple[float, ...], units: tuple[str, ...] | None, expected: object) -> None:
    got = voxel_um(Image(np.zeros((8, 8)), scale=scale, units=units))
    assert got == (None if expected is None else pytest.approx(expected))


def test_a_snapshot_keeps_where_the_layer_lies() -> None:
    layer = Image(
        np.arange(64.0).reshape(8, 8),
        scale=(2, 3),
        translate=(5, 6),
        rotate=30,
        shear=(0.2,),
        affine=np.diag([2.0, 1.0, 1.0]),
        units=("um", "um"),
        axis_labels=("y", "x"),
        blending="additive",
    )
    taken = snapshot(layer)
    twin = Image(layer.data, **taken.transform, **taken.look)
    assert np.allclose(layer.data_to_world((3, 4)), twin.data_to_world((3, 4)))
    assert (twin.units, twin.axis_labels, twin.blending) == (layer.units, layer.axis_labels, layer.blending)


def test_a_pyramid_gives_its_full_resolution() -> None:
    layer = Image([np.zeros((32, 32)), np.zeros((16, 16))], multiscale=True)
    assert snapshot(layer).data.shape == (32, 32)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (None, "No image"),
        (Image(np.zeros((8, 8, 3), np.uint8), rgb=True), "Split RGB"),
        (Image(np.zeros((2, 3, 8, 8))), "Split Stack"),
    ],
)
def test_what_cannot_be_deconvolved_says_what_to_do(layer: Image | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        snapshot(layer)


@pytest.mark.parametrize(
    ("low", "high", "cap", "size", "expected"),
    [
        (0, 100, 50, 100, (25, 75)),
        (-20, 10, 50, 100, (0, 30)),
        (90, 140, 50, 100, (50, 100)),
        (40, 41, 50, 100, (32, 48)),
        (0, 10, 50, 6, (0, 6)),
    ],
)
def test_the_previewed_window_stays_inside(
    low: int, high: int, cap: int, size: int, expected: tuple[int, int]
) -> None:
    found = window(low, high, cap, size)
    assert (found.start, found.stop) == expected


@pytest.mark.parametrize("values", [[0, 0], [True, False], [np.nan, np.nan], [np.inf, 1, 2, -np.inf], [1, np.nan]])
def test_contrast_limits_are_finite_and_never_collapse(values: list[float]) -> None:
    low, high = display_limits(np.array([values]))
    assert np.isfinite([low, high]).all()
    assert high > low


def test_psf_is_told_from_input_by_name_and_role() -> None:
    assert looks_like_psf(Image(np.zeros((4, 4)), name="my_PSF 2"))
    assert not looks_like_psf(Image(np.zeros((4, 4)), name="capsflat"))
    result = Image(np.zeros((4, 4)), name="a", metadata={METADATA_KEY: {"role": "result"}})
    assert not looks_like_input(result)


def test_lengths_are_read_from_units_and_from_their_names() -> None:
    layer = Image(np.zeros((4, 4)), scale=(0.5, 0.25), units=("um", "um"))
    assert length_um(layer.scale, layer.units) == length_um((0.5, 0.25), ("um", "micrometer")) == (0.5, 0.25)
    assert length_um((0.5, 0.25), ("s", "um")) is None
