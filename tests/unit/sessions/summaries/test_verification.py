"""Verification of summaries: what must be caught, what must pass unharmed, and properties over made-up strings."""

from __future__ import annotations

import re

import pytest

from compressor.sessions.summaries import Passage, summarizer
from compressor.sessions.summaries.verification import SourceIndex
from compressor.tokens import get_counter
from support.property_tests import given, st

COUNTER = get_counter("gpt-4o")
TEXTS = (
    "Fix the login bug in src/auth/login.py, order ORD-1234-X. Budget is 1,234,567 dollars; at most 3 retries, please. "
    'Contact jane.doe@example.com. See https://example.com/a/b?x=1 and v1.2.3. He said "the cache is stale". Dates: '
    "2024-05-20T10:00:00Z. It took 20 ms and coverage is 85%. Range 10-20. call client.get_user(id) and `parse_args()`;"
    " error ENOENT; flag --no-verify; exit code -5",
    '{"reservation_id":"ZFA04Y","price":152,"origin":"JFK","timeout": 30, "seats": [1, 234], '
    '"note": "line\\nfoo_bar \\"quoted text\\"", "big": 5000}',
    "src/utils/token.py:12: raise TokenError(x)\nthree tests failed, 2.5x faster, 3/5 done; Python 3.10, HAT204; "
    "C:\\Users\\ann\\notes.txt; uuid 550e8400-e29b-41d4-a716-446655440000; commit 9fceb02d",
)
SOURCES = SourceIndex(TEXTS)

FAITHFUL = (
    "The bug is in src/auth/login.py.",
    "The bug is in `src/auth/login.py`, not elsewhere.",
    "login.py is the file.",
    "src/auth has the bug.",
    "Order ORD-1234-X is late.",
    "The order's id is ORD‑1234‑X.",
    "The budget is 1234567 dollars.",
    "The budget is $1,234,567.",
    "Big is 5,000.",
    "At most three retries.",
    "3 tests failed.",
    "Write to jane.doe@example.com.",
    "See https://example.com/a/b?x=1.",
    "See (https://example.com/a/b?x=1).",
    "Version 1.2.3 is used.",
    "Version v1.2.3, and Python 3.10.",
    "The user said “the cache is stale”.",
    "The user said 'The cache is stale.'",
    "The date is 2024-05-20.",
    "It took 20 ms.",
    "It took 20ms.",
    "It took 20 milliseconds.",
    "Coverage is 85 percent.",
    "Coverage: 85 %.",
    "Between 10 and 20.",
    "The range is 10–20.",
    "`get_user` was called.",
    "client.get_user() is used; parse_args() is broken.",
    "It fails with ENOENT.",
    "The flag --no-verify is set, the exit code is -5.",
    "Reservation ZFA04Y costs $152, from JFK.",
    "timeout=30, that is 30 seconds.",
    'foo_bar holds "quoted text".',
    "src/utils/token.py:12 raises TokenError.",
    "It is 2.5x faster and 3/5 are done.",
    "Flight HAT204 and/or another, e.g. none, i.e. I/O.",
    "The file is C:\\Users\\ann\\notes.txt.",
    "UUID 550e8400-e29b-41d4-a716-446655440000 at commit 9fceb02d.",
    "**Line 12** of token.py raises.",
    "The API returns JSON.",
)
INVENTED = (
    "It took 45 minutes.",
    "The budget is 1,234,568.",
    "The budget is 123,456.",
    "At most four retries.",
    "It took 200 ms.",
    "It took 2 ms.",
    "Coverage is 20%.",
    "Exit code -6.",
    "The price is 15.2.",
    "It costs 152k.",
    "It took 5 million steps.",
    "It took 20 s.",
    "It took 20 hours.",
    "Python 3.1 is used.",
    "Python 3.100 is used.",
    "Order ORD-1234-Y is late.",
    "Order ORD-1234 is late.",
    "Order 1234-X is late.",
    "Reservation ZFA04 costs $152.",
    "Reservation ZFA04YX is booked.",
    "Reservation zfa04y is booked.",
    "Flight HAT20 leaves.",
    "Flight HAT2040 leaves.",
    "From LGA.",
    "UUID 550e8400-e29b-41d4-a716-446655440001.",
    "UUID 550e8400.",
    "Commit 9fceb02.",
    "It is in src/auth/token.py.",
    "It is in src/utils/login.py.",
    "It is in src/auth.py.",
    "It is in /src/auth/login.py.",
    "It is in login.ts.",
    "It is in auth/token.",
    "It is in C:\\Users\\bob\\notes.txt.",
    "Write to jane@example.com.",
    "Write to doe@example.com.",
    "Write to jane.doe@example.org.",
    "See https://example.com/a/b.",
    "See https://example.com/a/b?x=2.",
    "See http://example.com/a/b?x=1.",
    "Version 1.2 is used.",
    "Version 1.2.4 is used.",
    "Version v1.2.33 is used.",
    'He said "the cache is fresh".',
    "He said 'stale cache is it'.",
    "He said “the cache is stale and old”.",
    "It happened on 2024-05-21.",
    "`get_users` was called.",
    "client.getUser() was called.",
    "frobnicate() is broken.",
    "It raises TokenErrors.",
    "foo_baz is set.",
    "It fails with EACCES.",
    "The flag --verify is set.",
    "timeout=31",
    "retries=30",
    "Issue #777 is open.",
)


