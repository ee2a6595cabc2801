"""Usage by tool, by model and by reason: sums, limits of names, time ranges."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("prometheus_client")

from compressor.service.dashboard.breakdown import MAX_COARSE, MAX_FINE, MAX_NAMES, OTHER, UNNAMED, Breakdown
from compressor.service.dashboard.time_series import TimeSeries
from compressor.service.dashboard.tool_shares import ToolShares, tool_fractions
from compressor.sessions.usage_notes import ToolUse

NOW = 1_800_000_000.0
DAY = 24 * 3600


def test_workers_add_up_and_json_keeps_everything() -> None:
    one, other, total = Breakdown(), Breakdown(), Breakdown()
    one.count("tools", "read_log", NOW, results=1, tokens_before=1_000, tokens_after=400, saved_usd=0.25)
    other.count("tools", "read_log", NOW, results=2, tokens_before=500, tokens_after=500)
    other.count("tools", "search", NOW, results=1, tokens_before=9_000, tokens_after=10, expansions=1)
    for at in (NOW - 30, NOW):
        other.count("reasons", "timeout", at, count=1, last=at)
    total.add(one)
    total.add(other)
    total = Breakdown.from_json(json.loads(json.dumps(total.to_json())))
    for seconds in (3600, DAY, 30 * DAY):
        tables = total.tables(NOW, seconds)
        assert [row["name"] for row in tables["tools"]] == ["search", "read_log"]  # the largest first
        assert tables["tools"][1]["results"] == 3 and tables["tools"][1]["tokens_before"] == 1_500
        assert tables["tools"][1]["saved_usd"] == 0.25 and tables["tools"][0]["expansions"] == 1
        assert tables["reasons"] == [{"name": "timeout", "count": 2, "last": NOW}]
    copy = total.copy()
    copy.count("tools", "search", NOW, results=1)
    assert total.tables(NOW, DAY)["tools"][0]["results"] == 1


def test_a_client_cannot_make_it_grow() -> None:
    total = Breakdown()
    for round in range(20):
        new = Breakdown()
        for i in range(2_000):
            new.count("tools", f"tool{round}x{i}", NOW + 600 * round, results=1, tokens_before=i)
        new.count("tools", "huge", NOW, results=1, tokens_before=10**6)
        assert len(json.dumps(new.to_json())) < 20_000
        total.add(new)
        total.prune(NOW + 600 * round)
    rows = total.tables(NOW + 600 * 19, DAY)["tools"]
    assert len(rows) <= MAX_NAMES["tools"] + 1
    assert sum(row["results"] for row in rows) == 20 * 2_001  # nothing is lost, it is added up as "other"
    assert {OTHER, "huge"} <= {row["name"] for row in rows}
    assert len(json.dumps(total.to_json())) < 200_000


def test_names_are_harmless() -> None:
    total = Breakdown()
    total.count("tools", "\x00\n\u202e" + "x" * 10_000, NOW, results=1)
    total.count("tools", "", NOW, results=1)
    names = {row["name"] for row in total.tables(NOW, DAY)["tools"]}
    assert names == {"x" * 80, UNNAMED} or names == {UNNAMED, "x" * 77}
    assert all(name.isprintable() and len(name) <= 80 for name in names)


def test_old_slots_go() -> None:
    total, new = Breakdown(), Breakdown()
    for ago in (0, 5 * 60, 2 * 3600, 2 * DAY, 31 * DAY):
        new.count("models", "gpt-4o", NOW - ago, calls=1)
    total.add(new)
    total.prune(NOW)
    assert len(total.fine) <= MAX_FINE and len(total.coarse) <= MAX_COARSE
    found = [total.tables(NOW, seconds)["models"][0]["calls"] for seconds in (3600, DAY, 30 * DAY)]
    assert found == [2, 3, 4]


def test_data_of_other_versions_is_read() -> None:
    old = {"minutes": [[1, 5, 100]], "hours": [[1, 5]], "sessions": {}}
    assert not TimeSeries.from_json(old).breakdown
    longer = {"fine": [[7, {"tools": {"a": [1, 2, 3, 4, 5, 6, 7]}, "colours": {"red": [1]}}]], "coarse": []}
    assert Breakdown.from_json(longer).fine == {7: {"tools": {"a": [1, 2, 3, 4, 5]}}}
    with pytest.raises((TypeError, ValueError, AttributeError)):
        Breakdown.from_json({"fine": [[1, {"tools": [1]}]]})


def test_saved_dollars_are_divided_by_what_was_removed() -> None:
    shares = ToolShares()
    sizes = shares.add("s", [ToolUse("log", 1, 1_000, 200), ToolUse("search", 1, 300, 100)])
    assert tool_fractions(sizes, 1_000) == {"log": 0.8, "search": 0.2}  # what was cut when it was new
    sizes = shares.add("s", [ToolUse("log", 1, 100, 100)])
    # 1,200 more went in a compaction, where the tools had 400 left: the rest is not due to them.
    fractions = tool_fractions(sizes, 2_200)
    assert fractions["log"] == pytest.approx((800 + 300) / 2_200) and sum(fractions.values()) < 1
    assert tool_fractions(sizes, 0) == tool_fractions({}, 500) == {}
    assert sum(tool_fractions(sizes, 700).values()) == pytest.approx(1)
    assert shares.add("other", []) == {}
