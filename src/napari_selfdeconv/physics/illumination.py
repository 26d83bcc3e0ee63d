"""Bleaching and flicker: changes of the light of a series in time, and from plane to plane of a stack."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from napari_selfdeconv.config.checks import check_choice
from napari_selfdeconv.config.series import SeriesPlan
from napari_selfdeconv.errors import ConfigError
from napari_selfdeconv.io.checks import as_array, check_sliceable

Correction = Literal["bleaching", "flicker", "both"]
Float = NDArray[np.float64]
_DARK = 0.01
# Time points or planes that are needed to see a course.
_FEWEST = 7
# Number of planes whose light is smoothed together. With more, changes of the object would count as flicker.
_WINDOW = 7
# Planes that jump by this many robust standard deviations are left out of the smooth course.
_JUMP = 4.0


@dataclass(frozen=True, kw_only=True)
class Course:
    """The light of one channel along time or along z.

    Attributes
    ----------
    axis : "t" or "z".
    channel : number of the channel.
    background : level without light, in the image's units.
    levels : mean above the background of each time point or plane.
    smooth : the same without flicker: an exponential along time, a running parabola along z.

    Examples
    --------
    >>> movie = 100 + np.full((9, 4, 4), 10.0) * np.exp(-np.arange(9) / 8)[:, None, None]
    >>> movie[:, 0, 0] = 100
    >>> (course,) = measure_light(movie, "tyx")
    >>> round(course.remaining, 2), round(course.flicker, 3), course.sentence
    (0.37, 0.0, 'the light falls to 37 % from the first time point to the last; flicker 0.0 %')
    """

    axis: Literal["t", "z"]
    channel: int
    background: float
    levels: tuple[float, ...]
    smooth: tuple[float, ...]

    @property
    def remaining(self) -> float:
        """Light at the end as a share of the first light, without flicker."""
        return self.smooth[-1] / self.smooth[0]

    @property
    def flicker(self) -> float:
        """Standard deviation of the levels around their smooth course, relative to it."""
        ratio = np.asarray(self.levels) / np.asarray(self.smooth)
        return float(np.std(ratio))

    @property
    def half_after(self) -> float:
        """Number of time points after which half of the light is gone; infinite if it does not fall."""
        steps = len(self.levels) - 1
        return steps * math.log(2) / -math.log(self.remaining) if self.remaining < 1 else math.inf

    @property
    def sentence(self) -> str:
        """Bleaching and flicker in words."""
        jumps = f"flicker {self.flicker:.1%}".replace("%", " %")
        if self.axis == "z":
            return f"{jumps} from plane to plane, by the lamp or by thin objects"
        falls = f"{self.remaining:.0%}".replace("%", " %")
        return f"the light falls to {falls} from the first time point to the last; {jumps}"

    @property
    def matters(self) -> bool:
        """Whether the change is worth a message: a tenth of the light is lost, or it jumps by 2 % (5 % along z).

        Along z thin objects look like flicker.
        """
        if self.axis == "z":
            return self.flicker > 0.05
        return abs(self.remaining - 1) > 0.1 or self.flicker > 0.02

    def factors(self, what: Correction) -> Float:
        """Return the factor of the light above the background, for each time point or plane.

        The first time point changes only by its flicker. Along z only flicker is corrected, because a smooth
        change along z may come from the object.
        """
        check_choice("what", what, ("bleaching", "flicker", "both"))
        levels, smooth = np.asarray(self.levels), np.asarray(self.smooth)
        factors = np.ones(len(levels))
        if what in ("flicker", "both"):
            factors *= smooth / levels
        if what in ("bleaching", "both") and self.axis == "t":
            factors *= smooth[0] / smooth
        return factors


class _Frame(NamedTuple):
    """The light of one frame; its planes are empty for a single plane. NaN where a pixel is not finite."""

    dark: float
    mean: float
    planes: Float

    @classmethod
    def of(cls, frame: Float) -> Self:
        planes = frame.mean(axis=(1, 2)) if frame.ndim == 3 else np.zeros(0)
        return cls(float(np.quantile(frame, _DARK, method="lower")), float(frame.mean()), planes)


def measure_light(image: Any, axes: str) -> list[Course]:
    """Measure how the light of a series changes in time, and from plane to plane.

    Parameters
    ----------
    image : array that can be sliced; frames are read one at a time.
    axes : one letter for each axis, as in `SeriesPlan`.

    Returns
    -------
    For each channel a course along time (with 7 time points or more) and one along z (with 7 planes or more).
    There is no course for dark frames, and for a channel with pixels that are not finite.

    Raises
    ------
    ConfigError
        If the axes do not fit the image.

    Examples
    --------
    >>> movie = 100 + np.full((9, 4, 4), 10.0) * np.exp(-np.arange(9) / 8)[:, None, None]
    >>> movie[:, 0, 0] = 100
    >>> [(course.axis, round(course.remaining, 2)) for course in measure_light(movie, "tyx")]
    [('t', 0.37)]
    """
    check_sliceable(image)
    plan = SeriesPlan(axes=axes.lower())
    shape = tuple(int(n) for n in image.shape)
    if 0 in shape:
        raise ConfigError(f"the image is empty, shape {shape}")
    plan.check(shape)
    times, channels = plan.count("t", shape), plan.count("c", shape)
    found = []
    for channel in range(channels):
        frames = (np.asarray(image[plan.index(time, channel)], np.float64) for time in range(times))
        measured = [_Frame.of(frame) for frame in frames]
        if not all(math.isfinite(one.mean) for one in measured):
            continue
        background = float(np.median([one.dark for one in measured]))
        along_t = np.array([one.mean for one in measured]) - background
        if times >= _FEWEST and (along_t > 0).all():
            found.append(_course("t", channel, background, along_t, _exponential(along_t)))
        along_z = np.mean([one.planes for one in measured], axis=0) - background
        if len(along_z) >= _FEWEST and (along_z > 0).all() and ((smooth := _running(along_z)) > 0).all():
            found.append(_course("z", channel, background, along_z, smooth))
    return found


def uncorrected_light(shape: Sequence[int], axes: str, courses: Sequence[Course], what: Correction) -> list[str]:
    """Return sentences on the channels that a correction leaves as they are, because they have no course.

    Parameters
    ----------
    shape, axes : of the image, as in `measure_light`.
    courses : result of `measure_light` for this image.
    what : as in `correct_light`.

    Examples
    --------
    >>> uncorrected_light((9, 2, 4, 4), "tcyx", [], "bleaching")[0][:70]
    'The light of channels 0 and 1 along time could not be measured: a time'
    """
    plan = SeriesPlan(axes=axes.lower())
    plan.check(shape)
    there = {(course.axis, course.channel) for course in courses}
    channels = plan.count("c", shape)
    said = []
    for axis, along, part in (("t", "time", "time point"), ("z", "z", "plane")):
        n = plan.count(axis, shape)
        left = [str(channel) for channel in range(channels) if (axis, channel) not in there]
        if n == 1 or not left or (axis == "z" and what == "bleaching"):
            continue
        names = f"channels {', '.join(left[:-1])} and {left[-1]}" if len(left) > 1 else f"channel {left[0]}"
        why = f"a {part} is dark, or has pixels that are not finite"
        if n < _FEWEST:
            why = f"{_FEWEST} {part}s are needed, and there are {n}"
        said.append(
            f"The light{f' of {names}' if channels > 1 else ''} along {along} could not be measured: {why}. "
            "A correction leaves it as it was recorded."
        )
    return said


def correct_light(
    image: NDArray[Any], axes: str, courses: Sequence[Course], what: Correction
) -> NDArray[np.float32]:
    """Return a series with constant light: corrected for bleaching, flicker, or both; float32.

    A warning names the channels that are left as they are (`uncorrected_light`).

    Parameters
    ----------
    image, axes : as in `measure_light`.
    courses : result of `measure_light` for this image.
    what : "bleaching" corrects the exponential, "flicker" the jumps around it and from plane to plane.

    Raises
    ------
    ConfigError
        If there is no course to correct.

    Examples
    --------
    >>> movie = 100 + np.full((9, 4, 4), 10.0) * np.exp(-np.arange(9) / 8)[:, None, None]
    >>> movie[:, 0, 0] = 100
    >>> even = correct_light(movie, "tyx", measure_light(movie, "tyx"), "bleaching")
    >>> round(float(even[0, 1, 1]), 1) == round(float(even[-1, 1, 1]), 1)
    True
    """
    out = apply_courses(image, axes, courses, what)
    for sentence in uncorrected_light(out.shape, axes, courses, what):
        warnings.warn(sentence, stacklevel=2)
    return out


def apply_courses(
    image: NDArray[Any], axes: str, courses: Sequence[Course], what: Correction
) -> NDArray[np.float32]:
    """Do the work of `correct_light`, without its warnings."""
    wanted = [course for course in courses if what != "bleaching" or course.axis == "t"]
    if not wanted:
        raise ConfigError(
            "the light cannot be corrected",
            f"{_FEWEST} time points (or planes, for flicker) are needed, all with light",
        )
    plan = SeriesPlan(axes=axes.lower())
    out = np.array(as_array("the image", image), np.float32)
    plan.check(out.shape)
    for course in wanted:
        n = plan.count(course.axis, out.shape)
        if len(course.levels) != n:
            raise ConfigError(
                f"the light was measured at {len(course.levels)} places along {course.axis} and the image has {n}",
                "measure the light of this image",
            )
        factors = course.factors(what)
        for time in range(plan.count("t", out.shape)):
            where = plan.index(time, course.channel)
            factor = np.float64(factors[time]) if course.axis == "t" else factors[:, None, None]
            out[where] = course.background + (out[where] - course.background) * factor
    return out


def _course(axis: Literal["t", "z"], channel: int, background: float, levels: Float, smooth: Float) -> Course:
    return Course(
        axis=axis,
        channel=channel,
        background=background,
        levels=tuple(levels.tolist()),
        smooth=tuple(smooth.tolist()),
    )


def _exponential(levels: Float) -> Float:
    """Return the exponential that is nearest to the logarithms of the levels, by the median of all slopes."""
    t, logs = np.arange(len(levels)), np.log(levels)
    first, second = np.triu_indices(len(levels), 1)
    slope = float(np.median((logs[second] - logs[first]) / (second - first)))
    course: Float = np.exp(np.median(logs - slope * t) + slope * t)
    return course


def _running(levels: Float) -> Float:
    """Return the running parabola through the levels, without those that jump off their neighbours."""
    # Imported here: scipy.signal takes long to load, and few runs need it.
    from scipy.signal import savgol_filter

    calm = levels.copy()
    for _ in range(len(levels) // 3):
        # The cubic through the two neighbours on either side.
        expected = (4 * (calm[1:-3] + calm[3:-1]) - calm[:-4] - calm[4:]) / 6
        off = np.abs(calm[2:-2] / expected - 1)
        worst = int(np.argmax(off))
        if off[worst] <= _JUMP * 1.4826 * float(np.median(off)) + 1e-3:
            break
        calm[worst + 2] = expected[worst]
    smooth: Float = savgol_filter(calm, _WINDOW, 2, mode="interp")
    return smooth
