"""Nothing is fetched or sent while the program runs, and nothing that a file holds is executed."""

from __future__ import annotations

import ast
import pickle
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_selfdeconv import api
from napari_selfdeconv.cli import main

SOURCE = sorted((Path(__file__).parents[1] / "src").rglob("*.py"))
NETWORK = {"socket", "ssl", "http.client", "urllib.request", "ftplib", "requests", "httpx", "aiohttp", "pooch"}
EXECUTING = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
# These read pickles unless they are told not to.
LOADERS = {"torch.load", "np.load", "numpy.load"}


def used(path: Path) -> Iterator[str]:
    """Yield the modules that a file imports, and its calls of functions that may read pickles."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in LOADERS:
            forbids = any(k.arg == "allow_pickle" and ast.unparse(k.value) == "False" for k in node.keywords)
            yield "" if forbids else f"{ast.unparse(node.func)} without allow_pickle=False"


def test_no_module_reaches_for_the_network_or_for_pickles() -> None:
    found = {f"{path.name}: {name}" for path in SOURCE for name in used(path)}
    wrong = {one for one in found if one.split(": ")[1] in NETWORK | EXECUTING or "without" in one}
    assert wrong == set()


@pytest.fixture
def sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every socket and every pickle an error."""

    def refuse(*_args: Any, **_options: Any) -> Any:
        raise AssertionError("a socket or a pickle was opened")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    for name in ("load", "loads"):
        monkeypatch.setattr(pickle, name, refuse)


@pytest.mark.usefixtures("sealed")
def test_commands_and_models_work_without_a_network_and_without_pickles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    api.write_ome_tiff(
        "image.tif", np.random.default_rng(0).normal(100, 9, (32, 32)).astype(np.float32), (0.1, 0.1)
    )
    profile = np.exp(-(np.arange(-5, 6) ** 2) / 3.0)
    api.write_ome_tiff("psf.tif", np.outer(profile, profile).astype(np.float32), (0.1, 0.1))
    run = ("image.tif", "--psf", "psf.tif", "--steps", "1", "--device", "cpu", "-q", "--out", "r.tif")
    assert main(["deconvolve", *run, "--save-model", "m.safetensors"]) == 0
    assert main(["apply", "m.safetensors", "image.tif", "--device", "cpu", "--out", "again.tif", "-q"]) == 0
