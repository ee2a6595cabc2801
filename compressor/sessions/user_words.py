"""Chooses which of the users' own words stay in view.

The newest stay whatever their age, because nobody can tell from their form which of them the agent still has to obey.
What a message only repeats, and bare acknowledgements ("continue") before the last instruction, go first. Of messages
beyond their share, the sentences that state a rule stay; and of every object that an old sentence in view is about, the
newest statement, so that a rule never outlives its lifting.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from compressor.context.model import Path, TextSlot, Turn
from compressor.context.refs import compute_ref, format_placeholder
from compressor.scoring.bm25 import weighted_terms
from compressor.sessions.runtime import Edits
from compressor.text.segmenters import find_pasted_content
from compressor.text.segmenters.sentences import sentence_starts
from compressor.text.user_constraints import find_constraints

INSTRUCTION_WEIGHT = 4.0  # content words of an instruction; fewer may be an answer or an acknowledgement
ACKNOWLEDGEMENT_WEIGHT = 1.0  # content words of a message that only says to go on
MAX_SENTENCE_CHARS = 400  # a longer sentence is material, not a rule
MAX_SHARED_SENTENCES = 4  # a word in more of the users' sentences is not what one of them is about
MESSAGE_TOKENS = 6  # about what a message takes besides its words

_NOTICE = re.compile(r"\s*<([A-Za-z][\w-]*)[^<>]*>.*</\1>\s*", re.DOTALL)


@dataclass(frozen=True)
class UserWords:
    """The users' words that stay in view.

    Attributes:
        whole: Indices of turns of which all own words stay.
        sentences: Of other turns, the sentences that stay, by index, in their order.
        guaranteed: Indices of the first and the last instruction, and of what was said after it.
        dropped_rules: How many rules exceed the bound.
    """

    whole: frozenset[int]
    sentences: Mapping[int, tuple[str, ...]]
    guaranteed: frozenset[int]
    dropped_rules: int = 0

    @classmethod
    def choose(
        cls,
        turns: Sequence[Turn],
        fixed: Collection[int],
        count_tokens: Callable[[str], int],
        max_tokens: int,
        max_rule_tokens: int,
    ) -> UserWords:
        """Chooses the words that stay.

        Args:
            turns: The turns.
            fixed: Indices of turns that stay unchanged in any case. Their words take nothing of the share.
            count_tokens: Counts the tokens of a text.
            max_tokens: The most tokens that whole messages may have together.
            max_rule_tokens: The most tokens that single sentences may have together.
        """
        words = {turn.index: own_words(turn) for turn in turns if has_user_text(turn)}
        guaranteed = _guaranteed(words)
        whole, said = set(), {_normalized(words[i]) for i in fixed if i in words}
        for i in sorted(words, reverse=True):
            text = _normalized(words[i])
            if i in fixed:
                continue
            if i not in guaranteed and (text in said or _is_acknowledgement(words[i])):
                continue
            tokens = count_tokens(words[i]) + MESSAGE_TOKENS
            if i not in guaranteed and tokens > max_tokens:
                continue
            said.add(text)
            whole.add(i)
            max_tokens -= tokens
        rest = [i for i in words if i not in whole and i not in fixed and _normalized(words[i]) not in said]
        sentences, dropped = _rules(words, rest, said, count_tokens, max_rule_tokens)
        _add_first_sentences(words, rest, sentences, count_tokens, max_rule_tokens)
        _add_newest_statements(words, sentences, {*whole, *fixed}, count_tokens, max_rule_tokens)
        kept = {i: tuple(s for s in _sentences(words[i]) if s in found) for i, found in sentences.items()}
        return cls(frozenset(whole), kept, guaranteed, dropped)

    def find_spans(self, index: int, text: str) -> list[tuple[int, int]]:
        """Returns the spans of a turn's text, or of a part of it, that stay."""
        if index in self.whole:
            return [(0, len(text))] if text.strip() else []
        return sorted((at, at + len(s)) for s in self.sentences.get(index, ()) if (at := text.find(s)) >= 0)

    def reduce(self, turn: Turn) -> tuple[Edits, dict[str, str]]:
        """Returns edits that leave only the sentences that stay of a user's message, and the originals by ref."""
        edits: Edits = {}
        originals = {}
        mine = self.sentences.get(turn.index, ())
        for slot in turn.slots:
            if slot.kind == "user" and slot.editable and slot.text:
                here = [sentence for sentence in mine if sentence in slot.text]
                text = "\n".join([*here, format_placeholder(ref := compute_ref(slot.text))])
                if len(text) < len(slot.text):
                    edits[slot.path], originals[ref] = text, slot.text
        return edits, originals


def has_user_text(turn: Turn) -> bool:
    """Returns whether a user says something in a turn. It may hold tool results besides."""
    return turn.role == "user" and any(slot.kind == "user" and slot.text.strip() for slot in turn.slots)


