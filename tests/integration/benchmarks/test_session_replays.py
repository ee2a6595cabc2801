"""The replay benchmark on made-up runs: what is sent, what is billed, what is found, and that a crash is seen."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import long_session, runs
from benchmarks.baselines import bm25
from benchmarks.runs_chains import Recorded, as_run, chain_sessions, join_sessions, read_runs
from benchmarks.runs_methods import RAW, SIMPLE, Bm25Index, Method, Run, Summarising, extract
from benchmarks.runs_peers import PEERS, Editing, Summarization
from benchmarks.runs_replay import PRICES, replay
from benchmarks.tokens import Message, count, message_text, total
from compressor.tokens.pricing import Price

CENTS = Price.custom(3, 15, cache_read=0.3, name="cents", min_cacheable_tokens=0)


def call(number: int, argument: str) -> Message:
    function = {"name": "look_up", "arguments": json.dumps({"id": argument})}
    return {
        "role": "assistant",
        "content": "",
        "tool_calls": [{"id": f"c{number}", "type": "function", "function": function}],
    }


def made_up(name: str, rounds: int, lines: int = 60) -> dict[str, Any]:
    """A session whose agent looks up an id it read in the tool output before the last one."""
    messages: list[Message] = [
        {"role": "system", "content": "You look things up. " * 30},
        {"role": "user", "content": f"Follow the ids of {name}."},
    ]
    probes = []
    for i in range(rounds):
        wanted = f"{name.upper()}-{7919 * max(0, i - 2) % 10_007:05d}"
        if i > 2:
            probes.append({"step": len(messages), "atoms": [{"text": wanted, "last_seen": len(messages) - 3}]})
        messages.append(call(i, wanted if i > 2 else "start"))
        rows = [f"row {k}: nothing to see at station {k * 31 + i}" for k in range(lines)]
        rows.insert(7, f"next id: {name.upper()}-{7919 * i % 10_007:05d}")
        messages.append({"role": "tool", "tool_call_id": f"c{i}", "name": "look_up", "content": "\n".join(rows)})
    messages.append({"role": "assistant", "content": "Done."})
    return {"id": name, "source": "made up", "messages": messages, "probes": probes}


SESSIONS = [made_up("ab", 6), made_up("cd", 9), made_up("ef", 5)]
LONG = chain_sessions(SESSIONS * 4, min_tokens=12_000)[0]


def test_a_chain_is_one_legal_run_with_its_probes_in_place() -> None:
    assert total(LONG.messages) >= 12_000
    assert [m["role"] for m in LONG.messages].count("system") == 1
    calls = [c["id"] for m in LONG.messages for c in m.get("tool_calls", ())]
    assert len(set(calls)) == len(calls)
    assert calls == [m["tool_call_id"] for m in LONG.messages if m["role"] == "tool"]
    assert LONG.probes
    for at, atoms in LONG.probes.items():
        assert LONG.messages[at]["role"] == "assistant"
        before = "\n".join(map(message_text, LONG.messages[:at]))
        assert all(atom in message_text(LONG.messages[at]) and atom in before for atom in atoms)


def test_chains_leave_no_short_rest_and_are_the_same_every_time() -> None:
    assert chain_sessions(SESSIONS, min_tokens=10**6) == []
    assert chain_sessions(SESSIONS * 4, min_tokens=12_000) == chain_sessions(SESSIONS * 4, min_tokens=12_000)
    one = chain_sessions(SESSIONS[:1], min_tokens=1)[0]
    assert [m["content"] for m in one.messages] == [m["content"] for m in SESSIONS[0]["messages"]]


def test_raw_is_billed_as_worked_out_by_hand() -> None:
    recording = as_run(SESSIONS[0])
    outcome = replay([recording], RAW, CENTS)[0]
    money, before = 0.0, 0
    for at, message in enumerate(recording.messages):
        if message["role"] != "assistant":
            continue
        prompt = total(recording.messages[:at])
        money += (before * 0.3 + (prompt - before) * 3 + count(message_text(message)) * 15) / 1e6
        before = prompt
    assert outcome.bills["cents"].cost_usd == pytest.approx(money)
    assert outcome.steps == sum(m["role"] == "assistant" for m in recording.messages)
    assert (outcome.in_view, outcome.reachable) == (outcome.needed, outcome.needed) and outcome.needed == 3
    assert set(outcome.reuse) == {1.0} and not outcome.missed
    row = runs.summary([outcome], [outcome], "cents")
    assert (row["money"], row["input"], row["above"]) == (1, 1, 0)


class Forgetful(Run):
    """Sends the first two messages and the newest one."""

    def step(self, new: list[Message]) -> list[Any]:
        self.messages += new
        self.schema = 100
        return self.messages if len(self.messages) < 3 else [*self.messages[:2], self.messages[-1]]

    def expandable_texts(self, text: str) -> dict[str, str]:
        return {"ref": message_text(self.messages[5])}


def test_what_is_gone_is_missed_and_what_is_behind_a_ref_costs_a_call() -> None:
    recording = as_run(SESSIONS[0])
    outcome = replay([recording], Method("forgetful", lambda price: Forgetful()), CENTS)[0]
    assert (outcome.needed, outcome.in_view, outcome.reachable) == (3, 0, 1)
    assert [atom for _, atom in outcome.missed] == [recording.probes[at][0] for at in sorted(recording.probes)[1:]]
    assert outcome.expanded["cents"] > 0
    assert min(outcome.reuse[1:]) < 1


def test_tool_schemas_and_own_calls_are_paid() -> None:
    class Dear(Run):
        def step(self, new: list[Message]) -> list[Any]:
            self.schema = 1_000
            self.calls.append((10_000, 100))
            return super().step(new)

    recording = as_run(SESSIONS[0])
    raw = replay([recording], RAW, CENTS)[0]
    dear = replay([recording], Method("dear", lambda price: Dear()), CENTS)[0]
    own = raw.steps * (10_000 * 3 + 100 * 15) / 1e6
    assert dear.bills["cents"].cost_usd == pytest.approx(raw.bills["cents"].cost_usd + own)
    runs_of = Method("with schema", lambda price: _with_schema(1_000))
    tools = replay([recording], runs_of, CENTS)[0]
    schema = (1_000 * 3 + (raw.steps - 1) * 1_000 * 0.3) / 1e6
    assert tools.tools["cents"].cost_usd == pytest.approx(tools.bills["cents"].cost_usd + schema)


def _with_schema(tokens: int) -> Run:
    run = Run()
    run.schema = tokens
    return run


@pytest.mark.parametrize("method", [m for m in [*SIMPLE, *PEERS] if not m.unavailable], ids=lambda m: m.name)
def test_every_method_sends_legal_requests(method: Method) -> None:
    run = method.start(CENTS)
    done = 0
    for at, message in enumerate(LONG.messages):
        if message["role"] != "assistant":
            continue
        sent = run.as_openai(run.step(list(LONG.messages[done:at])))
        done = at
        calls = [c["id"] for m in sent for c in m.get("tool_calls") or ()]
        assert calls == [m["tool_call_id"] for m in sent if m["role"] == "tool"]
        assert sent[0] == LONG.messages[0]
        assert message_text(sent[-1]) == message_text(LONG.messages[at - 1]) or method.name.startswith(
            ("BM25", "llmslim")
        )


@pytest.mark.parametrize("make", [Summarising, lambda: Summarization(3_000)])
def test_summaries_are_made_and_charged(make: Callable[[], Run], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.runs_methods.WINDOW", 4_000)
    pytest.importorskip("langchain")
    run = make()
    outcome = replay([LONG], Method("summing", lambda price: run), CENTS)[0]
    raw = replay([LONG], RAW, CENTS)[0]
    assert outcome.rewrites > 2 and outcome.longest < 0.6 * raw.longest
    assert outcome.bills["cents"].calls == raw.bills["cents"].calls + outcome.rewrites
    assert (
        set(outcome.reuse_between_compactions) == {1.0}
        and len(outcome.reuse_between_compactions) == len(outcome.reuse) - outcome.rewrites
    )


def test_context_editing_clears_all_but_three() -> None:
    pytest.importorskip("langchain")
    run = Editing(2_000)
    sent = run.as_openai(run.step(list(LONG.messages[:-1])))
    contents = [m["content"] for m in sent if m["role"] == "tool"]
    assert set(contents[:-3]) == {"[cleared]"} and "[cleared]" not in contents[-3:]


def test_defaults_of_langchain_do_nothing() -> None:
    pytest.importorskip("langchain")
    for run in (Summarization(None), Editing(None)):
        assert run.as_openai(run.step(list(LONG.messages[:-1]))) == LONG.messages[:-1]


def test_the_growing_bm25_scores_as_the_plain_one() -> None:
    units = ["the red fox", "a cat in the hat", "the dog", "no fox, no fox"]
    index = Bm25Index()
    for n in (2, 3, 4):
        assert index.score("The fox and a hat", units[:n]) == pytest.approx(bm25("The fox and a hat", units[:n]))


def test_extracts_keep_to_their_budget_and_prefer_what_is_specific() -> None:
    text = "\n".join(["words and words and words"] * 9 + ["order 4711 in src/shop/cart.py", "more words again"])
    assert extract(text, 12) == "order 4711 in src/shop/cart.py"
    assert count(extract(text, 30)) <= 30


def test_ours_costs_less_and_loses_nothing() -> None:
    long, prices = chain_sessions(SESSIONS * 16, min_tokens=60_000), {"cached": PRICES["cached"]}
    outcome = replay(long, runs.ours(), PRICES["cached"], prices)[0]
    raw = replay(long, RAW, PRICES["cached"], prices)[0]
    row = runs.summary([outcome], [raw], "cached")
    assert row["money"] < 0.8 and row["above"] == 0
    assert row["near"] == row["asked"] > 0
    assert row["reuse_least"] >= 0.98
    assert outcome.rewrites > 0


def test_the_whole_table(tmp_path: Path) -> None:
    folder = tmp_path / "sessions"
    folder.mkdir()
    with gzip.open(folder / "made_up.jsonl.gz", "wt") as out:
        out.writelines(json.dumps(s) + "\n" for s in SESSIONS)
    short, long = read_runs(folder, 2, min_tokens=5_000)["made_up"]
    assert (len(short), len(long)) == (2, 1)
    report = runs.run(tmp_path, 2, ["raw", "masking"])
    assert len(report.table[0]) == len(report.table[1])
    lines = {(row[0], row[1]): row for row in report.table}
    assert lines["all, 2 sessions", "raw"][2] == "+0.0 %"
    assert lines["made_up, long runs", "raw"][2] == "no runs"  # 60,000 tokens are more than there is
    assert {row["method"] for row in report.rows} == {"raw", "masking"}
    assert all(len(row) == len(report.table[0]) for row in report.table)


@pytest.mark.slow
def test_a_killed_session_goes_on_with_the_same_bytes(tmp_path: Path) -> None:
    history = long_session.take_steps(SESSIONS, 30)
    assert sum(m["role"] == "assistant" for m in history) == 30 and history[-1]["role"] == "assistant"
    for name in ("peace", "killed"):
        (tmp_path / name).mkdir()
    peace, none = long_session.run_session(history, tmp_path / "peace")
    killed, times = long_session.run_session(history, tmp_path / "killed", kills=[4, 17])
    assert (len(peace), none) == (30, 0)
    assert times >= 1
    assert long_session.compare(peace, killed) == []


def test_a_difference_is_seen_and_a_torn_line_is_not_read(tmp_path: Path) -> None:
    views = tmp_path / "views"
    views.write_bytes(b"0 aa 3 0.5 100\n1 bb 3 0.5 100\n2 cc 3")
    steps = long_session.read_steps(views)
    assert [s.digest for s in steps] == ["aa", "bb"]
    assert views.read_bytes().endswith(b"100\n")
    other = [steps[0], long_session.Step(1, "xx", 3, 0.5, 100)]
    assert long_session.compare(steps, other) == [1]
    assert long_session.compare(steps, steps[:1]) == [1]


def test_sessions_are_joined_under_one_system_message() -> None:
    messages = join_sessions(SESSIONS)
    assert [m["role"] for m in messages].count("system") == 1
    assert isinstance(LONG, Recorded) and len(messages) == sum(len(s["messages"]) for s in SESSIONS) - 2
