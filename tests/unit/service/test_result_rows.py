"""Tool results without their calls: compressed each once, never fewer, the same bytes whenever they come again."""

from __future__ import annotations

import random
from typing import Any

import pytest

from compressor import Compressor
from compressor.service.result_rows import ResultRows, are_rows
from compressor.sessions import Policy
from support.client_tools import LOG, NEEDLE

QUESTION = {"role": "user", "content": "Which worker gave up?"}


def chat_row(number: int, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"c{number}", "content": text}


def parts_row(number: int, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"c{number}", "content": [{"type": "text", "text": text}]}


def anthropic_row(number: int, text: str) -> dict[str, Any]:
    result = {"type": "tool_result", "tool_use_id": f"t{number}", "content": text}
    return {"role": "user", "content": [result]}


def responses_row(number: int, text: str) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": f"f{number}", "output": text}


FORMS = [chat_row, parts_row, anthropic_row, responses_row]


def log_text(seed: int) -> str:
    chance = random.Random(seed)
    return "\n".join(f"10:{i % 60:02d} worker-{chance.randrange(9)} did {chance.random()}" for i in range(200))


def rows_of(compressor: Compressor) -> ResultRows:
    return ResultRows(compressor, Policy(), "gpt-4o")


@pytest.fixture
def compressor() -> Compressor:
    return Compressor(store="memory")


@pytest.mark.parametrize("form", FORMS)
def test_each_result_is_shorter_and_none_is_missing(compressor: Compressor, form: Any) -> None:
    given = [form(number, log_text(number)) for number in range(4)]
    assert are_rows(given)
    rows = rows_of(compressor)
    made = rows.compress(given)
    assert len(made) == len(given) and all(one.keys() == old.keys() for one, old in zip(made, given, strict=True))
    assert rows.count(made) < 0.8 * rows.count(given)


def test_the_line_that_stands_out_stays_and_the_original_is_behind_a_ref(compressor: Compressor) -> None:
    from compressor.context.refs import find_refs

    [made] = rows_of(compressor).compress([chat_row(1, LOG)])
    assert NEEDLE in made["content"]
    assert all(compressor.expand(ref) in LOG for ref in find_refs(made["content"]))


def test_a_row_has_the_same_bytes_whenever_it_comes_again(compressor: Compressor) -> None:
    given = [chat_row(number, log_text(number)) for number in range(5)]
    first = rows_of(compressor).compress(given[:1])
    for count in range(2, 6):  # what was held back before comes later: user messages too
        made = rows_of(compressor).compress([QUESTION, *given[:count]])
        assert made[0] is QUESTION and made[1 : len(first) + 1] == first
        first = made[1:]


def test_a_text_that_stands_in_an_earlier_row_is_a_note(compressor: Compressor) -> None:
    short = "\n".join(log_text(1).splitlines()[:20])
    made = rows_of(compressor).compress([chat_row(1, short), QUESTION, chat_row(2, short)])
    assert made[0]["content"] == short
    assert "c1" in made[2]["content"] and len(made[2]["content"]) < 100


def test_short_results_and_other_messages_stay(compressor: Compressor) -> None:
    given = [{"role": "system", "content": "Be brief."}, QUESTION, chat_row(1, "3 rows"), {**QUESTION, "content": LOG}]
    made = rows_of(compressor).compress(given)
    assert made == given


def test_what_a_tool_may_keep_is_obeyed(compressor: Compressor) -> None:
    from compressor import ToolRule

    policy = Policy(tools={"read_memory": ToolRule(never_compress=True), "*": ToolRule(max_tokens=300)})
    kept, cut = ResultRows(compressor, policy, "gpt-4o").compress(
        [{**chat_row(1, log_text(1)), "name": "read_memory"}, chat_row(2, log_text(2))]
    )
    assert kept["content"] == log_text(1) and len(cut["content"]) < 0.3 * len(log_text(2))


@pytest.mark.parametrize("form", FORMS)
def test_a_history_with_its_calls_is_not_taken_for_rows(form: Any) -> None:
    said = {"role": "assistant", "content": "I looked."}
    assert not are_rows([QUESTION, said, form(1, LOG)])
    assert not are_rows([QUESTION]) and not are_rows([{"role": "user", "content": LOG}])


def test_a_store_that_does_not_answer_changes_nothing() -> None:
    from compressor.errors import StoreError

    compressor = Compressor(store="memory")
    expected = rows_of(compressor).compress([chat_row(1, LOG)])

    class Away(type(compressor.store)):  # type: ignore[misc]
        def get(self, key: str) -> bytes:
            raise StoreError("away")

    assert rows_of(Compressor(store=Away())).compress([chat_row(1, LOG)]) == expected
