"""Measures the false alarms of redaction, and the made-up secrets that it finds: `python -m benchmarks.redaction`.

False alarms are placeholders in recorded agent sessions, which hold no secrets, and strings that agents used again
later (the atoms of `survival`) but that redaction removed. For the made-up secrets, each kind is written 200 times
into the same sessions' texts, in the usual places (plain text, JSON, JSON in JSON, an HTTP log). "Without a form" are
passwords in a sentence that nothing identifies as such: redaction cannot find them, and the number says so. The
results go to `results/redaction.json`.
"""

from __future__ import annotations

import json
import random
import string
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.data import folder, records
from compressor.text.redaction import count_redactions, redact, redact_json

FILES = ("tau_airline", "tau_retail", "swe_demos", "swe_lite")
EACH = 200
WORD = string.ascii_letters + string.digits
RESULT = Path(__file__).parent / "results" / "redaction.json"


def secrets(pick: random.Random) -> dict[str, Callable[[], str]]:
    """Returns functions that make secrets, by kind."""

    def random_text(size: int, letters: str = WORD) -> str:
        return "".join(pick.choices(letters, k=size))

    return {
        "aws_key": lambda: "AKIA" + random_text(16, string.ascii_uppercase + "234567"),
        "github_token": lambda: f"gh{pick.choice('pousr')}_{random_text(36)}",
        "slack_token": lambda: f"xoxb-{random_text(12, string.digits)}-{random_text(24)}",
        "stripe_key": lambda: f"sk_live_{random_text(24)}",
        "google_key": lambda: f"AIza{random_text(35, WORD + '-_')}",
        "api_key": lambda: f"sk-proj-{random_text(48, WORD + '-_')}",
        "jwt": lambda: f"eyJ{random_text(33)}.{random_text(80, WORD + '-_')}.{random_text(43, WORD + '-_')}",
        "private_key": lambda: (
            f"-----BEGIN PRIVATE KEY-----\n{random_text(64)}\n{random_text(64)}\n{random_text(20)}=="
            "\n-----END PRIVATE KEY-----"
        ),
        "password in a URL": lambda: f"postgres://app:{random_text(12)}@db.internal:5432/main",
        "bearer": lambda: f"Authorization: Bearer {random_text(40)}",
        "password=": lambda: f"DB_PASSWORD={random_text(14)}",
        "api_key:": lambda: f"api_key: '{random_text(32, '0123456789abcdef')}'",
        "without a form": lambda: f"the door code is {random_text(10)} tonight",
    }


PLACES: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "JSON": lambda text: json.dumps({"output": text, "id": 7}),
    "JSON in JSON": lambda text: json.dumps({"arguments": json.dumps({"text": text})}),
    "HTTP log": lambda text: f'10.0.0.1 - "GET /x?q=1" 200 ({text})',
}


def main() -> None:
    """Measures; without data it prints a message and succeeds."""
    data = folder()
    if data is None:
        print("Found no data, so nothing was measured. Set COMPRESSOR_BENCH_DATA.")
        return
    sessions = [session for name in FILES for session in records(data / "sessions" / f"{name}.jsonl.gz")]
    texts = [json.dumps(message, ensure_ascii=False) for session in sessions for message in session["messages"]]
    start = time.perf_counter()
    made = {level: [redact(text, level) for text in texts] for level in ("secrets", "all")}
    took = time.perf_counter() - start
    size = sum(map(len, texts))
    result: dict[str, Any] = {
        "sessions": len(sessions),
        "characters": size,
        "MB_per_s": round(2 * size / took / 1e6, 1),
    }
    result["marks"] = {level: dict(sum(map(count_redactions, out), Counter())) for level, out in made.items()}
    result["atoms"] = _atoms(sessions)
    result["found"] = _found(texts)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def _atoms(sessions: list[Any]) -> dict[str, int]:
    """Counts the strings that agents used again, and those still in the redacted session."""
    counts = {"asked": 0, "secrets": 0, "all": 0}
    for session in sessions:
        whole = json.dumps(session["messages"], ensure_ascii=False)
        there = {level: redact(whole, level) for level in ("secrets", "all")}
        for probe in session["probes"]:
            for atom in probe["atoms"]:
                escaped = json.dumps(atom["text"], ensure_ascii=False)[1:-1]
                if escaped in whole:
                    counts["asked"] += 1
                    for level, text in there.items():
                        counts[level] += escaped in text
    return counts


def _found(texts: list[str]) -> dict[str, dict[str, float]]:
    """Returns the fraction of each kind that is redacted, by place; JSON must stay JSON."""
    pick = random.Random(7)
    out: dict[str, dict[str, float]] = {}
    for kind, make in secrets(pick).items():
        out[kind] = {}
        for place, wrap in PLACES.items():
            redacted = 0
            for _ in range(EACH):
                front = json.loads(pick.choice(texts)).get("content") or "x"
                front = front[:400] if isinstance(front, str) else "x"
                secret = make()
                text = redact_json(wrap(f"{front}\n{secret}\nand on"))
                if "JSON" in place:
                    json.loads(text)
                core = max(secret.replace("\n", " ").replace("@", " ").replace("'", " ").split(), key=len).split(":")[
                    -1
                ]
                redacted += core.split("=")[-1] not in text
            out[kind][place] = round(redacted / EACH, 3)
    return out


if __name__ == "__main__":
    main()
