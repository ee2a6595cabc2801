"""Made-up agent runs with drawn screenshots, in the message format of each provider, and checks of their results."""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

import pytest

from compressor import Compressor, Result
from compressor.context.formats import detect_format
from compressor.context.formats.image_parts import image_base64
from compressor.context.formats.json_values import part_json
from compressor.context.formats.serialization import serialize_message
from compressor.context.model import Context
from compressor.context.refs import find_refs
from compressor.tokens import get_counter
from support.drawn_screens import Screen, change_screen, draw_screen, make_screen

FORMATS = ("openai_chat", "openai_responses", "anthropic", "langchain")
MODELS = {
    "openai_chat": "gpt-4o",
    "openai_responses": "gpt-5",
    "anthropic": "claude-opus-4-1",
    "langchain": "gpt-4o",
}


class Shot(NamedTuple):
    """A call of an agent and the picture that it returns.

    Attributes:
        data: The picture in base64.
        url: The address beside it, or "".
        title: The title beside it, or "".
        media_type: The media type of the picture.
        tool: The tool that was called.
        arguments: The arguments of the call.
        source: What the message has in place of base64: a URL, as the provider's part; or "".
    """

    data: str
    url: str = ""
    title: str = ""
    media_type: str = "image/png"
    tool: str = "browser_navigate"
    arguments: dict[str, Any] = {}  # noqa: RUF012
    source: str = ""

    @property
    def text(self) -> str:
        """What is beside the picture."""
        labels = (("Page URL", self.url), ("Page Title", self.title))
        return "\n".join(f"{name}: {value}" for name, value in labels if value)


def encode(image: Any, image_format: str = "PNG", **options: Any) -> str:
    """Returns an image of Pillow in base64."""
    out = io.BytesIO()
    image.save(out, image_format, **options)
    return base64.b64encode(out.getvalue()).decode()


@cache
def screen_data(seed: int, kinds: tuple[str, ...] = (), size: tuple[int, int] = (640, 400)) -> str:
    """Returns a drawn screen in base64.

    Args:
        seed: Which screen.
        kinds: What was changed on it since, see `drawn_screens.KINDS`.
        size: The size to which it is scaled.
    """
    image = draw_screen(screen_of(seed, kinds))
    return encode(image if image.size == size else image.resize(size))


def screen_of(seed: int, kinds: tuple[str, ...] = ()) -> Screen:
    """Returns a screen with changes; see `screen_data`."""
    screen = replace(make_screen(random.Random(seed)), is_dark=False)
    for i, kind in enumerate(kinds):
        screen = change_screen(kind, screen, random.Random(100 * seed + i))
    return screen


def page_shot(seed: int, kinds: tuple[str, ...] = (), **options: Any) -> Shot:
    """Returns a shot of a page of a made-up program."""
    url = f"https://desk.example/page/{seed}"
    return Shot(screen_data(seed, kinds), url, f"Page {seed}", **{"arguments": {"url": url}, **options})


def browsing(pages: Sequence[int] = (1, 1, 2, 2, 2, 3), **options: Any) -> list[Shot]:
    """Returns shots of pages, each of a page that was seen before with one more change."""
    kinds = ("digit", "tick", "badge", "dot", "selection", "button", "faint letter", "caret")
    seen: dict[int, int] = {}
    out = []
    for page in pages:
        count = seen.get(page, 0)
        seen[page] = count + 1
        out.append(page_shot(page, kinds[:count], **options))
    return out


def image_part(format_name: str, data: str, media_type: str = "image/png", source: str = "") -> dict[str, Any]:
    """Returns an image part.

    Args:
        format_name: The message format.
        data: The picture in base64.
        media_type: Its media type.
        source: A URL in place of the data, or "".
    """
    url = source or f"data:{media_type};base64,{data}"
    if format_name == "openai_responses":
        return {"type": "input_image", "image_url": url}
    if format_name == "anthropic":
        held = {"type": "base64", "media_type": media_type, "data": data}
        return {"type": "image", "source": {"type": "url", "url": source} if source else held}
    return {"type": "image_url", "image_url": {"url": url}}


def write_rounds(format_name: str, shots: Sequence[Shot], first: int = 0) -> list[Any]:
    """Returns one round of a call and its result for each shot.

    Args:
        format_name: The message format.
        shots: The shots.
        first: The number of the first call.
    """
    out: list[Any] = []
    for i, shot in enumerate(shots, first):
        part = image_part(format_name, shot.data, shot.media_type, shot.source)
        arguments, call_id, words = json.dumps(shot.arguments), f"c{i}", shot.text or "ok"
        if format_name == "openai_chat":
            call = {"id": call_id, "type": "function", "function": {"name": shot.tool, "arguments": arguments}}
            out.append({"role": "assistant", "content": None, "tool_calls": [call]})
            out.append({"role": "tool", "tool_call_id": call_id, "content": [{"type": "text", "text": words}, part]})
        elif format_name == "openai_responses":
            out.append({"type": "function_call", "call_id": call_id, "name": shot.tool, "arguments": arguments})
            result = [{"type": "input_text", "text": words}, part]
            out.append({"type": "function_call_output", "call_id": call_id, "output": result})
        elif format_name == "anthropic":
            call = {"type": "tool_use", "id": call_id, "name": shot.tool, "input": shot.arguments}
            out.append({"role": "assistant", "content": [call]})
            held = [{"type": "text", "text": words}, part]
            result = [{"type": "tool_result", "tool_use_id": call_id, "content": held}]
            out.append({"role": "user", "content": result})
        else:
            messages = pytest.importorskip("langchain_core.messages")
            call = {"name": shot.tool, "args": shot.arguments, "id": call_id}
            out.append(messages.AIMessage("", tool_calls=[call]))
            out.append(messages.ToolMessage([{"type": "text", "text": words}, part], tool_call_id=call_id))
    return out


