"""Receipts count what is in view, behind a ref, or archived; nothing is counted twice or lost."""

from __future__ import annotations

from typing import Any

import pytest

from compressor import Compressor
from compressor.context.formats import detect_format
from compressor.sessions import Conversation
from compressor.sessions.open_items import OpenItem
from compressor.sessions.receipt import KINDS, Thing, list_things, tally_things
from support.cpu_time import cpu_time_below
from support.session_layers import call, look, play, user


def test_things_of_messages() -> None:
    messages: list[Any] = [
        user("Never touch payments.py. The budget is 350 euros."),
        *call("write_file", {"path": "plan.md", "content": "order K-1001 until 2026-05-20"}, "ok"),
    ]
    turns = detect_format(messages).parse(messages).turns
    things = list_things(list(enumerate(turns)), [OpenItem("error", "k", "KeyError: 'x'", 1)], [])
    found = {(thing.kind, thing.text) for thing in things}
    assert {("rules", "Never touch payments.py."), ("files", "plan.md"), ("open_items", "KeyError: 'x'")} <= found
    assert {("values", "K-1001"), ("values", "2026-05-20"), ("values", "350")} <= found
    assert {thing.kind for thing in things} <= set(KINDS)


def test_a_thing_is_counted_once_and_leaves_with_its_message() -> None:
    here, gone, shown = Thing("user_words", "Stay.", 0), Thing("user_words", "Go.", 1), Thing("user_words", "Seen.", 2)
    ref = "[…cut ref 123456789012]"
    tallies, _, left = tally_things([here, gone, shown], f"Stay. Seen. {ref}", {0: "Stay."}, {1: "123456789012"}, {})
    tally = tallies["user_words"]
    assert (tally.in_view, tally.behind_ref, tally.archived) == (2, 1, 0)
    assert left["user_words"] == 2  # both messages have left, though an index line quotes one
    again, _, _ = tally_things([here], "Stay.", {0: "Stay."}, {}, left)
    assert (again["user_words"].in_view, again["user_words"].archived) == (1, 2)


def test_numbers_inside_of_others_are_not_in_view() -> None:
    tallies, _, _ = tally_things([Thing("values", "1001", 0)], "order 21001 and K-1001", {0: ""}, {}, {})
    assert tallies["values"].in_view == 0


@pytest.mark.parametrize("budget", [1_500, 3_000])
def test_receipts_of_a_run_add_up(c: Compressor, budget: int) -> None:
    messages: list[Any] = [user("Port the shop, account ADY-4471. Never push to main.")]
    for k in range(24):
        messages += look(k, 30)
        if k % 4 == 0:
            messages += [
                {"role": "assistant", "content": f"Part {k} is ported."},
                user(f"In part {k} leave the file p{k}.py alone."),
            ]
        if k % 6 == 0:
            messages += call("bash", {"command": f"pytest t{k}.py"}, f"FAILED t{k}.py::test_{k} - AssertionError: {k}")
    talk: Conversation = play(c, messages, budget)[0]
    receipts = talk.receipts()
    assert len(receipts) == talk.cost_report().compactions > 1
    sums = [{kind: sum(tally.values()) for kind, tally in r["tallies"].items()} for r in receipts]
    for kind in ("rules", "user_words", "files"):
        assert [s[kind] for s in sums] == sorted(s[kind] for s in sums)
    for receipt in receipts:
        for missing in receipt["not_in_view"]:
            assert missing["ref"] and talk.expand(missing["ref"])
    assert receipts[-1]["tallies"]["open_items"]["in_view"] >= 3


def test_many_values_take_little_time() -> None:
    things = [Thing("values", f"id-{k}x77", 0) for k in range(20_000)]
    messages = [user(part * (500_000 // len(part))) for part in ("a-", "1.", "id-7x77 ", "1-a.")]
    with cpu_time_below(10):
        tally_things(things, "The view of 20,000 tokens. " * 4_000, {0: ""}, {}, {})
        list_things(list(enumerate(detect_format(messages).parse(messages).turns)), [], [])
