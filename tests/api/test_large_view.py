"""The instant result of an image larger than memory: the part in view."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_selfdeconv import api, preset
from napari_selfdeconv.api import large, large_view
from napari_selfdeconv.api.large_view import PartInView
from napari_selfdeconv.arrays.out_of_core import block_around, training_block
from napari_selfdeconv.errors import ConstantImage
from napari_selfdeconv.events import Event, Filling, Interim, drain
from napari_selfdeconv.inference.prepare import Problem
from napari_selfdeconv.stop_token import StopToken

PSF = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256.0
_Y, _X = np.mgrid[:96, :120]
IMAGE = np.random.default_rng(0).poisson(200 + 100 * np.sin(_Y / 3) * np.cos(_X / 4)).astype(np.float32)
QUICK = preset("quick", 2, steps=2, patch=32, device="cpu")


def spans(size: int) -> Any:
    return st.tuples(st.integers(0, size - 1), st.integers(1, size)).map(lambda at: slice(at[0], at[0] + at[1]))


@given(where=st.tuples(spans(96), spans(120)), most=st.integers(256, 4096))
def test_a_part_is_the_middle_of_the_view_with_what_lies_around_it(where: tuple[slice, ...], most: int) -> None:
    view = tuple(slice(s.start, min(s.stop, n)) for s, n in zip(where, IMAGE.shape, strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(large_view, "_MOST_VOXELS", most)
        part = PartInView.of(Problem.of(IMAGE, PSF), view)
    assert part is not None
    image = part.problem.image[part.inside]
    assert 0 < image.size <= part.problem.image.size <= most
    place = tuple(slice(o, o + n) for o, n in zip(part.offset, image.shape, strict=True))
    assert all(v.start <= p.start < p.stop <= v.stop for v, p in zip(view, place, strict=True))
    np.testing.assert_array_equal(image, IMAGE[place])
    for inner, wide, at, total in zip(part.inside, part.problem.image.shape, place, IMAGE.shape, strict=True):
        assert inner.start == min(2, at.start)
        assert wide - inner.stop == min(2, total - at.stop)


def test_the_first_result_is_that_of_the_initial_weights_at_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large, "training_block", lambda _: (slice(16, 96), slice(8, 120)))
    stop, events, out = StopToken(), list[Event](), np.zeros(IMAGE.shape, np.float32)

    def note(event: Event) -> None:
        events.append(event)
        if isinstance(event, Interim):
            stop.stop()

    view = (slice(20, 60), slice(0, 50))
    run = api.iter_deconvolve_large(
        IMAGE, PSF, QUICK, out=out, stop=stop, preview_region=lambda: view, instant_first=True
    )
    result = drain(run, note)
    (first,) = (event for event in events if isinstance(event, Interim))
    assert (first.step, first.offset, first.image.shape, first.improves) == (0, (20, 8), (40, 42), True)
    assert not any(isinstance(event, Filling) for event in events[: events.index(first)])
    # Stop keeps it: the whole image is deconvolved with the same weights.
    assert result.provenance["steps_done"] == 0
    part = out[20:60, 8:50]
    assert float(np.abs(part - first.image).mean()) < 0.05 * float(part.std())


def test_a_view_without_measurements_has_no_part() -> None:
    weights = np.ones(IMAGE.shape, np.float32)
    weights[:40] = 0
    block = Problem.of(IMAGE, PSF, weights=weights)
    assert PartInView.of(block, (slice(0, 30), slice(0, 120))) is None
    assert PartInView.of(block, (slice(40, 80), slice(0, 120))) is not None


def test_a_block_without_structure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_around, "__kwdefaults__", {"most": 32 * 32})
    image, out = IMAGE.copy(), np.zeros(IMAGE.shape, np.float32)
    image[:50, :50] = 7
    region = (slice(0, 20), slice(0, 20))
    with pytest.raises(ConstantImage, match=r"the block 0 to .* is constant"):
        drain(api.iter_deconvolve_large(image, PSF, QUICK, out=out, region=region))


@pytest.mark.parametrize("place", [(0, 0), (500, 100)])
def test_the_training_block_of_an_image_that_is_mostly_empty_is_not(place: tuple[int, int]) -> None:
    image = np.zeros((640, 640), np.uint8)
    image[place[0] : place[0] + 140, place[1] : place[1] + 140] = np.indices((140, 140)).sum(0) % 2
    assert image[training_block(image, most=64 * 64)].any()
