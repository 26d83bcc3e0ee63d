"""Scenes with a known truth: noise alone, points, lines, faults of a camera, wrong PSFs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import fourier_shift, gaussian_filter
from scipy.signal import fftconvolve

from napari_selfdeconv.config.optics import CoverslipLayers, Optics
from napari_selfdeconv.psf.models import model_of

Array = NDArray[np.float32]

_OPTICS = Optics(na=1.3, wavelength_um=0.52, refractive_index=1.515)
_PIXEL_UM, _PSF_SIZE = 0.06, 33
#: Distance at which two points are just resolved, pixels.
RAYLEIGH = 0.61 * 0.52 / 1.3 / _PIXEL_UM
#: Distances of the pairs of points, in Rayleigh distances.
DISTANCES = (0.6, 0.8, 1.0, 1.2, 1.4)
# Offset of the camera, its noise, and the light of a pixel where a point of brightness 1 is brightest.
_OFFSET, _NOISE, _HEIGHT = 100.0, 10.0, 200.0
# Of the 25 points; the faintest is eight times the noise.
_FAINTEST = 0.4
_MARGIN = 24


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """An image and its truth.

    Attributes
    ----------
    name : name of the scene, as in the table.
    image : what is recorded.
    psf : what a method is given, sum 1. It may be wrong.
    empty : the light of the image without objects: the offset, or a ramp.
    support : boolean, as large; True where there are objects.
    points : (n, 2), their places in pixels.
    brightness : (n,), of the points; the brightest is 1.
    pairs : distance in Rayleigh distances, and the places of the two points.
    noise : standard deviation of the noise of a pixel without objects.
    """

    name: str
    image: Array
    psf: Array
    empty: Array
    noise: float
    support: NDArray[np.bool_]
    points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    brightness: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    pairs: tuple[tuple[float, NDArray[np.float64], NDArray[np.float64]], ...] = ()


def scene_names() -> tuple[str, ...]:
    """Return the names of all scenes, in the order of the table."""
    return tuple(_SCENES)


def make_scene(name: str, size: int = 128, seed: int = 0) -> Scene:
    """Return a scene of ``size`` x ``size`` pixels.

    Examples
    --------
    >>> scene = make_scene("points", size=64)
    >>> scene.image.shape, len(scene.points), round(float(scene.psf.sum()), 3)
    ((64, 64), 25, 1.0)
    """
    return replace(_SCENES[name](size, np.random.default_rng(seed)), name=name)


def _psf(scale: float = 1.0, layers: CoverslipLayers | None = None) -> Array:
    """Return the PSF; ``scale`` makes it wider."""
    pixel = _PIXEL_UM / scale
    shape = (_PSF_SIZE, _PSF_SIZE)
    return model_of(_OPTICS).compute(shape, (pixel, pixel), replace(_OPTICS, layers=layers))[0]


def _nothing(size: int, empty: Any, image: Any, noise: float) -> Scene:
    shape = size, size
    return Scene(
        name="",
        image=np.broadcast_to(image, shape).astype(np.float32),
        psf=_psf(),
        empty=np.broadcast_to(empty, shape).astype(np.float32),
        noise=noise,
        support=np.zeros(shape, bool),
    )


def _gaussian(level: float) -> Callable[[int, np.random.Generator], Scene]:
    return lambda size, random: _nothing(size, _OFFSET, random.normal(_OFFSET, level, (size, size)), level)


def _poisson(photons: float) -> Callable[[int, np.random.Generator], Scene]:
    return lambda size, random: _nothing(
        size, _OFFSET + photons, _OFFSET + random.poisson(photons, (size, size)), float(np.sqrt(photons))
    )


def _constant(size: int, _random: np.random.Generator) -> Scene:
    # An image that does not vary at all is refused, so one pixel has a count more.
    image = np.full((size, size), _OFFSET)
    image[size // 2, size // 2] += 1
    return _nothing(size, _OFFSET, image, 1.0)


def _gradient(size: int, random: np.random.Generator) -> Scene:
    ramp = _OFFSET + np.linspace(0, 400, size) * np.ones((size, 1))
    return _nothing(size, ramp, ramp + random.normal(0, _NOISE, ramp.shape), _NOISE)


def _correlated_noise(size: int, random: np.random.Generator, sigma: float = 0.7) -> Array:
    """Return noise as interpolation and binning leave it, with the standard deviation of the other scenes."""
    wide = gaussian_filter(random.normal(size=(size + 16, size + 16)), sigma)
    noise: Array = (wide[8:-8, 8:-8] * (_NOISE / wide.std())).astype(np.float32)
    return noise


def _correlated(size: int, random: np.random.Generator) -> Scene:
    return _nothing(size, _OFFSET, _OFFSET + _correlated_noise(size, random), _NOISE)


def _stripes(size: int, random: np.random.Generator) -> Array:
    """Return an offset of its own for every row, as the amplifiers of a camera have."""
    return np.asarray(np.ones((1, size)) * random.normal(0, 5, (size, 1)), np.float32)


def _striped(size: int, random: np.random.Generator) -> Scene:
    image = random.normal(_OFFSET, _NOISE, (size, size)) + _stripes(size, random)
    return _nothing(size, _OFFSET, image, _NOISE)


def _places(size: int) -> NDArray[np.float64]:
    """Return 25 places on a grid, none of them in the middle of a pixel."""
    step = size / 5
    at = [(step * (row + 0.5) + 0.37 * col - 0.8, step * (col + 0.5) + 0.29 * row - 0.6)
          for row in range(5) for col in range(5)]  # fmt: skip
    return np.array(at)


def _spots(size: int, places: NDArray[np.float64], brightness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the blurred light of points between pixels; one of brightness 1 has `_HEIGHT` at its peak."""
    psf = _psf().astype(np.float64)
    wide = np.zeros((size + 2 * _MARGIN,) * 2)
    total = np.zeros_like(wide)
    middle = (wide.shape[0] - _PSF_SIZE) // 2
    wide[middle : middle + _PSF_SIZE, middle : middle + _PSF_SIZE] = psf / psf.max()
    spectrum = np.fft.fftn(wide)
    centre = middle + _PSF_SIZE // 2
    for place, height in zip(places, brightness, strict=True):
        total += height * np.fft.ifftn(fourier_shift(spectrum, place + _MARGIN - centre)).real
    return _HEIGHT * np.maximum(total[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN], 0)


