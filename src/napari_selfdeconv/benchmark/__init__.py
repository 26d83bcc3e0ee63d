"""The benchmarks, as commands: how good, how fast, on images whose truth is known."""

from napari_selfdeconv.benchmark.quality import run_quality

__all__ = ["run_quality"]
