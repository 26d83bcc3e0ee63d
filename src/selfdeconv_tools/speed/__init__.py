"""How fast: every figure against a baseline that is timed in turn with it, in the same run."""

from selfdeconv_tools.speed.regressions import find_regressions
from selfdeconv_tools.speed.run import run_speed

__all__ = ["find_regressions", "run_speed"]
