"""One more tool round costs a session the same after ten messages as after a thousand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from compressor import Compressor
from compressor.context.formats import openai_chat, serialization
from compressor.context.formats.known_history import forget_histories
from compressor.sessions.state import MessageRecord
from compressor.tokens.counter import TokenCounter


def call(number: int, lines: int = 1) -> list[dict[str, Any]]:
    function = {"name": "read", "arguments": f'{{"path": "/srv/app/{number}.py"}}'}
    text = "\n".join(f"entry {i} of file {number} has the checksum {i * 7919 + number}" for i in range(lines))
    return [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": f"c{number}", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": f"c{number}", "content": text},
    ]


def work(monkeypatch: pytest.MonkeyPatch, rounds: int, how: str) -> Counter[str]:
    """Counts what is done for one more tool round."""
    done: Counter[str] = Counter()

    def count(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def counted(*args: Any, **options: Any) -> Any:
            done[name] += 1
            return original(*args, **options)

        monkeypatch.setattr(owner, name, counted)

    forget_histories()
    session = Compressor(store="memory").session("s", model="gpt-4o", budget=2_000_000)
    history = [{"role": "user", "content": "Find it."}, *(message for i in range(rounds) for message in call(i))]
    session.append(*history)
    session.view()
    more = call(rounds, lines=60)
    with monkeypatch.context() as monkeypatch:
        count(openai_chat, "_read")
        count(serialization, "chain_digest")
        count(MessageRecord, "to_json")
        count(TokenCounter, "count_turn")
        if how == "append":
            session.append(*more)
        else:
            session.sync([*history, *more])
        view = session.view()
    assert len(view) == len(history) + 2
    return done


@pytest.mark.parametrize("how", ["append", "sync"])
def test_work_does_not_grow_with_the_session(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    work(monkeypatch, 2, how)  # loads what is loaded on first use
    few = work(monkeypatch, 5, how)
    assert few["_read"] < 20 and few["chain_digest"] in (2, 13)
    many = work(monkeypatch, 500, how)
    del few["chain_digest"], many["chain_digest"]  # the first sync reads all messages
    assert many == few
