"""Finds the place of each plain value in a JSON text, for reports; too slow for the main path."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence

from compressor.text.lossless.tolerant_json import COMMENT_KEY

Step = str | int | tuple[()]
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.S)
#: With comments, Python's strings, tuples and calls.
_TOLERANT_TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|[bur]?'(?:[^'\\\n]|\\.)*'|"(?:[^"\\]|\\.)*"|[A-Za-z_][\w.]*\((?=\s*[A-Za-z_]\w*=(?!=))|[A-Za-z_]\w*=(?!=)|[A-Za-z_][\w.]*\([^()\n]*\)|[{}\[\]():,]"""
    r"""|[^\s{}\[\]():,"']+""",
    re.S,
)
_BRACKETS = {"(": "[", ")": "]"}


def _bracket(token: str) -> str:
    """JSON's bracket for one of Python's; `Row(` begins an object."""
    return "{" if len(token) > 1 and token[-1] == "(" and token[0] not in "\"'" else _BRACKETS.get(token, token)


def leaf_spans(
    text: str, lines: bool = False, values: Sequence[tuple[int, int]] = (), is_plain: bool = True
) -> dict[tuple[Step, ...], tuple[int, int]]:
    """Maps the path of each leaf (keys and list indices) to its span in the text, including its key.

    Empty containers are leaves. The values of an NDJSON text are numbered as in a list.

    Args:
        text: The text.
        lines: Whether it holds several values.
        values: Where each of them stands if there is other text between them.
        is_plain: Whether it has no comments and no notation but JSON's.
    """
    if not values:
        return _leaf_spans(text, lines, is_plain)
    return {
        (i, *path): (start + a, start + b)
        for i, (start, end) in enumerate(values)
        for path, (a, b) in _leaf_spans(text[start:end], False, is_plain).items()
    }


def _leaf_spans(text: str, several: bool, is_plain: bool) -> dict[tuple[Step, ...], tuple[int, int]]:
    out: dict[tuple[Step, ...], tuple[int, int]] = {}
    path: list[Step] = []
    open_at: list[tuple[str, int]] = []  # bracket, where its leaf would start if it stays empty
    key_at: int | None = None
    pending: str | None = None
    lines = 0
    found = [(m.group(), m.start(), m.end()) for m in (_TOKEN if is_plain else _TOLERANT_TOKEN).finditer(text)]
    comments = [(a, b) for t, a, b in reversed(found) if t.startswith(("//", "/*"))]
    tokens = [(_bracket(t), a, b) for t, a, b in found if not t.startswith(("//", "/*"))]
    for i, (token, start, end) in enumerate(tokens):
        while comments and comments[-1][0] < start:
            a, b = comments.pop()
            if open_at and open_at[-1][0] == "{":
                place: tuple[Step, ...] = (*path[:-1], COMMENT_KEY)
                out[place] = (a, b)
            elif open_at and isinstance(step := path[-1], int):
                place = (*path[:-1], step + (tokens[i - 1][0] not in ("[", ",")))
                out[place] = (a, b)
                path[-1] = step + 1
        if not path and not open_at and several:
            path.append(lines)
            lines += 1
        if token in ("{", "["):
            open_at.append((token, start if key_at is None else key_at))
            path.append(0 if token == "[" else "")
            key_at = None
        elif token[-1] == "=" and not is_plain and token[0] not in "\"'":
            path[-1], key_at = token[:-1], start
        elif token in ("}", "]"):
            if not open_at:
                return out
            bracket, opened = open_at.pop()
            path.pop()
            if tokens[i - 1][0] == bracket and i:
                out[tuple(path)] = (opened, end)
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
        elif open_at and open_at[-1][0] == "{" and i + 1 < len(tokens) and tokens[i + 1][0] == ":":
            pending = json.loads(token, strict=False) if token[0] == '"' else str(ast.literal_eval(token))
            key_at = start
        else:
            out[tuple(path)] = (start if key_at is None else key_at, end)
            key_at = None
    return out
