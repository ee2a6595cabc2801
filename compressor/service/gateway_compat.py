"""Supports the compression hooks of gateways: placeholders with a hash, and errors that never stop their call.

LiteLLM's hook offers its retrieve tool only where a text has `hash=` with 24 hex digits, and the model calls that tool
with the hash. Our hash is the ref, padded with zeros.
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
_PLACEHOLDER = re.compile(PLACEHOLDER_RE.pattern + r"(?! hash=)")
_REF = re.compile(rf"(?<!\d)(?:{ZEROS})?(\d{{{REF_DIGITS}}})(?!\d)")


def add_placeholder_hashes(value: Any, count: Callable[[str], int]) -> tuple[Any, int]:
    """Adds a hash to every placeholder in JSON data.

    Args:
        value: The data.
        count: Counts the tokens of a text.

    Returns:
        The new data (the same object if it has no placeholder), and by how many tokens its texts are longer.
    """
    if isinstance(value, str):
        text = _PLACEHOLDER.sub(rf"\g<0> hash={ZEROS}\1", value)
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


def describe_refs(refs: list[str]) -> dict[str, Any]:
    """Returns the fields of a response that list its refs.

    LiteLLM offers its retrieve tool, and answers a call of it, only for what `ccr_hashes` lists. A model may give the
    hash of a placeholder or its ref.
    """
    return {"refs": refs, "ccr_hashes": [name for ref in refs for name in (ZEROS + ref, ref)]}


def fallback_kind(error: BaseException) -> str:
    """Returns the type of an error that makes a history go back uncompressed; logs errors of the service itself."""
    if not isinstance(error, (CompressorError, HttpError)):
        log.error("history returned uncompressed: %s", type(error).__name__, exc_info=without_message(error))
    return to_http_error(error).kind


def extract_ref(text: str) -> str | None:
    """Returns the ref in a text (a ref, a hash or a placeholder), or None."""
    found = _REF.search(text)
    return found[1] if found else None
