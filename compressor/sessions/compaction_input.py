"""Holds the history that a compaction works on: records, originals and views, parsed once.

Positions are those in `records`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from compressor.context.model import Turn
from compressor.context.tool_rounds import group_tool_rounds
from compressor.sessions.evicted_rounds import EvictionIndex
from compressor.sessions.open_items import OpenItem
from compressor.sessions.runtime import Edits, SessionRuntime
from compressor.sessions.state import MessageRecord
from compressor.sessions.state_calls import StateVersions


@dataclass
class CompactionInput:
    """The live messages before a compaction.

    Attributes:
        runtime: The engine, counter and policy.
        head: The system messages in front.
        records: The records of the live messages.
        originals: The messages themselves.
        views: The messages as the view shows them.
        index: The index of the rounds that have left the view before.
        expansions: What the agent has expanded.
        summary: The summary of these rounds as JSON data, or None.
        open_items: What is not resolved in the whole history.
    """

    runtime: SessionRuntime
    head: Sequence[Any]
    records: Sequence[MessageRecord]
    originals: Sequence[Any]
    views: Sequence[Any]
    index: EvictionIndex
    expansions: Sequence[str]
    summary: dict[str, Any] | None = None
    open_items: Sequence[OpenItem] = ()

    def __post_init__(self) -> None:
        shown, _ = self._parse(self.views)
        self.turns, self.tokens = self._parse(self.originals)
        self.groups = group_tool_rounds(shown)
        self.fixed = self.runtime.head_tokens(self.head)

    @cached_property
    def versions(self) -> StateVersions:
        """Returns the states in the originals."""
        return StateVersions.find(self.turns, self.runtime.policy.rule_for)

    def _parse(self, messages: Sequence[Any]) -> tuple[list[Turn], list[int]]:
        """Returns the turns of the messages after `head`, and their tokens."""
        lead = len(self.head)
        _, context = self.runtime.parse([*self.head, *messages])
        turns = [replace(turn, index=turn.index - lead) for turn in context.turns[lead:]]
        return turns, [self.runtime.tokens(turn, context) for turn in turns]

    def total_tokens(self, records: Iterable[MessageRecord]) -> int:
        """Returns the tokens of a view with these records."""
        return self.fixed + sum(record.tokens for record in records)

    def tokens_of(self, positions: Iterable[int]) -> int:
        """Returns the tokens of messages as the view shows them."""
        return sum(self.records[i].tokens for i in positions)

    def render(self, edits: Mapping[int, Edits]) -> dict[int, Any]:
        """Returns the originals with edits, by position."""
        lead = len(self.head)
        messages = self.runtime.render([*self.head, *self.originals], {lead + i: own for i, own in edits.items()})
        return {i: messages[lead + i] for i in edits}

    def new_records(
        self, kept: Iterable[int], removed: Collection[int], edits: Mapping[int, Edits], host: int | None
    ) -> list[MessageRecord]:
        """Returns the records of a new view.

        Args:
            kept: Positions of the messages that stay.
            removed: Those of them that were removed after all.
            edits: Their edits.
            host: The one that holds the index, or None.
        """
        out = []
        for i in kept:
            if i not in removed:
                own = edits.get(i, {})
                tokens = self.runtime.edited_tokens(self.tokens[i], self.turns[i], own)
                out.append(replace(self.records[i], edits=own, tokens=tokens, holds_index=i == host))
        return out
