"""When a session of the service compacts: the service's own sizes, presets, and what a client asks for."""

from __future__ import annotations

from typing import Any

import pytest

from compressor import CompressorError
from compressor.sessions import Policy

pytest.importorskip("pydantic_settings")

from compressor.service.policy_options import change_policy, parse_size, read_headers
from compressor.service.settings import Settings

OWN = (("fraction", 0.85), ("fraction", 0.6))


def sizes(policy: Policy, has_budget: bool = False) -> Any:
    made = policy.sizes(has_budget)
    return made.trigger, made.target


def test_the_services_own_sizes_hold_unless_settings_ask_for_something_else() -> None:
    assert sizes(Settings().session_policy()) == sizes(Settings().session_policy(), True) == OWN
    assert sizes(Settings(policy={"ingest": False}).session_policy()) == OWN
    assert sizes(Settings(policy={"target": ["tokens", 9_000]}).session_policy()) == (OWN[0], ("tokens", 9_000))
    assert sizes(Settings(policy={"trigger": ["fraction", 0.5]}).session_policy())[0] == ("fraction", 0.5)
    asks: Any
    for asks in ({"preset": "frugal"}, {"preset": "balanced"}, {"preset": "faithful"}, {"trigger": "cost"}):
        assert sizes(Settings(policy=asks).session_policy()) == sizes(Policy(**asks)), asks


def test_a_client_changes_what_it_names() -> None:
    policy = Settings().session_policy()
    assert change_policy(policy, {}) is policy
    assert sizes(change_policy(policy, {"target": ["tokens", 4_000]})) == (OWN[0], ("tokens", 4_000))
    assert sizes(change_policy(policy, {"preset": "frugal"})) == sizes(Policy(preset="frugal"))
    assert sizes(change_policy(policy, {"trigger": "cost"})) == sizes(Policy())
    both = change_policy(policy, {"preset": "frugal", "target": ["tokens", 4_000]})
    assert sizes(both) == ("cost", ("tokens", 4_000))
    assert change_policy(policy, {"keep": ["tokens", 100]}).keep == ("tokens", 100)
    for wrong in ({"preset": "cheap"}, {"trigger": "soon"}, {"target": ["fraction", 0]}, {"ingest": False}):
        with pytest.raises(CompressorError):
            change_policy(policy, wrong)


def test_headers_are_read_as_sizes() -> None:
    given = {"preset": "frugal", "trigger": "85%", "target": "12000", "keep": "0.5"}
    assert read_headers(lambda name: given.get(name, "")) == {
        "preset": "frugal",
        "trigger": ["fraction", 0.85],
        "target": ["tokens", 12_000],
        "keep": ["fraction", 0.5],
    }
    assert read_headers(lambda name: "") == {}
    assert parse_size("trigger", "cost") == "cost" and parse_size("trigger", "1") == ["fraction", 1.0]
    for wrong in ("cost", "soon", "12k", "-"):
        with pytest.raises(CompressorError, match="x-compressor-target must be tokens"):
            parse_size("target", wrong)
