"""Says in a line what a message of a session holds."""

from __future__ import annotations

from typing import Any

from compressor.context.model import Image, Turn

PREVIEW_CHARS = 160


def summarize_turn(turn: Turn) -> dict[str, Any]:
    """Returns the role, the names of tools and the first words of a message, and the number of its images, if any."""
    made: dict[str, Any] = {"role": turn.role, "name": _name(turn), "preview": _preview(turn)}
    images = sum(slot.image is not None for slot in turn.slots)
    return {**made, "images": images} if images else made


def _name(turn: Turn) -> str:
    names = [slot.name for slot in turn.slots if slot.name] or list(turn.extras if turn.call_ids else ())
    return ", ".join(dict.fromkeys(names))[:PREVIEW_CHARS]


def _preview(turn: Turn) -> str:
    text = next((slot.text for slot in turn.slots if slot.text.strip()), "")
    if not text:
        text = next((_image_words(slot.image) for slot in turn.slots if slot.image is not None), "")
    line = " ".join(text[: 4 * PREVIEW_CHARS].split())
    return line if len(line) <= PREVIEW_CHARS else line[: PREVIEW_CHARS - 1] + "…"


def _image_words(image: Image) -> str:
    return f"(an image, {image.width} × {image.height})" if image.width else "(an image)"
