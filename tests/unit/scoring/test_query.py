"""The query of a context: what a person asked, whether the answer is still owed, and how much it counts."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.context.formats import detect_format
from compressor.context.model import Context
from compressor.scoring.query import MAX_PART_CHARS, REQUEST, build_query


def context(*messages: dict[str, Any]) -> Context:
    return detect_format(messages, None).parse(list(messages))


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def calls(count: int) -> list[dict[str, Any]]:
    """Rounds of an agent: a call and its result."""
    out: list[dict[str, Any]] = []
    for i in range(count):
        call = {"id": f"c{i}", "type": "function", "function": {"name": "read", "arguments": "{}"}}
        out.append({"role": "assistant", "content": None, "tool_calls": [call]})
        out.append({"role": "tool", "tool_call_id": f"c{i}", "content": "done"})
    return out


ASKS = (
    "Which host is down?", "what is the port of host-7", "Please list the open tickets", "Summarize the report.",
    "哪台主机停机了？", "أي مضيف متوقف؟", "Here is the log: find the first error", "Thanks. How long did it take",
)  # fmt: skip
REQUESTS = ("Go on, please.", "Fix it.", "Thank you, that is all.", "Now rename the class and run the tests.")


@pytest.mark.parametrize("text", ASKS)
def test_questions_count_in_full(text: str) -> None:
    query = build_query(context(user(text)), None, ())
    assert query.question == text and query.question_weight == 1


@pytest.mark.parametrize("text", REQUESTS)
def test_requests_count_less(text: str) -> None:
    assert build_query(context(user(text)), None, ()).question_weight == pytest.approx(REQUEST)


def test_the_callers_query_is_the_question() -> None:
    query = build_query(context(user("Which host is down?")), "the port", ("kept",), boosted_texts=(("more", 0.5),))
    assert query.question == "the port" and query.question_weight == 1
    assert query.parts == (("the port", 1.0), ("more", 0.5)) and query.retained_text == ("kept",)
    assert build_query(context(user("Which?")), "  ", ()).question == "Which?"


def test_the_question_counts_less_the_longer_an_agent_works() -> None:
    weights = [build_query(context(user("Which host?"), *calls(n)), None, ()).question_weight for n in range(3)]
    assert weights[0] == weights[1] > weights[2]


def test_after_some_rounds_a_question_is_a_task() -> None:
    query = build_query(context(user("Which host?"), *calls(3)), None, ())
    assert query.question == "" and ("Which host?", 1.0) in query.parts


def test_the_newest_message_asks() -> None:
    query = build_query(context(user("Mend the pump."), *calls(2), user("Which host?")), None, ())
    assert query.question == "Which host?"
    assert query.parts[0][0] == "Which host?" and query.parts[-1][0] == "Mend the pump."


def test_long_questions_are_cut_and_none_is_none() -> None:
    assert len(build_query(context(user("why? " * 5000)), None, ()).question) == MAX_PART_CHARS
    assert build_query(context({"role": "system", "content": "Be brief."}), None, ()).question == ""
