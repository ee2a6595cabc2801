"""Examples that are chat messages: lists, fine-tuning records, ShareGPT; tool calls of all providers; images."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from compressor import Compressor, ContextError, ExampleStore
from compressor.context.formats import detect_format
from compressor.pipeline.examples.example import parse_example
from compressor.pipeline.examples.example_messages import calls, join_messages, message_text, result_ids
from support.property_tests import given, settings, st

C = Compressor(store="memory")
CITIES = ("Rome", "Paris", "Oslo")


def user(text: Any) -> dict[str, Any]:
    return {"role": "user", "content": text}


def answer(text: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def openai_call(city: str, id: str = "c1") -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": f'{{"city": "{city}"}}'}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": id, "type": "function", "function": function}]}


def anthropic_call(city: str, id: str = "t1") -> dict[str, Any]:
    return answer([{"type": "tool_use", "id": id, "name": "get_weather", "input": {"city": city}}])


def anthropic_result(id: str = "t1") -> dict[str, Any]:
    return user([{"type": "tool_result", "tool_use_id": id, "content": "sunny"}])


def asked(city: str) -> dict[str, Any]:
    return user(f"weather in {city}?")


OPENAI_RESULT = {"role": "tool", "tool_call_id": "c1", "content": "sunny"}
RESPONSES_CALL = {"type": "function_call", "call_id": "k", "name": "get_weather", "arguments": "{}"}
SYSTEM = {"role": "system", "content": "You are a weather bot."}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
FORMS: dict[str, Any] = {
    "list": lambda city: [asked(city), answer(f"It rains in {city}.")],
    "tuple": lambda city: (asked(city), answer(f"It rains in {city}.")),
    "parts": lambda city: [user([{"type": "text", "text": f"weather in {city}?"}, IMAGE]), answer(city)],
    "record": lambda city: {"messages": [SYSTEM, asked(city), answer(city) | {"weight": 1}]},
    "sharegpt": lambda city: {
        "conversations": [{"from": "human", "value": f"weather in {city}?"}, {"from": "gpt", "value": city}]
    },
    "openai, open call": lambda city: [asked(city), openai_call(city)],
    "openai, call in a record": lambda city: {
        "messages": [asked(city), openai_call(city), OPENAI_RESULT, answer("Sunny.")],
        "tools": [],
    },
    "anthropic, open call": lambda city: [asked(city), anthropic_call(city)],
    "anthropic, call": lambda city: [asked(city), anthropic_call(city), anthropic_result(), answer("Sunny.")],
    "responses": lambda city: [
        asked(city),
        RESPONSES_CALL,
        {"type": "function_call_output", "call_id": "k", "output": "sunny"},
        answer([{"type": "output_text", "text": "Sunny."}]),
    ],
}


@pytest.mark.parametrize("form", FORMS)
def test_messages_of_every_form_are_chosen(form: str) -> None:
    bank = [FORMS[form](city) for city in CITIES]
    before = copy.deepcopy(bank)
    whole = C.select_examples(bank, "weather in Paris?", 100_000, model="gpt-4o")
    assert bank == before and len(whole.examples) == 3
    assert whole.examples[-1] is bank[1]
    assert_paired(whole.messages)
    detect_format(whole.messages, None).parse(whole.messages, None)
    one = C.select_examples(bank, "weather in Paris?", whole.tokens_after // 3 + 8, model="gpt-4o")
    assert one.indices == [1] and one.tokens_after <= one.budget
    store = ExampleStore("memory")
    store.add(bank)
    assert store.select("weather in Paris?", one.budget, model="gpt-4o").messages == one.messages


def assert_paired(messages: list[dict[str, Any]]) -> None:
    """Each call has one result after it, and no id is used twice."""
    made = [id for message in messages for id, _, _ in calls(message)]
    assert len(set(made)) == len(made)
    assert made == [id for message in messages for id in result_ids(message)]


def test_a_records_system_message_and_weights_are_not_sent() -> None:
    bank = [FORMS["record"](city) for city in CITIES]
    found = C.select_examples(bank, "weather in Oslo?", 1_000)
    assert found.messages == [m for i in found.indices for m in (asked(CITIES[i]), answer(CITIES[i]))]
    assert "weather bot" not in found.text


def test_images_are_counted_and_stay() -> None:
    plain = C.select_examples([FORMS["list"]("Rome")], "x", 10_000, model="gpt-4o")
    image = C.select_examples([FORMS["parts"]("Rome")], "x", 10_000, model="gpt-4o")
    assert image.tokens_after > plain.tokens_after + 80
    assert image.messages[0]["content"][1] == IMAGE and "[image]" in image.text


def test_reasoning_in_a_record_is_shortened() -> None:
    steps = " ".join(f"Step {i} adds {i} coins to the purse of Ann." for i in range(9))
    for wrap in (
        lambda q, a: {"messages": [SYSTEM, user(q), answer(a)]},
        lambda q, a: {
            "conversations": [
                {"from": "system", "value": "s"},
                {"from": "user", "value": q},
                {"from": "gpt", "value": a},
            ]
        },
        lambda q, a: (q, a),
    ):
        bank = [
            wrap(f"How many coins has {name}?", f"{steps} The answer is {n}.") for n, name in enumerate(("Ann", "Bo"))
        ]
        before = copy.deepcopy(bank)
        found = C.select_examples(bank, "How many coins has Bo?", 190, model="gpt-4o")
        assert found.shortened and bank == before
        shape = type(bank[0])
        assert all(type(example) is shape for example in found.examples)
        short = parse_example(found.examples[-1], 0)
        assert short.answer.endswith("The answer is 1.") and len(short.answer) < len(steps)
        assert short.question == "How many coins has Bo?"


def test_what_is_compared_and_what_is_the_label() -> None:
    example = parse_example({"messages": [SYSTEM, asked("Rome"), openai_call("Rome")]}, 0)
    assert example.question == "weather in Rome?" and example.label == "get_weather"
    assert example.answer == 'get_weather({"city": "Rome"})'
    assert parse_example([asked("Rome"), anthropic_call("Rome")], 0).answer == 'get_weather({"city": "Rome"})'
    assert message_text(anthropic_result()) == "sunny"
    assert parse_example(("cats", "cat"), 0).label == "cat"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([asked("Rome"), OPENAI_RESULT, answer("x")], "message 1 of the example is the result of the tool call 'c1'"),
        (
            [asked("Rome"), openai_call("Rome"), user("hm"), answer("x")],
            "'c1' in message 1 of the example has no result",
        ),
        ([user(4), answer("x")], 'the "content" of message 0 of the example must be a str or a list of parts, not int'),
        ([user("a"), {"role": "assistant"}], "message 1 of the example has neither content nor tool calls"),
        ([user("a")], "needs a user message and an assistant message"),
        ({"conversations": [{"from": "alien", "value": "x"}]}, "unknown \"from\": 'alien'"),
        ({"conversations": [{"from": "human", "value": 3}]}, 'the "value" of message 0'),
        ({"messages": "text"}, "its fields are 'messages'"),
        (["a", "b", "c"], "or two strings: input and output"),
        ([["a", 1]], "or two strings: input and output"),
    ],
)
def test_errors_name_the_example_and_say_how_to_mend_it(wrong: Any, message: str) -> None:
    with pytest.raises(ContextError, match=r"^example 1: ") as caught:
        C.select_examples([("good", "one"), wrong], "x", 100)
    assert message in str(caught.value) and caught.value.index == 1


@settings(max_examples=50)
@given(st.lists(st.lists(st.sampled_from(["a", "b", "a_2", "a_3"]), max_size=3, unique=True), max_size=6))
def test_joined_calls_never_share_an_id(ids: list[list[str]]) -> None:
    examples = [
        [m for id in some for m in (openai_call("Rome", id), {"role": "tool", "tool_call_id": id, "content": "x"})]
        for some in ids
    ]
    assert_paired(join_messages(examples))
