"""What users have laid down and what is left of their older words: constraints stay, told once, within a bound.

A constraint said again counts where it was said last. Beyond the bound the oldest go, with a warning, behind their
refs; what must hold for certain is pinned. Finds by words (`reducers/constraints.py`); compresses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from compressor.context.model import Turn
from compressor.context.refs import compute_ref, format_placeholder
from compressor.sessions.runtime import Edits
from compressor.text.segmenters import find_pasted_content
from compressor.text.user_constraints import find_constraints

CONSTRAINTS_FRACTION = 0.5  # of the low-water mark: room for constraints
USER_TEXT_FRACTION = 0.25  # of it: room for users' newest words as they were; of older ones the constraints stay


@dataclass(frozen=True)
class ConstraintSet:
    """The sentences that stay, by index of the turn that said them; and how many found no room."""

    sentences: Mapping[int, Sequence[str]]
    dropped_count: int = 0

    @classmethod
    def from_turns(
        cls, turns: Sequence[Turn], pinned_indices: Collection[int], count_tokens: Callable[[str], int], max_tokens: int
    ) -> ConstraintSet:
        """Of all turns, newest first, but for those `held`, which stay as they are; `room` in tokens."""
        found: dict[int, list[str]] = {}
        said = {_plain(sentence) for turn in turns if turn.index in pinned_indices for sentence in _constraints(turn)}
        lost = 0
        for turn in reversed(turns):
            for sentence in reversed(_constraints(turn)):
                if (plain := _plain(sentence)) in said:
                    continue
                said.add(plain)
                max_tokens -= count_tokens(sentence)
                if max_tokens < 0:
                    lost += 1
                else:
                    found.setdefault(turn.index, []).insert(0, sentence)
        return cls(found, lost)

    def find_spans(self, index: int, text: str) -> list[tuple[int, int]]:
        """Where a stretch of a turn's text says what stays."""
        mine = self.sentences.get(index, ())
        return [(a, b) for a, b in find_constraints(text) if text[a:b] in mine] if mine else []

    def reduce_to_constraints(self, turn: Turn) -> tuple[Edits, dict[str, str]]:
        """The edits that leave only its constraints of a user's message, and the originals by ref."""
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


def _plain(sentence: str) -> str:
    return " ".join(sentence.lower().split())


def _constraints(turn: Turn) -> list[str]:
    """A user's own sentences that oblige; what was pasted in between obliges nobody."""
    out = []
    for slot in turn.slots:
        if slot.kind != "user":
            continue
        at = 0
        for start, end in [*find_pasted_content(slot.text), (len(slot.text), len(slot.text))]:
            own = slot.text[at:start]
            out += [own[a:b] for a, b in find_constraints(own)]
            at = end
    return out
