"""Sends valid and invalid requests that schemathesis generates from the service's own OpenAPI description.

    python -m benchmarks --only service_fuzz [--limit BODIES]

One tenant sends them, for its own session and originals and for those of another tenant. No response may be a 500 or
contain text of the other tenant. It needs no data.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks.report import Report
from benchmarks.service_processes import Serve
from compressor.service.auth import new_key

BODIES = 10_000
CANARY = "kestrel-7731"  # only in the other tenant's data
BATCH = 250  # bodies per run of the generator


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures. RuntimeError for a 500, a leak, or a service that has died."""
    with tempfile.NamedTemporaryFile("w", suffix=".keys") as file:
        (mine, kept), (theirs, other) = new_key("red"), new_key("blue")
        file.write(f"{kept.line()}\n{other.line()}\n")
        file.flush()
        with Serve("--store", "memory", "--keys", file.name, env={"COMPRESSOR_LOG": "error"}) as service:
            known = [_furnish(service.url, mine, "heron", "own-1"), _furnish(service.url, theirs, CANARY, "import-42")]
            rows, memory = _fuzz(service, mine, known, limit or BODIES)
    head = ["operation", "requests", "2xx", "4xx", "503, 504", "500", "leaks"]
    table = [head]
    for row in rows:
        table.append([row["operation"], *(str(row[name]) for name in head[1:])])
    bad = sum(row["500"] + row["leaks"] for row in rows)
    if bad:
        raise RuntimeError(f"{bad} answers were a 500 or another tenant's: {[row['bad'] for row in rows]}")
    notes = [
        f"Half of the {sum(row['requests'] for row in rows):,} requests fit the OpenAPI, half do not. The service's "
        f"memory before, at half and after: {', '.join(f'{m:.0f} MB' for m in memory)}."
    ]
    return Report("service_fuzz", "The service under generated requests", notes, table, rows)


def _furnish(url: str, key: str, word: str, id: str) -> list[str]:
    """Creates a tenant's session and originals, with a given word; returns their ids."""
    import httpx

    with httpx.Client(base_url=url, headers={"x-compressor-key": key}, timeout=60) as http:
        log = "\n".join(
            f"12:00:{n % 60:02d} {word} worker {n} moved {n * 37} rows to shelf {n % 7}" for n in range(400)
        )
        call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
        messages = [
            {"role": "user", "content": f"Look for {word}."},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": log},
        ]
        made = http.post("/v1/compress", json={"messages": messages, "budget": 800}).raise_for_status().json()
        http.post(f"/v1/sessions/{id}/append", json={"messages": messages, "budget": 32_000}).raise_for_status()
        return [id, *made["refs"]]


def _fuzz(service: Serve, key: str, known: list[list[str]], bodies: int) -> tuple[list[dict[str, Any]], list[float]]:
    import requests
    import schemathesis
    from schemathesis.core.result import Ok

    session = requests.Session()
    session.headers["x-compressor-key"] = key
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json", headers={"x-compressor-key": key})
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    seen: dict[str, Counter[str]] = {operation.label: Counter() for operation in operations}
    worst: dict[str, str] = {}
    memory, sent = [service.memory()], 0
    halves = [bodies // 2, bodies]
    share = min(BATCH, max(5, bodies // (4 * len(operations))))
    for operation, fits in cycle((o, fits) for o in operations for fits in (True, False)):
        if sent >= bodies:
            break
        number = 0
        for case in _cases(operation, fits, min(share, bodies - sent)):
            number += 1
            if case.path_parameters and number % 3:  # the third: as it was generated
                ids = known[number % 3 - 1]
                case.path_parameters = {
                    n: ids[number % len(ids)] if n in ("id", "ref") else v for n, v in case.path_parameters.items()
                }
            answer = case.call(base_url=service.url, session=session, timeout=60)
            counts = seen[operation.label]
            counts["requests"] += 1
            status = answer.status_code
            counts["503, 504" if status in (503, 504) else "500" if status >= 500 else f"{status // 100}xx"] += 1
            if CANARY in answer.text:
                counts["leaks"] += 1
            if CANARY in answer.text or (status >= 500 and status not in (503, 504)):
                worst[operation.label] = json.dumps({"status": status, "body": repr(case.body)[:500]})
        sent += number
        if halves and sent >= halves[0]:
            memory.append(service.memory())
            halves.pop(0)
    names = ("requests", "2xx", "4xx", "503, 504", "500", "leaks")
    rows = [{"operation": n, **{k: c[k] for k in names}, "bad": worst.get(n, "")} for n, c in seen.items()]
    return rows, memory


def _cases(operation: Any, fits: bool, most: int) -> Iterator[Any]:
    """Returns requests of schemathesis for an operation, different ones each time."""
    from hypothesis import HealthCheck, Phase, Verbosity, given, settings
    from schemathesis import GenerationMode

    made: list[Any] = []
    mode = GenerationMode.POSITIVE if fits else GenerationMode.NEGATIVE

    @settings(
        max_examples=most,
        database=None,
        deadline=None,
        verbosity=Verbosity.quiet,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy(generation_mode=mode))
    def make(case: Any) -> None:
        made.append(case)

    try:
        make()
    except Exception as error:  # an operation without parameters has no invalid requests
        if not made and type(error).__name__ not in ("Unsatisfiable", "SkipTest", "InvalidSchema"):
            raise
    yield from made
