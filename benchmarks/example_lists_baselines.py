"""Baselines of `example_lists`: the rules of the first release, and a regular expression."""

from __future__ import annotations

import re
from itertools import groupby, pairwise

from compressor.text.segmenters.few_shot_shape import ExampleRun

_NAIVE = re.compile(r"^[^\n]*(?:\bExample\b|Q:|A:)[^\n]*$", re.M)


def find_by_regex(text: str) -> list[tuple[int, int]]:
    """Returns what is between the first and the last line with "Example", "Q:" or "A:", if there are three or more."""
    found = list(_NAIVE.finditer(text))
    return [(found[0].start(), found[-1].end())] if len(found) > 2 else []


MIN_TAGGED_EXAMPLES, MIN_EXAMPLES = 2, 3  # examples that make a list
ANNOUNCEMENT_CHARS = 400  # characters before a list that may announce it

_TAGS = "example|demonstration|few_shot_example|few-shot-example|shot|exemplar"
_OPEN = re.compile(rf"<({_TAGS})(?:\s[^<>\n]{{0,200}})?>", re.I)
_HEADING = re.compile(
    r"^[ \t]*(?P<mark>#{1,6}[ \t]+|\*\*|\[)?Example[ \t]*#?[ \t]*(?P<number>\d{1,3})\b[^\n]{0,80}$", re.M
)
_PAIRS = {
    "q": ("a",),
    "question": ("answer",),
    "problem": ("solution", "answer"),
    "input": ("output",),
    "text": ("label", "sentiment", "category", "intent", "class"),
    "sentence": ("label", "sentiment", "category", "class"),
    "review": ("sentiment", "label", "rating"),
    "utterance": ("intent", "label"),
    "query": ("intent", "label", "category", "sql"),
    "user": ("assistant", "bot", "ai"),
    "human": ("assistant", "ai"),
}
_DIALOGUE = ("user", "human")  # a conversation looks the same, so the list must be announced
_WORDS = "|".join(sorted({*_PAIRS, *(word for words in _PAIRS.values() for word in words)}, key=len, reverse=True))
_LABEL = re.compile(rf"^[ \t]*(?:\*\*)?({_WORDS})(?:[ \t]*#?\d{{1,3}})?[ \t]*:(?:\*\*)?", re.M | re.I)
_ANNOUNCES = re.compile(r"\b(?:examples?|demonstrations?|few[- ]shot|exemplars?)\b(?!\.\w|\()", re.I)
_SAID = re.compile(r"[ \t]*[\w ]{1,20}:[ \t]*\S")  # a line of a conversation, or a field
_NOT_ONE = re.compile(r"\b(?:for example|e\.g\.)", re.I)
_INK = re.compile(r"\S")
_BLANK = re.compile(r"\n[ \t]*\n")
_NEXT_HEADING = re.compile(r"^(?:#{1,6}[ \t]|\*\*[^*\n]+\*\*[ \t]*$|</)", re.M)


def find_by_old_rules(text: str, alone: bool = False) -> list[ExampleRun]:
    """Returns the lists of examples in a prompt, in order and without overlap. Linear in the text.

    Args:
        text: The prompt.
        alone: Whether the text is known to be one such list and nothing else.
    """
    low = text.lower()
    if "example" not in low and ":" not in low and "<" not in low:
        return []
    found = [*_tagged(text), *_headed(text, alone), *_labelled(text, alone)]
    out: list[ExampleRun] = []
    for one in found:  # the clearest notation first
        if all(one.end <= other.start or one.start >= other.end for other in out):
            out.append(one)
    return sorted(out, key=lambda one: one.start)


def _mentions_examples(text: str) -> bool:
    """Returns whether a text mentions examples; "for example" does not count."""
    return bool(_ANNOUNCES.search(_NOT_ONE.sub("", text)))


def _tagged(text: str) -> list[ExampleRun]:
    spans: list[tuple[int, int, str]] = []
    low = text.lower() if len(text.lower()) == len(text) else text
    at = 0
    for match in _OPEN.finditer(text):
        if match.start() < at:
            continue
        name = match.group(1).lower()
        close = low.find(f"</{name}>", match.end())
        if close < 0:
            break
        if _OPEN.search(text, match.end(), close):  # nested elements, or one that is not closed
            return []
        at = close + len(name) + 3
        spans.append((match.start(), at, name))
    return _runs(text, spans, MIN_TAGGED_EXAMPLES)


