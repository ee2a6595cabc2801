"""Transcripts of a shell: each prompt with its command is the parent of the lines that the command printed."""

from __future__ import annotations

import re

import numpy as np

from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.lines import line_starts
from compressor.text.segmenters.log import TROUBLE
from compressor.text.segmenters.span_layout import SpanLayout, build_layout
from compressor.text.segmenters.traceback import segment_traceback

MIN_PROMPTS = 2
MAX_SHORT_LINES = 3  # an output up to this long stays with its command
MAX_SHORT_CHARS = 200
#: A prompt with a command: `$ ls`, `me@host:~/src$ ls`, `[root@host ~]# ls`, `PS C:\> dir`, `C:\src>dir`, `>>> f()`.
PROMPT = re.compile(
    r"(?:\([\w.-]+\)[ ])?(?:(?:\[?[\w.-]+@[\w.-]+(?:[: ][^\n$#%>]{0,80}?)?\]?[ ]?[$#%>]|[$%❯➜])[ ]+(?=\S)"
    r"|PS[ ][A-Z]:\\[^\n>]{0,120}>[ ]?\S|[A-Z]:\\[^\n>:*?\"|]{0,120}>\S|>>>[ ]\S|In[ ]\[\d+\]:[ ]\S)"
)


def is_transcript(lines: list[str]) -> bool:
    """Returns whether a text, given by its lines that are not blank, begins with a prompt and has several."""
    return PROMPT.match(lines[0]) is not None and sum(1 for x in lines if PROMPT.match(x)) >= MIN_PROMPTS


def _is_trouble(output: str) -> bool:
    low = output.lower()
    return any(word in low for word in (*TROUBLE, "not found", "no such", "missing"))


def segment_transcript(text: str, hint: str = "") -> SpanLayout:
    """Divides a transcript into commands and, under them, the lines that they printed."""
    starts = line_starts(text).tolist()
    prompts = [i for i, s in enumerate(starts) if PROMPT.match(text, s)]
    units: list[int] = []
    parents: list[int] = []
    flags: list[int] = []
    ends = [*starts[1:], len(text)]
    for i, following in zip([-1, *prompts], [*prompts, len(starts)], strict=True):
        head = -1
        if i >= 0:
            head = len(units)
            units.append(starts[i])
            parents.append(-1)
            flags.append(UnitFlag.HEADER)
        if i + 1 >= following:
            continue
        a, b = starts[i + 1], ends[following - 1]
        if i >= 0 and following - i <= MAX_SHORT_LINES + 1 and b - a <= MAX_SHORT_CHARS:
            flags[-1] = UnitFlag.ERROR if _is_trouble(text[a:b]) else 0  # a command and its short answer are one unit
            continue
        output = segment_traceback(text[a:b])
        base = len(units)
        for (start, end), parent, flag in zip(
            output.spans.tolist(), output.parents.tolist(), output.flags.tolist(), strict=True
        ):
            if not flag and _is_trouble(text[a + start : a + end]):
                flag = int(UnitFlag.ERROR)
            units.append(a + start)
            parents.append(base + parent if parent >= 0 else head)
            flags.append(flag)
    return build_layout("log", text, units, np.array(parents, np.int32), flags, max_chars=2000)
