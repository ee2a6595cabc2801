"""Defines a stretch of the history that leaves the view, and how its words become a line of a summary."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from compressor.context.refs import ELLIPSIS

PassageKind = Literal["user", "assistant", "tool_call", "tool_result", "thinking"]

_PLACEHOLDER = re.compile(rf"\[{ELLIPSIS}(?:words |\d+ messages )?cut ref \d{{12}}\]|\bcut ref \d{{12}}(?!\d)")
_NAME = re.compile(r"[^\w.\-]+")
_UNSEEN = re.compile(r"[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\x00-\x08\x0e-\x1b\x7f]")
_INSIDE = re.compile(r"[\w./@:\\\-%$#+=]")  # what ids, paths, numbers and URLs are made of


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of the history.

    Attributes:
        text: The words.
        kind: Whose words they are.
        name: The tool's name, for calls and results.
        ref: The ref of the original, or "".
    """

    text: str
    kind: PassageKind
    name: str | None = None
    ref: str = ""

    @property
    def speaker(self) -> str:
        """Returns whose words these are, as a summary shows it: "user", "agent", "agent called x" or "tool x"."""
        name = _NAME.sub("_", self.name or "")[:48]
        if self.kind == "tool_result":
            return f"tool {name}" if name else "tool"
        if self.kind == "tool_call":
            return f"agent called {name}" if name else "agent called a tool"
        return "user" if self.kind == "user" else "agent"


def one_line(text: str) -> str:
    """Returns the text as one line, without placeholders and without invisible characters.

    What a tool wrote can therefore neither start a line of its own nor pass for a placeholder.
    """
    return " ".join(_UNSEEN.sub(" ", _PLACEHOLDER.sub(" ", text)).split())


def clip(text: str, max_chars: int) -> str:
    """Returns at most `max_chars` characters, with `…` at the end if something is missing.

    The text is cut at a space, or else between strings that must stay whole. "" if even the first of them is too long.
    """
    if len(text) <= max_chars:
        return text
    head = text[: max(0, max_chars - 1)]
    if text[len(head)].isspace():
        cut = len(head)
    else:
        cut = head.rfind(" ")
    if cut < max_chars // 2:
        at = len(head)
        while at > max(cut, 0) and _INSIDE.match(text[at - 1]) and _INSIDE.match(text[at]):
            at -= 1
        cut = max(at, cut)
    return head[:cut].rstrip() + ELLIPSIS if cut > 0 else ""
