"""Examples that are elements: `<example>…</example>`, `<good_example>…`, or the children of `<examples>`."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from compressor.text.segmenters.few_shot_lines import LineKind, read_lines
from compressor.text.segmenters.few_shot_obligations import OBLIGES, OBLIGES_FIRST
from compressor.text.segmenters.few_shot_shape import MIN_MODE, MIN_OBLIGING, ExampleRun, label_of
from compressor.text.segmenters.few_shot_words import NOUN, PLURAL_NOUN, SINGULAR_NOUN

_OPEN = re.compile(r"<(?P<name>[^\W\d_][\w-]{0,39})(?:\s[^<>\n]{0,200})?>")
_QUALITY = re.compile(
    r"good|bad|incorrect|correct|wrong|right|positive|negative|gut|schlecht|bon|mauvais|buen|mal|dobr|zł|хорош|плох",
    re.I,
)
_EXTRA_NAMES = re.compile(r"\b(?:shot|demo)\b", re.I)
_ARROW = re.compile(r"->|=>|→|⇒|⟶|\t")
_BETWEEN = " \t\r\n-=*#_,…"
_MAX_NAME = 40


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a prompt.

    Attributes:
        start: The offset of its opening tag.
        inner: Where its content begins.
        close: Where its closing tag begins.
        end: The offset behind its closing tag.
        name: Its name in lower case, without numbers.
    """

    start: int
    inner: int
    close: int
    end: int
    name: str


@dataclass(frozen=True, slots=True)
class ElementList:
    """Neighbouring elements that are examples.

    Attributes:
        runs: Those that have the shape of the others.
        start: The offset of the first.
        end: The end of the last.
        is_marked: Whether labels or elements mark what is given and its answer.
        has_pairs: Whether each holds two lines or paragraphs, or an arrow.
        is_sample: Whether they are called samples, which may be anything's.
    """

    runs: list[ExampleRun]
    start: int
    end: int
    is_marked: bool
    has_pairs: bool
    is_sample: bool


def find_element_lists(text: str) -> list[ElementList]:
    """Returns the lists of example elements in a prompt, in order."""
    out: list[ElementList] = []
    found: list[Element] = []
    at = 0
    closes = _closing_tags(text)
    for match in _OPEN.finditer(text):
        if match.start() < at:
            continue
        name = re.sub(r"[\d_-]+", " ", match["name"]).strip().lower()
        if PLURAL_NOUN.search(name) and not SINGULAR_NOUN.search(name):
            if (end := closes.next(match["name"], match.end())) >= 0 and (
                inside := _children(text, match.end(), end, closes)
            ):
                made = _list_of(text, inside)
                if made.is_marked or made.has_pairs or NOUN.search(inside[0].name.replace("_", " ")):
                    out.append(made)
                at = end
            continue
        if not (NOUN.search(name) or _EXTRA_NAMES.search(name)):
            continue
        element = _element(match, closes)
        if element is None:
            continue
        found.append(element)
        at = element.end
    groups: list[list[Element]] = []
    for one in found:
        between = text[groups[-1][-1].end : one.start] if groups else "x"
        if groups and _is_interlude(between):
            groups[-1].append(one)
        else:
            groups.append([one])
    for group in groups:
        if len(group) > 1 and not _is_nested(text, group):
            out.append(_list_of(text, group))
    return sorted(out, key=lambda one: one.start)


class ClosingTags:
    """The closing tags of a prompt.

    Args:
        places: Where they begin, by name in lower case.
    """

    def __init__(self, places: dict[str, list[int]]) -> None:
        self._places = places

    def next(self, name: str, at: int) -> int:
        """Returns where the next closing tag of a name begins, or -1."""
        places = self._places.get(name.lower(), [])
        k = bisect_left(places, at)
        return places[k] if k < len(places) else -1


def _closing_tags(text: str) -> ClosingTags:
    places: dict[str, list[int]] = {}
    for match in re.finditer(r"</([^\W\d_][\w-]{0,39})>", text):
        places.setdefault(match[1].lower(), []).append(match.start())
    return ClosingTags(places)


def _element(match: re.Match[str], closes: ClosingTags) -> Element | None:
    close = closes.next(match["name"], match.end())
    if close < 0:
        return None
    name = re.sub(r"[\d_-]+$", "", match["name"].lower())
    return Element(match.start(), match.end(), close, close + len(match["name"]) + 3, name)


def _is_nested(text: str, group: list[Element]) -> bool:
    """Whether an element holds another of its name, so that its end is not the end that was found."""
    return any(re.search(rf"<{re.escape(one.name)}[\s>\d_]", text[one.inner : one.close], re.I) for one in group)


