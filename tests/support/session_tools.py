"""What tests of sessions share: made-up conversations, and views of them."""

from __future__ import annotations

import asyncio
import inspect
import json
import random
from typing import Any

from compressor import Compressor
from compressor.context.formats import detect_format
from compressor.sessions import AsyncSession, Session
from compressor.tokens import get_counter

Message = dict[str, Any]
WORDS = "harbour lantern gravel orbit maple cobalt ferry pillar walnut signal meadow copper".split()


class SyncSession:
    """An `AsyncSession` that is called without `await`, so that the tests of `Session` can run over it."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._session, name)
        if not inspect.iscoroutinefunction(value):
            return value

        def call(*args: Any, **options: Any) -> Any:
            result = asyncio.run(value(*args, **options))
            return SyncSession(result) if isinstance(result, AsyncSession) else result

        return call


SESSION_KINDS = ("Session", "AsyncSession")


def compressor_of_sessions(kind: str) -> Compressor:
    """A compressor in memory whose `session` gives sessions of this kind, all to be called in the same way."""
    compressor = Compressor(store="memory")
    if kind == "AsyncSession":
        make = compressor.session
        compressor.session = lambda *args, **options: SyncSession(AsyncSession(make(*args, **options)))  # type: ignore
    return compressor


def prose(seed: int, sentences: int = 30) -> str:
    rng = random.Random(seed)
    return " ".join(
        f"The {rng.choice(WORDS)} near the {rng.choice(WORDS)} holds {rng.randrange(10**6)} units."
        for _ in range(sentences)
    )


def conversation(rounds: int, seed: int = 0, sentences: int = 30) -> list[Message]:
    """A task, then rounds of one tool call each."""
    out: list[Message] = [
        {"role": "system", "content": "You are a careful clerk."},
        {"role": "user", "content": "Find out where the copper is stored. Never delete a record."},
    ]
    for i in range(rounds):
        call = {"id": f"c{i}", "type": "function", "function": {"name": "look", "arguments": f'{{"page": {i}}}'}}
        out.append({"role": "assistant", "content": f"Looking at page {i}.", "tool_calls": [call]})
        out.append({"role": "tool", "tool_call_id": f"c{i}", "content": prose(1000 * seed + i, sentences)})
    return out


def text(messages: list[Any]) -> str:
    return json.dumps(messages, ensure_ascii=False)


def tokens(messages: list[Any], model: str = "gpt-4o") -> int:
    return get_counter(model).count_context(detect_format(messages).parse(messages))


def replay(session: Any, messages: list[Message]) -> list[list[Any]]:
    """All views, one before each assistant message, and one at the end."""
    views = []
    for message in messages:
        if message["role"] == "assistant":
            views.append(session.view())
        session.append(message)
    return [*views, session.view()]


def said(*texts: str) -> list[Message]:
    return [{"role": "user", "content": words} for words in texts]


def words_of(session: Session) -> list[str]:
    return [m["content"] for m in session.view()]
