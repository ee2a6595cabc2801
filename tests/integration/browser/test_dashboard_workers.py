"""The dashboard of several workers, which share a real Redis or one port."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.dashboard_tools import Visit, drive, original_of
from support.example_files import recorded
from support.redis_tools import RedisServer, free_port
from support.scripted_server import Reply, ScriptedServer
from support.service_tools import Service
from support.waiting import wait_for


@pytest.mark.slow
def test_dashboard_of_another_worker_knows_the_same_through_a_real_redis(browser: Any, tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis")
    try:
        with Service(store=redis.url) as one, Service(store=redis.url) as other:
            drive(one, "shared", recorded("coding"))
            one.gate._metrics.listeners[0].__self__.flush()  # type: ignore[attr-defined]
            assert other.http.get("/v1/stats").json()["tenant"] == "local"
            time.sleep(2.1)
            assert other.http.get("/v1/stats").json()["total"]["calls"] == 13
            with Visit(browser, other.url) as visit:
                visit.open()
                visit.page.locator("a.session", has_text="shared").click()
                assert original_of(visit.message(18)) == recorded("coding")[19]["content"]
            redis.stop()
            stats = other.http.get("/v1/stats").json()
            assert stats["total"]["calls"] == 13
            time.sleep(2.1)
            assert other.http.get("/v1/stats").json()["store"] == "unreachable"
    finally:
        redis.stop()


@pytest.mark.slow
def test_dashboard_of_several_processes_opens_what_only_one_of_them_knows(browser: Any, tmp_path: Path) -> None:
    port, coding = free_port(), recorded("coding")
    with ScriptedServer([Reply("Done.")] * 12, extends=None) as upstream:
        command = [sys.executable, "-m", "compressor.cli", "serve", "--port", str(port), "--workers", "2"]
        command += ["--upstream", upstream.url]
        env = {**os.environ, "COMPRESSOR_STORE": str(tmp_path / "shared.db")}
        with open(tmp_path / "log", "wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=env)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: answers(f"{url}/readyz"), 60)
            for i in range(6):  # as many connections, so that both have some
                first = {"role": "user", "content": f"Task {i}: {coding[1]['content']}"}
                body = {"model": "gpt-4o", "messages": [first, *coding[2:6]]}
                assert httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30).status_code == 200
            with Visit(browser, url, expected="status of 404") as visit:  # what only the other process knows
                visit.open()
                visit.page.locator("a.session").nth(5).wait_for(timeout=60_000)  # when both have written
                links = [link.get_attribute("href") for link in visit.page.locator("a.session").all()]
                for link in links:
                    visit.open(f"/{link}")
                    visit.page.locator(".message").first.wait_for()
                    visit.page.reload()
        finally:
            process.terminate()
            process.wait(60)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
