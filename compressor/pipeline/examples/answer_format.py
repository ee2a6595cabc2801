"""What an answer looks like, roughly: a format that examples can show. Reads no meaning."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"[-+$€£]?\s?\d[\d,.]*\s?%?")
_CHOICE = re.compile(r"\(?[A-Za-z]\)?[.)]?")
_WORDS = frozenset(("yes", "no", "true", "false", "valid", "invalid"))
_ITEM = re.compile(r"^[ \t]*(?:[-*•]|\d+[.)])\s", re.M)


def answer_format(answer: str) -> str:
    """ "number", "choice", "verdict", "json", "code", "list", "steps" (several lines), "line", or "" for no answer."""
    answer = answer.strip()
    if not answer:
        return ""
    if _NUMBER.fullmatch(answer):
        return "number"
    if _CHOICE.fullmatch(answer):
        return "choice"
    if answer.lower().rstrip(".") in _WORDS:
        return "verdict"
    if answer[0] in "{[" and answer[-1] in "}]":
        return "json"
    if "```" in answer:
        return "code"
    if len(_ITEM.findall(answer)) > 1:
        return "list"
    return "steps" if "\n" in answer else "line"
