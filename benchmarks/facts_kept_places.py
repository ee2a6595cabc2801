"""Says where facts are, seen from one request: in view, behind one or two expands, found by recall, or lost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cached_property

from benchmarks.facts_kept_case import WORD, Fact, flat, visible_text
from benchmarks.runs_methods import Run
from benchmarks.tokens import Message

#: Places of a fact, from the best to the worst.
PLACES = ("view", "expand", "expand_2", "recall", "lost")
LINE_SHARE = 0.6  # of a sentence's words that a line with its anchor must hold
Key = tuple[str, bool, str]  # kind, whether of the task at hand, place
MAX_RECALLS = 4  # searches for each request and kind; the other facts of that kind are shared out in proportion


class Page:
    """A text to look in."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._raw = "\n".join(texts)

    @cached_property
    def _flat(self) -> str:
        text = flat(self._raw)
        if "\\" in text:
            text += "\n" + flat(self._raw.replace('\\"', '"').replace("\\n", "\n"))
        return text

    @cached_property
    def _lines(self) -> list[str]:
        return [line for line in self._raw.split("\n") if line]

    def holds(self, fact: Fact) -> bool:
        """Returns whether the fact's text is there, or a line with its anchor and most of its words."""
        return self.has(fact.text) or bool(fact.anchor and self._has_line(fact))

    def has(self, text: str) -> bool:
        """Returns whether a text is there, spacing aside."""
        return text in self._flat

    def _has_line(self, fact: Fact) -> bool:
        if fact.anchor not in self._raw:
            return False
        words = {w for w in WORD.findall(fact.text.lower()) if len(w) > 3}
        for line in self._lines:
            if fact.anchor in line and len(words & set(WORD.findall(line.lower()))) >= LINE_SHARE * len(words):
                return True
        return False


class Places:
    """Looks for facts from one request.

    Attributes:
        counts: Facts by (kind, whether of the task at hand, place). Those shared out by `MAX_RECALLS` are fractions.
        owners: Owners of states by kind, and those of them of which only an outdated state is in view, as
            "outdated KIND".
        missing: Facts that are not in view, with their places.
    """

    def __init__(self, run: Run, sent: Sequence[Message]) -> None:
        self._run = run
        text = visible_text(sent)
        decoded = run.decode_lossless(text)
        self._view = Page([text] if decoded == text else [text, decoded])
        self._text = text
        self.counts: defaultdict[Key, float] = defaultdict(float)
        self.owners: Counter[str] = Counter()
        self.missing: list[tuple[Fact, str]] = []

    @cached_property
    def _originals(self) -> dict[str, str]:
        return self._run.expandable_texts(self._text)

    @cached_property
    def _expanded(self) -> Page:
        return Page(self._originals.values())

    @cached_property
    def _expanded_twice(self) -> Page:
        found = self._run.expandable_texts("\n".join(self._originals.values()))
        return Page(text for ref, text in found.items() if ref not in self._originals)

    def judge(self, facts: Sequence[Fact]) -> None:
        """Counts every fact at its place."""
        away: dict[tuple[str, bool], list[Fact]] = {}
        for fact in facts:
            if self._view.holds(fact):
                self.counts[fact.kind, fact.current, "view"] += 1
            elif self._expanded.holds(fact):
                self.counts[fact.kind, fact.current, "expand"] += 1
                self.missing.append((fact, "expand"))
            else:
                away.setdefault((fact.kind, fact.current), []).append(fact)
        for (kind, current), several in away.items():
            asked = several[:: -(-len(several) // MAX_RECALLS)]
            for fact in asked:
                place = self._far_place(fact)
                self.counts[kind, current, place] += len(several) / len(asked)
                self.missing.append((fact, place))
        self._judge_owners(facts)

    def _far_place(self, fact: Fact) -> str:
        if self._expanded_twice.holds(fact):
            return "expand_2"
        found = self._run.recall(fact.query) if fact.query else ""
        return "recall" if found and Page([found]).holds(fact) else "lost"

    def _judge_owners(self, facts: Sequence[Fact]) -> None:
        by_owner: dict[tuple[str, str], list[Fact]] = {}
        for fact in facts:
            if fact.owner:
                by_owner.setdefault((fact.kind, fact.owner), []).append(fact)
        for (kind, _), own in by_owner.items():
            outdated = [line for fact in own for line in fact.outdated]
            self.owners[kind] += 1
            if any(map(self._view.has, outdated)) and not any(map(self._view.holds, own)):
                self.owners[f"outdated {kind}"] += 1
