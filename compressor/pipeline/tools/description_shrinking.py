"""Shortens a description at the borders of its sentences. Knows no schema."""

from __future__ import annotations

import re
from collections.abc import Collection

from compressor.context.refs import ELLIPSIS
from compressor.scoring.bm25 import STOP
from compressor.scoring.token_index import terms
from compressor.text.segmenters.sentences import sentence_starts

#: a sentence that says how a value has to look, or what must not be done: kept before others
_RULE = re.compile(
    r"\b(?:must|only|never|not|required?|format|unit|units|between|at (?:most|least)|maximum|minimum|default)\b"
    r"|\d|don't|cannot|[A-Z]{2,4}-[A-Z]{2}",
    re.I,
)
_EXAMPLE = re.compile(r"\s*(?:for example|example|examples|e\.g\.|for instance|usage)\b", re.I)
_LISTING = re.compile(r"(?:[^,;.:\s][^,;.:\n]{0,39},\s+){12,}")
_ITEMS = 8  # of a long listing, that stay
_FEW = 6  # words besides an enum's values, in a sentence that only lists them


def shorten(text: str, sentences: int, characters: int, clip: bool = False) -> str:
    """The first sentence, and of the others the first that lay something down, in order: at most `sentences` of them
    and about `characters`; with `clip` the first sentence, too, is cut there, at a border of words, with a `…`."""
    if not sentences:
        return ""
    if len(text) <= characters and (len(text) < 24 or len(sentence_starts(text)) <= sentences):
        return text
    starts = sentence_starts(text)
    found = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    order = sorted(range(1, len(found)), key=lambda i: (not _RULE.search(found[i]), bool(_EXAMPLE.match(found[i])), i))
    room = characters - len(found[0]) if found else 0
    kept = {0}
    for i in order:
        if len(kept) >= sentences:
            break
        if len(found[i].strip()) <= room:
            kept.add(i)
            room -= len(found[i])
    out = "".join(found[i] for i in sorted(kept)).rstrip()
    return _clipped(out, characters) if clip and len(out) > characters else out


def _clipped(text: str, characters: int) -> str:
    head = text[:characters]
    cut = max(head.rfind(mark) for mark in (", ", "; ", " - ", " (", ": "))
    if cut < characters // 2:
        cut = head.rfind(" ")
    return f"{head[:cut].rstrip(' ,;:(-')}{ELLIPSIS}" if cut > 0 else head + ELLIPSIS


def without_examples(text: str) -> str:
    """Without the sentences that only give examples; never without the first."""
    if "xample" not in text and "e.g." not in text and "nstance" not in text:
        return text
    starts = sentence_starts(text)
    found = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    return "".join([s for i, s in enumerate(found) if i == 0 or not _EXAMPLE.match(s)]).rstrip()


def without_enum_listing(text: str, values: Collection[str]) -> str:
    """Without the sentences that only list an enum's values, which the schema has, too; never without the first."""
    low = [v.lower() for v in values if isinstance(v, str) and v]
    if len(low) < 3 or sum(v in text.lower() for v in low) < 3:
        return text
    starts = sentence_starts(text)
    out = []
    own = {t for v in low for t in terms(v)}
    for i, (a, b) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True)):
        sentence = text[a:b]
        lists = i > 0 and sum(v in sentence.lower() for v in low) >= 3
        if not lists or len([t for t in terms(sentence) if t not in own and t not in STOP]) > _FEW:
            out.append(sentence)
    return "".join(out).rstrip()


def shorten_listings(text: str) -> str:
    """Long listings after commas end after a few of their items, with a `…`."""

    def short(match: re.Match[str]) -> str:
        return ",".join(match.group().split(",")[:_ITEMS]) + f", {ELLIPSIS} "

    return _LISTING.sub(short, text) if text.count(",") >= 12 else text
