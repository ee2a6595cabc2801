"""Reads content parts: the texts, images and documents that messages of all formats are made of.

Tool calls and results inside content exist
only in the Anthropic format, which passes the readers for them. What server tools did, and parts of unknown types, pass
through unchanged; their text and their encrypted payloads are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compressor.context.formats.attached_files import UNKNOWN_FILE, read_attached_file
from compressor.context.formats.image_size import image_size
from compressor.context.formats.json_values import to_plain_dict
from compressor.context.formats.turn_builder import PartLabel, TurnBuilder
from compressor.context.formats.unedited_values import estimate_payload_tokens
from compressor.context.model import Image, Path

#: The part types of each message format. A part of another format shows that a message is not of this one.
CHAT_PARTS = frozenset(("text", "image_url", "input_audio", "file", "refusal"))
RESPONSES_PARTS = frozenset(("input_text", "output_text", "input_image", "input_file", "input_audio", "refusal"))
_THINKING = ("thinking", "redacted_thinking")
_TOOLS = ("tool_use", "tool_result", "server_tool_use", "web_search_tool_result", "web_fetch_tool_result")
ANTHROPIC_PARTS = frozenset(("text", "image", "document", "search_result", *_THINKING, *_TOOLS))
#: Further part types that come from Anthropic. Gateways also pass them on in other formats.
ANTHROPIC_SERVER_PARTS = frozenset(
    (
        *("compaction", "mcp_tool_use", "mcp_tool_result", "mcp_tool_listing", "code_execution_tool_result"),
        *("bash_code_execution_tool_result", "text_editor_code_execution_tool_result"),
        *("tool_search_tool_result", "advisor_tool_result"),
    )
)
#: Part types that a provider puts in place of what came before, or that refer to it.
SUMMARY_PARTS = frozenset(("compaction", "compaction_summary", "context_compaction", "item_reference"))
#: A part around other parts, which are counted and never edited: for adapters of frameworks.
FIXED_PART = "compressor_fixed"
_CITATION_KEYS = ("cited_text", "title", "document_title", "url", "source", "filename")
_PARTS_OF_ALL = CHAT_PARTS | RESPONSES_PARTS | ANTHROPIC_PARTS

Part = dict[str, Any]
Reader = Callable[[TurnBuilder, Part, Path, PartLabel], None]


def read_content(
    builder: TurnBuilder,
    content: Any,
    path: Path,
    label: PartLabel,
    readers: Mapping[str, Reader] | None = None,
    allow_strings: bool = False,
) -> None:
    """Reads a message's content into a turn.

    Args:
        builder: The turn.
        content: A string, a list of parts, or None.
        path: Where the content is in the message.
        label: What the texts of the content are.
        readers: Readers of part types; by default `PARTS`.
        allow_strings: Whether the list may hold strings beside parts.

    Raises:
        ContextError: The content has another form.
    """
    if isinstance(content, str):
        builder.add_text(path, content, label)
        return
    if content is None:
        return
    if not isinstance(content, (list, tuple)):
        raise builder.error(f"{path[-1]} must be a string or a list of parts, got {type(content).__name__}")
    readers = PARTS if readers is None else readers
    for i, item in enumerate(content):
        here = (*path, i)
        if allow_strings and isinstance(item, str):
            builder.add_text(here, item, label)
            continue
        part = to_plain_dict(item)
        if part is None:
            raise builder.error(f"part {i} of {path[-1]} must be a dict, got {type(item).__name__}")
        kind = part.get("type")
        if not isinstance(kind, str):
            raise builder.error(f"part {i} of {path[-1]} has no type")
        reader = readers.get(kind)
        if reader is None:
            builder.add_unedited(part)
        else:
            reader(builder, part, here, label)


def has_foreign_parts(content: Any, own: frozenset[str]) -> bool:
    """Returns whether a message's content has a part that only another message format has.

    Args:
        content: The content.
        own: The part types of the format.
    """
    return isinstance(content, (list, tuple)) and not (part_types(content) & _PARTS_OF_ALL) <= own


def part_types(content: Any) -> set[str]:
    """Returns the types of the parts in a message's content. Never raises."""
    if not isinstance(content, (list, tuple)):
        return set()
    kinds = (part.get("type") if isinstance(part, dict) else getattr(part, "type", None) for part in content)
    return {kind for kind in kinds if isinstance(kind, str)}


