"""Reads examples that are chat messages, and makes messages of several examples valid together.

Messages may have the form of OpenAI's chat and Responses APIs or of Anthropic's API, with content as a string or as
parts. They come as a list, as a fine-tuning record (`{"messages": [...]}`), or as a ShareGPT conversation
(`{"conversations": [{"from", "value"}]}`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from compressor.errors import ContextError

Message = dict[str, Any]

#: The fields of a record that hold its messages. The first one that exists is used.
RECORD_FIELDS = ("messages", "conversations", "conversation")
#: Roles of ShareGPT conversations.
_SHAREGPT_ROLES = {
    **dict.fromkeys(("human", "user", "observation"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "model", "bot", "function_call"), "assistant"),
    "system": "system",
}
_TEXT_PARTS = ("text", "input_text", "output_text")
_ITEMS = ("function_call", "function_call_output", "reasoning", "message")  # of the Responses API


def is_record(given: Mapping[Any, Any]) -> bool:
    """Whether a mapping holds an example's messages."""
    return record_field(given) != ""


def record_field(given: Mapping[Any, Any]) -> str:
    """Returns the field that holds the messages of a record, or ""."""
    for name in RECORD_FIELDS:
        value = given.get(name)
        if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
            return name
    return ""


def read_messages(given: Sequence[Any], index: int) -> Sequence[Mapping[str, Any]]:
    """Returns the messages of an example as they are sent: the given ones, if they can be sent.

    Args:
        given: Messages, or the turns of a ShareGPT conversation.
        index: The position of the example, for errors.

    Raises:
        ContextError: If they are not messages, or if a tool call has no result or a result has no call. Only the last
            message may have calls without results.
    """
    out: list[Mapping[str, Any]] = []
    is_changed = False
    open_calls: dict[str, int] = {}
    for i, message in enumerate(given):
        if not isinstance(message, Mapping):
            raise ContextError(
                f"message {i} of the example must be a mapping, not {type(message).__name__}", index, "example"
            )
        made = _read_message(message, i, index)
        is_changed |= made is not message
        out.append(made)
        results = list(result_ids(made))
        for id in results:
            if open_calls.pop(id, None) is None:
                raise ContextError(
                    f"message {i} of the example is the result of the tool call {id!r}, but no message before it makes "
                    "this call; add the message with the call, or leave the result out",
                    index,
                    "example",
                )
        if open_calls and not results and not _is_call_item(made):
            id, at = next(iter(open_calls.items()))
            raise ContextError(
                f"the tool call {id!r} in message {at} of the example has no result; add it after the call",
                index,
                "example",
            )
        open_calls.update(dict.fromkeys((id for id, _, _ in calls(made) if id), i))
    return out if is_changed else given


