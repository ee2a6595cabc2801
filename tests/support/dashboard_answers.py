"""Answers to a page's requests for figures, so that a test knows every number. They are given inside the browser."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOOLS = {
    "read_file": (900, 2_000_000, 440_000),
    "bash": (450, 1_000_000, 860_000),
    "<b>list</b>": (225, 500_000, 160_000),
}
MODELS = {"gpt-4o": (100, 2_500_000, 800_000), "claude-sonnet-4-5": (40, 900_000, 850_000)}


def breakdown(admin: bool = True, more_tools: int = 0) -> dict[str, Any]:
    """What `GET /v1/stats/breakdown` answers."""
    tools = {**TOOLS, **{f"mcp__server__tool_{i}": (1, 2000 - i, 1000 - i) for i in range(more_tools)}}
    made: dict[str, Any] = {
        "range": "1h",
        "tools": [
            {"name": name, "results": results, "tokens_before": before, "tokens_after": after, "expansions": 2}
            | {"saved_tokens": before - after, "saved_usd": (before - after) * 2.5e-6}
            for name, (results, before, after) in tools.items()
        ],
        "models": _by_calls(MODELS),
        "reasons": [
            {"reason": "timeout", "count": 12, "last": time.time() - 3 * 3600},
            {"reason": "budget_too_small", "count": 3, "last": time.time() - 60},
        ],
    }
    return made | ({"tenants": _by_calls({"red": (5, 1000, 400), "blue": (9, 90_000, 20_000)})} if admin else {})


def _by_calls(rows: dict[str, tuple[int, int, int]]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "calls": calls,
            "tokens_before": before,
            "tokens_after": after,
            "saved_usd": (before - after) / 1e6,
        }
        for name, (calls, before, after) in rows.items()
    ]


class Calls:
    """The calls that `GET /v1/stats/calls` knows; `requests` has the parameters of each request."""

    def __init__(self, workers: str = "all") -> None:
        self.rows: list[dict[str, Any]] = []
        self.requests: list[dict[str, list[str]]] = []
        self._workers = workers

    def add(self, **told: Any) -> None:
        """Adds a call, as the newest."""
        id = len(self.rows) + 1
        row = {"id": id, "time": time.time(), "kind": "conversation", "session": f"team/run-{id}", "model": "gpt-4o"}
        row |= {"tokens_before": 5000, "tokens_after": 2000, "saved_usd": 0.0075, "seconds": 0.012, "warnings": []}
        self.rows.append(row | told)

    def answer(self, url: str) -> dict[str, Any]:
        """What the route answers."""
        asked = parse_qs(urlsplit(url).query)
        self.requests.append(asked)
        after = int(asked.get("after", ["0"])[0])
        rows = [row for row in self.rows if row["id"] > after][-int(asked["limit"][0]) :]
        return {"calls": rows, "last": self.rows[-1]["id"] if self.rows else 0, "workers": self._workers}


def answer_figures(page: Any, figures: dict[str, Any] | None, calls: Calls | None) -> None:
    """Answers a page's requests; with None, as a service that does not know the route."""

    def answer(route: Any, made: Any) -> None:
        unknown = {"error": {"type": "not_found", "message": "Not Found"}}
        status, body = (404, unknown) if made is None else (200, made)
        route.fulfill(status=status, content_type="application/json", body=json.dumps(body))

    page.route("**/v1/stats/breakdown*", lambda route: answer(route, figures))
    page.route("**/v1/stats/calls*", lambda route: answer(route, calls and calls.answer(route.request.url)))
