"""The rules of the house, held by tests: who may import whom, what importing costs, what lies at the root.

A new module needs a line in LEVELS; that is the moment to think about where it belongs.
"""

from __future__ import annotations

import ast
import graphlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = "napari_selfdeconv"
ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / PACKAGE

# Imports go down, or sideways without a circle. The package's __init__ hands out names lazily and is outside.
LEVELS = {
    "errors": 0,
    "blend": 2,
    "heap": 0,
    "border": 0,
    "config": 0,
    "config_classical": 0,
    "presets": 0,
    "recipe": 0,
    "series": 0,
    "lazy": 1,
    "events": 0,
    "scaling": 1,
    "psf": 1,
    "psf_check": 1,
    "psf_doctor": 1,
    "psf_file": 1,
    "objectives": 0,
    "psf_measure": 1,
    "psf_prepare": 1,
    "radial": 1,
    "richards_wolf": 1,
    "forward": 1,
    "fourier": 1,
    "unet": 1,
    "metrics": 1,
    "no_reference": 2,
    "io": 1,
    "simulate": 1,
    "symmetry": 1,
    "device": 1,
    "memory": 0,
    "memory_plan": 0,
    "model": 2,
    "beads": 2,
    "losses": 2,
    "tiling": 2,
    "classical": 2,
    "masks": 2,
    "held_out": 2,
    "calibration": 2,
    "noise_kinds": 1,
    "camera": 2,
    "refinement": 2,
    "slabs": 2,
    "health": 2,
    "sampler": 2,
    "first_result": 2,
    "schedule": 2,
    "validation": 3,
    "keeping": 3,
    "train": 3,
    "pretrained": 3,
    "pretraining": 4,
    "model_file": 3,
    "preview": 3,
    "api": 4,
    "benchmark": 4,
    "cli": 5,
    "_cli": 5,
    "_gui": 5,
}
QT = {"PyQt5", "PyQt6", "PySide2", "PySide6", "qtpy", "superqt", "pyqtgraph", "vispy"}
GUI_ONLY = QT | {"napari", "magicgui"}
ROOT_ENTRIES = {
    ".ci",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "docs",
    "napari.yaml",
    "pyproject.toml",
    "src",
    "tests",
}


class Import(NamedTuple):
    """One imported name, `a.b.c`, and where it stands."""

    target: str
    line: int
    at_import_time: bool
    typing_only: bool


def modules() -> list[str]:
    """Dotted names below the package, `_gui.worker`, without any `__init__`'s own suffix."""
    names = []
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


MODULES = modules()


def file_of(module: str) -> Path:
    path = SOURCE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def room_of(module: str) -> str:
    return module.split(".")[0]


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    package = [PACKAGE, *[part for part in module.split(".") if part]]
    if file_of(module).name != "__init__.py":
        package.pop()
    package = package[: len(package) - node.level + 1]
    return ".".join([*package, *([node.module] if node.module else [])])


def read_imports(module: str) -> Iterator[Import]:
    """Every import statement of a module, those inside functions too."""

    def walk(node: ast.AST, at_import_time: bool, typing_only: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, at_import_time, typing_only)
            elif isinstance(child, ast.ImportFrom):
                base = _absolute(child, module)
                for alias in child.names:
                    yield Import(f"{base}.{alias.name}", child.lineno, at_import_time, typing_only)
            elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                yield from walk(child, False, typing_only)
            elif isinstance(child, ast.If) and _is_type_checking(child.test):
                for statement in child.body:
                    yield from walk(ast.Module([statement], []), False, True)
                for statement in child.orelse:
                    yield from walk(ast.Module([statement], []), at_import_time, typing_only)
            else:
                yield from walk(child, at_import_time, typing_only)

    return walk(ast.parse(file_of(module).read_text("utf-8")), True, False)


def module_meant(target: str) -> str | None:
    """The module of this package that an import reaches, or None for one from outside.

    A public name taken from the package itself (other than its version) comes from api, by way of
    ``__getattr__``, and counts as such.
    """
    parts = target.split(".")
    if parts[0] != PACKAGE:
        return None
    for end in range(len(parts), 1, -1):
        name = ".".join(parts[1:end])
        if name in MODULES:
            return name
    if len(parts) == 1 or parts[1].startswith("__"):
        return ""
    return parts[1] if len(parts) > 2 or parts[1] in LEVELS else "api"


