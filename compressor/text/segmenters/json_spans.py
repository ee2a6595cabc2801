"""Finds the place of each plain value in a JSON text, for reports; too slow for the main path."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

Step = str | int | tuple[()]
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.S)


def leaf_spans(text: str, values: Sequence[tuple[int, int]] = ()) -> dict[tuple[Step, ...], tuple[int, int]]:
    """Maps the path of each leaf (keys and list indices) to its span in the text, including its key.

    Empty containers are leaves. The values of an NDJSON text are numbered as in a list.

    Args:
        text: The text.
        values: Where each value stands if there is other text between them.
    """
    return {
        (i, *path): (start + a, start + b)
        for i, (start, end) in enumerate(values)
        for path, (a, b) in leaf_spans(text[start:end]).items()
    } or _leaf_spans(text)


def _leaf_spans(text: str) -> dict[tuple[Step, ...], tuple[int, int]]:
    out: dict[tuple[Step, ...], tuple[int, int]] = {}
    path: list[Step] = []
    open_at: list[tuple[str, int]] = []  # bracket, where its leaf would start if it stays empty
    key_at: int | None = None
    pending: str | None = None
    lines = 0
    tokens = list(_TOKEN.finditer(text))
    several = _top_values(text) > 1
    for i, match in enumerate(tokens):
        token = match.group()
        if not path and not open_at and several:
            path.append(lines)
            lines += 1
        if token in "{[":
            open_at.append((token, match.start() if key_at is None else key_at))
            path.append(0 if token == "[" else "")
            key_at = None
        elif token in "}]":
            if not open_at:
                return out
            bracket, start = open_at.pop()
            path.pop()
            if tokens[i - 1].group() == bracket and i:
                out[tuple(path)] = (start, match.end())
            if not open_at and several:
                path.clear()
        elif token == ",":
            if open_at and open_at[-1][0] == "[":
                step = path[-1]
                path[-1] = step + 1 if isinstance(step, int) else 0
        elif token == ":":
            if pending is not None:
                path[-1] = pending
                pending = None
        elif open_at and open_at[-1][0] == "{" and i + 1 < len(tokens) and tokens[i + 1].group() == ":":
            pending = json.loads(token)
            key_at = match.start()
        else:
            out[tuple(path)] = (match.start() if key_at is None else key_at, match.end())
            key_at = None
    return out


def _top_values(text: str) -> int:
    """Returns the number of top-level values: more than one in NDJSON."""
    try:
        json.loads(text)
    except ValueError:
        return 2
    return 1
