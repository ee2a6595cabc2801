"""Reads how many pages and how much text a PDF has, in bounded time and memory and without a PDF library (ISO 32000-1).

Pages are the `/Type /Page` objects, in the file itself and in its compressed object streams (7.5.7), at most the
`/Count` of the page tree (7.7.3). Text is what the content streams show (9.4.3): the length of their strings.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from itertools import islice
from typing import NamedTuple

MAX_PAGES = 5_000
MIN_PAGE_BYTES = 20  # that a page takes at least, compressed
MAX_STREAMS = 20_000
#: Bytes that are decompressed at most: of object streams, and of content streams. More text is extrapolated.
MAX_OBJECT_BYTES = 16 << 20
MAX_CONTENT_BYTES = 6 << 20

_STREAM = re.compile(rb"(?<!end)stream\r?\n")
_PAGE = re.compile(rb"/Type\s*/Page(?![A-Za-z])")
_PAGE_TREE = re.compile(rb"/Type\s*/Pages(?![A-Za-z])")
_COUNT = re.compile(rb"/Count\s+(\d{1,9})")
_OTHER_FILTER = re.compile(rb"/(?:ASCII\w+|LZW\w*|RunLength\w+|CCITT\w+|JBIG2\w+|DCT\w*|JPX\w+|Crypt)\b")
_NO_TEXT = re.compile(
    rb"/Subtype\s*/(?:Image|Type1C|CIDFontType0C|OpenType|XML)\b|/Length1\b|/Type\s*/(?:XRef|Metadata)\b"
    rb"|/(?:Function|Shading|Pattern)Type\b|/N\s+[134]\b"
)
#: Strings; what is escaped outside of them is matched, too, so that no byte is looked at more than a few times.
_STRING = re.compile(rb"\\.|\([^()\\]*(?:\\.[^()\\]*)*\)|<[0-9A-Fa-f\s]{2,}>", re.DOTALL)
_DICT_BYTES = 2_000  # of a stream's dictionary that are looked at
_TREE_BYTES = 1 << 16  # of a node of the page tree
_MAX_NODES = 1_000


class PdfContent(NamedTuple):
    """What a PDF holds.

    Attributes:
        pages: The number of pages.
        characters: The number of characters of its text; None if it cannot be read, as in an encrypted file.
    """

    pages: int
    characters: int | None


def read_pdf(data: bytes) -> PdfContent | None:
    """Returns the content of a PDF, or None for other and damaged files whose pages cannot be found."""
    if data.find(b"%PDF-", 0, 1024) < 0:
        return None
    objects: list[bytes] = []  # everything outside of streams, and object streams
    contents: list[tuple[bytes, bool]] = []  # content streams, and whether they are compressed
    object_bytes = position = 0
    for _ in range(MAX_STREAMS):
        found = _STREAM.search(data, position)
        if found is None:
            break
        objects.append(data[position : found.start()])
        end = data.find(b"endstream", found.end())
        position = len(data) if end < 0 else end
        header = objects[-1][-_DICT_BYTES:]
        header = header[max(0, header.rfind(b"obj")) :]
        if _OTHER_FILTER.search(header):
            continue
        if b"/ObjStm" in header:
            text = _inflate(data[found.end() : position], MAX_OBJECT_BYTES - object_bytes)
            object_bytes += len(text)
            objects.append(text)
        elif not _NO_TEXT.search(header):
            contents.append((data[found.end() : position], b"/Filter" in header))
    objects.append(data[position:])
    is_encrypted = any(b"/Encrypt" in text for text in objects)
    pages = _count_pages(b"\n".join(objects))
    if not pages:
        return None
    return PdfContent(
        min(pages, MAX_PAGES, 1 + len(data) // MIN_PAGE_BYTES), None if is_encrypted else _count_characters(contents)
    )


def _inflate(data: bytes, limit: int) -> bytes:
    if limit <= 0:
        return b""
    try:
        return zlib.decompressobj().decompress(data, limit)
    except zlib.error:
        return b""


def _count_pages(objects: bytes) -> int:
    pages = sum(1 for _ in _PAGE.finditer(objects))
    total = 0
    for node in islice(_PAGE_TREE.finditer(objects), _MAX_NODES):
        start, end = node.span()
        ends = (objects.find(mark, end, end + _TREE_BYTES) for mark in (b"endobj", b"/Type"))
        behind = objects[end : min((at for at in ends if at >= 0), default=end + _TREE_BYTES)]
        counts = _COUNT.findall(behind)
        if not counts:
            low = max(0, start - _TREE_BYTES)
            counts = _COUNT.findall(
                objects[max(low, objects.rfind(b"obj", low, start), objects.rfind(b"/Type", low, start)) : start]
            )[-1:]
        total = max(total, *map(int, counts[:1]), 0)
    return min(pages, total) if pages and total else pages or total


def _count_characters(contents: list[tuple[bytes, bool]]) -> int:
    characters = seen = decoded = 0
    for raw, is_compressed in contents:
        room = MAX_CONTENT_BYTES - decoded
        if room <= 0:
            break
        text = _inflate(raw, room) if is_compressed else raw[:room]
        seen += len(raw)
        decoded += len(text)
        if b"BT" in text and b"begincmap" not in text:
            characters += _shown_characters(text)
    return characters * sum(len(raw) for raw, _ in contents) // seen if seen else 0


def _shown_characters(content: bytes) -> int:
    literal, codes = 0, []
    for string in _STRING.findall(content):
        if string[:1] == b"(":
            literal += len(string) - 2 - string.count(b"\\")
        elif string[:1] == b"<":
            codes.append(b"".join(string[1:-1].split()))
    digits = sum(map(len, codes))
    # Composite fonts use two bytes a character, mostly with the same high byte; simple fonts use one.
    high = Counter(code[at : at + 2] for code in codes for at in range(0, len(code) - 3, 4))
    is_composite = bool(high) and 2 * high.most_common(1)[0][1] > sum(high.values())
    return literal + digits // (4 if is_composite else 2)
