"""From an image of beads to a PSF, as a generator of events."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_selfdeconv.api.provenance import beads_record
from napari_selfdeconv.config.checks import check_voxel
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.events import Event, Finished, Tick, Warned, drain, report_progress
from napari_selfdeconv.io.checks import check_image
from napari_selfdeconv.psf.beads import Bead, BeadPsf, BeadSettings, Spots, find_spots, judge
from napari_selfdeconv.psf.beads.candidates import candidates, check_some_left, window_half
from napari_selfdeconv.psf.beads.register import (
    Stack,
    background,
    centred,
    combine,
    correlations,
    outliers,
    round_about_z,
)
from napari_selfdeconv.psf.measure import border_light, fwhm, noise_level, without_noise
from napari_selfdeconv.stop_token import StopToken

Float = NDArray[np.float64]

_ROUNDS = 3
_FEW = 5
_CUT_OFF = 0.1  # light at the window's border, relative to the peak: above this the user is told
_NOISE_SIGMAS = 3.0


def iter_beads_psf(
    image: NDArray[Any],
    voxel_um: Sequence[float],
    points: NDArray[Any] | None = None,
    settings: BeadSettings | None = None,
    *,
    stop: StopToken | None = None,
) -> Generator[Event, None, BeadPsf]:
    """Average the beads of an image to a PSF.

    Parameters
    ----------
    image : 2D or 3D array, axes ([z,] y, x), as recorded.
    voxel_um : voxel size in um, in the order of the axes.
    points : (n, 2) or (n, 3) positions of the beads, in voxels of the image; None finds the beads. A point moves
        to the nearest maximum within the width of a bead. In a stack, points without z take the brightest plane.
    settings : `BeadSettings`; None for the defaults.
    stop : token; ``cancel()`` ends the work.

    Yields
    ------
    Progress (stage "beads"), Warned, Finished.

    Returns
    -------
    `BeadPsf`.

    Raises
    ------
    ConfigError
        If no bead is found or none passes the checks; the message says why and what to change. Also if the points
        do not fit the image.
    Cancelled
        After ``stop.cancel()``.

    Notes
    -----
    The level around each bead is subtracted. The bead is centred by the centroid of its core and resampled by
    cubic splines. Then it is fitted to the running average three times, by least squares in height, level and
    shift; this is where their cross-correlation is highest. The size of the bead itself stays in the PSF.

    Examples
    --------
    >>> y, x = np.mgrid[:64, :64]
    >>> centres = [(16.2, 15.7), (15.9, 47.4), (48.5, 31.1)]
    >>> image = sum(900 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 6) for a, b in centres)
    >>> drain(iter_beads_psf(image, (0.1, 0.1), settings=BeadSettings(window_um=(1.5, 1.5)))).used
    3
    """
    stop = stop or StopToken()
    work = _average_beads(image, voxel_um, points, settings or BeadSettings(), stop)
    return (yield from report_progress(work, "beads", stop))


def _average_beads(
    image: NDArray[Any],
    voxel_um: Sequence[float],
    points: NDArray[Any] | None,
    settings: BeadSettings,
    stop: StopToken,
) -> Generator[Tick | Event, None, BeadPsf]:
    started = time.perf_counter()
    data = check_image(image)
    voxel = check_voxel("voxel_um", voxel_um, data.ndim)
    yield Tick(0, 1)
    spots = find_spots(data, settings.threshold)
    stop.raise_if_cancelled()
    chosen, empty, notes = candidates(spots, points, data.shape)
    yield from map(Warned, notes)
    half = window_half(settings, spots, chosen, voxel, data.shape)
    reasons = judge(data, spots, chosen, half, settings)
    good = np.flatnonzero([not reason for reason in reasons])
    check_some_left(reasons, empty, half, voxel)
    stack = Stack(data, spots.positions[chosen[good]], half)
    odd, match, average = yield from _register(stack, settings)
    for k in np.flatnonzero(odd).tolist():
        reasons[good[k]] = "outlier"
    beads = _beads(spots, chosen, reasons, empty)
    for k, index in enumerate(good.tolist()):
        beads[index] = Bead(
            position=tuple(float(c) for c in stack.centres[k]),
            height=float(spots.heights[chosen[index]]),
            reason=reasons[index],
            correlation=float(match[k]),
        )
    result = _finish(average, tuple(beads), voxel, spots, settings)
    yield from map(Warned, _doubts(result, average))
    yield Finished(seconds=time.perf_counter() - started, steps_done=result.used, stopped=False)
    return result


def beads_psf(
    image: NDArray[Any],
    voxel_um: Sequence[float],
    points: NDArray[Any] | None = None,
    settings: BeadSettings | None = None,
) -> BeadPsf:
    """Average the beads of an image to a PSF.

    Parameters
    ----------
    image, voxel_um, points, settings : as in `iter_beads_psf`.

    Returns
    -------
    `BeadPsf`: the PSF, its widths, and every bead with the reason why it was not used.

    Raises
    ------
    ConfigError
        As `iter_beads_psf`.

    Examples
    --------
    >>> import numpy as np
    >>> y, x = np.mgrid[:64, :64]
    >>> centres = [(16.2, 15.7), (15.9, 47.4), (48.5, 31.1)]
    >>> image = sum(900 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 6) for a, b in centres)
    >>> result = beads_psf(image, (0.1, 0.1), settings=BeadSettings(window_um=(1.5, 1.5)))
    >>> result.used, result.psf.shape, [round(float(w), 2) for w in result.fwhm_um]
    (3, (15, 15), [0.41, 0.41])
    """
    return drain(iter_beads_psf(image, voxel_um, points, settings))


def _register(
    stack: Stack, settings: BeadSettings
) -> Generator[Tick, None, tuple[NDArray[np.bool_], Float, Float]]:
    """Return which beads are outliers, every bead's correlation with the average, and the average."""
    count = len(stack.windows)
    steps = count * (_ROUNDS + 1)
    done = 0
    for index in range(count):
        stack.start(index)
        done += 1
        yield Tick(done, steps)
    odd = np.zeros(count, bool)
    for _ in range(_ROUNDS):
        # The median of all beads, so that outliers have little weight in it and stay excluded.
        average = centred(combine(stack.windows[~odd], stack.scales[~odd], "median"))
        for index in range(count):
            stack.align(index, average)
            done += 1
            yield Tick(done, steps)
        reference = np.asarray(np.median(stack.windows[~odd], axis=0), np.float64)
        odd = outliers(stack.windows, reference, settings.outlier_sigmas)
        if odd.all():
            raise ConfigError(
                f"All {count} beads look different from each other: choose the image of the beads, or mark single "
                "beads in a Points layer."
            )
    average = combine(stack.windows[~odd], stack.scales[~odd], settings.average)
    return odd, correlations(stack.windows, average), average


