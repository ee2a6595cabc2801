"""What of an example's reasoning may be left out: whole steps, those least used first; never the question or answer.

Coarse to fine after CoT-Influx (X. Huang et al., "Fewer is More", 2023): more examples, each with less of its talk,
teach more than a few with all of it. There a trained policy picks tokens; here steps go whole, by what later steps and
the answer take from them, so that what stays can still be followed. A mark would be learned along with the example, so
none is left: the result says what went.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from compressor.pipeline.examples.example import Example
from compressor.scoring.bm25 import STOP
from compressor.scoring.token_index import terms
from compressor.text.segmenters.sentences import sentence_starts

KEEP_FRACTION = 0.5  # share of the reasoning's tokens that stays at least, before there is room again
MIN_STEPS = 3  # steps that reasoning has to have; the last one always stays
MAX_REASONING_CHARS = 20_000  # characters of reasoning that are looked at; longer ones stay as they are
#: how an answer at the end of reasoning is introduced
_FINAL = re.compile(
    r"####|\\boxed\{|\b(?:the|correct|final)[ \t]+(?:\w+[ \t]+)?answer\b|^[ \t]*answer\b"
    r"|\banswer[ \t]*(?:is\b|[-:=]|\(?[A-Z]\)?[ \t]*(?:[.,;\n]|\Z))",
    re.I | re.M,
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True)
class RationaleStep:
    """A stretch of the text at `home` that may go, and what it is worth to the rest."""

    start: int
    end: int
    score: float


def split_steps(example: Example) -> list[RationaleStep]:
    """The steps that may go, in order; none where reasoning cannot be told from the answer. The last step before the
    answer, and everything from there on, is never among them."""
    start, end = example.reasoning
    if example.rationale_field is None or not 0 < end - start <= MAX_REASONING_CHARS:
        return []
    text = example.text
    body = text[start:end]
    starts = sentence_starts(body)
    if len(starts) < MIN_STEPS:
        return []
    marks = list(_FINAL.finditer(body))
    if marks:
        # The answer may be said twice ("The answer is 4.\n#### 4"): all from the first one of the last two steps on.
        final = max(i for i, at in enumerate(starts) if at <= marks[-1].start())
        while final and any(starts[final - 1] <= m.start() < starts[final] for m in marks):
            final -= 1
    elif example.has_separate_rationale:
        final = len(starts) - 1  # the last step may say the answer, and the one before it leads there
    else:
        return []
    last = final - 1  # the step that leads to the answer: the line before an answer on a line of its own
    if marks and body[starts[final] - 1 : starts[final]] == "\n":
        line = body.rfind("\n", 0, starts[last] + 1) + 1
        last = next((i for i, at in enumerate(starts) if at >= line), last) or last
    if last < 1:
        return []
    pieces = [body[a:b] for a, b in zip(starts, [*starts[1:], len(body)], strict=True)]
    worths = _score_steps(f"{example.question}", pieces, last, example.answer if example.has_separate_rationale else "")
    ends = [*starts[1:], len(body)]
    return [RationaleStep(start + starts[i], start + ends[i], worths[i]) for i in range(last)]


def remove_steps(text: str, steps: list[RationaleStep]) -> str:
    """The text without these steps."""
    out, at = [], 0
    for step in sorted(steps, key=lambda s: s.start):
        out.append(text[at : step.start])
        at = step.end
    return "".join([*out, text[at:]])


def choose_steps_to_remove(
    example: Example, steps: list[RationaleStep], count: Callable[[str], int]
) -> list[RationaleStep]:
    """The steps to leave out so that the reasoning has about KEEP of its tokens, in the order in which they go: the
    least worth first, the earlier of equal ones."""
    text = example.text
    tokens = {step: count(text[step.start : step.end]) for step in steps}
    tail = count(text[steps[-1].end : example.reasoning[1]]) if steps else 0
    spare = (1 - KEEP_FRACTION) * (sum(tokens.values()) + tail)
    gone: list[RationaleStep] = []
    for step in sorted(steps, key=lambda s: (s.score, s.start)):
        if tokens[step] <= spare:
            gone.append(step)
            spare -= tokens[step]
    return gone


def _score_steps(asked: str, pieces: list[str], last: int, answer: str) -> list[float]:
    """What each of the first `last` steps is worth: what it finds that later steps take up. A step that says what the
    question says, or that nothing takes up, is worth next to nothing."""
    numbers = [set(_NUMBER.findall(piece)) for piece in pieces]
    words = [{t for t in terms(piece) if t not in STOP and not t.isdigit()} for piece in pieces]
    known = set(_NUMBER.findall(asked)), {t for t in terms(asked) if t not in STOP}
    out = []
    for i in range(last):
        later = [set(_NUMBER.findall(answer)), set(terms(answer))]
        for j in range(i + 1, len(pieces)):
            later[0] |= numbers[j]
            later[1] |= words[j]
        found, said = numbers[i] - known[0], words[i] - known[1]
        worth = 2.0 * len(found & later[0]) + (len(said & later[1]) / len(said) if said else 0.0)
        worth += 0.5 * bool(numbers[i]) + 0.25 * ("=" in pieces[i])
        out.append(worth)
        known = known[0] | numbers[i], known[1] | words[i]
    return out
