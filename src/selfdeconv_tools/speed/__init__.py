"""Measurements of speed: every figure is compared with a baseline that is timed alternately in the same run."""

from selfdeconv_tools.speed.regressions import find_regressions
from selfdeconv_tools.speed.run import run_speed

__all__ = ["find_regressions", "run_speed"]
