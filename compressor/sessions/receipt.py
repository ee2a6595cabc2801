"""Writes a receipt of each compaction: what is still in view, what is one expand away, and what only recall finds.

Everything is counted by looking for its text in the new view, so the receipt does not depend on what the compaction
meant to do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from compressor.context.model import Turn
from compressor.context.refs import find_refs
from compressor.sessions.open_items import OpenItem
from compressor.sessions.state_calls import StateVersion, read_path
from compressor.sessions.user_words import has_user_text, own_words
from compressor.storage.base import BlobStore, get_many
from compressor.text.segmenters.sentences import split_sentences
from compressor.text.user_constraints import find_constraints

MAX_LISTED = 20  # things not in view that a receipt names
MAX_TEXT_CHARS = 160  # of each
KINDS = ("rules", "user_words", "open_items", "state", "files", "values")
_VALUE = re.compile(r"(?<![\w.-])(?:[A-Za-z][\w-]{0,80}\d[\w-]{2,80}|\d[\d.,:-]{3,80}\d|\d{3,80})(?![\w.-])")


@dataclass
class Tally:
    """How many things of one kind there are, by how the agent gets at them.

    Attributes:
        in_view: They stand in the view.
        behind_ref: The view has a ref that gives them back with one expand.
        archived: `recall` or an index page leads to them.
    """

    in_view: int = 0
    behind_ref: int = 0
    archived: int = 0


@dataclass
class Receipt:
    """What one compaction did. All costs are US dollars at the model's prices.

    Attributes:
        compaction: Number of the compaction, from 1.
        messages: Messages that the session had been given.
        tokens_before: Tokens of the view before.
        tokens_after: Tokens of the view after.
        budget: The most tokens that the view may have.
        rewrite_cost: What the new prefix costs once.
        saving_per_call: What each later call saves.
        tallies: By kind (`KINDS`), how many things are in view, behind a ref, or archived.
        rules: The users' rules, newest last: `text`, `message` (the number of the message that states it), `ref` of the
            message's round if it has left, and `in_view`.
        not_in_view: Rules, open items and states that are not in view, as `kind`, `text` and `ref`.
        departed: How many things of each kind belong to messages that have left, for the next receipt.
    """

    compaction: int
    messages: int
    tokens_before: int
    tokens_after: int
    budget: int
    rewrite_cost: float = 0.0
    saving_per_call: float = 0.0
    tallies: dict[str, Tally] = field(default_factory=dict)
    rules: list[dict[str, Any]] = field(default_factory=list)
    not_in_view: list[dict[str, str]] = field(default_factory=list)
    departed: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Returns JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class Thing:
    """Something that a receipt counts.

    Attributes:
        kind: One of `KINDS`.
        text: Its text, with single blanks.
        message: Number of the message that says it.
        ref: Ref of a text that says it, or "".
    """

    kind: str
    text: str
    message: int
    ref: str = ""


def list_things(
    turns: Iterable[tuple[int, Turn]], items: Sequence[OpenItem], versions: Sequence[tuple[int, StateVersion]]
) -> list[Thing]:
    """Returns what a receipt counts in these messages.

    Args:
        turns: Numbers and originals of the messages.
        items: What is not resolved in the whole history.
        versions: Numbers of messages and the newest states in them.
    """
    out: dict[tuple[str, str], Thing] = {}

    def add(kind: str, text: str, message: int, ref: str = "") -> None:
        text = " ".join(text.split())
        if text:
            out[kind, text] = Thing(kind, text, message, ref)

    for number, turn in turns:
        if has_user_text(turn):
            words = own_words(turn)
            for sentence in split_sentences(words):
                add("user_words", sentence, number)
            for a, b in find_constraints(words):
                add("rules", words[a:b], number)
        for slot in turn.slots:
            if slot.kind == "tool_call" and (path := read_path(slot.text)):
                add("files", path, number)
            for value in set(_VALUE.findall(slot.text)):
                add("values", value, number)
    for item in items:
        add("open_items", item.text, item.message, item.ref)
    for number, version in versions:
        add("state", version.text, number)
    return list(out.values())


def tally_things(
    things: Sequence[Thing],
    view: str,
    live: Mapping[int, str],
    refs: Mapping[int, str],
    departed: Mapping[str, int],
) -> tuple[dict[str, Tally], list[dict[str, str]], dict[str, int]]:
    """Counts things by how the agent gets at them.

    Args:
        things: The things in messages that were live before the compaction.
        view: The text of the view.
        live: The text of each message that is in the view, by number.
        refs: The ref of each round that has left now, by number of its messages.
        departed: How many things of each kind left in earlier compactions.

    Returns:
        The tallies by kind, what is not in view, and the new `departed`.
    """
    view = " ".join(view.split())
    shown = set(find_refs(view))
    values = set(_VALUE.findall(view))
    tallies = {kind: Tally(archived=departed.get(kind, 0)) for kind in KINDS}
    left = {kind: departed.get(kind, 0) for kind in KINDS}
    missing = []
    for thing in things:
        tally = tallies[thing.kind]
        parts = thing.text.split(" | ") if thing.kind == "open_items" else [thing.text]
        if thing.message not in live and thing.kind != "open_items":
            left[thing.kind] += 1
        if thing.text in values if thing.kind == "values" else all(part.rstrip("…") in view for part in parts):
            tally.in_view += 1
            continue
        ref = thing.ref if thing.ref in shown else refs.get(thing.message, "")
        own = find_refs(live.get(thing.message, ""))
        if own or ref in shown:
            tally.behind_ref += 1
        else:
            tally.archived += 1
        if thing.kind in ("rules", "open_items", "state"):
            missing.append({"kind": thing.kind, "text": thing.text[:MAX_TEXT_CHARS], "ref": ref or next(iter(own), "")})
    return tallies, missing[-MAX_LISTED:], left


def list_rules(things: Sequence[Thing], view: str, refs: Mapping[int, str]) -> list[dict[str, Any]]:
    """Returns the users' rules with their sources, see `Receipt.rules`."""
    view = " ".join(view.split())
    rules = [thing for thing in things if thing.kind == "rules"][-MAX_LISTED:]
    return [
        {
            "text": rule.text[:MAX_TEXT_CHARS],
            "message": rule.message,
            "ref": refs.get(rule.message, ""),
            "in_view": rule.text in view,
        }
        for rule in rules
    ]


def load_receipts(store: BlobStore, refs: Sequence[str]) -> list[dict[str, Any]]:
    """Returns those receipts behind refs that are still stored, oldest first."""
    found = get_many(store, list(refs))
    return [json.loads(found[ref]) for ref in refs if ref in found]
