"""A dock in training, and computations that end as a test wants."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_selfdeconv import api
from napari_selfdeconv._gui.runs import warm_up
from napari_selfdeconv.errors import ComputeError
from napari_selfdeconv.events import Event, Filling, Finished, Progress, Started, Warned
from napari_selfdeconv.stop_token import StopToken


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody types here: what waits for a pause in typing waits for a short one."""
    for name in ("forms.psf_size", "panels.camera", "panels.psf_generate"):
        monkeypatch.setattr(f"napari_selfdeconv._gui.{name}.DEBOUNCE_MS", 20)


@pytest.fixture(scope="session", autouse=True)
def _loaded() -> None:
    """The computation is loaded before the first dock opens, so that every dock is like the second."""
    warm_up._import_api()


@pytest.fixture
def under_way(qtbot: Any) -> Callable[..., None]:
    """Return a function that waits until training has made its first steps."""

    def wait(dock: Any) -> None:
        qtbot.waitUntil(lambda: dock.run_panel.plot.points > 0, timeout=60_000)

    return wait


class Script:
    """Stands in for the computations of the api: they end as ``ending`` says, at once or when they are told to.

    ``ending`` is "finished", "stopped", "cancelled" (the last two wait for the token) or "failed".
    """

    def __init__(self) -> None:
        self.ending = "finished"
        self.calls: list[dict[str, Any]] = []

    def model(self) -> Any:
        psf = np.full((5, 5), 0.04, np.float32)
        return SimpleNamespace(psf=psf, given_psf=psf, provenance={"steps_done": 3}, voxel_um=None)

    def run(self, value: Any, settings: dict[str, Any], filling: Any = None) -> Generator[Event, None, Any]:
        self.calls.append(settings)
        stop: StopToken = settings["stop"]
        yield started()
        yield Warned("of the computation")
        if filling is not None:
            yield Filling(image=filling)
        yield Progress(stage="train", step=1, steps=9, seconds=1.0, eta_s=8.0, losses={"total": 1.0})
        if self.ending == "failed":
            raise ComputeError("the computation broke")
        while self.ending in ("stopped", "cancelled") and not stop.stopped:
            yield Progress(stage="train", step=2, steps=9, seconds=1.0, eta_s=8.0, losses={"total": 1.0})
            time.sleep(0.005)
        stop.raise_if_cancelled()
        yield Finished(seconds=1.0, steps_done=2, stopped=stop.stopped)
        return value

    def whole(self, image: np.ndarray, *_: Any, **settings: Any) -> Generator[Event, None, Any]:
        value = SimpleNamespace(image=image * 2, model=self.model(), provenance={})
        return (yield from self.run(value, settings))

    def series(self, image: np.ndarray, *_: Any, **settings: Any) -> Generator[Event, None, Any]:
        filling = np.ones(image.shape, np.float32)
        value = api.SeriesDeconvolution(image=filling, models=(self.model(),), provenance={})
        return (yield from self.run(value, settings, filling))

    def large(self, image: Any, _psf: Any, path: Any, *_: Any, **settings: Any) -> Generator[Event, None, Any]:
        out = api.create_zarr(path, image.shape)
        value = api.LargeDeconvolution(image=out, model=self.model(), provenance={})
        return (yield from self.run(value, settings, out))

    def classical(self, image: np.ndarray, *_: Any, **settings: Any) -> Generator[Event, None, Any]:
        value = [
            SimpleNamespace(label="RL 2", image=image * 2, provenance={}, settings=SimpleNamespace(iterations=2))
        ]
        return (yield from self.run(value, settings))

    def apply(self, _model: Any, image: np.ndarray, **settings: Any) -> Generator[Event, None, Any]:
        return (yield from self.run(image * 2, settings))


_TRAINED: dict[str, tuple[list[Event], Any]] = {}


@pytest.fixture
def train_once(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A training with the same image, PSF and settings is computed once; after that its events are told again.

    For tests of what is done with a result. Training further is computed each time. Return what forgets it.
    """
    work = api.iter_deconvolve

    def tell(
        image: np.ndarray, psf: np.ndarray, config: Any, *, start_from: Any = None, **settings: Any
    ) -> Generator[Event, None, Any]:
        if start_from is not None:
            return (yield from work(image, psf, config, start_from=start_from, **settings))
        named = {name: settings[name] for name in ("weights", "tiles", "voxel_um")}
        key = repr((image.tobytes(), psf.tobytes(), image.shape, psf.shape, config, named))
        if key not in _TRAINED:
            events: list[Event] = []
            _TRAINED[key] = events, (yield from noted(work(image, psf, config, **settings), events))
        else:
            yield from _TRAINED[key][0]
        result = _TRAINED[key][1]
        return replace(result, image=result.image.copy())

    monkeypatch.setattr(api, "iter_deconvolve", tell)
    return _TRAINED.clear


def noted(work: Generator[Event, None, Any], events: list[Event]) -> Generator[Event, None, Any]:
    """Do ``work`` and append what it yields to ``events``."""
    while True:
        try:
            event = next(work)
        except StopIteration as end:
            return end.value
        events.append(event)
        yield event


def started() -> Started:
    """What the computation says first."""
    reason = "PyTorch sees no GPU"
    return Started(device="cpu", device_reason=reason, precision="float32", parameters=1, steps=9, symmetries=8)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Replace the long computations by ones that do as they are told."""
    made = Script()
    for name, work in {
        "iter_deconvolve": made.whole,
        "iter_deconvolve_series": made.series,
        "iter_deconvolve_zarr": made.large,
        "iter_classical": made.classical,
        "iter_apply_model": made.apply,
    }.items():
        monkeypatch.setattr(api, name, work)
    return made
