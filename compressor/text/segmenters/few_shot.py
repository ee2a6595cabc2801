"""Finds lists of few-shot examples in a prompt.

The rules are conservative: an instruction taken for an example could be cut, while an example taken for an instruction
only costs tokens. A list is announced as examples, or its elements or headings say that they are; see
`few_shot_announcements`. Examples have one shape; one that differs stays as it is, and the last one ends where that
shape ends; see `few_shot_shape`. A FAQ, a pasted conversation, a specification, or a list that is the work itself does
not match.
"""

from __future__ import annotations

import numpy as np

from compressor.caches import TwoGenerationCache
from compressor.text.segmenters.few_shot_candidates import ExampleCandidate, ExamplePrompt
from compressor.text.segmenters.few_shot_elements import element_starts
from compressor.text.segmenters.few_shot_headings import read_head
from compressor.text.segmenters.few_shot_json import (
    json_example_layout,
)
from compressor.text.segmenters.few_shot_lines import LineKind, fold_fences, read_lines
from compressor.text.segmenters.few_shot_shape import ExampleRun, label_of
from compressor.text.segmenters.few_shot_words import find_any_noun
from compressor.text.segmenters.span_layout import SpanLayout, build_layout

_ROW_SIGNS = ("->", "=>", "→", "⇒", "⟶", "~>", "⟹", "↦", "\t", "|")
MAX_CACHE_BYTES = 4 << 20  # of prompts whose examples are remembered
_examples: TwoGenerationCache[tuple[ExampleRun, ...]] = TwoGenerationCache(MAX_CACHE_BYTES)


def find_examples(text: str) -> list[ExampleRun]:
    """Returns the lists of examples in a prompt, in order and without overlap.

    A list that something interrupts is several. Linear in the text. They are remembered, because a system prompt
    returns with every call.
    """
    found = _examples.get(text)
    if found is None:
        found = tuple(_find_examples(text)) if find_any_noun(text) else ()
        _examples.put(text, found)
    return list(found)


def _find_examples(text: str) -> list[ExampleRun]:
    prompt = ExamplePrompt(text)
    out: list[ExampleCandidate] = []
    for one in [
        *prompt.elements(),
        *prompt.named_arrays(),
        *prompt.headed(),
        *prompt.announced(),
    ]:  # the clearest notation first
        one = prompt.without_notes(one)
        if sum(len(run.starts) for run in one.runs) < one.min_size:
            continue
        if all(one.end <= other.start or one.start >= other.end for other in out):
            out.append(one)
    runs = [run for one in prompt.accepted(out) for run in one.runs]
    return sorted(runs, key=lambda run: run.starts[0])


def segment_examples(text: str) -> SpanLayout:
    """Divides a list into its examples; a text in which none are told apart is one unit."""
    layout = json_example_layout(text)
    if layout is not None:
        return layout
    starts = _starts(text)
    return build_layout("example", text, np.array([0, *(a for a in starts if a > 0)], np.int32), max_chars=0)


def _starts(text: str) -> list[int]:
    """Where the examples of a list begin that was found before; empty if they are not told apart."""
    if text.startswith("<"):
        return element_starts(text)
    lines = fold_fences(read_lines(text)) or read_lines(text)
    inked = [line for line in lines if line.kind is not LineKind.BLANK]
    if not inked:
        return []
    if (head := read_head(text, inked[0])) is not None:
        return [line.start for line in lines if read_head(text, line) == head]
    if (label := label_of(text, inked[0])) is not None:
        starts = [
            line.start
            for line in lines
            if (one := label_of(text, line)) is not None and (one.name, one.lead) == (label.name, label.lead)
        ]
        if len(starts) > 1:
            return starts
    is_json = all(line.text.startswith("{") for line in inked)
    if is_json or any(all(sign in line.text for line in inked) for sign in _ROW_SIGNS):
        return [line.start for line in inked]
    rules = [i for i, line in enumerate(lines) if line.kind is LineKind.RULE]
    return [inked[0].start, *(lines[i + 1].start for i in rules if i + 1 < len(lines))]
