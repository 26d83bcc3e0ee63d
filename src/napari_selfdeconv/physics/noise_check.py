"""The check for noise that is not independent from pixel to pixel, made before a run.

All methods assume that the noise of neighbouring pixels is independent. Other noise looks like structure of the
sample and becomes structure of the result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from napari_selfdeconv.physics.mask import find_saturated

# What is looked at, at most: planes in equal steps, and the middle of each.
_MOST_SIDE, _MOST_PLANES = 512, 4
_LEAST_SIDE = 48
# A PSF lets waves through of which this share is left. Waves finer by this factor are noise, even if it is wrong.
_PASSED, _SAFE = 0.003, 1.2
# The coarser half of them has this much more power than the finer half in correlated noise, and beyond chance.
_FALL, _SURE, _LEAST_WAVES = 1.35, 5.0, 200
# An image whose fine waves have less than this share of its variation has no noise: what is there is rounding.
_NOISELESS = 1e-3
# Stripes are named from this share of the noise of a pixel; so much of what a part of a line has is shared by all.
_STRIPE_SHARE, _STRIPE_SHARED, _STRIPE_SURE = 0.15, 0.2, 8.0
_SEGMENTS = 4
# The blocks of JPEG have fewer fine waves than blocks anywhere else, by this factor. A block's three finest waves
# are looked at.
_BLOCKY = 0.93
_FINE_WAVES = scipy.fft.dct(np.eye(8, dtype=np.float32), axis=1, norm="ortho")[:, 5:]
# Fewer saturated pixels than this share are hot pixels, or change nothing.
_SATURATED = 1e-4
# Variance of columns that a resampled image has more of at one frequency than at the others.
_PEAK = 25.0
#: Kinds of findings that say that pixels share their noise.
SHARED = ("correlated", "resampled", "stripes")


@dataclass(frozen=True)
class NoiseFinding:
    """A finding about the noise of an image.

    Attributes
    ----------
    kind : "correlated", "resampled", "stripes", "JPEG" or "saturated".
    message : what is wrong and what to do, for the user.
    """

    kind: str
    message: str


def check_noise(image: NDArray[Any], psf: NDArray[Any]) -> list[NoiseFinding]:
    """Return the unusual properties of the noise of an image; none for photon noise and read noise.

    Parameters
    ----------
    image : 2D or 3D, finite.
    psf : as many axes. A point that is no wider than a pixel cannot be distinguished from correlated noise, so
        with such a PSF correlation is not looked for.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(100, 10, (128, 128))
    >>> psf = np.outer(np.hanning(11), np.hanning(11))
    >>> check_noise(noise, psf)
    []
    >>> [found.kind for found in check_noise(noise + np.roll(noise, 1, axis=1), psf)]
    ['correlated']
    """
    planes = some_planes(image)
    found = []
    if min(planes.shape[1:]) >= _LEAST_SIDE and _noise_level(planes) > 0:
        blocky = has_jpeg_blocks(planes)
        if blocky:
            found.append(NoiseFinding("JPEG", _JPEG))
        stripes = {name: stripe_amplitude(planes, psf, axis) for axis, name in ((1, "rows"), (2, "columns"))}
        found += [NoiseFinding("stripes", _stripes(name, share)) for name, share in stripes.items() if share]
        if not blocky and is_correlated(planes, psf):
            kind, message = ("resampled", _RESAMPLED) if is_resampled(planes) else ("correlated", _CORRELATED)
            found.append(NoiseFinding(kind, message))
    saturated = int(np.count_nonzero(find_saturated(image)))
    if saturated > _SATURATED * image.size:
        found.append(NoiseFinding("saturated", _saturated(saturated)))
    return found


def is_correlated(planes: NDArray[np.float32], psf: NDArray[Any]) -> bool:
    """Return whether the noise of neighbouring pixels is correlated.

    Waves that are too fine for the PSF are noise alone, and white noise has the same power at all of them. The
    power of correlated noise falls towards the finest. Where pixels are so large that the PSF lets all waves
    through, nothing is found.

    Parameters
    ----------
    planes : (planes, y, x).
    psf : 2D or 3D.
    """
    found = fine_waves(planes, psf)
    if found is None:
        return False
    coarsest = found.power[found.size <= np.median(found.size)]
    if np.sqrt(np.median(coarsest)) < _NOISELESS * planes.std():
        return False
    # Half of the waves are independent, and the median of either half of them is known that well.
    error = 4.0 / np.sqrt(found.power.size * len(planes))
    for course in (found.size, *found.waves):
        order = np.argsort(course)
        coarse, fine = (float(np.median(found.power[part])) for part in np.array_split(order, 2))
        if coarse > _FALL * np.exp(_SURE * error) * fine:
            return True
    return False


class FineWaves(NamedTuple):
    """Waves that are too fine for a PSF.

    ``size`` is the frequency in units of the highest one that passes. ``waves`` are the frequencies along y and x
    in cycles a pixel, and ``radians`` is their length in radians a pixel. ``power`` is the mean over planes; it is
    1 for white noise of variance 1.
    """

    size: NDArray[np.float64]
    waves: tuple[NDArray[np.float64], NDArray[np.float64]]
    radians: NDArray[np.float64]
    power: NDArray[np.float64]


def fine_waves(planes: NDArray[np.float32], psf: NDArray[Any]) -> FineWaves | None:
    """Return the waves of (planes, y, x) that are too fine for the PSF; None if they are few."""
    y, x = np.meshgrid(*(np.abs(np.fft.fftfreq(n)) for n in planes.shape[1:]), indexing="ij")
    cuts = cutoffs(psf)
    size = np.hypot(y / cuts[0], x / cuts[1])
    # Stripes lie on the axes.
    beyond = (size > _SAFE) & (y > 0.02) & (x > 0.02)
    if np.count_nonzero(beyond) < _LEAST_WAVES:
        return None
    window = np.outer(*(np.hanning(n) for n in planes.shape[1:]))
    power = np.zeros(int(np.count_nonzero(beyond)))
    for plane in planes:
        power += np.abs(scipy.fft.fft2(window * (plane - plane.mean()))[beyond]) ** 2
    power /= len(planes) * np.sum(window**2)
    return FineWaves(size[beyond], (y[beyond], x[beyond]), 2 * np.pi * np.hypot(y, x)[beyond], power)


def cutoffs(psf: NDArray[Any]) -> tuple[float, float]:
    """Return the finest waves along y and x that a PSF lets through, in cycles a pixel; infinite if all pass."""
    plane = np.asarray(psf if psf.ndim == 2 else psf[np.argmax(psf.max(axis=(1, 2)))], np.float64)
    found = []
    for axis in (0, 1):
        profile = plane.sum(axis=1 - axis)
        profile = np.pad(profile * np.hanning(len(profile) + 2)[1:-1], (0, 256))
        passed = np.abs(np.fft.rfft(profile)) / profile.sum()
        finest = int(np.flatnonzero(passed > _PASSED).max())
        found.append(np.inf if finest >= len(passed) - 2 else max(finest, 1) / len(profile))
    return found[0], found[1]


def is_resampled(planes: NDArray[np.float32]) -> bool:
    """Return whether the noise varies periodically along an axis, as after interpolation onto another grid."""
    for axis in (1, 2):
        noise = np.diff(planes, 2, axis=axis) ** 2
        course = np.log(np.median(noise, axis=(0, 3 - axis)) + 1e-30)
        power = np.abs(np.fft.rfft((course - course.mean()) * np.hanning(len(course)))) ** 2
        # Slow changes are those of the light.
        power = power[len(power) // 8 :]
        if power.max() > _PEAK * np.median(power):
            return True
    return False


def stripe_amplitude(planes: NDArray[np.float32], psf: NDArray[Any], axis: int) -> float:
    """Return the standard deviation of the offsets of rows (axis 1) or columns (axis 2), in noise of a pixel.

    It is 0 where it is no more than chance. Only changes from line to line that are too fast for the PSF count,
    and only what all parts of a line have in common.
    """
    lines = planes if axis == 1 else planes.swapaxes(1, 2)
    noise = _noise_level(planes)
    parts = np.array_split(lines, _SEGMENTS, axis=2)
    medians = np.stack([np.median(part, axis=2) for part in parts]).astype(np.float64)
    window = np.hanning(lines.shape[1])
    waves = np.fft.rfft((medians - medians.mean(axis=2, keepdims=True)) * window, axis=2)
    size = np.fft.rfftfreq(lines.shape[1])
    fast = size > min(max(_SAFE * cutoffs(psf)[axis - 1], 0.25), 0.4)
    power = np.abs(waves[..., fast]) ** 2 / np.sum(window**2)
    each, count = float(power.mean()), np.count_nonzero(fast) * len(lines)
    total = np.abs(waves[..., fast].sum(axis=0)) ** 2 / np.sum(window**2)
    shared = (float(total.mean()) - _SEGMENTS * each) / (_SEGMENTS * (_SEGMENTS - 1))
    chance = np.sqrt(1.5 / (_SEGMENTS * (_SEGMENTS - 1) * count))
    if shared < max(_STRIPE_SURE * chance, _STRIPE_SHARED) * (each - shared):
        return 0.0
    share = float(np.sqrt(shared)) / noise
    return share if share > _STRIPE_SHARE else 0.0


def _noise_level(planes: NDArray[np.float32]) -> float:
    """Return the standard deviation of the noise of a pixel, from second differences along both axes."""
    filtered = np.diff(np.diff(planes, 2, axis=1), 2, axis=2) / 6
    return 1.4826 * float(np.median(np.abs(filtered)))


def has_jpeg_blocks(planes: NDArray[np.float32]) -> bool:
    """Return whether an image has blocks of 8 x 8 pixels in which high frequencies were rounded to 0."""
    return all(_has_grid(planes if axis == 2 else planes.swapaxes(1, 2)) for axis in (1, 2))


def _has_grid(planes: NDArray[np.float32]) -> bool:
    """Say whether blocks of 8 pixels along x have less of the fine waves at one place of their grid alone."""
    rows = planes.reshape(-1, planes.shape[2])
    found = []
    for phase in range(8):
        count = (rows.shape[1] - phase) // 8
        blocks = rows[:, phase : phase + 8 * count].reshape(-1, 8)
        found.append(float(np.abs(blocks @ _FINE_WAVES).mean(dtype=np.float64)))
    least, second = sorted(found)[:2]
    return least < _BLOCKY * second


def some_planes(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return (planes, y, x) of an image, with only as many planes as improve the result."""
    planes = image if image.ndim == 3 else image[None]
    every = max(1, -(-len(planes) // _MOST_PLANES))
    middle = [slice(max(0, (n - _MOST_SIDE) // 2), (n + _MOST_SIDE + 1) // 2) for n in planes.shape[1:]]
    return np.asarray(planes[every // 2 :: every, middle[0], middle[1]], np.float32)


_JPEG = (
    "The image was compressed as JPEG: its 8 x 8 blocks are visible, and a result would sharpen them. Use the "
    "file as it was recorded, or save it without loss (TIFF)."
)
_CORRELATED = (
    "The noise of neighbouring pixels is not independent, as after a filter, a registration or a change of pixel "
    "size. Its grain looks like structure. Use the image as it was recorded, if you have it."
)
_RESAMPLED = (
    "The image was interpolated onto another grid of pixels: its noise changes periodically, and neighbouring "
    "pixels share it. Its grain looks like structure. Use the image as it was recorded, if you have it."
)


def _stripes(name: str, share: float) -> str:
    return (
        f"The {name} have offsets of their own, {share:.0%} of the noise of a pixel. A result would show them "
        "as stripes or peaks. A dark image of the camera, subtracted before, is the best remedy."
    )


def _saturated(count: int) -> str:
    pixels = "1 pixel is" if count == 1 else f"{count} pixels are"
    return (
        f"{pixels} saturated: there the light is unknown, and around them it is wrong. Let the run find pixels "
        "that are no measurement (--mask auto, weights='auto'), or record with less exposure."
    )
