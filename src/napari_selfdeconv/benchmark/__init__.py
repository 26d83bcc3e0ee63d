"""The benchmarks, as commands: how good, on images with a truth and on real ones, and how fast."""

from napari_selfdeconv.benchmark.quality import run_quality
from napari_selfdeconv.benchmark.real import run_real
from napari_selfdeconv.benchmark.speed import find_regressions, run_speed
from napari_selfdeconv.benchmark.validation import run_validation

__all__ = ["find_regressions", "run_quality", "run_real", "run_speed", "run_validation"]
