"""Sizes at which a session compacts, and what a compaction aims at."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor import CompressorError
from compressor.sessions import Policy
from compressor.sessions.policy_sizes import PRESETS, check_size, resolve_target, resolve_trigger


@pytest.mark.parametrize("value", [("fraction", 0.5), ("fraction", 1), ["tokens", 12_000], ("tokens", 1)])
def test_sizes(value: Any) -> None:
    assert check_size("target", value) == (value[0], value[1])


@pytest.mark.parametrize(
    "value",
    [
        *(None, 0.5, 12_000, "0.5", (), ("fraction",), ("fraction", 0), ("fraction", 1.1), ("fraction", True)),
        *(
            ("fraction", float("nan")),
            ("tokens", 0),
            ("tokens", 1.5),
            ("tokens", "9"),
            ("messages", 3),
            ("tokens", 1, 2),
        ),
    ],
)
def test_what_is_no_size(value: Any) -> None:
    with pytest.raises(CompressorError, match=r"Policy\.target"):
        check_size("target", value)


@pytest.mark.parametrize(
    "options", [{"target": ("tokens", 0)}, {"keep": None}, {"trigger": "price"}, {"preset": "cheap"}]
)
def test_policies_refuse_them(options: dict[str, Any]) -> None:
    with pytest.raises(CompressorError):
        Policy(**options)


sizes = st.one_of(
    st.tuples(st.just("fraction"), st.floats(0.01, 1)), st.tuples(st.just("tokens"), st.integers(1, 10**6))
)


@given(sizes, st.integers(1, 10**6), st.integers(0, 10**6))
def test_sizes_stay_within_the_budget(size: Any, limit: int, fixed: int) -> None:
    trigger, target = resolve_trigger(size, limit, fixed), resolve_target(size, limit, fixed)
    assert trigger <= limit
    if fixed < limit:
        assert fixed < target <= limit  # a large system prompt leaves some room


def test_a_budget_sets_the_sizes_and_a_policy_overrides_them() -> None:
    assert Policy().sizes(True).trigger == ("fraction", 1.0) and Policy().sizes(False).trigger == "cost"
    assert Policy(target=("tokens", 9_000)).sizes(True).target == ("tokens", 9_000)
    order = [PRESETS[name].target[1] for name in ("frugal", "balanced", "faithful")]
    assert order == sorted(order)
    assert Policy.from_dict({"trigger": ["fraction", 0.85]}).trigger == ("fraction", 0.85)
