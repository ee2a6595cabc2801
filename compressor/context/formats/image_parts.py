"""Reads the data of an image part, and writes the part with another picture, in the forms of all providers."""

from __future__ import annotations

from typing import Any

from compressor.context.formats.json_values import to_plain_dict

#: Keys that hold base64 -> the key of the media type beside them: Anthropic's source, LangChain's blocks, MCP's images.
_BASE64 = (("base64", "mime_type"), ("data", "media_type"), ("data", "mimeType"), ("data", "mime_type"))


def image_base64(part: Any) -> str:
    """Returns the base64 text of an image part; "" where it has a remote URL or an id instead."""
    holder = _holder(part)
    for key in ("image_url", "url"):
        if isinstance(url := holder.get(key), str):
            head, comma, data = url.partition(",")
            return data if comma and head.startswith("data:") and head.endswith(";base64") else ""
    return next((holder[key] for key, _ in _BASE64 if isinstance(holder.get(key), str)), "")


def with_picture(part: Any, url: str) -> dict[str, Any]:
    """Returns a copy of an image part that shows another picture. All other keys stay.

    Args:
        part: An image part for which `image_base64` is not "".
        url: The picture as a `data:` URL in base64.
    """
    head, _, data = url.partition(",")
    media_type = head.removeprefix("data:").removesuffix(";base64")
    out, holder = dict(to_plain_dict(part) or {}), dict(_holder(part))
    for key in ("image_url", "url"):
        if isinstance(holder.get(key), str):
            holder[key] = url
            break
    else:
        forms = [(key, kind) for key, kind in _BASE64 if isinstance(holder.get(key), str)]
        key, kind = next((form for form in forms if form[1] in holder), forms[0])
        holder[key], holder[kind] = data, media_type
    for outer in ("image_url", "source"):
        if to_plain_dict(out.get(outer)) is not None:
            return out | {outer: holder}
    return holder


def _holder(part: Any) -> dict[str, Any]:
    """Returns the dict that holds the data: the part itself, or a dict inside of it."""
    plain = to_plain_dict(part) or {}
    return to_plain_dict(plain.get("image_url")) or to_plain_dict(plain.get("source")) or plain