def _runs(text: str, spans: list[tuple[int, int, str]], min_count: int) -> list[ExampleRun]:
    """Runs of elements of one kind with only white space and rules between them."""
    runs: list[list[tuple[int, int, str]]] = []
    for span in spans:
        last = runs[-1][-1] if runs else None
        if last is not None and last[2] == span[2] and not text[last[1] : span[0]].strip(" \t\r\n-=*#_"):
            runs[-1].append(span)
        else:
            runs.append([span])
    return [ExampleRun(tuple(a for a, _, _ in run), run[-1][1]) for run in runs if len(run) >= min_count]


def _headed(text: str, alone: bool) -> list[ExampleRun]:
    """`Example 1 … Example 2 …`: numbered from 1 or 0, headings of one form, none left out."""
    found = list(_HEADING.finditer(text))
    out = []
    for _, group in groupby(enumerate(found), lambda item: (int(item[1]["number"]) - item[0], item[1]["mark"] or "")):
        heads = [match for _, match in group]
        if len(heads) < MIN_EXAMPLES - alone or int(heads[0]["number"]) > 1:
            continue
        starts = [match.start() for match in heads]
        bodies = [text[a.end() : b.start()] for a, b in pairwise(heads)]
        if not all(body.strip() for body in bodies):
            continue
        gaps = any(_BLANK.search(body.strip()) for body in bodies)
        end = len(text) if alone else _end_of(text, heads[-1].end(), gaps)
        if end is None:  # the end of the last example is unknown, so it is left out of the list
            end = starts.pop()
            end = _trimmed(text, end)
        if len(starts) >= MIN_EXAMPLES - 1:
            out.append(ExampleRun(tuple(starts), end))
    return out


def _end_of(text: str, at: int, gaps: bool) -> int | None:
    """The end of an example that begins before `at`, or None if it cannot be told.

    It is a blank line, or the next heading if the examples contain blank lines.
    """
    body = _ink(text, at)
    stop = (_NEXT_HEADING if gaps else _BLANK).search(text, body)
    if stop is None:
        return None if gaps else _trimmed(text, len(text))
    return _trimmed(text, stop.start())


def _labelled(text: str, alone: bool) -> list[ExampleRun]:
    """Runs of question and answer, each with its label."""
    found = list(_LABEL.finditer(text))
    out: list[ExampleRun] = []
    i = 0
    while i + 1 < len(found):
        ask = found[i].group(1).lower()
        reply = found[i + 1].group(1).lower()
        if reply not in _PAIRS.get(ask, ()):
            i += 1
            continue
        j = i
        while (
            j + 1 < len(found)
            and found[j].group(1).lower() == ask
            and found[j + 1].group(1).lower() == reply
            and text[found[j].end() : found[j + 1].start()].strip()
        ):
            j += 2
        one = _pairs(text, found[i:j], found[j] if j < len(found) else None, ask, alone)
        if one is not None:
            out.append(one)
        i = max(j, i + 1)
    return out


def _pairs(
    text: str, labels: list[re.Match[str]], after: re.Match[str] | None, ask: str, alone: bool
) -> ExampleRun | None:
    starts = [match.start() for match in labels[::2]]
    answers = [match.end() for match in labels[1::2]]
    # The last pair is the question itself if it has no answer, or if another question follows it.
    open_ = bool(answers) and _ink(text, answers[-1]) == len(text)
    if open_:
        end = _trimmed(text, starts[-1])
        starts, answers = starts[:-1], answers[:-1]
    elif after is not None and after.group(1).lower() == ask and _ink(text, answers[-1]) < after.start():
        open_ = True
        end = _trimmed(text, after.start())
    elif alone:
        end = len(text)
    else:
        blank = _BLANK.search(text, _ink(text, answers[-1]))
        end = _trimmed(text, blank.start() if blank else len(text))
    if len(starts) < MIN_EXAMPLES or any(
        not text[a:b].strip() for a, b in zip(answers, [*starts[1:], end], strict=True)
    ):
        return None
    if not (alone or _announced(text, starts[0]) or (open_ and ask not in _DIALOGUE)):
        return None
    return ExampleRun(tuple(starts), end)


def _ink(text: str, at: int) -> int:
    """The offset of the first character from `at` on that is not white space, or the end of the text."""
    found = _INK.search(text, at)
    return found.start() if found else len(text)


def _trimmed(text: str, end: int) -> int:
    """`end` without the white space before it."""
    while end > 0 and text[end - 1].isspace():
        end -= 1
    return end


def _announced(text: str, start: int) -> bool:
    """Whether the paragraph before a list says that examples follow: its last line announces something."""
    before = text[max(0, start - ANNOUNCEMENT_CHARS) : start].rstrip()
    paragraph = _BLANK.split(before)[-1]
    last = paragraph.rsplit("\n", 1)[-1].strip()
    ends = last.endswith((":", ".", ">", "-", "=", "*")) or last.startswith("#")
    return ends and not _SAID.match(last) and _mentions_examples(paragraph)
