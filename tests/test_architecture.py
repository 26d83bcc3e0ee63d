"""The rules of the house: which folder may import which, what an import costs, what lies at the root."""

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

PACKAGE, TOOLS = "napari_selfdeconv", "selfdeconv_tools"
ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"

# Imports go down this table, or sideways without a circle. The package itself hands out public names lazily.
FLOORS = (
    ("_version", "errors", "events", "public_names", "stop_token", "config"),
    ("arrays", "compute", "io"),
    ("physics", "holdout", "psf"),
    ("network", "metrics", "simulate"),
    ("restoration", "training"),
    ("inference",),
    ("api",),
    ("cli", "_gui", "benchmark"),
    (TOOLS,),
)
# What these see of the package besides themselves.
SEEN = {"_gui": {"api", "config", "errors", "events", "stop_token", "metrics.columns"}}
SEEN["cli"] = SEEN["_gui"] | {"_version", "benchmark"}
GUI_LIBRARIES = {
    "PyQt5",
    "PyQt6",
    "PySide2",
    "PySide6",
    "qtpy",
    "superqt",
    "pyqtgraph",
    "vispy",
    "napari",
    "magicgui",
}
ROOT_ENTRIES = {
    ".ci", ".gitignore", ".pre-commit-config.yaml", "CHANGELOG.md", "LICENSE", "Makefile", "README.md", "docs",
    "napari.yaml", "pyproject.toml", "src", "tests",
}  # fmt: skip


class Import(NamedTuple):
    """One imported name, `a.b.c`, and where it stands."""

    target: str
    line: int
    at_import_time: bool


def modules() -> dict[str, Path]:
    """Every module below src by its dotted name, without the package's name: `_gui.runs.worker`."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        found[".".join(parts[1:] if parts[0] == PACKAGE else parts)] = path
    return found


MODULES = modules()
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def room_of(module: str) -> str:
    return module.split(".")[0]


def read_imports(module: str) -> Iterator[Import]:
    """Every import statement of a module and its stub, those inside functions and under TYPE_CHECKING included."""

    def walk(node: ast.AST, at_import_time: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, at_import_time)
            elif isinstance(child, ast.ImportFrom):
                assert not child.level, f"{module}:{child.lineno}: imports are absolute"
                for alias in child.names:
                    yield Import(f"{child.module}.{alias.name}", child.lineno, at_import_time)
            else:
                inner = isinstance(child, ast.FunctionDef | ast.Lambda) or (
                    isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                )
                yield from walk(child, at_import_time and not inner)

    yield from walk(ast.parse(MODULES[module].read_text("utf-8")), True)
    if (stub := MODULES[module].with_suffix(".pyi")).is_file():
        yield from walk(ast.parse(stub.read_text("utf-8")), False)


def module_meant(target: str) -> str | None:
    """The module below src that an import reaches, "api" for a public name, None for one from outside."""
    parts = target.split(".")
    if parts[0] not in (PACKAGE, TOOLS):
        return None
    for end in range(len(parts), 1, -1):
        name = ".".join(parts[1 if parts[0] == PACKAGE else 0 : end])
        if name in MODULES:
            return name
    return "" if len(parts) == 1 or parts[1].startswith("__") else "api"


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


def test_imports_go_down() -> None:
    wrong = []
    for module in filter(None, MODULES):
        room = room_of(module)
        if room not in FLOOR:
            wrong.append(f"{module}: its folder has no floor in FLOORS")
            continue
        for found in read_imports(module):
            meant, outside = module_meant(found.target), found.target.split(".")[0]
            where = f"{module}:{found.line} imports {found.target}"
            if meant is None and outside in GUI_LIBRARIES and room not in ("_gui", TOOLS):
                wrong.append(f"{where}: only _gui does")
            if outside == "torch" and found.at_import_time and (FLOOR[room] == 0 or room in ("cli", "_gui")):
                wrong.append(f"{where}: here torch is imported where it is needed")
            if not meant or room_of(meant) == room:
                continue
            if FLOOR[room_of(meant)] > FLOOR[room]:
                wrong.append(f"{where}: upwards, from floor {FLOOR[room]} to {FLOOR[room_of(meant)]}")
            if room in SEEN and not any(meant == seen or meant.startswith(f"{seen}.") for seen in SEEN[room]):
                wrong.append(f"{where}: {room} sees {', '.join(sorted(SEEN[room]))} only")
    assert not wrong, "\n" + "\n".join(wrong)


def test_there_is_no_circle() -> None:
    graph = {
        module: {
            meant for found in read_imports(module) if (meant := module_meant(found.target)) and meant != module
        }
        for module in MODULES
        if module
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_importing_is_cheap() -> None:
    doors = [f"{PACKAGE}.{name}" for name in MODULES if room_of(name) in ("cli", "_gui")]
    assert loaded_by([PACKAGE], {"torch", *GUI_LIBRARIES}) == {}
    assert loaded_by([f"{PACKAGE}.api"], GUI_LIBRARIES) == {}
    assert loaded_by([door for door in doors if ".cli" in door], {"torch", *GUI_LIBRARIES}) == {}
    assert loaded_by(doors, {"torch"}) == {}


def test_tests_lie_where_the_source_lies() -> None:
    source = {path.parent.relative_to(SOURCE / PACKAGE) for path in (SOURCE / PACKAGE).rglob("*.py")}
    tools = {path.parent.relative_to(SOURCE) for path in (SOURCE / TOOLS).rglob("*.py")}
    tests = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("*.py")}
    assert tests - source - tools == set()


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
        (f"{TOOLS}.demo.main", f"{TOOLS}.demo"),
    ],
)
def test_module_meant(target: str, meant: str | None) -> None:
    assert module_meant(target) == meant
