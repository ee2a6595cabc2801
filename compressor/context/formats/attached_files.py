"""Reads the files in messages, as far as their tokens depend on them: pages and text of PDFs, and text of text files.

Files are counted and never edited. What cannot be read is estimated:

* a file id, or a URL, which is never fetched: one page, because no provider says how large a file is, and any document
  has a page;
* a damaged or encrypted PDF: a page for every 50 KB;
* other documents, such as spreadsheets, of which providers extract the text: a page without an image for every 50 KB.

Such a page holds 7,000 characters: some 2,000 tokens, in the middle of what Anthropic's "PDF support" states. Audio and
video have no tokens here.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from compressor.caches import LruCache
from compressor.context.formats.base64_data import decode_base64, split_data_url
from compressor.context.formats.pdf_pages import read_pdf
from compressor.context.model import AttachedFile

PAGE_CHARACTERS = 7_000
PAGE_BYTES = 50_000
#: Base64 characters that are decoded at most. No provider takes larger files than 50 MB.
MAX_ENCODED = 70 << 20
MAX_KNOWN = 512  # files of which the pages are remembered
UNKNOWN_FILE = AttachedFile(1, PAGE_CHARACTERS)

_TEXT_TYPES = ("application/json", "application/xml", "application/javascript", "application/x-yaml", "application/sql")
_SILENT_TYPES = ("audio/", "video/")
_KNOWN: LruCache[bytes, AttachedFile] = LruCache(MAX_KNOWN)


def read_attached_file(data: Any, media_type: Any = None, detail: Any = None) -> AttachedFile | None:
    """Returns what a file's tokens depend on, or None for audio and video.

    Args:
        data: Base64 text, a `data:` URL, or another URL. Any other value means that only an id is known.
        media_type: The file's media type, if the part names it.
        detail: The provider's detail setting for the images of the pages.
    """
    kind = media_type.lower() if isinstance(media_type, str) else ""
    found = split_data_url(data) if isinstance(data, str) and data else None
    if found is not None:
        kind = found[0] or kind
    if kind.startswith(_SILENT_TYPES):
        return None
    detail = detail if isinstance(detail, str) else "auto"
    if found is None:
        return AttachedFile(1, PAGE_CHARACTERS, detail)
    file = _measure(data, found[1], kind)
    return AttachedFile(file.pages, file.characters, detail)


def _measure(data: str, start: int, kind: str) -> AttachedFile:
    size = (len(data) - start - data.count("=", max(start, len(data) - 2))) * 3 // 4
    estimate = AttachedFile(-(-size // PAGE_BYTES), -(-size // PAGE_BYTES) * PAGE_CHARACTERS)
    if kind.startswith("text/") or kind in _TEXT_TYPES:
        return AttachedFile(0, size)
    if "pdf" not in kind and not data.startswith("JVBERi", start):  # "%PDF-" in base64
        return AttachedFile(0, estimate.characters)
    if len(data) - start > MAX_ENCODED:
        return estimate
    key = blake2b(data.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    known = _KNOWN.get(key)
    if known is None:
        content = read_pdf(decode_base64(data[start:]))
        if content is None:
            known = estimate
        else:
            text = content.characters
            known = AttachedFile(content.pages, content.pages * PAGE_CHARACTERS if text is None else text)
        _KNOWN.put(key, known)
    return known
