"""Holds what every task of the battery yields: a question, what it is asked about, and how a cut context is scored."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from benchmarks.baselines import Document
from benchmarks.tokens import Message

SPACE = re.compile(r"\s+")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class Scoring(Protocol):
    """Scores a cut context."""

    @property
    def needed(self) -> Sequence[str]:
        """What has to be in the context, for a reader of the cases; no method sees it."""

    def score(self, text: str) -> tuple[float, int]:
        """Returns the share that is kept, 0 to 1, and the number of facts under another record's name."""


def normalize(text: str) -> str:
    """Lower-cases a text and collapses white space, because needed strings are compared in that form."""
    return SPACE.sub(" ", text).strip().lower()


@dataclass(frozen=True)
class NeededStrings:
    """Looks for needed strings: is any of them there, are all of them, or which share of them."""

    needed: list[str]
    rule: Literal["any", "all", "share"]

    def score(self, text: str) -> tuple[float, int]:
        """See `Scoring.score`."""
        flat = normalize(text)
        found = [n in flat or n.replace('"', '\\"') in flat for n in map(normalize, self.needed)]
        if self.rule == "share":
            return sum(found) / len(found), 0
        return float(any(found) if self.rule == "any" else all(found)), 0


@dataclass(frozen=True)
class DocumentsInput:
    """Retrieved documents, cut by `compress_documents`."""

    documents: list[Document]


@dataclass(frozen=True)
class TextInput:
    """A text, cut by `compress_text`."""

    text: str


@dataclass(frozen=True)
class ToolInput:
    """A tool output in a conversation of one call, cut by `compress`. Only the tool output is scored."""

    text: str
    arguments: str = "{}"


@dataclass(frozen=True)
class ChatInput:
    """A conversation that ends with the question, cut by `compress`. The question itself is not scored."""

    messages: list[Message]


@dataclass(frozen=True)
class SessionInput:
    """A conversation appended to a session, which `recall` searches. Cases of one `name` share the session."""

    name: str
    messages: list[Message]


@dataclass(frozen=True)
class BatteryCase:
    """A question about a context.

    Attributes:
        units: What the baselines choose from: lines, rows, turns or sentences.
        size: cl100k tokens of what is cut; a budget is `size` / ratio.
    """

    question: str
    content: DocumentsInput | TextInput | ToolInput | ChatInput | SessionInput
    units: list[str]
    size: int
    scoring: Scoring


def sentences(text: str) -> list[str]:
    """Splits a text after full stops, exclamation and question marks."""
    return SENTENCE_END.split(text)


def flat_sentences(text: str) -> list[str]:
    """Splits a text into sentences without line ends."""
    return sentences(" ".join(text.split()))
