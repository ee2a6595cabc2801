"""A conversation whose view was not sent believes what was really sent."""

from __future__ import annotations

from typing import Any

import pytest

from compressor import Compressor
from compressor.sessions import Conversation, Session


def make_round(number: int) -> list[Any]:
    """A call and a result that is long enough to be cut."""
    call = {"id": f"c{number}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    lines = [f"12:{i % 60:02} worker-{number} {i * 7919 % 1009} finished item {i * 31337 % 9973}" for i in range(600)]
    return [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": f"c{number}", "content": "\n".join(lines)},
    ]


ROUNDS = [[{"role": "user", "content": "Which worker is slow?"}], *map(make_round, range(3))]
HISTORIES = [[message for part in ROUNDS[: i + 1] for message in part] for i in range(len(ROUNDS))]


@pytest.fixture(params=["conversation", "session"])
def talk(request: pytest.FixtureRequest) -> Conversation | Session:
    compressor = Compressor(store="memory")
    return Conversation(compressor, "gpt-4o") if request.param == "conversation" else compressor.session("s", "gpt-4o")


def before_view(talk: Conversation | Session) -> Any:
    conversation: Any = getattr(talk, "_conversation", talk)
    return conversation.counters_before_view


def test_a_view_that_was_replaced_by_the_raw_history_saves_nothing(talk: Conversation | Session) -> None:
    talk.sync(HISTORIES[1])
    view = talk.view()
    assert view != HISTORIES[1] and talk.cost_report().saved_cost > 0
    talk.record_unsent(before_view(talk), sent_raw=True)
    report = talk.cost_report()
    assert report.calls == 1 and report.actual_tokens == report.baseline_tokens and report.saved_cost == 0
    talk.sync(HISTORIES[2])
    now = talk.view()
    assert now[: len(view)] == view, "the work is kept: the next view begins with the one that was not sent"
    report = talk.cost_report()
    assert report.calls == 2 and report.cached_tokens == 0, "the provider has never seen that beginning"


def test_the_next_view_continues_the_last_one_that_was_sent(talk: Conversation | Session) -> None:
    talk.sync(HISTORIES[1])
    talk.view()
    sent = talk.cost_report().actual_last
    talk.sync(HISTORIES[2])
    talk.view()
    talk.record_unsent(before_view(talk), sent_raw=True)
    cached = talk.cost_report().cached_tokens
    talk.sync(HISTORIES[3])
    talk.view()
    assert talk.cost_report().cached_tokens - cached == (sent if sent >= 1024 else 0)


def test_a_view_of_which_nothing_was_sent_does_not_count(talk: Conversation | Session) -> None:
    talk.sync(HISTORIES[1])
    talk.view()
    once = talk.cost_report()
    talk.sync(HISTORIES[2])
    view = talk.view()
    talk.record_unsent(before_view(talk), sent_raw=False)
    report = talk.cost_report()
    assert (report.calls, report.actual_tokens) == (once.calls, once.actual_tokens)
    assert talk.view() == view, "the client asks again"
    assert talk.cost_report().calls == 2


def test_an_older_view_is_not_taken_back(talk: Conversation | Session) -> None:
    talk.sync(HISTORIES[1])
    talk.view()
    old = before_view(talk)
    talk.sync(HISTORIES[2])
    talk.view()
    report = talk.cost_report()
    talk.record_unsent(old, sent_raw=False)
    assert talk.cost_report() == report


def test_what_was_sent_as_it_is_stays_as_it_is(talk: Conversation | Session) -> None:
    talk.sync_sent(HISTORIES[2], sent_at=1e12)
    talk.sync(HISTORIES[3])
    view = talk.view()
    assert view[: len(HISTORIES[2])] == HISTORIES[2], "the provider's cache still matches"
    assert len(str(view[-1])) < len(str(HISTORIES[3][-1])), "what is new is cut"
    report = talk.cost_report()
    assert report.calls == 1 and report.cached_tokens > 1000