def without_system(messages: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Returns the messages without the system messages that they begin with."""
    first = next((i for i, message in enumerate(messages) if role(message) not in ("system", "developer")), 0)
    return messages[first:] if first else messages


def _read_message(message: Mapping[str, Any], i: int, index: int) -> Mapping[str, Any]:
    """A message as it is sent: without the weight of fine-tuning records; ShareGPT's turns with role and content."""
    if "role" not in message and isinstance(message.get("from"), str):
        role = _SHAREGPT_ROLES.get(message["from"].lower())
        if role is None:
            raise ContextError(
                f'message {i} of the example has an unknown "from": {message["from"]!r}; use one of '
                f"{', '.join(_SHAREGPT_ROLES)}",
                index,
                "example",
            )
        if not isinstance(message.get("value"), str):
            raise ContextError(f'the "value" of message {i} of the example must be a str', index, "example")
        return {"role": role, "content": message["value"]}
    if "role" not in message and message.get("type") in _ITEMS:
        return message
    if not isinstance(message.get("role"), str):
        raise ContextError(f'message {i} of the example has no "role"', index, "example")
    content = message.get("content")
    if content is None:
        if next(calls(message), None) is None:
            raise ContextError(f"message {i} of the example has neither content nor tool calls", index, "example")
    elif not isinstance(content, str) and not (
        isinstance(content, Sequence) and all(isinstance(part, (str, Mapping)) for part in content)
    ):
        raise ContextError(
            f'the "content" of message {i} of the example must be a str or a list of parts, not '
            f"{type(content).__name__}",
            index,
            "example",
        )
    return {key: value for key, value in message.items() if key != "weight"} if "weight" in message else message


# -- what a message says


def parts(message: Mapping[str, Any]) -> Iterator[Any]:
    """Yields the parts of a message's content: strings and mappings."""
    content = message.get("content")
    if isinstance(content, str):
        yield content
    elif isinstance(content, Sequence):
        yield from content


def role(message: Mapping[str, Any]) -> str:
    """Returns the role of a message or of an item of the Responses API; "tool" for Anthropic's tool results."""
    if next(result_ids(message), None) is not None and not plain_text(message):
        return "tool"
    if "role" in message:
        return str(message["role"])
    return "assistant"


def calls(message: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yields id, name and arguments of the tool calls of a message. The id is "" in OpenAI's legacy form."""
    for call in message.get("tool_calls") or ():
        function = call.get("function") if isinstance(call, Mapping) else None
        if isinstance(function, Mapping):
            yield str(call.get("id") or ""), str(function.get("name")), _json(function.get("arguments", ""))
    legacy = message.get("function_call")
    if isinstance(legacy, Mapping):
        yield "", str(legacy.get("name")), _json(legacy.get("arguments", ""))
    if message.get("type") == "function_call":
        yield str(message.get("call_id") or ""), str(message.get("name")), _json(message.get("arguments", ""))
    for part in parts(message):
        if isinstance(part, Mapping) and part.get("type") == "tool_use":
            yield str(part.get("id") or ""), str(part.get("name")), _json(part.get("input", {}))


def result_ids(message: Mapping[str, Any]) -> Iterator[str]:
    """Yields the ids of the tool calls of which a message holds the results."""
    if isinstance(message.get("tool_call_id"), str):
        yield message["tool_call_id"]
    if message.get("type") == "function_call_output":
        yield str(message.get("call_id"))
    for part in parts(message):
        if isinstance(part, Mapping) and part.get("type") == "tool_result":
            yield str(part.get("tool_use_id"))


def plain_text(message: Mapping[str, Any]) -> str:
    """Returns the text that a message says itself, without calls, results and images."""
    texts = [
        part if isinstance(part, str) else str(part.get("text", ""))
        for part in parts(message)
        if isinstance(part, str) or part.get("type") in _TEXT_PARTS
    ]
    return "\n".join(text for text in texts if text)


def call_text(message: Mapping[str, Any]) -> str:
    """Returns the tool calls of a message, each as `name(arguments)` on a line."""
    return "\n".join(f"{name}({arguments})" for _, name, arguments in calls(message))


def message_text(message: Mapping[str, Any]) -> str:
    """Returns a message as text: what it says, its calls, its results, and "[image]" for an image."""
    lines = []
    for part in parts(message):
        kind = "text" if isinstance(part, str) else part.get("type")
        if isinstance(part, str):
            lines.append(part)
        elif kind in _TEXT_PARTS:
            lines.append(str(part.get("text", "")))
        elif kind == "tool_result":
            lines.append(message_text(part))
        elif kind not in ("tool_use", "thinking", "redacted_thinking"):
            lines.append("[image]" if "image" in str(kind) else f"[{kind}]")
    if message.get("type") == "function_call_output":
        lines.append(_json(message.get("output", "")))
    lines.append(call_text(message))
    return "\n".join(line for line in lines if line)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _is_call_item(message: Mapping[str, Any]) -> bool:
    """Whether a message is an item that may stand between a call and its result in the Responses API."""
    return "role" not in message and message.get("type") in ("function_call", "reasoning")


# -- messages of several examples


def close_calls(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Returns the messages with an empty result for each call that has none, because no provider takes open calls."""
    out: list[Message] = [dict(message) if not isinstance(message, dict) else message for message in messages]
    answered = {id for message in out for id in result_ids(message)}
    results: list[Message] = []
    for message in out:
        for id, _, _ in calls(message):
            if not id or id in answered:
                continue
            if message.get("type") == "function_call":
                results.append({"type": "function_call_output", "call_id": id, "output": ""})
            elif message.get("tool_calls"):
                results.append({"role": "tool", "tool_call_id": id, "content": ""})
            else:
                block = {"type": "tool_result", "tool_use_id": id}
                if results:
                    results[0]["content"].append(block)
                else:
                    results.append({"role": "user", "content": [block]})
    return out + results


def join_messages(examples: Sequence[Sequence[Message]]) -> list[Message]:
    """Returns the messages of several examples, one after the other, in which each tool call has an id of its own."""
    used: set[str] = set()
    out: list[Message] = []
    for messages in examples:
        ids = [id for message in messages for id, _, _ in calls(message) if id]
        names: dict[str, str] = {}
        for id in ids:
            number = 2
            while (name := id if number == 2 and id not in used else f"{id}_{number}") in used:
                number += 1
            names[id] = name
            used.add(name)
        is_renamed = any(id != name for id, name in names.items())
        out += [_with_call_ids(message, names) for message in messages] if is_renamed else messages
    return out


def _with_call_ids(message: Message, names: Mapping[str, str]) -> Message:
    """A copy of a message with other ids of its calls and results."""
    out = dict(message)
    for key in ("tool_call_id", "call_id"):
        if key in out:
            out[key] = names.get(out[key], out[key])
    if out.get("tool_calls"):
        out["tool_calls"] = [{**call, "id": names.get(call.get("id"), call.get("id"))} for call in out["tool_calls"]]
    if isinstance(out.get("content"), list):
        out["content"] = [_part_with_call_ids(part, names) for part in out["content"]]
    return out


def _part_with_call_ids(part: Any, names: Mapping[str, str]) -> Any:
    if isinstance(part, Mapping):
        for kind, key in (("tool_use", "id"), ("tool_result", "tool_use_id")):
            if part.get("type") == kind and part.get(key) in names:
                return {**part, key: names[part[key]]}
    return part
