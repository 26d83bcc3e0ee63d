"""Which device, how much of its memory is free, and what is left on it; a graphics card is made believe."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from napari_selfdeconv import api
from napari_selfdeconv.compute import device
from napari_selfdeconv.config.presets import preset
from napari_selfdeconv.errors import Cancelled
from napari_selfdeconv.events import drain
from napari_selfdeconv.physics.blur import Blur
from napari_selfdeconv.stop_token import StopToken

CUDA = torch.device("cuda")


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A CUDA card that torch says is here; its self-test gives ``problem``."""
    made = SimpleNamespace(problem="")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(device, "self_test", lambda name: made.problem if name == "cuda" else "")
    return made


def test_auto_takes_a_card_that_works(card: SimpleNamespace) -> None:
    choice = device.choose_device("auto", "float32")
    assert (choice.device.type, choice.reason, choice.remedy) == ("cuda", "a CUDA GPU is available (a card)", "")
    assert "set the device to auto" in device.choose_device("cpu", "float32").remedy


def test_a_card_without_kernels_is_left_and_said(card: SimpleNamespace) -> None:
    card.problem = "real FFT failed (CUDA error: no kernel image is available)"
    choice = device.choose_device("auto", "float32")
    assert choice.device.type == "cpu"
    assert card.problem in choice.reason
    assert "made for this card" in choice.remedy


def test_what_torch_keeps_for_later_is_free(card: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 8000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 5000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 2000)
    assert device.free_memory_bytes(CUDA) == 4000


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("used", [False, True])
def test_bfloat16_is_fast_where_the_processor_has_it_and_onednn_uses_it(
    there: bool, used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: there)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: used)
    choice = device.choose_device("cpu", "auto")
    assert choice.precision == ("bfloat16" if there and used else "float32")


@pytest.mark.parametrize("exact", [False, True])
def test_on_cuda_the_same_numbers_each_time(exact: bool) -> None:
    def flags() -> tuple[bool, bool]:
        return torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32

    before = flags()
    with device.repeatable(CUDA, exact=exact):
        assert flags() == (True, not exact)
    with device.repeatable(torch.device("cpu"), exact=exact):
        assert flags() == before
    assert flags() == before


def test_convolutions_with_the_psf_are_exact_and_the_network_repeatable(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, bool]] = []
    real = device.repeatable

    def spy(where: torch.device, *, exact: bool = False) -> Any:
        asked.append((where.type, exact))
        return real(where, exact=exact)

    for module in ("physics.blur", "training.run", "training.reference_result", "inference.views"):
        monkeypatch.setattr(f"napari_selfdeconv.{module}.repeatable", spy)
    x = torch.zeros(1, 1, 8, 8)
    blur = Blur(np.ones((3, 3)) / 9, method="direct")
    blur(x)
    blur.adjoint(x)
    assert asked == 2 * [("cpu", True)]
    asked.clear()
    tiny = preset(
        "quick",
        2,
        steps=1,
        patch=16,
        features=4,
        batch_size=1,
        pretrained=False,
        held_out_percent=0.0,
        auto_stop=False,
    )
    api.deconvolve(np.random.default_rng(0).random((16, 16)), np.ones((3, 3)) / 9, tiny)
    assert ("cpu", False) in asked


def test_after_a_cancel_nothing_is_left_on_the_device() -> None:
    tiny = preset("quick", 2, steps=1, patch=16, features=4, batch_size=1, pretrained=False)
    image = np.random.default_rng(0).random((16, 16)).astype(np.float32)
    model = api.deconvolve(image, np.ones((3, 3)) / 9, tiny).model
    held = [inverse._cache for inverse in model.network.inverses]
    assert not any(held)
    token = StopToken()
    work = api.iter_apply_model(model, image, stop=token)
    next(work)
    assert any(held)
    token.cancel()
    with pytest.raises(Cancelled):
        drain(work)
    assert not any(held)
