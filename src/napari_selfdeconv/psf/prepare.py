"""The preparation of a measured PSF: clean, centre, crop and resample it, with a report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_selfdeconv.config.checks import check_number, check_voxel
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.psf.measure import (
    background_level,
    border_light,
    core_centre,
    crop,
    fwhm,
    noise_level,
    resample,
    without_noise,
)
from napari_selfdeconv.psf.validate import real_psf

MAX_NON_FINITE = 0.01  # share of NaN voxels that can be bad camera pixels; more is a broken file
_MAX_VOXELS = 2**26  # half a gigabyte in float64
_LEAST_RATIO, _LARGEST_RATIO = 0.05, 50.0  # of voxel sizes between which a PSF is resampled
_SAME_VOXEL = 0.01  # share by which voxel sizes may differ and count as equal
_CUT_OFF = 0.05  # light at the border, relative to the peak, from which on the PSF counts as truncated


@dataclass(frozen=True, kw_only=True)
class PsfReport:
    """The findings and changes of `prepare_psf`. Tuples have one entry for each axis, in the order of the array.

    Attributes
    ----------
    original_shape, shape : before and after, in voxels.
    voxel_um, target_voxel_um : as given; None if not.
    background, noise : level subtracted and standard deviation of the noise, in the units of the input.
    non_finite : NaN or infinite voxels replaced by the background.
    peak, centre : index of the brightest voxel and of the sub-pixel centre in the input.
    shift : ``centre - n // 2`` in voxels of the input: how far it was off.
    gained : change of the light, as a share of it, by setting noise and negative values to 0.
    energy_kept : share of the remaining light inside the crop.
    fwhm : full width at half maximum through the centre, in voxels of the result.
    border : light on the outermost planes of the input, relative to the peak.
    found, did, warnings : the same in sentences.
    """

    original_shape: tuple[int, ...]
    shape: tuple[int, ...]
    voxel_um: tuple[float, ...] | None
    target_voxel_um: tuple[float, ...] | None
    background: float
    noise: float
    non_finite: int
    peak: tuple[int, ...]
    centre: tuple[float, ...]
    shift: tuple[float, ...]
    gained: float
    energy_kept: float
    fwhm: tuple[float, ...]
    border: tuple[float, ...]
    found: tuple[str, ...]
    did: tuple[str, ...]
    warnings: tuple[str, ...]


def prepare_psf(
    psf: ArrayLike,
    *,
    voxel_um: Sequence[float] | None = None,
    target_voxel_um: Sequence[float] | None = None,
    background: float | Literal["auto"] = "auto",
    center: bool = True,
    energy: float = 0.99,
    noise_sigmas: float = 3.0,
    max_shape: Sequence[int] | None = None,
) -> tuple[NDArray[np.float32], PsfReport]:
    """Prepare a measured PSF (a bead or an average of beads) for deconvolution.

    Parameters
    ----------
    psf : 2D or 3D array of real numbers, axes (z, y, x) or (y, x).
    voxel_um, target_voxel_um : voxel size of the PSF and of the image in um, in the order of the axes; both or
        neither. A coarser target averages over its pixel in y and x; planes are interpolated.
    background : level to subtract, in the units of ``psf``; "auto" is the lowest median of a border plane.
    center : put the sub-pixel centre of the bright core on ``n // 2``; False keeps the input's ``n // 2`` there.
    energy : share of the light to keep when cropping to odd sizes, 0.5 to 1 (1: nothing is cropped).
    noise_sigmas : values below this many standard deviations of the noise are replaced by their local average, or
        by 0 where that is no clearer (0: only negative values become 0). Noise cut at zero would otherwise add
        a haze over the whole window.
    max_shape : largest size an axis may have (the image's shape), or None. No axis outgrows the input anyway.

    Returns
    -------
    psf : float32 array of odd sizes, >= 0, sum 1, centre at ``n // 2``.
    report : `PsfReport`.

    Raises
    ------
    ConfigError
        If the array is not real and 2D or 3D, more than 1 % of it is not finite, nothing is brighter than the
        background, or a setting is out of range.

    Notes
    -----
    The centre is the centroid of what is brighter than half the maximum, around the brightest place, after a
    Gaussian filter of one voxel. The noise is estimated in the darker half, from mixed differences of
    neighbours, in which a smooth PSF cancels.

    Examples
    --------
    >>> y, x = np.mgrid[:32, :40]
    >>> bead = 100 + 1000 * np.exp(-((y - 14.3) ** 2 + (x - 21.6) ** 2) / 8)
    >>> kernel, report = prepare_psf(bead)
    >>> kernel.shape, round(report.background), [round(c, 1) for c in report.centre]
    ((13, 13), 100, [14.3, 21.6])
    """
    raw = real_psf(psf)
    ratio = _ratio(voxel_um, target_voxel_um, raw.ndim)
    check_number("energy", energy, 0.5, 1.0)
    check_number("noise_sigmas", noise_sigmas, 0.0, 100.0)
    limits = _limits(max_shape, raw.shape, ratio)
    finite = np.isfinite(raw)
    non_finite = raw.size - int(np.count_nonzero(finite))
    if non_finite > MAX_NON_FINITE * raw.size:
        raise ConfigError(
            f"{non_finite} of {raw.size} voxels of the PSF are NaN or infinite: this is no usable PSF"
        )
    level = background_level(np.where(finite, raw, np.median(raw[finite])), background)
    signal = np.where(finite, raw - level, 0.0)
    if signal.max() <= 0:
        raise ConfigError(f"nothing in the PSF is brighter than its background ({level:.4g})")
    smooth = ndimage.gaussian_filter(signal, 1.0, mode="nearest")
    noise = noise_level(signal, smooth)
    centre, spots = core_centre(smooth)
    middle = tuple(float(n // 2) for n in raw.shape)
    clean = without_noise(signal, smooth, noise_sigmas * noise)
    kept = np.maximum(resample(clean, centre if center else middle, ratio), 0)
    if not kept.any():
        raise ConfigError(f"nothing in the PSF is brighter than {noise_sigmas:g} times its noise ({noise:.4g})")
    cropped = crop(kept, energy, limits)
    if not cropped.any():
        raise ConfigError("the light of the PSF lies beside its middle: centre it first")
    report = PsfReport(
        original_shape=raw.shape,
        shape=cropped.shape,
        voxel_um=None if voxel_um is None else tuple(float(v) for v in voxel_um),
        target_voxel_um=None if target_voxel_um is None else tuple(float(v) for v in target_voxel_um),
        background=level,
        noise=noise,
        non_finite=non_finite,
        peak=tuple(int(i) for i in np.unravel_index(int(signal.argmax()), signal.shape)),
        centre=centre,
        shift=tuple(c - m for c, m in zip(centre, middle, strict=True)),
        gained=float(np.maximum(clean, 0).sum() / max(signal.sum(), signal.max()) - 1),
        energy_kept=min(1.0, float(cropped.sum() / kept.sum())),
        fwhm=tuple(fwhm(cropped, axis) for axis in range(raw.ndim)),
        border=border_light(smooth),
        found=(),
        did=(),
        warnings=(),
    )
    return (cropped / cropped.sum()).astype(np.float32), _tell(report, center, spots, _saturated(psf))


def fit_to_voxels(
    psf: ArrayLike, own_um: Sequence[float | None] | None, image_um: Sequence[float | None] | None
) -> tuple[NDArray[Any], list[str]]:
    """Resample a PSF to the image's voxels along the axes where both sizes are known and differ by more than 1 %.

    Parameters
    ----------
    psf : 2D or 3D array.
    own_um, image_um : voxel sizes of PSF and image in um, in axis order; None where unknown, along one axis or
        all.

    Returns
    -------
    The PSF, unchanged if the voxel sizes agree or are unknown, and a sentence about the change, if there is one.

    Raises
    ------
    ConfigError
        If the voxel sizes differ too much, or the resampled PSF would be too large.

    Examples
    --------
    >>> _, notes = fit_to_voxels(np.ones((9, 9)), (0.05, 0.05), (0.1, 0.1))
    >>> print(notes[0])
    the PSF was resampled from voxels of 0.05 x 0.05 um to the image's 0.1 x 0.1 um
    """
    array = np.asarray(psf)
    if own_um is None or image_um is None or len(own_um) != len(image_um) or len(own_um) != array.ndim:
        return array, []
    pairs = list(zip(own_um, image_um, strict=True))
    known = [(own, wanted) for own, wanted in pairs if own is not None and wanted is not None]
    if all(math.isclose(own, wanted, rel_tol=_SAME_VOXEL) for own, wanted in known):
        return array, []
    # A size that one of them does not state is taken to be that of the other.
    both = [(own or wanted or 1.0, wanted or own or 1.0) for own, wanted in pairs]
    resampled, _ = prepare_psf(
        array,
        voxel_um=[own for own, _ in both],
        target_voxel_um=[wanted for _, wanted in both],
        background=0.0,
        center=False,
        energy=1.0,
    )
    sizes = [" x ".join(f"{v:g}" for v in voxel) + " um" for voxel in zip(*known, strict=True)]
    compared = [axis for axis, pair in zip("zyx"[-array.ndim :], pairs, strict=True) if None not in pair]
    along = "" if len(known) == array.ndim else f" along {' and '.join(compared)}"
    return resampled, [f"the PSF was resampled{along} from voxels of {sizes[0]} to the image's {sizes[1]}"]


def _ratio(
    voxel_um: Sequence[float] | None, target_voxel_um: Sequence[float] | None, ndim: int
) -> tuple[float, ...]:
    """Return the target's voxel size in voxels of the PSF."""
    if (voxel_um is None) != (target_voxel_um is None):
        raise ConfigError(
            f"give both voxel_um and target_voxel_um, or neither; got {voxel_um!r} and {target_voxel_um!r}"
        )
    if voxel_um is None or target_voxel_um is None:
        return (1.0,) * ndim
    for name, values in (("voxel_um", voxel_um), ("target_voxel_um", target_voxel_um)):
        check_voxel(name, values, ndim)
    ratio = tuple(float(t) / float(v) for v, t in zip(voxel_um, target_voxel_um, strict=True))
    if not can_resample(voxel_um, target_voxel_um):
        raise ConfigError(
            f"voxel_um {tuple(voxel_um)} and target_voxel_um {tuple(target_voxel_um)} differ too much "
            f"(nanometres in one of them?): the ratio must be {_LEAST_RATIO:g} to {_LARGEST_RATIO:g}"
        )
    return ratio


def can_resample(voxel_um: Sequence[float], target_voxel_um: Sequence[float]) -> bool:
    """Whether voxel sizes are near enough for a PSF to be resampled from one to the other."""
    ratios = [float(t) / float(v) for v, t in zip(voxel_um, target_voxel_um, strict=True)]
    return min(ratios) >= _LEAST_RATIO and max(ratios) <= _LARGEST_RATIO


def _limits(max_shape: Sequence[int] | None, shape: tuple[int, ...], ratio: tuple[float, ...]) -> tuple[int, ...]:
    extent = tuple(max(1, round(n / step)) for n, step in zip(shape, ratio, strict=True))
    if math.prod(extent) > _MAX_VOXELS:
        raise ConfigError(
            f"resampling would make a PSF of {extent} voxels: crop it first, or check the voxel sizes"
        )
    if max_shape is None:
        return extent
    if len(max_shape) != len(shape) or min(max_shape) < 1:
        raise ConfigError(f"max_shape must hold {len(shape)} sizes of at least 1, got {tuple(max_shape)}")
    return tuple(min(int(m), n) for m, n in zip(max_shape, extent, strict=True))


def _saturated(psf: ArrayLike) -> int:
    """Return how many voxels of an integer array stand at the top of its type (0 or 1: not saturated)."""
    data = np.asarray(psf)
    if data.dtype.kind not in "ui":
        return 0
    return int(np.count_nonzero(data == np.iinfo(data.dtype).max))


def _numbers(values: Sequence[float]) -> str:
    return "(" + ", ".join(f"{v:.2f}" for v in values) + ")"


def _tell(report: PsfReport, centred: bool, spots: int, saturated: int) -> PsfReport:
    """Put the numbers into sentences."""
    found = [
        f"size {report.original_shape}, brightest voxel {report.peak}",
        f"background {report.background:.4g}, noise {report.noise:.3g}",
        f"centre at {_numbers(report.centre)}, {_numbers(report.shift)} voxels off the middle voxel",
    ]
    did = ["subtracted the background" if report.background else "subtracted no background"]
    if report.non_finite:
        found.append(f"{report.non_finite} NaN or infinite voxels")
        did.append("replaced the NaN and infinite voxels by the background")
    if report.voxel_um != report.target_voxel_um:
        did.append(f"resampled from {report.voxel_um} to {report.target_voxel_um} um")
    did.append("moved the centre to the middle voxel" if centred else "left the centre where it was")
    did.append(f"smoothed faint light, set noise and negative values to 0 ({report.gained:+.1%} light)")
    did.append(f"cropped to {report.shape}, which holds {report.energy_kept:.1%} of the light, and made the sum 1")
    return replace(report, found=tuple(found), did=tuple(did), warnings=_doubts(report, spots, saturated))


def _doubts(report: PsfReport, spots: int, saturated: int) -> tuple[str, ...]:
    names = "zyx"[-len(report.shape) :]
    out = []
    cut = [f"{axis} ({b:.0%} of the peak)" for axis, b in zip(names, report.border, strict=True) if b > _CUT_OFF]
    if cut:
        out.append(f"the light is cut off at the border along {', '.join(cut)}: a larger PSF would hold more")
    widths = zip(names, report.fwhm, report.shape, strict=True)
    coarse = [f"{axis} ({w:.1f})" for axis, w, n in widths if n > 1 and w < 2]
    if coarse:
        out.append(f"fewer than 2 voxels a half-maximum width along {', '.join(coarse)}: undersampled")
    if spots > 1:
        out.append(f"{spots} separate bright spots: more than one bead? The brightest was centred")
    if saturated > 1:
        out.append(f"{saturated} voxels stand at the top of the data type: saturated")
    size = report.target_voxel_um
    width = [w * s for w, s in zip(report.fwhm, size, strict=True)] if size else [0.0]
    if len(width) == 3 and width[0] < 0.7 * min(width[1:]):
        out.append("narrower along z than along y and x: are the axes in the order z, y, x?")
    return tuple(out)
