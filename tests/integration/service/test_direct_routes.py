"""The routes that are served without FastAPI answer exactly as FastAPI's do."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from compressor.service import direct_routes
from compressor.service.app import create_app
from compressor.service.settings import Settings

MESSAGES = [{"role": "user", "content": "Which lot did shard 77 belong to? " * 200}]
JSON = {"content-type": "application/json"}
ASKS: list[tuple[str, bytes, dict[str, str]]] = [
    ("/v1/compress", json.dumps({"messages": MESSAGES, "budget": 50_000, "model": "gpt-4o"}).encode(), JSON),
    ("/v1/compress", json.dumps({"messages": MESSAGES, "budget": 10, "model": "gpt-4o"}).encode(), JSON),
    ("/v1/compress", json.dumps({"messages": MESSAGES, "budget": "much"}).encode(), JSON),
    ("/v1/compress", json.dumps({"messages": MESSAGES * 40, "budget": 90_000}).encode(), JSON),
    ("/v1/compress", b"{", JSON),
    ("/v1/compress", b"[" * 100 + b"]" * 100, JSON),
    ("/v1/compress", b"", JSON),
    ("/v1/compress", b"{}", {"content-type": "text/plain"}),
    ("/v1/sessions/a/view", b"{}", JSON),
    ("/v1/sessions/a/append", json.dumps({"messages": MESSAGES, "index": 0}).encode(), JSON),
    ("/v1/sessions/a/append", json.dumps({"messages": MESSAGES, "index": 7}).encode(), JSON),
    ("/v1/sessions/a/append", json.dumps({"messages": MESSAGES, "index": "x"}).encode(), JSON),
    ("/v1/sessions/a/view", b"{}", {"content-type": "application/json; charset=utf-8"}),
    ("/v1/sessions/a/view", b"", {}),
    ("/v1/sessions/a/view", b'{"best_effort": 3}', JSON),
    ("/v1/sessions/a%2Fb/view", b"{}", JSON),
]


def answers(is_direct: bool) -> list[tuple[int, dict[str, str], Any]]:
    async def ask() -> list[tuple[int, dict[str, str], Any]]:
        app = create_app(Settings(store="memory", cache=False))
        if not is_direct:
            app._direct = None
        out = []
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
            for path, body, headers in ASKS:
                made = await client.post(path, content=body, headers={"x-request-id": "one", **headers})
                kept = {name: value for name, value in made.headers.items() if name != "x-compressor-request-id"}
                out.append((made.status_code, kept, made.json()))
        return out

    return asyncio.run(ask())


def test_both_ways_answer_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[bool] = []
    serve = direct_routes.DirectRoutes.serve

    async def note(self: direct_routes.DirectRoutes, *args: Any) -> bool:
        served.append(await serve(self, *args))
        return served[-1]

    monkeypatch.setattr(direct_routes.DirectRoutes, "serve", note)
    direct = answers(True)
    assert direct == answers(False)
    assert len(served) == len(ASKS) and served.count(True) == 7
    assert {status for status, *_ in direct} >= {200, 400, 404, 409, 422}