@pytest.mark.parametrize("sentence", FAITHFUL)
def test_a_faithful_sentence_passes(sentence: str) -> None:
    assert SOURCES.missing(sentence) == []


@pytest.mark.parametrize("sentence", INVENTED)
def test_an_invented_string_is_caught(sentence: str) -> None:
    assert SOURCES.missing(sentence)


def test_lists_of_numbers_and_thousands_are_both_read() -> None:
    packed = SourceIndex(['{"a":[1,234],"b":12}'])
    assert not packed.missing("234 is in a, 12 in b.")
    assert packed.missing("12 is in a, 123 in b.")


@pytest.mark.moderate
def test_a_long_text_is_checked_in_time() -> None:
    long = SourceIndex(["x" * 200_000 + " " + "a1," * 50_000 + "1," * 50_000 + "-" * 50_000 + "/1" * 20_000])
    assert long.missing("The id is HAT204 and 77 in src/a.py.")


word = st.from_regex(r"[a-z]{3,8}", fullmatch=True)
exact = st.one_of(
    st.from_regex(r"[A-Z]{2,4}-?[0-9]{2,6}", fullmatch=True),
    st.from_regex(r"[a-z]{2,6}(?:/[a-z]{2,6}){1,3}\.(?:py|ts|txt)", fullmatch=True),
    st.from_regex(r"[a-z]{2,6}_[a-z]{2,6}", fullmatch=True),
    st.from_regex(r"[a-z]{2,5}[A-Z][a-z]{2,5}", fullmatch=True),
    st.from_regex(r"[1-9][0-9]{0,6}", fullmatch=True),
    st.from_regex(r"[1-9][0-9]{0,3}\.[0-9]{1,3}", fullmatch=True),
    st.from_regex(r"v?[0-9]{1,2}\.[0-9]{1,2}\.[0-9]{1,2}", fullmatch=True),
    st.from_regex(r"[a-z]{2,6}@[a-z]{2,6}\.com", fullmatch=True),
    st.from_regex(r"https://[a-z]{2,6}\.com/[a-z0-9]{1,8}", fullmatch=True),
    st.from_regex(r"--[a-z]{2,6}-[a-z]{2,6}", fullmatch=True),
)
wild = st.text(max_size=60)


@given(st.lists(exact, min_size=1, max_size=6), st.lists(word, min_size=1, max_size=6), st.data())
def test_what_stands_in_the_source_is_found_there(strings: list[str], words: list[str], data: st.DataObject) -> None:
    source = " ".join(w for pair in zip(strings, words * 6, strict=False) for w in pair)
    said = data.draw(st.sampled_from(strings))
    assert SourceIndex([source]).missing(f"{words[0].title()} {said}, {words[-1]}.") == []


@given(st.lists(exact, min_size=1, max_size=6), exact)
def test_what_does_not_is_missing(strings: list[str], said: str) -> None:
    source = " and ".join(strings)
    alone = re.search(rf"(?<![\w.@/\-]){re.escape(said.lstrip('v'))}(?![\w@\-]|[./]\w)", source) is not None
    parts = [p for s in strings for p in re.split(r"[/.@]|::", s)]
    if not alone and said not in source and said not in parts:
        assert SourceIndex([source]).missing(f"It is {said} now.")


@given(st.lists(wild, max_size=4), wild)
def test_any_text_can_be_checked(sources: list[str], sentence: str) -> None:
    found = SourceIndex(sources)
    assert all(not found.holds(c) for c in found.missing(sentence))
    plain = " ".join(sentence.split())
    if plain and not set(plain) & set("\"'`“”„‟«»″‘’‚‛′…") and "\\" not in plain:
        # A text holds its own strings: nothing is missing in a source that is the sentence itself.
        assert [c.text for c in SourceIndex([sentence]).missing(sentence)] == []


@given(st.lists(st.lists(st.one_of(exact, word), min_size=2, max_size=8), min_size=1, max_size=5), st.data())
def test_no_line_of_a_summary_has_a_string_that_is_not_in_its_source(
    rows: list[list[str]], data: st.DataObject
) -> None:
    """A model that shuffles, changes and invents: whatever it says, what is rendered stands in the passages."""
    texts = [" ".join(row) + "." for row in rows]
    known = {w for row in rows for w in row}
    pool = st.sampled_from(sorted(known))
    bent = st.one_of(pool, pool, exact, pool.map(lambda w: w[:-1] or w), pool.map(lambda w: w + "7"))
    said = data.draw(st.lists(st.lists(bent, min_size=1, max_size=6), min_size=1, max_size=6))
    answer = "FACTS:\n" + "\n".join(f"- We saw {' '.join(row)} here." for row in said)
    passages = [Passage(text, "tool_result", "bash", f"{i:012d}") for i, text in enumerate(texts)]
    summary = summarizer(lambda prompt: answer).update(None, passages, 400, COUNTER)
    parts = known | {p for w in known for p in re.split(r"[/.@]|::|://", w)}
    whole = " ".join(texts)
    assert summary.facts or summary.failed
    for _, line in summary.lines():
        for token in line.text.split():
            token = token.strip(".,…")
            if re.search(r"[\d_/@]|[a-z][A-Z]", token) and token not in parts:
                assert re.search(rf"(?<![\w]){re.escape(token.lstrip('v'))}(?![\w])", whole), (token, whole)
