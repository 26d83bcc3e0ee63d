"""Tiles: the identity comes through unchanged, and a tiled network is the whole network."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_selfdeconv.arrays.tiling import axis_weights, predict_tiled, tile_edges
from napari_selfdeconv.compute.memory_budget import choose_tile
from napari_selfdeconv.network.unet import UNet


def run(functions, image, **kwargs):
    work = predict_tiled(functions, image, **kwargs)
    reports = []
    while True:
        try:
            reports.append(next(work))
        except StopIteration as end:
            return end.value, reports


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 70), min_size=2, max_size=3),
    st.integers(16, 48),
    st.integers(0, 15),
    st.sampled_from([1, 2, 4, 8]),
)
def test_the_identity_is_unchanged_on_any_shape(shape, tile, overlap, align):
    image = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    sizes = tuple(min(tile, n) for n in shape)
    result, reports = run([lambda t: t] * 2, image, tile=sizes, overlap=overlap, align=align)
    # Dozens of tiles may overlap at a voxel, and each adds its rounding.
    assert np.abs(result - image).max() < 4e-6 * max(1.0, np.abs(image).max())
    assert reports == [(i, len(reports)) for i in range(1, len(reports) + 1)]


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 500), st.integers(8, 128), st.integers(0, 40), st.sampled_from([1, 2, 4, 8]))
def test_tiles_cover_overlap_and_lie_on_the_grid(n, tile, overlap, align):
    overlap = min(overlap, tile // 2)
    edges = tile_edges(n, tile, overlap, align)
    assert edges[0][0] == 0
    assert edges[-1][1] == n
    for (a, b), (c, d) in zip(edges, edges[1:], strict=False):
        assert a % align == c % align == 0
        assert a < c <= b < d or b <= n
        assert b - c >= max(0, overlap - align)
    total = np.zeros(n)
    for (a, b), w in zip(edges, axis_weights(n, edges, overlap), strict=True):
        assert (w >= 0).all()
        total[a:b] += w
    np.testing.assert_allclose(total, 1, atol=1e-6)


@pytest.mark.parametrize(("shape", "tile", "overlap"), [((150, 133), 96, 64), ((40, 71, 66), 48, 40)])
def test_tile_equals_whole_for_a_network(shape, tile, overlap):
    torch.manual_seed(0)
    network = UNet(len(shape), features=4).eval()

    def predict(piece):
        with torch.inference_mode():
            return network(torch.from_numpy(piece)[None, None])[0, 0].numpy()

    image = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    whole = predict(image)
    sizes = tuple(min(tile, n) for n in shape)
    tiled, reports = run([predict], image, tile=sizes, overlap=overlap, align=network.multiple)
    assert len(reports) > 1
    assert np.abs(tiled - whole).max() < 1e-3 * np.abs(whole).max()


def test_a_tile_off_the_grid_would_be_seen():
    """The alignment matters: the same network one voxel off the down-sampling grid answers differently."""
    torch.manual_seed(0)
    network = UNet(2, features=4).eval()
    x = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        shifted, whole = network(x[..., 1:]), network(x)
    assert (shifted[..., 20:40] - whole[..., 21:41]).abs().max() > 1e-2 * whole.abs().max()


def thousand_each(tile):
    return 1000 * np.prod(tile, dtype=float)


def test_the_tile_fits_the_memory():
    shape = (128, 256, 512)
    tile = choose_tile(shape, needed_bytes=thousand_each, budget_bytes=1e8, overlap=16)
    assert np.prod(tile) * 1000 <= 1e8
    assert choose_tile((64, 64), needed_bytes=thousand_each, budget_bytes=1e9, overlap=16) == (64, 64)
    assert min(choose_tile(shape, needed_bytes=thousand_each, budget_bytes=1.0, overlap=32)) >= 64
