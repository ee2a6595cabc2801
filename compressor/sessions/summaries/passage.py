"""A stretch of the history that leaves the view, and how its words become a line of a summary. Judges nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from compressor.context.refs import ELLIPSIS

PassageKind = Literal["user", "assistant", "tool_call", "tool_result", "thinking"]

_PLACEHOLDER = re.compile(rf"\[{ELLIPSIS}(?:words )?cut ref \d{{12}}\]|\bcut ref \d{{12}}(?!\d)")
_NAME = re.compile(r"[^\w.\-]+")
_UNSEEN = re.compile(r"[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\x00-\x08\x0e-\x1b\x7f]")
_INSIDE = re.compile(r"[\w./@:\\\-%$#+=]")  # what ids, paths, numbers and URLs are made of


@dataclass(frozen=True, slots=True)
class Passage:
    """text: the words. kind: who spoke. name: the tool's, for calls and results. ref: gives the original back, ""
    where there is none."""

    text: str
    kind: PassageKind
    name: str | None = None
    ref: str = ""

    @property
    def speaker(self) -> str:
        """Whose words these are, as a rendered summary says it: "user", "agent", "agent called x", "tool x"."""
        name = _NAME.sub("_", self.name or "")[:48]
        if self.kind == "tool_result":
            return f"tool {name}" if name else "tool"
        if self.kind == "tool_call":
            return f"agent called {name}" if name else "agent called a tool"
        return "user" if self.kind == "user" else "agent"


def one_line(text: str) -> str:
    """The text as one line without marks of ours (a line has its own) and without characters that cannot be seen:
    what a tool wrote can neither begin a line of its own nor pass for a mark."""
    return " ".join(_UNSEEN.sub(" ", _PLACEHOLDER.sub(" ", text)).split())


def clip(text: str, max_chars: int) -> str:
    """At most `most` characters, cut at a space, else between strings that must stay whole, and `…`; "" where even
    the first of them is longer."""
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
