"""The choice of a prompt's worked examples: the same for dicts and LangChain's messages, and made once."""

from __future__ import annotations

from typing import Any

import pytest

from compressor import Compressor
from compressor.pipeline.prompt_examples import PromptExamples
from compressor.tokens import get_counter

WORDS = ("card", "loan", "fees", "phone", "pin", "address")
PROMPT = "You name the intent. Here are some examples:\n\n" + "\n".join(
    f"my {word} is gone, please help me with it -> lost_{word}" for word in WORDS
)
QUESTION = {"role": "user", "content": "where is my card ->"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/card.png"}}


def choose(compressor: Compressor, system: list[Any], messages: list[Any], state: Any = None) -> dict[str, Any]:
    examples = PromptExamples(compressor.engine, get_counter("gpt-4o"), 0.5, lambda: compressor.store)
    return examples.choose(system, messages, state or {})


@pytest.fixture
def compressor() -> Compressor:
    return Compressor(store="memory")


def test_dicts_and_langchain_messages_get_the_same_choice(compressor: Compressor) -> None:
    pytest.importorskip("langchain_core")
    from langchain_core.messages import convert_to_messages

    pairs = [({"role": "user", "content": f"Q: my {w}"}, {"role": "assistant", "content": f"A: {w}"}) for w in WORDS]
    shown = [message for pair in pairs for message in pair]
    system = {"role": "system", "content": "Answer as in the examples."}
    for front, messages in (
        ({"role": "system", "content": PROMPT}, [QUESTION]),
        (system, [*shown, {"role": "user", "content": "Q: my card"}]),
    ):
        plain = choose(compressor, [front], messages)
        made = choose(compressor, convert_to_messages([front]), convert_to_messages(messages))
        assert made == plain and plain["warnings"] and (plain["dropped"] or plain["contents"][0])


def test_a_choice_stays_until_the_examples_change(compressor: Compressor) -> None:
    system = [{"role": "system", "content": PROMPT}]
    state = choose(compressor, system, [QUESTION])
    longer = [QUESTION, {"role": "assistant", "content": "lost_card"}, {"role": "user", "content": "and the fees ->"}]
    assert choose(compressor, system, longer, state) == state
    assert "-> lost_card" in state["contents"][0] and len(state["contents"][0]) < len(PROMPT)
    changed = [{"role": "system", "content": PROMPT + "\nmy key is gone, please help me with it -> lost_key"}]
    assert choose(compressor, changed, longer, state)["digest"] != state["digest"]


def test_an_image_is_a_question_but_a_tool_result_is_not(compressor: Compressor) -> None:
    system = [{"role": "system", "content": PROMPT}]
    assert choose(compressor, system, [{"role": "user", "content": [IMAGE]}])["removed_tokens"] > 0
    result = {"type": "tool_result", "tool_use_id": "c1", "content": "gone"}
    use = {"type": "tool_use", "id": "c1", "name": "look", "input": {}}
    messages = [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    assert choose(compressor, system, messages)["removed_tokens"] == 0
