"""What every test stands on: a Qt platform that works without a screen, nobody's settings, no leftovers.

Nothing here imports Qt or napari unless a test of the GUI asks for it: the other tests stay headless.
"""

from __future__ import annotations

import functools
import gc
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

GUI_FIXTURES = {"make_napari_viewer", "make_napari_viewer_proxy", "qtbot", "qapp"}
# Platforms of Qt that have no OpenGL context.
NO_CANVAS = ("offscreen", "minimal")
WORKERS_MSECS = 20_000
MANY_OBJECTS = 100_000
GUI_TESTS = Path(__file__).parent / "_gui"
# Files of one long test: `make test` gives files to its processes in the order of collection, these first.
LONG_FILES = ("test_screenshots.py", "test_faults.py")
# Of the image that `open_dock` shows.
SCALE = (0.2, 0.1)
UNITS = ("um", "um")

# Both are read when Qt and napari are imported, so they are set before any test module is. Without a
# display and without a platform Qt would abort the process.
if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# Generated cases, by test.
_cases: Counter[str] = Counter()
_config_folder = tempfile.TemporaryDirectory(prefix="napari-selfdeconv-tests-")
os.environ["NAPARI_CONFIG"] = str(Path(_config_folder.name) / "settings.yaml")
os.environ["SELFDECONV_CONFIG_FOLDER"] = _config_folder.name


def _has_canvas() -> bool:
    return os.environ.get("QT_QPA_PLATFORM", "").split(":")[0] not in NO_CANVAS


def _is_gui(request: pytest.FixtureRequest) -> bool:
    return GUI_TESTS in request.path.parents or not GUI_FIXTURES.isdisjoint(request.fixturenames)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-looks", action="store_true", help="write the reference pictures of the docks")


def pytest_configure(config: pytest.Config) -> None:
    # xdist would begin with the files of the most tests; the longest are others, see `LONG_FILES`.
    config.option.loadscopereorder = False


def pytest_unconfigure() -> None:
    _config_folder.cleanup()


def _count_cases(item: pytest.Item) -> None:
    """Count how often the test below ``@given`` is called."""
    test = getattr(item, "obj", None)
    hypothesis = getattr(test, "hypothesis", None)
    if hypothesis is None or hasattr(hypothesis.inner_test, "counted"):
        return
    inner = hypothesis.inner_test

    @functools.wraps(inner)
    def counted(*args: Any, **named: Any) -> Any:
        _cases[item.nodeid] += 1
        return inner(*args, **named)

    counted.counted = True  # type: ignore[attr-defined]
    hypothesis.inner_test = counted


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if _cases:
        terminalreporter.write_line(f"{sum(_cases.values())} generated cases in {len(_cases)} tests")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # A long file that begins last holds one process while the other has nothing to do.
    items.sort(key=lambda item: item.path.name not in LONG_FILES)
    for item in items:
        _count_cases(item)
    if _has_canvas():
        return
    skip = pytest.mark.skip(reason="no OpenGL canvas on this Qt platform; run it under xvfb-run")
    for item in items:
        if item.get_closest_marker("canvas"):
            item.add_marker(skip)


# napari's pytest plugin runs these two around every test and imports napari and Qt for it. They are replaced
# by ones that do the same for the tests of the GUI only.
@pytest.fixture(autouse=True)
def _clean_themes(request: pytest.FixtureRequest) -> Iterator[None]:
    if not _is_gui(request):
        yield
        return
    from napari.utils import theme

    before = set(theme.available_themes())
    yield
    for name in theme.available_themes():
        if name not in before:
            theme._themes.pop(name, None)


