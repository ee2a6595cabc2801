"""The best rows of many, against sorting all of them."""

from __future__ import annotations

import numpy as np
import pytest

from compressor.pipeline.examples.label_prior import LabelModel
from compressor.pipeline.examples.ngram_features import ngram_features
from compressor.pipeline.examples.ngram_index import NgramIndex
from compressor.pipeline.examples.ranking import SAMPLE_STEP, best_rows
from support.property_tests import given, st


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3_000),
    st.integers(1, 200),
    st.sampled_from([1, 3, 1_000_000]),
    st.sampled_from(["any", "mostly zero", "only sampled", "none sampled", "all equal"]),
)
def test_best_rows_are_those_of_a_sort(seed: int, size: int, count: int, distinct: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    values = (rng.integers(-1, distinct, size) / distinct).astype(np.float32)
    is_sampled = np.arange(size) % SAMPLE_STEP == 0
    if kind == "mostly zero":
        values[rng.random(size) < 0.9] = 0
    elif kind == "only sampled":  # the sample is larger than the rest
        values[~is_sampled] -= 2
    elif kind == "none sampled":
        values[is_sampled] -= 2
    elif kind == "all equal":
        values[:] = 0
    digests = rng.permutation(size)
    order = np.lexsort((digests, -values))
    assert best_rows(values, count, digests).tolist() == order[:count].tolist()
    turned = best_rows(values[::-1], count, digests[::-1])
    assert digests[::-1][turned].tolist() == digests[order[:count]].tolist()


@pytest.mark.parametrize("others", [0, 3_000])  # few n-grams of many are ranked, many of few are counted
def test_typicality_does_not_depend_on_other_classes(others: int) -> None:
    texts = ["lost my card", "my card is lost", "card lost today", ""]
    more = [f"{i * 7919:x} {i * 104729:x}" for i in range(others)]
    index = NgramIndex(ngram_features([*texts, *more]))
    rows = np.arange(4)
    sums, vectors = index.sum_vectors(rows)
    typical, length = index.typicality(rows)
    assert np.allclose(typical, vectors @ sums / np.linalg.norm(sums), atol=1e-6)
    assert length == pytest.approx(float(np.linalg.norm(sums)), abs=1e-5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_densities_are_sums_over_classes(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    codes = np.append(np.arange(classes), rng.integers(-1, classes, 20))
    model = LabelModel(NgramIndex(ngram_features([f"text {i}" for i in range(len(codes))])), _names(codes))
    cosines = rng.random(len(codes)).astype(np.float32)
    density, nearest = model.dense_signals(cosines)
    for code in range(classes):
        own = cosines[codes == code]
        assert density[code] == pytest.approx(np.log(np.exp(14.0 * own).sum() + 1e-6), rel=1e-5)
        assert nearest[code] == own.max()


def _names(codes: np.ndarray) -> list[str]:
    return ["" if code < 0 else f"class {code}" for code in codes.tolist()]
