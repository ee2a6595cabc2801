"""Finds the one line of a round that says most about it, for the round's line in the index."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from itertools import islice

from compressor.context.model import Turn
from compressor.context.refs import PLACEHOLDER_RE
from compressor.scoring.token_index import terms

MAX_LINES = 2_000  # of a text that are looked at: its beginning and its end
MAX_LINE_CHARS = 2_000
MAX_SCORED_CHARS = 400  # of a line, from its error on if it has one
MIN_STATEMENT_WORDS = 4  # a shorter sentence of the agent says what it does, not what it found
ERROR_WEIGHT = 3.0
MAX_EQUAL_LINES = 3  # lines that differ only in their numbers; more of them are the usual case
COMMON_WEIGHT = 0.2  # of a line that is the usual case
STATEMENT_WEIGHT = 1.0  # of what the agent says itself
MIN_SPLIT_CHARS = 300  # a longer line of JSON is read record by record

_ERROR = re.compile(
    r"\b(?:error|errors|exception|fail(?:ed|s|ure)?|fatal|panic|critical|denied|refused|not found|traceback|warning)\b"
    r"|\w(?:Error|Exception)\b|错误|錯誤|失败|失敗|エラー|오류|\bошибк|\bfehler|\berreur|\berro\b|\bfallo\b",
    re.IGNORECASE,
)
_NONE = re.compile(r"\b(?:0|no|without) (?:errors?|failures?|failed)\b", re.IGNORECASE)
_VARIABLE = re.compile(r"0x[0-9a-f]+|\b[0-9a-f]{6,}\b|\d+")
_RECORD_END = re.compile(r"(?<=[}\]]),\s*(?=[{\[\"])")
_WORD = re.compile(r"[^\W\d_]{2,}|[\u3040-\u30ff\u3400-\u9fff]")
_VALUE = re.compile(r"\d[\d.,:-]*\w|\b[A-Z]{2,}-?\d+|\b[\w.+-]{1,40}@[\w-]+\.\w+")


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
            is_said = slot.kind == "assistant"
            lines = [" ".join(raw[:MAX_LINE_CHARS].split()) for raw in _ends(_split(slot.text))]
            forms = Counter(_form(line) for line in lines)
            for line in lines:
                if len(line) < 4 or line in known or PLACEHOLDER_RE.search(line):
                    continue
                is_common = forms[_form(line)] > MAX_EQUAL_LINES
                score = _score(line, weights) * (COMMON_WEIGHT if is_common else 1.0)
                if is_said:
                    is_short = len(_WORD.findall(line)) < MIN_STATEMENT_WORDS
                    score = 0.0 if is_short else score + STATEMENT_WEIGHT
                if score > best_score:
                    best, best_score = line, score
    return _around(best, max_chars) if best_score >= 1 else ""


def _split(text: str) -> list[str]:
    """Returns the lines of a text, and of a long line of JSON its records."""
    lines: list[str] = []
    for line in text.splitlines():
        is_json = len(line) > MIN_SPLIT_CHARS and line.lstrip()[:1] in ("{", "[")
        lines += _RECORD_END.split(line) if is_json else [line]
    return lines


def _ends(lines: list[str]) -> list[str]:
    """Returns the first and the last of many lines."""
    return lines if len(lines) <= MAX_LINES else lines[: MAX_LINES // 2] + lines[-MAX_LINES // 2 :]


def _form(line: str) -> str:
    return _VARIABLE.sub("0", line[:MAX_SCORED_CHARS])


def _score(line: str, weights: Mapping[str, float]) -> float:
    found = _ERROR.search(line)
    score = ERROR_WEIGHT if found and not _NONE.search(line) else 0.0
    start = max(0, found.start() - MAX_SCORED_CHARS // 4) if found and len(line) > MAX_SCORED_CHARS else 0
    line = line[start : start + MAX_SCORED_CHARS]
    if weights:
        score += sum(weights.get(term, 0.0) for term in set(terms(line)))
    return score + min(1.0, 0.5 * sum(1 for _ in islice(_VALUE.finditer(line), 2)))


def _around(line: str, max_chars: int) -> str:
    """Returns the stretch of a long line around its error, or its beginning."""
    if len(line) <= max_chars:
        return line
    found = _ERROR.search(line)
    start = max(0, found.start() - max_chars // 3) if found else 0
    start = min(start, len(line) - max_chars + 2)
    return ("…" if start else "") + line[start : start + max_chars - 2] + "…"
