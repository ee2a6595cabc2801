"""Copies messages, and tells whether a message still is what it was when it was copied.

Callers write to their messages. What was read from a message can be used again only if the message is unchanged, down
to the order of its keys and the types of its numbers. Strings are shared with the copy, so that a comparison of
unchanged messages compares addresses.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from compressor.native import load_kernel

MAX_DEPTH = 64
MAX_NODES = 100_000  # containers and items in one message; a larger one is not copied
_PLAIN = (str, int, float, bool, type(None))

_kernel = load_kernel("message_copies")


class ModelCopy(NamedTuple):
    """A copy of a pydantic model, such as an SDK's object or a LangChain message.

    Attributes:
        cls: Its class.
        fields: Its fields.
        extra: Its fields that the class does not declare, or None.
        names: The names of the fields that were set.
    """

    cls: type
    fields: dict[str, Any]
    extra: dict[str, Any] | None
    names: frozenset[str]


class _NotCopiedError(Exception):
    pass


def copy_message(message: Any) -> tuple[Any, int] | None:
    """Copies a message.

    Args:
        message: The message.

    Returns:
        The copy, and the number of characters in it. None if the message holds anything but JSON values and pydantic
        models of such values.
    """
    if _kernel is not None:
        found: tuple[Any, int] | None = _kernel.copy_value(message, MAX_DEPTH, MAX_NODES, ModelCopy)
        return found
    sums = [MAX_NODES, 0]
    try:
        return _copy(message, MAX_DEPTH, sums), sums[1]
    except _NotCopiedError:
        return None


def common_length(messages: list[Any], copies: list[Any]) -> int:
    """Returns how many messages at the start still are what they were when they were copied.

    Args:
        messages: The messages as they are now.
        copies: What `copy_message` returned for each.
    """
    if _kernel is not None:
        found: int = _kernel.common_length(messages, copies, ModelCopy)
        return found
    pairs = zip(messages, copies, strict=False)
    return next((i for i, (one, copy) in enumerate(pairs) if not _same(one, copy)), min(len(messages), len(copies)))


def _copy(value: Any, depth: int, sums: list[int]) -> Any:
    """Copies a value; `sums` holds how many containers and items may follow, and the characters so far."""
    kind = type(value)
    if kind in _PLAIN:
        sums[1] += len(value) if kind is str else 0
        return value
    sums[0] -= 1
    if depth <= 0 or sums[0] <= 0:
        raise _NotCopiedError
    if kind is dict:
        sums[0] -= len(value)
        if not all(type(key) is str for key in value):
            raise _NotCopiedError
        return {key: _copy(item, depth - 1, sums) for key, item in value.items()}
    if kind is list or kind is tuple:
        sums[0] -= len(value)
        return kind([_copy(item, depth - 1, sums) for item in value])
    names = getattr(value, "__pydantic_fields_set__", None)
    if type(names) is not set or isinstance(value, type) or getattr(value, "__pydantic_private__", None) is not None:
        raise _NotCopiedError
    if type(value.__dict__) is not dict:
        raise _NotCopiedError
    fields = _copy(value.__dict__, depth - 1, sums)
    extra = _copy(getattr(value, "__pydantic_extra__", None), depth - 1, sums)
    return ModelCopy(kind, fields, extra, frozenset(names))


def _same(value: Any, copy: Any) -> bool:
    kind = type(value)
    if type(copy) is ModelCopy:
        return (
            kind is copy.cls
            and type(value.__dict__) is dict
            and _same(value.__dict__, copy.fields)
            and _same(getattr(value, "__pydantic_extra__", None), copy.extra)
            and getattr(value, "__pydantic_fields_set__", None) == copy.names
            and getattr(value, "__pydantic_private__", None) is None
        )
    if kind is not type(copy):
        return False
    if kind is dict:
        return len(value) == len(copy) and all(
            _same(a, b) and _same(value[a], copy[b]) for a, b in zip(value, copy, strict=True)
        )
    if kind is list or kind is tuple:
        return len(value) == len(copy) and all(map(_same, value, copy))
    return value.hex() == copy.hex() if kind is float else bool(value == copy)
