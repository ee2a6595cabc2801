"""Excerpts of JSON: the same records whatever stands around it, numbers letter for letter, and what stands beside "
"lists."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from compressor import Compressor
from compressor.tokens.counter import get_counter
from support.property_tests import given, settings, st
from support.record_notations import Record, records

COMPRESSOR = Compressor(store="memory")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])")

WRAPPERS = {
    "prefix": ("Here is the answer of the service:\n", ""),
    "suffix": ("", "\nThat is all there is."),
    "both": ("Result: ", "\n\nDone in 3 s."),
    "fence": ("```json\n", "\n```"),
    "fence with words": ("The hosts are these:\n\n```json\n", "\n```\n\nAsk if more is needed.\n"),
    "tag": ("<result>\n", "\n</result>"),
    "mark": ("\ufeff", ""),
    "white space": ("\n\n  ", "  \n"),
    "status": ("HTTP/1.1 200 OK\nContent-Type: application/json\n\n", "\n"),
    "command": ("$ curl -s localhost/hosts\n", "\n$ "),
}


def strictly(text: str) -> Any:
    """Parses JSON as strict parsers do."""

    def refuse(constant: str) -> Any:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def named(found: list[Record], out: str) -> set[str]:
    return {r.name for r in found if r.name in out}


@pytest.mark.moderate
@pytest.mark.parametrize("wrapper", WRAPPERS)
@settings(max_examples=6, deadline=None)
@given(
    found=records(8, 20), indent=st.sampled_from((None, 2)), share=st.sampled_from((0.3, 0.5)), at=st.integers(0, 99)
)
def test_what_stands_around_does_not_change_the_records(
    wrapper: str, found: list[Record], indent: int | None, share: float, at: int
) -> None:
    before, after = WRAPPERS[wrapper]
    text = json.dumps([{"name": r.name, **dict(r.fields)} for r in found], indent=indent)
    asked = found[at % len(found)]
    key, value = asked.fields[-1]
    query = f"What is the {key} of {asked.name}?"
    budget = int(get_counter(None).count(text) * share)
    plain = COMPRESSOR.compress_text(text, budget, query=query).text
    more = get_counter(None).count(before + text + after) - get_counter(None).count(text)
    wrapped = COMPRESSOR.compress_text(before + text + after, budget + more, query=query).text
    assert value in plain and value in wrapped, wrapped
    a, b = named(found, plain), named(found, wrapped)
    assert len(a & b) >= 0.6 * len(a | b), (plain, wrapped)


numbers = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(
        ("1.0", "1.10", "0.30000000000000004", "1e5", "1E+2", "-0.0", "-0", "12345678901234567890", "6.02e23", "1e400",
         "100.000", "3.14159265358979323846", "0.1e-7")
    ),
)  # fmt: skip


@pytest.mark.moderate
@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(numbers, numbers, st.booleans()), min_size=6, max_size=30),
    share=st.sampled_from((0.25, 0.5, 0.8)),
    asked=st.booleans(),
    spaced=st.booleans(),
    listed=st.booleans(),
)
def test_numbers_stay_letter_for_letter(
    rows: list[tuple[str, str, bool]], share: float, asked: bool, spaced: bool, listed: bool
) -> None:
    sep = ", " if spaced else ","
    items = [
        f'{{"id": "row-{i}"{sep}"price": {a}{sep}"size": {b}{sep}"open": {str(c).lower()}}}'
        for i, (a, b, c) in enumerate(rows)
    ]
    text = f"[{sep.join(items)}]" if listed else f'{{"rows": [{sep.join(items)}]{sep}"total": {len(rows)}}}'
    out = COMPRESSOR.compress_text(text, share, query="What is the price of row-3?" if asked else None).text
    strictly(out)
    known = set(_NUMBER.findall(text))
    of_marks = re.sub(r"…[^\"]*|cut ref \d+", "", out)
    assert set(_NUMBER.findall(of_marks)) <= known, out


@pytest.mark.parametrize("constant", ("NaN", "Infinity", "-Infinity"))
def test_constants_that_are_no_json_stay_letter_for_letter(constant: str) -> None:
    rows = [{"id": f"row-{i}", "loss": i / 7, "note": f"run number {i} of many"} for i in range(40)]
    text = json.dumps(rows).replace('"loss": 0.0', f'"loss": {constant}')
    out = COMPRESSOR.compress_text(text, 0.3, query="What is the loss of row-0?").text
    assert f",{constant}," in out or f": {constant}," in out or f":{constant}," in out
    assert json.loads(out)


SCALARS = {"total": 412, "has_more": True, "next_cursor": "c_9fe21b", "page": 3}


@pytest.mark.parametrize("share", (0.2, 0.4))
@pytest.mark.parametrize("first", (True, False))
@pytest.mark.parametrize("key", SCALARS)
def test_what_stands_beside_a_list_stays_if_asked_for(key: str, first: bool, share: float) -> None:
    rows = [{"id": f"b{i:03d}", "owner": f"team {i % 7}", "note": f"run number {i} of many"} for i in range(40)]
    found = {**SCALARS, "items": rows} if first else {"items": rows, **SCALARS}
    for query in (f"What is the {key} of the list?", f"{key}?"):
        out = COMPRESSOR.compress_text(json.dumps(found), share, query=query).text
        assert strictly(out)[key] == SCALARS[key], out


@pytest.mark.parametrize(
    ("query", "share"),
    (
        (None, 0.25),
        (None, 0.5),
        ("Is b017 there?", 0.25),
        ("Is b017 there?", 0.5),
        ("Which rows belong to team 4?", 0.5),
        pytest.param(
            "Which rows belong to team 4?",
            0.25,
            marks=pytest.mark.xfail(strict=True, reason="the ids of rows near the matches take the share of scalars"),
        ),
    ),
)
def test_what_stands_beside_a_list_mostly_stays(query: str | None, share: float) -> None:
    rows = [{"id": f"b{i:03d}", "owner": f"team {i % 7}", "note": f"run number {i} of many"} for i in range(40)]
    out = COMPRESSOR.compress_text(json.dumps({"items": rows, **SCALARS}), share, query=query).text
    kept = strictly(out)
    assert sum(kept.get(key) == value for key, value in SCALARS.items()) >= 3, out
