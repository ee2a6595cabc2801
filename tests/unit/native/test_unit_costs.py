"""The kernel `unit_costs` against its twins: any text, offsets and spans."""

from __future__ import annotations

import os

import numpy as np
import pytest

from compressor.native import load_kernel
from compressor.pipeline.unit_costs import DENSITY, estimate_tokens
from support.property_tests import given, settings, st

NATIVE = load_kernel("unit_costs")
if NATIVE is None and os.environ.get("COMPRESSOR_REQUIRE_MODELS") and os.environ.get("COMPRESSOR_NATIVE") != "0":
    raise RuntimeError("the kernel `unit_costs` is not built")
pytestmark = pytest.mark.skipif(NATIVE is None, reason="the kernel `unit_costs` is not built")

TEXTS = st.text(max_size=200) | st.text(st.sampled_from("az 09.\n\xe9\xff\u0100\u65e5\ud800\U0001f600?"), max_size=200)


@settings(max_examples=300)
@given(TEXTS, st.data(), st.floats(0.001, 50))
def test_estimated_tokens_are_the_same(text: str, data: st.DataObject, rate: float) -> None:
    edges = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    spans = np.array(list(zip(edges[::2], edges[1::2], strict=False)), np.int32).reshape(-1, 2)
    out = np.empty(len(spans), np.float32)
    NATIVE.estimate_tokens(text, spans, DENSITY, rate, out)
    assert out.tolist() == estimate_tokens(text, spans, rate).tolist()


def test_wrong_arrays_raise() -> None:
    spans, out = np.array([[0, 1]], np.int32), np.empty(1, np.float32)
    with pytest.raises(ValueError, match="length"):
        NATIVE.estimate_tokens("ab", spans, DENSITY, 1.0, np.empty(2, np.float32))
    for wrong in ([[0, 9]], [[-1, 1]], [[1, 0]]):
        with pytest.raises(ValueError, match="in order"):
            NATIVE.estimate_tokens("ab", np.array(wrong, np.int32), DENSITY, 1.0, out)
