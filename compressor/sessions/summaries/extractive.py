"""Extracts a summary without a model: the sentences and records that the fast scorer rates best.

Their kind and words decide the section. Lines contain only words of the passages: sentences of what was said, and lines
or excerpts of what tools returned. The same passages give the same lines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from compressor.pipeline.ranking import rank
from compressor.scoring.base import Query, SourceBlock, UnitBatch
from compressor.scoring.heuristic import HeuristicScorer
from compressor.sessions.summaries.claims import find_claims
from compressor.sessions.summaries.passage import Passage, clip, one_line
from compressor.sessions.summaries.summary import SummaryLine
from compressor.text.segmenters import MAX_SINGLE_UNIT_CHARS, segment_speech, segment_text
from compressor.text.segmenters.base import SegmentedText, UnitFlag
from compressor.text.segmenters.sentences import segment_prose
from compressor.text.segmenters.span_layout import build_layout
from compressor.tokens import TokenCounter

MAX_LINE_CHARS = 360
MAX_LINES = 300  # lines that compete for the budget
#: How much the lines of a section count compared with those of other sections.
SECTION_WEIGHTS = {"goal": 4.0, "decisions": 1.6, "facts": 1.2, "failed": 1.4, "open": 1.8}
EXACT_FACTOR = 1.3  # factor for lines with ids, numbers, paths
PLAIN_FACTOR = 0.5  # factor for sentences without any cue
CHATTER_FACTOR = 0.12  # factor for politeness and lead-ins
GOALS_FRACTION = 0.4  # of the budget that new goals may take; those with lower scores then count like chatter
SENTENCE_LAYOUTS = frozenset(("prose", "markdown", "log"))  # layouts whose units make sense alone

_ASKS = re.compile(
    r"\b(?:please|must|mustn'?t|should|shouldn'?t|need|want|would like|don'?t|do not|never|always|only|make sure|"
    r"ensure|fix|add|find|change|book|cancel|create|update|write|remove|implement|use|keep|without|at most|at least)\b",
    re.I,
)
_CHATTER = re.compile(
    r"\W*(?:(?:hi|hello|hey|ok(?:ay)?|sure|great|good|bye|perfect|alright|of course|certainly)\b[^.!?\d]{0,12}"
    r"|(?:thanks?|thank you|you(?:'re| are) welcome|how can i (?:help|assist)|is there anything|if you (?:have|need)"
    r"|(?:can|could) you (?:please )?(?:help|assist)|(?:please )?let me know)\b[^.!?\d]{0,90})[.!?:]?\W*|.{0,60}:\W*",
    re.I | re.S,
)
_FAILED = re.compile(
    r"\b(?:fail(?:s|ed|ing|ure)?|error|exception|traceback|(?:did|does|do)(?: not|n'?t) (?:work|help|exist|match)|"
    r"crash(?:es|ed)?|timed out|refused|denied|not found|no such|cannot|broke(?:n)?|wrong|rejected)\b",
    re.I,
)
_OPEN = re.compile(
    r"\b(?:todo|to do|still|remain(?:s|ing)?|next|left to|pending|not yet|unclear|unknown|need(?:s)? to|have to|"
    r"let me know|waiting)\b|\?\s*$",
    re.I,
)
_DECIDED = re.compile(
    r"\b(?:decid(?:e|ed)|choos(?:e|ing)|chose|instead|will use|going to|i'?ll|let'?s|let me|switch(?:ed|ing)?|"
    r"therefore|so i|because|plan|approach|opted|keep(?:ing)?|better to)\b",
    re.I,
)
_RESULT = re.compile(
    r"\b(?:found|fixed|pass(?:es|ed)|confirm(?:s|ed)|done|created|changed|added|removed|updated|booked|cancel+ed|"
    r"works|root cause|turns out|shows?|contains?|located|result|is in|equals|total)\b",
    re.I,
)


class ScoredPassages:
    """Passages cut into units, which the fast scorer rates against what the user said. Empty passages have no units.

    Attributes:
        passages: The passages.
        layouts: The units of each passage.
    """

    def __init__(self, passages: Sequence[Passage], counter: TokenCounter, goals: Sequence[str] = ()) -> None:
        """Cuts passages into units.

        Args:
            passages: The passages, oldest first.
            counter: Counts tokens.
            goals: The goals of the previous summary.
        """
        self.passages = passages
        self._counter = counter
        self.layouts = [_layout(p) for p in passages]
        said = [p.text[:4000] for p in passages if p.kind == "user"]
        self._query = Query(tuple((t, 0.7) for t in goals[-8:]) + tuple((t, 1.0) for t in said[-2:]))

    @cached_property
    def units(self) -> UnitBatch:
        """Returns all units of all passages, oldest first."""
        n = len(self.passages)
        sources = [
            SourceBlock(p.kind, x, _costs(x, self._counter), p.name or "", n - 1 - i)
            for i, (p, x) in enumerate(zip(self.passages, self.layouts, strict=True))
        ]
        return UnitBatch(sources)

    @cached_property
    def order(self) -> npt.NDArray[np.int32]:
        """Returns the positions of the units as an array of shape [units], best first, parents before children."""
        return rank(HeuristicScorer().score(self._query, self.units), self.units).order if len(self.units) else _none()

    def shorten(self, max_tokens: int) -> list[Passage]:
        """Returns the passages cut to about `max_tokens` together, with `…` for what is missing.

        Passages of which nothing is left are dropped. It prepares passages for a model with a small window.
        """
        units = self.units
        if float(units.costs.sum()) <= max_tokens:
            return list(self.passages)
        spent = np.cumsum(units.costs[self.order]) <= max_tokens
        keep = np.zeros(len(units), np.bool_)
        keep[self.order[spent]] = True
        out = []
        for i, p in enumerate(self.passages):
            mine = keep[units.starts[i] : units.starts[i + 1]]
            if mine.any():
                out.append(Passage(self.layouts[i].render(mine), p.kind, p.name, p.ref))
        return out

    def lines(self, budget: int, update: int, has_goal: bool) -> list[tuple[str, SummaryLine]]:
        """Returns lines with their sections, in the order of the passages.

        Args:
            budget: The most tokens of the summary. The lines have about twice as many, because they compete for it.
            update: The number of this update.
            has_goal: A goal is known, so not everything that the user says now is part of it.
        """
        units = self.units
        n = max(1, len(units))
        place = np.empty(len(units), np.float64)
        place[self.order] = np.arange(len(units)) / n
        chosen = np.zeros(len(units), np.bool_)
        spent = np.cumsum(np.minimum(units.costs[self.order], 120.0)) <= 2 * budget
        chosen[self.order[spent][:MAX_LINES]] = True
        out: list[tuple[str, SummaryLine]] = []
        for i, p in enumerate(self.passages):
            start, stop = int(units.starts[i]), int(units.starts[i + 1])
            if start == stop or not p.text.strip():
                continue
            mine = np.flatnonzero(chosen[start:stop])
            if not len(mine):  # the best of every passage competes, too
                mine = np.array([int(np.argmin(place[start:stop]))])
            extract = (
                self._sentences
                if p.kind != "tool_result" or self.layouts[i].kind in SENTENCE_LAYOUTS
                else self._excerpt
            )
            out += extract(i, mine, place[start:stop], update, has_goal)
            has_goal = has_goal or p.kind == "user"
        return self._limited(out, budget)

    def _limited(self, lines: list[tuple[str, SummaryLine]], budget: int) -> list[tuple[str, SummaryLine]]:
        """Lowers the scores of a long user message's further lines, so that it does not take the whole budget."""
        goals = [i for i, (section, _) in enumerate(lines) if section == "goal"]
        spent = 0
        for i in sorted(goals, key=lambda i: (-lines[i][1].score, i)):
            section, line = lines[i]
            spent += self._counter.count(line.text) + 8
            if spent > GOALS_FRACTION * budget:
                lines[i] = section, replace(line, score=round(line.score * CHATTER_FACTOR, 3))
        return lines

    def _sentences(
        self, i: int, mine: npt.NDArray[np.intp], place: npt.NDArray[np.float64], update: int, has_goal: bool
    ) -> list[tuple[str, SummaryLine]]:
        p, found = self.passages[i], self.layouts[i]
        out = []
        for u in mine.tolist():
            a, b = found.spans[u].tolist()
            text = clip(one_line(found.text[a:b]), MAX_LINE_CHARS)
            if any(c.isalnum() for c in text):
                section, factor = _section(p, text, int(found.flags[u]), has_goal)
                out.append((section, _line(p, text, section, float(place[u]), factor, update)))
        return out

    def _excerpt(
        self, i: int, mine: npt.NDArray[np.intp], place: npt.NDArray[np.float64], update: int, has_goal: bool
    ) -> list[tuple[str, SummaryLine]]:
        """Returns one line for a passage whose units make no sense alone: as many of the best ones as fit."""
        p, found = self.passages[i], self.layouts[i]
        best = mine[np.argsort(place[mine], kind="stable")]
        keep = np.zeros(len(found.spans), np.bool_)
        text = ""
        for size in (len(best), *(s for s in (64, 32, 16, 8, 4, 2, 1) if s < len(best))):
            keep[:] = False
            keep[best[:size]] = True
            text = one_line(found.render(keep))
            if len(text) <= MAX_LINE_CHARS:
                break
        text = clip(text, MAX_LINE_CHARS)
        if not any(c.isalnum() for c in text):
            return []
        wrong = bool((found.flags[keep] & UnitFlag.ERROR).any())
        section = "failed" if wrong else "facts"
        return [(section, _line(p, text, section, float(place[best[0]]), 1.0, update))]


