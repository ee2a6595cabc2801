"""Classifies what an answer looks like, because examples also teach the format of answers."""

from __future__ import annotations

import re
from functools import lru_cache

_NUMBER = re.compile(r"[-+$€£]?\s?\d[\d,.]*\s?%?")
_CHOICE = re.compile(r"\(?[A-Za-z]\)?[.)]?")
_VERDICTS = frozenset(("yes", "no", "true", "false", "valid", "invalid"))
_ITEM = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)])\s", re.M)


@lru_cache(maxsize=4_096)
def answer_format(answer: str) -> str:
    """Returns the format of an answer.

    Returns:
        "number", "choice" (A, B, ...), "verdict" (yes, no, valid, ...), "json", "code", "list", "steps" (several
        lines), "line" (anything else on one line), or "" for an empty answer.
    """
    answer = answer.strip()
    if not answer:
        return ""
    if _NUMBER.fullmatch(answer):
        return "number"
    if _CHOICE.fullmatch(answer):
        return "choice"
    if answer.lower().rstrip(".") in _VERDICTS:
        return "verdict"
    if answer[0] in "{[" and answer[-1] in "}]":
        return "json"
    if "```" in answer:
        return "code"
    if len(_ITEM.findall(answer)) > 1:
        return "list"
    return "steps" if "\n" in answer else "line"
