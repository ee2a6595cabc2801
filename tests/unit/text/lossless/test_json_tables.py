"""JSON as tables: which ways of writing come back byte for byte, what numbers and ragged records become."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compressor.text.lossless import json_tables
from compressor.text.lossless.json_values import (
    NumberText,
    RepeatedKeys,
    canonical,
    load_json,
    parses_strictly,
    say_same,
)
from compressor.text.lossless.table_detection import detect_table
from support.property_tests import given, settings, st

RECORDS = [
    {"id": i, "name": f"user{i}", "note": "a > b" if i == 7 else "ok", "path": f"/srv/{i}", "ratio": 0.5}
    for i in range(30)
]
PLAIN = json.dumps(RECORDS)
PRETTY = json.dumps({"items": RECORDS, "empty": {}, "none": []}, indent=4)
WRITTEN = {
    "python": PLAIN,
    "javascript": json.dumps(RECORDS, separators=(",", ":"), ensure_ascii=False),
    "tabs": json.dumps(RECORDS, indent="\t"),
    "go": PRETTY.replace("a > b", "a \\u003e b"),
    "go lines": "\n".join(map(json.dumps, RECORDS)).replace("a > b", "a \\u003e b"),
    "jackson": PRETTY.replace('": ', '" : '),
    "carriage returns": PRETTY.replace("\n", "\r\n"),
    "php": PLAIN.replace("/", "\\/"),
    "spaces after commas": PRETTY.replace(",\n", ", \n"),
    "a record a line": "[\n" + ",\n".join(map(json.dumps, RECORDS)) + "\n]\n",
    "psql": "[" + ", \n ".join(map(json.dumps, RECORDS)) + "]",
    "short lists on one line": json.dumps([{**r, "xy": [1, 2]} for r in RECORDS], indent=2).replace(
        "[\n      1,\n      2\n    ]", "[1, 2]"
    ),
    "open empty": PRETTY.replace("{}", "{\n    }").replace("[]", "[\n\n    ]"),
    "long numbers": PLAIN.replace("0.5", "0.12345678901234567890"),
    "exponents": PLAIN.replace("0.5", "1E-7"),
    "trailing zeros": PLAIN.replace("0.5", "1.50"),
    "huge": PLAIN.replace("0.5", "1e400"),
    "upper-case escapes": json.dumps([{**r, "city": "Köln"} for r in RECORDS]).replace("\\u00f6", "\\u00F6"),
    "byte order mark": "\ufeff" + PRETTY,
    "one more key": json.dumps([{**r, **({"late": True} if r["id"] == 4 else {})} for r in RECORDS]),
    "one more key in the middle": json.dumps(
        [{"id": r["id"], **({"late": True} if r["id"] == 4 else {}), "note": r["note"]} for r in RECORDS]
    ),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_others_write_comes_back_byte_for_byte(name: str) -> None:
    text = WRITTEN[name]
    parsed = json_tables.parse(text)
    assert parsed is not None
    encoded, style = json_tables.encode(text), json_tables.detect_json_style(text, parsed)
    assert encoded is not None and style is not None and len(encoded) < 0.7 * len(text)
    assert json_tables.decode(encoded, style) == text
    json.loads(encoded)


@pytest.mark.parametrize("odd", [PLAIN.replace("/", "\\/", 1), PRETTY.replace("    ", " \t", 1), PLAIN[:-1] + " ]"])
def test_values_are_kept_where_bytes_cannot_be(odd: str) -> None:
    parsed = json_tables.parse(odd)
    assert parsed is not None
    encoded = json_tables.encode_values(odd, parsed)
    assert encoded is not None
    assert canonical(json_tables.decode_value(load_json(encoded))) == canonical(json.loads(odd))


def test_numbers_keep_their_letters() -> None:
    numbers = ["1.10", "1.100", "1E5", "2e+10", "1e400", "-0", "-0.0", "12345678901234567890123", "1.5", "7"]
    text = "[" + ",".join(f'{{"version":{n},"name":"x{i}"}}' for i, n in enumerate(numbers)) + "]"
    encoded = json_tables.encode(text)
    assert encoded is not None and all(f'[{n},"x' in encoded for n in numbers)
    assert isinstance(load_json("1.10"), NumberText) and load_json("1.5") == 1.5


def test_strict_json() -> None:
    assert parses_strictly('{"a": 1.10}') and parses_strictly("[" + "9" * 10_000 + "]")
    assert not parses_strictly("[NaN]") and not parses_strictly('{"a": Infinity}') and not parses_strictly("[1,]")


def test_repeated_keys_lose_nothing() -> None:
    text = '{"a": 1, "a": 2, "b": {"c": 1, "c": [1, 2]}, "long": "' + "x" * 20 + '"}'
    assert isinstance(load_json(text), RepeatedKeys)
    encoded = json_tables.encode(text)
    assert encoded is not None and encoded.startswith('{"a":1,"a":2,"b":{"c":1,"c":[1,2]}')


def test_a_key_seen_late_may_stand_early() -> None:
    records = [{"action": "run", "output": f"line {i}"} for i in range(4)]
    records += [{"action": "run", "test": f"T{i}", "output": f"line {i}"} for i in range(16)]
    table = detect_table(records)
    assert table is not None and table.names == ["action", "test", "output"]
    both = [*records, {"output": "x", "action": "y"}]
    assert detect_table(both) is None, "no order suits all records, so they could not be written again"
    assert detect_table(both, any_order=True) is not None


def test_a_rare_key_costs_nothing_where_it_is_absent() -> None:
    text = WRITTEN["one more key"]
    encoded = json_tables.encode(text)
    assert encoded is not None and "(absent)" not in encoded
    assert '["late"]' in encoded and '{"late":true}]' in encoded
    usual = json_tables.encode(PLAIN)
    assert usual is not None and len(encoded) < len(usual) + 30


@pytest.mark.parametrize(
    "text",
    [
        '{"columns":            3,            "rows":           4}',
        '{"columns":            ["a"],           "rows": [[1, 2, 3]]}',
        '{"columns": [["a"]], "rows": [[{"a":  1}],    [{"b": 2}]]}',
        '[{"a.b": 1, "a": {"c": 2}}, {"a.b":        3, "a": {"c":     4}}]',
        '[{"x": "(absent)", "yyyyyyyyyyyy": 1}, {"x": "(absent)", "yyyyyyyyyyyy": 2}, {"yyyyyyyyyyyy": 3}]',
    ],
)
def test_data_that_looks_like_ours(text: str) -> None:
    parsed = json_tables.parse(text)
    assert parsed is not None
    encoded, style = json_tables.encode(text), json_tables.detect_json_style(text, parsed)
    assert encoded is None or (style is not None and json_tables.decode(encoded, style) == text)
    values = json_tables.encode_values(text, parsed)
    assert values is None or canonical(json_tables.decode_value(load_json(values))) == canonical(parsed.value)


scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.sampled_from(["(absent)", "…", "a.b"])
)
keys = st.sampled_from(["id", "name", "a", "b.c", "columns", "rows", "(key)", "…", "groups"])
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(keys, inner, max_size=5),
        st.lists(st.dictionaries(keys, inner, min_size=1, max_size=4), min_size=2, max_size=6),
    ),
    max_leaves=25,
)
separators = st.sampled_from([None, (",", ":"), (", ", " : "), (" , ", ": ")])


@settings(max_examples=200, deadline=None)
@given(values, st.sampled_from([None, 2, "\t"]), separators, st.booleans())
def test_encoding_is_exact_or_not_done(value: Any, indent: Any, marks: Any, is_ascii: bool) -> None:
    text = json.dumps(value, indent=indent, separators=marks, ensure_ascii=is_ascii)
    parsed = json_tables.parse(text)
    if parsed is None:
        return
    encoded, style = json_tables.encode(text), json_tables.detect_json_style(text, parsed)
    if encoded is not None:
        assert style is not None and json_tables.decode(encoded, style) == text
    values = json_tables.encode_values(text, parsed)
    assert values is None or canonical(json_tables.decode_value(load_json(values))) == canonical(load_json(text))


@settings(max_examples=200, deadline=None)
@given(values, values)
def test_values_say_the_same_if_their_texts_do(one: Any, other: Any) -> None:
    assert say_same(one, other) == (canonical(one) == canonical(other))
    assert say_same(one, load_json(json.dumps(one)))


def test_what_python_takes_for_equal_is_told_apart() -> None:
    different = [0, False, 0.0, -0.0, 1, True, 1.0, "1", "0", None, "null", [], {}, [0], [False], {"a": 0}, {"a": 0.0}]
    assert [(a, b) for a in different for b in different if say_same(a, b) and a is not b] == []
    assert say_same({"a": 1, "b": [NumberText("1")]}, {"b": [1], "a": 1})
    assert say_same({"a": 1}, RepeatedKeys([("a", 1)])) and not say_same({"a": 1}, RepeatedKeys([("a", 1)] * 2))