def _near(size: int, places: NDArray[np.float64], radius: float) -> NDArray[np.bool_]:
    y, x = np.mgrid[:size, :size]
    distance = np.min([np.hypot(y - a, x - b) for a, b in places], axis=0)
    near: NDArray[np.bool_] = distance <= radius
    return near


def _pointed(size: int, random: np.random.Generator, places: NDArray[np.float64], faintest: float) -> Scene:
    brightness = random.permutation(np.linspace(faintest, 1.0, len(places))) if len(places) > 1 else np.ones(1)
    light = _spots(size, places, brightness)
    # Photons, each of one count, and read noise.
    image = _OFFSET + random.poisson(light) + random.normal(0, _NOISE, light.shape)
    scene = _nothing(size, _OFFSET, image, _NOISE)
    return replace(scene, support=_near(size, places, RAYLEIGH), points=places, brightness=brightness)


def _bead(size: int, random: np.random.Generator) -> Scene:
    return _pointed(size, random, np.array([[size / 2 + 0.3, size / 2 - 0.2]]), 1.0)


def _points(size: int, random: np.random.Generator) -> Scene:
    return _pointed(size, random, _places(size), _FAINTEST)


def _points_with(change: Callable[[Scene, np.random.Generator], Scene]) -> Callable[..., Scene]:
    return lambda size, random: change(_points(size, random), random)


