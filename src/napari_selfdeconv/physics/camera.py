"""Background, gain and read noise of a camera, estimated from one image (photon transfer)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import (
    convolve,
    distance_transform_edt,
    gaussian_filter,
    map_coordinates,
    minimum_filter,
    percentile_filter,
)
from scipy.optimize import nnls

from napari_selfdeconv.config.rules import Number
from napari_selfdeconv.config.settings import Settings

# Second differences along both axes of a plane: white noise keeps its variance, smooth light vanishes.
_NOISE_FILTER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6
# Width of the surroundings whose mean is the light of a pixel.
_AROUND = 1.5
_BINS, _LEAST_IN_BIN = 24, 50
# More pixels than this do not improve the estimate.
_MOST_PIXELS, _MOST_SIDE = 2**22, 2048
_DARKEST = 1e-3
# Blocks along the shorter side of the field that varies.
_FIELD_BLOCKS = 32


@dataclass(frozen=True)
class NoiseLine:
    """Variance of the noise as a line: ``gain * (intensity - dark) + read``, ``dark`` being the darkest light."""

    dark: float
    gain: float
    read: float


@dataclass(frozen=True)
class Known(Settings):
    """The known values of a camera. A value of None is estimated; 0 is a value.

    Attributes
    ----------
    offset : value of a pixel without light.
    gain : intensity of a photon.
    read_noise : standard deviation of the noise of a pixel without light, units of the image.
    """

    offset: Annotated[float | None, Number(-1e9, 1e9)] = None
    gain: Annotated[float | None, Number(0.0, 1e9, open_low=True)] = None
    read_noise: Annotated[float | None, Number(0.0, 1e9)] = None


@dataclass(frozen=True, eq=False)
class Background:
    """The background in the model of an image: ``image - subtracted = A f + level + field``.

    Attributes
    ----------
    subtracted : level that is subtracted from every pixel. The difference may be negative, and is not clipped.
    level : light that the model has everywhere. It represents the variance of the read noise, so that dark pixels
        do not get too much weight: Poisson noise with ``level`` added is close to that of photons and camera.
    gain : intensity of a photon; 0 where the noise does not grow with the light.
    field : the part of the background that varies, (y, x), 0 at its least; None if there is no such part.
    """

    subtracted: float
    level: float
    gain: float
    field: NDArray[np.float32] | None = None

    @property
    def constant(self) -> float:
        """The least background of the image, in its own units."""
        return self.subtracted + self.level

    @property
    def mean(self) -> float:
        """The mean background."""
        return self.constant + (0.0 if self.field is None else float(self.field.mean(dtype=np.float64)))

    @property
    def whole(self) -> float | NDArray[np.float32]:
        """The background: a number, or (y, x) if it varies."""
        return self.constant if self.field is None else self.field + np.float32(self.constant)


#: Only the light of objects.
NO_BACKGROUND = Background(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class CameraReport:
    """The camera and the light of an image, estimated from the image.

    Attributes
    ----------
    offset : background in units of the image: the offset of the camera, and light that is everywhere.
    gain : intensity of one photon; 0 if the noise does not grow with the light.
    read_noise : standard deviation of the noise of the darkest pixels, which is at least that of the camera; or
        the given value.
    photons_mean, photons_brightest : photons of a pixel above ``offset``, in the mean and in the brightest
        thousandth; 0 if the gain is 0.

    Examples
    --------
    >>> CameraReport(
    ...     offset=100.0, gain=0.5, read_noise=2.0, photons_mean=12.0, photons_brightest=90.0
    ... ).describe()
    'background 100, noise of the darkest pixels 2, 0.5 a photon; 12 photons a pixel in the mean ...'
    """

    offset: float
    gain: float
    read_noise: float
    photons_mean: float
    photons_brightest: float

    def describe(self) -> str:
        """Return the report as a sentence without its full stop."""
        head = f"background {_shown(self.offset, 4)}, noise of the darkest pixels {_shown(self.read_noise)}"
        if self.gain == 0:
            return f"{head}; the noise does not grow with the light, so photons cannot be counted"
        head = f"{head}, {_shown(self.gain)} a photon"
        if self.photons_mean < 0:
            return f"{head}; most pixels are darker than this background, so it cannot be right"
        return (
            f"{head}; {_shown(self.photons_mean)} photons a pixel in the mean and "
            f"{_shown(self.photons_brightest)} in the brightest thousandth"
        )


def estimate_noise_line(image: NDArray[Any], measured: NDArray[np.bool_] | None = None) -> NoiseLine:
    """Estimate how the noise of an image grows with its light.

    Parameters
    ----------
    image : 2D or 3D. Finest detail, which a microscope does not pass, is taken for noise.
    measured : as large; pixels where it is False are left out.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> light = 50 + 40 * np.sin(np.arange(256) / 20) * np.ones((256, 1))
    >>> line = estimate_noise_line(2 * random.poisson(light) + random.normal(100, 3, light.shape))
    >>> round(line.gain)
    2
    """
    planes = _some_planes(np.asarray(image))
    known = np.ones(planes.shape, bool) if measured is None else _some_planes(measured) > 0
    # A second difference needs its neighbours, which exist away from edges and from what is no measurement.
    seen = minimum_filter(known, (1, 3, 3))
    for axis in (1, 2):
        for edge in (slice(0, 2), slice(-2, None)):
            seen[(*[slice(None)] * axis, edge)] = False
    if not seen.any():
        value = float(planes[known].min() if known.any() else planes.min())
        return NoiseLine(value, 0.0, 0.0)
    planes = np.where(known, planes, 0)
    light = np.stack([_smooth(plane, mask) for plane, mask in zip(planes, known, strict=True)])[seen]
    noise = np.stack([convolve(plane, _NOISE_FILTER, mode="reflect") for plane in planes])[seen]
    dark = float(np.quantile(light, _DARKEST))
    edges = np.quantile(light, np.linspace(0, 1, _BINS + 1))
    place = np.clip(np.searchsorted(edges, light, side="right") - 1, 0, _BINS - 1)
    means, variances = [], []
    for number in range(_BINS):
        values = noise[place == number]
        if values.size >= _LEAST_IN_BIN:
            means.append(float(light[place == number].mean()))
            variances.append(float(1.4826 * np.median(np.abs(values - np.median(values)))) ** 2)
    if not variances or max(variances) == 0:
        return NoiseLine(dark, 0.0, 0.0)
    # In units of the noise: the tolerance of the fit is that of numbers near 1.
    unit = math.sqrt(max(variances))
    found = np.array(variances) / unit**2
    # The scatter of a variance is as large as the variance.
    relative = 1 / np.maximum(found, 1e-3 * found.max())
    columns = np.stack([(np.array(means) - dark) / unit, np.ones(len(means))], 1)
    (gain, read), _ = nnls(columns * relative[:, None], found * relative)
    return NoiseLine(dark, float(gain) * unit, float(read) * unit**2)


def estimate_background(
    image: NDArray[Any],
    measured: NDArray[np.bool_] | None = None,
    given: float | None = None,
    *,
    known: Known = Known(),
    varies: bool = False,
) -> Background:
    """Return the background to model an image with.

    Parameters
    ----------
    image : 2D or 3D.
    measured : as large; pixels where it is False are left out.
    given : the constant background, if it is known. None takes the offset of the camera. If that is unknown, the
        background is a little above the intensity at which the noise would vanish, and at most that of the darkest
        thousandth of the image.
    known : known values of the camera.
    varies : whether to estimate a field that varies slowly (`estimate_field`) and add it to the constant.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> light = np.maximum(0, 50 * np.sin(np.arange(256) / 20)) * np.ones((256, 1))
    >>> found = estimate_background(random.poisson(light) + random.normal(100, 2, light.shape))
    >>> 92 < found.subtracted < found.constant < 102
    True
    """
    line = estimate_noise_line(image, measured)
    planes = _some_planes(np.asarray(image))
    seen = planes if measured is None else planes[_some_planes(measured) > 0]
    darkest, mean = float(np.quantile(seen, _DARKEST)), float(seen.mean(dtype=np.float64))
    gain = line.gain if known.gain is None else known.gain
    offset = known.offset if given is None else given
    zero = None
    if known.gain is not None or (gain > 0 and gain * (mean - line.dark) > line.read):
        # Where the variance is 0 there is neither light nor read noise.
        zero = line.dark - line.read / gain
        if known.read_noise is not None and known.offset is not None:
            zero = known.offset - known.read_noise**2 / gain
        if offset is None:
            above = 2 * gain if known.read_noise is None else known.read_noise**2 / gain
            offset = min(zero + above, darkest)
    offset = darkest if offset is None else offset
    # Noise that does not grow with the light makes every pixel weigh about the same: a high level.
    most = 0.5 * (mean - min(offset, darkest))
    level = most if zero is None else float(np.clip(offset - zero, min(0.01 * (mean - darkest), most), most))
    level = max(level, 1e-6 * float(np.abs(seen).max()))
    field = estimate_field(image, measured) if varies else None
    return Background(offset - level, level, 0.0 if zero is None else gain, field)


def estimate_field(image: NDArray[Any], measured: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """Return the part of the background that varies slowly over the field of view, (y, x), 0 at its least.

    It is the same in all planes: stray light and uneven illumination. Haze of objects differs between planes, and
    belongs to the model of the blur. The field is a low quantile of the planes and of the surroundings, smoothed;
    an object that fills a quarter of the field of view is taken for background.

    Parameters
    ----------
    image : 2D or 3D.
    measured : as large; pixels where it is False are left out.

    Examples
    --------
    >>> ramp = np.linspace(0, 60, 256) * np.ones((256, 1))
    >>> ramp[100:120, 100:120] += 500
    >>> field = estimate_field(ramp)
    >>> bool(np.abs(field - np.linspace(0, 60, 256)).max() < 12)
    True
    """
    data = np.asarray(image)
    planes = data if data.ndim == 3 else data[None]
    shape = planes.shape[1:]
    block = max(1, min(shape) // _FIELD_BLOCKS)
    counts = [-(-n // block) for n in shape]
    lowest = np.full((len(planes), *counts), np.nan, np.float32)
    for number, plane in enumerate(planes):
        values = plane.astype(np.float32)
        if measured is not None:
            values[~(measured if measured.ndim == 2 else measured[number])] = np.nan
        padded = np.pad(values, [(0, c * block - n) for c, n in zip(counts, shape, strict=True)], mode="symmetric")
        cells = padded.reshape(counts[0], block, counts[1], block).swapaxes(1, 2).reshape(*counts, -1)
        known = np.isfinite(cells).any(axis=-1)
        lowest[number][known] = np.nanmean(cells[known], axis=-1)
    known = np.isfinite(lowest).any(axis=0)
    if not known.any():
        return np.zeros(shape, np.float32)
    dark = np.full(counts, np.nan, np.float32)
    dark[known] = np.nanquantile(lowest[:, known], 0.02, axis=0)
    if not known.all():
        nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
        dark = dark[tuple(nearest)]
    width = max(3, min(counts) // 4)
    smooth = gaussian_filter(percentile_filter(dark, 10, width, mode="nearest"), width / 3, mode="nearest")
    at = [np.clip((np.arange(n) + 0.5) / block - 0.5, 0, c - 1) for n, c in zip(shape, counts, strict=True)]
    field = map_coordinates(smooth, np.meshgrid(*at, indexing="ij"), order=1, mode="nearest")
    out: NDArray[np.float32] = (field - field.min()).astype(np.float32)
    return out


def report_camera(
    image: NDArray[Any], measured: NDArray[np.bool_] | None = None, known: Known = Known()
) -> CameraReport:
    """Return background, gain, noise and photons of an image; parameters as in `estimate_background`.

    Examples
    --------
    >>> random = np.random.default_rng(0)
    >>> light = 50 + 40 * np.sin(np.arange(256) / 20) * np.ones((256, 1))
    >>> report = report_camera(2 * random.poisson(light) + random.normal(100, 3, light.shape))
    >>> round(report.gain), 40 < report.photons_mean < 60
    (2, True)
    """
    line = estimate_noise_line(image, measured)
    found = estimate_background(image, measured, known=known)
    planes = _some_planes(np.asarray(image))
    seen = planes if measured is None else planes[_some_planes(measured) > 0]
    mean, brightest = float(seen.mean(dtype=np.float64)), float(np.quantile(seen, 1 - _DARKEST))
    gain = found.gain
    return CameraReport(
        offset=found.constant,
        gain=gain,
        read_noise=math.sqrt(line.read) if known.read_noise is None else known.read_noise,
        photons_mean=(mean - found.constant) / gain if gain else 0.0,
        photons_brightest=(brightest - found.constant) / gain if gain else 0.0,
    )


def _shown(value: float, digits: int = 3) -> str:
    """Return a number with at least so many digits, and without an exponent if it is large."""
    return f"{value:.0f}" if abs(value) >= 10**digits else f"{value:.{digits}g}"


def _smooth(plane: NDArray[np.float32], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the mean light around each pixel, of the pixels that are known; the others hold 0."""
    smooth: NDArray[np.float32] = gaussian_filter(plane, _AROUND)
    if not known.all():
        smooth /= np.maximum(gaussian_filter(known.astype(np.float32), _AROUND), 1e-6)
    return smooth


def _some_planes(image: NDArray[Any]) -> NDArray[np.float32]:
    """Return (planes, y, x) of an image, with only as many planes as improve the estimate."""
    planes = image if image.ndim == 3 else image[None]
    middle = [slice(max(0, (n - _MOST_SIDE) // 2), (n + _MOST_SIDE + 1) // 2) for n in planes.shape[1:]]
    planes = planes[:, middle[0], middle[1]]
    every = max(1, -(-planes.size // _MOST_PIXELS))
    return np.asarray(planes[::every], np.float32)
