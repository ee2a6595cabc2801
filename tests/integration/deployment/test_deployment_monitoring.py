"""The Grafana dashboard's queries on a real Prometheus that watches a running service, and the alerts by promtool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.paths import ROOT
from support.redis_tools import free_port, missing
from support.scripted_server import Call, Fail, Reply, ScriptedServer
from support.service_tools import Service, history
from support.waiting import wait_for

pytestmark = pytest.mark.slow
DEPLOY = ROOT / "deploy"
PANELS: list[dict[str, Any]] = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())["panels"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel.get("targets", ())]
#: Panels that have nothing to show in the test: no limit, no key, and a store in memory that never fails.
MAY_BE_EMPTY = {"Store not available", "Requests over a limit", "Refused keys"}
TOOL = {"type": "function", "function": {"name": "read_log", "parameters": {"type": "object", "properties": {}}}}


def need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        missing(f"{program} is needed: apt-get install prometheus")
    return found


class Prometheus:
    """A Prometheus that scrapes one address every half second."""

    def __init__(self, folder: Path, target: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        scrape = {"job_name": "compressor", "static_configs": [{"targets": [target]}]}
        config = {"global": {"scrape_interval": "500ms"}, "scrape_configs": [scrape]}
        (folder / "prometheus.yml").write_text(json.dumps(config))
        command = [need("prometheus"), f"--config.file={folder / 'prometheus.yml'}"]
        command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(self._is_ready, 30)

    def _is_ready(self) -> bool:
        assert self._process.poll() is None
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression})
        body = answer.json()
        assert body["status"] == "success", (expression, body)
        result: list[dict[str, Any]] = body["data"]["result"]
        return result

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(20)


def settled(expression: str) -> str:
    """The query as Grafana sends it for all tenants and a range of a minute."""
    return expression.replace("$__rate_interval", "30s").replace("$__range", "1m").replace("$tenant", ".*")


@pytest.fixture
def provider() -> Iterator[ScriptedServer]:
    with ScriptedServer(extends=None) as running:
        yield running


@pytest.fixture
def watched(tmp_path: Path, provider: ScriptedServer) -> Iterator[tuple[Service, Prometheus]]:
    with Service(upstream=provider.url) as service:
        prometheus = Prometheus(tmp_path, service.url.removeprefix("http://"))
        try:
            yield service, prometheus
        finally:
            prometheus.close()


def make_traffic(service: Service, provider: ScriptedServer) -> None:
    """One of each: compressed, expanded, fallen back, refused, above its budget, a call of the API, the same again."""

    def expand(request: Any) -> Reply:
        from support.client_tools import ref_in

        return Reply(calls=[Call("expand_context", {"ref": ref_in(request)})])

    provider.script = [Reply("ok"), expand, Reply("ok"), Reply("ok"), Fail(404), Reply("ok"), Reply("ok")]
    body: dict[str, Any] = {"model": "gpt-4o", "messages": history(), "tools": [TOOL]}
    longer = [*history(), {"role": "assistant", "content": "ok"}, {"role": "user", "content": "And?"}]
    service.http.post("/v1/chat/completions", json=body)
    service.http.post("/v1/chat/completions", json={**body, "messages": longer})
    service.http.post("/v1/chat/completions", json=body, headers={"x-compressor-budget": "little"})
    service.http.post("/v1/chat/completions", json={**body, "messages": [{"role": "user", "content": "hi"}]})
    service.http.post("/v1/chat/completions", json=body | {"stream": True}, headers={"x-compressor-budget": "40"})
    for _ in range(2):
        service.http.post("/v1/compress", json={"messages": history(), "model": "gpt-4o", "budget": 900})
    service.http.post("/v1/compress", json={"messages": history(), "budget": 1})


def test_every_query_of_the_dashboard_has_an_answer(
    watched: tuple[Service, Prometheus], provider: ScriptedServer
) -> None:
    service, prometheus = watched
    make_traffic(service, provider)
    wait_for(lambda: prometheus.query("compressor_requests_total"))
    # A rate needs two values, and a counter that begins above zero has none before it.
    make_traffic(service, provider)
    assert not [one for one in provider.problems if "script is over" in one]
    counts = (
        "sum(increase(compressor_expansions_total[30s])) > 0 and sum(increase(compressor_fallbacks_total[30s])) > 0"
    )
    wait_for(lambda: prometheus.query(counts))
    for title, expression in QUERIES:
        found = prometheus.query(settled(expression))
        assert found or title in MAY_BE_EMPTY, (title, expression)
        assert all(one["value"][1] != "NaN" for one in found) or "histogram" in expression or title in MAY_BE_EMPTY


def test_the_metrics_of_dashboard_and_alerts_are_documented() -> None:
    documented = set(re.findall(r"`(compressor_[a-z_]+)`", (ROOT / "docs" / "observability.md").read_text()))
    used = " ".join(expression for _, expression in QUERIES) + (DEPLOY / "prometheus" / "alerts.yaml").read_text()
    names = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bcompressor_[a-z_]+", used)}
    assert len(names) > 10 and names <= documented


def test_the_dashboard_is_laid_out() -> None:
    ids = [panel["id"] for panel in PANELS]
    assert len(set(ids)) == len(ids) and len(QUERIES) > 20
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        place = panel["gridPos"]
        cells = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert not cells & taken and place["x"] + place["w"] <= 24
        taken |= cells


def test_the_alerts_fire_when_they_should() -> None:
    for command in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]):
        done = subprocess.run(
            [need("promtool"), *command], cwd=DEPLOY / "prometheus", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