def _beads(spots: Spots, chosen: NDArray[np.int64], reasons: list[str], empty: Float) -> list[Bead]:
    found = [
        Bead(
            position=tuple(float(p) for p in spots.positions[index]),
            height=float(spots.heights[index]),
            reason=reason,
        )
        for index, reason in zip(chosen, reasons, strict=True)
    ]
    return found + [Bead(position=tuple(float(p) for p in p), height=0.0, reason="empty") for p in empty]


def _finish(
    average: Float, beads: tuple[Bead, ...], voxel: tuple[float, ...], spots: Spots, settings: BeadSettings
) -> BeadPsf:
    """Make the average a PSF: no background, nothing negative, sum 1."""
    average = average - background(average)
    smooth = ndimage.gaussian_filter(average, 1.0, mode="nearest")
    noise = noise_level(average, smooth)
    if settings.rotational:
        average = round_about_z(average, (voxel[-2], voxel[-1]))
        smooth = round_about_z(smooth, (voxel[-2], voxel[-1]))
    clean = np.maximum(without_noise(average, smooth, _NOISE_SIGMAS * noise), 0)
    psf = (clean / clean.sum()).astype(np.float32)
    width = tuple(fwhm(clean, axis) * size for axis, size in enumerate(voxel))
    result = BeadPsf(
        psf=psf,
        voxel_um=voxel,
        beads=beads,
        fwhm_um=width,
        threshold=spots.threshold,
        noise=noise / float(average.max()),
    )
    return replace(result, provenance=beads_record(result, settings))


def _doubts(result: BeadPsf, average: Float) -> list[str]:
    out = []
    if result.used == 1:
        out.append("Only one bead: the PSF is as noisy as that bead. Use ten or more.")
    elif result.used < _FEW:
        out.append(f"Only {result.used} beads: the PSF is noisy and outliers cannot be found. Use ten or more.")
    smooth = ndimage.gaussian_filter(average - background(average), 1.0, mode="nearest")
    names = "zyx"[-average.ndim :]
    cut = [f"{a} ({b:.0%} of the peak)" for a, b in zip(names, border_light(smooth), strict=True) if b > _CUT_OFF]
    if cut:
        out.append(f"Light reaches the window's border along {', '.join(cut)}: a larger window would hold more.")
    return out
