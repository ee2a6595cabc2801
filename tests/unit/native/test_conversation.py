"""The kernel `conversation` against its twin: chats with any worths, costs, parents and lengths."""

from __future__ import annotations

import random

import numpy as np
import pytest

from compressor.pipeline.conversation_order import ConversationOrder, RemovableMessage
from support.native_kernels import kernel_or_skip
from support.property_tests import given, settings, st

NATIVE = kernel_or_skip("conversation")


@settings(max_examples=200)
@given(st.integers(0, 2**32), st.integers(0, 25), st.booleans())
def test_the_order_is_the_same(seed: int, count: int, coarse: bool) -> None:
    chance = random.Random(seed)
    messages: dict[int, RemovableMessage] = {}
    parents: list[int] = []
    for index in sorted(chance.sample(range(count * 2), count)):
        parents += [-1] * chance.randrange(3)  # units of blocks that are in no run
        first = len(parents)
        size = chance.choice((1, 1, 2, 3, 9, 30))
        parents += [chance.randrange(first - 1, first + i) if chance.random() < 0.3 else -1 for i in range(size)]
        parents = [p if p >= first or i < first else -1 for i, p in enumerate(parents)]
        role = chance.choice(("user", "assistant"))
        units = list(range(first, first + size))
        messages[index] = RemovableMessage(index, role, chance.randrange(3, 9), chance.random() < 0.3, units)
    n = len(parents)
    values = [chance.choice((0.0, 1.0, 2.0)) if coarse else chance.random() for _ in range(n)]
    standing = np.array(values, np.float64)
    costs = np.array(
        [chance.choice((0.25, 1.0, 12.0)) if coarse else chance.expovariate(0.1) for _ in range(n)], np.float32
    )
    above = np.array(parents, np.int32)
    order = ConversationOrder(messages, {})
    native = order.take_units(standing, costs, above)
    twin = order.take_units_in_python(standing, costs, above)
    assert [a.tolist() for a in native] == [a.tolist() for a in twin]


def test_wrong_arrays_raise() -> None:
    one = [(0, "user", 3.0, False, [0])]
    numbers, top = np.ones(1), np.array([-1], np.int32)
    constants = (24.0, 11.0, 0.6, (0.5, 0.3))
    cases = [
        (one, np.ones(2), top),
        ([(0, "user", 3.0, False, [5])], numbers, top),
        (one, numbers, np.array([4], np.int32)),
    ]
    for messages, costs, parents in cases:
        with pytest.raises((ValueError, IndexError)):
            NATIVE.take_units(messages, numbers, costs, parents, lambda place: False, constants)
