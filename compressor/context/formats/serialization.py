"""Messages as JSON and back, and what tells one from another. Knows dicts, SDK objects and LangChain messages.

A digest leaves out what may differ between two sends of the same message: where prompt cache borders stand, ids and
usage that a framework adds later. Knows no dialect's meaning.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from compressor.context.formats.json_values import to_plain_dict
from compressor.errors import ContextError, MissingDependencyError

DIGEST = 16  # hex digits
_TRANSIENT_KEYS = frozenset(("cache_control", "prompt_cache_breakpoint"))
#: What makes a LangChain message what it is; ids, artifacts and metadata come and go.
_LANGCHAIN = ("type", "role", "content", "name", "tool_calls", "tool_call_id", "status", "additional_kwargs")
_CHUNKS = {
    "AIMessageChunk": "ai",
    "HumanMessageChunk": "human",
    "ToolMessageChunk": "tool",
    "SystemMessageChunk": "system",
}


def chain_digest(message: Any, before: str = "") -> str:
    """A short hash of a message that came after a history with the digest `before`. ContextError if it cannot be
    written as JSON."""
    item = _dict(message)
    try:
        text = json.dumps(_without_transient_keys(item), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise ContextError(f"a message that cannot be written as JSON: {error}") from None
    return hashlib.blake2b((before + text).encode("utf-8", "surrogatepass"), digest_size=DIGEST // 2).hexdigest()


def serialize_message(message: Any) -> Any:
    """A message as JSON data. ContextError if it cannot be written so. A LangChain message's artifact that cannot is
    left out, and such metadata becomes text: no model reads them."""
    try:
        if _is_langchain(message):
            return {"langchain": _langchain_json(_langchain().message_to_dict(message))}
        return json.loads(json.dumps(_dict(message), default=_sdk))
    except ContextError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise ContextError(f"a message that cannot be written as JSON: {error}") from None


def deserialize_message(data: Any) -> Any:
    """The message again: SDK objects come back as dicts, LangChain messages as LangChain messages."""
    if set(data) == {"langchain"}:
        return _langchain().messages_from_dict([data["langchain"]])[0]
    return data


def _langchain_json(data: dict[str, Any]) -> Any:
    try:
        return json.loads(json.dumps(data, default=_sdk))
    except (TypeError, ValueError, RecursionError):
        return json.loads(json.dumps({**data, "data": {**data["data"], "artifact": None}}, default=str))


def _sdk(value: Any) -> Any:
    """An SDK's object inside a dict, as in `{"role": "assistant", "content": response.content}`."""
    found = to_plain_dict(value)
    if found is None:
        raise TypeError(f"{type(value).__name__} is no JSON")
    return found


def _dict(message: Any) -> Any:
    if _is_langchain(message):
        calls = getattr(message, "tool_calls", None) or ()  # chunks' and whole messages' calls differ in empty keys
        said = {key: getattr(message, key, None) for key in _LANGCHAIN}
        said["type"] = _CHUNKS.get(str(said["type"]), said["type"])
        return said | {"tool_calls": [[c.get("id"), c.get("name"), c.get("args")] for c in calls]}
    item = to_plain_dict(message)
    if item is None:
        raise ContextError(f"a message is a dict or a LangChain message, got {type(message).__name__}")
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
