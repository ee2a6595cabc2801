"""The harness itself: it does without data, its baselines keep to the budget, and its ruler counts what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.baselines import bm25, bm25_lines, first_sentences, head_tail, mask_old, specific_lines, trouble_lines
from benchmarks.facts import bm25_rows
from benchmarks.methods import SessionMethod
from benchmarks.survival import measure
from benchmarks.tokens import Message, budget_for, count, total
from support.paths import ROOT

SESSION = json.loads((ROOT / "examples" / "data" / "airline_session.json").read_text(encoding="utf-8"))
PROBED = {**SESSION, "probes": [{"step": len(SESSION["messages"]), "atoms": SESSION["needed"]}]}


def test_without_data_it_says_so_and_succeeds(tmp_path: Path) -> None:
    env = {**os.environ, "COMPRESSOR_BENCH_DATA": str(tmp_path / "none")}
    command = [sys.executable, "-m", "benchmarks", "--only", "qa"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "no data" in done.stdout


@pytest.mark.parametrize("method", [mask_old, head_tail, bm25_lines, bm25_rows, specific_lines, trouble_lines])
@pytest.mark.parametrize("ratio", [2.0, 8.0])
def test_a_baseline_keeps_to_the_budget_and_to_tool_output(method: SessionMethod, ratio: float) -> None:
    messages: list[Message] = SESSION["messages"]
    budget = budget_for(messages, ratio)
    out = method(messages, budget, count)
    assert total(out) <= budget * 1.01
    assert [m for m in out if m["role"] != "tool"] == [m for m in messages if m["role"] != "tool"]


def test_survival_of_an_untouched_context_is_whole() -> None:
    tally = measure(lambda messages, budget, count: messages, [PROBED], 4.0)
    assert (tally.kept, tally.asked, tally.over) == (6, 6, 1)
    assert measure(lambda messages, budget, count: messages[:1], [PROBED], 4.0).kept == 0


def test_bm25_prefers_the_rare_word() -> None:
    scores = bm25("the red fox", ["the cat", "the fox", "the dog", "no"])
    assert max(range(4), key=lambda i: scores[i]) == 1
    assert scores[3] == 0


def test_first_sentences_go_round() -> None:
    docs = [{"title": "A", "text": "One is. Two is."}, {"title": "B", "text": "Three is. Four is."}]
    assert first_sentences("", docs, 16, count) == "A: One is.\nB: Three is."