def _text(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    builder.add_text((*path, "text"), part.get("text"), label)
    for key in ("citations", "annotations"):
        if isinstance(part.get(key), (list, tuple)):
            read_citations(builder, part[key])


def read_citations(builder: TurnBuilder, citations: Sequence[Any]) -> None:
    """Reads what citations quote. Providers do not bill it ("cited_text … does not count", Anthropic's citations)."""
    for given in citations:
        citation = to_plain_dict(given) or {}
        citation = to_plain_dict(citation.get("url_citation")) or citation  # OpenAI chat
        for key in _CITATION_KEYS:
            builder.add_unbilled(citation.get(key))


def _refusal(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    builder.add_text((*path, "refusal"), part.get("refusal"), label, editable=False)


def _image_url(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    """OpenAI chat nests `{"image_url": {"url", "detail"}}`; Responses does not."""
    inner = to_plain_dict(part.get("image_url"))
    url = inner.get("url") if inner else part.get("image_url")
    _add_image(builder, path, label, url, (inner or part).get("detail") or _media_resolution(part))


def _image(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    """Anthropic has a `source`; LangChain has `base64` or a `url` (`data` in its older form)."""
    source = to_plain_dict(part.get("source")) or part
    _add_image(builder, path, label, _payload(source), part.get("detail") or _media_resolution(part))


def _add_image(builder: TurnBuilder, path: Path, label: PartLabel, data: Any, detail: Any) -> None:
    width, height = image_size(data)
    builder.add_image(path, Image(width, height, detail if isinstance(detail, str) else "auto"), label)


def _payload(source: Part) -> Any:
    return source.get("base64") or source.get("data") or source.get("url")


def _media_resolution(part: Part) -> Any:
    """Gemini's setting of one part: `{"level": "MEDIA_RESOLUTION_LOW"}` or only the level, as LangChain has it."""
    given = part.get("media_resolution") or part.get("resolution")
    level = given.get("level") if isinstance(given, dict) else given
    return level.lower().removeprefix("media_resolution_") if isinstance(level, str) else None


def _document(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    """Reads plain text and lists of text and images. PDFs and other files are counted only."""
    builder.add_extra(part.get("title"))
    builder.add_extra(part.get("context"))
    source = to_plain_dict(part.get("source")) or {}
    label = _document_tag(label)
    if source.get("type") == "text":
        builder.add_text((*path, "source", "data"), source.get("data"), label)
    elif source.get("type") == "content":
        read_content(builder, source.get("content"), (*path, "source", "content"), label)
    else:
        builder.add_file(read_attached_file(_payload(source), source.get("media_type")) if source else UNKNOWN_FILE)


def _file(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    """OpenAI chat nests `{"file": {"file_data"}}`; Responses does not. LangChain has `base64`, `url` or `data`."""
    inner = to_plain_dict(part.get("file")) or part
    builder.add_extra(inner.get("filename"))
    data = inner.get("file_data") or inner.get("file_url") or _payload(inner)
    media_type = part.get("mime_type")
    if isinstance(media_type, str) and media_type.startswith("image/"):
        builder.is_fixed, outer = True, builder.is_fixed
        _add_image(builder, path, label, data, _media_resolution(part))
        builder.is_fixed = outer
        return
    builder.add_file(read_attached_file(data, media_type, inner.get("detail") or _media_resolution(part)))


def _search_result(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    builder.add_extra(part.get("title"))
    builder.add_extra(part.get("source"))
    read_content(builder, part.get("content"), (*path, "content"), _document_tag(label))


def _text_plain(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    builder.add_extra(part.get("title"))
    builder.add_extra(part.get("context"))
    if part.get("text") is not None:
        builder.add_text((*path, "text"), part["text"], _document_tag(label))
    else:
        builder.add_file(read_attached_file(_payload(part), part.get("mime_type") or "text/plain"))


def _document_tag(label: PartLabel) -> PartLabel:
    """The label of a document. In a tool's result it stays a tool result: text from tools never changes its role."""
    return label if label.kind == "tool_result" else label._replace(kind="document")


def _thinking(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    """Never edited, because the block is signed and the provider rejects changes."""
    builder.add_text((*path, "thinking"), part.get("thinking"), PartLabel("thinking"), editable=False)
    if not part.get("thinking"):  # the signature holds what is not shown
        builder.opaque_tokens += estimate_payload_tokens(part.get("signature"))


def read_reasoning(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    """Reads a reasoning item or block, which is never edited.

    An encrypted payload holds the same reasoning as the readable texts beside it: the longer of the two counts.
    """
    label = PartLabel("thinking")
    known = len(builder.slots)
    if isinstance(part.get("reasoning"), str):  # LangChain
        builder.add_text((*path, "reasoning"), part["reasoning"], label, editable=False)
    for key in ("summary", "content"):
        texts = part.get(key)
        for i, item in enumerate(texts if isinstance(texts, (list, tuple)) else ()):
            text = (to_plain_dict(item) or {}).get("text")
            if isinstance(text, str):
                builder.add_text((*path, key, i, "text"), text, label, editable=False)

    text = "".join(slot.text for slot in builder.slots[known:])
    builder.opaque_tokens += estimate_payload_tokens(part.get("encrypted_content"), text)


def _redacted(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    builder.opaque_tokens += estimate_payload_tokens(part.get("data"))


def read_summary(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    """Reads what a provider or a framework put in place of what came before. A tool's result cannot hold it."""
    texts = len(builder.extras)
    payload = part.get("encrypted_content")
    builder.add_unedited({key: value for key, value in part.items() if key != "encrypted_content"})
    builder.opaque_tokens += estimate_payload_tokens(payload, "".join(builder.extras[texts:]))
    is_empty = part.get("type") == "compaction" and not (part.get("content") or payload)  # it failed
    builder.is_summary |= label.kind != "tool_result" and not is_empty


def _non_standard(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    """LangChain wraps blocks that it has no type of its own for."""
    value = to_plain_dict(part.get("value")) or {}
    if str(value.get("type")) in SUMMARY_PARTS:
        read_summary(builder, value, path, label)
    else:
        builder.add_unedited(part)


def _fixed(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    outer, builder.is_fixed = builder.is_fixed, True
    read_content(builder, part.get("content"), (*path, "content"), label)
    builder.is_fixed = outer


def _opaque(builder: TurnBuilder, part: Part, path: Path, label: PartLabel) -> None:
    """Audio and video have no tokens here, and a container's files are not in the prompt."""


PARTS: dict[str, Reader] = {
    **dict.fromkeys(("text", "input_text", "output_text"), _text),
    **dict.fromkeys(("image_url", "input_image"), _image_url),
    **dict.fromkeys(("input_audio", "audio", "video", "container_upload"), _opaque),
    **dict.fromkeys(("file", "input_file", "media"), _file),
    **dict.fromkeys(SUMMARY_PARTS, read_summary),
    "image": _image,
    "refusal": _refusal,
    "document": _document,
    "search_result": _search_result,
    "text-plain": _text_plain,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "reasoning": read_reasoning,
    "non_standard": _non_standard,
    FIXED_PART: _fixed,
}
