"""Holds what a compaction decided."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from compressor.sessions.evicted_rounds import EvictedRound, EvictionIndex
from compressor.sessions.state import MessageRecord
from compressor.sessions.state_calls import StateVersion


@dataclass
class CompactionResult:
    """What a compaction decided.

    Attributes:
        records: Records of the messages that stay, with their new edits.
        evicted: The rounds that leave the view.
        index: The index of all rounds that have left it.
        tokens: Tokens of the view after the compaction.
        originals: Texts that still have to be stored, by ref.
        summary: The summary of the evicted rounds as JSON data, or None.
        states: The newest states, with the numbers of their messages.
        warnings: What the user should know.
    """

    records: list[MessageRecord]
    evicted: list[EvictedRound]
    index: EvictionIndex
    tokens: int
    originals: dict[str, str] = field(default_factory=dict)
    summary: dict[str, Any] | None = None
    states: list[tuple[int, StateVersion]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
