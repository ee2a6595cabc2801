"""Tells which sentences of a description a caller must know: rules, warnings, formats, limits, meanings of values."""

from __future__ import annotations

import re
from collections.abc import Collection

from compressor.pipeline.tools import rule_words as words
from compressor.pipeline.tools.text_memory import remember_texts
from compressor.scoring.bm25 import STOP
from compressor.scoring.token_index import terms
from compressor.text.segmenters.sentences import sentence_starts

_WARNING = re.compile(rf"(?<!\w)(?:{words.WARNING_WORDS})(?!\w)|{words.UNSEGMENTED_WARNING_WORDS}", re.I)
_RULE = re.compile(rf"(?<!\w)(?:{words.RULE_WORDS})(?!\w)|{words.UNSEGMENTED_RULE_WORDS}", re.I)
#: What a value looks like: dates and times, ranges, codes, quoted samples of a fixed shape.
_FORMAT = re.compile(
    r"YYYY|JJJJ|AAAA|MM[-/]|HH:|hh:|\d{4}-\d\d|\d+\s?(?:[-–]|to|bis|à|a|до|至|から)\s?\d+|[<>≤≥]=?\s?\d|\\d|\[0-9|\^"
    r"|[A-Z]{2}-[A-Z]{2}"
)
_UNIT = re.compile(
    r"\b(?:EUR|USD|GBP|CHF|JPY|cents?|Celsius|Fahrenheit|kelvin)\b"
    r"|\((?:in )?(?:ms|s|sec|min|h|kg|g|lb|m|km|cm|mm|mi|°?[CFK]|%|px|[kMG]i?B|USD|EUR|cents?)\)",
    re.I,
)
_EXAMPLE = re.compile(r"\s*(?:[-*]\s*)?(?:for example|examples?\b|e\.g\.|for instance|usage\b)", re.I)
_MIN_OTHER_WORDS = 2  # words of a sentence beside a value of an enum, from which it explains the value


@remember_texts
def split_sentences(text: str) -> tuple[str, ...]:
    """Splits a text into sentences, which together are the text."""
    starts = sentence_starts(text)
    return tuple(text[a:b] for a, b in zip(starts, [*starts[1:], len(text)], strict=True))


@remember_texts
def is_rule(sentence: str) -> bool:
    """Whether a sentence states a rule, a warning, a format or a limit. Sentences that only give examples do not."""
    if _EXAMPLE.match(sentence):
        return bool(_FORMAT.search(sentence)) and len(sentence) < 120
    return bool(
        _RULE.search(sentence) or _WARNING.search(sentence) or _FORMAT.search(sentence) or _UNIT.search(sentence)
    )


@remember_texts
def is_warning(sentence: str) -> bool:
    """Whether a sentence warns of a call: it does harm, needs consent, or must not be made."""
    return bool(_WARNING.search(sentence)) and not _EXAMPLE.match(sentence)


def explains_value(sentence: str, values: Collection[str]) -> bool:
    """Whether a sentence tells what one of the values of an enum means."""
    lowered = sentence.lower()
    named = [value for value in values if value and value.lower() in lowered]
    if not named:
        return False
    own = {term for value in named for term in terms(value)}
    others = [term for term in terms(sentence) if term not in own and term not in STOP]
    return len(others) >= _MIN_OTHER_WORDS * len(named)


@remember_texts
def count_rules(text: str) -> int:
    """Returns the number of sentences of a text that state a rule."""
    return sum(map(is_rule, split_sentences(text))) if text else 0


@remember_texts
def count_warnings(text: str) -> int:
    """Returns the number of sentences of a text that warn of a call."""
    return sum(map(is_warning, split_sentences(text))) if text else 0
