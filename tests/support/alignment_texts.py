"""Made-up tool results in many formats; most of their words occur once, so that what was sent can be checked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Any

UNIQUE = re.compile(r"w\d+x\d+q", re.IGNORECASE)
_COMMON = "late box refund order stone".split()


def results(seed: int, rows: int) -> Iterator[tuple[str, str]]:
    """Yields the name of a format and a text of it."""
    random, numbers = Random(seed), count()

    def unique() -> str:
        return f"w{seed}x{next(numbers)}q"

    def words(most: int) -> str:
        return " ".join(unique() if random.random() < 0.5 else random.choice(_COMMON) for _ in range(most))

    records: list[dict[str, Any]] = []
    for _ in range(rows):
        record = {"id": unique(), "num": random.randint(1, 10**9), "ok": random.random() < 0.5, "status": "open"}
        sparse = {"extra": words(4)} if random.random() < 0.1 else {}
        records.append({**record, "note": words(random.randint(3, 9)), **sparse})
    nested = [
        {**one, "owner": {"mail": f"{unique()}@x.org", "id": unique()}, "tags": [unique(), unique()]} for one in records
    ]
    groups = [{"group": unique(), "items": [{"a": unique(), "c": "same"} for _ in range(6)]} for _ in range(rows // 2)]
    yield "json", json.dumps(records)
    yield "json indented", json.dumps({"meta": {"total": rows}, "rows": records}, indent=1)
    yield "json nested", json.dumps(nested)
    yield "json object", json.dumps({unique(): one for one in records})
    yield "json groups", json.dumps(groups)
    yield "json escapes", json.dumps([{**one, "name": 'é中"q\\ ' + unique()} for one in records])
    yield "json lines", "\n".join(map(json.dumps, records))
    yield "json in text", f"Result of the query:\n{json.dumps(records)}\n\nDone in 3 s."
    for name, delimiter in (("csv", ","), ("tsv", "\t")):
        lines = [("id", "num", "ok", "status", "note")] + [
            (one["id"], one["num"], one["ok"], "open", one["note"]) for one in records
        ]
        yield name, "\n".join(delimiter.join(map(str, cells)) for cells in lines)
    yield "yaml", "items:\n" + "\n".join(f"- id: {one['id']}\n  status: open\n  note: {one['note']}" for one in records)
    user = '  <user id="{id}"><status>open</status><note>{note}</note></user>'
    users = "\n".join(user.format(**one) for one in records)
    yield "xml", f"<users>\n{users}\n</users>"
    log = [
        f"2026-01-01 12:00:{i % 60:02} INFO  [main] - Established session {unique()} for client /10.1.1.{i % 200}"
        if i % 9
        else f"2026-01-01 12:00:{i % 60:02} ERROR [main] - {words(8)}"
        for i in range(rows)
    ]
    yield "log", "\n".join(log)
    yield "repeats", "\n".join(["Cloning test database ..."] * 40 + log + ["=" * 400] + [words(9) for _ in range(rows)])
    hunk = "diff --git a/{}.py b/f.py\n@@ -1,3 +1,3 @@\n def f(x):\n-    return {}\n+    return {}\n"
    yield "diff", "\n".join(hunk.format(unique(), words(4), words(5)) for _ in range(rows // 3))
    yield "grep", "\n".join(f"src/module{i % 9}/file{i % 31}.py:{i}:    {words(6)}" for i in range(rows))
    yield "prose", ". ".join(words(14).capitalize() for _ in range(rows))
    part = "## {}\n\n- {}\n- {}\n\n| a | b |\n|---|---|\n| {} | {} |"
    yield (
        "markdown",
        "\n\n".join(part.format(words(3), words(6), words(7), unique(), words(3)) for _ in range(rows // 4)),
    )
