"""Quotes words of a page in a line of ours, so that they can be taken for nothing but words of a page.

Whoever wrote a page may have written it for the agent: a quote is one line, bounded, and cannot close its brackets,
forge a placeholder or turn the direction of the text.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import urlsplit

from compressor.context.refs import ELLIPSIS

_SPACES = re.compile(r"\s+")
#: Brackets and quotes -> what stands for them inside a quote.
_SAFE = str.maketrans(
    {
        "[": "(",
        "]": ")",
        "{": "(",
        "}": ")",
        "<": "‹",
        ">": "›",
        '"': "'",
        "“": "'",
        "”": "'",
        "„": "'",
        "`": "'",
        "\\": "/",
    }
)
_PLACEHOLDER = re.compile(r"cut(\s+)ref", re.IGNORECASE)
_MAX_READ = 4  # times the allowed characters that are read of a longer text


def quote_words(text: str, max_chars: int) -> str:
    """Returns words of a page as one line without brackets, double quotes and control characters.

    Args:
        text: What the page says.
        max_chars: The number of characters to return; a longer text is cut after a word and ends with "…".
    """
    if max_chars <= 0:
        return ""
    text = "".join(map(_plain, _SPACES.sub(" ", text[: _MAX_READ * max_chars + 200])))
    text = _PLACEHOLDER.sub("cut-ref", _SPACES.sub(" ", text.translate(_SAFE))).strip()
    if len(text) <= max_chars:
        return text
    cut = text[: max_chars - 1]
    head = cut.rsplit(" ", 1)[0] if text[max_chars - 1] != " " and " " in cut[max_chars // 2 :] else cut
    return head.rstrip(" ,;:·-–") + ELLIPSIS


def quote_url(url: str, max_chars: int) -> str:
    """Returns a URL without credentials, and without what makes it longer than `max_chars`: "" if it is not a page's.

    Args:
        url: The URL.
        max_chars: The number of characters to return. The fragment goes first, then the query, then the path's end.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https", "file", "about", "chrome", "app") or (
        parts.scheme[:4] == "http" and not host
    ):
        return ""
    start = (
        f"{parts.scheme}://{host}{f':{port}' if port else ''}" if host or parts.scheme == "file" else f"{parts.scheme}:"
    )
    path = start + parts.path
    query = f"{path}?{parts.query}" if parts.query else path
    whole = f"{query}#{parts.fragment}" if parts.fragment else query
    shown = next((one for one in (whole, query, path) if len(one) <= max_chars), path)
    return quote_words(shown.replace(" ", "%20"), max_chars) if len(start) <= max_chars else ""


def _plain(character: str) -> str:
    """Drops what is not seen: control, format and direction characters, and lone surrogates."""
    return "" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn") else character
