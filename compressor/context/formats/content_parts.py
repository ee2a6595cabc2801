"""Content parts: the texts, images and documents that messages of all dialects are made of.

`read_content` walks a message's content and adds its slots to a `TurnBuilder`. Part types nobody here knows pass through
untouched; what text they hold is counted. Tool calls and results inside content are the Anthropic dialect's own:
it hands in the readers for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from compressor.context.formats.image_size import image_size
from compressor.context.formats.json_values import leaf_texts, to_plain_dict
from compressor.context.formats.turn_builder import PartLabel, TurnBuilder
from compressor.context.model import Image, Path

#: The part types of each dialect; a part of another dialect tells that a message is not one's own.
CHAT_PARTS = frozenset(("text", "image_url", "input_audio", "file", "refusal"))
RESPONSES_PARTS = frozenset(("input_text", "output_text", "input_image", "input_file", "input_audio", "refusal"))
_THINKING = ("thinking", "redacted_thinking")
_TOOLS = ("tool_use", "tool_result", "server_tool_use", "web_search_tool_result", "web_fetch_tool_result")
ANTHROPIC_PARTS = frozenset(("text", "image", "document", "search_result", *_THINKING, *_TOOLS))
_PARTS_OF_ALL = CHAT_PARTS | RESPONSES_PARTS | ANTHROPIC_PARTS

Part = dict[str, Any]
Reader = Callable[[TurnBuilder, Part, Path, PartLabel], None]


def read_content(
    reading: TurnBuilder,
    content: Any,
    path: Path,
    tag: PartLabel,
    readers: Mapping[str, Reader] | None = None,
    bare_strings: bool = False,
) -> None:
    """Reads content given as a string, a list of parts or None. `bare_strings` allows strings in the list."""
    if isinstance(content, str):
        reading.text(path, content, tag)
        return
    if content is None:
        return
    if not isinstance(content, (list, tuple)):
        raise reading.error(f"{path[-1]} must be a string or a list of parts, got {type(content).__name__}")
    readers = PARTS if readers is None else readers
    for i, item in enumerate(content):
        here = (*path, i)
        if bare_strings and isinstance(item, str):
            reading.text(here, item, tag)
            continue
        part = to_plain_dict(item)
        if part is None:
            raise reading.error(f"part {i} of {path[-1]} must be a dict, got {type(item).__name__}")
        kind = part.get("type")
        if not isinstance(kind, str):
            raise reading.error(f"part {i} of {path[-1]} has no type")
        reader = readers.get(kind)
        if reader is None:
            reading.extras.extend(leaf_texts(part))
        else:
            reader(reading, part, here, tag)


def has_foreign_parts(content: Any, own: frozenset[str]) -> bool:
    """Whether a part of a message's content belongs to another dialect than the one whose types are `own`."""
    return isinstance(content, (list, tuple)) and not (part_types(content) & _PARTS_OF_ALL) <= own


def part_types(content: Any) -> set[str]:
    """The types of the parts in a message's content. Never raises."""
    if not isinstance(content, (list, tuple)):
        return set()
    kinds = (part.get("type") if isinstance(part, dict) else getattr(part, "type", None) for part in content)
    return {kind for kind in kinds if isinstance(kind, str)}


def _text(reading: TurnBuilder, part: Part, path: Path, tag: PartLabel) -> None:
    reading.text((*path, "text"), part.get("text"), tag)


def _refusal(reading: TurnBuilder, part: Part, path: Path, tag: PartLabel) -> None:
    reading.text((*path, "refusal"), part.get("refusal"), tag, editable=False)


def _image_url(reading: TurnBuilder, part: Part, path: Path, tag: PartLabel) -> None:
    """OpenAI chat nests `{"image_url": {"url", "detail"}}`, Responses does not."""
    inner = to_plain_dict(part.get("image_url"))
    url = inner.get("url") if inner else part.get("image_url")
    _add_image(reading, path, tag, url, (inner or part).get("detail"))


def _image(reading: TurnBuilder, part: Part, path: Path, tag: PartLabel) -> None:
    """Anthropic holds a `source`; LangChain `base64` or a `url` (`data` in its older form)."""
    source = to_plain_dict(part.get("source")) or part
    _add_image(reading, path, tag, source.get("base64") or source.get("data") or source.get("url"), part.get("detail"))


def _add_image(reading: TurnBuilder, path: Path, tag: PartLabel, data: Any, detail: Any) -> None:
    width, height = image_size(data)
    reading.image(path, Image(width, height, detail if isinstance(detail, str) else "auto"), tag)


def _document(reading: TurnBuilder, part: Part, path: Path, tag: PartLabel) -> None:
    """Plain text and lists of text and images are read; PDFs and files are not."""
    reading.extra(part.get("title"))
    reading.extra(part.get("context"))
    source = to_plain_dict(part.get("source")) or {}
    tag = _document_tag(tag)
    if source.get("type") == "text":
        reading.text((*path, "source", "data"), source.get("data"), tag)
    elif source.get("type") == "content":
        read_content(reading, source.get("content"), (*path, "source", "content"), tag)


def _search_result(reading: TurnBuilder, part: Part, path: Path, tag: PartLabel) -> None:
    reading.extra(part.get("title"))
    reading.extra(part.get("source"))
    read_content(reading, part.get("content"), (*path, "content"), _document_tag(tag))


def _text_plain(reading: TurnBuilder, part: Part, path: Path, tag: PartLabel) -> None:
    reading.extra(part.get("title"))
    reading.extra(part.get("context"))
    if part.get("text") is not None:  # it may hold a URL or base64 instead
        reading.text((*path, "text"), part["text"], _document_tag(tag))


def _document_tag(tag: PartLabel) -> PartLabel:
    """A document in a tool's result stays a tool result: text from tools never becomes anything else."""
    return tag if tag.kind == "tool_result" else tag._replace(kind="document")


def _thinking(reading: TurnBuilder, part: Part, path: Path, tag: PartLabel) -> None:
    """Signed, so never edited; the provider refuses a changed block."""
    reading.text((*path, "thinking"), part.get("thinking"), PartLabel("thinking"), editable=False)


def read_reasoning(reading: TurnBuilder, part: Part, path: Path, tag: PartLabel) -> None:
    """A reasoning item or block: its readable texts are counted, never edited; the encrypted ones are no text."""
    tag = PartLabel("thinking")
    if isinstance(part.get("reasoning"), str):  # LangChain
        reading.text((*path, "reasoning"), part["reasoning"], tag, editable=False)
    for key in ("summary", "content"):
        texts = part.get(key)
        for i, item in enumerate(texts if isinstance(texts, (list, tuple)) else ()):
            text = (to_plain_dict(item) or {}).get("text")
            if isinstance(text, str):
                reading.text((*path, key, i, "text"), text, tag, editable=False)


def _opaque(reading: TurnBuilder, part: Part, path: Path, tag: PartLabel) -> None:
    """Audio, files and encrypted reasoning hold no text we could count."""


PARTS: dict[str, Reader] = {
    **dict.fromkeys(("text", "input_text", "output_text"), _text),
    **dict.fromkeys(("image_url", "input_image"), _image_url),
    **dict.fromkeys(
        ("input_audio", "audio", "video", "file", "input_file", "container_upload", "redacted_thinking"), _opaque
    ),
    "image": _image,
    "refusal": _refusal,
    "document": _document,
    "search_result": _search_result,
    "text-plain": _text_plain,
    "thinking": _thinking,
    "reasoning": read_reasoning,
}
