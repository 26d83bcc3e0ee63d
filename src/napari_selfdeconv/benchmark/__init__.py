"""The benchmarks, as commands: how good, on images with a truth and on real ones."""

from napari_selfdeconv.benchmark.quality import run_quality
from napari_selfdeconv.benchmark.real import run_real
from napari_selfdeconv.benchmark.validation import run_validation
from napari_selfdeconv.benchmark.widefield import run_widefield

__all__ = ["run_quality", "run_real", "run_validation", "run_widefield"]
