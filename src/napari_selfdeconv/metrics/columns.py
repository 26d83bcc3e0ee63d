"""The registry of metrics. Other code knows a metric only by its row of `COLUMNS`.

To add a metric, write its function and its row here, and its line in docs/comparing.md. Nothing here imports torch
or scipy before a metric is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class TruthPair:
    """A result and the truth, both on the truth's scale: floats from 0 to 1, the same shape."""

    result: NDArray[np.floating[Any]]
    truth: NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Residual:
    """A result, the image it was made from and g(result), the same shape and intensity units.

    ``voxel_um`` is the voxel size; None if it is not known. ``measured`` is True at the pixels to compare; None
    compares all.
    """

    result: NDArray[Any]
    image: NDArray[np.float64]
    reblurred: NDArray[np.float64]
    voxel_um: Sequence[float] | None
    measured: NDArray[np.bool_] | None = None

    @property
    def compared(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The pixels of the image and of g(result) that are compared."""
        if self.measured is None:
            return self.image, self.reblurred
        return self.image[self.measured], self.reblurred[self.measured]


@dataclass(frozen=True, kw_only=True)
class Column:
    """A metric and how tables show it.

    Attributes
    ----------
    title : head of the column.
    score : from a `TruthPair` if ``needs_truth``, else from a `Residual`.
    better : 1 if more is better, -1 if less is, 0 if neither.
    digits : format of the number, as in ``f"{value:.2f}"``.
    unit : empty for a number without a unit.
    note : a sentence for the reader of the table.
    """

    title: str
    score: Callable[[Any], float]
    needs_truth: bool
    better: Literal[-1, 0, 1]
    digits: str
    unit: str = ""
    note: str = ""

    @property
    def head(self) -> str:
        return f"{self.title}, {self.unit}" if self.unit else self.title

    def show(self, value: float) -> str:
        """Return the number as tables show it; a dash if it is not known."""
        return "–" if np.isnan(value) else format(value, self.digits)


def _psnr(pair: TruthPair) -> float:
    from napari_selfdeconv.metrics.full_reference import psnr

    return psnr(pair.result, pair.truth)


def _ssim(pair: TruthPair) -> float:
    from napari_selfdeconv.metrics.full_reference import ssim

    return ssim(pair.result, pair.truth)


def _mutual_information(pair: TruthPair) -> float:
    from napari_selfdeconv.metrics.full_reference import mutual_information

    return mutual_information(pair.result, pair.truth)


def _spectral_mutual_information(pair: TruthPair) -> float:
    from napari_selfdeconv.metrics.full_reference import spectral_mutual_information

    return spectral_mutual_information(pair.result, pair.truth)


def _rmse(pair: TruthPair) -> float:
    from napari_selfdeconv.metrics.full_reference import rmse

    return rmse(pair.result, pair.truth)


def _whiteness(found: Residual) -> float:
    from napari_selfdeconv.metrics.no_reference import whiteness

    left = found.image - found.reblurred
    # A pixel at the mean of the others has no part in the autocorrelation.
    return whiteness(
        left if found.measured is None else np.where(found.measured, left, left[found.measured].mean())
    )


def _i_divergence(found: Residual) -> float:
    from napari_selfdeconv.metrics.no_reference import i_divergence

    return i_divergence(*found.compared)


def _residual_rms(found: Residual) -> float:
    image, reblurred = found.compared
    return float(np.sqrt(np.mean((image - reblurred) ** 2)))


def _frc_resolution(found: Residual) -> float:
    from napari_selfdeconv.metrics.fourier_ring import fourier_resolution

    return fourier_resolution(found.result, found.voxel_um)


_FITS_NOISE = "falls the more noise a method fits: the lowest is not the best."

COLUMNS: dict[str, Column] = {
    "psnr": Column(title="PSNR", unit="dB", score=_psnr, needs_truth=True, better=1, digits=".2f"),
    "ssim": Column(title="SSIM", score=_ssim, needs_truth=True, better=1, digits=".3f"),
    "mi": Column(title="MI", score=_mutual_information, needs_truth=True, better=1, digits=".3f"),
    "smi": Column(title="SMI", score=_spectral_mutual_information, needs_truth=True, better=1, digits=".3f"),
    "rmse": Column(title="RMSE", score=_rmse, needs_truth=True, better=-1, digits=".4f"),
    "whiteness": Column(
        title="Whiteness",
        score=_whiteness,
        needs_truth=False,
        better=1,
        digits=".3f",
        note="A good result leaves a white residual: its whiteness is near 1.",
    ),
    "i_divergence": Column(
        title="I-divergence",
        score=_i_divergence,
        needs_truth=False,
        better=0,
        digits=".4g",
        note=f"I-divergence {_FITS_NOISE}",
    ),
    "residual_rms": Column(
        title="Residual RMS",
        score=_residual_rms,
        needs_truth=False,
        better=0,
        digits=".4g",
        note=f"Residual RMS {_FITS_NOISE}",
    ),
    "frc_resolution": Column(
        title="FRC",
        score=_frc_resolution,
        needs_truth=False,
        better=0,
        digits=".4g",
        note="FRC is the method's own claim of resolution.",
    ),
}


def truth_keys() -> tuple[str, ...]:
    """Return the keys of the metrics that need a truth.

    Examples
    --------
    >>> truth_keys()
    ('psnr', 'ssim', 'mi', 'smi', 'rmse')
    """
    return tuple(key for key, column in COLUMNS.items() if column.needs_truth)


def explain_columns(keys: Iterable[str]) -> str:
    """Return the explanation of the columns of a table.

    Examples
    --------
    >>> explain_columns(["psnr", "rmse"])
    'Against the truth, on its scale. More is better: PSNR. Less is better: RMSE.'
    """
    columns = [COLUMNS[key] for key in keys]
    with_truth = [column for column in columns if column.needs_truth]
    sentences = ["Against the truth, on its scale."] if with_truth else []
    for better, words in ((1, "More"), (-1, "Less")):
        titles = [column.title for column in with_truth if column.better == better]
        sentences += [f"{words} is better: {', '.join(titles)}."] if titles else []
    return " ".join([*sentences, *(column.note for column in columns if column.note)])
