"""Measure how much memory runs take, fit the planner's coefficients, and say how well it predicts.

``python -m selfdeconv_tools.memory.fit --out DIR`` measures random settings, each in its own process, and
writes ``memory.csv``; the coefficients it prints belong into `napari_selfdeconv.compute.memory_model`.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median_high
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from napari_selfdeconv.compute.memory_model import (
    first_result_bytes,
    tile_bytes,
    tile_counts,
    training_bytes,
    training_counts,
)
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.config.training import TrainConfig

_LOSSES = (
    {"bsp": 1.0, "tv": 0.01},
    {"rec": 1.0, "inv_d": 2.0},
    {"bsp": 1.0, "anchor": 1.0},
    {"bsp": 1.0, "bootstrap": 1.0},
)
_PSF_SIDES = {2: (9, 17, 31, 61), 3: (9, 17, 31)}
# What most users run is measured, too, and counts twice.
_PRESET_TILES = (
    [300, 300],
    [512, 512],
    [768, 1024],
    [1056, 1056],
    [1500, 1500],
    [2000, 2000],
    [32, 96, 96],
    [64, 128, 128],
    [32, 256, 256],
    [88, 176, 256],
)
_PRESET_IMAGES = {2: [512, 512], 3: [64, 128, 128]}
# Below this, what the process keeps for itself counts as much as the run.
_LEAST_BYTES = 1e8
_RUNS = 3
_HOLD_OUT_EVERY = 4
_NEARLY = 0.8
# Bytes of activations, roughly, of the settings that are tried.
_RANGE = (4e7, 1.8e9)
Point = Mapping[str, Any]
Counts = Callable[..., list[float]]
_COUNTS: Mapping[str, Counts] = {"train": training_counts, "predict": tile_counts}


def grid(count: int, tiles: int, device: str, seed: int = 1) -> list[Point]:
    """Return ``count`` random settings of training and ``tiles`` of predicting a tile, then those of presets."""
    draw = random.Random(seed)
    points: list[Point] = []
    while len(points) < count:
        point = _training_point(draw, device)
        config = point["config"]
        voxels = math.prod(min(n, config["patch"]) for n in point["shape"]) * config["batch_size"]
        if _RANGE[0] < 100.0 * voxels * config["features"] < _RANGE[1]:
            points.append(point)
    while len(points) < count + tiles:
        point = _tile_point(draw, device)
        if _RANGE[0] < 20.0 * math.prod(point["shape"]) * point["config"]["features"] < _RANGE[1]:
            points.append(point)
    return points + _preset_tiles(device) + _preset_trainings(device)


def _preset_trainings(device: str) -> list[Point]:
    return [
        {
            "kind": "train",
            "shape": shape,
            "psf_shape": [17] * ndim,
            "config": preset(name, ndim, precision=precision, steps=3).to_dict(),
            "device": device,
            "weight": 2.0,
        }
        for name in ("quick", "standard")
        for ndim, shape in _PRESET_IMAGES.items()
        for precision in ("bfloat16", "float32")
    ]


def _preset_tiles(device: str) -> list[Point]:
    return [
        {
            "kind": "predict",
            "shape": shape,
            "psf_shape": [17] * len(shape),
            "config": preset("quick", len(shape), precision=precision).to_dict(),
            "device": device,
            "weight": 2.0,
        }
        for shape in _PRESET_TILES
        for precision in ("bfloat16", "float32")
    ]


def _training_point(draw: random.Random, device: str) -> Point:
    ndim = draw.choice([2, 3])
    patch = draw.choice([32, 48, 64, 96, 128])
    config = {
        "loss": draw.choice(_LOSSES),
        "steps": 3,
        "schedule": "halving",
        "batch_size": draw.choice([1, 2, 4, 8, 16]),
        "patch": patch,
        "held_out_percent": draw.choice([0.0, 2.0]),
        **_network(draw),
    }
    shape = [max(draw.choice([128, 256, 512] if ndim == 2 else [64, 128]), patch)] * ndim
    psf_shape = [draw.choice(_PSF_SIDES[ndim])] * ndim
    return {"kind": "train", "shape": shape, "psf_shape": psf_shape, "config": config, "device": device}


def _tile_point(draw: random.Random, device: str) -> Point:
    ndim = draw.choice([2, 3])
    sides = [256, 512, 768, 1024, 1500] if ndim == 2 else [64, 96, 128, 192]
    # 112 planes, too: the cells of a volume's first result are cubes.
    shape = [draw.choice([16, 32, 64, 112])] * (ndim - 2) + [draw.choice(sides) for _ in range(2)]
    config = {"batch_size": 1, "patch": draw.choice([32, 64, 128]), **_network(draw)}
    psf_shape = [draw.choice(_PSF_SIDES[ndim])] * ndim
    return {"kind": "predict", "shape": shape, "psf_shape": psf_shape, "config": config, "device": device}


def _network(draw: random.Random) -> dict[str, Any]:
    return {
        "features": draw.choice([8, 16, 24, 32, 48, 64, 96]),
        "levels": draw.choice([2, 3, 3, 4]),
        "skip": draw.choice(["add", "concat"]),
        "inverse_channels": [0.01, 0.1, 1.0][: draw.choice([0, 1, 2, 3])],
        "precision": draw.choice(["float32", "bfloat16"]),
    }


def measure(point: Point, timeout_s: float = 300.0) -> int | None:
    """Return the peak of one point in bytes, the median of three processes of its own; None if one failed.

    The same run takes up to a third more or less, as its blocks happen to lie in memory.
    """
    command = [sys.executable, "-m", "selfdeconv_tools.memory.point", json.dumps(point)]
    environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}
    try:
        done = [
            subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout_s, check=True)
            for _ in range(_RUNS)
        ]
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        return None
    return median_high(int(run.stdout.split()[-1]) for run in done)


def predicted(point: Point) -> int:
    """Return what the planner says of a point, in bytes."""
    config = TrainConfig.from_dict(point["config"])
    if point["kind"] == "train":
        return training_bytes(config, point["shape"], point["psf_shape"], precision=config.precision)
    return tile_bytes(config, point["shape"], point["psf_shape"], precision=config.precision)


def fit(points: Sequence[Point], measured: Sequence[int]) -> NDArray[np.float64]:
    """Return the coefficients, none negative, with the least relative error."""
    rows = []
    for point in points:
        config = TrainConfig.from_dict(point["config"])
        rows.append(_COUNTS[point["kind"]](config, point["shape"], point["psf_shape"], config.precision))
    counted = np.array([point.get("weight", 1.0) for point in points])
    weight = counted / np.maximum(np.asarray(measured, np.float64), _LEAST_BYTES)
    coefficients: NDArray[np.float64] = nnls(np.asarray(rows) * weight[:, None], measured * weight)[0]
    return coefficients


def _is_linear(point: Point, peak: int) -> bool:
    """Say whether the coefficients are what decides: not where a cell of the first result takes nearly as much."""
    if point["kind"] != "train":
        return True
    config = TrainConfig.from_dict(point["config"])
    cell = first_result_bytes(config, point["shape"], point["psf_shape"], precision=config.precision)
    return cell < _NEARLY * peak


def held_out(index: int) -> bool:
    """Say whether the point of this number is kept out of the fit."""
    return index % _HOLD_OUT_EVERY == _HOLD_OUT_EVERY - 1


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m selfdeconv_tools.memory.fit", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--count", type=int, default=72, help="training settings to try")
    parser.add_argument("--tiles", type=int, default=36, help="settings of predicting a tile to try")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    points = grid(args.count, args.tiles, args.device)
    found = [(i, point, measure(point)) for i, point in enumerate(points)]
    done = [(i, point, peak) for i, point, peak in found if peak is not None]
    write(args.out / "memory.csv", done)
    for line in report(done):
        print(line)  # noqa: T201


def report(done: Sequence[tuple[int, Point, int]]) -> list[str]:
    """Return the coefficients of each kind and precision, and the planner's errors as it is now."""
    lines = []
    for kind in ("train", "predict"):
        for precision in ("float32", "bfloat16"):
            rows = [r for r in done if r[1]["kind"] == kind and r[1]["config"]["precision"] == precision]
            used = [r for r in rows if not held_out(r[0]) and _is_linear(r[1], r[2])]
            if not used:
                continue
            new = fit([p for _, p, _ in used], [peak for *_, peak in used])
            errors = [predicted(p) / peak - 1 for i, p, peak in rows if held_out(i) and peak > 2 * _LEAST_BYTES]
            near = sum(abs(e) <= 0.2 for e in errors)
            lines.append(f"{kind} {precision}: {np.round(new, 2).tolist()}")
            lines.append(f"  held-out points above 200 MB within 20 %: {near} of {len(errors)}")
    return lines


def write(path: Path, done: Sequence[tuple[int, Point, int]]) -> None:
    """Write the table of what was measured and what is predicted."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["point", "held_out", "measured_bytes", "predicted_bytes", "ratio", "settings"])
        for i, point, peak in done:
            guess = predicted(point)
            table.writerow([i, held_out(i), peak, guess, round(guess / peak, 3), json.dumps(point)])


if __name__ == "__main__":
    main()
