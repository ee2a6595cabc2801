"""Finds the one line of a round that says most about it, for the round's line in the index."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from compressor.context.model import Turn
from compressor.context.refs import PLACEHOLDER_RE
from compressor.scoring.token_index import terms

MAX_LINES = 2_000  # of a text that are looked at: its beginning
MAX_LINE_CHARS = 2_000
MIN_WORDS = 2
ERROR_WEIGHT = 3.0
MAX_EQUAL_LINES = 3  # lines that differ only in their numbers; more of them are the usual case
COMMON_WEIGHT = 0.2  # of a line that is the usual case
STATEMENT_WEIGHT = 1.0  # of what the agent says itself

_ERROR = re.compile(
    r"\b(?:error|errors|exception|fail(?:ed|s|ure)?|fatal|panic|critical|denied|refused|not found|traceback|warning)\b"
    r"|\w(?:Error|Exception)\b",
    re.IGNORECASE,
)
_NONE = re.compile(r"\b(?:0|no|without) (?:errors?|failures?|failed)\b", re.IGNORECASE)
_VARIABLE = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{6,}\b|\d+")
_VALUE = re.compile(r"\d[\d.,:-]*\w|[A-Z]{2,}-?\d+|[\w.+-]+@[\w-]+\.\w+")


def best_line(turns: Iterable[Turn], weights: Mapping[str, float], max_chars: int, known: Collection[str] = ()) -> str:
    """Returns the line, cut to a length, or "" if the round says nothing beyond the usual.

    An error counts most, then the words of the task, then numbers and names that only one line has.

    Args:
        turns: The original turns of the round.
        weights: The words of the task, as terms with weights.
        max_chars: The most characters to return.
        known: Lines that other rounds' lines say already.
    """
    best, best_score = "", 0.0
    for turn in turns:
        for slot in turn.slots:
            if slot.kind not in ("tool_result", "assistant") or not slot.text:
                continue
            said = STATEMENT_WEIGHT if slot.kind == "assistant" else 0.0
            lines = [" ".join(raw[:MAX_LINE_CHARS].split()) for raw in slot.text.splitlines()[:MAX_LINES]]
            forms = Counter(_VARIABLE.sub("0", line) for line in lines)
            for line in lines:
                if len(line) < 4 or line in known or PLACEHOLDER_RE.search(line):
                    continue
                is_common = forms[_VARIABLE.sub("0", line)] > MAX_EQUAL_LINES
                score = said + _score(line, weights) * (COMMON_WEIGHT if is_common else 1.0)
                if score > best_score:
                    best, best_score = line, score
    return _around(best, weights, max_chars) if best_score >= 1 else ""


def _score(line: str, weights: Mapping[str, float]) -> float:
    score = ERROR_WEIGHT if _ERROR.search(line) and not _NONE.search(line) else 0.0
    if weights:
        score += sum(weights.get(term, 0.0) for term in set(terms(line[:400])))
    return score + min(1.0, 0.5 * len(_VALUE.findall(line[:400])))


def _around(line: str, weights: Mapping[str, float], max_chars: int) -> str:
    """Returns the stretch of a long line around its error, or its beginning."""
    if len(line) <= max_chars:
        return line
    found = _ERROR.search(line)
    start = max(0, found.start() - max_chars // 3) if found else 0
    start = min(start, len(line) - max_chars + 2)
    return ("…" if start else "") + line[start : start + max_chars - 2] + "…"
