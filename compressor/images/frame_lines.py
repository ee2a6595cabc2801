"""Writes the line of text that a frame leaves behind.

The line says what an agent needs to go on, or to decide whether to expand the frame: its number, kind and size, the
page, and the words that stand out on it. What the message beside the frame already says is not said again.
"""

from __future__ import annotations

from collections.abc import Sequence

from compressor.images.frames import Frame
from compressor.images.page_labels import file_name
from compressor.images.page_words import quote_url, quote_words

DEFAULT_MAX_CHARS = 240
_MAX_TITLE = 80
_MAX_URL = 100
_MAX_WORDS = 60  # characters of one text that was read from the picture
_LEAST_WORDS = 8  # characters that have to be free for one more text
_SEPARATOR = " · "


def frame_line(
    frame: Frame, width: int, height: int, texts: Sequence[str] = (), max_chars: int = DEFAULT_MAX_CHARS, note: str = ""
) -> str:
    """Returns the line that a frame leaves behind, in brackets and without a placeholder.

    Args:
        frame: The frame.
        width: Width of the image in pixels; 0 if unknown.
        height: Height in pixels; 0 if unknown.
        texts: What was read from the picture, most important first. Texts that the message beside it holds are skipped.
        max_chars: The largest length of the line. Its number and kind are always there.
        note: Our own words about the frame, such as "as image 3, changed: cart count 2 → 3". They are not quoted:
            pass page text in it through `quote_words` or `changed_words`.

    Example:
        >>> frame_line(frame, 1280, 800, ["Cart (3)", "Checkout"])
        '[image 5: screenshot 1280×800, "Cart – Northwind" https://shop.example/cart; reads: Cart (3) · Checkout]'
    """
    line = f"image {frame.number}: {_kind(frame)}"
    if width > 0 and height > 0:
        line += f" {width}×{height}"
    free = max(0, max_chars - 2 - len(line))
    known = _fold("\n".join((*frame.texts, frame.call_text)))
    if note and len(note) + 2 <= free:
        line += f"; {note}"
        free -= len(note) + 2
    if page := _page(frame, known, free - 2):
        line += f", {page}"
        free -= len(page) + 2
    words = _words(texts, known, _fold(page), free - len("; reads: "))
    return f"[{line}; reads: {words}]" if words else f"[{line}]"


def _kind(frame: Frame) -> str:
    if frame.source == "user":
        return "picture from the user"
    return "screenshot" if frame.is_screenshot else "picture"


def _page(frame: Frame, known: str, free: int) -> str:
    """The title and URL, or the window, or the file name, as far as the message beside the frame does not say them."""
    parts = []
    title = frame.title or frame.window
    if title and not _says(known, title):
        quoted = quote_words(title, min(_MAX_TITLE, free - 2))
        parts.append(f'"{quoted}"' if quoted else "")
        free -= len(quoted) + 3
    if frame.url and _fold(frame.url) not in known:
        parts.append(quote_url(frame.url, min(_MAX_URL, free)))
        free -= len(parts[-1]) + 1
    if not title and not frame.url and frame.labels.files:
        name = file_name(frame.labels.files[0])
        parts.append(quote_words(name, min(_MAX_TITLE, free)) if not _says(known, name) else "")
    return " ".join(part for part in parts if part)


def _words(texts: Sequence[str], known: str, page: str, free: int) -> str:
    said: list[str] = []
    seen: set[str] = set()
    for text in texts:
        words = quote_words(text, min(_MAX_WORDS, free))
        folded = _fold(words)
        is_new = any(map(str.isalnum, folded)) and folded not in seen and not _says(known, words)
        is_new = is_new and not _says(page, words)
        if not is_new or free < _LEAST_WORDS or (words.endswith("…") and len(words) < _LEAST_WORDS):
            continue
        said.append(words.replace(_SEPARATOR.strip(), "-"))
        seen.add(folded)
        free -= len(words) + len(_SEPARATOR)
    return _SEPARATOR.join(said)


def _says(known: str, words: str) -> bool:
    """Returns whether folded text holds words as whole words."""
    folded = _fold(words)
    position = known.find(folded) if folded else -1
    while position >= 0:
        around = known[max(0, position - 1) : position], known[position + len(folded) : position + len(folded) + 1]
        if not any(map(str.isalnum, around)):
            return True
        position = known.find(folded, position + 1)
    return False


def _fold(text: str) -> str:
    return " ".join(text.casefold().split())
