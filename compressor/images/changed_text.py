"""Says in words what changed between two texts of a page: accessibility trees, element lists or recognised texts.

Only lines that are not in both texts are read and compared, so that a long page with a small change is quick. Each
changed value stands with the label, element or parent that it belongs to.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from compressor.images.element_lines import PageElement, find_element_list
from compressor.images.frames import Frame
from compressor.images.page_lines import LOOKED_BACK, PageLines, differing_range, surplus_lines
from compressor.images.page_words import quote_words

DEFAULT_MAX_CHARS = 200
MAX_CHANGES = 12  # more is another page, not a change
MAX_CHANGED_LINES = 60
_MAX_LINES = 20_000
_MAX_NAME = 50
_LEAST_ALIKE = 0.34
_CHOICES = frozenset(("option", "radio", "tab", "menuitemradio"))
_OPPOSITES = {"disabled": "enabled", "expanded": "collapsed", "hidden": "shown"}
_TOKEN = re.compile(r"\d+(?:[.,:/]\d+)*|\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class _Change:
    """One change: the words for it, what it replaces with what, and the index of the new line."""

    words: str
    pair: tuple[str, str]
    line: int


def changed_words(old_text: str, new_text: str, max_chars: int = DEFAULT_MAX_CHARS) -> str:
    r"""Returns what changed from one text of a page to another, in one line.

    Args:
        old_text: The text of the earlier frame.
        new_text: The text of the later frame.
        max_chars: The largest length. What does not fit is counted at the end ("+2 more").

    Returns:
        The changes, quoted so that they can stand in a line of ours; "" if nothing changed or too much did.

    Example:
        >>> changed_words('- text: cart count 2\n- button "Add to cart"', '- text: cart count 3\n- button "Added"')
        'cart count 2 → 3; button "Add to cart" → "Added"'
    """
    if old_text == new_text or not old_text or not new_text:
        return ""
    old_side, new_side = PageLines(old_text), PageLines(new_text)
    old, new = old_side.keys, new_side.keys
    if max(len(old), len(new)) > _MAX_LINES or old == new:
        return ""
    start, old_end, new_end = differing_range(old, new)
    gone = surplus_lines(old, new, start, old_end, new_end)
    added = surplus_lines(new, old, start, new_end, old_end)
    if not gone and not added:
        return _join_order(new_side, start, max_chars)
    most = max(len(gone), len(added))
    if most > MAX_CHANGED_LINES or (most > 6 and 2 * most > max(len(old), len(new))):
        return ""
    pairs, only_old, only_new = _match(old_side, new_side, gone, added)
    if not pairs and len(gone) == len(old):
        return ""
    changes = _describe(old_side, new_side, pairs)
    only_old, only_new = _without_moved(old_side, only_old, new_side, only_new)
    news = _named(new_side, only_new, pairs, index=1)
    olds = _named(old_side, only_old, pairs, index=0)
    if len(changes) + len(news) + len(olds) > MAX_CHANGES:
        return ""
    return _join(changes, news, olds, max_chars)


def frame_changes(old: Frame, new: Frame, max_chars: int = DEFAULT_MAX_CHARS) -> str:
    """Returns what changed between two frames by the element lists beside them; "" if one has none or too much changed.

    Args:
        old: The earlier frame.
        new: The later frame.
        max_chars: The largest length.
    """
    old_text, new_text = ("\n".join(filter(None, map(find_element_list, frame.texts))) for frame in (old, new))
    return changed_words(old_text, new_text, max_chars)


def _match(
    old: PageLines, new: PageLines, gone: Sequence[int], added: Sequence[int]
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Pairs the lines that replace each other; returns the pairs, and the lines that only one text has."""
    around_old, around_new = old.around(gone), new.around(added)
    matcher = SequenceMatcher(
        None, [old.keys[i] for i in around_old], [new.keys[i] for i in around_new], autojunk=False
    )
    is_gone, is_added = set(gone), set(added)
    pairs: list[tuple[int, int]] = []
    for _, i1, i2, j1, j2 in matcher.get_opcodes():
        olds = [i for i in around_old[i1:i2] if i in is_gone]
        news = [j for j in around_new[j1:j2] if j in is_added]
        pairs.extend(_pair(old, new, olds, news))
    left = [i for i in gone if i not in {pair[0] for pair in pairs}]
    right = [j for j in added if j not in {pair[1] for pair in pairs}]
    pairs.extend(_pair(old, new, left, right, least=_LEAST_ALIKE if len(left) == len(right) == 1 else 0.6))
    pairs.sort(key=lambda pair: pair[1])
    paired_old, paired_new = {pair[0] for pair in pairs}, {pair[1] for pair in pairs}
    return pairs, [i for i in gone if i not in paired_old], [j for j in added if j not in paired_new]


