"""Many texts are counted as each alone, in every encoding."""

from __future__ import annotations

import pytest

from compressor.tokens import get_counter
from compressor.tokens.base import Tokenizer
from compressor.tokens.openai_bpe import BytePairTokenizer
from support.property_tests import given, settings, st

ENDS = st.sampled_from(["\n", "\n\n", "", " \n", ".\n", "\r\n", "'\n", "\u2028"])
STARTS = st.sampled_from(["", "Q: ", "'s", "/", " ", "1", "日", "é", "\u0301", "²", "\ud800"])
TEXTS = st.lists(st.tuples(STARTS, st.text(max_size=8), ENDS).map("".join), max_size=12)


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4", "claude-sonnet-4-5"])
@settings(max_examples=80)
@given(texts=TEXTS)
def test_a_batch_is_counted_as_each_text_alone(model: str, texts: list[str]) -> None:
    counter = get_counter(model)
    assert counter.count_batch(texts) == [counter.count(text) for text in texts]


@pytest.fixture(scope="module")
def tiktoken_alone() -> Tokenizer:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COMPRESSOR_NATIVE", "0")
        return BytePairTokenizer("o200k_base")


@settings(max_examples=80)
@given(texts=TEXTS)
def test_tiktoken_encodes_lines_together(tiktoken_alone: Tokenizer, texts: list[str]) -> None:
    assert tiktoken_alone.count_batch(texts) == [tiktoken_alone.count(text) for text in texts]


@pytest.mark.parametrize("is_alone", [False, True])
def test_long_lists_are_counted_in_groups(is_alone: bool, tiktoken_alone: Tokenizer) -> None:
    counter = tiktoken_alone if is_alone else get_counter("gpt-4o")
    texts = [f"line {i} costs {i * i} euros\n" for i in range(9_000)]
    assert counter.count_batch(texts) == [counter.count(text) for text in texts]
