"""Shortens the reasoning of an example by whole steps, least used first. The question and the answer always stay.

This follows CoT-Influx (X. Huang et al., "Fewer is More", 2023): more examples with less reasoning each teach more than
a few complete ones. There a trained policy picks tokens; here whole steps are removed, by how much later steps and the
answer use them, so that the rest can still be followed. No placeholder is left, because a model would learn to write
it; the result lists what was removed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from compressor.pipeline.examples.example import Example
from compressor.scoring.bm25 import STOP
from compressor.scoring.token_index import terms
from compressor.text.segmenters.sentences import sentence_starts

KEEP_FRACTION = 0.5  # fraction of the reasoning's tokens that stays
MIN_STEPS = 3  # shorter reasoning is not pruned; the last step always stays
MAX_REASONING_CHARS = 20_000  # longer reasoning is not pruned
#: How an answer at the end of reasoning is introduced.
_FINAL = re.compile(
    r"####|\\boxed\{|\b(?:the|correct|final)[ \t]+(?:\w+[ \t]+)?answer\b|^[ \t]*answer\b"
    r"|\banswer[ \t]*(?:is\b|[-:=]|\(?[A-Z]\)?[ \t]*(?:[.,;\n]|\Z))",
    re.I | re.M,
)
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True)
class RationaleStep:
    """A step of reasoning that may be removed.

    Attributes:
        start: Where it starts in the text of the rationale field.
        end: Where it ends.
        score: How much later steps and the answer use it.
    """

    start: int
    end: int
    score: float


def split_steps(example: Example) -> list[RationaleStep]:
    """Returns the steps that may be removed, in order.

    The last step before the answer and everything after it are never among them. The list is empty if the reasoning
    cannot be told from the answer.
    """
    start, end = example.reasoning
    if example.rationale_field is None or not 0 < end - start <= MAX_REASONING_CHARS:
        return []
    text = example.text
    body = text[start:end]
    starts = sentence_starts(body)
    if len(starts) < MIN_STEPS:
        return []
    matches = list(_FINAL.finditer(body))
    if matches:
        # The answer may be repeated ("The answer is 4.\n#### 4"): the first of these consecutive steps counts.
        final = max(i for i, at in enumerate(starts) if at <= matches[-1].start())
        while final and any(starts[final - 1] <= m.start() < starts[final] for m in matches):
            final -= 1
    elif example.has_separate_rationale:
        final = len(starts) - 1  # the last step may state the answer, and the one before it leads to it
    else:
        return []
    last = final - 1  # the step that leads to the answer: the line before an answer on a line of its own
    if matches and body[starts[final] - 1 : starts[final]] == "\n":
        line = body.rfind("\n", 0, starts[last] + 1) + 1
        last = next((i for i, at in enumerate(starts) if at >= line), last) or last
    if last < 1:
        return []
    pieces = [body[a:b] for a, b in zip(starts, [*starts[1:], len(body)], strict=True)]
    scores = _score_steps(f"{example.question}", pieces, last, example.answer if example.has_separate_rationale else "")
    ends = [*starts[1:], len(body)]
    return [RationaleStep(start + starts[i], start + ends[i], scores[i]) for i in range(last)]


def may_have_steps(example: Example) -> bool:
    """Whether `split_steps` may find steps: the reasoning has a field of its own, or an answer that is marked."""
    return example.has_separate_rationale or (
        example.rationale_field is not None and _FINAL.search(example.text) is not None
    )


def remove_steps(text: str, steps: list[RationaleStep]) -> str:
    """Returns the text without these steps."""
    out, position = [], 0
    for step in sorted(steps, key=lambda s: s.start):
        out.append(text[position : step.start])
        position = step.end
    return "".join([*out, text[position:]])


def choose_steps_to_remove(
    example: Example, steps: list[RationaleStep], count: Callable[[str], int]
) -> list[RationaleStep]:
    """Chooses the steps to remove so that the reasoning keeps about KEEP_FRACTION of its tokens.

    Args:
        example: The example.
        steps: The steps that may be removed.
        count: Counts the tokens of a text.

    Returns:
        The steps in the order in which they are removed: lowest score first, then the earlier one.
    """
    text = example.text
    tokens = {step: count(text[step.start : step.end]) for step in steps}
    tail = count(text[steps[-1].end : example.reasoning[1]]) if steps else 0
    remaining = (1 - KEEP_FRACTION) * (sum(tokens.values()) + tail)
    removed: list[RationaleStep] = []
    for step in sorted(steps, key=lambda s: (s.score, s.start)):
        if tokens[step] <= remaining:
            removed.append(step)
            remaining -= tokens[step]
    return removed


def _score_steps(question: str, pieces: list[str], last: int, answer: str) -> list[float]:
    """Scores the first `last` steps by how much of what they add is used later.

    A step that repeats the question, or that nothing later uses, has a score near 0.
    """
    numbers = [set(_NUMBER.findall(piece)) for piece in pieces]
    words = [{t for t in terms(piece) if t not in STOP and not t.isdigit()} for piece in pieces]
    known = set(_NUMBER.findall(question)), {t for t in terms(question) if t not in STOP}
    out = []
    for i in range(last):
        later = [set(_NUMBER.findall(answer)), set(terms(answer))]
        for j in range(i + 1, len(pieces)):
            later[0] |= numbers[j]
            later[1] |= words[j]
        new_numbers, new_words = numbers[i] - known[0], words[i] - known[1]
        score = 2.0 * len(new_numbers & later[0]) + (len(new_words & later[1]) / len(new_words) if new_words else 0.0)
        score += 0.5 * bool(numbers[i]) + 0.25 * ("=" in pieces[i])
        out.append(score)
        known = known[0] | numbers[i], known[1] | words[i]
    return out
