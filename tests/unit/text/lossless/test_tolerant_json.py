"""Text that is nearly JSON is read as JSON; other text is not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compressor.text.lossless.json_values import NumberText, RepeatedKeys
from compressor.text.lossless.tolerant_json import MIN_TORN_CHARS, read_tolerantly
from support.property_tests import given, settings, st


def value_of(text: str) -> Any:
    read = read_tolerantly(text, 0)
    assert read is not None and not read.is_torn and read.end == len(text)
    return read.value


def test_notations() -> None:
    assert value_of('[{"a": 1,}, {"a": 2},]') == [{"a": 1}, {"a": 2}]
    assert value_of("{'a': True, 'b': None, 'c': \"it's\", 'd': (1, 2), 'e': b'x'}") == {
        "a": True,
        "b": None,
        "c": "it's",
        "d": [1, 2],
        "e": "x",
    }
    assert value_of("[datetime.date(2024, 1, 2), Decimal('1.10')]") == ["datetime.date(2024, 1, 2)", "Decimal('1.10')"]
    assert isinstance(value_of("[1.10]")[0], NumberText)


def test_records_with_names() -> None:
    assert value_of("[Row(id=1, name='a'), Row(id=2, name='b', at=date(2024, 1, 2), more=[P(x=1)])]") == [
        {"(type)": "Row", "id": 1, "name": "a"},
        {"(type)": "Row", "id": 2, "name": "b", "at": "date(2024, 1, 2)", "more": [{"(type)": "P", "x": 1}]},
    ]


def test_comments_stay() -> None:
    assert value_of('{"a": 1, // one\n "b": [/* two */ 2]}') == {"a": 1, "//": "one", "b": ["// two", 2]}
    assert isinstance(value_of('{"a": 1, // one\n // two\n "b": 2}'), RepeatedKeys)


@pytest.mark.parametrize(
    "text", ["{a: 1}", "[x]", '{"a" 1}', "{1: 2}", "[1 2]", "{'a', 'b'}", '["a" + b]', "[f(g(1))]"]
)
def test_code_is_no_data(text: str) -> None:
    assert read_tolerantly(text, 0) is None
    assert read_tolerantly(text[0], 0) is None


RECORDS = [{"id": i, "name": f"host-{i}", "tags": ["a", "b"], "at": {"x": i}} for i in range(30)]


@settings(max_examples=60, deadline=None)
@given(st.integers(MIN_TORN_CHARS, 3000), st.sampled_from([None, 2]), st.booleans())
def test_what_is_complete_is_read(cut: int, indent: int | None, is_inner: bool) -> None:
    text = json.dumps({"total": 30, "items": RECORDS} if is_inner else RECORDS, indent=indent)[:cut]
    read = read_tolerantly(text, 0)
    assert read is None or (read.end <= cut and text[: read.end] == text[: read.end].rstrip())
    if read is None or not read.is_torn:
        return
    records = read.value.get("items", []) if is_inner else read.value
    whole = [r for r in records if r in RECORDS]
    assert whole == RECORDS[: len(whole)] and len(whole) >= len(records) - 1
    if len(whole) > 2:
        assert len(whole) == len(records), "a record of which a part is missing is not shown as whole"
