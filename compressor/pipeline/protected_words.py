"""Finds the words of running text that may be left out at all.

Only whole lower-case English words inside complete sentences may be left out. These stay: negations, numbers, ids,
paths, URLs and flags with the words beside them; names and the words that join their parts; quotations, code, tags,
links, tables and headings; words that limit, compare or set a condition.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from compressor.scoring.token_index import stem
from compressor.scoring.word_vectors import load_word_vectors
from compressor.text.segmenters.base import Mask, Spans
from compressor.text.segmenters.span_layout import SpanLayout

PROSE_LAYOUTS = frozenset(("prose", "markdown", "html"))
MIN_SENTENCE_WORDS = 6  # Shorter sentences stay whole: they have little to spare.

#: The fraction of words such as `the` from which a text counts as English. Half of it suffices for a sentence.
MIN_ENGLISH_FRACTION = 0.2

_NEGATIONS = frozenset(
    "no not never none nor neither nobody nothing nowhere cannot cant dont doesnt didnt isnt arent wasnt werent "
    "wont wouldnt couldnt shouldnt havent hasnt hadnt without avoid avoids avoided unable forbidden prohibited banned "
    "unless except excluding exclude excludes excluded besides lack lacks lacked lacking absent false instead hardly "
    "scarcely barely rarely seldom nearly almost un non fail fails failed failing deny denies denied refuse "
    "refused".split()
)
_NUMBERS = frozenset(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands "
    "million millions billion billions trillion dozen dozens half quarter third fourth fifth sixth seventh eighth "
    "ninth tenth first second last once twice double triple percent square cubic nautical metric".split()
)
#: Words that limit, compare, oppose, set a condition or a direction. Without them a sentence says something else.
_LIMITS = frozenset(
    "all any both each every either few fewer fewest less lesser least more most many much several some enough only "
    "just even still yet already merely solely exactly about around approximately roughly up down over under above "
    "below if else whether or but although though however despite while whereas because since until till before after "
    "during between against toward towards off out away back by from to than versus like unlike same other another "
    "different must shall should may might can could would will ought need needs required optional always often "
    "usually sometimes maybe perhaps possibly probably likely unlikely alleged allegedly reportedly claimed supposed "
    "former formerly later earlier following preceding ago now then next previous when where who whom whose "
    "why how what too very".split()
)
#: Words that join the parts of a name: `Lord of the Rings`, `Simon and Garfunkel`, `Vincent van Gogh`.
_JOINTS = frozenset(
    "a an and as at by for from in of on or the to with al bin da de del della den der des di do du el ibn la le ten "
    "ter van von y zu".split()
)
_ENGLISH = frozenset(
    "a the of and to that which with for by from as on it this are were been have has had their its at an is was be "
    "will not or they these who when you your there".split()
)

_WORD = re.compile(r"\S+")
_END = re.compile(r"[.!?…][\"'”’»)\]*_]*\s*(?:</[^<>]*>\s*)*\Z")
_HARD = re.compile(r"[\d_/\\@#=<>{}\[\]()|~^*+$%&€£¥°§]|^-+\w|\.\w|[a-z][A-Z]|n['’]t\b")
_EDGES = "\"'“”‘’„«»`,.;:!?…"
_PARAGRAPH = re.compile(r"\n[ \t]*\n")
_TAG = re.compile(r"<[A-Za-z/!?][^<>]*>")
_ELEMENT = re.compile(
    r"<(?P<name>script|style|pre|code|textarea|table|svg|noscript|template|math|kbd|samp|blockquote|q|cite|h[1-6])\b"
    r".*?(?:</(?P=name)\s*>|\Z)|<t[dhr]\b.*?(?=<t[dhr]\b|</table|\Z)",
    re.I | re.S,
)
_FENCE = re.compile(r"^[ \t]*(?P<ticks>```+|~~~+).*?(?:^[ \t]*(?P=ticks)|\Z)", re.M | re.S)
#: Lines that are code, quotations, headings, link targets or rows of a table.
_LINE = re.compile(r"^(?: {4}|\t|[ \t]*[>|#]| {0,3}\[[^\]\n]*\]:|[^|\n]*\|[^|\n]*\|).*$", re.M)
_BRACKETS = re.compile(r"\[[^\[\]\n]*\](?:\([^()\n]*\))?|\]\([^()\n]*\)")
_QUOTED = re.compile(
    r"``[^`]*?''|`[^`]*(?:`|\Z)|“[^”]*(?:”|\Z)|„[^“”]*(?:[“”]|\Z)|«[^»]*(?:»|\Z)|「[^」]*(?:」|\Z)"
    r"|&(?:quot|ldquo|laquo);[\s\S]*?(?:&(?:quot|rdquo|raquo);|\Z)"
    r"|‘(?:[^’]|’(?=\w))*(?:’|\Z)|(?<![^\s(\[{\"])'(?=\S)(?:[^'\n]|'(?=\w)|\n(?![ \t]*\n)){1,400}'(?!\w)"
)

# The kinds of words. The words beside a hard one (an id, number, path, negation) stay with it.
_STAYS, _LOOSE, _LOOSE_JOINT, _JOINT, _HARD_WORD, _NAME, _LAST_NAME = range(7)
_kind_cache: dict[str, int] = {}
_KIND_CACHE_SIZE = 100_000


def find_removable_words(layout: SpanLayout) -> tuple[Spans, npt.NDArray[np.int32], int]:
    """Finds the words of a text that may be left out.

    Returns:
        The span of each word with the one space before it, shape [words, 2]; the unit of each, shape [words]; and the
        number of all words of the text.
    """
    text, spans = layout.text, layout.spans
    found = [m.span() for m in _WORD.finditer(text)] if layout.kind in PROSE_LAYOUTS else []
    words = np.array(found, np.int32).reshape(-1, 2)
    unit = np.searchsorted(spans[:, 0], words[:, 0], side="right").astype(np.int32) - 1
    classes = np.array([_classify(text[a:b]) for a, b in found], np.int8)
    kind, english = classes // 2, classes % 2 > 0
    stays = _neighbours(kind == _HARD_WORD) | _joints(kind)
    may: Mask = ((kind == _LOOSE) | (kind == _LOOSE_JOINT)) & ~stays
    if may.any():
        may &= _sentences(layout, unit, english)[unit] & ~_protected_characters(text)[words[:, 0]]
        first = words[:, 0] - 1  # Must be a single space in the same unit, right behind a word.
        code = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        may &= (first > spans[unit, 0]) & (code[first] == 32)
        may[1:] &= words[:-1, 1] == first[1:]
    return np.stack([words[may, 0] - 1, words[may, 1]], axis=1), unit[may], len(found)


def is_word(text: str, start: int, end: int) -> bool:
    """Returns whether text[start:end] is a space and a whole lower-case word."""
    word = text[start + 1 : end]
    return text[start : start + 1] == " " and word.isalpha() and word.islower() and text[end : end + 1].strip() == ""


def _classify(word: str) -> int:
    """Returns twice the kind of a word, plus one if it shows a text to be English."""
    found = _kind_cache.get(word)
    if found is None:
        if len(_kind_cache) > _KIND_CACHE_SIZE:
            _kind_cache.clear()
        found = _kind_cache[word] = 2 * _classify_kind(word[:200]) + (word.lower() in _ENGLISH)
    return found


def _classify_kind(word: str) -> int:
    core = word.strip(_EDGES)
    low = core.lower()
    if low in _NEGATIONS or _HARD.search(word) or any(part in _NUMBERS for part in low.split("-")):
        return _HARD_WORD
    if core[:1].isupper():
        return _NAME if word.endswith(core) else _LAST_NAME
    if not (word.isascii() and word.isalpha() and word.islower()) or word in _LIMITS:
        return _JOINT if word in _JOINTS else _STAYS
    if stem(word) not in load_word_vectors().row_by_term:  # An unknown word may be an id.
        return _STAYS
    return _LOOSE_JOINT if word in _JOINTS else _LOOSE


def _neighbours(mask: Mask) -> Mask:
    """Returns the neighbours of the words in a mask, shape [words]."""
    out = np.zeros_like(mask)
    out[1:] |= mask[:-1]
    out[:-1] |= mask[1:]
    return out


def _joints(kind: npt.NDArray[np.int8]) -> Mask:
    """Returns the runs of up to three short words between two parts of a name, shape [words]."""
    out = np.zeros(len(kind), np.bool_)
    joint, opens, name = (kind == _JOINT) | (kind == _LOOSE_JOINT), kind == _NAME, kind >= _NAME
    for size in (1, 2, 3):
        where = opens[: -size - 1] & name[size + 1 :]
        for i in range(1, size + 1):
            where &= joint[i : len(kind) - size - 1 + i]
        for i in range(1, size + 1):
            out[i : len(kind) - size - 1 + i] |= where
    return out


def _sentences(layout: SpanLayout, unit: npt.NDArray[np.int32], english: Mask) -> Mask:
    """Returns the units that are complete English sentences with no other role, shape [units]."""
    text = layout.text
    n = len(layout.spans)
    size = np.bincount(unit, minlength=n)
    if english.sum() < MIN_ENGLISH_FRACTION * len(unit):
        return np.zeros(n, np.bool_)
    is_english = np.bincount(unit[english], minlength=n) >= MIN_ENGLISH_FRACTION / 2 * size
    out: Mask = (size >= MIN_SENTENCE_WORDS) & (layout.flags == 0) & is_english
    for i in np.flatnonzero(out).tolist():
        a, b = layout.spans[i].tolist()
        out[i] = _END.search(text, max(a, b - 80), b) is not None
    return out


def _protected_characters(text: str) -> Mask:
    """Returns the characters inside code, quotations, tags, links, tables and headings, shape [len(text)]."""
    out = np.zeros(len(text), np.bool_)
    untagged = text
    if "<" in text:
        for pattern in (_ELEMENT, _TAG):
            for m in pattern.finditer(text):
                out[m.start() : m.end()] = True
        untagged = _TAG.sub(lambda m: " " * len(m[0]), text)
    for pattern, where in ((_FENCE, text), (_LINE, text), (_BRACKETS, untagged), (_QUOTED, untagged)):
        for m in pattern.finditer(where):
            out[m.start() : m.end()] = True
    for a, b in _double_quoted(untagged):
        out[a:b] = True
    return out


def _double_quoted(text: str) -> Iterator[tuple[int, int]]:
    """Yields the stretches between straight double quotes.

    Straight quotes do not show whether they open or close. In a paragraph where they do not pair up, everything from
    the first quote on counts as quoted.
    """
    if '"' not in text:
        return
    start = 0
    for end in [*(m.start() for m in _PARAGRAPH.finditer(text)), len(text)]:
        quotes = [m.start() for m in re.finditer('"', text[start:end])]
        pairs = list(zip(quotes[::2], quotes[1::2], strict=False))
        paragraph = text[start:end] + " "
        if len(quotes) % 2 or any(paragraph[max(a - 1, 0)].isalnum() or paragraph[b + 1].isalnum() for a, b in pairs):
            yield start + quotes[0], end
        else:
            yield from ((start + a, start + b + 1) for a, b in pairs)
        start = end