def _is_interlude(between: str) -> bool:
    """Whether the elements before and after a text are one list: only one paragraph is between."""
    body = between.strip(_BETWEEN)
    if not body:
        return True
    return (
        len(body) < 400
        and not body.endswith((":", "："))
        and "</" not in body
        and "#" not in body
        and "\n\n" not in body
    )


def _children(text: str, start: int, end: int, closes: ClosingTags) -> list[Element]:
    """The examples among the elements directly inside a wrapper, if there are at least two."""
    out: list[Element] = []
    at = start
    while (match := _OPEN.search(text, at, end)) is not None:
        one = _element(match, closes)
        if one is None or one.end > end:
            return []
        out.append(one)
        at = one.end
    names = [one.name for one in out]
    if len(out) < 2 or _is_nested(text, out):
        return []
    if len(set(names)) == 1 or all(NOUN.search(name.replace("_", " ").replace("-", " ")) for name in names):
        return out
    period = next((k for k in range(1, len(names)) if names[k] == names[0]), 0)
    if not period or len(names) % period or names != names[:period] * (len(names) // period):
        return []
    joined = [out[k : k + period] for k in range(0, len(out), period)]
    if any(text[a.end : b.start].strip() for group in joined for a, b in pairwise(group)):
        return []
    return [Element(group[0].start, group[0].inner, group[-1].close, group[-1].end, names[0]) for group in joined]


def element_starts(text: str) -> list[int]:
    """Returns where the elements begin if the text is one list of elements and nothing else; [] otherwise."""
    return [one.start for one in _children(text, 0, len(text), _closing_tags(text))]


def _list_of(text: str, elements: list[Element]) -> ElementList:
    bodies = [_read_body(text, one) for one in elements]
    shapes = Counter(body.shape for body in bodies)
    shape, count = shapes.most_common(1)[0]
    has_mode = count >= MIN_MODE * len(bodies) and count > 1
    is_usual = len(bodies) > 2 and sum(body.obliges for body in bodies) >= MIN_OBLIGING * len(bodies)
    whole = [(not body.obliges or is_usual) and (not has_mode or body.shape == shape) for body in bodies]
    runs: list[ExampleRun] = []
    for k, one in enumerate(elements):
        if not whole[k]:
            continue
        joins = k > 0 and whole[k - 1] and not text[elements[k - 1].end : one.start].strip(_BETWEEN)
        if joins:
            runs[-1] = ExampleRun((*runs[-1].starts, one.start), one.end)
        else:
            runs.append(ExampleRun((one.start,), one.end))
    marked = sum(body.is_marked for body in bodies) >= MIN_MODE * len(bodies)
    signs = {found[0].lower() for one in elements if (found := _QUALITY.search(one.name))}
    pairs = has_mode and sum(body.has_pair for body in bodies) >= MIN_MODE * len(bodies)
    pairs = pairs or len(signs) > 1  # good ones beside bad ones are no data
    return ElementList(runs, elements[0].start, elements[-1].end, marked, pairs, "sample" in elements[0].name)


@dataclass(frozen=True, slots=True)
class _Body:
    shape: tuple[object, ...]
    obliges: bool
    is_marked: bool
    has_pair: bool = False


def _read_body(text: str, one: Element) -> _Body:
    """Reads what an element holds: elements, labels, or lines. Later lines of the last part may oblige."""
    body = text[one.inner : one.close]
    nested = [match["name"].lower() for match in _OPEN.finditer(body) if f"</{match['name']}>" in body]
    if nested:
        outside = body
        for name in dict.fromkeys(nested):
            outside = re.sub(rf"<{re.escape(name)}[^<>]*>.*?</{re.escape(name)}>", "", outside, flags=re.S | re.I)
        stray = [line.strip() for line in outside.split("\n") if line.strip(_BETWEEN)]
        return _Body((*nested, len(stray)), any(map(_obliges, stray)), len(set(nested)) > 1)
    lines = [line for line in read_lines(body) if line.kind is not LineKind.BLANK]
    labels = [(k, found.name) for k, line in enumerate(lines) if (found := label_of(body, line)) is not None]
    paragraphs = len([part for part in re.split(r"\n[ \t]*\n", body) if part.strip()])
    if labels and labels[0][0] == 0 and len(labels) > 1:
        later = lines[labels[-1][0] + 1 :]
        names = tuple(name for _, name in labels)
        return _Body((*names, len(later), paragraphs), any(_obliges(line.text) for line in later), len(set(names)) > 1)
    later = lines[2:] if len(lines) > 2 else []
    pair = len(lines) == 2 or paragraphs == 2 or bool(_ARROW.search(body))
    return _Body((len(lines), paragraphs), any(_obliges(line.text) for line in later), False, pair)


def _obliges(line: str) -> bool:
    return bool(OBLIGES_FIRST.match(line) or OBLIGES.search(line))
