"""Excerpts of JSON: they parse, say how much is missing, keep the letters of what they keep, and know what sums up."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from compressor.text.lossless.json_values import load_json, parses_strictly
from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.json import JsonLayout, json_layout
from support.property_tests import given, settings, st
from support.segment_tools import units


def layout_of(value: Any) -> JsonLayout:
    found = json_layout(value if isinstance(value, str) else json.dumps(value))
    assert found is not None
    return found


def keep_only(found: JsonLayout, *parts: str) -> str:
    return found.render(np.array([any(p in u for p in parts) for u in units(found)], np.bool_))


def flagged(found: JsonLayout, flag: UnitFlag) -> set[str]:
    return {u.split(":")[0].strip('"') for u, f in zip(units(found), found.flags.tolist(), strict=True) if f & flag}


def test_gaps_say_how_much_is_missing() -> None:
    found = layout_of([f"post number {i} of the blog" for i in range(20)])
    assert json.loads(keep_only(found, "number 4 ", "number 6 ")) == [
        "…4 more",
        "post number 4 of the blog",
        "…",
        "post number 6 of the blog",
        "…13 more",
    ]
    rows = layout_of([{"id": f"a-{i}", "word": "red green blue".split()[i % 3] * 3, "n": i} for i in range(20)])
    cut = json.loads(keep_only(rows, '"a-5"', '"a-6"', '"a-9"', '"a-12"'))
    assert cut["rows"][0] == "…5 more" and cut["rows"][3] == "…2 more" and cut["rows"][-1] == "…7 more"
    assert json.loads(rows.render(np.zeros(len(rows.spans), np.bool_))) == ["…20 more"]


def test_an_object_says_that_members_are_missing_where_one_beside_it_shows_them() -> None:
    found = layout_of(
        {
            "title": "release",
            "children": [{"id": 911, "done": True, "tags": {"a": 1}}, {"id": 912, "done": False, "by": 7}],
        }
    )
    cut = json.loads(keep_only(found, '"id"', '"done":true'))
    assert cut == {"children": [{"id": 911, "done": True}, {"id": 912, "…": 2}]}
    assert json.loads(keep_only(found, '"id"')) == {
        "children": [{"id": 911}, {"id": 912}]
    }  # nothing shows what they lack
    assert json.loads(found.write(np.array(['"title"' in u for u in units(found)]))) == {"title": "release", "…": 1}


@pytest.mark.parametrize("position", ["first", "last"])
def test_members_beside_a_long_list_sum_up(position: str) -> None:
    beside = {"total": 1200, "has_more": True, "meta": {"count": 120, "pages": 10}, "text": "x" * 200, "none": None}
    items = {"slugs": [f"post-{i}" for i in range(120)]}
    found = layout_of({**beside, **items} if position == "first" else {**items, **beside})
    assert flagged(found, UnitFlag.SUMMARY) == {"total", "has_more", "count", "pages"}
    assert not flagged(layout_of(beside), UnitFlag.SUMMARY)
    deep = layout_of(
        {"data": {"items": [{"id": i, "x": "y"} for i in range(19)], "cursor": "abc"}, "status": "partial"}
    )
    assert flagged(deep, UnitFlag.SUMMARY) == {"cursor", "status"}
    many = {f"setting_{i}": i for i in range(40)}
    assert flagged(layout_of({**many, "page": 2, **items}), UnitFlag.SUMMARY) == {"page"}


def test_records_of_a_list_do_not_sum_up() -> None:
    records = [{"id": i, "values": list(range(i, i + 90)), "kind": "x", f"k{i}": 1} for i in range(6)]
    assert not flagged(layout_of(records), UnitFlag.SUMMARY)


def test_empty_members_among_many_are_noise() -> None:
    members: dict[str, Any] = {
        "number": 5,
        "assignee": None,
        "labels": [],
        "body": "",
        "zero": 0,
        "draft": False,
        "state": "open",
    }
    assert flagged(layout_of(members), UnitFlag.NOISE) == {"assignee", "labels", "body"}
    assert not flagged(layout_of({"number": 5, "assignee": None, "labels": []}), UnitFlag.NOISE)


def test_a_pair_stays_in_one_piece() -> None:
    found = layout_of({"edges": [[f"n{i}", f"m{i}"] for i in range(9)], "lib": ["dom", "es2020"]})
    assert '["n3","m3"],' in units(found) and '"lib":["dom","es2020"],' in units(found)
    assert len(found.source_spans) == len(found.spans) and all(found.source_spans)


def test_a_rare_member_stays_with_its_name() -> None:
    records = [{"id": f"h-{i}", "load": f"{i} percent"} for i in range(30)]
    records[11]["error"] = "disk full"
    found = layout_of(records)
    assert '"error":"disk full",' in units(found)
    cut = json.loads(keep_only(found, '"h-', "disk full"))
    assert cut["columns"] == ["id", ["error"], "…"] and cut["rows"][11] == ["h-11", {"error": "disk full"}]
    assert cut["rows"][10] == ["h-10"]
    hidden = json.loads(keep_only(found, '"h-', "percent"))
    assert "error" not in json.dumps(hidden) and hidden["columns"][-1] == "…"


def test_repeated_keys_are_units_of_their_own() -> None:
    text = '{"a": "first of two", "a": "second of two", "b": [{"c": 1, "c": 2}, {"c": 3}]}'
    found = layout_of(text)
    assert found.render(np.ones(len(found.spans), np.bool_)) == text
    everything = found.write(np.ones(len(found.spans), np.bool_))
    assert "first of two" in everything and "second of two" in everything and '"c":1,"c":2' in everything


def test_json_in_a_string_is_written_short_as_well() -> None:
    inner = "Found 30:\n" + json.dumps([{"id": i, "title": f"crash {i % 3}"} for i in range(30)], indent=2)
    found = layout_of({"content": [{"type": "text", "text": inner}]})
    encoded = found.encode_values()
    assert encoded is not None and len(encoded) < 0.5 * len(found.source)
    assert json.loads(encoded)["content"][0]["text"].startswith('Found 30:\n{"columns":["id","title"]')


LEXEMES = ["1.10", "1E5", "-0", "1e400", "12345678901234567890123", "0.5", "7", '"1.10"', '"a \\/ b"', "null", "true"]
members = st.lists(st.sampled_from(LEXEMES), min_size=1, max_size=4)
texts = st.one_of(
    st.lists(members, min_size=1, max_size=12).map(
        lambda rows: "[" + ", ".join("{" + ",".join(f'"k{i}": {v}' for i, v in enumerate(r)) + "}" for r in rows) + "]"
    ),
    st.lists(members, min_size=1, max_size=6).map(
        lambda rows: "{" + ",".join(f'"m{i}": [{", ".join(r)}]' for i, r in enumerate(rows)) + "}"
    ),
)


@settings(max_examples=200, deadline=None)
@given(texts, st.integers(0, 2**32 - 1))
def test_excerpts_parse_and_keep_the_letters_of_numbers(text: str, seed: int) -> None:
    found = layout_of(text)
    assert found.render(np.ones(len(found.spans), np.bool_)) == text
    keep = np.random.default_rng(seed).random(len(found.spans)) < 0.5
    for out in (found.render(keep), found.write(keep)):
        assert parses_strictly(out)
        ours = re.sub(r'"…":\d+', "", out)  # the number of members that are missing
        numbers = re.findall(r"(?<![\w.\"+-])-?\d[\d.eE+-]*", re.sub(r'"(?:[^"\\]|\\.)*"', '""', ours))
        assert all(n in text for n in numbers)
    load_json(found.write(np.ones(len(found.spans), np.bool_)))


def test_rows_that_are_numbered_keep_their_names() -> None:
    rows = [{"port": 9000 + i, "name": f"blue heron {i}", "city": "Turku"} for i in range(9)]
    found = layout_of({"hits": [{"_id": str(i), "_source": row} for i, row in enumerate(rows)]})
    assert "blue heron 4" in keep_only(found, "9004") and "blue heron 5" not in keep_only(found, "9004")


def test_a_key_and_its_value_stay_together_below_the_name() -> None:
    def tags(i: int) -> list[dict[str, str]]:
        return [{"Key": "owner", "Value": f"team {i}"}, *({"Key": f"k{k}", "Value": f"{i}{k}" * 20} for k in range(5))]

    found = layout_of([{"InstanceId": f"i-{i:04d}", "Tags": tags(i)} for i in range(6)])
    assert json.loads(keep_only(found, "team 3")) == [
        "…3 more",
        {"InstanceId": "i-0003", "Tags": [{"Key": "owner", "Value": "team 3"}, "…5 more"]},
        "…2 more",
    ]
    owner = next(i for i, unit in enumerate(units(found)) if "team 3" in unit)
    assert units(found)[found.records[owner]].startswith('"InstanceId":"i-0003"')
    ((start, end),) = found.source_spans[owner]
    assert found.source[start:end] == '"Key": "owner", "Value": "team 3"'


def test_large_items_are_no_records() -> None:
    parts = [[{"text": f"{'word ' * 20}{i}{k}", "more": [k, k, i]} for k in range(20)] for i in range(4)]
    found = layout_of([{"id": i, "parts": parts[i]} for i in range(4)])
    assert np.bincount(found.records).max() < 20