@pytest.fixture(autouse=True)
def _disable_qt_warnings(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if _is_gui(request):
        from napari._qt import qt_main_window

        monkeypatch.setattr(qt_main_window, "SHOW_QT_WARNING", False, raising=False)


@pytest.fixture(autouse=True)
def _pretend_opengl(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an OpenGL context napari cannot ask for its limits, and adding an image fails: name some."""
    if _has_canvas() or not _is_gui(request):
        return
    import napari._qt.qt_viewer  # noqa: F401  imports the canvas and the layers, which hold the functions by name

    answers = {"get_gl_extensions": lambda: "", "get_max_texture_sizes": lambda: (16384, 2048)}
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith("napari._vispy"):
            for name, answer in answers.items():
                if name in vars(module):
                    monkeypatch.setattr(module, name, answer)


@pytest.fixture(scope="session")
def _manifests() -> tuple[Any, ...]:
    """Every plugin of the environment, looked up once."""
    from npe2 import PluginManifest

    return tuple(PluginManifest.discover())


@pytest.fixture(autouse=True)
def _discover_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A viewer finds the plugins that were looked up once: reading all manifests takes 0.3 s a viewer."""
    if not _is_gui(request):
        return
    from npe2 import PluginManifest

    found = request.getfixturevalue("_manifests")
    monkeypatch.setattr(PluginManifest, "discover", lambda **_: iter(found))


@pytest.fixture(autouse=True)
def _settings_stay_in_memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """napari writes all its settings to a file after each change: 0.1 s a viewer, and no test reads the file."""
    if _is_gui(request):
        from napari.settings._base import EventedConfigFileSettings

        monkeypatch.setattr(EventedConfigFileSettings, "save", lambda *_, **__: None)


@pytest.fixture(scope="session")
def _answers() -> dict[Any, bool]:
    """Whether a function takes an event, by its code."""
    return {}


@pytest.fixture(autouse=True)
def _look_at_functions_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """napari reads the signature of each function that it connects or disconnects: a thousand times a viewer."""
    if not _is_gui(request):
        return
    from napari.utils.events.event import EventEmitter

    answers, check = request.getfixturevalue("_answers"), EventEmitter._check_signature

    def takes_event(function: Any) -> bool:
        inner = getattr(function, "__func__", function)
        code = getattr(inner, "__code__", None)
        if code is None or hasattr(inner, "__wrapped__") or hasattr(inner, "__signature__"):
            return check(function)
        key = code, inner is function, len(inner.__defaults__ or ())
        if key not in answers:
            answers[key] = check(function)
        return answers[key]

    monkeypatch.setattr(EventEmitter, "_check_signature", staticmethod(takes_event))


@pytest.fixture(autouse=True)
def _welcome_stays_as_it_is(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new viewer binds 176 shortcuts and draws its hidden welcome again after each: a fifth of its time."""
    if _is_gui(request):
        from napari._qt.widgets.qt_welcome import QtWelcomeWidget

        monkeypatch.setattr(QtWelcomeWidget, "refresh", lambda *_: None)


@pytest.fixture(autouse=True)
def _collect_new_objects_only(request: pytest.FixtureRequest) -> Iterator[None]:
    """The garbage collections of a viewer do not search the objects of imported modules.

    There are half a million of them, and napari collects when a layer or a viewer goes: half a second each time.
    """
    _set_aside(request)
    yield
    _set_aside(request)


def _set_aside(request: pytest.FixtureRequest) -> None:
    if _is_gui(request) and len(gc.get_objects()) > MANY_OBJECTS:
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def _await_workers(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test of the GUI hands a running worker to the next one.

    Set up before the viewer, this ends after it: a worker left running sees the viewer close, as it does
    when a person closes the window. Slots of its last signals run here.
    """
    yield
    threads = sys.modules.get("superqt.utils._qthreading")
    if threads is None or not _is_gui(request):
        return
    from qtpy.QtWidgets import QApplication

    app = QApplication.instance()
    if app is None:
        return
    workers = threads.WorkerBase._worker_set
    # Twice or more: a worker started from a slot waits for the event loop before it is in a thread.
    for _ in range(5):
        threads.WorkerBase.await_workers(WORKERS_MSECS)
        app.processEvents()
        if not workers:
            return
        time.sleep(0.01)
    stuck = [repr(worker) for worker in workers]
    workers.clear()
    pytest.fail(f"workers that ended without a word (a RuntimeError in a generator?): {stuck}")


def blurred_spots(shape: tuple[int, ...] = (32, 32), seed: int = 0) -> np.ndarray:
    """A few blurred spots on a background, with noise."""
    from scipy.ndimage import gaussian_filter

    random = np.random.default_rng(seed)
    spots = (random.random(shape) > 0.97) * 500.0
    return (gaussian_filter(spots, 1.2) + 100 + random.normal(0, 5, shape)).astype(np.float32)


def small_psf(ndim: int = 2) -> np.ndarray:
    """A Gaussian of 5 voxels a side."""
    axes = np.meshgrid(*[np.arange(-2, 3)] * ndim, indexing="ij")
    psf = np.exp(-sum(axis**2 for axis in axes) / 2.0)
    return (psf / psf.sum()).astype(np.float32)


@pytest.fixture
def open_dock(make_napari_viewer: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that opens a viewer with 'spots' and 'spots PSF', and the dock, set to few steps."""

    def make(*, image: np.ndarray | None = None, steps: int = 3, show: bool = False, **placed: Any) -> Any:
        from napari_selfdeconv._gui.forms.microscope import TypedOptics, microscope_of

        viewer = make_napari_viewer(show=show)
        microscope_of(viewer).set_optics(TypedOptics(na=1.4, wavelength_um=0.525, refractive_index=1.515))
        image = blurred_spots() if image is None else image
        placed = placed or {"scale": SCALE[-image.ndim :], "units": UNITS}
        viewer.add_image(image, name="spots", **placed)
        viewer.add_image(small_psf(image.ndim), name="spots PSF", visible=False, **placed)
        _, dock = viewer.window.add_plugin_dock_widget("napari-selfdeconv", "Deconvolve")
        dock.train_form.steps.setValue(steps)
        dock.train_form.patch.setValue(16)
        return dock

    return make


@pytest.fixture
def finish(qtbot: Any) -> Callable[..., None]:
    """Return a function that waits until the dock's run is over."""

    def wait(dock: Any) -> None:
        qtbot.waitUntil(lambda: not dock.busy, timeout=60_000)

    return wait


@pytest.fixture
def memory_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Freed memory leaves the process, even if an abandoned run of an earlier test still retains it.

    A run that a test dropped ends when its generator is collected, and until then it retains memory.
    """
    from napari_selfdeconv.compute import malloc

    gc.collect()
    library = malloc._glibc()
    if malloc._users and library is not None:
        monkeypatch.setattr(malloc, "_users", 0)
        for parameter, value in malloc._USUAL.items():
            library.mallopt(parameter, value)
        library.malloc_trim(0)
