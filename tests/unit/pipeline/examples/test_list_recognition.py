"""A list that was seen before is recognised; a list that was changed in place, anywhere, never is."""

from __future__ import annotations

import copy
from collections import OrderedDict
from typing import Any

import pytest

from compressor import Compressor
from compressor.pipeline.examples import example_set_cache
from compressor.pipeline.examples.example_set_cache import get_example_set
from support.labelled_examples import BANK
from support.property_tests import given, settings, st

C = Compressor(store="memory")
LEAVES = st.none() | st.booleans() | st.integers(-1, 2) | st.sampled_from([0.0, -0.0, 1.0]) | st.text(max_size=3)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
DIGEST = example_set_cache._digest_list


@settings(max_examples=150)
@given(st.lists(VALUES, max_size=4), st.lists(VALUES, max_size=4))
def test_digests_are_equal_for_equal_content_only(one: list[Any], other: list[Any]) -> None:
    assert DIGEST(one) == DIGEST(copy.deepcopy(one))
    assert (DIGEST(one) == DIGEST(other)) == (repr(one) == repr(other))  # repr tells 1, 1.0 and True apart


def test_the_digest_does_not_depend_on_which_objects_are_shared() -> None:
    word = "".join(["la", "bel"])  # not interned
    shared = [{"input": word, "output": word}] * 2
    apart = [{"input": "".join(["la", "bel"]), "output": "".join(["lab", "el"])} for _ in range(2)]
    assert DIGEST(shared) == DIGEST(apart) == DIGEST(tuple(apart))


@pytest.mark.parametrize("make", [list, tuple])
def test_a_list_seen_before_is_not_read_again(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bank = make(copy.deepcopy(BANK))
    first = C.select_examples(bank, "i lost my card", 60)
    monkeypatch.setattr(example_set_cache, "parse_example", None)
    again = C.select_examples(bank, "i lost my card", 60)
    assert again.text == first.text and all(a is bank[i] for a, i in zip(again.examples, again.indices, strict=True))
    twin = copy.deepcopy(bank)
    found = C.select_examples(twin, "i lost my card", 60)
    assert found.text == first.text and all(a is twin[i] for a, i in zip(found.examples, found.indices, strict=True))


def test_changes_in_place_are_seen_and_do_not_reach_the_old_set() -> None:
    bank: list[Any] = [[{"role": "user", "content": f"q {i}"}, {"role": "assistant", "content": "a"}] for i in range(9)]
    original = copy.deepcopy(bank)
    before = get_example_set(bank, None)
    bank[4][0]["content"] = "changed"
    assert C.select_examples(bank, "changed", 1_000).text.count("changed") == 1
    assert get_example_set(bank, None) is not before
    assert get_example_set(original, None) is before
    assert [example.given for example in before.examples] == original
    assert C.select_examples(original, "changed", 1_000).messages.count({"role": "user", "content": "q 4"}) == 1
    bank[4][0]["content"] = "q 4"
    assert get_example_set(bank, None) is before


def test_other_mappings_and_objects_work() -> None:
    class Text(str):
        __slots__ = ()

    bank = [OrderedDict(input=Text("a"), output="b"), OrderedDict(input="c", output="d")]
    assert get_example_set(bank, None) is get_example_set(copy.deepcopy(bank), None)
    bank[0]["output"] = "e"
    assert "a\nA: e" in C.select_examples(bank, "a", 100).text
    things = [object(), object()]
    assert get_example_set(things, str) is not get_example_set(things, str)
