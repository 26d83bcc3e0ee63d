"""Generated widefield stacks to learn from: ``python -m selfdeconv_tools.pretraining.stacks --out DIR``.

Each file holds the stacks of one microscope. A scene twice as large as the stack is blurred with a PSF as large as
the scene; photons and read noise are added; and background and far light are subtracted as in use
(`restoration.far_light`). What is stored is that image, the truth, and the first estimate of Richardson-Lucy, all
in the light of the compact PSF.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.events import drain
from napari_selfdeconv.psf.generate import richards_wolf_psf
from napari_selfdeconv.psf.near import near_part, near_shape
from napari_selfdeconv.psf.stack import psf_for_stack
from napari_selfdeconv.restoration.far_light import estimate_far_light
from napari_selfdeconv.stop_token import StopToken
from selfdeconv_tools.pretraining.scenes import scene as plain_scene
from selfdeconv_tools.pretraining.scenes import texture

FIELD = (32, 80, 80)
_SCENES, _EXPOSURES = 3, 2
# A scene with less light than this share of its own brightest voxel in the field teaches nothing.
_LEAST_LIGHT = 0.05
_HALF_MAX = 6e4
# Of the arrays of a stack in its file.
_NAMES = ("image", "truth", "estimate")

Array = NDArray[np.float32]
Random = np.random.Generator


@dataclass(frozen=True)
class Group:
    """Stacks of one microscope: the compact PSF, and (image of deviation 1, truth, first estimate), float32."""

    near: Array
    stacks: tuple[tuple[Array, Array, Array], ...]

    def save(self, path: Path) -> None:
        """Write the stacks in half precision."""
        arrays: dict[str, NDArray[Any]] = {"near": self.near}
        for number, stack in enumerate(self.stacks):
            for name, array in zip(_NAMES, stack, strict=True):
                arrays[f"{name}{number}"] = np.minimum(array, _HALF_MAX).astype(np.float16)
        np.savez(path, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path) -> Group:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            count = sum(name.startswith(_NAMES[0]) for name in file.files)
            numbered = [[file[f"{name}{n}"].astype(np.float32) for name in _NAMES] for n in range(count)]
            return cls(file["near"], tuple((image, truth, first) for image, truth, first in numbered))


def make_group(seed: int, field: tuple[int, int, int] = FIELD) -> Group:
    """Return three scenes of one random microscope, each at two exposures.

    Examples
    --------
    >>> group = make_group(4, (8, 24, 24))
    >>> 0 < len(group.stacks) <= 6, {image.shape for image, _, _ in group.stacks}
    (True, {(8, 24, 24)})
    """
    random = np.random.default_rng((91, seed))
    optics, voxel = microscope(random)
    shape = tuple(2 * n for n in field)
    with warnings.catch_warnings():
        # Coarse voxels and cut-off halos are wanted here: recorded stacks have them too.
        warnings.simplefilter("ignore")
        psf = richards_wolf_psf(tuple(n - 1 for n in shape), voxel, optics)
        whole, _ = psf_for_stack(optics, voxel, field)
    inner = near_shape(whole, field)
    near, share = near_part(whole, inner)
    middle = tuple(slice(n // 2, n // 2 + n) for n in field)
    stacks: list[tuple[Array, Array, Array]] = []
    for _ in range(_SCENES):
        scene = make_scene(random, shape)
        light = np.maximum(fftconvolve(scene, psf, mode="same"), 0)[middle]
        truth = scene[middle]
        if truth.max() < _LEAST_LIGHT or light.max() <= 0:
            continue
        for _ in range(_EXPOSURES):
            photons = math.exp(random.uniform(math.log(20), math.log(1500))) / light.max()
            image = random.poisson(photons * light) + random.normal(100, random.uniform(0.5, 4), field)
            image = image.astype(np.float32)
            work = estimate_far_light(image, whole, inner, "reflect", torch.device("cpu"), StopToken())
            far = drain(work)
            left = image - far.light
            deviation = np.float32(left.std())
            known = np.asarray(share * photons * truth / deviation, np.float32)
            stacks.append((left / deviation, known, far.estimate / deviation))
    return Group(near, tuple(stacks))


def make_scene(random: Random, shape: tuple[int, ...]) -> Array:
    """Return a scene from 0 to 1: bodies, curves and spots in darkness, or a plain one without its ground."""
    if random.random() < 0.62:
        kinds = random.random(3)
        scene = np.zeros(shape, np.float32)
        if kinds[0] < 0.75:
            scene += _bodies(random, shape)
        if kinds[1] < 0.6 or kinds[0] >= 0.75:
            scene += np.float32(random.uniform(0.3, 1.2)) * _curves(random, shape)
        if kinds[2] < 0.2:
            scene += np.float32(random.uniform(0.3, 1)) * _spots(random, shape)
    else:
        longer = int(random.choice([1, 2], p=[0.75, 0.25]))
        fine = plain_scene(random, (longer * shape[0], *shape[1:]))
        scene = fine.reshape(shape[0], longer, *shape[1:]).mean(1)
        if random.random() < 0.6:
            scene = np.clip(scene - np.quantile(scene, random.uniform(0.2, 0.9)), 0, None)
    return np.asarray(scene / max(float(scene.max()), 1e-9), np.float32)


def microscope(random: Random) -> tuple[Optics, tuple[float, float, float]]:
    """Return random optics and a voxel size in um that suits them."""
    index = float(random.choice([1.33, 1.406, 1.515]))
    na = min(random.uniform(0.7, 1.42), 0.94 * index)
    wavelength = random.uniform(0.45, 0.68)
    pixel = float(np.clip(random.uniform(0.6, 1.3) * wavelength / (4 * na), 0.06, 0.25))
    step = float(np.clip(random.uniform(1.2, 4.0) * pixel, 0.12, 0.6))
    return Optics(na=na, wavelength_um=wavelength, refractive_index=index), (step, pixel, pixel)


def _bodies(random: Random, shape: tuple[int, ...]) -> Array:
    """Return ellipsoids and shells of different brightness, most of them textured."""
    image = np.zeros(shape, np.float32)
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    size = random.uniform(0.05, 0.19) * shape[-1]
    for _ in range(int(random.integers(2, 26))):
        centre = [random.uniform(0.03 * n, 0.97 * n) for n in shape]
        mean = size * random.uniform(0.6, 1.5)
        half = max(2.5, mean * random.uniform(0.25, 0.6)), *(mean * random.uniform(0.7, 1.4, 2))
        turn = random.uniform(0, np.pi)
        v = (y - centre[1]) * np.cos(turn) + (x - centre[2]) * np.sin(turn)
        u = (x - centre[2]) * np.cos(turn) - (y - centre[1]) * np.sin(turn)
        distance = ((z - centre[0]) / half[0]) ** 2 + (v / half[1]) ** 2 + (u / half[2]) ** 2
        inside = distance < 1
        if random.random() < 0.15:
            inside &= distance > random.uniform(0.5, 0.85)
        image = np.maximum(image, inside * np.float32(random.uniform(0.25, 1)))
    kind = random.random()
    if kind < 0.6:
        grain = gaussian_filter(random.normal(size=shape), np.array([0.8, 1, 1]) * random.uniform(0.8, 3.5))
        image = image * np.clip(1 + random.uniform(0.1, 0.7) * grain / grain.std(), 0.05, 2.5)
    elif kind < 0.8:
        image = image * np.clip(1 + random.uniform(0.2, 0.7) * texture(random, shape), 0.05, 2.5)
    if random.random() < 0.5:
        image = gaussian_filter(image, random.uniform(0, 0.9))
    return np.asarray(image, np.float32)


def _curves(random: Random, shape: tuple[int, ...]) -> Array:
    """Return thin curves whose direction changes slowly, less along z."""
    image = np.zeros(shape, np.float32)
    lively, bend = np.array((random.uniform(0.1, 0.6), 1, 1)), random.uniform(0.05, 0.4)
    for _ in range(int(random.integers(4, 60))):
        point, step = random.uniform(0, 1, 3) * shape, random.normal(size=3) * lively
        bright = random.uniform(0.5, 1)
        for turn in random.normal(size=(int(random.integers(100, 400)), 3)) * lively * bend:
            step = 0.97 * step + turn
            point = point + step / np.linalg.norm(step)
            at = tuple(np.round(point).astype(int))
            if all(0 <= i < n for i, n in zip(at, shape, strict=True)):
                image[at] = max(image[at], bright)
    return _unit(gaussian_filter(image, (random.uniform(0.4, 0.9), *[random.uniform(0.6, 1.8)] * 2)))


def _spots(random: Random, shape: tuple[int, ...]) -> Array:
    image = np.zeros(shape, np.float32)
    count = int(math.exp(random.uniform(math.log(10), math.log(1500))))
    image[tuple(random.integers(0, n, count) for n in shape)] = random.uniform(0.2, 1, count)
    return _unit(gaussian_filter(image, (random.uniform(0.4, 1.2), *[random.uniform(0.6, 2.2)] * 2)))


def _unit(image: Array) -> Array:
    return np.asarray(image / max(float(image.max()), 1e-6), np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.pretraining.stacks")
    parser.add_argument("--count", type=int, default=50, help="microscopes, a file each (default: 50)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first (default: 0)")
    parser.add_argument("--out", type=Path, required=True, help="folder; files that it has are not made again")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    for seed in range(args.first, args.first + args.count):
        path = args.out / f"{seed:05d}.npz"
        if path.exists():
            continue
        started = time.perf_counter()
        group = make_group(seed)
        group.save(path)
        print(f"{path.name}: {len(group.stacks)} stacks, {time.perf_counter() - started:.0f} s", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
