"""The examination of a PSF, with findings in sentences. `repair` repairs what can be repaired."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from napari_selfdeconv.arrays.symmetry import psf_symmetries
from napari_selfdeconv.config.rules import Each, Maybe, Number, Whole
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.psf.measure import (
    Float,
    background_level,
    background_share,
    border_light,
    bright_centre,
    core_centre,
    crop,
    fwhm,
    has_background,
)
from napari_selfdeconv.psf.prepare import MAX_NON_FINITE, can_resample
from napari_selfdeconv.psf.validate import real_psf

Severity = Literal["problem", "advice"]
#: Share of the light that a crop keeps.
ENERGY = 0.99
_OFF_CENTRE = 0.501  # voxels; half of one is what an even number of equal planes gives
_SAME_VOXEL = 0.01
_CUT_OFF = 0.05
_WORTH_CROPPING = 0.5  # share of the voxels that a crop must save
_ELONGATED = 1.4
# Differences of a PSF and itself with two axes exchanged, as a share of its norm. No measured PSF is as round.
_ROUND, _NOT_ROUND = 0.02, 0.1
_LARGEST = 1e100
ALL_DARK = "nothing in the PSF is brighter than its background: choose another layer"


@dataclass(frozen=True)
class Finding:
    """One finding about a PSF.

    Attributes
    ----------
    key : short name, for the argument ``keys`` of `repair_psf`.
    severity : a "problem" makes the result wrong, an "advice" costs time or limits the result.
    text : one sentence with numbers.
    fix : the repair in words, or None if it cannot be repaired.

    Examples
    --------
    >>> psf = np.zeros((9, 9))
    >>> psf[5, 6] = 1.0
    >>> [finding.key for finding in examine_psf(psf) if finding.severity == "problem"]
    ['centre']
    """

    key: str
    severity: Severity
    text: str
    fix: str | None = None


@dataclass(frozen=True, kw_only=True)
class Context:
    """The use of a PSF. Unknown values are None.

    Attributes
    ----------
    voxel_um : voxel size of the PSF, um, in axis order.
    image_shape : shape of the image it is for.
    image_voxel_um : voxel size of that image, um.

    Examples
    --------
    >>> Context(voxel_um=(0.3, 0.1, 0.1), image_shape=(40, 512, 512)).image_voxel_um is None
    True
    """

    voxel_um: tuple[float, ...] | None = None
    image_shape: tuple[int, ...] | None = None
    image_voxel_um: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        sizes, lengths = Each(Whole(1, 2**40)), Each(Number(0.0, 1000.0, open_low=True, hint=" (in micrometres)"))
        for name, rule in (("voxel_um", lengths), ("image_voxel_um", lengths), ("image_shape", sizes)):
            object.__setattr__(self, name, Maybe(rule).checked(name, getattr(self, name)))


def examine_psf(psf: ArrayLike, context: Context | None = None) -> list[Finding]:
    """Return the faults of ``psf``, the worst first; an empty list if it can be used unchanged.

    Parameters
    ----------
    psf : 2D or 3D array of real numbers, ([z,] y, x).
    context : voxel size, and the image it is for.

    Raises
    ------
    ConfigError
        If it is not such an array, nothing in it is bright, or the voxel size does not have a number for each
        axis.

    Examples
    --------
    >>> y, x = np.mgrid[-7:8, -7:8]
    >>> good = np.exp(-(x**2 + y**2) / 8.0)
    >>> examine_psf(good / good.sum())
    []
    >>> [finding.key for finding in examine_psf(good[:, 1:] + 0.2)]
    ['background', 'centre', 'sum', 'even', 'lopsided']
    """
    context = context or Context()
    raw = fitting_psf(psf, context)
    finite = np.isfinite(raw)
    data = np.where(finite, raw, 0.0)
    if data.max() <= 0:
        raise ConfigError("every voxel of the PSF is 0 or less: choose another layer")
    smooth = ndimage.gaussian_filter(data, 1.0, mode="nearest")
    if min(data.max(), smooth.max()) <= max(background_level(data, "auto"), 0.0):
        raise ConfigError(ALL_DARK)
    place = _about_place(data, smooth, context)
    moves = any(finding.key == "centre" and finding.fix for finding in place)
    found = [
        *_about_numbers(data, int(np.count_nonzero(~finite)), psf),
        *place,
        *_about_size(data, smooth, context, moves),
        *_about_use(data, smooth),
    ]
    return sorted(found, key=lambda finding: finding.severity == "advice")


def fitting_psf(psf: ArrayLike, context: Context) -> Float:
    """Return the PSF as float64; ConfigError if it is not one, or the context is about another number of axes."""
    data = real_psf(psf)
    largest = float(np.abs(data[np.isfinite(data)]).max(initial=0.0))
    if largest > _LARGEST:
        raise ConfigError(f"the PSF holds values of {largest:.3g}, too large to add up: divide it by its maximum")
    if context.voxel_um is not None and len(context.voxel_um) != data.ndim:
        raise ConfigError(f"voxel_um must have {data.ndim} entries, one an axis, got {context.voxel_um}")
    return data


def _about_numbers(data: Float, bad: int, original: ArrayLike) -> list[Finding]:
    found = []
    if bad:
        # More than a few bad voxels are a broken file.
        fix = "replace them by the background" if bad <= MAX_NON_FINITE * data.size else None
        found.append(Finding("nan", "problem", f"{bad} voxels are NaN or infinite.", fix))
    negative = int(np.count_nonzero(data < 0))
    if negative:
        text = f"{negative} voxels are negative (lowest {data.min():.3g}): there is no negative light."
        found.append(Finding("negative", "problem", text, "subtract the background, set the rest to 0"))
    level = background_level(data, "auto")
    if has_background(data, level):
        haze = background_share(data, level)
        text = f"It has a background of {level:.3g}, {haze:.0%} of all its light: the result would lose contrast."
        found.append(Finding("background", "problem", text, "subtract it"))
    total = float(data.sum())
    if abs(total - 1) > 1e-3:
        found.append(Finding("sum", "advice", f"Its sum is {total:.4g}, not 1.", "divide by the sum"))
    array = np.asarray(original)
    if array.dtype.kind in "ui":
        full = int(np.count_nonzero(array == np.iinfo(array.dtype).max))
        if full > 1:
            text = f"{full} voxels are saturated: the peak is too flat. Record the bead with less light."
            found.append(Finding("saturated", "problem", text))
    return found


def _about_place(data: Float, smooth: Float, context: Context) -> list[Finding]:
    found = []
    core, spots = core_centre(smooth - background_level(data, "auto"))
    lifted = np.maximum(data - background_level(data, "auto"), 0)
    bright = bright_centre(lifted)
    off = [c - n // 2 for c, n in zip(bright, data.shape, strict=True)]
    if max(abs(o) for o in off) > _OFF_CENTRE:
        shift = ", ".join(f"{o:+.1f}" for o in off)
        text = f"Its centre is off the middle voxel by ({shift}) voxels: the result would be shifted."
        # Of several spots nobody knows which one is the centre; two that touch have their centroid between them.
        one = spots == 1 and max(abs(a - b) for a, b in zip(core, bright, strict=True)) <= _OFF_CENTRE
        found.append(Finding("centre", "problem", text, "move the centre there" if one else None))
    if spots > 1:
        text = f"{spots} separate bright spots: several beads, or a plane far out of focus."
        found.append(Finding("spots", "advice", text))
    if any(n % 2 == 0 for n in data.shape):
        size = " × ".join(map(str, data.shape))
        found.append(Finding("even", "advice", f"{size} voxels: an even size has no middle.", "make the size odd"))
    if data.ndim == 3:
        longest = longest_axis(data, context.voxel_um)
        if longest != 0:
            text = f"The light is longest along axis {longest}, and z should be axis 0: are the axes transposed?"
            found.append(Finding("axes", "problem", text, f"move axis {longest} to the front"))
        elif axis := round_axis(data):
            text = f"It is round about axis {axis}, and z should be axis 0: are the axes in the order x, y, z?"
            found.append(Finding("axes", "problem", text))
    own, image = context.voxel_um, context.image_voxel_um
    both = own is not None and image is not None and len(own) == len(image)
    if both and not np.allclose(np.asarray(own), np.asarray(image), rtol=_SAME_VOXEL, atol=0):
        sizes = [" × ".join(f"{v:g}" for v in voxel or ()) for voxel in (own, image)]
        text = f"Its voxels are {sizes[0]} µm and the image's {sizes[1]} µm."
        if can_resample(own or (), image or ()):
            found.append(Finding("voxels", "problem", text, "resample it to the image's voxels"))
        else:
            found.append(Finding("voxels", "problem", f"{text} One of them may be in nanometres."))
    return found


def _about_size(data: Float, smooth: Float, context: Context, moves: bool) -> list[Finding]:
    found = []
    shape = context.image_shape
    if shape is not None and len(shape) != data.ndim:
        text = f"It is {data.ndim}D and the image is {len(shape)}D: choose or generate one with as many axes."
        found.append(Finding("ndim", "problem", text))
    elif shape is not None and any(p > n for p, n in zip(data.shape, shape, strict=True)):
        text = f"It is larger than the image: {data.shape} against {shape} voxels."
        found.append(Finding("larger", "problem", text, "crop it"))
    lifted = np.maximum(data - background_level(data, "auto"), 0)
    _, spots = core_centre(smooth - background_level(data, "auto"))
    small = crop(_centred(lifted), ENERGY, data.shape).shape
    if math.prod(small) < _WORTH_CROPPING * data.size:
        sizes = [" × ".join(map(str, s)) for s in (data.shape, small)]
        text = f"{sizes[0]} voxels, but {sizes[1]} hold {ENERGY:.0%} of the light: it costs time and memory."
        # The crop is around the middle. Nobody knows which of several spots belongs there, and light at the rim
        # stays where it is if nobody can move it. An array of even size is made odd with the crop.
        stays = all(n % 2 for n in data.shape) and crop(lifted, ENERGY, data.shape).shape == data.shape
        helps = spots == 1 and (moves or not stays)
        found.append(Finding("large", "advice", text, "crop it" if helps else None))
    names = "zyx"[-data.ndim :]
    border = border_light(np.maximum(smooth - background_level(data, "auto"), 1e-12))
    cut = [f"{axis} ({b:.0%} of the peak)" for axis, b in zip(names, border, strict=True) if b > _CUT_OFF]
    if cut:
        text = f"The light is cut off along {', '.join(cut)}. Record or generate a larger one."
        found.append(Finding("truncated", "advice", text))
    return found


def _about_use(data: Float, smooth: Float) -> list[Finding]:
    found = []
    names = "zyx"[-data.ndim :]
    widths = [(axis, fwhm(smooth, i), n) for i, (axis, n) in enumerate(zip(names, data.shape, strict=True))]
    # The smoothing by one voxel widens a narrow peak to 2.35 voxels: sqrt(2.35^2 + 2^2).
    coarse = [f"{axis}" for axis, width, n in widths if n > 1 and width < 3.1]
    if coarse:
        text = (
            f"It is less than 2 voxels wide along {', '.join(coarse)}: sampled below Nyquist. Details finer than "
            "a voxel cannot come back; record with smaller voxels."
        )
        found.append(Finding("undersampled", "advice", text))
    full = 8 * (2 if data.ndim == 3 else 1)
    lit = np.maximum(data, 0)
    have = len(psf_symmetries((lit / lit.sum()).astype(np.float32)))
    if have < full:
        text = (
            f"It is lopsided: {have} of {full} flips and rotations leave it unchanged. Training and averaging use "
            "only those; that is right for a lopsided PSF, and a sign of misalignment if a round one was expected."
        )
        found.append(Finding("lopsided", "advice", text))
    return found


def _centred(data: Float) -> Float:
    """Move the bright centre to the middle voxel of an odd array, to whole voxels: only to judge the size."""
    off = [c - n // 2 for c, n in zip(bright_centre(data), data.shape, strict=True)]
    shift = [-round(o) if max(map(abs, off)) > _OFF_CENTRE else 0 for o in off]
    rolled = np.roll(data, shift, tuple(range(data.ndim)))
    return np.pad(rolled, [(0, 1 - n % 2) for n in data.shape])


def longest_axis(data: Float, voxel_um: tuple[float, ...] | None) -> int:
    """Return the axis along which the light is clearly longest, 0 if none is."""
    lifted = np.maximum(data - background_level(data, "auto"), 0)
    smooth = ndimage.gaussian_filter(lifted, 1.0, mode="nearest")
    sizes = voxel_um or (1.0,) * data.ndim
    widths = [fwhm(smooth, axis) * size for axis, size in enumerate(sizes)]
    longest = int(np.argmax(widths))
    others = [w for axis, w in enumerate(widths) if axis != longest]
    return longest if longest and widths[longest] > _ELONGATED * max(others) else 0


def round_axis(data: Float) -> int:
    """Return the axis about which a centred PSF without noise is round, and 0 if it is z or not there."""
    side = (min(data.shape) - 1) // 2
    cube = data[tuple(slice(n // 2 - side, n // 2 + side + 1) for n in data.shape)]
    norm = max(float(np.linalg.norm(cube)), 1e-300)

    def differs(one: int, other: int) -> float:
        return float(np.linalg.norm(cube - np.swapaxes(cube, one, other))) / norm

    if differs(1, 2) <= _NOT_ROUND:
        return 0
    return next((axis for axis, other in ((2, 1), (1, 2)) if differs(0, other) <= _ROUND), 0)
