"""Makes tool calls and results for generated runs: tests, code, records, logs, searches, listings. Seeded."""

from __future__ import annotations

import json
import random
from typing import Any

from benchmarks.tokens import count

_MODULES = (
    "cart orders invoices shipping refunds stock prices users sessions mailer search audit exports webhooks".split()
)
_VERBS = "load save merge check parse build send retry apply close split render notify rank".split()
_NOUNS = "batch address total token header region coupon window ledger payload quota label stream margin".split()
_LEVELS = ("INFO", "INFO", "INFO", "DEBUG", "WARNING")


def tool_round(rng: random.Random, tokens: int, lines: list[str]) -> tuple[str, dict[str, Any], str]:
    """Returns the name and the arguments of a call, and a result of about `tokens` tokens.

    Args:
        rng: The source of chance.
        tokens: The size of the result.
        lines: Lines that the result must hold; they stand somewhere in its middle.
    """
    make = rng.choice((_log, _code, _search, _listing, _records))
    name, arguments, first = make(rng)
    body = [first]
    size = count(first)
    while size < tokens:
        body.append(make(rng)[2])
        size += count(body[-1])
    text = "\n".join(body).split("\n")
    for line in lines:
        text.insert(rng.randrange(len(text) // 4, max(len(text) // 4 + 1, 3 * len(text) // 4)), line)
    return name, arguments, "\n".join(text)


def pasted_log(rng: random.Random) -> str:
    """Returns a log as users paste it."""
    return "\n".join(["Here is what I see:", "```", *(_log(rng)[2] for _ in range(2)), "```"])


def passed_tests(rng: random.Random, name: str) -> str:
    """Returns the output of a test run in which everything passes, also the test of this name."""
    end = f"===== {rng.randrange(20, 90)} passed in 4.1s ====="
    return "\n".join([*_test_lines(rng, 12), f"{name} PASSED", "", end])


def failed_tests(rng: random.Random, name: str, assertion: str) -> str:
    """Returns the output of a test run in which one test fails."""
    path, _, test = name.partition("::")
    frame = [
        f"{name} FAILED",
        "",
        "=================================== FAILURES ===================================",
        f"_______ {test} _______",
        f"    def {test}(client):",
        f"        result = client.{rng.choice(_VERBS)}_{rng.choice(_NOUNS)}()",
        f">       {assertion.partition(': ')[2]}",
        f"E       {assertion}",
        "",
        f"{path}:{rng.randrange(20, 300)}: AssertionError",
        "=========================== short test summary info ============================",
        f"FAILED {name} - {assertion}",
        f"===== 1 failed, {rng.randrange(20, 90)} passed in 5.3s =====",
    ]
    return "\n".join([*_test_lines(rng, 25), *frame])


def _test_lines(rng: random.Random, number: int) -> list[str]:
    return [f"tests/test_{rng.choice(_MODULES)}.py::test_{_function(rng)} PASSED" for _ in range(number)]


def _function(rng: random.Random) -> str:
    return f"{rng.choice(_VERBS)}_{rng.choice(_NOUNS)}_{rng.randrange(100)}"


def _log(rng: random.Random) -> tuple[str, dict[str, Any], str]:
    module = rng.choice(_MODULES)
    rows = [
        f"2026-04-{rng.randrange(1, 29):02d}T{rng.randrange(24):02d}:{rng.randrange(60):02d}:{rng.randrange(60):02d}Z "
        f"{rng.choice(_LEVELS)} {module}.{rng.choice(_NOUNS)} {rng.choice(_VERBS)} took {rng.randrange(2, 900)} ms "
        f"{rng.randrange(16**8):08x}"
        for _ in range(8)
    ]
    return "shell", {"command": f"tail -n 200 logs/{module}-{rng.randrange(90)}.log"}, "\n".join(rows)


def _code(rng: random.Random) -> tuple[str, dict[str, Any], str]:
    path = f"src/{rng.choice(_MODULES)}/{rng.choice(_NOUNS)}_{rng.randrange(1000)}.py"
    function = _function(rng)
    field = rng.choice(_NOUNS)
    rows = [
        f"def {function}(self, {field}, limit={rng.randrange(5, 500)}):",
        f'    """{rng.choice(_VERBS).title()}s the {field} of a {rng.choice(_NOUNS)} and returns the rows."""',
        f"    rows = self.{rng.choice(_MODULES)}.{rng.choice(_VERBS)}({field}, limit)",
        f"    if len(rows) > {rng.randrange(2, 80)}:",
        f"        self.{rng.choice(_VERBS)}_{rng.choice(_NOUNS)}(rows[:limit])",
        f"    return sum(row.{field} for row in rows)",
        "",
    ]
    return "read_file", {"path": path}, "\n".join(rows)


def _search(rng: random.Random) -> tuple[str, dict[str, Any], str]:
    word = f"{rng.choice(_VERBS)}_{rng.choice(_NOUNS)}"
    rows = [
        f"src/{rng.choice(_MODULES)}/{rng.choice(_NOUNS)}.py:{rng.randrange(1, 800)}:"
        f"    self.{word}({rng.choice(_NOUNS)}, {rng.randrange(1000)})"
        for _ in range(6)
    ]
    return "grep", {"pattern": word, "glob": f"src/**/*{rng.randrange(100)}.py"}, "\n".join(rows)


def _listing(rng: random.Random) -> tuple[str, dict[str, Any], str]:
    rows = [
        f"-rw-r--r--  1 app app {rng.randrange(200, 90_000)} Apr {rng.randrange(1, 29):2d} "
        f"{rng.choice(_NOUNS)}_{rng.randrange(1000)}.py"
        for _ in range(8)
    ]
    return "shell", {"command": f"ls -l src/{rng.choice(_MODULES)}/{rng.randrange(100)}"}, "\n".join(rows)


def _records(rng: random.Random) -> tuple[str, dict[str, Any], str]:
    rows = [
        json.dumps(
            {
                "id": f"{rng.choice(_NOUNS)[:3].upper()}-{rng.randrange(10**5):05d}",
                "module": rng.choice(_MODULES),
                "amount": rng.randrange(10**5) / 100,
                "state": rng.choice(("open", "paid", "late", "void")),
            }
        )
        for _ in range(5)
    ]
    return "query", {"sql": f"select * from {rng.choice(_MODULES)} limit {rng.randrange(5, 900)}"}, "\n".join(rows)
