"""Makes the values that are written into messages where the text or the picture of a slot has changed."""

from __future__ import annotations

from typing import Any

from compressor.context.formats.image_parts import with_picture
from compressor.context.formats.json_values import Parts, as_container, load_arguments, set_paths, value_at
from compressor.context.image_edits import split_drawn_edit
from compressor.context.model import TextSlot

#: Keys that mark where a cached prefix ends. They must stay when an image becomes a text.
_CACHE_KEYS = ("cache_control", "prompt_cache_breakpoint")


def slot_value(slot: TextSlot, root: Any, text: str, text_type: str) -> Any:
    """Returns the value to put at a slot's path so that the slot holds a text.

    Args:
        slot: The slot.
        root: The message.
        text: The new text.
        text_type: The type of a text part in the message's format.

    Returns:
        What takes the place of an image (a text part, a picture, or both), a dict where arguments are held as a dict,
        else the text itself.
    """
    if slot.kind == "image":
        part = as_container(value_at(root, slot.path))
        url, note = split_drawn_edit(text)
        if url:
            picture = with_picture(part, url)
            in_list = isinstance(slot.path[-1], int)
            return Parts(({"type": text_type, "text": note}, picture)) if note and in_list else picture
        return {"type": text_type, "text": text} | {k: part[k] for k in _CACHE_KEYS if k in part}
    if slot.kind == "tool_call" and not isinstance(value_at(root, slot.path), str):
        return load_arguments(text, slot.message)
    return text


def write_parts(message: Any, changes: list[tuple[TextSlot, str]]) -> dict[str, Any]:
    """Returns a copy of a message with new texts, with text parts as in OpenAI chat and Anthropic messages."""
    return set_paths(message, [(slot.path, slot_value(slot, message, text, "text")) for slot, text in changes])