def loaded_by(names: list[str], suspects: set[str]) -> dict[str, list[str]]:
    """Import modules one after the other in a fresh interpreter: which brought which of the suspects?"""
    code = (
        "import importlib, json, sys\n"
        "names, suspects = json.loads(sys.argv[1])\n"
        "brought = {}\n"
        "for name in names:\n"
        "    importlib.import_module(name)\n"
        "    new = sorted({m.split('.')[0] for m in sys.modules}.intersection(suspects))\n"
        "    suspects = [s for s in suspects if s not in new]\n"
        "    if new:\n"
        "        brought[name] = new\n"
        "print(json.dumps(brought))"
    )
    arguments = json.dumps([names, sorted(suspects)])
    done = subprocess.run(
        [sys.executable, "-c", code, arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    brought: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return brought


@pytest.mark.parametrize("module", [name for name in MODULES if name])
def test_every_module_has_a_level(module: str) -> None:
    assert room_of(module) in LEVELS, f"{module}: give it a level in LEVELS"


@pytest.mark.parametrize("module", [name for name in MODULES if name])
def test_imports_go_down(module: str) -> None:
    level = LEVELS.get(room_of(module), -1)
    upward = [
        f"{module}:{found.line} (level {level}) imports {meant} (level {LEVELS.get(room_of(meant))})"
        for found in read_imports(module)
        if (meant := module_meant(found.target)) and LEVELS.get(room_of(meant), 99) > level
    ]
    assert not upward, "\n".join(upward)


def test_there_is_no_circle() -> None:
    graph = {
        module: {
            meant
            for found in read_imports(module)
            if not found.typing_only and (meant := module_meant(found.target)) and meant != module
        }
        for module in MODULES
        if module
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("module", [name for name in MODULES if room_of(name) != "_gui"])
def test_gui_libraries_stay_in_the_gui(module: str) -> None:
    found = [f"{module}:{i.line} {i.target}" for i in read_imports(module) if i.target.split(".")[0] in GUI_ONLY]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("module", [name for name in MODULES if LEVELS.get(room_of(name), 0) in (0, 5)])
def test_torch_is_not_imported_at_the_door(module: str) -> None:
    found = [i.line for i in read_imports(module) if i.at_import_time and i.target.split(".")[0] == "torch"]
    assert not found, f"{module} imports torch when it is imported, line {found}"


def test_importing_the_package_is_cheap() -> None:
    assert loaded_by([PACKAGE], {"torch", *GUI_ONLY}) == {}


def test_the_api_needs_no_gui() -> None:
    assert loaded_by([f"{PACKAGE}.api"], GUI_ONLY) == {}


def test_the_command_line_reaches_torch_lazily() -> None:
    command_line = [f"{PACKAGE}.{name}" for name in MODULES if room_of(name) in ("cli", "_cli")]
    assert f"{PACKAGE}.cli" in command_line
    assert loaded_by(command_line, {"torch", *GUI_ONLY}) == {}


def test_the_widgets_reach_torch_lazily() -> None:
    widgets = [f"{PACKAGE}.{name}" for name in MODULES if room_of(name) == "_gui"]
    assert loaded_by(widgets, {"torch"}) == {}


def test_the_root_is_tidy() -> None:
    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            return None
        return done.stdout if done.returncode == 0 else None

    top = git("rev-parse", "--show-toplevel")
    listed = git("ls-files", "-z")
    if top is None or not listed or Path(top.strip()).resolve() != ROOT.resolve():
        pytest.skip("not a git checkout")
    entries = {name.split("/")[0] for name in listed.split("\0") if name}
    assert entries - ROOT_ENTRIES == set()


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("numpy.typing", None),
        (PACKAGE, ""),
        (f"{PACKAGE}.__version__", ""),
        (f"{PACKAGE}.errors", "errors"),
        (f"{PACKAGE}.errors.ConfigError", "errors"),
        (f"{PACKAGE}.deconvolve", "api"),
    ],
)
def test_module_meant(target: str, meant: str | None) -> None:
    assert module_meant(target) == meant


def test_the_api_page_names_what_exists() -> None:
    """`make docs` would say so too, but it is no part of the tests."""
    import importlib
    import re

    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    blocks = re.findall(r"automodule:: (\S+)\n\s+:members:(.*)", page)
    assert len(blocks) > 3
    for module, members in blocks:
        found = importlib.import_module(module)
        missing = [name for name in re.findall(r"\w+", members) if not hasattr(found, name)]
        assert not missing, f"{module} has no {missing}"
