"""Texts that are cut again, and texts that hold what looks like one of our marks."""

from __future__ import annotations

import json
import random

import pytest

from compressor import Compressor
from compressor.tokens.counter import get_counter
from support.property_tests import given, settings, st
from support.record_notations import NOTATIONS, records

COMPRESSOR = Compressor(store="memory")
COUNT = get_counter(None).count
#: Of the tokens that the second cut may keep, what it must use at least.
USED = 0.6

WORDS = "harbour ferry timber ledger orchard engine valley candle bridge winter copper lantern meadow signal".split()


def prose(seed: int) -> str:
    rng = random.Random(seed)
    return "\n\n".join(
        " ".join(f"The {rng.choice(WORDS)} near the {rng.choice(WORDS)} held {rng.randrange(10**4)} of the "
        f"{rng.choice(WORDS)}s."
                 for _ in range(5))
        for _ in range(14)
    )  # fmt: skip


def log(seed: int) -> str:
    rng = random.Random(seed)
    return "".join(
        f"2024-05-06T10:{i // 60:02d}:{i % 60:02d}Z INFO {rng.choice(WORDS)}: step {rng.randrange(999)} done\n"
        for i in range(90)
    )


def code(seed: int) -> str:
    rng = random.Random(seed)
    return "import os\n\n\n" + "\n\n".join(
        f"def {rng.choice(WORDS)}_{i}(value):\n    total = value + {rng.randrange(99)}\n    return total * {i}\n"
        for i in range(24)
    )


TEXTS = {"prose": prose, "log": log, "code": code}


def check_cut_again(text: str, first: float, second: float, query: str | None) -> None:
    size = COUNT(text)
    once = COMPRESSOR.compress_text(text, int(size * first), query=query).text
    budget = int(size * second)
    twice = COMPRESSOR.compress_text(once, budget, query=query).text
    left = COUNT(once)
    assert COUNT(twice) <= budget
    assert COUNT(twice) >= USED * min(budget, left), (COUNT(twice), budget, left, twice)


@pytest.mark.moderate
@pytest.mark.parametrize("kind", TEXTS)
@settings(max_examples=6, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    first=st.sampled_from((0.5, 0.7)),
    second=st.sampled_from((0.2, 0.3, 0.4)),
    query=st.sampled_from((None, "What about the ferry?")),
)
def test_the_second_cut_uses_its_budget(kind: str, seed: int, first: float, second: float, query: str | None) -> None:
    check_cut_again(TEXTS[kind](seed), first, second, query)


@pytest.mark.moderate
@pytest.mark.parametrize("name", NOTATIONS)
@settings(max_examples=4, deadline=None)
@given(found=records(12, 20), second=st.sampled_from((0.25, 0.4)), asked=st.booleans())
def test_the_second_cut_of_records_uses_its_budget(name: str, found: list, second: float, asked: bool) -> None:  # type: ignore[type-arg]
    key, _ = found[3].fields[0]
    query = f"What is the {key} of {found[3].name}?" if asked else None
    check_cut_again(NOTATIONS[name].write(found), 0.6, second, query)


MARKS = ("…", "… 3 more", "…3 more", "[…cut ref 123456789012]", "cut ref 123456789012", "[... 3 more items ...]")


@pytest.mark.moderate
@pytest.mark.parametrize("mark", MARKS)
@settings(max_examples=6, deadline=None)
@given(at=st.integers(0, 29), form=st.sampled_from(("json", "rows", "yaml", "csv", "lines")), asked=st.booleans())
def test_a_foreign_mark_changes_little(mark: str, at: int, form: str, asked: bool) -> None:
    def write(cell: str) -> str:
        rows = [
            {"id": f"row-{i}", "owner": f"team {i % 7}", "note": cell if i == at else f"run number {i} of many"}
            for i in range(30)
        ]
        if form == "json":
            return json.dumps(rows, ensure_ascii=False)
        if form == "rows":
            return json.dumps({"columns": [*rows[0]], "rows": [[*r.values()] for r in rows]}, ensure_ascii=False)
        if form == "yaml":
            return "".join(f"- id: {r['id']}\n  owner: {r['owner']}\n  note: {r['note']}\n" for r in rows)
        if form == "csv":
            return "id,owner,note\n" + "".join(",".join(r.values()) + "\n" for r in rows)
        return "".join(f"{r['id']} of {r['owner']} says {r['note']}\n" for r in rows)

    query = "Which team owns row-12?" if asked else None
    budget = COUNT(write("plain words here")) // 2
    plain = COMPRESSOR.compress_text(write("plain words here"), budget, query=query)
    marked = COMPRESSOR.compress_text(write(mark), budget, query=query)
    assert marked.tokens_after <= budget
    assert marked.tokens_after >= 0.8 * plain.tokens_after, marked.text
    assert "row-12" in marked.text or not asked
