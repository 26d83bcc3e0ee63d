"""The stop token against a model of it: any order of stop, cancel, pause, resume, requests and child tokens."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from napari_selfdeconv.errors import Cancelled
from napari_selfdeconv.stop_token import StopToken


@dataclass
class Expected:
    """What is known of one token: whether it was stopped, and who its children are."""

    token: StopToken
    stopped: bool = False
    children: list[Expected] = field(default_factory=list)

    def stop(self) -> None:
        self.stopped = True
        for child in self.children:
            child.stop()


class TokenMachine(RuleBasedStateMachine):
    """One family of tokens. The pause, the request and the cancellation are the family's, a stop is not."""

    tokens = Bundle("tokens")

    @initialize(target=tokens)
    def begin(self) -> Expected:
        first = Expected(StopToken())
        self.family = [first]
        self.paused = self.cancelled = self.requested = False
        return first

    @rule(target=tokens, parent=tokens)
    def make_child(self, parent: Expected) -> Expected:
        child = Expected(parent.token.child())
        parent.children.append(child)
        self.family.append(child)
        return child

    @rule(known=tokens)
    def stop(self, known: Expected) -> None:
        known.token.stop()
        known.stop()
        self.paused = False

    @rule(known=tokens)
    def cancel(self, known: Expected) -> None:
        known.token.cancel()
        self.cancelled, self.paused = True, False

    @rule(known=tokens)
    def pause(self, known: Expected) -> None:
        known.token.pause()
        self.paused = True

    @rule(known=tokens)
    def resume(self, known: Expected) -> None:
        known.token.resume()
        self.paused = False

    @rule(known=tokens)
    def request(self, known: Expected) -> None:
        known.token.request_result()
        self.requested = True

    @rule(known=tokens)
    def take(self, known: Expected) -> None:
        assert known.token.take_request() == self.requested
        self.requested = False

    @invariant()
    def every_token_is_as_expected(self) -> None:
        for known in self.family:
            token = known.token
            assert token.cancelled == self.cancelled
            assert token.stopped == (known.stopped or self.cancelled)
            assert token.paused == (self.paused and not token.stopped)
            if self.cancelled:
                with pytest.raises(Cancelled):
                    token.raise_if_cancelled()
            else:
                token.raise_if_cancelled()

    @invariant()
    def nobody_waits_without_a_pause(self) -> None:
        if not self.paused:
            self.family[0].token.wait_while_paused(3600.0)


TokenMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)
test_any_order = TokenMachine.TestCase


def test_after_a_stop_the_next_part_can_be_paused() -> None:
    """As the channels of a series: a stop ends one, and the others go on and can be held."""
    series = StopToken()
    first = series.child()
    series.stop()
    second = series.child()
    series.pause()
    assert (first.paused, second.paused) == (False, True)
    series.stop()
    assert second.stopped
    assert not second.paused


@pytest.mark.parametrize("end", ["resume", "stop", "cancel"])
def test_a_wait_in_another_thread_ends(end: str) -> None:
    token = StopToken()
    token.pause()
    waiting = threading.Thread(target=token.child().wait_while_paused, args=(3600.0,))
    waiting.start()
    getattr(token, end)()
    waiting.join(timeout=60.0)
    assert not waiting.is_alive()
