"""The manifest is found however the package is installed; wheel and sdist hold what they should, once."""

from __future__ import annotations

import configparser
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from npe2 import PluginManifest

DISTRIBUTION = "napari-selfdeconv"
PACKAGE = "napari_selfdeconv"
ROOT = Path(__file__).parents[1]
MANIFEST = ROOT / "napari.yaml"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def run(*arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run this interpreter; the output of a failure is the message of the assertion."""
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **(env or {})},
        cwd=cwd,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build(source: Path, out: Path, kind: str) -> Path:
    run("-m", "build", "--no-isolation", f"--{kind}", "--outdir", out, source)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling")
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "sdist")


@pytest.fixture(scope="module")
def unpacked_sdist(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("unpacked")
    # Python 3.11 has no filter before 3.11.4 (Debian 12 has 3.11.2); later ones warn without.
    safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, **safely)
    (top,) = folder.iterdir()
    return top


@pytest.fixture(scope="module", params=["checkout", "sdist"])
def wheel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the checkout, and one built from the sdist."""
    pytest.importorskip("hatchling")
    source = ROOT if request.param == "checkout" else request.getfixturevalue("unpacked_sdist")
    return build(source, tmp_path_factory.mktemp("wheel"), "wheel")


def test_wheel_carries_the_manifest_once(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if PurePosixPath(name).name == MANIFEST.name]
        assert names == [f"{PACKAGE}/{MANIFEST.name}"]
        assert archive.read(names[0]) == MANIFEST.read_bytes()


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert len(names) == len(set(names))
        folders = {PurePosixPath(name).parts[0] for name in names}
        assert {folder for folder in folders if not folder.endswith(".dist-info")} == {PACKAGE}
        assert {name for name in names if name.endswith(".py")} == {
            path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / PACKAGE).rglob("*.py")
        }
        assert any(PurePosixPath(name).name == "LICENSE" for name in names)


def test_wheel_carries_the_weights_and_the_presets(wheel: Path) -> None:
    """Every file that the package reads when it runs, as it lies in the checkout, and no other data."""
    package = ROOT / "src" / PACKAGE
    data = [*package.glob("network/weights/*.safetensors"), *package.glob("config/presets/*.toml")]
    data.append(package / "inference" / "intervals.toml")
    assert {path.suffix for path in data} == {".safetensors", ".toml"}
    data += [package / "py.typed", *package.rglob("*.pyi")]
    expected = {path.relative_to(ROOT / "src").as_posix(): path.read_bytes() for path in data}
    expected[f"{PACKAGE}/{MANIFEST.name}"] = MANIFEST.read_bytes()
    with zipfile.ZipFile(wheel) as archive:
        inside = [name for name in archive.namelist() if name.startswith(f"{PACKAGE}/")]
        assert {name: archive.read(name) for name in inside if not name.endswith(".py")} == expected


def test_wheel_holds_no_tool_of_the_developers(wheel: Path) -> None:
    """No pre-training, no measurement of speed or memory, no screenshots; and nothing that is there needs them."""
    tools = {path.stem for path in (ROOT / "src" / "selfdeconv_tools").iterdir()} - {"__init__", "__pycache__"}
    assert {"pretraining", "speed", "run_memory", "screenshots", "demo"} <= tools
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            assert not tools.intersection(PurePosixPath(name).with_suffix("").parts), name
            imports = re.search(rb"^\s*(from|import) selfdeconv_tools", archive.read(name), re.MULTILINE)
            assert not (name.endswith(".py") and imports), name


