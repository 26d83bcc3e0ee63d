"""The plot of docs/benchmarks.md: one dot an image."""

from __future__ import annotations

import math
from pathlib import Path

from selfdeconv_tools.pages import svg
from selfdeconv_tools.pages.data import QUICK, TV, Quality, read_table

_ROW, _LEFT, _WIDTH, _TOP = 19, 150, 470, 54


def draw_gains(data: Path) -> str:
    """Draw for each image how far `quick` and the best total variation are above the best Richardson-Lucy.

    Parameters
    ----------
    data : folder with ``quality_2d.csv`` and ``quality_unseen.csv``.

    Returns
    -------
    SVG text.
    """
    groups = [
        ("images of the paper's benchmark", Quality(read_table(data, "quality_2d"))),
        ("images of scikit-image", Quality(read_table(data, "quality_unseen"))),
    ]
    gains = {
        (title, image): (
            quality.gain(image, QUICK, "RL"),
            float(quality.best(image, *TV)["psnr"]) - float(quality.best(image, "RL")["psnr"]),
        )
        for title, quality in groups
        for image in quality.images
    }
    return _drawn([(title, quality.images) for title, quality in groups], gains)


def _drawn(groups: list[tuple[str, list[str]]], gains: dict[tuple[str, str], tuple[float, float]]) -> str:
    values = [value for pair in gains.values() for value in pair]
    low, high = math.floor(min(values)), math.ceil(max(values))

    def place(value: float) -> float:
        return _LEFT + _WIDTH * (value - low) / (high - low)

    height = _TOP + _ROW * (len(gains) + 2 * len(groups)) + 30
    parts = [
        svg.dot(_LEFT + 6, 16),
        svg.text(_LEFT + 16, 20, "quick"),
        svg.dot(_LEFT + 76, 16, filled=False),
        svg.text(_LEFT + 86, 20, "best total variation"),
        svg.text(_LEFT + 230, 20, "dB above the best Richardson-Lucy", color=svg.INK),
    ]
    for tick in range(low, high + 1):
        color = svg.INK if tick == 0 else "#dde2e7"
        parts.append(svg.line(place(tick), _TOP - 14, place(tick), height - 24, color=color))
        parts.append(svg.text(place(tick), height - 8, f"{tick:+d}" if tick else "0", anchor="middle", size=12))
    y = _TOP
    for title, images in groups:
        parts.append(svg.text(8, y, title, size=12, color=svg.ACCENT))
        y += _ROW
        for image in sorted(images, key=lambda name: -gains[title, name][0]):
            quick, tv = gains[title, image]
            parts.append(svg.text(_LEFT - 12, y + 4, image, anchor="end", size=12))
            parts.append(svg.dot(place(tv), y, filled=False, title=f"{image}: best total variation {tv:+.2f} dB"))
            parts.append(svg.dot(place(quick), y, title=f"{image}: quick {quick:+.2f} dB"))
            y += _ROW
        y += _ROW
    return svg.picture(_LEFT + _WIDTH + 20, height, parts, "Gain over the best Richardson-Lucy, image by image")
