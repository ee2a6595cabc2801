"""Reads and writes LangChain messages (`langchain_core.messages`) without importing LangChain.

LangChain's classes are recognised by name: system, human, AI, tool, function and chat messages with string content,
provider-native blocks or standard content blocks. An edited message is a `model_copy`, so id, metadata and artifact
stay. LangChain may hold a tool call's arguments up to three times (`tool_calls`, content blocks, `additional_kwargs`);
an edit changes all of them. Tuples and dicts that LangChain would convert must be converted before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import cache
from typing import Any

from compressor.context.formats.base import Edits
from compressor.context.formats.content_parts import PARTS, Part, Reader, read_content, read_reasoning
from compressor.context.formats.json_values import (
    dump_arguments,
    load_arguments,
    render,
    set_paths,
    to_plain_dict,
)
from compressor.context.formats.parsing import EndCheck, MessageReader, parse_turns
from compressor.context.formats.reasoning_fields import read_reasoning_fields
from compressor.context.formats.slot_values import slot_value
from compressor.context.formats.tool_call_pairing import ToolCallPairing
from compressor.context.formats.turn_builder import PartLabel, TurnBuilder
from compressor.context.model import Context, Kind, Path, Role, TextSlot, Turn
from compressor.errors import ContextError

_ROLES: dict[str, tuple[Role, Kind]] = {
    "SystemMessage": ("system", "system"),
    "HumanMessage": ("user", "user"),
    "AIMessage": ("assistant", "assistant"),
    "ToolMessage": ("tool", "tool_result"),
    "FunctionMessage": ("tool", "tool_result"),
}
_CHAT_ROLES = {
    "system": "SystemMessage",
    "developer": "SystemMessage",
    "user": "HumanMessage",
    "human": "HumanMessage",
    "assistant": "AIMessage",
    "ai": "AIMessage",
}
#: Types of content blocks that hold a tool call -> (key of its id, key of its arguments).
_CALL_BLOCKS = {
    "tool_call": ("id", "args"),
    "tool_use": ("id", "input"),
    "function_call": ("call_id", "arguments"),
}


class LangChainFormat:
    """The LangChain format."""

    name = "langchain"

    def may_match(self, message: Any) -> bool:
        """Returns whether one message is of this format. Never raises."""
        return _class_of(message) is not None

    def matches(self, messages: Sequence[Any]) -> bool:
        """Returns whether these messages are written in this format. Never raises."""
        return bool(messages) and all(map(self.may_match, messages))

    def parse(self, messages: Sequence[Any], tools: Sequence[Any] | None = None, lenient: bool = False) -> Context:
        """Reads the messages; raises ContextError for what the provider would reject, unless `lenient`."""
        return Context(messages, parse_turns(messages, self.reader(messages)[0], lenient), self.name, tools)

    def reader(self, messages: Sequence[Any]) -> tuple[MessageReader, EndCheck | None]:
        """Returns what reads one of these messages, and what checks the pairs of calls and results at the end."""
        answered = cache(lambda: {getattr(message, "tool_call_id", None) for message in messages} - {None})

        def read(index: int, message: Any, pairing: ToolCallPairing) -> Turn:
            return _read(index, message, pairing, answered)

        return read, None

    def render(self, context: Context, edits: Edits, drop: Collection[int] = ()) -> list[Any]:
        """Writes the messages again, with `edits` applied and those in `drop` left out."""
        return render(context, edits, drop, _write)


_CLASSES: dict[Any, str | None] = {}  # a class -> the LangChain message class that it is or inherits from


def _class_of(message: Any) -> str | None:
    """The name of the LangChain class that a message is an instance of; None for other objects."""
    cls = type(message)
    if cls not in _CLASSES:
        _CLASSES[cls] = _find_class(cls)
    return _CLASSES[cls]


def _find_class(cls: type) -> str | None:
    for base in cls.__mro__:
        if base.__module__.startswith("langchain_core.messages"):
            if base.__name__ in _ROLES or base.__name__ in ("ChatMessage", "RemoveMessage"):
                return base.__name__
            if base.__name__ == "BaseMessage":
                return cls.__name__
    return None


def _write(message: Any, changes: list[tuple[TextSlot, str]]) -> Any:
    fields = {slot.path[0] for slot, _ in changes}
    if any(slot.kind == "tool_call" for slot, _ in changes):
        fields |= {"content", "additional_kwargs"}
    root = {str(field): getattr(message, str(field)) for field in sorted(map(str, fields))}
    values: list[tuple[Path, Any]] = []
    for slot, text in changes:
        value = slot_value(slot, root, text, "text")
        values.append((slot.path, value))
        if slot.kind == "tool_call" and slot.call_id:
            for path, holds_text in _mirrors(root, slot.call_id):
                if path != slot.path:
                    values.append((path, text if holds_text else load_arguments(text, slot.message)))
    changed = set_paths(root, values)
    return message.model_copy(update={key: value for key, value in changed.items() if value is not root[key]})


def _mirrors(root: dict[str, Any], call_id: str) -> Iterator[tuple[Path, bool]]:
    """The paths where a message repeats the arguments of a call, and whether they are JSON text there."""
    content = root["content"]
    for i, block in enumerate(content if isinstance(content, list) else ()):
        if isinstance(block, dict) and str(block.get("type")) in _CALL_BLOCKS:
            id_key, key = _CALL_BLOCKS[block["type"]]
            if block.get(id_key) == call_id and key in block:
                yield ("content", i, key), isinstance(block[key], str)
    calls = root["additional_kwargs"].get("tool_calls")
    for i, call in enumerate(calls if isinstance(calls, list) else ()):
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and call.get("id") == call_id and isinstance(function.get("arguments"), str):
            yield ("additional_kwargs", "tool_calls", i, "function", "arguments"), True


def _read(index: int, message: Any, pairing: ToolCallPairing, answered: Callable[[], set[Any]]) -> Turn:
    name = _class_of(message)
    if name is None:
        raise ContextError(
            f"a {type(message).__name__} is not a LangChain message: call convert_to_messages() first", index
        )
    if name == "RemoveMessage":
        raise ContextError(
            "a RemoveMessage cannot be sent to a model: apply it to the list first (add_messages)", index
        )
    if name == "ChatMessage":
        name = _CHAT_ROLES.get(message.role, f"ChatMessage of role {message.role!r}")
    if name not in _ROLES:
        raise ContextError(f"a {name} cannot be sent to a model: use a system, human, AI or tool message", index)
    role, kind = _ROLES[name]
    builder = TurnBuilder(index, role, pairing)
    if name == "ToolMessage":
        label = builder.add_result(message.tool_call_id, message.name)
    else:
        pairing.require_results()
        if name == "FunctionMessage":
            label = builder.add_function_result(message.name)
        else:
            label = PartLabel(kind)
            builder.add_extra(message.name)
    read_content(builder, message.content, ("content",), label, _READERS, allow_strings=True)
    if role == "assistant":
        _read_calls(builder, message, answered)
        _read_reasoning(builder, message)
        builder.add_unedited(message.additional_kwargs.get("tool_outputs"))  # of OpenAI's own tools, in older versions
    return builder.build()


def _read_calls(builder: TurnBuilder, message: Any, answered: Callable[[], set[Any]]) -> None:
    calls = getattr(message, "tool_calls", ())
    for i, call in enumerate(calls):
        label = builder.add_call(call.get("id"), call.get("name"))
        builder.add_text(("tool_calls", i, "args"), dump_arguments(call.get("args"), builder.index), label)
    for i, call in enumerate(getattr(message, "invalid_tool_calls", ())):
        builder.pairing.depends_on_later = True
        if call.get("id") in answered():  # some integrations send invalid calls, too; then they have a result
            label = builder.add_call(call.get("id"), call.get("name"))
            builder.add_text(("invalid_tool_calls", i, "args"), call.get("args") or "", label)
    for i, block in enumerate(message.content if isinstance(message.content, list) else ()):
        if isinstance(block, dict) and str(block.get("type")) in _CALL_BLOCKS:
            id_key, key = _CALL_BLOCKS[block["type"]]
            if block.get(id_key) in builder.call_ids:
                continue
            label = builder.add_call(block.get(id_key), block.get("name"))
            held = block.get(key)
            builder.add_text(
                ("content", i, key), held if isinstance(held, str) else dump_arguments(held, builder.index), label
            )
    legacy = to_plain_dict(message.additional_kwargs.get("function_call"))
    if legacy is not None and not builder.call_ids:
        path = ("additional_kwargs", "function_call", "arguments")
        builder.add_text(path, legacy.get("arguments"), builder.add_function_call(legacy.get("name")))


def _read_reasoning(builder: TurnBuilder, message: Any) -> None:
    """Reads reasoning that integrations and older versions of LangChain hold outside of the content."""
    fields = message.additional_kwargs
    item = to_plain_dict(fields.get("reasoning"))
    if item is not None:  # OpenAI's reasoning item
        read_reasoning(builder, item, ("additional_kwargs", "reasoning"), PartLabel("thinking"))
    is_billed = any(slot.kind == "tool_call" for slot in builder.slots) or bool(builder.call_ids)
    read_reasoning_fields(builder, fields, ("additional_kwargs",), is_billed)


def _read_elsewhere(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    """Skips tool calls in content: `_read_calls` reads them, because `tool_calls` mostly repeats them."""


_READERS: dict[str, Reader] = {**PARTS, **dict.fromkeys((*_CALL_BLOCKS, "invalid_tool_call"), _read_elsewhere)}
