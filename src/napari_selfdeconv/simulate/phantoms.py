"""Seeded phantoms: images made up from scratch, so that their truth is known."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.spatial import cKDTree

from napari_selfdeconv.config.checks import check_number, check_whole
from napari_selfdeconv.errors import ConfigError

# Lengths in voxels; density = number of curves * longest side / number of voxels. Width, brightness and density
# were chosen together: thinner or dimmer tubes drown in the benchmark's noise once they are blurred.
TUBE_SIGMA = 1.2
TUBE_STEP = 0.5
TUBE_BEND = 0.02
TUBE_SMOOTH = 8.0
TUBE_FLATNESS = 0.7
TUBE_BRIGHTNESS = (0.6, 1.0)
TUBE_DENSITY = 0.0024
CELL_SPACING = 56
CELL_WALL = 1.3

Array = NDArray[np.float32]


def microtubules_3d(
    shape: tuple[int, int, int] = (64, 128, 128),
    seed: int = 0,
    count: int | None = None,
    sigma: float = TUBE_SIGMA,
) -> Array:
    """Draw random smooth curves as thin anti-aliased tubes in an empty volume.

    Parameters
    ----------
    shape : (z, y, x), each at least 4 voxels
    seed : int
    count : int, optional
        Number of curves. By default the noisy input of the 3D benchmark (17^3 kernel, no salt) has a PSNR near
        21 dB.
    sigma : float
        Half-width of a tube in voxels: the standard deviation of its Gaussian profile.

    Returns
    -------
    ndarray of float32, shape ``shape``
        0 in the background, 0.6 to 1 on the axis of a tube, 1 at the brightest.

    Raises
    ------
    ConfigError
        For a shape, seed, count or sigma out of range.

    Examples
    --------
    >>> volume = microtubules_3d((16, 32, 32), seed=1)
    >>> volume.dtype, float(volume.min()), float(volume.max())
    (dtype('float32'), 0.0, 1.0)
    """
    _check_shape(shape, 3)
    check_whole("seed", seed, 0, 2**32 - 1)
    length = max(shape)
    if count is None:
        count = max(1, round(TUBE_DENSITY * math.prod(shape) / length))
    check_whole("count", count, 1, 1_000_000)
    check_number("sigma", sigma, 0.3, 100.0)
    random = np.random.default_rng(seed)
    points = _curves(random, shape, count, length)
    brightness = np.repeat(random.uniform(*TUBE_BRIGHTNESS, size=count), len(points) // count)
    lines = _splat(points, brightness, shape)
    # The height of a straight line of points TUBE_STEP apart, after the splat (variance 1/6) and the filter.
    straight = 1 / (2 * math.pi * (sigma**2 + 1 / 6) * TUBE_STEP)
    tubes = gaussian_filter(lines, sigma, mode="constant", truncate=3.0) / straight
    return _stretch(np.minimum(tubes, 1.0))


def cells_2d(shape: tuple[int, int] = (512, 512), seed: int = 0) -> Array:
    """Draw a sheet of cells: bright membranes, textured nuclei and small puncta.

    Parameters
    ----------
    shape : (y, x), each at least 4 pixels
        A cell is about 56 pixels wide whatever the shape.
    seed : int

    Returns
    -------
    ndarray of float32, shape ``shape``
        From 0 to 1.

    Raises
    ------
    ConfigError
        For a shape or seed out of range.

    Examples
    --------
    >>> image = cells_2d((64, 96), seed=1)
    >>> image.shape, float(image.min()), float(image.max())
    ((64, 96), 0.0, 1.0)
    """
    _check_shape(shape, 2)
    check_whole("seed", seed, 0, 2**32 - 1)
    random = np.random.default_rng(seed)
    centres = _jittered_grid(random, shape)
    pixels = np.indices(shape).reshape(2, -1).T
    distance, nearest = cKDTree(centres).query(pixels, k=2)
    between = np.linalg.norm(centres[nearest[:, 1]] - centres[nearest[:, 0]], axis=1)
    to_wall = (distance[:, 1] ** 2 - distance[:, 0] ** 2) / (2 * between)
    membrane = np.exp(-((to_wall / CELL_WALL) ** 2))
    nucleus = _nuclei(random, centres, pixels, nearest[:, 0])
    texture = gaussian_filter(random.normal(size=shape), 2.0, mode="reflect")
    texture = np.clip(0.6 + 0.25 * texture / texture.std(), 0.1, 1)
    image = 0.7 * membrane.reshape(shape) + nucleus.reshape(shape) * texture + _puncta(random, shape)
    return _stretch(np.minimum(image, 1.2))


def _jittered_grid(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Cell centres, one ring of them outside the image so that its border cells are whole."""
    axes = [np.arange(-0.5, side / CELL_SPACING + 1) * CELL_SPACING for side in shape]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(shape))
    return grid + random.uniform(-0.35, 0.35, size=grid.shape) * CELL_SPACING


