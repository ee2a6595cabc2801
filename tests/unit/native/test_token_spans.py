"""The compiled counts of tokens in spans are those of the Python code."""

from __future__ import annotations

import os
from itertools import pairwise

import numpy as np
import pytest

from compressor.native import load_kernel
from compressor.pipeline.unit_costs import _DENSITY, estimate_spans
from compressor.tokens.openai_bpe import count_spans_of_ids, get_byte_pair_tokenizer
from compressor.tokens.quicktok_encoder import is_exact_for
from support.property_tests import given, settings, st

kernel = load_kernel("token_spans")
quicktok = get_byte_pair_tokenizer("cl100k_base")._quicktok
if (kernel is None or quicktok is None) and not os.environ.get("COMPRESSOR_REQUIRE_MODELS"):
    pytest.skip("the kernel is not built, or quicktok is not installed", allow_module_level=True)

cut_texts = st.tuples(
    st.text("aé…\n 7東🙂-", max_size=30) | st.text(max_size=20),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=5),
)


@settings(deadline=None)
@given(st.lists(cut_texts, min_size=1, max_size=4))
def test_kernel_and_twin_agree(cases: list[tuple[str, list[tuple[int, int]]]]) -> None:
    assert kernel is not None
    assert quicktok is not None
    texts = [text for text, _ in cases]
    if not all(map(is_exact_for, texts)):
        return
    spans = [
        np.array([sorted((min(a, len(t)), min(b, len(t)))) for a, b in cuts], np.int32).reshape(-1, 2)
        for t, cuts in cases
    ]
    ids = [quicktok.encode([text])[0] for text in texts]
    expected = count_spans_of_ids(texts, spans, ids, quicktok)
    found = kernel.count_spans(texts, spans, ids, quicktok.known_lengths)
    assert found is not None
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert one.tolist() == other.tolist()


def test_an_unknown_token_is_told() -> None:
    assert kernel is not None
    spans = [np.array([[0, 1]], np.int32)]
    lengths = np.array([1, 0], np.uint8)
    assert kernel.count_spans(["a"], spans, [np.array([1], np.uint32)], lengths) is None
    assert kernel.count_spans(["a"], spans, [np.array([2], np.uint32)], lengths) is None
    assert kernel.count_spans(["a"], spans, [np.array([0], np.uint32)], lengths)[0].tolist() == [1]


def test_a_span_outside_of_its_text_is_an_error() -> None:
    assert kernel is not None
    with pytest.raises(IndexError):
        kernel.count_spans(["a"], [np.array([[0, 2]], np.int32)], [np.array([0], np.uint32)], np.array([1], np.uint8))


@pytest.mark.parametrize("name", ["cl100k_base", "o200k_base"])
def test_the_lengths_of_all_tokens_are_read(name: str) -> None:
    found = get_byte_pair_tokenizer(name)._quicktok
    assert found is not None
    decode = found._encoding.decode_single_token_bytes
    assert all(length == len(decode(token)) for token, length in enumerate(found.known_lengths.tolist()) if length)
    assert np.count_nonzero(found.known_lengths) > 100_000


def test_a_damaged_vocabulary_is_read_as_far_as_it_goes() -> None:
    assert kernel is not None
    whole = b"\2\0\0\0" + b"\1\0a\1\0\0\0" + b"\2\0bc\0\0\0\0"
    assert kernel.read_lengths(whole, 2).tolist() == [2, 1]
    for end in range(len(whole)):
        assert kernel.read_lengths(whole[:end], 2).tolist() in ([0, 0], [0, 1])
    assert kernel.read_lengths(whole, 1).tolist() == [2]
    assert kernel.read_lengths(b"", 0).tolist() == []


@settings(deadline=None)
@given(st.text(st.characters(codec=None), max_size=60), st.lists(st.integers(0, 60), max_size=8), st.floats(0.01, 9))
def test_estimates_are_those_of_the_twin(text: str, cuts: list[int], factor: float) -> None:
    assert kernel is not None
    bounds = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    spans = np.array(list(pairwise(bounds)), np.int32).reshape(-1, 2)
    tokens = np.float32(factor)
    found, expected = kernel.estimate_spans(text, spans, _DENSITY, tokens), estimate_spans(text, spans, tokens)
    assert found.dtype == expected.dtype
    assert found.tobytes() == expected.tobytes()
