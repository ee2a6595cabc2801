"""Decides what of a session's history a compaction must keep, before anything is selected.

    pinned      what the user pinned, results of tools whose rule says so, a provider's own compaction items: unchanged
    system      system messages in the middle: the newest within a share, each text once
    words       the users' own words, see `user_words`
    state       the newest version of each state, see `state_calls`; outdated versions leave first

What a layer may take is a share of the room that system prompt and tool schemas leave. The newest rounds and the
selection of older ones share the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

from compressor.context.model import Path, Turn
from compressor.sessions.compaction_input import CompactionInput
from compressor.sessions.policy import Policy
from compressor.sessions.state_calls import StateVersions
from compressor.sessions.user_words import UserWords, own_spans

WORDS_FRACTION = 0.6  # of the room, for whole messages of users
RULES_FRACTION = 0.15  # of it, for single sentences of older ones
STATE_FRACTION = 0.3  # of it, for the newest versions of states
SYSTEM_FRACTION = 0.2  # of it, for system messages in the middle


class Effort(IntEnum):
    """How much a compaction keeps besides what is selected. The next one is tried if the budget is too small."""

    RECENT = 0  # the newest rounds, as the policy says
    LAST_ROUND = 1  # of the rounds, only the newest stays as it is
    NO_ROUND = 2  # even the newest results may be cut
    FEW_WORDS = 3  # half of the shares
    TIGHTEST = 4  # the first and the last instruction; every closed round leaves


_SHARES = {Effort.FEW_WORDS: 0.5, Effort.TIGHTEST: 0.0}


@dataclass
class Layers:
    """What must stay of the live messages, by position.

    Attributes:
        pinned: Messages that stay as the view shows them.
        words: The users' words that stay.
        pinned_slots: Position and path of texts that stay as they are in messages that may be cut.
        evictable: System messages in the middle that leave.
        versions: The states.
    """

    pinned: set[int]
    words: UserWords
    pinned_slots: set[tuple[int, Path]] = field(default_factory=set)
    evictable: set[int] = field(default_factory=set)
    versions: StateVersions = field(default_factory=StateVersions)

    @classmethod
    def build(cls, given: CompactionInput, room: int, effort: Effort) -> Layers:
        """Finds the layers.

        Args:
            given: The history.
            room: The tokens that a compaction may leave besides system prompt and tool schemas.
            effort: How much to keep.
        """
        records, turns = given.records, given.turns
        policy, count_tokens = given.runtime.policy, given.runtime.counter.count
        room = int(room * _SHARES.get(effort, 1.0))
        summaries = [turn.index for turn in turns if turn.is_summary]
        pinned = {i for i, record in enumerate(records) if record.pinned} | set(summaries[-1:])
        pinned |= {turn.index for turn in turns if is_never_compressed(turn, policy)}
        pinned |= {turn.index for turn in turns if turn.is_malformed and effort < Effort.TIGHTEST}
        middle = _newest_system(turns, given.tokens, int(SYSTEM_FRACTION * room))
        evictable = {turn.index for turn in turns if turn.role == "system"} - middle - pinned
        pinned |= middle
        words = UserWords.choose(turns, pinned, count_tokens, int(WORDS_FRACTION * room), int(RULES_FRACTION * room))
        pinned |= {i for i in words.whole if _is_only_words(turns[i])}
        out = cls(pinned, words, set(), evictable, given.versions)
        out._pin_state(count_tokens, int(STATE_FRACTION * room))
        return out

    def _pin_state(self, count_tokens: Callable[[str], int], available: int) -> None:
        """Pins the newest states within their share: lists, notes and rules before files, newer ones first."""
        order = sorted(self.versions.newest, key=lambda v: (v.key[0] == "file", -v.turn))
        for version in order:
            tokens = count_tokens(version.text)
            if tokens <= available:
                available -= tokens
                self.pinned_slots.add((version.turn, version.path))

    @cached_property
    def state_positions(self) -> set[int]:
        """Returns the positions of messages with a pinned state."""
        return {i for i, _ in self.pinned_slots}

    def outdated_groups(self, groups: Sequence[list[int]], turns: Sequence[Turn]) -> list[list[int]]:
        """Returns the rounds all of whose calls have a newer version."""
        outdated = self.versions.outdated_calls
        kept = self.state_positions
        return [
            group
            for group in groups
            if not kept.intersection(group)
            and (calls := {call for i in group for call in turns[i].call_ids})
            and calls <= outdated
        ]


def is_never_compressed(turn: Turn, policy: Policy) -> bool:
    """Returns whether a message holds a result that the policy keeps unchanged."""
    return any(slot.kind == "tool_result" and policy.rule_for(slot.name).never_compress for slot in turn.slots)


def _is_only_words(turn: Turn) -> bool:
    """Returns whether a message holds nothing but what the user says: no results, images or pasted material."""
    return not turn.result_call_ids and all(
        slot.kind == "user" and (not slot.text.strip() or list(own_spans(slot)) == [(0, len(slot.text))])
        for slot in turn.slots
    )


def _newest_system(turns: Sequence[Turn], tokens: Sequence[int], available: int) -> set[int]:
    """Returns the system messages that stay: the newest one, and others within the share, each text once."""
    out: set[int] = set()
    said: set[str] = set()
    for turn in reversed(turns):
        if turn.role != "system":
            continue
        text = "\n".join(slot.text for slot in turn.slots)
        available -= 0 if text in said else tokens[turn.index]
        if text not in said and (available >= 0 or not out):
            out.add(turn.index)
        said.add(text)
    return out
