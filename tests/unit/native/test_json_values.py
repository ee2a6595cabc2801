"""The kernel `json_values` against its twins: numbers, objects, records and whole values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compressor.text.lossless import json_tables, json_values, table_detection
from compressor.text.lossless.json_tables import TableWriter
from compressor.text.lossless.json_values import NumberText, RepeatedKeys, read_int, read_object
from compressor.text.lossless.table_detection import ABSENT
from support.native_kernels import kernel_or_skip
from support.property_tests import given, settings, st

NATIVE = kernel_or_skip("json_values")

READER: Any = json_values._reader
KEYS = st.sampled_from(["id", "name", "a.b", "", "é", "\ud800", "(key)", "columns", "rows"])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=9),
    st.sampled_from(["1e5", "NaN"]).map(NumberText),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=6),
        st.dictionaries(KEYS, inner, max_size=6),
        st.lists(st.tuples(KEYS, inner), min_size=2, max_size=4).map(RepeatedKeys),
        st.lists(st.fixed_dictionaries({"id": inner, "name": scalars}, optional={"note": inner}), max_size=5),
        st.dictionaries(KEYS, st.fixed_dictionaries({"a": inner, "b": scalars}), max_size=5),
        st.lists(st.lists(st.fixed_dictionaries({"id": inner, "q": scalars}), max_size=4), max_size=4),
    ),
    max_leaves=30,
)


def by_twin(writer: TableWriter, value: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    with monkeypatch.context() as patch:
        patch.setattr(json_tables, "VALUE_WRITER", None)
        return writer.emit(value)


def test_values_are_written_like_the_twin_does(monkeypatch: pytest.MonkeyPatch) -> None:
    @settings(max_examples=400)
    @given(values, st.booleans(), st.booleans())
    def check(value: Any, ascii_only: bool, any_order: bool) -> None:
        writer = TableWriter(ascii_only, any_order)
        assert writer.emit(value) == by_twin(writer, value, monkeypatch)
        if type(value) is list:
            column = [*value, ABSENT]
            assert writer.cells(column) == writer._write_cells(column)

    check()


@settings(max_examples=300)
@given(st.lists(st.one_of(scalars, st.dictionaries(KEYS, scalars, max_size=4)), min_size=1, max_size=5), st.booleans())
def test_records_are_split_like_the_twin_does(records: list[Any], alike: bool) -> None:
    if alike and type(records[0]) is dict:
        records = [dict.fromkeys(records[0], i) for i in range(len(records))]
    assert NATIVE.split_columns(records) == table_detection._columns(records)


@settings(max_examples=200)
@given(st.lists(st.tuples(KEYS, scalars), max_size=6))
def test_objects_are_read_like_the_twin_does(pairs: list[tuple[str, Any]]) -> None:
    found, twin = READER.read_object(pairs), read_object(pairs)
    assert type(found) is type(twin)
    assert list(found.items()) == list(twin.items()) or any(value != value for _, value in pairs)


@given(st.integers())
def test_integers_are_read_like_the_twin_does(number: int) -> None:
    for text in (str(number), "-0", "0", str(number) * 3 if number >= 0 else "7"):
        found, twin = READER.read_int(text), read_int(text)
        assert type(found) is type(twin)
        assert found == twin


@settings(max_examples=200)
@given(st.text('[]{}a"é日', max_size=40), st.integers(0, 6))
def test_depth_is_counted_like_the_twin_does(text: str, depth: int) -> None:
    assert NATIVE.is_nested(text, depth) == json_tables._is_nested(text, depth)


@settings(max_examples=200)
@given(
    st.text(st.characters(), max_size=30), st.sampled_from(["", "\\ud83d", "\\uDFFF", "\\ud7ff", "\ud800", "\\u00e9"])
)
def test_surrogates_keep_a_text_ascii(text: str, part: str) -> None:
    text += part
    is_escaped = any(f"\\u{d}{digit}" in text for d in "dD" for digit in "89abcdefABCDEF")
    assert json_tables.needs_ascii(text) == (is_escaped or any("\ud800" <= c <= "\udfff" for c in text))


def test_a_value_without_end_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(RecursionError):
        TableWriter().emit(value)


def test_numbers_that_are_no_finite_ones_are_written_as_before() -> None:
    assert TableWriter().emit([float("nan"), float("inf"), -0.0, 1e100]) == json.dumps(
        [float("nan"), float("inf"), -0.0, 1e100], separators=(",", ":")
    )
