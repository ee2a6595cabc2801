"""Verifies a model's notes line by line, and merges them with the previous summary.

A line's section follows its source: words of a tool are nobody's goal or decision, whatever heading the model put them
under, so text that is planted in a tool's output cannot come out as what the user wants.
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

MAX_LINE_CHARS = 600  # of a line that a model wrote

Sections = list[tuple[str, SummaryLine]]


def verify_lines(
    draft: DraftSummary, passages: Sequence[Passage], old: Sections, update: int
) -> tuple[Sections, frozenset[int], list[str]]:
    """Verifies a model's notes.

    An old line is replaced only if what replaces it is verified. A goal in the user's words is not dropped, and is
    replaced only by words of the user.

    Args:
        draft: The notes.
        passages: What was summarised.
        old: The lines of the previous summary.
        update: The number of this update.

    Returns:
        The verified lines, the positions of old lines that they drop or replace, and warnings.
    """
    attributions = Attributions(passages, [line for _, line in old])
    lines: Sections = []
    dropped_lines: set[int] = set()
    sentences = unverified = ungrounded = 0
    examples: list[str] = []
    for note in draft.lines:
        for sentence in _sentences(note.text):
            sentences += 1
            missing = attributions.sources.missing(sentence)
            if missing:
                unverified += 1
                examples += [c.text if c.kind != "pair" else f"{c.text}={c.unit}" for c in missing[:1]]
            elif not attributions.is_grounded(sentence):
                ungrounded += 1
            else:
                line = _attributed(note, sentence, attributions, update)
                lines.append(line)
                if _replaces(note, line, old):
                    dropped_lines.add(note.replaces - 1)
    kept_goals = 0
    for number in draft.dropped:
        if 1 <= number <= len(old):
            if _is_users_goal(old[number - 1]):
                kept_goals += 1
            else:
                dropped_lines.add(number - 1)
    warnings = []
    if unverified:
        shown = ", ".join(repr(one_line(x)[:60]) for x in dict.fromkeys(examples[:3]))
        warnings.append(f"{unverified} of {sentences} sentences were dropped: their source does not have {shown}")
    if ungrounded:
        warnings.append(f"{ungrounded} of {sentences} sentences were dropped: the passages do not have their words")
    if kept_goals:
        warnings.append(f"{kept_goals} goals in the user's words were kept, although the model dropped them")
    return lines, frozenset(dropped_lines), warnings


def merge_lines(old: Sections, new: Sections, dropped: Set[int]) -> Sections:
    """Returns the old lines that stay and then the new ones.

    A line that is stated again, with the same words in any order, is kept once, and counts as new.

    Args:
        old: The lines of the previous summary.
        new: The new lines.
        dropped: Positions of old lines that do not stay.
    """
    out: Sections = []
    positions: dict[tuple[str, frozenset[str], frozenset[str]], int] = {}
    for section, line in [x for i, x in enumerate(old) if i not in dropped] + new:
        key = line.source_name, frozenset(terms(line.text)), frozenset(c.text + c.unit for c in find_claims(line.text))
        position = positions.get(key)
        if position is None:
            positions[key] = len(out)
            out.append((section, line))
        else:
            kept_section, known = out[position]
            last_update, score = max(known.last_update, line.last_update), max(known.score, line.score)
            out[position] = kept_section, replace(known, last_update=last_update, score=score)
    return out


def _sentences(text: str) -> Iterable[str]:
    text = one_line(text.translate(PLAIN_CHARACTERS))
    starts = sentence_starts(text)
    for a, b in zip(starts, [*starts[1:], len(text)], strict=True):
        sentence = clip(text[a:b].strip(), MAX_LINE_CHARS)
        if sentence:
            yield sentence


def _attributed(note: DraftLine, text: str, attributions: Attributions, update: int) -> tuple[str, SummaryLine]:
    """Returns a sentence of a note as a line with its section and source."""
    source = attributions.for_text(text)
    section = "facts" if source.is_tool and note.section in ("goal", "decisions", "open") else note.section
    return section, SummaryLine(text, source.ref, source.source_name, update, line_score(section, text))


def _replaces(note: DraftLine, line: tuple[str, SummaryLine], old: Sections) -> bool:
    if not 1 <= note.replaces <= len(old):
        return False
    return not _is_users_goal(old[note.replaces - 1]) or line[1].source_name == "user"


def _is_users_goal(line: tuple[str, SummaryLine]) -> bool:
    return line[0] == "goal" and line[1].source_name == "user"
