"""The gate in a Compressor: what pays is done, a wish may go unused, a hard budget holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from compressor import Compressor
from compressor.pipeline.cost_gate import Gate, Pace
from compressor.pipeline.engine import Engine
from compressor.scoring import BlendWeights, HeuristicScorer, ModelScorer, Query, UnitBatch
from compressor.scoring.base import Scores

TEXT = " ".join(f"Sentence number {i} tells of the river and of ship {i * 37}." for i in range(200))
MESSAGES: list[dict[str, Any]] = [
    {"role": "user", "content": "which ship?"},
    {
        "role": "assistant",
        "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "1", "content": TEXT},
]
CHEAP = Gate(price=1e-12, second_price=1.0)  # tokens cost next to nothing, seconds do


class Constant:
    name = "constant"

    def relevance(self, query: Query, units: UnitBatch, which: npt.NDArray[np.int64]) -> Scores:
        return np.zeros(len(which), np.float32)


@pytest.mark.parametrize("budget", [0.3, 300])
def test_without_a_gate_every_budget_is_kept(budget: float) -> None:
    result = Compressor(store="memory").compress(MESSAGES, budget=budget)
    assert result.tokens_after <= 0.3 * result.tokens_before + 300 and not result.warnings


def test_a_share_that_does_not_pay_goes_unused() -> None:
    compressor = Compressor(store="memory", gate=CHEAP)
    result = compressor.compress(MESSAGES, budget=0.3)
    assert result.messages == MESSAGES and result.tokens_after == result.tokens_before <= result.budget
    assert any("not worth it" in w for w in result.warnings)
    text = compressor.compress_text(TEXT, budget=0.3, query="ship 37")
    assert text.text == TEXT and text.tokens_after <= text.budget and any("not worth it" in w for w in text.warnings)
    documents = compressor.compress_documents([TEXT], budget=0.3, query="ship 37")
    assert documents.text == TEXT and not documents.dropped


def test_tokens_are_a_hard_budget_with_a_gate_too() -> None:
    result = Compressor(store="memory", gate=CHEAP).compress(MESSAGES, budget=300)
    assert result.tokens_after <= 300
    assert any("budget is hard" in w for w in result.warnings)


def test_what_pays_is_done_without_a_word() -> None:
    result = Compressor(store="memory", gate=Gate(price=2.5e-6)).compress(MESSAGES, budget=0.3)
    assert result.tokens_after <= 0.3 * result.tokens_before and not result.warnings


def test_a_dear_tier_gives_way_to_the_fast_one() -> None:
    pace = Pace({"slow": 10.0, "fast": 1e9})
    choice = Engine(ModelScorer("slow", Constant(), BlendWeights(0, 1)), Gate(prefill=1e-4), pace=pace)
    scorer, notes = choice.pick_scorer(20_000, 4_000, share=False)
    assert scorer is not None and scorer.name == "fast" and "slow" in notes[0]


def test_the_pace_is_learned_from_calls_after_the_first() -> None:
    pace = Pace({})
    compressor = Compressor(HeuristicScorer(), store="memory", gate=Gate(price=1.0))
    compressor._engine = Engine(HeuristicScorer(), Gate(price=1.0), pace=pace)
    compressor.compress_text(TEXT, budget=300)
    assert pace.seconds("fast", 1000) == 0
    compressor.compress_text(TEXT, budget=300)
    assert pace.seconds("fast", 1000) > 0


def test_a_frozen_prefix_counts_as_kept() -> None:
    messages = [*MESSAGES, {"role": "assistant", "content": "One moment."}, {"role": "user", "content": "And now?"}]
    history = [*messages, MESSAGES[1], MESSAGES[2]]
    gate = Gate(price=1e-3, cached=1.0, cached_price=0.1)
    result = Compressor(store="memory", gate=gate).compress(history, budget=0.7, mode="ingest")
    assert result.messages[:5] == history[:5]
