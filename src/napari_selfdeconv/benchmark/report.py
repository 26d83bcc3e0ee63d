"""The tables of the quality benchmark, as Markdown, with the paper's own figures beside ours."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np

from napari_selfdeconv._version import __version__
from napari_selfdeconv.benchmark.methods import classical_families
from napari_selfdeconv.benchmark.records import Row
from napari_selfdeconv.metrics.columns import COLUMNS, truth_keys

# Papkov, Palo and Parts 2023: what it prints for methods that are measured here too (22 images; one volume).
_PAPER = {
    2: (
        ("input", "17.8", ".18", ".07", ".18", ".131"),
        ("RL 2", "22.0", ".47", ".13", ".25", ".086"),
        ("RL 5", "22.2", ".44", ".12", ".25", ".082"),
        ("RL 10", "21.1", ".36", ".10", ".25", ".091"),
        ("RL 20", "18.5", ".26", ".08", ".19", ".119"),
        ("noise2same_d, its best", "22.8", ".46", ".13", ".30", ".078"),
    ),
    3: (
        ("input", "21.2", ".64", "", "", ".087"),
        ("RL best", "22.4", ".32", "", "", ".076"),
        ("SSI", "22.6", ".39", "", "", ".074"),
        ("noise2same, its best", "24.1", ".39", "", "", ".062"),
    ),
}
_PAPER_METRICS = ("psnr", "ssim", "mi", "smi", "rmse")


def markdown(rows: Sequence[Row]) -> str:
    """Return the report: means, each family's best fixed setting, image by image, and how often who wins."""
    ndims = sorted({len(row["shape"].split("x")) for row in rows})
    parts = [
        f"Machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores; "
        f"napari-selfdeconv {__version__}; {datetime.now(UTC):%Y-%m-%d}."
    ]
    for ndim in ndims:
        mine = [row for row in rows if len(row["shape"].split("x")) == ndim]
        parts += [f"## {ndim}D: means", _means(mine, ndim), f"## {ndim}D: image by image", _images(mine)]
        parts += [_wins(mine)]
    return "\n\n".join(part for part in parts if part) + "\n"


def best_fixed(rows: Iterable[Row]) -> dict[str, str]:
    """Return for each family the method with the highest mean PSNR: one setting for all images.

    Examples
    --------
    >>> row = dict(family="RL", image="a")
    >>> best_fixed([{**row, "method": "RL 2", "psnr": "20"}, {**row, "method": "RL 3", "psnr": "21"}])
    {'RL': 'RL 3'}
    """
    scores: dict[str, dict[str, list[float]]] = {}
    for row in rows:
        scores.setdefault(row["family"], {}).setdefault(row["method"], []).append(float(row["psnr"]))
    return {family: max(found, key=lambda m: float(np.mean(found[m]))) for family, found in scores.items()}


def _methods(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["method"] for row in rows))


def _means(rows: Sequence[Row], ndim: int) -> str:
    keys = truth_keys()
    titles = " | ".join(COLUMNS[key].title for key in keys)
    lines = [f"| method | images | {titles} | mean out / in | seconds |", "|---" * (len(keys) + 4) + "|"]
    for name, *printed in _PAPER[ndim]:
        numbers = dict(zip(_PAPER_METRICS, printed, strict=True))
        lines.append(f"| *paper: {name}* | | {' | '.join(numbers.get(key, '') for key in keys)} | | |")
    for method in _methods(rows):
        mine = [row for row in rows if row["method"] == method]
        means = " | ".join(COLUMNS[key].show(float(np.mean([float(row[key]) for row in mine]))) for key in keys)
        ratios = [float(row["mean_ratio"]) for row in mine]
        seconds = np.median([float(row["seconds"]) for row in mine])
        lines.append(
            f"| {method} | {len(mine)} | {means} | {min(ratios):.3f} to {max(ratios):.3f} | {seconds:.1f} |"
        )
    return "\n".join(lines)


def _images(rows: Sequence[Row]) -> str:
    """One row an image; of a family with fixed settings its best for all, and its best for this image."""
    chosen = best_fixed(rows)
    families = list(chosen)
    lines = ["| image | " + " | ".join(chosen[f] for f in families) + " |", "|---" * (len(families) + 1) + "|"]
    for image in dict.fromkeys(row["image"] for row in rows):
        cells = []
        for family in families:
            mine = [row for row in rows if row["image"] == image and row["family"] == family]
            same = next((row for row in mine if row["method"] == chosen[family]), None)
            if same is None:
                cells.append("")
                continue
            best = max(mine, key=lambda row: float(row["psnr"]))
            oracle = "" if best is same else f" (best here: {best['method']}, {float(best['psnr']):.2f})"
            cells.append(f"{float(same['psnr']):.2f} / {float(same['ssim']):.3f}{oracle}")
        lines.append(f"| {image} | " + " | ".join(cells) + " |")
    return (
        "\n".join(lines)
        + "\n\nPSNR in dB / SSIM; in brackets what another fixed setting reached, chosen with the truth."
    )


def _wins(rows: Sequence[Row]) -> str:
    """On how many images each network is at least as good as each family's best fixed setting."""
    chosen, classical = best_fixed(rows), classical_families()
    networks = {row["method"] for row in rows if row["family"] not in classical}
    rivals = [method for family, method in chosen.items() if family in classical - {"input"}]
    score = {(row["image"], row["method"]): float(row["psnr"]) for row in rows}
    lines = []
    for method in sorted(networks):
        for rival in rivals:
            pairs = [
                (s, score[image, rival])
                for (image, m), s in score.items()
                if m == method and (image, rival) in score
            ]
            if pairs:
                gain = float(np.mean([a - b for a, b in pairs]))
                wins = sum(a >= b for a, b in pairs)
                lines.append(
                    f"- {method} against {rival}: {gain:+.2f} dB in the mean, better on {wins} of {len(pairs)}"
                )
    return "\n".join(lines)
