"""Images among texts: the words about an image are not repeats of the texts beside it, and its size is bounded."""

from __future__ import annotations

import numpy as np

from compressor.context.model import Kind
from compressor.pipeline.ranking import rank
from compressor.scoring import HeuristicScorer, Query, SourceBlock, UnitBatch
from compressor.text.layout_cache import cached_layout

WORDS = "Balance sheet of 2024"


def batch(*sources: tuple[Kind, str, float], available_tokens: float = 0.0) -> UnitBatch:
    """Each source is one unit: its kind, its text and its tokens."""
    blocks = []
    for kind, text, tokens in sources:
        layout = cached_layout(text, kind, "")
        assert len(layout.spans) == 1
        blocks.append(SourceBlock(kind, layout, np.array([tokens], np.float32)))
    return UnitBatch(blocks, available_tokens=available_tokens)


def test_the_text_beside_an_image_does_not_make_it_a_repeat() -> None:
    units = batch(("tool_result", WORDS, 8), ("image", WORDS, 1_000))
    assert rank(np.array([2, 1], np.float32), units).novelty.tolist() == [1.0, 1.0]


def test_an_image_with_the_words_of_another_is_a_repeat() -> None:
    units = batch(("image", WORDS, 1_000), ("image", WORDS, 1_000), ("tool_result", WORDS, 8))
    assert rank(np.array([2, 1, 3], np.float32), units).novelty.tolist() == [1.0, 0.0, 1.0]


def test_a_batch_knows_its_images() -> None:
    assert batch(("tool_result", WORDS, 8)).image_units is None
    images = batch(("tool_result", WORDS, 8), ("image", WORDS, 1_000)).image_units
    assert images is not None and images.tolist() == [False, True]


def test_an_image_is_worth_the_same_whatever_the_provider_bills() -> None:
    query = Query(((WORDS, 1.0),), question=WORDS)
    small, large = (
        HeuristicScorer().score(query, batch(("image", WORDS, tokens), ("tool_result", "Nothing else", 3)))[0]
        for tokens in (300, 3_000)
    )
    assert 0 < large <= small < 1.1 * large


def test_an_image_that_is_larger_than_the_reserved_share_leaves_it_to_texts() -> None:
    units = batch(("image", WORDS, 1_000), ("tool_result", WORDS, 8), ("tool_result", "Other words", 3))
    units.available_tokens, units.reserved_share = 100.0, 0.5
    units.matches = np.array([1.0, 0.9, 0.0], np.float32)
    assert rank(np.array([0.1, 0.0, 0.5], np.float32), units).order.tolist() == [1, 2, 0]
