"""Shortens descriptions of tools and parameters by whole sentences."""

from __future__ import annotations

import re
from collections.abc import Collection

from compressor.context.refs import ELLIPSIS
from compressor.scoring.bm25 import STOP
from compressor.scoring.token_index import terms
from compressor.text.segmenters.sentences import sentence_starts

#: A sentence that says what a value must look like, or what must not be done. It is kept before others.
_RULE = re.compile(
    r"\b(?:must|only|never|not|required?|format|unit|units|between|at (?:most|least)|maximum|minimum|default)\b"
    r"|\d|don't|cannot|[A-Z]{2,4}-[A-Z]{2}",
    re.I,
)
_EXAMPLE = re.compile(r"\s*(?:for example|example|examples|e\.g\.|for instance|usage)\b", re.I)
_LISTING = re.compile(r"(?:[^,;.:\s][^,;.:\n]{0,39},\s+){12,}")
_MAX_ITEMS = 8  # of a long listing
_MAX_OTHER_WORDS = 6  # words besides the values of an enum in a sentence that only lists these values


def shorten(text: str, max_sentences: int, max_chars: int, clip: bool = False) -> str:
    """Keeps the first sentence and, of the others, those that state rules before the rest.

    Args:
        text: The description.
        max_sentences: The maximum number of sentences; 0 returns "".
        max_chars: The approximate maximum of characters. The first sentence may be longer.
        clip: Whether the first sentence, too, is cut there, between two words, with a `…`.
    """
    if not max_sentences:
        return ""
    if len(text) <= max_chars and (len(text) < 24 or len(sentence_starts(text)) <= max_sentences):
        return text
    starts = sentence_starts(text)
    found = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    order = sorted(range(1, len(found)), key=lambda i: (not _RULE.search(found[i]), bool(_EXAMPLE.match(found[i])), i))
    remaining = max_chars - len(found[0]) if found else 0
    kept = {0}
    for i in order:
        if len(kept) >= max_sentences:
            break
        if len(found[i].strip()) <= remaining:
            kept.add(i)
            remaining -= len(found[i])
    out = "".join(found[i] for i in sorted(kept)).rstrip()
    return _clip(out, max_chars) if clip and len(out) > max_chars else out


def _clip(text: str, max_chars: int) -> str:
    head = text[:max_chars]
    cut = max(head.rfind(separator) for separator in (", ", "; ", " - ", " (", ": "))
    if cut < max_chars // 2:
        cut = head.rfind(" ")
    return f"{head[:cut].rstrip(' ,;:(-')}{ELLIPSIS}" if cut > 0 else head + ELLIPSIS


def without_examples(text: str) -> str:
    """Removes sentences that only give examples, except the first sentence."""
    if "xample" not in text and "e.g." not in text and "nstance" not in text:
        return text
    starts = sentence_starts(text)
    found = [text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True)]
    return "".join([s for i, s in enumerate(found) if i == 0 or not _EXAMPLE.match(s)]).rstrip()


def without_enum_listing(text: str, values: Collection[str]) -> str:
    """Removes sentences that only list the values of an enum, except the first sentence.

    Args:
        text: The description.
        values: The values of the enum, which the schema lists anyway.
    """
    lower_values = [v.lower() for v in values if isinstance(v, str) and v]
    if len(lower_values) < 3 or sum(v in text.lower() for v in lower_values) < 3:
        return text
    starts = sentence_starts(text)
    out = []
    own = {t for v in lower_values for t in terms(v)}
    for i, (a, b) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True)):
        sentence = text[a:b]
        lists = i > 0 and sum(v in sentence.lower() for v in lower_values) >= 3
        if not lists or len([t for t in terms(sentence) if t not in own and t not in STOP]) > _MAX_OTHER_WORDS:
            out.append(sentence)
    return "".join(out).rstrip()


def shorten_listings(text: str) -> str:
    """Cuts long lists of comma-separated items after a few items, with a `…`."""

    def short(match: re.Match[str]) -> str:
        return ",".join(match.group().split(",")[:_MAX_ITEMS]) + f", {ELLIPSIS} "

    return _LISTING.sub(short, text) if text.count(",") >= 12 else text
