"""The battery: its records and scores are the same every time, and its owner check sees what a reader would see."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import battery
from benchmarks.battery import GROUPS, TASKS, Options, measure
from benchmarks.battery_baselines import BASELINES, grep_units, last_units
from benchmarks.battery_case import BatteryCase, NeededStrings, TextInput, ToolInput
from benchmarks.battery_cells import Cell, bootstrap_interval, summary
from benchmarks.battery_held_out_notations import NOTATIONS
from benchmarks.battery_owners import Record, RecordBounds, RecordScoring, split_by_name
from benchmarks.report import Report
from benchmarks.tokens import count

NOWHERE = Path("/nonexistent")
GENERATED = [*GROUPS["records"], *GROUPS["records_held_out"]]
RECORDS: list[Record] = [
    {"name": "a-1", "port": "7001", "tls": "false"},
    {"name": "a-2", "port": "7002", "tls": "true"},
    {"name": "a-3", "port": "7003", "tls": "true"},
]
SCORING = RecordScoring(RECORDS, {"a-1": "false"})


def cases(name: str, seed: int = 1, limit: int = 28) -> list[BatteryCase]:
    return list(TASKS[name].cases(NOWHERE, limit, seed))


def text_of(case: BatteryCase) -> str:
    assert isinstance(case.content, (ToolInput, TextInput))
    return case.content.text


@pytest.mark.parametrize("name", GENERATED)
def test_generated_cases_are_the_same_every_time(name: str) -> None:
    assert cases(name) == cases(name)
    assert [text_of(case) for case in cases(name)] != [text_of(case) for case in cases(name, seed=2)]


@pytest.mark.parametrize("name", GENERATED)
def test_a_whole_text_keeps_everything_and_has_no_wrong_owner(name: str) -> None:
    for case in cases(name):
        assert case.scoring.score(text_of(case)) == (1.0, 0), case.question
        assert case.scoring.score("") == (0.0, 0)


@pytest.mark.parametrize("name", GENERATED)
def test_values_that_change_places_are_at_a_wrong_owner(name: str) -> None:
    case = cases(name)[0]
    assert isinstance(case.scoring, RecordScoring)
    records, text = case.scoring.records, text_of(case)
    values = [value for r in records for value in r.values()]
    key = next(k for k in records[0] if k != "name" and values.count(records[0][k]) == values.count(records[2][k]) == 1)
    one, other = records[0][key], records[2][key]
    swapped = re.sub(f"{re.escape(one)}|{re.escape(other)}", lambda m: other if m[0] == one else one, text)
    assert case.scoring.score(swapped)[1] == 2


def test_there_are_more_held_out_notations_than_known_ones() -> None:
    assert len(NOTATIONS) >= 16
    assert not {n.removeprefix("held_") for n in GROUPS["records_held_out"]} & {
        n.removeprefix("records_") for n in GROUPS["records"]
    }


def test_units_hold_the_whole_text() -> None:
    for name in GROUPS["records_held_out"]:
        for case in cases(name):
            words = re.findall(r"\w+", " ".join(case.units))
            assert words == re.findall(r"\w+", text_of(case))


def test_the_owner_check_wants_value_and_name_together() -> None:
    assert SCORING.score("a-1 tls false\na-2 tls true") == (1.0, 0)
    assert SCORING.score("a-1\na-2 tls true") == (0.0, 0)
    assert SCORING.score("tls false") == (0.0, 0)


def test_the_owner_check_counts_values_under_another_name() -> None:
    assert SCORING.score("a-1 port 7001\na-2 port 7003")[1] == 1
    assert SCORING.score("a-1 port 7001\n…\nport 7002\nport 7003")[1] == 2
    assert SCORING.score("a-1 port 17002 7002x")[1] == 0  # parts of longer values
    assert SCORING.score("a-1 tls true")[1] == 0  # more than one record has it


def test_a_name_above_the_values_of_several_records_does_not_answer() -> None:
    strict = RecordScoring(RECORDS, {"a-1": "false"}, unambiguous=True)
    assert strict.score("a-1 tls false\na-2 tls true") == (1.0, 0)
    assert strict.score("a-1 tls false\n…\ntls true") == (0.0, 0)
    assert SCORING.score("a-1 tls false\n…\ntls true") == (1.0, 0)


def test_a_value_that_a_table_states_once_belongs_to_all() -> None:
    assert SCORING.score('{"tls": "false"} name port\na-1 7001')[0] == 1.0


def test_a_name_is_not_found_in_a_longer_name() -> None:
    assert split_by_name("a-12 x\na-1 y", ["a-1", "a-12"]) == {"a-12": "a-12 x\n", "a-1": "a-1 y"}


def test_records_that_do_not_start_with_their_name() -> None:
    bounds = RecordBounds(re.compile("^BEGIN", re.MULTILINE), re.compile("^END", re.MULTILINE))
    text = "BEGIN\nport 1\nname a\nEND\nport 2\nBEGIN\nport 3\nBEGIN\nport 4\nname b\ntls"
    assert split_by_name(text, ["a", "b"], bounds) == {
        "a": "BEGIN\nport 1\nname a\nEND",
        "b": "BEGIN\nport 4\nname b\ntls",
    }
    assert split_by_name("x | a\ny | b\n", ["a", "b"], bounds) == {"a": "x | a\n", "b": "y | b\n"}


LINE = st.text("abc xyz.019-", max_size=40)


@given(st.lists(LINE, min_size=1, max_size=20), LINE, st.integers(0, 60))
def test_baselines_keep_whole_units_in_order_within_the_budget(lines: list[str], question: str, budget: int) -> None:
    units = [f"{i} {line}" for i, line in enumerate(lines)]
    for method in BASELINES.values():
        out = method(question, units, budget)
        assert count(out) <= budget
        places = [units.index(unit) for unit in out.split("\n") if out]
        assert places == sorted(set(places))


def test_grep_takes_the_lines_around_the_rarest_word() -> None:
    units = [f"line {i}" for i in range(9)]
    units[4] += " needle"
    assert grep_units("any needle", units, 100) == "\n".join(units[2:7])


def test_the_last_units_are_a_tail() -> None:
    units = ["one", "two " * 50, "three", "four"]
    assert last_units("one", units, 8) == "three\nfour"
    assert last_units("one", units, 0) == ""


def test_the_bootstrap_is_paired_and_the_same_every_time() -> None:
    ours, other = [1.0, 0.0, 1.0, 1.0, 0.5, 0.25], [0.5, 0.0, 1.0, 0.0, 0.5, 0.5]
    low, high = bootstrap_interval(ours, other)
    assert (low, high) == bootstrap_interval(ours, other)
    assert low < sum(ours) / 6 - sum(other) / 6 < high
    assert bootstrap_interval(ours, [x - 0.25 for x in ours]) == (0.25, 0.25)


def test_needed_strings() -> None:
    needed = NeededStrings(["One  two", 'say "x"'], "share")
    assert needed.score('one\ntwo and say \\"x\\"') == (1.0, 0)
    assert needed.score("one two") == (0.5, 0)
    assert replace(needed, rule="any").score("one two") == (1.0, 0)
    assert replace(needed, rule="all").score("one two") == (0.0, 0)


def test_a_summary_lists_what_is_below_the_better_baseline() -> None:
    kept = {"ours": [0.5, 0.5], "BM25": [0.5, 0.51], "grep": [0.0, 0.0], "keep last": [1.0, 1.0]}
    near = Cell("near", 4, kept)
    below = Cell("below", 4, {**kept, "grep": [1.0, 0.5]}, wrong_owner=3)
    text = summary("Both", [near, below])
    assert "1 of 2 cells, wrong owner 3" in text
    assert "Below: below 4× 0.50 < 0.75." in text


def test_a_task_is_measured_the_same_in_other_processes() -> None:
    names = ("records_logfmt", "held_tsv")
    table = _table(battery.run(NOWHERE, 4, [], Options(names)))
    assert table == _table(battery.run(NOWHERE, 4, [], Options(names, jobs=2)))
    assert len(table) == 1 + 4


def _table(report: Report) -> list[list[str]]:
    """Returns the table without its times."""
    return [row[:8] + row[9:] for row in report.table]


def test_look_prints_cases_but_not_held_out_ones() -> None:
    _, shown = measure("records_csv", NOWHERE, 4, Options(look=1))
    assert shown.count("needs:") == 2
    assert measure("held_tsv", NOWHERE, 4, Options(look=1))[1] == ""


def test_a_task_without_data_is_named() -> None:
    report = battery.run(NOWHERE, 4, [], Options(("kv",)))
    assert len(report.table) == 1
    assert "No data: kv." in report.notes


def test_unknown_tasks_are_refused() -> None:
    with pytest.raises(KeyError, match="none"):
        Options(("kv", "none")).names()
    assert Options(("records", "records_csv")).names() == GROUPS["records"]
