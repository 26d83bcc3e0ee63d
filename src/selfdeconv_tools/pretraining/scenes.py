"""Random scenes, 2D or 3D, with the kinds of structure that images have: edges, lines, spots, sheets, texture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_filter1d
from scipy.spatial import cKDTree

Array = NDArray[np.float32]
Random = np.random.Generator


def scene(random: Random, shape: Sequence[int]) -> Array:
    """Return one random scene, rescaled to [0, 1].

    Examples
    --------
    >>> image = scene(np.random.default_rng(0), (48, 64))
    >>> image.shape, image.dtype, float(image.min()), float(image.max())
    ((48, 64), dtype('float32'), 0.0, 1.0)
    """
    # With the share of each in 2D and in 3D: volumes are emptier.
    kinds: list[tuple[tuple[float, float], Callable[[Random, Sequence[int]], Array]]] = [
        ((0.34, 0.12), leaves), ((0.1, 0.1), islands), ((0.14, 0.24), curves), ((0.08, 0.12), spots),
        ((0.09, 0.08), tissue), ((0.06, 0.05), clouds), ((0.15, 0.13), mixture), ((0.02, 0.08), nuclei),
        ((0.02, 0.08), membranes),
    ]  # fmt: skip
    chosen = random.choice(len(kinds), p=[shares[len(shape) - 2] for shares, _ in kinds])
    image = np.zeros(shape, np.float32)
    while not image.any():  # a few shapes may all lie outside
        image = _unit(kinds[chosen][1](random, shape))
    if random.random() < 0.4:
        image = image ** random.uniform(0.5, 2.5)
    if random.random() < 0.15:
        image = 1 - image
    # Images that are smooth all over: out of focus, or nothing fine in them. Without such volumes the network
    # makes each volume sharper than it is.
    if random.random() < (0.2, 0.4)[len(shape) - 2]:
        smoothest = (8, 3)[len(shape) - 2]
        image = gaussian_filter(image, math.exp(random.uniform(math.log(0.7), math.log(smoothest))))
    if random.random() < 0.3:  # uneven light
        image = image * (0.4 + 0.6 / (1 + np.exp(-gaussian_filter(texture(random, shape), 12))))
    if random.random() < 0.05:  # a background that rises across the field
        image = image + random.uniform(0.1, 0.8) * _ramp(random, shape)
    return _unit(image)


def packed_scene(ndim: int, side: int, seed: int, number: int) -> NDArray[np.uint16]:
    """Return scene ``number`` of those of ``seed``, up to 65535; in 3D often one whose voxels are longer along z.

    A function of its module, not of ``__main__``: it is called in processes of their own.

    Examples
    --------
    >>> volume = packed_scene(3, 16, 0, 7)
    >>> volume.shape, volume.dtype, int(volume.max())
    ((16, 16, 16), dtype('uint16'), 65535)
    """
    random = np.random.default_rng((seed, number))
    longer = int(random.choice([1, 1, 1, 2, 3, 5])) if ndim == 3 else 1
    fine = scene(random, (longer * side, *[side] * (ndim - 1)))
    coarse: Array = fine.reshape(side, longer, *[side] * (ndim - 1)).mean(1)
    packed: NDArray[np.uint16] = np.round(coarse * (65535 / coarse.max())).astype(np.uint16)
    return packed


def texture(random: Random, shape: Sequence[int]) -> Array:
    """Return noise with a power-law spectrum, zero mean and unit variance."""
    frequencies = np.meshgrid(*[np.fft.fftfreq(n) for n in shape[:-1]], np.fft.rfftfreq(shape[-1]), indexing="ij")
    power = sum(f**2 for f in frequencies) + 1e-4
    spectrum = np.fft.rfftn(random.normal(size=shape)) / power ** (random.uniform(0.8, 2.2) / 2)
    noise = np.fft.irfftn(spectrum, s=shape, axes=range(len(shape)))
    return np.asarray((noise - noise.mean()) / noise.std(), np.float32)


def leaves(random: Random, shape: Sequence[int]) -> Array:
    """Return opaque shapes that cover one another until nothing else is seen (dead leaves)."""
    image = np.full(shape, random.uniform(), np.float32)
    smallest, largest = random.choice([1.5, 2.5, 4.0]), random.uniform(0.1, 0.45) * min(shape)
    density = random.choice([0.004, 0.011, 0.025]) if len(shape) == 2 else random.choice([0.0003, 0.001])
    radii = _power_law(random, max(8, int(density * math.prod(shape))), smallest, max(largest, smallest + 1))
    if random.random() < 0.3:
        radii = np.sort(radii)[::-1]
    for radius in radii:
        _paint(random, image, radius, random.beta(0.7, 0.7))
    return np.asarray(image + random.choice([0.0, 0.0, 0.05, 0.12]) * texture(random, shape), np.float32)


def islands(random: Random, shape: Sequence[int]) -> Array:
    """Return a few shapes, bars among them, on an empty ground."""
    image = np.zeros(shape, np.float32)
    for _ in range(int(random.choice([5, 20, 80]))):
        bright = 1.0 if random.random() < 0.5 else random.uniform(0.2, 1)
        largest = max(1.5, random.uniform(0.04, 0.2) * min(shape))
        _paint(random, image, random.uniform(1.5, largest), bright, thinnest=0.08)
    return image


def curves(random: Random, shape: Sequence[int]) -> Array:
    """Return smooth thin lines on an empty ground."""
    image = np.zeros(shape, np.float32)
    limit = np.array(shape) - 1
    for _ in range(int(random.choice([5, 20, 60, 160]))):
        bends = gaussian_filter1d(random.normal(size=(600, len(shape))), random.uniform(5, 40), axis=0)
        heading = random.normal(size=(1, len(shape))) + random.uniform(0.1, 1) * np.cumsum(bends, axis=0)
        heading /= np.linalg.norm(heading, axis=1, keepdims=True)
        points = np.cumsum(0.5 * heading, axis=0) + random.uniform(0, 1, len(shape)) * limit
        inside = np.all((points >= 0) & (points <= limit), axis=1)
        layer = np.zeros(shape, np.float32)
        layer[tuple(points[inside].astype(int).T)] = 1
        image += random.uniform(0.3, 1) * layer
    return np.asarray(gaussian_filter(image, random.uniform(0.6, 2.5)), np.float32)


def spots(random: Random, shape: Sequence[int]) -> Array:
    """Return many small bright shapes that add up, a few of them larger."""
    image = np.zeros(shape, np.float32)
    for _ in range(int(random.choice([10, 50, 200, 600]))):
        _paint(random, image, random.uniform(0.8, 1 + 10 * random.random() ** 3), random.uniform(0.2, 1), add=True)
    return np.asarray(gaussian_filter(image, random.uniform(0, 1.5)), np.float32)


def tissue(random: Random, shape: Sequence[int]) -> Array:
    """Return cells side by side: walls, insides of different brightness, texture in them."""
    size = random.uniform(8, 40)
    count = max(4, round(math.prod(shape) / size ** len(shape)))
    centres = random.uniform(-0.1, 1.1, (count, len(shape))) * np.array(shape)
    points = np.indices(shape).reshape(len(shape), -1).T
    distance, nearest = cKDTree(centres).query(points, k=2)
    wall = np.exp(-(((distance[:, 1] - distance[:, 0]) / random.uniform(1, 5)) ** 2)).reshape(shape)
    inside = random.beta(0.7, 0.7, count)[nearest[:, 0]].reshape(shape)
    grain = 1 + random.choice([0.0, 0.2]) * texture(random, shape)
    return np.asarray(random.uniform(0, 1) * inside * grain + random.uniform(0, 1) * wall, np.float32)


def nuclei(random: Random, shape: Sequence[int]) -> Array:
    """Return bodies filled with texture and small bright shapes, some of them in a dim haze."""
    image = np.zeros(shape, np.float32)
    size = random.uniform(5, max(6, 0.22 * min(shape)))
    for _ in range(int(random.choice([2, 6, 25]))):
        _paint(random, image, size * random.uniform(0.7, 1.3), random.uniform(0.4, 1), thinnest=0.6)
    grain = 1 + random.uniform(0, 0.5) * texture(random, shape)
    puncta = random.choice([0.0, 0.5, 1.5]) * _unit(spots(random, shape))
    body = np.clip(grain, 0, None) + puncta
    haze = random.choice([0.0, 0.15]) * gaussian_filter(image, size)
    return np.asarray(image * body + haze, np.float32)


def membranes(random: Random, shape: Sequence[int]) -> Array:
    """Return thin curved sheets (lines in 2D) where a smooth random field crosses a level."""
    field = gaussian_filter(random.normal(size=shape), random.uniform(3, 14), mode="wrap")
    steepness = np.sqrt(sum(np.square(slope) for slope in np.gradient(field)))
    distance = (field - random.uniform(-1, 1) * field.std()) / np.maximum(steepness, 0.3 * steepness.mean())
    sheet = np.exp(-np.square(distance / random.uniform(0.7, 2)))
    filled = random.choice([0.0, 0.0, 0.3]) * (distance > 0)
    return np.asarray(
        sheet * (1 + random.choice([0.0, 0.3]) * texture(random, shape)).clip(0) + filled, np.float32
    )


def clouds(random: Random, shape: Sequence[int]) -> Array:
    """Return a texture, hardened towards two levels."""
    return np.asarray(1 / (1 + np.exp(-random.uniform(0.5, 6) * texture(random, shape))), np.float32)


def mixture(random: Random, shape: Sequence[int]) -> Array:
    """Return several of the others on top of one another."""
    ground = leaves(random, shape) if random.random() < 0.6 else tissue(random, shape)
    if random.random() < 0.4:
        ground = gaussian_filter(ground, random.uniform(0.5, 3))
    parts = random.uniform(0, 1, 3)
    image = parts[0] * _unit(ground) + parts[1] * _unit(curves(random, shape))
    return np.asarray(image + 0.5 * parts[2] * _unit(spots(random, shape)), np.float32)


def _paint(
    random: Random, image: Array, radius: float, value: float, *, thinnest: float = 0.4, add: bool = False
) -> None:
    """Put one shape with a soft edge at a random place: ellipsoid, box, diamond or wavy ball."""
    ndim = image.ndim
    reach = int(1.6 * radius) + 2
    centre = [random.uniform(-5, n + 5) for n in image.shape]
    window = tuple(slice(max(0, int(c) - reach), int(c) + reach + 1) for c in centre)
    view = image[window]
    if view.size == 0:
        return
    grids = np.meshgrid(*[np.arange(s.start, s.start + n) for s, n in zip(window, view.shape, strict=True)],
                        indexing="ij")  # fmt: skip
    turn, _ = np.linalg.qr(random.normal(size=(ndim, ndim)))
    stretch = np.concatenate([[1.0], random.uniform(thinnest, 1, ndim - 1)])
    offset = np.stack([g - c for g, c in zip(grids, centre, strict=True)], -1)
    u = (offset @ turn / stretch).astype(np.float32)
    kind = random.integers(4)
    if kind == 0:
        distance = np.linalg.norm(u, axis=-1) - radius
    elif kind == 1:
        distance = np.abs(u).max(-1) - 0.9 * radius
    elif kind == 2:
        distance = np.abs(u).sum(-1) - 1.2 * radius
    else:
        length = np.linalg.norm(u, axis=-1)
        waves = np.sin(
            u @ random.normal(size=(ndim, 2)) * (random.uniform(2, 5) / radius) + random.uniform(0, 6, 2)
        )
        distance = length - radius * (1 + 0.15 * waves.sum(-1))
    cover = np.clip(0.5 - distance * stretch.min(), 0, 1).astype(np.float32)
    if random.random() < 0.3:
        value = value + random.uniform(-0.3, 0.3) * u[..., 0] / radius
    if add:
        view += value * cover
    else:
        view += cover * (value - view)


def _ramp(random: Random, shape: Sequence[int]) -> Array:
    slopes = random.normal(size=len(shape))
    axes = np.meshgrid(*[np.linspace(0, 1, n) for n in shape], indexing="ij")
    return _unit(np.asarray(sum(slope * axis for slope, axis in zip(slopes, axes, strict=True)), np.float32))


def _power_law(random: Random, count: int, low: float, high: float) -> NDArray[np.float64]:
    exponent = 1 - random.uniform(1.5, 3)
    share = random.uniform(size=count)
    radii: NDArray[np.float64] = (low**exponent + share * (high**exponent - low**exponent)) ** (1 / exponent)
    return radii


def _unit(image: Array) -> Array:
    low, high = image.min(), image.max()
    return np.asarray((image - low) / max(high - low, 1e-9), np.float32)