def user_message(format_name: str, *parts: str | dict[str, Any]) -> Any:
    """Returns a user message of texts and image parts."""
    kind = "input_text" if format_name == "openai_responses" else "text"
    content = [{"type": kind, "text": part} if isinstance(part, str) else part for part in parts]
    if format_name == "langchain":
        return pytest.importorskip("langchain_core.messages").HumanMessage(content)
    return {"role": "user", "content": content}


def write_run(format_name: str, shots: Sequence[Shot], task: Sequence[str | dict[str, Any]] = ("Go on.",)) -> list[Any]:
    """Returns a task and the rounds of an agent."""
    return [user_message(format_name, *task), *write_rounds(format_name, shots)]


def computer_run(shots: Sequence[Shot]) -> list[Any]:
    """Returns a run of OpenAI's computer tool, whose screenshots may only become pictures."""
    out: list[Any] = [user_message("openai_responses", "Go on.")]
    for i, shot in enumerate(shots):
        action = {"type": "click", "x": 100 + i, "y": 90, "button": "left"}
        call = {"type": "computer_call", "id": f"cc{i}", "call_id": f"c{i}", "action": action, "status": "completed"}
        out.append({**call, "pending_safety_checks": []})
        url = f"data:{shot.media_type};base64,{shot.data}"
        output = {"type": "computer_screenshot", "image_url": url}
        out.append({"type": "computer_call_output", "call_id": f"c{i}", "output": output})
    return out


def parse(messages: Sequence[Any]) -> Context:
    """Returns parsed messages."""
    return detect_format(messages).parse(messages)


def image_parts(messages: Sequence[Any]) -> list[str]:
    """Returns the image parts of messages as JSON, in order."""
    context = parse(messages)
    return [
        part_json(context.messages[turn.index], slot.path)
        for turn in context.turns
        for slot in turn.slots
        if slot.image is not None
    ]


def image_data(messages: Sequence[Any]) -> list[str]:
    """Returns the base64 of the images in messages, in order; "" for one that is elsewhere."""
    return [image_base64(json.loads(part)) for part in image_parts(messages)]


def dumped(messages: Sequence[Any]) -> str:
    """Returns messages as JSON text."""
    return json.dumps([serialize_message(message) for message in messages], ensure_ascii=False, sort_keys=True)


def texts_of(messages: Sequence[Any]) -> Iterator[str]:
    """Yields the texts of messages."""
    for turn in parse(messages).turns:
        yield from (slot.text for slot in turn.slots if slot.text)


def count(messages: Sequence[Any], model: str) -> int:
    """Returns the tokens of messages that are parsed anew."""
    return get_counter(model).count_context(parse(messages))


def calls_and_results(messages: Sequence[Any]) -> tuple[list[str], list[str]]:
    """Returns the ids of the calls and of the results."""
    turns = parse(messages).turns
    return [i for turn in turns for i in turn.call_ids], [i for turn in turns for i in turn.result_call_ids]


def check_result(compressor: Compressor, messages: Sequence[Any], before: str, result: Result, model: str) -> None:
    """Checks what must hold of every result.

    Args:
        compressor: What made it.
        messages: What was compressed.
        before: The messages as `dumped` before.
        result: The result.
        model: The model whose tokens were counted.
    """
    after = list(result.messages)
    assert dumped(messages) == before
    assert result.tokens_before == count(messages, model)
    assert result.tokens_after == count(after, model) <= max(result.budget, 0)
    assert result.tokens_after <= result.tokens_before
    calls, results = calls_and_results(after)
    assert sorted(calls) == sorted(results)
    originals = image_parts(messages)
    known = {ref for text in texts_of(after) for ref in find_refs(text)}
    known |= {found.ref for found in result.dropped}
    parts = {compressor.expand(ref) for ref in known}
    shown = image_parts(after)
    kept_calls = set(calls)
    for part, owner in zip(originals, _owners(messages), strict=True):
        left_whole = owner is not None and owner not in kept_calls
        assert part in shown or part in parts or left_whole, "an image is neither shown nor behind a ref"


def _owners(messages: Sequence[Any]) -> list[str | None]:
    """Returns the id of the call whose result each image is, or None."""
    turns = parse(messages).turns
    return [
        slot.call_id or (turn.result_call_ids[0] if turn.result_call_ids else None)
        for turn in turns
        for slot in turn.slots
        if slot.image is not None
    ]
