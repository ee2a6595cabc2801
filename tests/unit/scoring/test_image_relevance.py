"""How cosines of images and texts become matches, and what a match of an image is worth."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from compressor.errors import MissingDependencyError
from compressor.pipeline.ranking import rank
from compressor.scoring import HeuristicScorer, Query, SourceBlock, UnitBatch, image_relevance
from compressor.scoring.image_relevance import ImageRelevance, calibrate
from compressor.text.layout_cache import cached_layout
from support.property_tests import given, settings, st

NO_TEXTS = np.zeros((0, 8), np.float32)
NOT_OWN = np.zeros((0, 8), np.bool_)


def cosines(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def calibrate_alone(*values: float) -> list[float]:
    n = len(values)
    return list(calibrate(cosines(*values), NO_TEXTS[:, :n], NOT_OWN[:, :n], 100.0).tolist())


def test_equal_images_match_nothing() -> None:
    assert calibrate_alone(0.3, 0.3, 0.3, 0.3) == [0, 0, 0, 0]


def test_one_image_that_stands_out_matches_alone() -> None:
    found = calibrate_alone(0.2, 0.31, 0.21, 0.2)
    assert found[1] > 0.99 and found[0] == found[2] == found[3] == 0


def test_two_images_that_stand_out_both_match() -> None:
    found = calibrate_alone(*[0.2] * 6, 0.31, 0.31)
    assert found[6] == found[7] > 0.8 and max(found[:6]) == 0


def test_one_image_has_nothing_to_be_compared_with() -> None:
    assert calibrate_alone(0.3) == [0]


def test_an_image_near_to_every_text_is_not_preferred() -> None:
    contrast = np.array([[0.3, 0.2, 0.1], [0.3, 0.1, 0.2]], np.float32)
    found = calibrate(cosines(0.3, 0.25, 0.1), contrast, np.zeros((2, 3), np.bool_), 100.0)
    assert found.argmax() == 1


@settings(max_examples=80, deadline=None)
@given(
    values=st.lists(st.floats(-1, 1, width=32), min_size=2, max_size=12),
    texts=st.integers(0, 4),
    seed=st.integers(0, 999),
)
def test_matches_are_fractions_whatever_the_order_and_the_offset(values: list[float], texts: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = len(values)
    contrast = rng.uniform(-1, 1, (texts, n)).astype(np.float32)
    own = rng.random((texts, n)) < 0.3
    found = calibrate(cosines(*values), contrast, own, 100.0)
    assert found.dtype == np.float32 and np.isfinite(found).all() and 0 <= found.min() <= found.max() <= 1
    order = rng.permutation(n)
    moved = calibrate(cosines(*values)[order], contrast[:, order], own[:, order], 100.0)
    assert moved == pytest.approx(found[order], abs=1e-4)


def units_of(*sources: tuple[str, str, float, float]) -> UnitBatch:
    """Each source is one unit: "image" or "tool_result", its text, its tokens and its match."""
    return UnitBatch(
        [
            SourceBlock(
                "image" if kind == "image" else "tool_result",
                cached_layout(text, "image", ""),
                np.array([tokens], np.float32),
                match=match,
            )
            for kind, text, tokens, match in sources
        ],
        available_tokens=2_000,
    )


QUESTION = "Where is the blue lamp?"


def test_an_image_that_matches_by_its_pixels_is_worth_a_text_that_matches() -> None:
    query = Query(((QUESTION, 1.0),), question=QUESTION)
    units = units_of(
        ("image", "", 1_000, 1.0),
        ("image", "", 1_000, 0.0),
        ("text", "The blue lamp is on the table", 32, 0.0),
        ("text", "Ten chairs stand in the hall", 32, 0.0),
    )
    scores = HeuristicScorer().score(query, units)
    assert scores[0] >= 0.7 * scores[2] > scores[3] > scores[1] == 0
    assert units.matches is not None and units.matches[0] == 1.0
    assert set(rank(scores, units).order[:2].tolist()) == {0, 2}


def test_without_words_in_common_the_question_still_has_a_reserve() -> None:
    units = units_of(("image", "", 1_000, 1.0), ("text", "Ten chairs stand in the hall", 32, 0.0))
    HeuristicScorer().score(Query((("Lampe?", 1.0),), question="Lampe?"), units)
    assert units.matches is not None and units.matches.tolist() == [1, 0]
    assert units.reserved_share == 0.5


def test_texts_alone_score_as_before() -> None:
    query = Query(((QUESTION, 1.0),), question=QUESTION)
    units = units_of(("text", "The blue lamp is on the table", 32, 0.0), ("image", "The blue lamp", 900, 0.0))
    assert units.image_matches is None
    with_match = units_of(("text", "The blue lamp is on the table", 32, 0.0), ("image", "The blue lamp", 900, 0.1))
    before, after = HeuristicScorer().score(query, units), HeuristicScorer().score(query, with_match)
    assert before[0] == after[0] and before[1] == after[1]  # its words say more than its pixels


def test_the_extras_are_named_if_a_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(image_relevance, "find_spec", lambda name: None if name == "torch" else find(name))
    if find("PIL") is None:
        pytest.skip("Pillow is not installed")
    with pytest.raises(MissingDependencyError, match=r"agentic-compressor\[images,models\]"):
        ImageRelevance("org/name")
