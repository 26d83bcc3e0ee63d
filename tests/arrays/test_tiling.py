"""Tiles: cores cover the image once, reads hold the context, and a tiled network is the whole network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from napari_selfdeconv.arrays.tiling import network_reach, predict_tiled, read_shape, tile_context, tile_spans
from napari_selfdeconv.compute.memory_budget import choose_tile, halve_tile
from napari_selfdeconv.events import Tick
from napari_selfdeconv.network.unet import UNet
from selfdeconv_tools.cases import cases

Array = NDArray[np.float32]


def run(
    functions: Sequence[Callable[[Array], Array]], image: NDArray[Any], **kwargs: Any
) -> tuple[Array, list[Tick]]:
    work = predict_tiled(functions, image, **kwargs)
    reports = []
    while True:
        try:
            reports.append(next(work))
        except StopIteration as end:
            return end.value, reports


@cases(60)
@given(
    st.lists(st.integers(1, 70), min_size=2, max_size=3),
    st.integers(16, 48),
    st.integers(0, 15),
    st.sampled_from([1, 2, 4, 8]),
)
def test_the_identity_is_unchanged_on_any_shape(shape: list[int], tile: int, context: int, align: int) -> None:
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    sizes, contexts = [min(tile, n) for n in shape], [context] * len(shape)
    result, reports = run([lambda t: t] * 2, image, tile=sizes, context=contexts, align=align)
    np.testing.assert_array_equal(result, image)
    assert reports == [(i, len(reports)) for i in range(1, len(reports) + 1)]


@cases(200)
@given(st.integers(1, 500), st.integers(1, 128), st.integers(0, 80), st.sampled_from([1, 2, 4, 8]))
def test_cores_cover_an_axis_once_and_reads_hold_the_context(n: int, tile: int, context: int, align: int) -> None:
    spans = tile_spans(n, tile, context, align)
    ends = [0] + [span.core.stop for span in spans]
    assert [span.core.start for span in spans] == ends[:-1]
    assert ends[-1] == n
    widths = [span.read.stop - span.read.start for span in spans]
    assert max(widths) - min(widths) < align
    for core, read in spans:
        assert read.start % align == 0
        assert 0 <= read.start <= max(0, core.start - context)
        assert min(n, core.stop + context) <= read.stop <= n
        if len(spans) > 1:
            assert core.stop - core.start < tile + align
            assert read.stop - read.start < tile + 2 * context + 4 * align


@pytest.mark.parametrize("levels", [1, 2, 3, 4])
def test_the_reach_of_a_network_is_that_of_its_gradient(levels: int) -> None:
    torch.manual_seed(0)
    network = UNet(2, features=8, levels=levels).double().eval()
    reach = network_reach(levels)
    size = 2 * (reach // network.multiple + 2) * network.multiple
    x = torch.randn(1, 1, size, 16, dtype=torch.float64, requires_grad=True)
    y = network(x)
    furthest = 0
    for row in range(size // 2, size // 2 + network.multiple):
        (gradient,) = torch.autograd.grad(y[0, 0, row].sum(), x, retain_graph=True)
        seen = gradient[0, 0].abs().amax(1).nonzero()[:, 0]
        furthest = max(furthest, row - int(seen.min()), int(seen.max()) - row)
    assert furthest == reach


@pytest.mark.parametrize(("shape", "tile"), [((200, 73), (64, 73)), ((20, 100, 30), (20, 32, 30))])
def test_tile_equals_whole_for_a_network(shape: tuple[int, ...], tile: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = UNet(len(shape), features=4).eval()

    def predict(piece: Array) -> Array:
        with torch.inference_mode():
            found: Array = network(torch.from_numpy(piece)[None, None])[0, 0].numpy()
            return found

    image = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    whole = predict(image)
    context = tile_context(3, [0] * len(shape))
    tiled, reports = run([predict], image, tile=tile, context=context, align=network.multiple)
    assert len(reports) > 1
    assert np.abs(tiled - whole).max() < 1e-5 * np.abs(whole).max()


def test_a_tile_off_the_grid_would_be_seen() -> None:
    """The alignment matters: the same network one voxel off the down-sampling grid answers differently."""
    torch.manual_seed(0)
    network = UNet(2, features=4).eval()
    x = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        shifted, whole = network(x[..., 1:]), network(x)
    assert (shifted[..., 20:40] - whole[..., 21:41]).abs().max() > 1e-2 * whole.abs().max()


def thousand_each(read: Sequence[int]) -> float:
    return float(1000 * np.prod(read, dtype=float))


def test_the_tile_fits_the_memory() -> None:
    shape, context = (128, 256, 512), (8, 16, 16)
    tile = choose_tile(shape, needed_bytes=thousand_each, budget_bytes=1e9, context=context)
    assert thousand_each(read_shape(shape, tile, context)) <= 1e9
    small = choose_tile((64, 64), needed_bytes=thousand_each, budget_bytes=1e9, context=(52, 52))
    assert small == (64, 64)
    assert choose_tile(shape, needed_bytes=thousand_each, budget_bytes=1.0, context=(8, 24, 40)) == (16, 24, 40)


def test_half_a_tile_reads_less_or_is_none() -> None:
    shape, context = (60, 900, 900), (8, 24, 24)
    tile: tuple[int, ...] | None = (60, 200, 200)
    read = [10**9]
    while tile is not None:
        read.append(math.prod(read_shape(shape, tile, context)))
        assert read[-1] < read[-2]
        tile = halve_tile(shape, tile, context)
    assert len(read) > 6
