"""Puts together what a summary had and what is new. Proves a model's notes line by line; asks no model.

A line's section follows its source: words of a tool are nobody's goal or decision, whatever heading the model put them
under, so that text planted in a tool's output cannot come out as what the user wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import replace

from compressor.scoring.token_index import terms
from compressor.sessions.summaries.attribution import Attributions
from compressor.sessions.summaries.claims import PLAIN_CHARACTERS, find_claims
from compressor.sessions.summaries.extractive import line_score
from compressor.sessions.summaries.passage import Passage, clip, one_line
from compressor.sessions.summaries.response_parser import DraftLine, DraftSummary
from compressor.sessions.summaries.summary import SummaryLine
from compressor.text.segmenters.sentences import sentence_starts

MAX_LINE_CHARS = 600  # characters of a line that a model wrote

Sections = list[tuple[str, SummaryLine]]


def verify_lines(
    draft: DraftSummary, passages: Sequence[Passage], old: Sections, update: int
) -> tuple[Sections, frozenset[int], list[str]]:
    """The verified lines of a model's notes; the indices of old lines that they drop or replace; warnings.

    A replaced line goes only if what replaces it holds. A goal in the user's words is not dropped, and replaced only by
    the user's words."""
    attributions = Attributions(passages, [line for _, line in old])
    lines: Sections = []
    gone: set[int] = set()
    sentences = dropped = strange = 0
    examples: list[str] = []
    for note in draft.lines:
        for sentence in _sentences(note.text):
            sentences += 1
            missing = attributions.sources.missing(sentence)
            if missing:
                dropped += 1
                examples += [c.text if c.kind != "pair" else f"{c.text}={c.unit}" for c in missing[:1]]
            elif not attributions.is_grounded(sentence):
                strange += 1
            else:
                line = _placed(note, sentence, attributions, update)
                lines.append(line)
                if _replaces(note, line, old):
                    gone.add(note.replaces - 1)
    kept_goals = 0
    for number in draft.dropped:
        if 1 <= number <= len(old):
            if _is_users_goal(old[number - 1]):
                kept_goals += 1
            else:
                gone.add(number - 1)
    warnings = []
    if dropped:
        shown = ", ".join(repr(one_line(x)[:60]) for x in dict.fromkeys(examples[:3]))
        warnings.append(f"{dropped} of {sentences} sentences were dropped: not in their source: {shown}")
    if strange:
        warnings.append(f"{strange} of {sentences} sentences were dropped: their words are not of these passages")
    if kept_goals:
        warnings.append(f"{kept_goals} goals of the user's were kept, though the model dropped them")
    return lines, frozenset(gone), warnings


def merge_lines(old: Sections, new: Sections, dropped: Set[int]) -> Sections:
    """Old lines that stay, then new ones. What is said again, in the same words in any order, stands once, as
    new as its last saying."""
    out: Sections = []
    at: dict[tuple[str, frozenset[str], frozenset[str]], int] = {}
    for section, line in [x for i, x in enumerate(old) if i not in dropped] + new:
        key = line.source_name, frozenset(terms(line.text)), frozenset(c.text + c.unit for c in find_claims(line.text))
        place = at.get(key)
        if place is None:
            at[key] = len(out)
            out.append((section, line))
        else:
            kept, known = out[place]
            out[place] = (
                kept,
                replace(known, since=max(known.last_update, line.last_update), score=max(known.score, line.score)),
            )
    return out


def _sentences(text: str) -> Iterable[str]:
    text = one_line(text.translate(PLAIN_CHARACTERS))
    starts = sentence_starts(text)
    for a, b in zip(starts, [*starts[1:], len(text)], strict=True):
        sentence = clip(text[a:b].strip(), MAX_LINE_CHARS)
        if sentence:
            yield sentence


def _placed(note: DraftLine, text: str, origins: Attributions, since: int) -> tuple[str, SummaryLine]:
    origin = origins.for_text(text)
    section = "facts" if origin.is_tool and note.section in ("goal", "decisions", "open") else note.section
    return section, SummaryLine(text, origin.ref, origin.source_name, since, line_score(section, text))


def _replaces(note: DraftLine, line: tuple[str, SummaryLine], old: Sections) -> bool:
    if not 1 <= note.replaces <= len(old):
        return False
    return not _is_users_goal(old[note.replaces - 1]) or line[1].source_name == "user"


def _is_users_goal(line: tuple[str, SummaryLine]) -> bool:
    return line[0] == "goal" and line[1].source_name == "user"
