"""Builds a recorded run as messages of three formats, in steps that a session appends one after the other."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Any

from benchmarks.images_run import BrowsingRun, png_bytes

Message = dict[str, Any]
#: What stands in place of a picture that a baseline left out.
OMITTED = "[screenshot omitted]"
#: What stands in place of a result that a baseline left out with its picture.
OMITTED_ALL = "A screenshot and some texts. (Omitted in context.)"


def group_messages(
    run: BrowsingRun,
    layout: str,
    pictures: Collection[int] | None = None,
    texts: Collection[int] | None = None,
    count: int | None = None,
) -> list[list[Message]]:
    """Returns the messages of a run: those before the first step, then those of each step.

    Args:
        run: The run.
        layout: "chat" (OpenAI chat, the picture in a user message after the tool's result), "anthropic" (text and
            picture in one tool result) or "responses" (function outputs, or computer outputs if the agent clicks by
            pixels).
        pictures: Steps that keep their picture. None: all.
        texts: Steps that keep the text of their result. None: all.
        count: How many steps. None: all.
    """
    indices = range(len(run.steps) if count is None else count)
    shown = set(indices if pictures is None else pictures)
    said = set(indices if texts is None else texts)
    step = LAYOUTS[layout]
    return [_start(run, layout), *(step(run, i, i in shown, i in said) for i in indices)]


def build_messages(run: BrowsingRun, layout: str, questions: bool = False, **chosen: Any) -> list[Message]:
    """Returns a run as one list of messages, with the questions of its targets at the end if asked for."""
    messages = [message for group in group_messages(run, layout, **chosen) for message in group]
    if questions:
        different = dict.fromkeys(target.question for target in run.targets)
        asked = "\n".join(f"{i + 1}. {question}" for i, question in enumerate(different))
        messages += question_messages(layout, f"Before you go on, answer from what you saw:\n{asked}")
    return messages


def question_messages(layout: str, text: str) -> list[Message]:
    """Returns a user's message; in Anthropic's format the roles need not alternate."""
    return [{"role": "user", "content": [{"type": "input_text" if layout == "responses" else "text", "text": text}]}]


def call_id(run: BrowsingRun, step: int) -> str:
    """Returns the id of a step's call, by which its place in a reduced context is found again."""
    return f"call_{run.name}_{step:03d}".replace("-", "_")


def data_url(png: bytes) -> str:
    """Returns a picture as a `data:` URL."""
    return f"data:image/png;base64,{base64_text(png)}"


@lru_cache(maxsize=512)
def base64_text(png: bytes) -> str:
    """Returns a picture as base64 text."""
    return base64.b64encode(png).decode("ascii")


def _start(run: BrowsingRun, layout: str) -> list[Message]:
    system = "You drive a browser. After each call you see a screenshot of the page."
    if layout == "anthropic":  # it has a separate system prompt
        return [{"role": "user", "content": run.task}]
    return [{"role": "system", "content": system}, {"role": "user", "content": run.task}]


def _chat(run: BrowsingRun, i: int, has_picture: bool, has_text: bool) -> list[Message]:
    step = run.steps[i]
    function = {"name": step.tool, "arguments": json.dumps(step.arguments, ensure_ascii=False)}
    call = {"id": call_id(run, i), "type": "function", "function": function}
    text = (step.result or "Done.") if has_text else OMITTED_ALL
    result = {"role": "tool", "tool_call_id": call_id(run, i), "content": text}
    shown: Message = {"type": "text", "text": OMITTED}
    if has_picture:
        shown = {"type": "image_url", "image_url": {"url": data_url(_png(run, i))}}
    seen = {"role": "user", "content": [{"type": "text", "text": f"Screenshot after step {i + 1}:"}, shown]}
    assistant = {"role": "assistant", "content": step.words, "tool_calls": [call]}
    return [assistant, result] if not has_text else [assistant, result, seen]


def _anthropic(run: BrowsingRun, i: int, has_picture: bool, has_text: bool) -> list[Message]:
    step = run.steps[i]
    call = {"type": "tool_use", "id": call_id(run, i), "name": step.tool, "input": step.arguments}
    content: list[Message] = [{"type": "text", "text": step.result}] if step.result and has_text else []
    if has_picture:
        source = {"type": "base64", "media_type": "image/png", "data": base64_text(_png(run, i))}
        content.append({"type": "image", "source": source})
    else:
        content.append({"type": "text", "text": OMITTED if has_text else OMITTED_ALL})
    result = {"type": "tool_result", "tool_use_id": call_id(run, i), "content": content}
    words: list[Message] = [{"type": "text", "text": step.words}]
    return [{"role": "assistant", "content": [*words, call]}, {"role": "user", "content": [result]}]


def _responses(run: BrowsingRun, i: int, has_picture: bool, has_text: bool) -> list[Message]:
    step = run.steps[i]
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": step.words}]}
    own = {"call_id": call_id(run, i)}
    if run.acts == "pixel" and has_picture:
        call = {"type": "computer_call", **own, "action": _computer_action(step.arguments), "status": "completed"}
        screenshot = {"type": "computer_screenshot", "image_url": data_url(_png(run, i))}
        call |= {"id": f"cu_{i:03d}", "pending_safety_checks": []}
        return [said, call, {"type": "computer_call_output", **own, "output": screenshot}]
    arguments = json.dumps(step.arguments, ensure_ascii=False)
    call = {"type": "function_call", **own, "name": step.tool, "arguments": arguments}
    parts: list[Message] = [{"type": "input_text", "text": step.result}] if step.result and has_text else []
    if has_picture:
        parts.append({"type": "input_image", "image_url": data_url(_png(run, i)), "detail": "auto"})
    else:
        parts.append({"type": "input_text", "text": OMITTED if has_text else OMITTED_ALL})
    return [said, call, {"type": "function_call_output", **own, "output": parts}]


def _computer_action(arguments: dict[str, Any]) -> dict[str, Any]:
    """Writes an action as OpenAI's computer tool does."""
    kind, text = arguments["action"], arguments.get("text", "")
    x, y = arguments.get("coordinate", (0, 0))
    if kind == "left_click":
        return {"type": "click", "button": "left", "x": x, "y": y}
    if kind == "scroll":
        down = 100 * arguments["scroll_amount"] * (1 if arguments["scroll_direction"] == "down" else -1)
        return {"type": "scroll", "x": x, "y": y, "scroll_x": 0, "scroll_y": down}
    if kind in ("type", "goto", "new_tab"):
        return {"type": "type", "text": text}
    return {"type": "keypress", "keys": text.split("+")} if kind == "key" else {"type": kind}


def _png(run: BrowsingRun, step: int) -> bytes:
    return png_bytes(run.folder / run.steps[step].frame)


LAYOUTS: dict[str, Callable[[BrowsingRun, int, bool, bool], list[Message]]] = {
    "chat": _chat,
    "anthropic": _anthropic,
    "responses": _responses,
}
