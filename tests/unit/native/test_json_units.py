"""The kernel `json_units` against its twins: generated values of all kinds, tables above all."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from compressor.text.lossless.json_tables import ParsedJson, TableWriter, parse
from compressor.text.segmenters import json as segmenter
from compressor.text.segmenters import json_units, segment_text
from compressor.text.segmenters.json_nodes import Grid, Group, Node, Text
from support.native_kernels import kernel_or_skip
from support.property_tests import given, settings, st

NATIVE = kernel_or_skip("json_units")

SETTINGS: Any = json_units._settings
KEYS = ["id", "name", "total", "has_more", "status", "a.b", "", "é", "\ud800", "(key)", "columns", "rows", "error"]
WORDS = [
    "",
    "x",
    "a 1",
    "id-7",
    '"',
    "\n",
    "٣",
    "日本\u2028",
    "\ud83d",
    "ok",
    "(absent)",
    "long " * 40,
    "Sentence. " * 60,
]
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(),
    st.floats(),
    st.sampled_from(["1.10", "1e5", "-0", "123456789012345678901234567890", "NaN", "-Infinity"]).map(json.loads),
    st.sampled_from(WORDS),
    st.text(max_size=20),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=14),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=8),
        st.lists(st.fixed_dictionaries({"id": inner, "name": scalars}, optional={"note": inner}), max_size=5),
        st.dictionaries(st.sampled_from(KEYS), st.fixed_dictionaries({"a": inner, "b": scalars}), max_size=5),
        st.lists(st.fixed_dictionaries({"key": scalars, "Value": inner}), max_size=14),
        st.lists(st.lists(st.fixed_dictionaries({"id": inner, "q": scalars}), max_size=4), max_size=4),
    ),
    max_leaves=40,
)


def describe(node: Node) -> Any:
    """A node without the layouts of its long strings, which are never equal."""
    if isinstance(node, Text):
        return node.label, node.step, node.first, node.layout.text, node.layout.spans.tolist()
    if isinstance(node, Group):
        return node.label, node.step, node.is_object, [describe(child) for child in node.children]
    if isinstance(node, Grid):
        return [getattr(node, name) for name in Grid.__dataclass_fields__]
    return node


def units(builder: Any, value: Any) -> Any:
    root = builder.node(value, "", (), 0)
    flags = list(map(int, builder.flags))
    named = builder.column_names, builder.named_items
    return describe(root), builder.fragments, builder.parents, flags, builder.columns, *named


def check(text: str) -> None:
    parsed = parse(text)
    if parsed is None:
        return
    check_value(parsed)


def check_value(parsed: ParsedJson) -> None:
    for ascii_only in (False, True):
        writer = TableWriter(ascii_only, any_order=True)
        twin = json_units.JsonUnitBuilder(writer, segment_text)
        kernel = json_units._kernel.UnitBuilder(SETTINGS, writer, segment_text)  # type: ignore[union-attr]
        assert units(kernel, parsed.value) == units(twin, parsed.value)
        for name in ("fragments", "parents", "flags", "columns"):
            assert len(getattr(kernel, name)) == len(twin.parents)
        arguments = (twin.fragments, twin.parents, [int(flag) for flag in twin.flags], twin.columns)
        laid: Any = segmenter._layouts.lay_fragments(*arguments)  # type: ignore[union-attr]
        twins: Any = segmenter._lay_fragments(*arguments)
        for a, b in zip(laid, twins, strict=True):
            assert a.dtype == b.dtype
            assert a.shape == b.shape
            assert a.tolist() == b.tolist()


@settings(max_examples=300)
@given(values, st.sampled_from([None, 1]), st.booleans())
def test_values_have_the_units_of_the_twin(value: Any, indent: int | None, escaped: bool) -> None:
    check(json.dumps(value, indent=indent, ensure_ascii=escaped))


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(KEYS), values), max_size=6))
def test_objects_with_repeated_keys_have_the_units_of_the_twin(members: list[tuple[str, Any]]) -> None:
    check("{" + ",".join(f"{json.dumps(key)}:{json.dumps(value)}" for key, value in members) + "}")


def test_columns_of_ids_are_found_like_the_twin_does() -> None:
    rng = random.Random(3)
    parts = ['"', "a", "1", " ", "٣", "²", "\n", "\u2028", "-", "é"]
    for _ in range(4000):
        cells = ["".join(rng.choice(parts) for _ in range(rng.randrange(6))) for _ in range(3)]
        names = [rng.choice(['"x"', '["x"]', '"(key)"', '"(key)=x"']) for _ in range(2)]
        columns = [cells, cells[::-1]]
        sizes = [rng.choice([1.0, 48.0, 48.5]) for _ in range(2)]
        assert SETTINGS.tiers(names, columns, sizes) == json_units._tiers(names, columns, sizes)


@pytest.mark.parametrize("depth", [50, 99, 100, 101])
def test_deep_values_have_the_units_of_the_twin(depth: int) -> None:
    check("[" * depth + "]" * depth)
    check('{"a":' * depth + "1" + "}" * depth)
