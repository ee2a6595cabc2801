"""Chooses which of the users' own words stay in view.

The newest stay whatever their age, because nobody can tell from their form which of them the agent still has to obey.
What a message only repeats, bare acknowledgements ("continue") and what programs write into users' messages go first.
Of messages beyond their share, the sentences that state a rule stay; and of every object that an old sentence in view
is about, the newest statement, so that a rule never outlives its lifting.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from compressor.context.model import TextSlot, Turn
from compressor.context.refs import compute_ref, format_placeholder
from compressor.scoring.bm25 import weighted_terms
from compressor.sessions.acknowledgements import is_acknowledgement, is_notice
from compressor.sessions.runtime import Edits
from compressor.text.segmenters import find_pasted_content
from compressor.text.segmenters.sentences import split_sentences
from compressor.text.user_constraints import find_constraints

INSTRUCTION_WEIGHT = 4.0  # content words of an instruction; fewer may be an answer
MAX_SENTENCE_CHARS = 800  # a longer sentence is material, not a rule
NOTICE_FRACTION = 0.25  # of the share of whole messages, for what programs write into users' messages
MIN_NAME_CHARS = 4
MAX_SAME_SENTENCES = 40  # of a message that are compared because they share a word
MAX_KEPT_SENTENCES = 2_000  # whose newer statements are looked for
MESSAGE_TOKENS = 6  # about what a message takes besides its words


@dataclass(frozen=True)
class UserWords:
    """The users' words that stay in view.

    Attributes:
        whole: Indices of turns of which all own words stay.
        sentences: Of other turns, the sentences that stay, by index, in their order.
        dropped_rules: How many rules exceed the bound.
    """

    whole: frozenset[int]
    sentences: Mapping[int, tuple[str, ...]]
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
        whole: set[int] = set()
        said: dict[str, int] = {}  # normalized texts that stay, with the newest message that says each
        max_notice_tokens = int(NOTICE_FRACTION * max_tokens)
        notices = {i for i in words if is_notice(words[i])}
        for i in sorted(words, key=lambda i: (i in notices, -i)):
            text = _normalized(words[i])
            tokens = 0 if i in fixed else count_tokens(words[i]) + MESSAGE_TOKENS
            if i not in guaranteed and i not in fixed:
                left = min(max_tokens, max_notice_tokens) if i in notices else max_tokens
                if said.get(text, -1) > i or is_acknowledgement(words[i]) or tokens > left:
                    continue
            said[text] = max(i, said.get(text, -1))
            max_tokens -= tokens
            max_notice_tokens -= tokens if i in notices else 0
            if i not in fixed:
                whole.add(i)
        rest = [i for i in words if i not in whole and i not in fixed and said.get(_normalized(words[i]), -1) < i]
        sentences, dropped = _rules(words, rest, said, count_tokens, max_rule_tokens)
        _add_first_sentences(words, rest, sentences, count_tokens, max_rule_tokens)
        _add_newest_statements(words, sentences, {*whole, *fixed}, count_tokens, max_rule_tokens)
        kept = {i: tuple(s for s in split_sentences(words[i]) if s in found) for i, found in sentences.items()}
        return cls(frozenset(whole), kept, dropped)

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
    spans = (slot.text[a:b].strip() for slot in turn.slots if slot.kind == "user" for a, b in own_spans(slot))
    return "\n\n".join(spans)  # a sentence ends with its span


def is_instruction(text: str) -> bool:
    """Returns whether a user's text says what to do, rather than only to go on."""
    return not is_notice(text) and not is_acknowledgement(text) and _weight(text) >= INSTRUCTION_WEIGHT


def _weight(text: str) -> float:
    return sum(_objects(text[:MAX_SENTENCE_CHARS]).values())


@lru_cache(maxsize=8192)
def _objects(text: str) -> dict[str, float]:
    """Returns the content words of a text, in any language, as terms with weights."""
    return dict(weighted_terms(((text[:MAX_SENTENCE_CHARS], 1.0),)))


@lru_cache(maxsize=8192)
def _names(text: str) -> frozenset[str]:
    """Returns the paths, ids and other names of more than one part in a text, such as `payments.py`."""
    found = (name.lower().strip("./") for name in weighted_terms(((text[:MAX_SENTENCE_CHARS], 1.0),)).compounds)
    return frozenset(name for name in found if len(name) >= MIN_NAME_CHARS)


