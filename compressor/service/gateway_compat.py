"""What the compression hooks of gateways need beside the plain API: marks with a hash, and the way back from it; and
that nothing we meet stops their call.

LiteLLM's hook offers its retrieve tool only where it finds `hash=` with 24 hex digits in a text, and the model calls
that tool with such a hash. Ours is the ref with zeros in front. Knows no HTTP.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from compressor.context.refs import PLACEHOLDER_RE, REF_DIGITS
from compressor.errors import CompressorError
from compressor.service.http_errors import HttpError, to_http_error, without_message

log = logging.getLogger("compressor.service")
ZEROS = "0" * (24 - REF_DIGITS)
_MARK = re.compile(PLACEHOLDER_RE.pattern + r"(?! hash=)")
_REF = re.compile(rf"(?<!\d)(?:{ZEROS})?(\d{{{REF_DIGITS}}})(?!\d)")


def add_placeholder_hashes(value: Any, count: Callable[[str], int]) -> tuple[Any, int]:
    """JSON data whose marks have a hash too, and by how many tokens its texts are longer. What has no mark is the same
    object."""
    if isinstance(value, str):
        text = _MARK.sub(rf"\g<0> hash={ZEROS}\1", value)
        return (text, count(text) - count(value)) if text != value else (value, 0)
    if isinstance(value, dict):
        pairs = {key: add_placeholder_hashes(one, count) for key, one in value.items()}
        made: Any = {key: one for key, (one, _) in pairs.items()}
        added = sum(more for _, more in pairs.values())
    elif isinstance(value, list):
        items = [add_placeholder_hashes(one, count) for one in value]
        made, added = [one for one, _ in items], sum(more for _, more in items)
    else:
        return value, 0
    return (made, added) if added else (value, 0)


def fallback_kind(error: BaseException) -> str:
    """The kind of an error that lets a history through as it came; what no client can have meant is logged."""
    if not isinstance(error, (CompressorError, HttpError)):
        log.error("not compressed, given back as it was: %s", type(error).__name__, exc_info=without_message(error))
    return to_http_error(error).kind


def extract_ref(text: str) -> str | None:
    """The ref that a ref, a hash or a mark names; None if there is none."""
    found = _REF.search(text)
    return found[1] if found else None