def own_spans(slot: TextSlot) -> Iterator[tuple[int, int]]:
    """Yields the spans [start, end) of a user's text that are not pasted material."""
    position = 0
    for start, end in [*find_pasted_content(slot.text), (len(slot.text), len(slot.text))]:
        if slot.text[position:start].strip():
            yield position, start
        position = end


def own_words(turn: Turn) -> str:
    """Returns what the user says in a turn, without pasted material."""
    return "\n".join(slot.text[a:b].strip() for slot in turn.slots if slot.kind == "user" for a, b in own_spans(slot))


def user_paths(turn: Turn) -> list[Path]:
    """Returns the paths of a turn's texts that a user said."""
    return [slot.path for slot in turn.slots if slot.kind == "user"]


def is_notice(text: str) -> bool:
    """Returns whether a program put a text into a user's message: all of it stands inside of one tag."""
    return _NOTICE.fullmatch(text) is not None


def is_instruction(text: str) -> bool:
    """Returns whether a user's text says what to do, rather than only to go on."""
    return not is_notice(text) and _weight(text) >= INSTRUCTION_WEIGHT


def _is_acknowledgement(text: str) -> bool:
    return _weight(text) <= ACKNOWLEDGEMENT_WEIGHT and not any(c.isdigit() for c in text)


@lru_cache(maxsize=4096)
def _weight(text: str) -> float:
    return sum(_objects(text[:2_000]).values())


@lru_cache(maxsize=8192)
def _objects(text: str) -> dict[str, float]:
    """Returns the content words of a text, in any language, as terms with weights."""
    return dict(weighted_terms(((text, 1.0),)))


def _guaranteed(words: Mapping[int, str]) -> frozenset[int]:
    order = sorted(words)
    if not order:
        return frozenset()
    last = next((i for i in reversed(order) if is_instruction(words[i])), order[-1])
    newer = [i for i in order if i > last and not is_notice(words[i])]
    return frozenset({order[0], last, *newer[-2:], order[-1]})


def _rules(
    words: Mapping[int, str],
    rest: Sequence[int],
    said: Collection[str],
    count_tokens: Callable[[str], int],
    max_tokens: int,
) -> tuple[dict[int, set[str]], int]:
    """Returns the sentences of messages beyond the share that state a rule, newest first, and how many are too many."""
    found: dict[int, set[str]] = {}
    stated = {_normalized(s) for text in said for s in _sentences(text)}
    dropped = 0
    for i in sorted(rest, reverse=True):
        for a, b in reversed(find_constraints(words[i])):
            sentence = words[i][a:b]
            if (normalized := _normalized(sentence)) in stated:
                continue
            stated.add(normalized)
            max_tokens -= count_tokens(sentence)
            if max_tokens < 0:
                dropped += 1
            else:
                found.setdefault(i, set()).add(sentence)
    return found, dropped


def _add_first_sentences(
    words: Mapping[int, str],
    rest: Sequence[int],
    sentences: dict[int, set[str]],
    count_tokens: Callable[[str], int],
    max_tokens: int,
) -> None:
    """Adds the first sentence of messages beyond the share, which mostly says what they are about, newest first."""
    left = max_tokens - sum(count_tokens(s) for found in sentences.values() for s in found)
    for i in sorted(rest, reverse=True):
        first = next((s for s in _sentences(words[i]) if is_instruction(s)), "")
        if not first or len(first) > MAX_SENTENCE_CHARS or is_notice(words[i]):
            continue
        left -= count_tokens(first) + MESSAGE_TOKENS
        if left < 0:
            return
        sentences.setdefault(i, set()).add(first)


def _add_newest_statements(
    words: Mapping[int, str],
    sentences: dict[int, set[str]],
    whole: Collection[int],
    count_tokens: Callable[[str], int],
    max_tokens: int,
) -> None:
    """Adds, for every object that a kept sentence is about, the newest sentence of a user about it."""
    newest: dict[str, tuple[int, str]] = {}
    frequency: Counter[str] = Counter()
    for i in sorted(words):
        for sentence in _sentences(words[i]):
            terms = _objects(sentence)
            frequency.update(terms.keys())
            newest.update((term, (i, sentence)) for term in terms)
    kept = [(i, s) for i in whole if i in words for s in _sentences(words[i])]
    kept += [(i, s) for i, own in sentences.items() for s in own]
    while kept:
        index, sentence = kept.pop()
        for term, weight in _objects(sentence).items():
            i, last = newest[term]
            if weight < 1 or not 1 < frequency[term] <= MAX_SHARED_SENTENCES or i <= index or i in whole:
                continue
            if last in sentences.get(i, ()) or len(last) > MAX_SENTENCE_CHARS:
                continue
            max_tokens -= count_tokens(last)
            if max_tokens < 0:
                return
            sentences.setdefault(i, set()).add(last)
            kept.append((i, last))


def _sentences(text: str) -> list[str]:
    return [s for a, b in pairwise([*sentence_starts(text), len(text)]) if (s := text[a:b].strip())]


def _normalized(sentence: str) -> str:
    return " ".join(sentence.lower().split())
