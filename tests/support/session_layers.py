"""What tests of a session's layers share: short ways to write a history, and to play it to a conversation."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Collection
from typing import Any

from compressor import Compressor
from compressor.context.formats import detect_format
from compressor.sessions import Conversation, Policy
from compressor.tokens import get_counter
from support.session_tools import WORDS, Message

_numbers = itertools.count()


def user(text: str) -> Message:
    return {"role": "user", "content": text}


def agent(text: str) -> Message:
    return {"role": "assistant", "content": text}


def call(name: str, arguments: Any, result: str, says: str | None = None) -> list[Message]:
    """Returns a round: a call with its result."""
    number = f"c{next(_numbers)}"
    text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    function = {"name": name, "arguments": text}
    return [
        {
            "role": "assistant",
            "content": says,
            "tool_calls": [{"id": number, "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": number, "content": result},
    ]


def lines(seed: int, count: int = 25) -> str:
    rng = random.Random(seed)
    pick = rng.choice
    return "\n".join(
        f"The {pick(WORDS)} near the {pick(WORDS)} {pick(WORDS)} holds {rng.randrange(10**6)} units."
        for _ in range(count)
    )


def look(page: int, count: int = 25) -> list[Message]:
    return call("look", {"page": page}, lines(page, count))


def looks(start: int, end: int, count: int = 25) -> list[Message]:
    return [message for page in range(start, end) for message in look(page, count)]


def play(
    compressor: Compressor,
    messages: list[Message],
    budget: int | None = 3_000,
    policy: Policy | None = None,
    compact_at: Collection[int] = (),
    each: Callable[[int, list[Any]], None] | None = None,
) -> tuple[Conversation, list[Any]]:
    """Appends the messages, with a view before each assistant message. Returns the conversation and the last view."""
    talk = Conversation(compressor, "gpt-4o", budget, policy, scope="t")
    view: list[Any] = []
    for i, message in enumerate(messages):
        talk.append(message)
        following = messages[i + 1]["role"] if i + 1 < len(messages) else "assistant"
        if message["role"] != "assistant" and following == "assistant":
            view = talk.view(best_effort=True)
            if i in compact_at:
                talk.compact()
                view = talk.view(best_effort=True)
            if each is not None:
                each(i, view)
    return talk, view


def shown(view: list[Any]) -> str:
    """Returns all that a view says, with its calls."""
    calls = (c["function"] for m in view for c in m.get("tool_calls") or [])
    return "\n".join([*(m.get("content") or "" for m in view), *(f"{f['name']} {f['arguments']}" for f in calls)])


def count_tokens(view: list[Any]) -> int:
    return get_counter("gpt-4o").count_context(detect_format(view).parse(view))
