"""Random requests over all routes, those of administrators included: no 500, and nothing of another tenant's.

COMPRESSOR_FUZZ_REQUESTS and COMPRESSOR_FUZZ_SEED make more, and others.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from support.client_tools import LOG
from support.route_fuzzing import RouteFuzzer
from support.service_tools import Service, error_of, history, two_tenants

MARKER = "PACEMAKER-4711"
COUNT = int(os.environ.get("COMPRESSOR_FUZZ_REQUESTS", "400"))
SEED = int(os.environ.get("COMPRESSOR_FUZZ_SEED", "1"))


def fill(service: Service, head: dict[str, str]) -> str:
    """A session and a ref of red's; returns the ref."""
    messages = history(f"{MARKER}\n{LOG}")
    body = {"messages": messages}
    assert service.http.post("/v1/sessions/s/append", json=body, headers=head).status_code == 200
    made = service.http.post("/v1/compress", json={"messages": messages, "budget": 900}, headers=head)
    return str(made.json()["refs"][0])


@pytest.mark.parametrize("who", ["ops", "blue"])
def test_no_request_breaks_the_service_or_reads_anothers_data(tmp_path: Path, who: str) -> None:
    keys, known = two_tenants()
    heads = {name: {"x-compressor-key": key} for name, key in keys.items()}
    with Service(store=str(tmp_path / "s.db"), key_store="database", log="error", **known) as service:
        ref = fill(service, heads["red"])
        described = service.http.get("/openapi.json", headers=heads["ops"]).json()
        ids = [key["id"] for key in service.http.get("/admin/v1/keys", headers=heads["ops"]).json()["keys"]]
        places = {"tenant": ["green", "blue"], "id": ["s", ids[0]], "ref": [ref]}
        if who == "blue":
            places["tenant"].append("red")
        seen: dict[int, int] = {}
        for request in RouteFuzzer(described, SEED, places).requests(COUNT):
            if request.method == "DELETE" and who == "ops" and "/keys/" in request.path:
                continue  # the keys are needed
            head = {**heads[who], "content-type": "application/json"}
            answer = service.http.request(request.method, request.path, content=request.body, headers=head)
            what = (request, answer.status_code, answer.text[:500])
            seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
            assert answer.status_code < 500, what
            assert MARKER not in answer.text and keys["red"] not in answer.text, what
            if answer.status_code >= 400 and request.method != "HEAD":
                assert error_of(answer), what
            if who == "blue" and request.template.startswith("/admin/"):
                assert answer.status_code in (400, 403, 404, 405, 422), what
            json.loads(answer.text or "null") if "json" in answer.headers.get("content-type", "") else None
            if answer.status_code == 429:  # a limit that the fuzzer has set, or guesses of refs
                reset: Any = service.gate._tenants.get(who)
                reset.rate_limiter._misses_left = 60
                for path in ("settings", "usage"):
                    service.http.delete(f"/admin/v1/tenants/{who}/{path}", headers=heads["ops"])
        assert service.http.get("/v1/sessions", headers=heads["red"]).status_code == 200
        assert len(seen) >= 3 and seen[200] > COUNT / 20, seen
        if who == "blue":
            assert MARKER in service.http.get(f"/v1/retrieve/{ref}", headers=heads["red"]).text
