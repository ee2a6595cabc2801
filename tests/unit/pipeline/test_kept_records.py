"""What a reader can tell from an excerpt of records: whose each value is, and which records have what was asked for."""

from __future__ import annotations

import pytest

from compressor import Compressor
from compressor.tokens.counter import get_counter
from support.property_tests import given, settings, st
from support.record_notations import NOTATIONS, Record, pieces, records, strays, with_state

COMPRESSOR = Compressor(store="memory")
SHARES = (0.15, 0.3, 0.45, 0.6, 0.8)


def question(found: list[Record], kind: int, at: int) -> str | None:
    """One of several kinds of questions about records, or none."""
    record = found[at % len(found)]
    key, value = record.fields[at % len(record.fields)]
    return (None, f"What is the {key} of {record.name}?", f"List the {key} of each.", f"Whose {key} is {value}?")[kind]


@pytest.mark.moderate
@pytest.mark.parametrize("name", NOTATIONS)
@settings(max_examples=6, deadline=None)
@given(found=records(), share=st.sampled_from(SHARES), kind=st.integers(0, 3), at=st.integers(0, 99))
def test_no_value_stands_under_another_name(name: str, found: list[Record], share: float, kind: int, at: int) -> None:
    notation = NOTATIONS[name]
    text = notation.write(found)
    assert strays(found, notation, text) == []
    out = COMPRESSOR.compress_text(text, share, query=question(found, kind, at)).text
    assert strays(found, notation, out) == [], out


@pytest.mark.moderate
@pytest.mark.parametrize("name", NOTATIONS)
@settings(max_examples=6, deadline=None)
@given(found=records(8), share=st.sampled_from((0.25, 0.4, 0.6)), kind=st.sampled_from((1, 3)), at=st.integers(0, 99))
def test_the_value_asked_for_stays(name: str, found: list[Record], share: float, kind: int, at: int) -> None:
    record = found[at % len(found)]
    key, value = record.fields[at % len(record.fields)]
    out = COMPRESSOR.compress_text(NOTATIONS[name].write(found), share, query=question(found, kind, at)).text
    label = NOTATIONS[name].label(record)
    assert any(n == label and value in piece for n, piece in pieces(found, NOTATIONS[name], out)), (key, value, out)


@pytest.mark.moderate
@pytest.mark.parametrize("name", NOTATIONS)
@settings(max_examples=6, deadline=None)
@given(
    found=records(10),
    which=st.sets(st.integers(0, 9), min_size=1, max_size=3),
    words=st.permutations(("paused", "running", "retired", "draining", "healthy")),
)
def test_all_records_with_the_value_asked_for_stay(
    name: str, found: list[Record], which: set[int], words: list[str]
) -> None:
    notation = NOTATIONS[name]
    stated = with_state(found, which, words[0], words[1])
    text = notation.write(stated)
    wanted = [r for i, r in enumerate(stated) if i in which]
    size = get_counter(None).count(text)
    if len(wanted) / len(stated) > 0.3:
        return
    out = COMPRESSOR.compress_text(text, int(size * 0.6), query=f"Which ones have the state {words[0]}?").text
    for record in wanted:
        held = [piece for n, piece in pieces(stated, notation, out) if n == notation.label(record)]
        assert any(words[0] in piece for piece in held), (record, out)
