"""The kernel `phrases` against its twin: sentences of the phrases' own words, walks through the patterns, any text."""

from __future__ import annotations

import random
import re
import threading
from itertools import pairwise

import numpy as np
import pytest

from compressor.text import reasoning_phrases as phrases
from compressor.text.phrase_automaton import ACCEPT, CHARS, SPLIT, PhraseAutomaton
from compressor.text.reasoning_phrases import MAX_READ_CHARS, PHRASE_GROUPS, UNDECIDED, ReasoningKind
from support.native_kernels import kernel_or_skip
from support.property_tests import given, settings, st
from support.reasoning_traces import SAMPLES, UNSEEN

NATIVE = kernel_or_skip("phrases")

WORDS = sorted({w for group in PHRASE_GROUPS.values() for p in group.values() for w in re.findall(r"[a-z']+", p)})
AUTOMATON = PhraseAutomaton(PHRASE_GROUPS)
JOINTS = [" "] * 20 + list(",.;:!?…\n\t-_='’`*(é²٣\u00a0\u2029İ\ud800") + [" — ", "… ", ". ", " 3) ", "", " <think> "]


def by_twin(text: str) -> ReasoningKind:
    plain = text[:MAX_READ_CHARS].lower().replace("’", "'")
    return phrases.classify_plain(plain)


def by_kernel(text: str) -> int:
    found: int = phrases.phrase_matcher().classify(text[:MAX_READ_CHARS].lower().replace("’", "'"))
    return found


def same(text: str) -> bool:
    """Whether both say the same; counts what the kernel leaves to its twin."""
    found = by_kernel(text)
    assert found in (UNDECIDED, by_twin(text)), text
    return found != UNDECIDED


def walk(automaton: PhraseAutomaton, node: int, rng: random.Random) -> str:
    """A text that leads through the automaton from a node, if its boundaries are where they should be."""
    by_class: dict[int, list[str]] = {}
    for char in [*automaton.classes, *"éж7٣ \t\x00日"]:
        by_class.setdefault(automaton.class_of(char), []).append(char)
    out = []
    for _ in range(400):
        kind = automaton.kinds[node]
        if kind == ACCEPT:
            break
        if kind == CHARS:
            classes = [c for c in by_class if automaton.chars[node] >> c & 1]
            out.append(rng.choice(by_class[rng.choice(classes)]))
        node = rng.choice([automaton.first[node], automaton.second[node]]) if kind == SPLIT else automaton.first[node]
    return "".join(out)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(JOINTS)), max_size=20))
def test_sentences_of_the_phrases_words(parts: list[tuple[str, str]]) -> None:
    same("".join(word + joint for word, joint in parts))


@settings(max_examples=300)
@given(st.text(max_size=1200))
def test_any_text(text: str) -> None:
    same(text)


@given(st.integers(0, 1 << 30))
def test_walks_through_the_patterns(seed: int) -> None:
    rng, automaton = random.Random(seed), AUTOMATON
    starts = list(automaton.starts.values())
    decided = 0
    for _ in range(100):
        pieces = [walk(automaton, rng.choice(starts), rng) + rng.choice(JOINTS) for _ in range(rng.randint(1, 4))]
        decided += same("".join(pieces))
    assert decided >= 90


@pytest.mark.parametrize(
    "text", ["", " ", "\n", "?", "a" * 5_000, " " * 5_000, "the answer " * 500, ", if it is " * 400]
)
def test_odd_texts(text: str) -> None:
    same(text)


def test_traces() -> None:
    for sample in (*SAMPLES, *UNSEEN):
        for sentence in re.split(r"(?<=[.!?])\s+", sample.trace):
            same(sentence)


def test_few_states_change_nothing() -> None:
    assert NATIVE is not None
    numbers = {kind.name: int(kind) for kind in ReasoningKind}
    few = NATIVE.PhraseMatcher(AUTOMATON, numbers, ".!?:;…", "—–", " .!?,:;", max_states=20)
    for sample in (*SAMPLES, *UNSEEN):
        for sentence in re.split(r"(?<=[.!?])\s+", sample.trace.lower()):
            assert few.classify(sentence) == by_kernel(sentence)


def test_threads_share_one_matcher() -> None:
    texts = [f"{a} {b} {c}." for a in WORDS[::9] for b in WORDS[::17] for c in WORDS[::23]][:4_000]
    expected = [by_kernel(text) for text in texts]
    found: list[list[int]] = [[] for _ in range(4)]

    def work(mine: list[int]) -> None:
        mine.extend(by_kernel(text) for text in texts)

    threads = [threading.Thread(target=work, args=(mine,)) for mine in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


@pytest.mark.parametrize("pattern", ["a(?=b)", "(?<=a)b", "[a-z]", "(a)", r"a\Z", r"\x41", ".", "(?:a", "a)", "^a"])
def test_an_automaton_refuses_what_it_does_not_understand(pattern: str) -> None:
    with pytest.raises(ValueError):
        PhraseAutomaton({"group": {"pattern": pattern}})


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from([*JOINTS, "Σ", " ΑΣ "])), max_size=40), st.data())
def test_sentences_of_one_text(parts: list[tuple[str, str]], data: st.DataObject) -> None:
    text = "".join(word.title() + joint for word, joint in parts)
    cuts = sorted({0, len(text), *data.draw(st.lists(st.integers(0, len(text)), max_size=8))})
    spans = np.array([*pairwise(cuts), (0, 0), (0, len(text))], np.int32)
    expected = [int(by_twin(text[a:b])) for a, b in spans.tolist()]
    assert phrases.classify_spans(text, spans).tolist() == expected