def _with_correlated_noise(scene: Scene, random: np.random.Generator) -> Scene:
    light = _spots(len(scene.image), scene.points, scene.brightness)
    image = _OFFSET + light + _correlated_noise(len(light), random) * np.sqrt(1 + light / _NOISE**2)
    return replace(scene, image=image.astype(np.float32))


def _with_stripes(scene: Scene, random: np.random.Generator) -> Scene:
    return replace(scene, image=scene.image + _stripes(len(scene.image), random))


def _with_hot_pixels(scene: Scene, random: np.random.Generator) -> Scene:
    image = scene.image.copy()
    image[random.random(image.shape) < 0.002] += np.float32(2 * _HEIGHT)
    return replace(scene, image=image)


def _with_psf(scale: float = 1.0, layers: CoverslipLayers | None = None) -> Callable[..., Scene]:
    return lambda scene, _random: replace(scene, psf=_psf(scale, layers))


def _lines(size: int, random: np.random.Generator) -> Scene:
    y, x = np.mgrid[-_MARGIN : size + _MARGIN, -_MARGIN : size + _MARGIN].astype(float)
    truth, support = np.zeros_like(x), np.zeros(x.shape, bool)
    for angle, offset in ((0.1, 0.3), (0.9, 0.55), (1.7, -0.4), (2.4, -0.1)):
        distance = np.abs(x * np.sin(angle) + y * np.cos(angle) - offset * size)
        truth += np.maximum(0, 1 - distance)
        support |= distance <= RAYLEIGH
    psf = _psf().astype(np.float64)
    light = fftconvolve(truth, psf, mode="same")[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    light = _HEIGHT * np.maximum(light, 0) / psf.sum(axis=0).max()
    image = _OFFSET + random.poisson(light) + random.normal(0, _NOISE, light.shape)
    scene = _nothing(size, _OFFSET, image, _NOISE)
    return replace(scene, support=support[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN])


def _pairs(size: int, random: np.random.Generator) -> Scene:
    pairs = []
    for column, distance in enumerate(DISTANCES):
        for row in range(5):
            angle = 0.2 + 0.6 * row
            middle = np.array([(row + 0.5) * size / 5, (column + 0.5) * size / 5])
            half = 0.5 * distance * RAYLEIGH * np.array([np.sin(angle), np.cos(angle)])
            pairs.append((distance, middle - half, middle + half))
    places = np.array([place for _, *two in pairs for place in two])
    light = _spots(size, places, np.ones(len(places)))
    image = _OFFSET + random.poisson(light) + random.normal(0, _NOISE, light.shape)
    scene = _nothing(size, _OFFSET, image, _NOISE)
    return replace(
        scene,
        support=_near(size, places, RAYLEIGH),
        points=places,
        brightness=np.ones(len(places)),
        pairs=tuple(pairs),
    )


_SCENES: dict[str, Callable[[int, np.random.Generator], Scene]] = {
    **{f"Gaussian noise {level:g}": _gaussian(level) for level in (1.0, 10.0, 50.0)},
    **{f"Poisson noise {photons:g}": _poisson(photons) for photons in (1.0, 10.0, 100.0)},
    "constant": _constant,
    "gradient": _gradient,
    "correlated noise": _correlated,
    "stripes": _striped,
    "bead": _bead,
    "points": _points,
    "lines": _lines,
    "pairs": _pairs,
    "points, correlated noise": _points_with(_with_correlated_noise),
    "points, stripes": _points_with(_with_stripes),
    "points, hot pixels": _points_with(_with_hot_pixels),
    "points, PSF too narrow": _points_with(_with_psf(0.8)),
    "points, PSF too wide": _points_with(_with_psf(1.2)),
    "points, PSF of another depth": _points_with(
        _with_psf(layers=CoverslipLayers(sample_index=1.38, sample_depth_um=5.0))
    ),
}