def _guaranteed(words: Mapping[int, str]) -> frozenset[int]:
    """Returns the first and the last instruction, the newest words behind it that say something, and the last."""
    order = sorted(words)
    if not order:
        return frozenset()
    last = next((i for i in reversed(order) if is_instruction(words[i])), order[0])
    newer = [i for i in order if i > last and not is_notice(words[i]) and not is_acknowledgement(words[i])]
    return frozenset({order[0], last, *newer[-2:], order[-1]})


def _rules(
    words: Mapping[int, str],
    rest: Sequence[int],
    said: Mapping[str, int],
    count_tokens: Callable[[str], int],
    max_tokens: int,
) -> tuple[dict[int, set[str]], int]:
    """Returns the sentences of messages beyond the share that state a rule, newest first, and how many are too many."""
    found: dict[int, set[str]] = {}
    stated: dict[str, int] = {}  # normalized sentences that stay, with the newest message that says each
    for text, i in said.items():
        for sentence in split_sentences(text):
            stated[sentence] = max(i, stated.get(sentence, -1))
    dropped = 0
    for i in sorted(rest, reverse=True):
        for a, b in reversed(find_constraints(words[i])):
            sentence = words[i][a:b].strip()
            if stated.get(normalized := _normalized(sentence), -1) >= i:
                continue
            stated[normalized] = i
            if (tokens := count_tokens(sentence)) > max_tokens:
                dropped += 1
            else:
                max_tokens -= tokens
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
        first = next((s for s in split_sentences(words[i]) if not is_acknowledgement(s)), "")
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
    """Adds, for every object that a kept sentence is about, the newest sentence of a user about it.

    Where there is not enough room, paths and ids come first, then statements with most of the same rare words. Messages
    of which nothing stays count last, with the names in their beginning, which the index may show.
    """
    newest: dict[str, tuple[int, list[str]]] = {}  # the last message that has a term, and its sentences with it
    frequency: Counter[str] = Counter()
    for i in sorted(words):
        for sentence in split_sentences(words[i]):
            about = {*_objects(sentence), *_names(sentence)}
            frequency.update(about)
            for term in about:
                if term not in newest or newest[term][0] != i:
                    newest[term] = i, []
                newest[term][1][MAX_SAME_SENTENCES - 1 :] = [sentence]
    kept = [(i, s) for i in sorted(whole) if i in words for s in split_sentences(words[i])]
    kept += [(i, s) for i, own in sorted(sentences.items()) for s in sorted(own)]
    kept = list(dict.fromkeys(kept))[-MAX_KEPT_SENTENCES:]
    labels = [(i, own[0]) for i in sorted(words) if i not in whole and (own := split_sentences(words[i]))]
    while kept or labels:
        wanted: dict[tuple[int, str], tuple[bool, bool, float]] = {}
        for (index, sentence), is_label in [*((k, False) for k in kept), *((k, True) for k in labels)]:
            names, terms = _names(sentence), _objects(sentence)
            for term in sorted(names) if is_label else _strong(terms, names):
                i, found = newest[term]
                if i <= index or i in whole:
                    continue
                last = max(reversed(found), key=lambda other: _overlap(terms, other, frequency))
                if last in sentences.get(i, ()) or len(last) > MAX_SENTENCE_CHARS:
                    continue
                rank = (term not in names, is_label, -_overlap(terms, last, frequency))
                wanted[i, last] = min(rank, wanted.get((i, last), rank))
        kept, labels = [], []
        for i, last in sorted(wanted, key=lambda key: (wanted[key], -key[0], key[1])):
            if (tokens := count_tokens(last)) <= max_tokens:
                max_tokens -= tokens
                sentences.setdefault(i, set()).add(last)
                kept.append((i, last))


def _overlap(terms: Mapping[str, float], other: str, frequency: Mapping[str, int]) -> float:
    """Returns how much two sentences have in common. A word of many sentences says little."""
    return sum(1 / frequency[term] for term in terms.keys() & _objects(other).keys())


def _strong(terms: Mapping[str, float], names: Iterable[str]) -> list[str]:
    """Returns what a sentence is about: its names and its words, without pieces of words that say little."""
    return sorted({*names, *(term for term, weight in terms.items() if weight >= 1)})


def _normalized(sentence: str) -> str:
    return " ".join(sentence.lower().split())
