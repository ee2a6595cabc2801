"""What the tests of the dashboard share: a service with recorded sessions, and a real Chromium."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from support.dashboard_tools import chromium, drive
from support.example_files import recorded
from support.scripted_server import Reply, ScriptedServer
from support.service_tools import Service


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service that has a recorded session behind it, one under a small budget, and proxied and single calls."""
    coding = recorded("coding")
    with ScriptedServer([Reply("Done.")] * 40, extends=None) as upstream, Service(upstream=upstream.url) as running:
        drive(running, "fix-timedelta", coding)
        for count in (4, 6, 8):
            body: dict[str, Any] = {"model": "gpt-4o", "messages": coding[:count]}
            assert running.http.post("/v1/chat/completions", json=body).status_code == 200
        body |= {"messages": coding, "budget": 3000}
        assert running.http.post("/v1/compress", json=body).status_code == 200
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as running:
        yield running