def _pair(
    old: PageLines, new: PageLines, olds: Sequence[int], news: Sequence[int], least: float = _LEAST_ALIKE
) -> list[tuple[int, int]]:
    scored = sorted(
        ((-_likeness(old[i], new[j]), abs(a - b), i, j) for a, i in enumerate(olds) for b, j in enumerate(news)),
    )
    pairs: list[tuple[int, int]] = []
    used_old: set[int] = set()
    used_new: set[int] = set()
    for score, _, i, j in scored:
        if -score >= least and i not in used_old and j not in used_new:
            pairs.append((i, j))
            used_old.add(i)
            used_new.add(j)
    return pairs


def _likeness(old: PageElement, new: PageElement) -> float:
    """How likely one element became the other: 0 to 1."""
    if old.role != new.role or bool(old.name) != bool(new.name):
        return 0.0
    if old.name == new.name:
        return 1.0
    a, b = (
        Counter("#" if token[0].isdigit() else token.casefold() for token in _TOKEN.findall(e.name)) for e in (old, new)
    )
    shared = sum((a & b).values())
    words = 2 * shared / max(1, sum(a.values()) + sum(b.values()))
    if not old.is_plain:
        words = max(words, 0.4)  # a button in the place of a button
    return 0.9 * words if words < 1 else 0.95


def _describe(old: PageLines, new: PageLines, pairs: Sequence[tuple[int, int]]) -> list[_Change]:
    changes = _describe_choices(old, new, pairs)
    chosen = {change.line for change in changes}
    for i, j in pairs:
        if old[i].role in _CHOICES and {new.owner(line) for line in chosen} & {new.owner(j)}:
            continue
        change = _describe_pair(old, new, i, j)
        if change is not None and change.words not in [other.words for other in changes]:
            changes.append(change)
    changes.sort(key=lambda change: change.line)
    repeats: set[int] = set()
    for k, change in enumerate(changes):
        end = new.subtree_end(change.line)
        inside = [m for m in range(k + 1, len(changes)) if changes[m].line < end]
        same = [m for m in inside if changes[m].pair == change.pair]
        repeats.update(same)
        if not same and any(_is_part(changes[m], change) for m in inside):  # a row, whose cells say it better
            repeats.add(k)
    return [change for k, change in enumerate(changes) if k not in repeats]


def _describe_choices(old: PageLines, new: PageLines, pairs: Sequence[tuple[int, int]]) -> list[_Change]:
    """Says of lists of options of which another one is selected now what was selected before and is now."""
    moved: dict[str, tuple[list[int], list[int]]] = {}
    for i, j in pairs:
        before, after = old[i], new[j]
        if after.role in _CHOICES and before.name == after.name and before.states != after.states:
            lists = moved.setdefault(new.owner(j), ([], []))
            lists[len(after.states) > len(before.states)].append(j)
    changes = []
    for owner, (lost, gained) in moved.items():
        if owner and len(lost) == len(gained) == 1:
            a, b = new[lost[0]].name, new[gained[0]].name
            changes.append(_Change(f"{_owner_words(owner)} {_value(a)} → {_value(b)}", (a, b), gained[0]))
    return changes


def _is_part(inner: _Change, outer: _Change) -> bool:
    return all(part in whole for part, whole in zip(inner.pair, outer.pair, strict=True))


def _describe_pair(old: PageLines, new: PageLines, i: int, j: int) -> _Change | None:
    before, after = old[i], new[j]
    role = "" if after.is_plain else f"{after.role} "
    if before.name == after.name:
        if before.value != after.value:
            words = f"{role}{_owner_words(after.name or new.owner(j))} {_value(before.value)} → {_value(after.value)}"
            return _Change(words.strip(), (before.value, after.value), j)
        states = [state for state in after.states if state not in before.states]
        states += [_OPPOSITES.get(state, f"not {state}") for state in before.states if state not in after.states]
        if not states:
            return None
        return _Change(f"{role}{_quote(after.name)} {' and '.join(states)}".strip(), ("", states[0]), j)
    start, a, b, has_end = _differing_words(before.name, after.name)
    if any(map(str.isalpha, start)) and a and b and (not has_end or len(start) > 3):
        return _Change(f"{role}{_owner_words(start)} {_value(a)} → {_value(b)}", (a, b), j)
    whole = f"{_quote(before.name)} → {_quote(after.name)}"
    if not _has_letters(before.name) and not _has_letters(after.name):
        whole = f"{_value(before.name)} → {_value(after.name)}"
        owner = f"{new.owner(j)} {new.column(j)}".strip()
        return _Change(f"{role}{_owner_words(owner)} {whole}".strip(), (before.name, after.name), j)
    owner = new.owner(j) if role and old.keys.count(old.keys[i]) > 1 else ""
    ending = f" at {_quote(owner)}" if owner else ""
    return _Change(f"{role}{whole}{ending}", (a, b), j)


