"""The order of units: matches of the question first as far as their share goes, and forms of log lines by turns."""

from __future__ import annotations

import numpy as np
import pytest

from compressor.pipeline.ranking import MAX_RESERVED, TOP_FACTOR, _reserved_first, _template_novelty, rank
from compressor.scoring import UnitBatch
from support.property_tests import given, settings, st
from support.unit_batches import unit_batch

TEXT = "".join(f"- name: host-{i}\n  port: {7000 + i}\n" for i in range(10))


def batch(matches: list[float] | None, share: float, available: float) -> UnitBatch:
    units = unit_batch(TEXT, available_tokens=available)
    units.costs = np.ones(len(units), np.float32)
    units.matches = None if matches is None else np.array([*matches, *[0.0] * (len(units) - len(matches))], np.float32)
    units.reserved_share = share
    return units


def test_without_a_question_the_positions_stay() -> None:
    position = np.arange(20)[::-1].copy()
    assert (_reserved_first(position, batch(None, 0.5, 10)) == position).all()
    assert (_reserved_first(position, batch([1.0], 0.0, 10)) == position).all()


def test_matches_come_first_as_far_as_the_share_goes() -> None:
    units = batch([0.1, 0.5, 0.7, 0.3, 0.6], 0.3, 10)  # three tokens
    out = _reserved_first(np.arange(20)[::-1].copy(), units)
    assert np.argsort(out)[:3].tolist() == [2, 4, 1]
    assert np.argsort(out)[3] == 19  # the rest as before


def test_the_best_matches_may_take_more() -> None:
    units = batch([1.0, 0.95, 0.9, 0.85, 0.82, 0.81, 0.5, 0.4], 0.3, 10)
    first = np.argsort(_reserved_first(np.arange(20)[::-1].copy(), units))[:6].tolist()
    assert first[:5] == [0, 1, 2, 3, 4] and first[5] == 19
    assert pytest.approx(5.4) == TOP_FACTOR * 0.3 * 10


def test_never_all_of_the_budget() -> None:
    units = batch([1.0] * 20, 0.8, 10)
    first = np.argsort(_reserved_first(np.arange(20)[::-1].copy(), units))
    assert (_reserved_first(np.arange(20)[::-1].copy(), units) < 20).sum() == int(MAX_RESERVED * 10)
    assert set(first[: int(MAX_RESERVED * 10)].tolist()) == set(range(11, 20))  # of equals, those that were better


@settings(max_examples=60, deadline=None)
@given(
    matches=st.lists(st.floats(0, 1, width=32), min_size=20, max_size=20),
    share=st.floats(0.01, 1),
    available=st.floats(1, 40),
    seed=st.integers(0, 999),
)
def test_ranking_orders_every_unit_once(matches: list[float], share: float, available: float, seed: int) -> None:
    units = batch(matches, share, available)
    scores = np.random.default_rng(seed).random(20).astype(np.float32)
    order = rank(scores, units).order
    assert sorted(order.tolist()) == list(range(20))
    place = {int(u): i for i, u in enumerate(order)}
    assert all(p < 0 or place[int(p)] < place[i] for i, p in enumerate(units.parents))
    reserved = _reserved_first(np.arange(20), units) < 20
    spent = float(units.costs[reserved].sum())
    assert spent <= max(share, min(MAX_RESERVED, TOP_FACTOR * share)) * available + 1e-3
    assert not reserved[np.array(matches) <= 0].any()


def test_lines_of_one_form_count_less_and_less() -> None:
    templates = np.array([-1, 5, 5, 2, 5, -1, 2], np.int32)
    position = np.array([0, 3, 1, 2, 6, 5, 4], np.int64)
    assert _template_novelty(templates, position).tolist() == pytest.approx([1, 1 / 2, 1, 1, 1 / 3, 1, 1 / 2])


def test_each_form_of_a_log_comes_before_the_third_of_one() -> None:
    lines = [f"2024-05-06T10:00:{i:02d}Z INFO pool: connection {i}a7f handed out" for i in range(30)]
    lines[7] = "2024-05-06T10:00:07Z INFO leader moved to replica 3"
    lines[19] = "2024-05-06T10:00:19Z INFO index rebuilt with 4 shards"
    units = unit_batch("\n".join(lines) + "\n")
    order = rank(np.ones(len(units), np.float32), units).order.tolist()
    assert {7, 19} <= set(order[:4])