def _none() -> npt.NDArray[np.int32]:
    return np.zeros(0, np.int32)


def _layout(p: Passage) -> SegmentedText:
    if not p.text.strip():
        return build_layout("prose", "", [])
    if p.kind == "tool_result":
        return segment_text(p.text, p.name or "")
    if p.kind == "tool_call":
        return build_layout("prose", p.text, [0])
    return segment_prose(p.text) if len(p.text) < MAX_SINGLE_UNIT_CHARS else segment_speech(p.text)


def _costs(found: SegmentedText, counter: TokenCounter) -> npt.NDArray[np.float32]:
    """Returns the tokens of each unit, as an array of shape [units]."""
    at = np.searchsorted(counter.offsets(found.text), found.spans)
    costs: npt.NDArray[np.float32] = ((at[:, 1] - at[:, 0]) * counter.scale).astype(np.float32)
    return costs


def _section(p: Passage, text: str, flags: int, has_goal: bool) -> tuple[str, float]:
    """Returns the section of a sentence, and a factor for its score."""
    factor = CHATTER_FACTOR if p.kind != "tool_result" and _CHATTER.fullmatch(text.replace("’", "'")) else 1.0
    if p.kind == "user":
        if _ASKS.search(text):
            return "goal", factor
        if not has_goal:
            return "goal", factor * PLAIN_FACTOR
        return ("open" if text.rstrip().endswith("?") else "facts"), factor
    if p.kind == "tool_result":
        return ("failed", 1.0) if flags & (UnitFlag.ERROR | UnitFlag.WARNING) else ("facts", 1.0)
    if p.kind == "tool_call":
        return "decisions", 0.6
    for cue, section in ((_FAILED, "failed"), (_OPEN, "open"), (_RESULT, "facts"), (_DECIDED, "decisions")):
        if cue.search(text):
            return section, factor
    return "facts", PLAIN_FACTOR * factor


def _line(p: Passage, text: str, section: str, place: float, factor: float, update: int) -> SummaryLine:
    return SummaryLine(text, p.ref, p.speaker, update, line_score(section, text, factor * (1.2 - 0.8 * place)))


def line_score(section: str, text: str, factor: float = 1.0) -> float:
    """Returns the score with which a line competes for the budget."""
    return round(SECTION_WEIGHTS[section] * factor * (EXACT_FACTOR if find_claims(text) else 1.0), 3)


def raw_lines(passages: Sequence[Passage], update: int) -> list[tuple[str, SummaryLine]]:
    """Returns the beginning of every passage that has any text, with its section.

    It is used where no unit can become a line: only punctuation, or one string of thousands of letters.
    """
    out = []
    for p in passages:
        text = one_line(p.text)
        if text:
            section = "goal" if p.kind == "user" else "facts"
            cut = clip(text, MAX_LINE_CHARS) or f"{text[: MAX_LINE_CHARS - 1]}…"
            out.append((section, SummaryLine(cut, p.ref, p.speaker, update, line_score(section, cut))))
    return out
