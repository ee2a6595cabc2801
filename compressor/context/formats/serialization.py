"""Writes messages as JSON and reads them again, and computes the digests that identify them.

A digest leaves out what may differ between two sends of the same message: where cached prefixes end, and ids and usage
that a framework adds later.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from compressor.context.formats.json_values import to_plain_dict
from compressor.errors import ContextError, MissingDependencyError

#: Hex digits of a digest.
DIGEST_LENGTH = 16
_TRANSIENT_KEYS = frozenset(("cache_control", "prompt_cache_breakpoint"))
#: The fields that identify a LangChain message; ids, artifacts and metadata may change.
_LANGCHAIN = ("type", "role", "content", "name", "tool_calls", "tool_call_id", "status", "additional_kwargs")
_CHUNKS = {
    "AIMessageChunk": "ai",
    "HumanMessageChunk": "human",
    "ToolMessageChunk": "tool",
    "SystemMessageChunk": "system",
}


def chain_digest(message: Any, previous_digest: str = "") -> str:
    """Returns a short hash of a message and the history before it.

    Args:
        message: A dict, an SDK's object or a LangChain message.
        previous_digest: The digest of the history before the message.

    Raises:
        ContextError: The message cannot be written as JSON.
    """
    item = _dict(message)
    try:
        text = json.dumps(_without_transient_keys(item), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ContextError(f"the message cannot be written as JSON: {error}") from None
    return hashlib.blake2b(
        (previous_digest + text).encode("utf-8", "surrogatepass"), digest_size=DIGEST_LENGTH // 2
    ).hexdigest()


def serialize_message(message: Any) -> Any:
    """Returns a message as JSON data.

    Where JSON cannot hold a LangChain message's artifact or metadata, the artifact is left out and such metadata
    becomes text, because models read neither.

    Args:
        message: A dict, an SDK's object or a LangChain message.

    Raises:
        ContextError: The message cannot be written as JSON.
    """
    try:
        if _is_langchain(message):
            return {"langchain": _langchain_json(_langchain().message_to_dict(message))}
        return json.loads(json.dumps(_dict(message), default=_sdk_to_dict))
    except ContextError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise ContextError(f"the message cannot be written as JSON: {error}") from None


def deserialize_message(data: Any) -> Any:
    """Returns the message again: an SDK's object as a dict, a LangChain message as a LangChain message."""
    if set(data) == {"langchain"}:
        return _langchain().messages_from_dict([data["langchain"]])[0]
    return data


def _langchain_json(data: dict[str, Any]) -> Any:
    try:
        return json.loads(json.dumps(data, default=_sdk_to_dict))
    except (TypeError, ValueError, RecursionError):
        return json.loads(json.dumps({**data, "data": {**data["data"], "artifact": None}}, default=str))


def _sdk_to_dict(value: Any) -> Any:
    """Converts an SDK's object inside a dict, as in `{"role": "assistant", "content": response.content}`."""
    found = to_plain_dict(value)
    if found is None:
        raise TypeError(f"{type(value).__name__} cannot be written as JSON")
    return found


def _dict(message: Any) -> Any:
    if _is_langchain(message):
        calls = getattr(message, "tool_calls", None) or ()  # chunks and whole messages differ in empty keys
        fields = {key: getattr(message, key, None) for key in _LANGCHAIN}
        fields["type"] = _CHUNKS.get(str(fields["type"]), fields["type"])
        return fields | {"tool_calls": [[c.get("id"), c.get("name"), c.get("args")] for c in calls]}
    item = to_plain_dict(message)
    if item is None:
        raise ContextError(f"a message must be a dict or a LangChain message, got {type(message).__name__}")
    return item


def _without_transient_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_transient_keys(v) for k, v in value.items() if k not in _TRANSIENT_KEYS and v is not None}
    if isinstance(value, (list, tuple)):
        return [_without_transient_keys(v) for v in value]
    found = to_plain_dict(value)
    return value if found is None else _without_transient_keys(found)


def _is_langchain(message: Any) -> bool:
    return not isinstance(message, dict) and any(
        base.__module__.startswith("langchain_core.messages") for base in type(message).__mro__
    )


def _langchain() -> Any:
    try:
        from langchain_core import messages
    except ImportError:
        raise MissingDependencyError("langchain-core", "langchain") from None
    return messages
