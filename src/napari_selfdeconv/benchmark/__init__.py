"""The benchmarks, as commands: the quality of results, on images with a truth and on real ones."""

from napari_selfdeconv.benchmark.coverage import run_coverage
from napari_selfdeconv.benchmark.quality import run_quality
from napari_selfdeconv.benchmark.real import run_real
from napari_selfdeconv.benchmark.references import Recorded, frame_pairs, run_references
from napari_selfdeconv.benchmark.trust import run_trust
from napari_selfdeconv.benchmark.trust_scenes import scene_names
from napari_selfdeconv.benchmark.validation import run_validation
from napari_selfdeconv.benchmark.widefield import run_widefield

__all__ = [
    "Recorded",
    "frame_pairs",
    "run_coverage",
    "run_quality",
    "run_real",
    "run_references",
    "run_trust",
    "run_validation",
    "run_widefield",
    "scene_names",
]
