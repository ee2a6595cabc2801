"""The request headers `x-compressor-...`: documented all, locked where a tenant says so, named if they do not exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from compressor.errors import CompressorError
from support.paths import ROOT

pytest.importorskip("fastapi")
pytest.importorskip("prometheus_client")

from compressor.service.option_headers import OPTION_HEADERS
from compressor.service.settings import Settings
from compressor.service.tenants import Tenants
from integration.service.test_proxy_modes import ask, is_cut, proxied, rounds
from support.service_tools import two_tenants


def test_the_documentation_has_every_header_as_the_code_has_it() -> None:
    text = Path(ROOT / "docs" / "service.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `x-compressor-([a-z-]+)` \| (.*?) \| (.*?) \| (.*?) \|$", text, re.MULTILINE)
    assert table == [(h.name, h.meaning, h.values, "yes" if h.is_override else "no") for h in OPTION_HEADERS]


def test_a_header_that_does_not_exist_is_named() -> None:
    with proxied() as (_, service):
        warning = ask(service, rounds(1), {"x-compressor-buget": "5"}).headers["x-compressor-warning"]
        assert warning == "unknown header x-compressor-buget"
        long = ask(service, rounds(1), {"x-compressor-" + "a" * 500: "5"}).headers["x-compressor-warning"]
        assert len(long) < 100
        made = service.http.post(
            "/v1/compress", json={"messages": rounds(1)}, headers={"x-compressor-buget": "5"}
        ).json()
        assert made["warnings"] == ["unknown header x-compressor-buget"]


@pytest.mark.parametrize(
    ("header", "value"), [("mode", "shadow"), ("fail-open", "perhaps"), ("max-added-latency", "0"), ("bypass", "si")]
)
def test_a_value_that_is_not_valid_is_named(header: str, value: str) -> None:
    name = f"x-compressor-{header}"
    with proxied() as (_, service):
        warning = ask(service, rounds(1), {name: value}).headers["x-compressor-warning"]
        assert warning.startswith(f"not compressed: invalid_option; {name} must be")
        service.gate.reconfigure(service.config.model_copy(update={"fail_open": False}))
        refused = ask(service, rounds(1), {name: value})
        assert refused.status_code == 400 and refused.json()["error"]["type"] == "invalid_option"


@pytest.mark.parametrize("allow", [False, ["budget"], []])
def test_an_operator_can_lock_the_overrides(allow: Any) -> None:
    with proxied(allow_overrides=allow) as (server, service):
        headers = {"x-compressor-bypass": "1", "x-compressor-mode": "off", "x-compressor-session": "mine"}
        answer = ask(service, rounds(1), headers)
        assert is_cut(server.requests[-1]) and answer.headers["x-compressor-session"] == "mine"
        notices = "x-compressor-bypass is not allowed here; x-compressor-mode is not allowed here"
        assert answer.headers["x-compressor-warning"] == notices
        small = ask(service, rounds(4, "x"), {"x-compressor-budget": "600"})
        assert (int(small.headers["x-compressor-tokens-after"]) <= 600) == (allow == ["budget"])


def test_each_tenant_has_its_own_lock() -> None:
    keys, settings = two_tenants()
    with proxied(tenants={"red": {"allow_overrides": False}}, **settings) as (server, service):
        for name in ("red", "blue"):
            ask(service, rounds(1), {"x-compressor-key": keys[name], "x-compressor-mode": "off"})
            assert is_cut(server.requests[-1]) == (name == "red")


def test_tenants_share_scorers_by_name_and_one_that_cannot_be_made_stops_the_start() -> None:
    _, settings = two_tenants()
    own = {"red": {"scorer": "fast"}, "blue": {"scorer": "pruner"}}
    with pytest.raises(CompressorError, match=r"^tenants\.blue\.scorer: unknown scorer 'nope'"):
        Tenants(Settings(store="memory", tenants={"blue": {"scorer": "nope"}}, **settings))
    with pytest.raises(CompressorError, match=r"^unknown scorer 'nope'"):
        Tenants(Settings(store="memory", scorer="nope"))
    try:
        tenants = Tenants(Settings(store="memory", tenants=own, **settings))
    except CompressorError as error:
        pytest.skip(f"the tier needs a package: {error}")
    red, blue, ops = (tenants.get(name) for name in ("red", "blue", "ops"))
    assert red.compressor.scorer is ops.compressor.scorer is not blue.compressor.scorer
    assert red.work_rate is ops.work_rate is not blue.work_rate
    tenants.reconfigure(Settings(store="memory", **settings))
    assert blue.compressor.scorer is red.compressor.scorer, "from the next request on"
    with pytest.raises(CompressorError, match="unknown scorer"):
        tenants.reconfigure(Settings(store="memory", tenants={"red": {"scorer": "nope"}}, **settings))
    assert red.config.scorer == "fast"
