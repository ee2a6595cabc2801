"""Finds what a model reads, and what a provider bills, in the values that are never edited.

Such values are items of server tools, hosted tools and compactions, and parts of types that are not known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

#: Keys whose strings are ids or payloads, not text that the model reads.
_OPAQUE = re.compile(
    r"(.*_)?(id|type|data)|encrypted_.*|base64|b64_json|blob|status|role|signature|fingerprint|cache_control|image_url",
    re.DOTALL,
)
#: Keys whose objects a tool or its author wrote: every key and value in them is text.
_WRITTEN = frozenset(("input", "arguments", "args", "attributes", "parameters", "input_schema"))
_ENCRYPTED = "encrypted_"
#: Part types whose `data` is an encrypted payload.
_ENCRYPTED_TYPES = frozenset(("redacted_thinking", "reasoning.encrypted"))
_GENERATED_IMAGE = "image_generation_call"


def leaf_texts(value: Any) -> list[str]:
    """Returns the strings inside any JSON value, in order, without ids, data URLs and other payloads. Cycles end.

    What a tool was called with is one string: its JSON.
    """
    found: list[str] = []
    for node in _nodes(value):
        if isinstance(node, str) and node and not node.startswith("data:"):
            found.append(node)
    return found


def estimate_opaque_tokens(value: Any) -> int:
    """Estimates the tokens of the encrypted payloads inside any JSON value."""
    total = 0
    for node in _nodes(value):
        if isinstance(node, dict):
            keys = [key for key in node if isinstance(key, str) and key.startswith(_ENCRYPTED)]
            keys += ["data"] if str(node.get("type")) in _ENCRYPTED_TYPES else []
            total += sum(estimate_payload_tokens(node.get(key)) for key in keys)
    return total


def pdf_payloads(value: Any) -> list[str]:
    """Returns the base64 texts of the PDFs inside any JSON value, such as those that a server tool fetched."""
    nodes = (node for node in _nodes(value) if isinstance(node, dict) and node.get("media_type") == "application/pdf")
    return [node["data"] for node in nodes if isinstance(node.get("data"), str)]


def estimate_payload_tokens(payload: Any, text: str = "") -> int:
    """Estimates the tokens of a base64 payload: three bytes for four characters, and four bytes a token.

    Args:
        payload: The payload; other values than strings have no tokens.
        text: The readable text of the payload, as far as there is any. It is counted elsewhere.
    """
    return max(0, -(-len(payload) * 3 // 16) - len(text) // 4) if isinstance(payload, str) else 0


def _nodes(value: Any) -> Iterator[Any]:
    """Yields the objects in a value and the strings that the model reads, in order."""
    seen: set[int] = set()
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, (dict, list, tuple)) and id(node) not in seen:
            seen.add(id(node))
            if isinstance(node, dict):
                yield node
                stack.extend(reversed([_written(k, v) for k, v in node.items() if _is_read(k, node)]))
            else:
                stack.extend(reversed(node))


def _is_read(key: Any, node: Mapping[Any, Any]) -> bool:
    if node.get("type") == _GENERATED_IMAGE:
        return bool(key == "revised_prompt")
    if key == "data" and node.get("type") == "text":
        return True  # the text of a page that was fetched
    return not (isinstance(key, str) and _OPAQUE.fullmatch(key))


def _written(key: Any, value: Any) -> Any:
    if isinstance(value, (dict, list, tuple)) and value and isinstance(key, str) and key in _WRITTEN:
        try:
            return json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError, RecursionError):
            pass
    return value
