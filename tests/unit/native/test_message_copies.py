"""The compiled copies of messages are those of the Python code."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.context import message_copies
from compressor.context.message_copies import MAX_DEPTH, MAX_NODES, ModelCopy
from support.native_kernels import kernel_or_skip
from support.property_tests import given, settings, st

kernel = kernel_or_skip("message_copies")

leaves = (
    st.text(st.characters(codec=None), max_size=5)  # all planes, and lone surrogates
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.just(b"bytes")
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=2) | st.integers(), inner, max_size=4)
        | st.tuples(inner)
    ),
    max_leaves=12,
)


def twin_copy(value: Any) -> Any:
    sums = [MAX_NODES, 0]
    try:
        return message_copies._copy(value, MAX_DEPTH, sums), sums[1]
    except message_copies._NotCopiedError:
        return None


@settings(deadline=None)
@given(values, values)
def test_kernel_and_twin_agree(value: Any, other: Any) -> None:
    assert kernel is not None
    copied = kernel.copy_value(value, MAX_DEPTH, MAX_NODES, ModelCopy)
    assert repr(copied) == repr(twin_copy(value))
    if copied is None:
        return
    for one in (value, other, copied[0]):
        assert kernel.common_length([one], [copied[0]], ModelCopy) == message_copies._same(one, copied[0])
    assert message_copies._same(value, copied[0])


def test_deep_and_cyclic_values_are_not_copied() -> None:
    assert kernel is not None
    cycle: list[Any] = []
    cycle.append(cycle)
    wide: list[Any] = []
    for _ in range(MAX_DEPTH - 2):
        wide = [wide, wide]
    for value in (cycle, {"content": cycle}, wide):
        assert kernel.copy_value(value, MAX_DEPTH, MAX_NODES, ModelCopy) is None is twin_copy(value)


def test_models() -> None:
    assert kernel is not None
    pydantic = pytest.importorskip("pydantic")

    class Call(pydantic.BaseModel):  # type: ignore[misc,name-defined]
        model_config = pydantic.ConfigDict(extra="allow")
        name: str
        arguments: str | None = None

    call = Call(name="a", extra="b")
    message = {"content": "x", "tool_calls": [call]}
    copied = kernel.copy_value(message, MAX_DEPTH, MAX_NODES, ModelCopy)
    assert copied == twin_copy(message)
    assert kernel.common_length([message], [copied[0]], ModelCopy) == 1
    call.arguments = None  # it is set now, and would be sent
    assert kernel.common_length([message], [copied[0]], ModelCopy) == 0 == message_copies._same(message, copied[0])
