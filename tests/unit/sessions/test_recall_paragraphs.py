"""Paragraphs cover everything that was said, in order, and none is long."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from compressor.sessions.recall_paragraphs import MAX_CHARS, StoredText, split_paragraphs


def bodies(text: str, label: str = "note") -> list[str]:
    return [text[p.start : p.end] for p in split_paragraphs([StoredText("1" * 12, text, label, 0)])]


@given(st.lists(st.text(st.sampled_from("ab .\n[]}\u3002\u05d0\ud83d\ude00"), max_size=900), max_size=3))
def test_nothing_but_white_space_is_left_out(texts: list[str]) -> None:
    stored = [StoredText(f"{i:012}", text, "note", i) for i, text in enumerate(texts)]
    found = split_paragraphs(stored)
    for i, text in enumerate(texts):
        mine = [p for p in found if p.stored == i]
        assert all(0 < p.end - p.start <= MAX_CHARS for p in mine)
        at = 0
        for p in mine:
            assert p.start >= at and not text[at : p.start].strip()
            at = p.end
        assert not text[at:].strip()


def test_parts_of_a_round_are_told_apart() -> None:
    text = '[assistant]\nI look.\n\n[call look]\n{"page": 3}\n\n[result look]\nFirst.\n\nSecond.'
    found = split_paragraphs([StoredText("1" * 12, text, "look", 4, 2)])
    assert [(p.speaker, text[p.start : p.end]) for p in found] == [
        ("assistant", "I look."),
        ("call look", '{"page": 3}'),
        ("result look", "First.\n\nSecond."),
    ]
    assert [p.part for p in found] == [0, 1, 2]


def test_blank_lines_then_lines_then_sentences_end_a_paragraph() -> None:
    first, second = "word " * 40, "other " * 40
    assert bodies(f"{first}\n\n{second}") == [first.strip(), second.strip()]
    log = "\n".join(f"2024-05-17 12:00:{i:02} worker {i} has started" for i in range(60))
    assert all(line in "\n".join(bodies(log)) for line in log.splitlines()) and 5 < len(bodies(log)) < 20
    prose = " ".join(f"Sentence number {i} is about the harbour." for i in range(60))
    assert all(body.endswith(".") for body in bodies(prose)) and len(bodies(prose)) > 4
    rows = json.dumps([{"id": i, "name": f"item {i}"} for i in range(90)])
    assert all(body.startswith(("[", "{", '"name"')) for body in bodies(rows))
    assert max(map(len, bodies("x" * 5_000))) <= MAX_CHARS
