"""A stack as a microscope records it, with its truth: light from outside the field and from other planes.

The PSF is as large as the scene, so no light is lost; the camera adds photon noise, read noise and an offset.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.signal import fftconvolve

from napari_selfdeconv.config.optics import Optics
from napari_selfdeconv.psf.models import model_of

Microscope = Literal["widefield", "confocal"]
#: "star": a body so bright that its middle saturates, at half its blurred peak. "column": a dead column of the
#: camera. "quadrant": a quarter of the field of view that a mosaic left black.
Defect = Literal["star", "column", "quadrant"]

VOXEL_UM = (0.3, 0.12, 0.12)
FIELD = (40, 112, 112)
OFFSET = 100.0
_READ_NOISE = 2.0
# Peak of a blurred star, as a share of the brightest light of the scene; half of it saturates the camera.
_STAR, _STAR_VOXELS = 8.0, (1.5, 5.0, 5.0)
_BODIES, _CURVES, _STEPS = 14, 60, 500
_MICROSCOPES: dict[Microscope, tuple[Optics, float]] = {
    "widefield": (Optics(na=1.2, wavelength_um=0.52, refractive_index=1.33), 200.0),
    # A pinhole leaves few photons.
    "confocal": (
        Optics(
            na=1.2,
            wavelength_um=0.52,
            refractive_index=1.33,
            excitation_um=0.488,
            pinhole_au=1.0,
            pixel_integration=False,
        ),
        30.0,
    ),
}


@dataclass(frozen=True, kw_only=True)
class StackSample:
    """A simulated stack.

    Attributes
    ----------
    image : float32, (z, y, x); counts of the camera, `OFFSET` where there is no light.
    truth : float32, as large; the same field, 1 at its brightest.
    voxel_um, optics : voxel size and optics of the microscope.
    sound : the image without its defect; the same as ``image`` if it has none.
    spoiled : boolean, as large; the pixels of the defect.
    counts : counts of the image for a light of 1 in the truth, over the whole PSF.
    """

    image: NDArray[np.float32]
    truth: NDArray[np.float32]
    voxel_um: tuple[float, float, float]
    optics: Optics
    sound: NDArray[np.float32]
    spoiled: NDArray[np.bool_]
    counts: float


def simulate_stack(
    seed: int = 0,
    microscope: Microscope = "widefield",
    field: Sequence[int] = FIELD,
    defect: Defect | None = None,
) -> StackSample:
    """Return a stack of textured bodies, as of nuclei, and thin curves.

    Parameters
    ----------
    seed : seed of the scene; the noise has the next one.
    microscope : with 200 photons at the brightest pixel, or "confocal" with 30.
    field : shape of the stack; the scene is twice as large on every axis.
    defect : what spoils some of the pixels; None spoils none.

    Examples
    --------
    >>> sample = simulate_stack(0, field=(4, 24, 24))
    >>> sample.image.shape, 90 < float(sample.image.min()) < 140
    ((4, 24, 24), True)
    """
    optics, photons = _MICROSCOPES[microscope]
    shape = tuple(2 * n for n in field)
    scene = make_scene(shape, seed)
    psf, _, _ = model_of(optics).compute(tuple(n - 1 + n % 2 for n in shape), VOXEL_UM, optics)
    blurred = np.maximum(fftconvolve(scene, psf, mode="same"), 0)
    middle = tuple(slice((n - m) // 2, (n - m) // 2 + m) for n, m in zip(shape, field, strict=True))
    truth, light = scene[middle], blurred[middle]
    scale = photons / light.max()
    if defect == "star":
        star = _star(shape)
        spread = fftconvolve(star, psf, mode="same")[middle]
        height = _STAR * light.max() / spread.max()
        truth, light = truth + height * star[middle], light + height * np.maximum(spread, 0)
    random = np.random.default_rng(seed + 1)
    image = random.poisson(light * scale) + OFFSET + random.normal(0, _READ_NOISE, light.shape)
    sound = image.astype(np.float32)
    spoiled, spoils = _spoiled(sound, defect, OFFSET + 0.5 * _STAR * photons)
    return StackSample(
        image=spoils,
        truth=truth.astype(np.float32),
        voxel_um=VOXEL_UM,
        optics=optics,
        sound=sound,
        spoiled=spoiled,
        counts=float(scale),
    )


def _star(shape: Sequence[int]) -> NDArray[np.float32]:
    """Return a body with a soft edge in the middle of a scene."""
    away = [(np.arange(n) - n // 2) / width for n, width in zip(shape, _STAR_VOXELS, strict=True)]
    z, y, x = (np.exp(-0.5 * distance**2) for distance in away)
    star: NDArray[np.float32] = (z[:, None, None] * y[:, None] * x).astype(np.float32)
    return star


def _spoiled(
    sound: NDArray[np.float32], defect: Defect | None, full: float
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return where a defect lies, and the image with it; ``full`` is the highest value of the camera."""
    where = np.zeros(sound.shape, bool)
    _, ny, nx = sound.shape
    if defect == "star":
        where = sound >= full
        return where, np.minimum(sound, np.float32(full))
    if defect == "column":
        where[:, :, nx // 3] = True
    if defect == "quadrant":
        where[:, ny // 2 :, nx // 2 :] = True
    return where, np.where(where, np.float32(0), sound)


def make_scene(shape: Sequence[int], seed: int) -> NDArray[np.float32]:
    """Return a scene of 14 textured ellipsoids and 60 curves, from 0 to 1."""
    random = np.random.default_rng(seed)
    z, y, x = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij", sparse=True)
    bodies = np.zeros(tuple(shape), np.float32)
    # A small scene has smaller bodies and fewer curves: it must be empty somewhere to show haze.
    scale = [n / (2 * m) for n, m in zip(shape, FIELD, strict=True)]
    ranges = ((6, 12), (16, 34), (16, 34))
    for _ in range(_BODIES):
        centre = [random.uniform(10 * s, n - 10 * s) for s, n in zip(scale, shape, strict=True)]
        axes = [s * random.uniform(*ends) for s, ends in zip(scale, ranges, strict=True)]
        inside = sum(((a - c) / s) ** 2 for a, c, s in zip((z, y, x), centre, axes, strict=True)) < 1
        bodies = np.maximum(bodies, inside * random.uniform(0.3, 0.8))
    texture = gaussian_filter(random.normal(size=tuple(shape)), 1.5)
    bodies = bodies * np.clip(1 + 0.5 * texture / texture.std(), 0.1, 2.2)
    curves = np.zeros(tuple(shape), np.float32)
    for _ in range(max(1, round(_CURVES * math.prod(scale)))):
        _walk(curves, random)
    curves = gaussian_filter(curves, (0.6, 1.0, 1.0))
    scene = bodies + 0.9 * curves / curves.max()
    scaled: NDArray[np.float32] = (scene / scene.max()).astype(np.float32)
    return scaled


def _walk(curves: NDArray[np.float32], random: np.random.Generator) -> None:
    """Draw one curve: steps of a voxel whose direction changes slowly, less along z."""
    lively = np.array((0.3, 1.0, 1.0))
    point = np.array([random.uniform(0, n) for n in curves.shape])
    step = random.normal(size=3) * lively
    for _ in range(_STEPS):
        step = 0.97 * step + 0.25 * random.normal(size=3) * lively
        point = point + step / np.linalg.norm(step)
        at = tuple(np.round(point).astype(int))
        if all(0 <= i < n for i, n in zip(at, curves.shape, strict=True)):
            curves[at] = 1