def _nuclei(
    random: np.random.Generator,
    centres: NDArray[np.float64],
    pixels: NDArray[np.intp],
    owner: NDArray[np.intp],
) -> NDArray[np.float64]:
    """One filled ellipse with a soft edge in each cell, of its own size, direction and brightness."""
    angle = random.uniform(0, math.pi, len(centres))[owner]
    radii = random.uniform(0.16, 0.26, (len(centres), 2))[owner] * CELL_SPACING
    brightness = random.uniform(0.4, 1.0, len(centres))[owner]
    y, x = (pixels - centres[owner]).T
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    outside = np.hypot(along / radii[:, 0], across / radii[:, 1]) - 1
    filled: NDArray[np.float64] = brightness / (1 + np.exp(np.clip(outside * radii.mean(axis=1), -50, 50)))
    return filled


def _puncta(random: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    count = max(1, math.prod(shape) // 400)
    points = random.uniform(size=(count, len(shape))) * shape
    spots = np.zeros(shape)
    spots[tuple(points.astype(np.intp).T)] = random.uniform(0.3, 1.0, count)
    blurred: NDArray[np.float64] = gaussian_filter(spots, 0.8, mode="constant")
    return blurred * (2 * math.pi * 0.8**2)


def _curves(random: np.random.Generator, shape: tuple[int, ...], count: int, length: int) -> NDArray[np.float64]:
    """Points (n, 3) every TUBE_STEP voxels along curves through random points of the volume."""
    steps = round(length / TUBE_STEP)
    bends = gaussian_filter1d(random.normal(size=(count, steps, 3)), TUBE_SMOOTH, axis=1)
    tangents = _unit(random.normal(size=(count, 1, 3))) + TUBE_BEND * np.cumsum(bends, axis=1)
    tangents[..., 0] *= TUBE_FLATNESS
    paths = np.cumsum(TUBE_STEP * _unit(tangents), axis=1)
    middle = paths[:, steps // 2, None, :]
    start = random.uniform(size=(count, 1, 3)) * (np.array(shape) - 1)
    points: NDArray[np.float64] = (paths - middle + start).reshape(-1, 3)
    return points


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return unit


def _splat(points: NDArray[np.float64], weights: NDArray[np.float64], shape: tuple[int, ...]) -> Array:
    """Share each point among its eight neighbours, by its distance to them (trilinear)."""
    inside = np.all((points >= 0) & (points < np.array(shape) - 1), axis=1)
    points, weights = points[inside], weights[inside]
    corner = points.astype(np.intp)
    fraction = points - corner
    volume = np.zeros(math.prod(shape))
    for offset in np.ndindex(2, 2, 2):
        share = weights * np.prod(np.where(offset, fraction, 1 - fraction), axis=1)
        index = np.ravel_multi_index(tuple((corner + offset).T), shape)
        volume += np.bincount(index, share, minlength=volume.size)
    return volume.reshape(shape).astype(np.float32)


def _check_shape(shape: tuple[int, ...], ndim: int) -> None:
    if len(shape) != ndim:
        raise ConfigError(f"shape must have {ndim} numbers, got {shape}")
    for side in shape:
        check_whole("shape", side, 4, 100_000)


def _stretch(image: NDArray[np.floating]) -> Array:
    low, high = image.min(), image.max()
    return np.asarray((image - low) / (high - low), dtype=np.float32)
