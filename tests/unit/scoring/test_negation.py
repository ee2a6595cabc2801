"""Questions that exclude a value: which ones are not as most are?"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

import pytest

from compressor import Compressor

COMPRESSOR = Compressor(store="memory")
ODD = {7: "stopped", 23: "failed"}
ROWS = [
    {"name": f"svc-{i:02d}", "owner": f"team{i % 5}", "state": ODD.get(i, "running"), "port": str(9000 + 7 * i)}
    for i in range(40)
]
NAMES = {ROWS[i]["name"] for i in ODD}


def as_csv(rows: list[dict[str, str]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def as_yaml(rows: list[dict[str, str]]) -> str:
    return "".join(f"- name: {r['name']}\n" + "".join(f"  {k}: {v}\n" for k, v in list(r.items())[1:]) for r in rows)


def as_log(rows: list[dict[str, str]]) -> str:
    return "".join(f"2026-05-01T10:00:{i:02d}Z {r['name']} {r['state']} on {r['port']}\n" for i, r in enumerate(rows))


FORMS: dict[str, Callable[[Any], str]] = {"json": json.dumps, "csv": as_csv, "yaml": as_yaml, "log": as_log}


def shown(text: str, question: str, share: float = 0.2) -> set[str]:
    cut = COMPRESSOR.compress_text(text, share, query=question).text
    return {name for name in (row["name"] for row in ROWS) if name in cut and _state(cut, name) != "running"}


def _state(cut: str, name: str) -> str:
    behind = cut[cut.index(name) :]
    return next((state for state in (*ODD.values(),) if state in behind.split("svc-")[1]), "running")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "question",
    [
        "Which services are not running?",
        "Are there services that aren't running?",
        "List every service whose state is other than running.",
        "Welche Dienste sind nicht running?",
    ],
)
def test_the_others_are_shown(form: str, question: str) -> None:
    assert shown(FORMS[form](ROWS), question) == NAMES


def test_a_stop_word_may_be_a_value() -> None:
    links = "\n".join(f"{i}: eth{i}: mtu {1500 + i} state {'DOWN' if i == 6 else 'UP'}" for i in range(1, 30))
    assert "eth6:" in COMPRESSOR.compress_text(links, 0.2, query="Which interface is not up?").text


def test_what_says_itself_that_it_is_not_is_an_answer() -> None:
    rows = [{**row, "state": "not running" if i in ODD else "running"} for i, row in enumerate(ROWS)]
    cut = COMPRESSOR.compress_text(as_csv(rows), 0.2, query="Which services are not running?").text
    assert cut.count("not running") == len(ODD)


@pytest.mark.parametrize("question", ["Do not list the running services.", "Which services are running?"])
def test_other_questions_exclude_nothing(question: str) -> None:
    text = as_csv(ROWS)
    with_word = COMPRESSOR.compress_text(text, 0.3, query=question or None).text
    assert with_word.count("running") > 3


def test_a_negation_that_no_column_has_changes_nothing() -> None:
    text = as_csv(ROWS)
    plain = COMPRESSOR.compress_text(text, 0.3, query="Why is svc-11 with port 9077 not answering?").text
    assert "svc-11" in plain and "9077" in plain
