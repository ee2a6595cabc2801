"""The kernel `json_nodes` against its twin: generated values, of which some units are kept."""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest

from compressor.native import load_kernel
from compressor.text.segmenters import json_nodes
from compressor.text.segmenters.json import json_layout
from compressor.text.segmenters.json_nodes import Grid, Group, Leaf
from support.property_tests import given, settings, st

NATIVE = load_kernel("json_nodes")
if NATIVE is None and os.environ.get("COMPRESSOR_REQUIRE_MODELS") and os.environ.get("COMPRESSOR_NATIVE") != "0":
    raise RuntimeError("the kernel `json_nodes` is not built")
pytestmark = pytest.mark.skipif(NATIVE is None, reason="the kernel `json_nodes` is not built")

KEYS = ["id", "name", "total", "a.b", "", "é", "\ud800", "(key)", "columns", "note"]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 500),
    st.floats(allow_nan=False),
    st.sampled_from(["", "x", "id-7", '"', "\n", "(absent)", "…", "long " * 40, "Sentence. " * 60]),
    st.text(max_size=20),
)
records = st.fixed_dictionaries({"id": scalars, "name": scalars}, optional={"note": scalars, "b": scalars})
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=14),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=8),
        st.lists(records, max_size=8),
        st.dictionaries(st.sampled_from(KEYS), records, max_size=5),
        st.lists(st.lists(records, max_size=4), max_size=4),
        st.lists(st.fixed_dictionaries({"id": scalars}, optional={"n": inner}), max_size=5),
    ),
    max_leaves=40,
)


def written(layout: Any, keep: bytes, is_signed: bool) -> tuple[str | None, str | None]:
    arguments = layout._root, keep, layout._quote, is_signed
    assert json_nodes._writer is not None
    return json_nodes._writer.write(*arguments), json_nodes.write_node_slowly(*arguments)


@settings(max_examples=400, deadline=None)
@given(values, st.randoms(use_true_random=False), st.booleans())
def test_kernel_and_twin_agree(value: Any, rng: random.Random, is_signed: bool) -> None:
    layout = json_layout(json.dumps(value, ensure_ascii=False))
    if layout is None:
        return
    for share in (0.0, 0.2, 0.7, 1.0):
        keep = bytes(rng.random() < share for _ in range(len(layout.spans)))
        found, expected = written(layout, keep, is_signed)
        assert found == expected


def test_a_mask_that_is_too_short_is_an_error() -> None:
    layout = json_layout(json.dumps([{"id": i, "name": f"n{i}"} for i in range(8)]))
    assert layout is not None
    assert json_nodes._writer is not None
    for keep in (b"", b"\x01"):
        with pytest.raises((IndexError, ValueError)):
            json_nodes._writer.write(Leaf("", 0, 5, "x"), keep, str)
    with pytest.raises((IndexError, ValueError)):
        json_nodes._writer.write(layout._root, b"", str)


def test_a_table_whose_parts_do_not_match_is_an_error() -> None:
    assert json_nodes._writer is not None
    for cells, columns, bounds in ([["1"]], [["1"]], None), ([["1", "2"]], [["1"]], None), ([], [["1", "2"]], None):
        grid = Grid("", 0, 0, ['"a"'], [], [[0]], [[1, 2]], cells, columns, [("a",)], [(0,), (1,)], bounds, [""])
        with pytest.raises((IndexError, ValueError)):
            json_nodes._writer.write(grid, b"\x01\x01\x01", str)


def test_deep_values_are_an_error_not_a_crash() -> None:
    assert json_nodes._writer is not None
    node: Any = Leaf("", 0, 0, "1")
    for _ in range(200_000):
        node = Group("", 0, False, [node])
    with pytest.raises(RecursionError):
        json_nodes._writer.write(node, b"\x01", str)
    while isinstance(node, Group):  # so that it is not freed recursively
        node = node.children.pop()