def test_wheel_has_the_entry_points(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
        parser = configparser.ConfigParser(delimiters="=")
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        parser.read_string(archive.read(name).decode())
    assert dict(parser["napari.manifest"]) == {DISTRIBUTION: f"{PACKAGE}:{MANIFEST.name}"}
    assert dict(parser["console_scripts"]) == {"selfdeconv": f"{PACKAGE}.cli:main"}


def test_npe2_finds_the_manifest_of_an_installed_wheel(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import importlib.util, npe2\n"
        f"manifest = npe2.PluginManifest.from_distribution({DISTRIBUTION!r})\n"
        f"print(importlib.util.find_spec({PACKAGE!r}).origin)\n"
        "print(manifest.name)"
    )
    origin, name = run("-c", code, env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path).splitlines()[-2:]
    assert Path(origin).is_relative_to(tmp_path)
    assert name == DISTRIBUTION


def test_sdist_carries_the_manifest(sdist: Path, unpacked_sdist: Path) -> None:
    """At the root; the package's link to it may be there too, as the link it is or as what it is without links."""
    with tarfile.open(sdist) as archive:
        names = archive.getnames()
    assert len(names) == len(set(names))
    assert f"{unpacked_sdist.name}/{MANIFEST.name}" in names
    for found in unpacked_sdist.rglob(MANIFEST.name):
        assert found.relative_to(unpacked_sdist).as_posix() in (
            MANIFEST.name,
            f"src/{PACKAGE}/{MANIFEST.name}",
        )
        assert found.read_bytes() in (MANIFEST.read_bytes(), b"../../napari.yaml")


def test_sdist_can_be_tested(unpacked_sdist: Path) -> None:
    for name in (
        "Makefile",
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        ".ci/run",
        ".ci/constraints.txt",
        "tests",
    ):
        assert (unpacked_sdist / name).exists(), name


def test_npe2_finds_the_manifest_of_this_install() -> None:
    manifest = PluginManifest.from_distribution(DISTRIBUTION)
    on_disk = PluginManifest.from_file(MANIFEST)
    assert manifest.name == DISTRIBUTION
    assert manifest.contributions == on_disk.contributions


def test_npe2_validates(tmp_path: Path) -> None:
    # Not from the root: there npe2 would take a file's name for the plugin's.
    run("-m", "npe2", "validate", DISTRIBUTION, cwd=tmp_path)
    run("-m", "npe2", "validate", MANIFEST, cwd=tmp_path)


def test_npe2_validates_with_imports(tmp_path: Path) -> None:
    """Every python_name of the manifest is there."""
    run("-m", "npe2", "validate", "--imports", DISTRIBUTION, cwd=tmp_path)


@pytest.mark.parametrize("name", sorted(PROJECT["scripts"]))
def test_command_is_there(name: str) -> None:
    (entry,) = metadata.entry_points(group="console_scripts", name=name)
    assert callable(entry.load())


def test_versions_agree() -> None:
    package = __import__(PACKAGE)
    assert metadata.version(DISTRIBUTION) == package.__version__
    manifest_version = PluginManifest.from_distribution(DISTRIBUTION).package_version
    assert manifest_version == package.__version__


def test_no_qt_binding_is_required() -> None:
    """napari's users choose their binding; only the extra `all` brings one. The library needs no napari."""
    required = {re.split(r"[^\w-]", requirement)[0].lower() for requirement in PROJECT["dependencies"]}
    assert not required & {"napari", "magicgui", "qtpy", "superqt", "npe2", "pyqtgraph"}
    assert "napari-selfdeconv[napari]" in PROJECT["optional-dependencies"]["all"]
    for requirement in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["napari"]):
        assert not requirement.lower().startswith(("pyqt5", "pyqt6", "pyside")), requirement
        assert "[" not in requirement, requirement


def test_library_and_command_work_without_napari_and_qt(tmp_path: Path) -> None:
    """As after `pip install napari-selfdeconv`: what only the extra `napari` brings cannot be imported."""
    blocked = ["napari", "pyqtgraph", "qtpy", "superqt", "magicgui", "npe2", "vispy", "PyQt6", "pint"]
    code = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)
sys.meta_path.insert(0, Blocked())
import numpy as np
from napari_selfdeconv import api, cli
for name in api.__all__:
    getattr(api, name)
api.write_ome_tiff("a.tif", np.random.default_rng(0).random((24, 28)), (0.1, 0.1))
words = "--na 0.8 --wavelength-um 0.6 --refractive-index 1 --method wiener --regularisation 0.1 --out b.tif"
assert cli.main(["classical", "a.tif", *words.split()]) == 0
assert cli.main(["deconvolve", "a.tif", *words.split()[:6], "--steps", "1", "--out", "c.tif"]) == 0
"""
    run("-c", code, cwd=tmp_path)
    assert (tmp_path / "b.tif").exists()
    assert (tmp_path / "c.tif").exists()
