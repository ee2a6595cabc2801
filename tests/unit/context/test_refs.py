"""Where a text has a placeholder of an excerpt."""

from __future__ import annotations

import json

import pytest

from compressor.context.refs import find_closing_placeholder

REF = "123456789012"


@pytest.mark.parametrize(
    ("text", "body", "count"),
    [
        (f"a\nb\n[…cut ref {REF}]", "a\nb", 0),
        (f"a. […words cut ref {REF}]\n", "a.", 0),
        (f"[…17 messages cut ref {REF}]", "", 17),
        (f"a\n[…cut ref {REF} hash=000000000000{REF}]", "a", 0),
        (f'{{"a":1,"…":"cut ref {REF}"}}', '{"a":1}', 0),
        (f'{{"…":"cut ref {REF}"}}', "{}", 0),
        (f'[1, "cut ref {REF}"]\n', "[1]", 0),
        (f'["cut ref {REF}"]', "[]", 0),
    ],
)
def test_the_placeholder_of_an_excerpt_is_found(text: str, body: str, count: int) -> None:
    found = find_closing_placeholder(text)
    assert found is not None and (found.ref, found.body, found.message_count) == (REF, body, count)
    if body[:1] in ("{", "[") and text[:2] != "[…":
        json.loads(found.body)


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"cut ref {REF}",
        f"see […cut ref {REF}] for more",
        f"a\n[…cut ref {REF}]\nb",
        f"word[…cut ref {REF}]",
        f'{{"a":"cut ref {REF}"}}',
        f'{{"a":["cut ref {REF}"]}}',
        f'{{"a":"see […cut ref {REF}]"}}',
        "[…cut ref 1234567890123]",
    ],
)
def test_what_only_looks_like_a_placeholder_is_data(text: str) -> None:
    assert find_closing_placeholder(text) is None
