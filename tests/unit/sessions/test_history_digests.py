"""A digest says what a history holds now, whatever was written to it since the last time."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.context.formats import serialization
from compressor.sessions.history_digests import HistoryDigests


def all_anew(messages: list[Any]) -> list[str]:
    out: list[str] = []
    for message in messages:
        out.append(serialization.chain_digest(message, out[-1] if out else ""))
    return out


def history(count: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "text", "text": f"question {i}"}]} for i in range(count)]


def test_messages_that_were_written_to_get_new_digests() -> None:
    digests, messages = HistoryDigests(frozen=False), history(9)
    assert digests.compute(list(messages)) == all_anew(messages)
    messages[4]["content"][0]["text"] = "another question"
    assert digests.compute(list(messages)) == all_anew(messages)
    messages[7]["name"] = "bob"
    del messages[2]["content"][0]
    assert digests.compute([*messages, *history(2)]) == all_anew([*messages, *history(2)])
    assert digests.compute(messages[:3]) == all_anew(messages[:3])


def test_only_new_messages_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    digests, messages = HistoryDigests(frozen=False), history(50)
    read: list[Any] = []
    digests.compute(list(messages))
    original = serialization.chain_digest

    def chain_digest(message: Any, previous: str) -> str:
        read.append(message)
        return original(message, previous)

    monkeypatch.setattr(serialization, "chain_digest", chain_digest)
    digests.compute([*messages, *history(2)])
    assert len(read) == 2


def test_langchain_messages_that_cannot_be_copied() -> None:
    langchain = pytest.importorskip("langchain_core.messages")
    tool = langchain.ToolMessage("result", tool_call_id="c", artifact=object())
    messages = [langchain.HumanMessage("hi"), tool, langchain.AIMessage("done")]
    digests = HistoryDigests(frozen=False)
    for _ in range(2):
        assert digests.compute(list(messages)) == all_anew(messages)
    messages[2].content = "not done"
    assert digests.compute(list(messages)) == all_anew(messages)
