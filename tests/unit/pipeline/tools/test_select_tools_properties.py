"""What holds for every schema: whatever it allowed is still allowed, what is sent is valid, and the budget holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compressor import BudgetTooSmallError, Compressor
from compressor.pipeline.tools.schema_shrinking import shrink_variants
from compressor.pipeline.tools.tool import parse_function
from compressor.tokens import get_counter
from support.json_schemas import VALUES, roots
from support.property_tests import given, settings, st
from support.tool_schemas import schema_validator

ENGINE = Compressor(store="memory")


def _allows(schema: Any, value: Any) -> bool | None:
    """Whether a schema takes a value; None where the validator itself runs in a circle ({"$ref": "#"})."""
    try:
        return bool(schema_validator()(schema).is_valid(value))
    except RecursionError:
        return None


@st.composite
def _near(draw: Any, root: Any) -> Any:
    """Values that a schema is likely to take."""
    if draw(st.integers(0, 4)) == 0:
        return draw(VALUES)
    return _filled(draw, root, root, 4)


def _filled(draw: Any, schema: Any, root: Any, depth: int) -> Any:
    if not isinstance(schema, dict) or not depth:
        return draw(VALUES)
    if "enum" in schema:
        return draw(st.sampled_from(schema["enum"]))
    if ref := schema.get("$ref"):
        return _filled(draw, root if ref == "#" else root["$defs"][ref[-1]], root, depth - 1)
    for key in ("anyOf", "allOf", "oneOf"):
        if key in schema:
            return _filled(draw, draw(st.sampled_from(schema[key])), root, depth - 1)
    if schema.get("type") == "object":
        names = [n for n in schema["properties"] if n in schema.get("required", ()) or draw(st.booleans())]
        return {name: _filled(draw, schema["properties"][name], root, depth - 1) for name in names}
    if schema.get("type") == "array":
        return [_filled(draw, schema["items"], root, depth - 1) for _ in range(draw(st.integers(0, 1)))]
    kind = schema.get("type")
    known: dict[Any, Any] = {"string": "m", "integer": 1, "boolean": True}
    return known.get(kind, "n") if isinstance(kind, str) else draw(VALUES)


@settings(max_examples=60, deadline=None)
@given(st.data(), roots(), st.booleans())
def test_what_was_allowed_stays_allowed(data: Any, root: Any, strict: bool) -> None:
    schema_validator().check_schema(root)
    given_ = json.dumps(root)
    function = parse_function({"name": "f", "description": "Does it.", "parameters": root, "strict": strict}, 0)
    assert function is not None
    made = [form["parameters"] for form in shrink_variants(function, {"blue"})]
    assert json.dumps(root) == given_
    values = [data.draw(_near(root)) for _ in range(4)]
    for value in values:
        if _allows(root, value) is True:
            for schema in made:
                assert _allows(schema, value) is not False, (value, schema)
    for schema in made:
        schema_validator().check_schema(schema)
        assert set(root.get("required", ())) <= set(schema["properties"])
        assert schema.get("required") == root.get("required")
        if strict:
            assert set(schema["properties"]) == set(root["properties"])
            assert schema.get("additionalProperties") == root.get("additionalProperties")


@pytest.mark.moderate
@settings(max_examples=12, deadline=None)
@given(st.lists(roots(), min_size=1, max_size=5), st.integers(1, 900), st.sampled_from(["gpt-4o", "claude-sonnet-4-5"]))
def test_the_budget_holds_and_the_same_input_gives_the_same_bytes(found: Any, budget: int, model: str) -> None:
    tools = [{"name": f"f{i}", "description": "Does it.", "input_schema": root} for i, root in enumerate(found)]
    try:
        one = ENGINE.select_tools(tools, budget, query="blue", model=model)
    except BudgetTooSmallError as error:
        assert error.needed > budget
        return
    assert one.tokens_after == get_counter(model).count_tools(one.tools) <= max(budget, 0)
    assert one.tools
    two = Compressor(store="memory").select_tools(tools, budget, query="blue", model=model)
    assert json.dumps(one.tools) == json.dumps(two.tools)
    assert ENGINE.select_tools(one.tools, budget, query="blue", model=model).tools == one.tools
