"""Finds the constraints that users have stated, and reduces older user messages to them.

A constraint that is stated again counts where it was stated last. Of more constraints than the bound allows, the oldest
are dropped behind their refs, with a warning; pin a message whose constraints must hold for certain. Constraints are
recognised by their words, see `text/user_constraints.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from compressor.context.model import Turn
from compressor.context.refs import compute_ref, format_placeholder
from compressor.sessions.runtime import Edits
from compressor.text.segmenters import find_pasted_content
from compressor.text.user_constraints import find_constraints

CONSTRAINTS_FRACTION = 0.5  # of the compaction target, for constraints
USER_TEXT_FRACTION = 0.25  # of it, for users' newest messages as they are; of older ones only the constraints stay


@dataclass(frozen=True)
class ConstraintSet:
    """The constraints that stay in the view.

    Attributes:
        sentences: The sentences, by index of the turn that states them.
        dropped_count: How many constraints exceed the bound.
    """

    sentences: Mapping[int, Sequence[str]]
    dropped_count: int = 0

    @classmethod
    def from_turns(
        cls,
        turns: Sequence[Turn],
        pinned_indices: Collection[int],
        count_tokens: Callable[[str], int],
        max_tokens: int,
    ) -> ConstraintSet:
        """Collects the constraints of all turns, newest first.

        Args:
            turns: The turns.
            pinned_indices: Turns that stay unchanged, so that their constraints need not be collected.
            count_tokens: Counts the tokens of a sentence.
            max_tokens: The most tokens that the constraints may have together.
        """
        found: dict[int, list[str]] = {}
        stated = {
            _normalized(sentence)
            for turn in turns
            if turn.index in pinned_indices
            for sentence in _user_constraints(turn)
        }
        dropped = 0
        for turn in reversed(turns):
            for sentence in reversed(_user_constraints(turn)):
                if (normalized := _normalized(sentence)) in stated:
                    continue
                stated.add(normalized)
                max_tokens -= count_tokens(sentence)
                if max_tokens < 0:
                    dropped += 1
                else:
                    found.setdefault(turn.index, []).insert(0, sentence)
        return cls(found, dropped)

    def find_spans(self, index: int, text: str) -> list[tuple[int, int]]:
        """Returns the spans of a turn's text that state one of the constraints."""
        mine = self.sentences.get(index, ())
        return [(a, b) for a, b in find_constraints(text) if text[a:b] in mine] if mine else []

    def reduce_to_constraints(self, turn: Turn) -> tuple[Edits, dict[str, str]]:
        """Returns edits that leave only the constraints of a user's message, and the originals by ref."""
        edits: Edits = {}
        originals = {}
        mine = self.sentences.get(turn.index, ())
        for slot in turn.slots:
            if slot.kind == "user" and slot.editable and slot.text:
                here = [sentence for sentence in mine if sentence in slot.text]
                text = "\n".join([*here, format_placeholder(ref := compute_ref(slot.text))])
                if len(text) < len(slot.text):
                    edits[slot.path], originals[ref] = text, slot.text
        return edits, originals


def _normalized(sentence: str) -> str:
    return " ".join(sentence.lower().split())


def _user_constraints(turn: Turn) -> list[str]:
    """Returns the constraints in a user's own sentences. What the user pasted in between states none."""
    out = []
    for slot in turn.slots:
        if slot.kind != "user":
            continue
        position = 0
        for start, end in [*find_pasted_content(slot.text), (len(slot.text), len(slot.text))]:
            own = slot.text[position:start]
            out += [own[a:b] for a, b in find_constraints(own)]
            position = end
    return out
