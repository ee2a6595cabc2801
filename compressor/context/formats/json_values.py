"""Reads and writes the JSON values that messages are made of, for all message formats alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from compressor.context.formats.base import Edits
from compressor.context.model import Context, Path, TextSlot
from compressor.errors import ContextError


def to_plain_dict(value: Any) -> dict[str, Any] | None:
    """Returns a value as a dict, or None if it is not an object.

    Args:
        value: A dict, which is returned as it is, another mapping, or a pydantic model of a provider's SDK (from
            `messages.append(response.choices[0].message)`), which becomes the dict that the SDK would send.
    """
    if isinstance(value, dict):
        return value
    if isinstance(value, Mapping):
        return dict(value)
    if getattr(value, "__pydantic_fields_set__", None) is None or isinstance(value, type):
        return None
    dumped = value.model_dump(exclude_unset=True, warnings=False)
    return dumped if isinstance(dumped, dict) else None


def as_message_list(messages: Any) -> Sequence[Any]:
    """Returns the messages themselves.

    Raises:
        ContextError: They are not a list.
    """
    if isinstance(messages, Sequence) and not isinstance(messages, (str, bytes, bytearray)):
        return messages
    raise ContextError(f"the context must be a list of messages, got {type(messages).__name__}")


def dump_arguments(arguments: Any, index: int) -> str:
    """Returns a tool call's arguments as JSON text.

    Args:
        arguments: The arguments as a dict.
        index: Index of the message, for the error.

    Raises:
        ContextError: The arguments are not a dict or cannot be written as JSON.
    """
    if not isinstance(arguments, dict):
        raise ContextError(f"tool call arguments must be a dict, got {type(arguments).__name__}", index)
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ContextError(f"tool call arguments cannot be written as JSON: {error}", index) from None


def load_arguments(text: str, index: int) -> dict[str, Any]:
    """Parses edited tool call arguments.

    Args:
        text: The arguments as JSON text.
        index: Index of the message, for the error.

    Raises:
        ContextError: The text is not a JSON object.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ContextError(f"edited tool call arguments are not JSON: {error}", index) from None
    if not isinstance(value, dict):
        raise ContextError("edited tool call arguments must be a JSON object", index)
    return value


def value_at(root: Any, path: Path) -> Any:
    """Returns what stands at a path."""
    for key in path:
        root = as_container(root)[key]
    return root


def as_container(node: Any) -> Any:
    """Makes a value indexable: models become dicts."""
    return node if isinstance(node, (dict, list, tuple)) else to_plain_dict(node)


def part_json(message: Any, path: Sequence[str | int]) -> str:
    """Returns the part of a message at a path as JSON text, such as an image with its data."""
    part = message
    for step in path:
        part = getattr(part, str(step)) if hasattr(part, str(step)) else part[step]
    return json.dumps(part, ensure_ascii=False, default=str)


class Parts(tuple[dict[str, Any], ...]):
    """Several parts that take the place of one in a list."""

    __slots__ = ()


def set_paths(root: Any, values: Iterable[tuple[Path, Any]]) -> dict[str, Any]:
    """Returns a copy of a message with new values at some paths; only the containers on these paths are copied.

    `Parts` are put into a list one by one.
    """
    result = dict(as_container(root))
    copies: dict[Path, Any] = {}
    grown: set[Path] = set()
    for path, value in values:
        node: Any = result
        for depth in range(1, len(path)):
            prefix = path[:depth]
            child = copies.get(prefix)
            if child is None:
                child = as_container(node[prefix[-1]])
                child = dict(child) if isinstance(child, dict) else list(child)
                node[prefix[-1]] = copies[prefix] = child
            node = child
        node[path[-1]] = value
        if isinstance(value, Parts):
            grown.add(path[:-1])
    for path in grown:  # at the end, because it moves what stands behind
        items = copies[path]
        items[:] = [part for item in items for part in (item if isinstance(item, Parts) else (item,))]
    return result


def render(
    context: Context, edits: Edits, drop: Collection[int], write: Callable[[Any, list[tuple[TextSlot, str]]], Any]
) -> list[Any]:
    """Renders a context. An edit to the text that the slot already has changes nothing.

    Args:
        context: The parsed messages.
        edits: New texts of slots.
        drop: Indices of messages to leave out.
        write: Copies a message with new texts for some of its slots.

    Raises:
        ContextError: An edit does not fit an editable slot.
    """
    dropped = set(drop)
    wanted: dict[int, dict[Path, str]] = {}
    for (index, path), text in edits.items():
        wanted.setdefault(index, {})[path] = text
    rendered = list(context.messages)
    for index, texts in sorted(wanted.items()):
        if index in dropped:
            continue
        if not 0 <= index < len(rendered):
            raise ContextError("cannot edit a message that does not exist", index)
        slots = {
            slot.path: slot
            for slot in context.turns[index].slots
            if slot.editable or (slot.image is not None and slot.image.needs_picture)
        }
        if unknown := [path for path in texts if path not in slots]:
            raise ContextError(f"cannot edit {unknown[0]}: the message has no editable text there", index)
        changes = [(slots[p], text) for p, text in texts.items() if slots[p].image or slots[p].text != text]
        if changes:
            rendered[index] = write(rendered[index], changes)
    return [message for index, message in enumerate(rendered) if index not in dropped] if dropped else rendered
