"""Shortens descriptions of tools and parameters by whole sentences.

Sentences that warn are kept longest, then those that state a rule (`rule_sentences`), then the first sentence.
"""

from __future__ import annotations

import re
from typing import Literal

from compressor.context.refs import ELLIPSIS
from compressor.pipeline.tools.rule_sentences import explains_value, is_rule, is_warning, split_sentences
from compressor.pipeline.tools.text_memory import remember_texts
from compressor.scoring.bm25 import STOP
from compressor.scoring.token_index import terms

Keep = Literal["rules", "warnings", "none"]

_EXAMPLE = re.compile(r"\s*(?:for example|example|examples|e\.g\.|for instance|usage)\b", re.I)
_LISTING = re.compile(r"(?:[^,;.:\s][^,;.:\n]{0,39},\s+){12,}")
_MAX_ITEMS = 8  # of a long listing
_MAX_OTHER_WORDS = 6  # words besides the values of an enum in a sentence that only lists these values


@remember_texts
def shorten(
    text: str,
    max_sentences: int,
    max_chars: int,
    keep: Keep = "rules",
    clip: bool = False,
    values: tuple[str, ...] = (),
) -> str:
    """Keeps the rules, and of the other sentences the first ones.

    Args:
        text: The description.
        max_sentences: The maximum number of sentences that are no rules.
        max_chars: The approximate maximum of their characters. The first sentence may be longer.
        keep: Which sentences are kept, however many there are: those that state a rule, only those that warn, or
            none.
        clip: Whether the first sentence, too, is cut at `max_chars`, between two words, with a `…`, if it is no rule.
        values: The values of the parameter's enum. What explains them counts as a rule.
    """
    if not text or (not max_sentences and keep == "none"):
        return ""
    found = split_sentences(text)
    rules: set[int] = set()
    if keep != "none":
        tests = is_rule if keep == "rules" else is_warning
        rules = {i for i, s in enumerate(found) if tests(s) or (keep == "rules" and explains_value(s, values))}
    if len(text) <= max_chars and len(found) - len(rules) <= max_sentences:
        return text
    kept = set(rules)
    others = [i for i in range(len(found)) if i not in rules]
    remaining = max_chars
    clipped = ""
    for i in sorted(others, key=lambda i: (i > 0, bool(_EXAMPLE.match(found[i])), i))[:max_sentences]:
        size = len(found[i].strip())
        if size <= remaining or i == 0:
            kept.add(i)
            if clip and size > remaining:
                clipped = _clip(found[i].rstrip(), remaining) + (" " if kept - {i} else "")
            remaining -= size
    return "".join(clipped if i == 0 and clipped else found[i] for i in sorted(kept)).rstrip()


def _clip(text: str, max_chars: int) -> str:
    head = text[:max_chars]
    cut = max(head.rfind(separator) for separator in (", ", "; ", " - ", " (", ": "))
    if cut < max_chars // 2:
        cut = head.rfind(" ")
    return f"{head[:cut].rstrip(' ,;:(-')}{ELLIPSIS}" if cut > 0 else head + ELLIPSIS


@remember_texts
def without_examples(text: str) -> str:
    """Removes sentences that only give examples, except the first sentence and examples of a format."""
    if "xample" not in text and "e.g." not in text and "nstance" not in text and "sage" not in text:
        return text
    found = split_sentences(text)
    return "".join([s for i, s in enumerate(found) if i == 0 or is_rule(s) or not _EXAMPLE.match(s)]).rstrip()


@remember_texts
def without_enum_listing(text: str, values: tuple[str, ...]) -> str:
    """Removes sentences that only list the values of an enum, except the first sentence.

    Args:
        text: The description.
        values: The values of the enum, which the schema lists anyway.
    """
    lower_values = [v.lower() for v in values if v]
    if len(lower_values) < 3 or sum(v in text.lower() for v in lower_values) < 3:
        return text
    out = []
    own = {t for v in lower_values for t in terms(v)}
    for i, sentence in enumerate(split_sentences(text)):
        lists = i > 0 and sum(v in sentence.lower() for v in lower_values) >= 3
        if not lists or len([t for t in terms(sentence) if t not in own and t not in STOP]) > _MAX_OTHER_WORDS:
            out.append(sentence)
    return "".join(out).rstrip()


@remember_texts
def shorten_listings(text: str) -> str:
    """Cuts long lists of comma-separated items after a few items, with a `…`."""

    def short(match: re.Match[str]) -> str:
        return ",".join(match.group().split(",")[:_MAX_ITEMS]) + f", {ELLIPSIS} "

    return _LISTING.sub(short, text) if text.count(",") >= 12 else text
