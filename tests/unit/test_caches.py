"""What the caches of a process hold stays below their limits, whatever is stored and asked for."""

from __future__ import annotations

import gc
import pickle
import sys
from typing import Any

import numpy as np
import pytest

from compressor.caches import TextMemo, TwoGenerationCache, held_bytes
from compressor.text.segmenters import segment_speech, segment_text
from compressor.text.segmenters.base import SegmentedText
from support.property_tests import given, st

LIMIT = 20_000
#: One call: what it does, the number of the text, and the kilobytes of the value.
CALLS = st.lists(st.tuples(st.sampled_from(["put", "replace", "get"]), st.integers(0, 30), st.integers(0, 22)))
ROWS = "".join(f"| {i} | name {i} | {i * 7919 % 1000} |\n" for i in range(40))
RECORDS = "".join(f"- id: {i}\n  name: item {i}\n  price: {i * 3.5}\n" for i in range(60))
OBJECTS = "[" + ",".join(f'{{"id": {i}, "name": "item {i}", "tags": ["a", "b{i}"]}}' for i in range(50)) + "]"
CODE = "class A:\n" + "".join(f"    def m{i}(self, x):\n        return x + {i}\n\n" for i in range(40))
TEXTS = {
    "prose": "One sentence stands here. Another one follows it. " * 30,
    "table": "| id | name | number |\n|---|---|---|\n" + ROWS,
    "csv": "id,name,number\n" + "".join(f"{i},name {i},{i * 37}\n" for i in range(80)),
    "records": RECORDS,
    "json": OBJECTS,
    "json object": f'{{"count": 50, "status": "ok", "items": {OBJECTS}}}',
    "json in text": f"Found these:\n```json\n{OBJECTS}\n```\nand these:\n```json\n{OBJECTS}\n```\n",
    "code": CODE,
    "log": "".join(f"2024-05-20 10:00:{i % 60:02d} INFO worker-{i}: done\n" for i in range(90)),
}


def really_held(*roots: object) -> int:
    """Returns the bytes of all objects that can be reached, without classes, functions and modules."""
    stack, seen, total = list(roots), set[int](), 0
    while stack:
        one = stack.pop()
        if id(one) in seen or isinstance(one, type(gc) | type | type(really_held) | type(len)):
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        if isinstance(one, np.ndarray) and one.base is not None:
            stack.append(one.base)
        stack += gc.get_referents(one)
    return total


def value_of(kind: int, kilobytes: int) -> Any:
    """Returns a new value: numbers, a view of a larger array, a text with an array."""
    if not kind % 3:
        return kilobytes
    array = np.zeros(kilobytes * 1000, np.uint8)
    return array[:1] if kind % 3 == 1 else ("x" * kilobytes * 100, array)


def entries(cache: TwoGenerationCache[Any]) -> list[Any]:
    return [*cache._young, *cache._young.values(), *cache._old, *cache._old.values()]


@given(CALLS)
def test_a_cache_holds_no_more_than_its_limit(calls: list[tuple[str, int, int]]) -> None:
    cache = TwoGenerationCache[Any](LIMIT)
    for what, number, kilobytes in calls:
        text = f"text {number}"
        if what == "get":
            cache.get(text)
        else:
            getattr(cache, what)(text, value_of(number, kilobytes))
        assert really_held(*entries(cache)) <= cache.size_bytes <= LIMIT


def test_what_is_used_again_keeps_its_weight() -> None:
    cache = TwoGenerationCache[Any](LIMIT)
    for i in range(200):
        cache.put(f"{i}", np.zeros(1000, np.uint8))
        for k in range(8):
            cache.get(f"{k}")
        assert really_held(*entries(cache)) <= LIMIT
    assert cache.get("199") is not None


def test_replace_stores_the_newest_value_and_put_the_first() -> None:
    cache = TwoGenerationCache[Any](LIMIT)
    cache.put("a", "first")
    cache.put("a", "second")
    assert cache.get("a") == "first"
    before = cache.size_bytes
    cache.replace("a", "third" * 100)
    assert cache.get("a") == "third" * 100
    assert before < cache.size_bytes < before + 1000
    cache.replace("a", "x" * LIMIT)
    assert cache.get("a") is None
    assert cache.size_bytes == 0


def test_a_text_larger_than_half_of_the_limit_is_remembered() -> None:
    cache, memo = TwoGenerationCache[int](LIMIT), TextMemo(len, max_bytes=LIMIT)
    large = "x" * (LIMIT * 3 // 4)
    for i in range(3):
        cache.put(large, 1)
        memo.put(large, 1)
        cache.put(f"{i}", 1)
        memo.put(f"{i}", 1)
        assert cache.get(large) == 1 == memo[large]
        assert cache.size_bytes <= LIMIT and memo.size_bytes <= LIMIT


def test_a_copy_of_a_cache_starts_empty() -> None:
    cache = TwoGenerationCache[int](LIMIT)
    cache.put("a", 1)
    copy = pickle.loads(pickle.dumps(cache))
    assert len(copy) == 0 == copy.size_bytes


@given(st.lists(st.integers(0, 60)))
def test_a_memo_holds_no_more_than_its_limit(numbers: list[int]) -> None:
    memo = TextMemo(len, max_bytes=LIMIT)
    for number in numbers:
        assert memo[f"{number:0500d}"] == 500
        assert really_held(*memo, *memo._old) <= memo.size_bytes <= LIMIT


def test_a_part_of_an_array_weighs_as_much_as_the_array() -> None:
    whole = np.zeros(10_000, np.uint8)
    assert held_bytes(whole[:1]) > held_bytes(whole) > 10_000
    assert held_bytes(("abc", whole, [1, 2])) > held_bytes(whole) + held_bytes("abc")


@pytest.mark.parametrize("name", TEXTS)
def test_a_layout_weighs_what_it_keeps(name: str) -> None:
    text = TEXTS[name]
    layouts: list[SegmentedText] = [segment_text(text, ""), segment_speech(text)]
    for layout in layouts:
        said = layout.size_bytes
        encode = getattr(layout, "encode_exactly", None)
        if encode is not None:
            encode()
        assert layout.size_bytes == said
        assert 0.8 * really_held(layout) <= said <= 4 * really_held(layout) + 8_000