def _differing_words(old: str, new: str) -> tuple[str, str, str, bool]:
    """Returns the words that both texts start with, the different middles, and whether both end alike."""
    a, b = list(_TOKEN.finditer(old)), list(_TOKEN.finditer(new))
    start = 0
    while start < min(len(a), len(b)) and a[start][0] == b[start][0]:
        start += 1
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end][0] == b[-1 - end][0]:
        end += 1
    head = old[: a[start].start()] if start < len(a) else old
    middle_old = old[a[start].start() : a[len(a) - 1 - end].end()] if start < len(a) - end else ""
    middle_new = new[b[start].start() : b[len(b) - 1 - end].end()] if start < len(b) - end else ""
    has_end = any(map(str.isalpha, "".join(match[0] for match in a[len(a) - end :])))
    return head.strip(" ([{:-–—·#$€£,;"), middle_old, middle_new, has_end


def _without_moved(
    old: PageLines, only_old: Sequence[int], new: PageLines, only_new: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Drops elements whose words are in both texts, only in another role or place."""
    moved = {old[i].name for i in only_old} & {new[j].name for j in only_new}
    return [i for i in only_old if old[i].name not in moved], [j for j in only_new if new[j].name not in moved]


def _named(side: PageLines, indices: Sequence[int], pairs: Sequence[tuple[int, int]], index: int) -> list[str]:
    """The elements that only one text has, without those whose words are part of another one that is named."""
    told: list[str] = []
    changed = " ".join(side[pair[index]].name for pair in pairs)
    for i in indices:
        element = side[i]
        words = f"{element.name} {element.value}".strip()
        if not any(map(str.isalnum, words)) or element.name.startswith("/"):
            continue
        quoted = _quote(words)
        role = "" if element.is_plain or element.role in ("alert", "heading", "row", "status") else f"{element.role} "
        if not any(quoted.strip('"') in other for other in told) and words not in changed:
            told.append(f"{role}{quoted}")
    return told


def _join_order(side: PageLines, start: int, max_chars: int) -> str:
    """What is said of the same lines in another order."""
    for index in range(start, min(len(side.lines), start + LOOKED_BACK)):
        if _has_letters(side[index].name) and not side[index].name.startswith("/"):
            line = f"same entries in another order, from {_quote(side[index].name)} on"
            return line if len(line) <= max_chars else ""
    return ""


def _join(changes: Sequence[_Change], news: Sequence[str], olds: Sequence[str], max_chars: int) -> str:
    pieces = [change.words for change in changes]
    pieces += [f"new: {words}" if k == 0 else words for k, words in enumerate(news)]
    pieces += [f"gone: {words}" if k == 0 else words for k, words in enumerate(olds)]
    heads = {0, len(changes), len(changes) + len(news)}
    for count in range(len(pieces), 0, -1):
        line = ""
        for k, piece in enumerate(pieces[:count]):
            separator = "" if not k else "; " if k in heads or k < len(changes) else ", "
            line += separator + piece
        line += f"; +{len(pieces) - count} more" if count < len(pieces) else ""
        if len(line) <= max_chars:
            return line
    return ""


def _quote(words: str) -> str:
    return f'"{quote_words(words, _MAX_NAME)}"'


def _owner_words(words: str) -> str:
    """The name of an owner: bare if it is a few plain words, else quoted."""
    quoted = quote_words(words, _MAX_NAME)
    return quoted if re.fullmatch(r"[\w %#.'-]{1,30}", quoted) or not quoted else f'"{quoted}"'


def _value(words: str) -> str:
    """A value: bare if it is a number or one word, quoted otherwise, "empty" if there is none."""
    quoted = quote_words(words, _MAX_NAME)
    if not quoted:
        return "empty"
    return quoted if re.fullmatch(r"[^\s\"]{1,20}|[\d.,:/ %$€£¥+-]{1,24}", quoted) else f'"{quoted}"'


def _has_letters(text: str) -> bool:
    return any(map(str.isalpha, text))
