"""The operator "open": its adjoint, its direction, its agreement with scipy, and its two grids."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import convolve

from napari_selfdeconv.restoration.open_operator import OpenOperator

SHAPES = [((9, 14), (3, 4)), ((9, 12), (21, 24)), ((6, 9, 10), (5, 4, 7)), ((4, 9, 8), (9, 18, 16))]


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))[None, None]


def operator_of(image: tuple[int, ...], psf: tuple[int, ...], two_grids: bool | None) -> OpenOperator:
    return OpenOperator(np.random.default_rng(1).random(psf), image, two_grids=two_grids, dtype=np.float64)


@pytest.mark.parametrize(("image", "psf"), SHAPES)
@pytest.mark.parametrize("two_grids", [False, True])
def test_forward_and_adjoint_are_transposes(image: tuple[int, ...], psf: tuple[int, ...], two_grids: bool) -> None:
    if two_grids and len(image) == 2:
        image, psf = (5, *image), (3, *psf)
    operator = operator_of(image, psf, two_grids)
    random = np.random.default_rng(0)
    f, y = tensor(random.normal(size=operator.estimate_shape)), tensor(random.normal(size=image))
    left, right = (operator.forward(f) * y).sum(), (f * operator.adjoint(y)).sum()
    assert float(left) == pytest.approx(float(right), rel=1e-12)


@pytest.mark.parametrize(("image", "psf"), SHAPES)
def test_one_grid_is_the_valid_convolution(image: tuple[int, ...], psf: tuple[int, ...]) -> None:
    operator = operator_of(image, psf, two_grids=False)
    f = np.random.default_rng(0).random(operator.estimate_shape)
    found = operator.forward(tensor(f))[0, 0].numpy()
    space = tuple(n + k - 1 for n, k in zip(image, psf, strict=True))
    np.testing.assert_allclose(found, convolve(f.reshape(space), operator.psf, mode="valid"), rtol=1e-10)


@pytest.mark.parametrize("two_grids", [False, True])
def test_a_lopsided_psf_moves_light_in_its_own_direction(two_grids: bool) -> None:
    psf = np.zeros((5, 7, 7))
    psf[3, 5, 1] = 1.0  # the centre is (2, 3, 3)
    operator = OpenOperator(psf, (8, 12, 12), two_grids=two_grids)
    f = torch.zeros(1, 1, *operator.estimate_shape)
    operator.crop(f)[0, 0, 4, 6, 6] = 1.0
    y = operator.forward(f)[0, 0].numpy()
    assert np.unravel_index(y.argmax(), y.shape) == (5, 8, 4)
    assert float(y.max()) == pytest.approx(1, abs=1e-5)


def test_two_grids_agree_with_one_for_smooth_light() -> None:
    """A wide PSF, and light outside that has structure."""
    z, y, x = np.meshgrid(*[np.arange(n) - n // 2 for n in (9, 49, 49)], indexing="ij")
    psf = np.exp(-(y**2 + x**2) / (2 * (1.0 + 1.5 * np.abs(z)) ** 2)) / (1.0 + 1.5 * np.abs(z)) ** 2
    psf /= psf.sum()
    image = (10, 24, 26)
    one, two = (OpenOperator(psf, image, two_grids=flag) for flag in (False, True))
    assert two.estimate_shape[0] < 0.4 * one.estimate_shape[0]
    # The same scene on either grid: light that varies over a few voxels.
    space = one.fine(torch.zeros(1, 1, *one.estimate_shape)).shape[2:]
    grid = np.meshgrid(*[np.arange(n) for n in space], indexing="ij")
    light = 1 + 0.5 * np.sin(grid[0] / 3) * np.cos(grid[1] / 7) * np.sin(grid[2] / 9)
    expected = one.forward(tensor(light.ravel().astype(np.float32)))[0, 0].numpy()
    found = two.forward(_on_two_grids(two, light, [k - 1 - k // 2 for k in psf.shape]))[0, 0].numpy()
    # Interpolation between blocks is coarsest at the corners, to which most light comes from outside.
    assert np.abs(found - expected).max() < 0.03 * expected.max()
    assert np.sqrt(np.mean((found - expected) ** 2)) < 0.01 * expected.mean()


def _on_two_grids(operator: OpenOperator, light: np.ndarray, reach: list[int]) -> torch.Tensor:
    f = torch.zeros(1, 1, *operator.estimate_shape)
    fine, coarse = operator._fine, operator._coarse
    assert coarse is not None
    blocks = np.pad(light, [(0, 0), (40, 40), (40, 40)], mode="edge")
    first = [r - b for r, (b, _) in zip(reach, fine.reach, strict=True)]
    operator.fine(f)[0, 0] = torch.from_numpy(
        light[tuple(slice(s, s + n) for s, n in zip(first, fine.shape, strict=True))]
    )
    start = [40 + s - 4 * coarse.reach[axis][0] for axis, s in ((1, first[1]), (2, first[2]))]
    part = blocks[:, start[0] : start[0] + 4 * coarse.shape[1], start[1] : start[1] + 4 * coarse.shape[2]]
    means = part.reshape(len(part), coarse.shape[1], 4, coarse.shape[2], 4).mean((2, 4))
    f[0, 0, operator._split :] = torch.from_numpy(means.ravel())
    return f


@pytest.mark.parametrize("two_grids", [False, True])
def test_what_reaches_the_image_from_a_uniform_scene_is_uniform(two_grids: bool) -> None:
    psf = np.random.default_rng(2).random((5, 9, 9))
    operator = OpenOperator(psf / psf.sum(), (6, 16, 18), two_grids=two_grids)
    flat = operator.clear(torch.full((1, 1, *operator.estimate_shape), 3.0))
    np.testing.assert_allclose(operator.forward(flat), 3.0, rtol=2e-5)
    assert torch.equal(operator.extend(torch.full((1, 1, 6, 16, 18), 3.0)), flat)


def test_the_estimate_ends_where_no_light_arrives() -> None:
    operator = OpenOperator(np.ones((65, 65)) / 65**2, (20, 20))
    assert operator.fine(torch.zeros(1, 1, *operator.estimate_shape)).shape[2:] == (84, 84)
