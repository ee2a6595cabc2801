"""Compresses tool results that arrive without the calls they answer, as some gateways send them.

LiteLLM's hook holds back the system prompt, the last user message, all that the assistant said and the newest exchange.
What it sends is the rest: user messages, and results without their calls. Their number must not change, and a row that
is sent again must come back with the same bytes, for the provider's prompt cache. So each result is compressed once, by
itself, and the outcome is stored; no row is ever left out.

The user's question is not among the rows. A result is compressed for the user message before it, if there is one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from compressor.compressor import Compressor
from compressor.context.formats import detect_format
from compressor.context.model import Context, Turn
from compressor.errors import RefError, StoreError
from compressor.sessions import Conversation, Policy
from compressor.tokens import get_counter

_TOOL = "tool"  # the name of a tool whose call is not known
_KEY_PREFIX = "result-row:1:"


def are_rows(messages: Sequence[Any]) -> bool:
    """Returns whether messages are the rest of a history: results without calls, and nothing that the assistant said.

    Raises:
        ContextError: The messages are of no known format.
    """
    if any(isinstance(one, dict) and one.get("role") == "assistant" for one in messages):
        return False  # a whole history, as nearly always: it need not be parsed for this
    turns = _read(messages).turns
    return any(map(_lone_ids, turns)) and not any(turn.role == "assistant" for turn in turns)


class ResultRows:
    """Compresses rows, each once.

    Args:
        compressor: The tenant's compressor, whose store keeps the outcomes.
        policy: What is cut.
        model: The model whose tokens count.

    Attributes:
        warnings: What the user should know.
    """

    def __init__(self, compressor: Compressor, policy: Policy, model: str | None) -> None:
        self._compressor, self._policy, self._model = compressor, replace(policy, compact=False), model
        self.warnings: list[str] = []

    def compress(self, messages: Sequence[Any]) -> list[Any]:
        """Returns the messages in their order: lone results shorter, all others as they are.

        Raises:
            ContextError: The messages are of no known format.
        """
        context = _read(messages)
        out: list[Any] = list(messages)
        user: list[Any] = []  # the last user message before a result
        first: dict[str, list[Any]] = {}  # the first result with a text, and its call
        for turn in context.turns:
            message = messages[turn.index]
            if call_ids := _lone_ids(turn):
                text = "\n".join(slot.text for slot in turn.slots)
                pair = [*_make_calls(context.format_name, call_ids, message), message]
                same = first.get(text, [])
                out[turn.index] = self._compress_row([*user, *same, *pair], message, same)
                first.setdefault(text, pair)
            elif turn.role == "user":
                user = [message]
        return out

    def count(self, messages: Sequence[Any]) -> int:
        """Returns the tokens of messages."""
        return get_counter(self._model).count_context(_read(messages))

    def _compress_row(self, round_messages: list[Any], row: Any, same: list[Any]) -> Any:
        store, key = self._compressor.store, self._key(row, same)
        try:
            return json.loads(store.get(key))
        except RefError:
            pass  # it is new, or its retention is over
        except StoreError:
            key = ""  # the store does not answer: the same row is computed again, with the same outcome
        conversation = Conversation(self._compressor, self._model, None, self._policy, scope=_KEY_PREFIX, frozen=True)
        conversation.append(*round_messages)
        made = conversation.view(best_effort=True)[-1]
        self.warnings += [text for text in conversation.warnings if text not in self.warnings]
        if key:
            try:
                store.put({key: json.dumps(made).encode()})
            except StoreError:
                made = self._stored(key, made)
        return made

    def _stored(self, key: str, made: Any) -> Any:
        """Returns what another worker has stored in the meantime, or what was made here."""
        try:
            return json.loads(self._compressor.store.get(key))
        except (RefError, StoreError):
            return made

    def _key(self, row: Any, same: Any) -> str:
        """Returns what an outcome depends on, but for the user message, which may be held back at one time only."""
        parts = [row, same, get_counter(self._model).name, repr(self._policy)]
        text = json.dumps(parts, sort_keys=True, default=str)
        return _KEY_PREFIX + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _read(messages: Sequence[Any]) -> Context:
    dialect = detect_format(messages, lenient=True)
    return dialect.parse(messages, lenient=True)


def _lone_ids(turn: Turn) -> list[str]:
    """Returns the ids of the calls whose results a message holds without there being such calls."""
    if not turn.is_malformed:
        return []
    ids = dict.fromkeys(slot.call_id for slot in turn.slots if slot.kind == "tool_result" and slot.call_id)
    return [call_id for call_id in ids if call_id not in turn.linked_ids]  # linked: a second result of a call


def _make_calls(format_name: str, call_ids: Sequence[str], row: Mapping[str, Any]) -> list[Any]:
    """Returns messages with the calls that a row answers, as far as they are known."""
    name = row.get("name") or _TOOL
    if format_name == "openai_responses":
        return [{"type": "function_call", "call_id": one, "name": name, "arguments": "{}"} for one in call_ids]
    if format_name == "anthropic":
        return [
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": one, "name": name, "input": {}} for one in call_ids],
            }
        ]
    function = {"name": name, "arguments": "{}"}
    calls = [{"id": one, "type": "function", "function": function} for one in call_ids]
    return [{"role": "assistant", "content": None, "tool_calls": calls}]
