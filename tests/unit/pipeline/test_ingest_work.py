"""One more tool result costs the same after ten messages as after ten thousand."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from compressor import Compressor
from compressor.context.formats import openai_chat
from compressor.context.formats.known_history import forget_histories
from compressor.text.lossless.back_references import BackReferenceCodec
from compressor.tokens.counter import TokenCounter


def call(number: int) -> list[dict[str, Any]]:
    function = {"name": "read", "arguments": f'{{"path": "/srv/app/{number}.py"}}'}
    return [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": f"c{number}", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": f"c{number}", "content": f"result {number}: the file is empty"},
    ]


def big_call(number: int) -> list[dict[str, Any]]:
    asked, answer = call(number)
    lines = [f"entry {i} of file {number} has the checksum {i * 7919 + number}" for i in range(60)]
    return [asked, {**answer, "content": "\n".join(lines)}]


def history(rounds: int) -> list[dict[str, Any]]:
    task = [
        {"role": "system", "content": "You are an agent."},
        {"role": "user", "content": f"Find it in {rounds} files."},
    ]
    return [*task, *(message for i in range(rounds) for message in call(i))]


def work(monkeypatch: pytest.MonkeyPatch, rounds: int) -> Counter[str]:
    """Counts what is done for one more result."""
    done: Counter[str] = Counter()

    def count(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def counted(*args: Any, **options: Any) -> Any:
            done[name] += 1
            return original(*args, **options)

        monkeypatch.setattr(owner, name, counted)

    compressor = Compressor(store="memory")
    messages = history(rounds)
    size = compressor.compress(messages, budget=10**9, mode="ingest").tokens_before
    messages = compressor.compress([*messages, *big_call(rounds)], budget=size + 400, mode="ingest").messages
    more = [*messages, *big_call(rounds + 1)]
    with monkeypatch.context() as monkeypatch:
        count(openai_chat, "_read")
        count(openai_chat.OpenAIChatFormat, "may_match")
        count(TokenCounter, "count_turn")
        count(BackReferenceCodec, "add")
        result = compressor.compress(more, budget=size + 800, mode="ingest")
    assert result.tokens_after <= size + 800 < result.tokens_before
    assert all(a is b for a, b in zip(result.messages[:-1], more, strict=False))
    return done


@pytest.mark.parametrize("rounds", [5, 50, 500, pytest.param(5_000, marks=pytest.mark.slow)])
def test_work_does_not_grow_with_the_history(monkeypatch: pytest.MonkeyPatch, rounds: int) -> None:
    forget_histories()
    assert work(monkeypatch, rounds) == {"_read": 4, "may_match": 3, "count_turn": 4, "add": 2}
