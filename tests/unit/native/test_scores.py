"""The kernels of scoring against their twins: contexts of many kinds of text get the same scores to the last bit."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from compressor.context.model import Kind
from compressor.native import load_kernel
from compressor.pipeline import ranking
from compressor.scoring import (
    HeuristicScorer,
    Query,
    SourceBlock,
    UnitBatch,
    heuristic,
    propagation,
    reuse_features,
    reuse_predictor,
    term_counts,
)
from compressor.text.segmenters import segment_text
from support.native_kernels import kernel_or_skip
from support.property_tests import assume, given, settings, st

KERNELS = ("relevance", "reuse_features")
USERS = (heuristic, propagation, reuse_features, reuse_predictor, term_counts)
for _name in KERNELS:
    kernel_or_skip(_name)

RANDOM = random.Random(5)
TABLE = json.dumps([{"order_id": f"#W{i:05}", "state": "late" if i == 7 else "sent", "n": i % 3} for i in range(30)])
LOG = "\n".join(
    f"2024-05-{i % 28 + 1:02} {'ERROR' if i % 9 == 0 else 'INFO'} job {RANDOM.randrange(9**9)} done" for i in range(40)
)
CODE = "\n\n".join(f"def test_{i}(a, b):\n    # a comment {i}\n    return a.path_{i} + b" for i in range(12))
LISTING = "\n".join(f"src/shop/{name}.py\ntests/test_{name}.py\ndocs/{name}.txt" for name in ("cart", "tax", "pay"))
PARTS = [
    TABLE, LOG, CODE, LISTING, "User: where is #W00007?\nAgent: it is late.\n" * 9, "a", "\n", "", "x" * 300, "0",
    "Die Rechnung wurde bezahlt. ", "配達は来週です。", "\U0001f600 ok", "\ud800", "١٢٣ ",
    "| a | b |\n|---|---|\n| 1 | x |\n",
    '{"total": 3, "items": {"name": "cart", "path": "src/shop/cart.py"}}', "# Head\n\nSome text, and more of it.\n\n",
    "Traceback (most recent call last):\n  File \"src/shop/tax.py\", line 3\nValueError: tax_rate is wrong\n",
]  # fmt: skip
CALL = '{"order_id": "#W00007", "path": "src/shop/tax.py"}'
KINDS: tuple[Kind, ...] = ("tool_result", "user", "assistant", "thinking", "document")

texts = st.lists(st.sampled_from(PARTS) | st.text(max_size=40), max_size=4).map("\n".join)
sources = st.lists(st.tuples(st.sampled_from(KINDS), texts, st.sampled_from(["", CALL, "find tax rate"])), max_size=6)
queries = st.lists(
    st.tuples(
        st.sampled_from(
            ["why is #W00007 late?", "fix the error in src/shop/tax.py", "Wo ist die Rechnung?", "納期は？", ""]
        )
        | st.text(max_size=30),
        st.sampled_from([1.0, 0.7, 0.4]),
    ),
    max_size=3,
)


def batch(found: list[tuple[Kind, str, str]]) -> UnitBatch:
    out = []
    for age, (kind, text, call) in enumerate(reversed(found)):
        layout = segment_text(text)
        costs = np.maximum(np.diff(layout.spans, axis=1)[:, 0] / 4, 1).astype(np.float32)
        out.append(SourceBlock(kind, layout, costs, call, age))
    return UnitBatch(out[::-1], available_tokens=200.0)


def outcome(query: Query, units: UnitBatch) -> dict[str, bytes]:
    scorer = HeuristicScorer()
    relevant, match = scorer.match(query, units)
    units.matches, units.reserved_share = None, 0.0
    scores = scorer.score(query, units)
    order = ranking.rank(scores, units)
    arrays = {
        "relevant": relevant, "unit": match.unit, "source": match.source, "written": match.written_by_agent,
        "tokens": reuse_features.token_features(units, match), "units": reuse_features.unit_features(units, match),
        "scores": scores, "matches": np.zeros(0) if units.matches is None else units.matches,
        "share": np.array(units.reserved_share), "order": order.order, "novelty": order.novelty,
    }  # fmt: skip
    return {name: array.dtype.str.encode() + array.tobytes() for name, array in arrays.items()}


@given(sources, queries, st.sampled_from(["why is #W00007 late?", "what failed?", ""]))
@settings(deadline=None)
def test_kernels_score_like_their_twins(
    found: list[tuple[Kind, str, str]], parts: list[tuple[str, float]], question: str
) -> None:
    query = Query(tuple(parts), (LISTING,), question)
    assume(len(batch(found)) > 0)
    native = outcome(query, batch(found))
    with pytest.MonkeyPatch.context() as patch:
        for user in USERS:
            patch.setattr(user, "_kernel", None)
        patch.setattr(ranking, "_find_novelty", ranking.find_novelty)
        patch.setattr(ranking, "_kernel", None)
        twin = outcome(query, batch(found))
    assert [name for name in native if native[name] != twin[name]] == []


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 6)), max_size=60))
def test_counts_are_the_same_in_any_order_of_matches(pairs: list[tuple[int, int]]) -> None:
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T.copy()
    counts = term_counts.TermCounts.count(rows, columns.astype(np.int32), 7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(term_counts, "_kernel", None)
        twin = term_counts.TermCounts.count(rows, columns.astype(np.int32), 7)
    for name in ("row", "column", "times", "found"):
        mine, other = getattr(counts, name), getattr(twin, name)
        assert mine.dtype == other.dtype and mine.tolist() == other.tolist()


@given(st.lists(st.tuples(st.integers(0, 99), st.integers(-1, 29)), min_size=30, max_size=30))
def test_ancestors_move_up_in_any_order(units: list[tuple[int, int]]) -> None:
    position, parents = np.array(units, np.int64).T.copy()
    found = ranking.propagate_to_ancestors(position, parents.astype(np.int32))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "_kernel", None)
        assert found.tolist() == ranking.propagate_to_ancestors(position, parents.astype(np.int32)).tolist()


def test_arrays_that_do_not_fit_are_refused() -> None:
    kernel = load_kernel("relevance")
    assert kernel is not None
    one, none = np.zeros(1, np.int32), np.zeros(0, np.int64)
    with pytest.raises(ValueError, match="no such term"):
        kernel.count_terms(np.zeros(1, np.int64), one + 3, one, one, np.zeros(1, np.int64), none)
    with pytest.raises(ValueError, match="no such unit"):
        kernel.find_novelty(np.zeros(1, np.int64), one + 1, one, np.zeros(1, np.uint8), np.zeros(6, np.float32))
