"""Values as they come over the wire, read and written without knowing which dialect they belong to.

Reading: `plain` (a dict, whether given as a dict or as a provider SDK's model object), `leaf_texts`, `to_json`.
Writing: `replaced`, a copy of a message in which only the given paths differ, and `render`, which does so for a whole
context. No roles, no slots' meaning, no pairs: those belong to the dialects.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from compressor.context.formats.base import Edits
from compressor.context.model import Context, Path, TextSlot
from compressor.errors import ContextError

#: Keys whose strings are handles or payloads, not text the model reads.
_OPAQUE = re.compile(
    r"(.*_)?(id|type|data)|encrypted_.*|base64|status|role|signature|fingerprint|cache_control|image_url", re.DOTALL
)
#: Marks of a prompt cache's border, which must stay where they are when an image becomes a text.
_CACHE_KEYS = ("cache_control", "prompt_cache_breakpoint")


def to_plain_dict(value: Any) -> dict[str, Any] | None:
    """A dict as it is; a mapping or an SDK's pydantic model (`messages.append(response.choices[0].message)`) as the
    dict that the SDK would send; None for anything else."""
    if isinstance(value, dict):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    if getattr(value, "__pydantic_fields_set__", None) is None or isinstance(value, type):
        return None
    dumped = value.model_dump(exclude_unset=True, warnings=False)
    return dumped if isinstance(dumped, dict) else None


def as_message_list(messages: Any) -> Sequence[Any]:
    """The messages themselves; `ContextError` if they are no list."""
    if isinstance(messages, Sequence) and not isinstance(messages, (str, bytes, bytearray)):
        return messages
    raise ContextError(f"a context is a list of messages, got {type(messages).__name__}")


def leaf_texts(value: Any) -> list[str]:
    """The strings inside any JSON value, in order, without handles, data URLs and other payloads. Cycles are cut."""
    found: list[str] = []
    seen: set[int] = set()
    stack = [value]
    while stack:
        node = stack.pop()
        if isinstance(node, str):
            if node and not node.startswith("data:"):
                found.append(node)
            continue
        if not isinstance(node, (dict, list, tuple)) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, dict):
            stack.extend(reversed([v for k, v in node.items() if not _opaque(k)]))
        else:
            stack.extend(reversed(node))
    return found


def _opaque(key: Any) -> bool:
    return isinstance(key, str) and _OPAQUE.fullmatch(key) is not None


def dump_arguments(arguments: Any, index: int) -> str:
    """A tool call's arguments, given as a dict, as JSON text. `ContextError` if JSON cannot hold them."""
    if not isinstance(arguments, dict):
        raise ContextError(f"tool call arguments must be a dict, got {type(arguments).__name__}", index)
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ContextError(f"tool call arguments cannot be written as JSON: {error}", index) from None


def load_arguments(text: str, index: int) -> dict[str, Any]:
    """The dict that edited arguments stand for; `ContextError` if they are no JSON object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ContextError(f"edited tool call arguments are not JSON: {error}", index) from None
    if not isinstance(value, dict):
        raise ContextError("edited tool call arguments must be a JSON object", index)
    return value


def _at(root: Any, path: Path) -> Any:
    for key in path:
        root = _open(root)[key]
    return root


def _open(node: Any) -> Any:
    """What can be indexed and copied: models become dicts."""
    return node if isinstance(node, (dict, list, tuple)) else to_plain_dict(node)


def slot_value(slot: TextSlot, root: Any, text: str, text_type: str) -> Any:
    """What has to stand at the slot's path so that it says `text`: a text part where an image stood, a dict where
    arguments are held as a dict, the text itself elsewhere."""
    if slot.kind == "image":
        part = _open(_at(root, slot.path))
        return {"type": text_type, "text": text} | {k: part[k] for k in _CACHE_KEYS if k in part}
    if slot.kind == "tool_call" and not isinstance(_at(root, slot.path), str):
        return load_arguments(text, slot.message)
    return text


def set_paths(root: Any, values: Iterable[tuple[Path, Any]]) -> dict[str, Any]:
    """A copy of a message with the values put at the paths. Only the containers on the way are copied, each once."""
    result = dict(_open(root))
    copies: dict[Path, Any] = {}
    for path, value in values:
        node: Any = result
        for depth in range(1, len(path)):
            way = path[:depth]
            child = copies.get(way)
            if child is None:
                child = _open(node[way[-1]])
                child = dict(child) if isinstance(child, dict) else list(child)
                node[way[-1]] = copies[way] = child
            node = child
        node[path[-1]] = value
    return result


def write_parts(message: Any, changes: list[tuple[TextSlot, str]]) -> dict[str, Any]:
    """A copy of a message with new texts, where a part's text is held as OpenAI chat and Anthropic hold it."""
    return set_paths(message, [(slot.path, slot_value(slot, message, text, "text")) for slot, text in changes])


def render(
    context: Context, edits: Edits, drop: Collection[int], write: Callable[[Any, list[tuple[TextSlot, str]]], Any]
) -> list[Any]:
    """The context's messages without those in `drop`; `write` makes the copy of a message that has edits.

    An edit to a text that is there already is none. `ContextError` for an edit that fits no editable slot.
    """
    dropped = set(drop)
    wanted: dict[int, dict[Path, str]] = {}
    for (index, path), text in edits.items():
        wanted.setdefault(index, {})[path] = text
    turns = {turn.index: turn for turn in context.turns if turn.index in wanted}
    rendered = []
    for index, message in enumerate(context.messages):
        if index in dropped:
            continue
        texts = wanted.pop(index, None)
        if texts:
            slots = {slot.path: slot for slot in turns[index].slots if slot.editable}
            if unknown := [path for path in texts if path not in slots]:
                raise ContextError(f"nothing to edit at {unknown[0]}", index)
            changes = [(slots[p], text) for p, text in texts.items() if slots[p].image or slots[p].text != text]
            if changes:
                message = write(message, changes)
        rendered.append(message)
    if lost := sorted(wanted.keys() - dropped):
        raise ContextError("edited, but there is no such message", lost[0])
    return rendered
