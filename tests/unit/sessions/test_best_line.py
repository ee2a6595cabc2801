"""The one line of a round that says most about it."""

from __future__ import annotations

import json

import pytest

from compressor.context.formats import detect_format
from compressor.scoring.bm25 import weighted_terms
from compressor.sessions.best_line import best_line
from support.cpu_time import cpu_time_below


def best(
    result: str, task: str = "", said: str | None = None, max_chars: int = 140, known: tuple[str, ...] = ()
) -> str:
    call = {"id": "c", "type": "function", "function": {"name": "run", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "Go."},
        {"role": "assistant", "content": said, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": result},
    ]
    turns = detect_format(messages).parse(messages).turns[1:]
    return best_line(turns, dict(weighted_terms(((task, 1.0),))), max_chars, known)


TICKS = "\n".join(f"INFO tick {k} of worker {k % 7} ok" for k in range(300))


@pytest.mark.parametrize(
    "line",
    [
        "ERROR disk full on node n7",
        "panic: runtime error: nil map",
        "FAILED tests/test_a.py::test_x",
        "错误: 数量为负 B099",
    ],
)
def test_an_error_wins_wherever_it_stands(line: str) -> None:
    for text in (f"{line}\n{TICKS}", f"{TICKS}\n{line}", f"{TICKS}\n{line}\n{TICKS}", f"{TICKS}\n" * 12 + line):
        assert best(text, "Which node is full?") == line


def test_without_an_error_the_words_of_the_task_win() -> None:
    text = f"{TICKS}\nThe copper is in hall 9.\nThe maple is in hall 4.\n{TICKS}"
    assert best(text, "Where is the copper?") == "The copper is in hall 9."


@pytest.mark.parametrize("text", ["", "ok", "saved", TICKS, "0 errors, 0 warnings", "[…cut ref 123456789012]"])
def test_the_usual_says_nothing(text: str) -> None:
    assert best(text) == "" or "0 errors" in text


def test_a_long_line_of_json_gives_a_whole_record() -> None:
    rows = [{"id": f"LH{k}", "to": "LIS", "price": 100 + k, "carrier": "Lufthansa"} for k in range(40)]
    rows[33]["note"] = "only seat with a cello"
    found = best(json.dumps({"flights": rows}), "A seat for my cello")
    assert json.loads(found)["id"] == "LH33"


def test_announcements_of_the_agent_do_not_hide_what_was_found() -> None:
    assert best("The copper is in hall 9.", "Where is the copper?", said="Bucket 0.") == "The copper is in hall 9."
    said = "The cause is the cache of the copper hall."
    assert best("ok", "Where is the copper?", said=said) == said


def test_long_lines_are_cut_around_the_error() -> None:
    found = best("a " * 600 + "ERROR disk full on n7 " + "b " * 600, max_chars=100)
    assert "ERROR disk full on n7" in found and len(found) <= 100
    assert best("ERROR one\nERROR two", known=("ERROR one",)) == "ERROR two"


def test_hostile_results_take_linear_time() -> None:
    with cpu_time_below(10):
        for part in ("a" * 400 + "\n", "a." * 200 + "\n", "a-" * 1_000 + "\n", "1.", "{},", '[{"a":1},', "error ", "@"):
            best(part * (1_000_000 // len(part)), "Where is the copper?")
