"""The benchmarks, as commands: how good, how fast, on images whose truth is known."""

from napari_selfdeconv.benchmark.quality import run_quality
from napari_selfdeconv.benchmark.speed import find_regressions, run_speed
from napari_selfdeconv.benchmark.validation import run_validation

__all__ = ["find_regressions", "run_quality", "run_speed", "run_validation"]
