"""Print the lowest versions that pyproject.toml allows, of what a user installs, as constraints for pip."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement

# torch is left out: its oldest releases bring gigabytes of CUDA packages. Constraints beside this file pin it.
LEFT_OUT = {"torch"}

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
extras = project["optional-dependencies"]
for requirement in map(Requirement, [*project["dependencies"], *extras["napari"], *extras["formats"]]):
    lowest = [part.version for part in requirement.specifier if part.operator == ">="]
    if lowest and requirement.name not in LEFT_OUT:
        print(f"{requirement.name}=={lowest[0]}")  # noqa: T201
