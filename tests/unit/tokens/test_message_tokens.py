"""Counts of whole requests: messages, tool calls, tool schemas and images, against what providers publish."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.context.model import Context, Image, TextSlot, Turn
from compressor.errors import ContextError
from compressor.tokens import get_counter

WEATHER = {
    "name": "get_current_weather",
    "description": "Get the current weather in a given location",
    "parameters": {
        "type": "object",
        "properties": {
            "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
            "unit": {
                "type": "string",
                "description": "The unit of temperature to return",
                "enum": ["celsius", "fahrenheit"],
            },
        },
        "required": ["location"],
    },
}
WEATHER_TOOL = {"type": "function", "function": WEATHER}
JARGON = [
    (
        "system",
        "",
        "You are a helpful, pattern-following assistant that translates corporate jargon into plain English.",
    ),
    ("system", "example_user", "New synergies will help drive top-line growth."),
    ("system", "example_assistant", "Things working well together will increase revenue."),
    (
        "system",
        "example_user",
        "Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage.",
    ),
    ("system", "example_assistant", "Let's talk later when we're less busy about how to do better."),
    ("user", "", "This late pivot means we don't have time to boil the ocean for the client deliverable."),
]
ASK = [
    ("system", "", "You are a helpful assistant that can answer to questions about the weather."),
    ("user", "", "What's the weather like in San Francisco?"),
]


def request_context(messages: list[tuple[str, str, str]], tools: list[Any] | None = None) -> Context:
    turns = [
        Turn(i, role, [TextSlot(i, ("content",), "user", text)], extras=(name,) if name else ())  # type: ignore[arg-type]
        for i, (role, name, text) in enumerate(messages)
    ]
    return Context(messages, turns, "openai", tools)


@pytest.mark.parametrize(
    ("model", "tokens"),
    [("gpt-3.5-turbo", 129), ("gpt-4-0613", 129), ("gpt-4", 129), ("gpt-4o", 124), ("gpt-4o-mini", 124)],
)
def test_cookbook_messages(model: str, tokens: int) -> None:
    """OpenAI cookbook, How to count tokens with tiktoken, section 6: as counted by the API."""
    assert get_counter(model).count_context(request_context(JARGON)) == tokens


@pytest.mark.parametrize(
    ("model", "tokens"), [("gpt-3.5-turbo", 105), ("gpt-4", 105), ("gpt-4o", 101), ("gpt-4o-mini", 101)]
)
@pytest.mark.parametrize("tool", [WEATHER_TOOL, WEATHER, {"type": "function", **WEATHER}])
def test_cookbook_tools(model: str, tokens: int, tool: dict[str, Any]) -> None:
    """The same, section 7. The Responses API writes the same schema without the inner object."""
    assert get_counter(model).count_context(request_context(ASK, [tool])) == tokens


def test_anthropic_tools() -> None:
    """Anthropic's token counting page counts 403 tokens for one small tool and one question."""
    tool = {
        "name": "get_weather",
        "description": "Get the current weather in a given location",
        "input_schema": {
            "type": "object",
            "properties": {"location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"}},
            "required": ["location"],
        },
    }
    asked = request_context([("user", "", "What's the weather like in San Francisco?")], [tool])
    assert 403 <= get_counter("claude-sonnet-4").count_context(asked) <= 403 * 1.2


def test_empty_context_costs_nothing() -> None:
    assert get_counter("gpt-4o").count_context(request_context([])) == 0
    assert get_counter("gpt-4o").count_tools(None) == get_counter("gpt-4o").count_tools([]) == 0


def test_a_context_is_its_parts() -> None:
    for model in ("gpt-4o", "gpt-5", "claude-opus-5", "unknown"):
        counter = get_counter(model)
        whole = request_context(JARGON, [WEATHER_TOOL])
        turns = sum(counter.count_turn(turn, "openai") for turn in whole.turns)
        assert counter.count_context(whole) == turns + 3 + counter.count_tools(whole.tools)


def test_tool_calls() -> None:
    counter = get_counter("gpt-4")
    arguments = '{"city": "Paris"}'
    one = Turn(0, "assistant", [TextSlot(0, ("a",), "tool_call", arguments)], call_ids=("1",), extras=("get_weather",))
    content = counter.count("assistant") + counter.count(arguments) + counter.count("get_weather")
    assert counter.count_turn(one, "openai") == 3 + content + 3
    old = Turn(0, "assistant", [TextSlot(0, ("a",), "tool_call", arguments)], extras=("get_weather",))
    assert counter.count_turn(old, "openai") == counter.count_turn(one, "openai")
    bare = Turn(0, "assistant", [], call_ids=("1",), extras=("get_weather",))
    assert counter.count_turn(bare, "openai") == 3 + 1 + 3 + counter.count("get_weather")
    two = Turn(0, "assistant", one.slots * 2, call_ids=("1", "2"), extras=("get_weather",) * 2)
    assert counter.count_turn(two, "openai") >= 2 * counter.count_turn(one, "openai") - counter.count("assistant")


def test_results_of_one_message_are_billed_as_messages() -> None:
    counter = get_counter("gpt-4o")
    one = Turn(0, "tool", [TextSlot(0, (0,), "tool_result", "42")], result_call_ids=("1",))
    both = Turn(
        0,
        "tool",
        [TextSlot(0, (0,), "tool_result", "42"), TextSlot(0, (1,), "tool_result", "42")],
        result_call_ids=("1", "2"),
    )
    assert counter.count_turn(both, "anthropic") == 2 * counter.count_turn(one, "openai")


# --- schemas


def test_nested_schemas_cost_at_least_their_json() -> None:
    counter = get_counter("gpt-4o")
    inner = {"type": "object", "properties": {"deep": {"type": "array", "items": {"type": "integer", "minimum": 3}}}}
    rest = '{"properties":{"deep":{"type":"array","items":{"type":"integer","minimum":3}}}}'
    flat = {"name": "f", "parameters": {"type": "object", "properties": {"x": {"type": "object"}}}}
    nested = {"name": "f", "parameters": {"type": "object", "properties": {"x": inner}}}
    assert counter.count_tools([nested]) == counter.count_tools([flat]) + counter.count(rest)
    more = {"name": "f", "parameters": {**nested["parameters"], "$defs": {"A": inner}}}  # type: ignore[dict-item]
    assert counter.count_tools([more]) > counter.count_tools([nested])
    assert counter.count_tools([{"type": "web_search", "size": "low"}]) > 10


class Tool:
    """The weather tool as a LangChain tool has it."""

    name = "get_current_weather"
    description = WEATHER["description"]
    args: Any = WEATHER["parameters"]["properties"]  # type: ignore[index]


def get_current_weather(location: str) -> str:
    """Get the current weather in a given location"""
    return location


def test_tools_that_are_objects() -> None:
    counter = get_counter("gpt-4o")
    assert counter.count_tools([Tool()]) == counter.count_tools([WEATHER_TOOL])
    assert 0 < counter.count_tools([get_current_weather]) < counter.count_tools([WEATHER_TOOL])
    assert counter.count_tools([object()]) > 0


@pytest.mark.moderate
@pytest.mark.parametrize("model", ["gpt-4o", "gpt-4", "claude-3-opus", "qwen3"])
def test_odd_schemas(model: str) -> None:
    counter = get_counter(model)
    odd: list[Any] = [
        {},
        {"name": 3},
        {"name": "f", "parameters": None},
        {"name": "f", "parameters": {"properties": {"a": True, "b": {"type": ["string", "null"], "enum": [1, None]}}}},
        {"name": "f", "parameters": {"properties": []}, "description": None},
        {"function": "x"},
        {"name": "f\ud800", "parameters": {(1, 2): 3}},
    ]
    for tool in odd:
        assert counter.count_tools([tool]) > 0
    cyclic: dict[str, Any] = {"type": "object"}
    cyclic["items"] = cyclic
    deep: Any = {}
    for _ in range(100_000):
        deep = {"items": deep}
    for schema in (cyclic, deep):
        with pytest.raises(ContextError, match="cyclic or nested too deeply"):
            counter.count_tools([{"name": "f", "parameters": {"type": "object", "properties": {"x": schema}}}])
    while deep:  # taken apart by hand: the interpreter would do it by recursion
        deep = deep["items"]


# --- images


@pytest.mark.parametrize(
    ("model", "width", "height", "detail", "tokens"),
    [
        # OpenAI, Images and vision, calculating costs: the examples of the page
        ("gpt-4o", 1024, 1024, "high", 765),
        ("gpt-4o", 2048, 4096, "high", 1105),
        ("gpt-4o", 4096, 8192, "low", 85),
        ("gpt-4o", 512, 512, "auto", 255),
        ("gpt-4o-mini", 512, 512, "high", 2833 + 5667),
        ("gpt-4.1", 1024, 1024, "high", 765),
        ("gpt-5", 1024, 1024, "high", 70 + 4 * 140),
        ("o3", 1024, 1024, "high", 75 + 4 * 150),
        ("gpt-4.1-mini", 1024, 1024, "high", 1659),  # 1024 patches * 1.62
        ("gpt-4.1-mini", 1800, 2400, "high", 4977),  # fitted into 2048 pixels: 48 * 64 patches * 1.62
        ("gpt-4.1-mini", 1800, 2400, "low", 4977),  # the same limits in every detail
        ("gpt-4.1-nano", 1024, 1024, "high", 2520),
        ("o4-mini", 1024, 1024, "high", 1762),
        ("gpt-5-nano", 1800, 2400, "auto", 2178),  # 33 * 44 patches * 1.5
        ("gpt-5-mini", 640, 640, "high", 480),
        ("gpt-5.2", 1024, 1024, "auto", 1229),
        ("gpt-5.4-mini-2026-03-17", 32, 32, "high", 2),
        ("gpt-5.4", 1024, 1024, "high", 1229),  # the examples of the page
        ("gpt-5.4", 2048, 2048, "high", 3000),
        ("gpt-5.4", 2048, 2048, "low", 4916),  # more than `high`
        ("gpt-5.4", 100_000, 100_000, "original", 12_000),
        ("gpt-5.5", 2048, 2048, "auto", 4916),
        ("gpt-5.5", 2048, 2048, "low", 308),  # 512 * 512 pixels
        ("gpt-5.6-sol", 6400, 4800, "auto", 36_000),
        ("gpt-5.6-luna", 6400, 4800, "high", 2942),
        ("gpt-4.1-mini", 1, 10_000, "low", 104),
        # Anthropic, Vision: the table of the page
        ("claude-3-7-sonnet", 200, 200, "auto", 64),
        ("claude-3-7-sonnet", 1000, 1000, "auto", 1296),
        ("claude-3-7-sonnet", 1092, 1092, "auto", 1521),
        ("claude-3-7-sonnet", 1920, 1080, "auto", 1560),
        ("claude-3-7-sonnet", 2000, 1500, "auto", 1564),
        ("claude-3-7-sonnet", 3840, 2160, "auto", 1560),
        ("claude-3-7-sonnet", 1075, 1520, "auto", 33 * 47),  # shrinks although both sides are within 1568 pixels
        ("claude-opus-4-7", 1920, 1080, "auto", 2691),
        ("claude-opus-4-7", 2000, 1500, "auto", 3888),
        ("claude-opus-4-7", 3840, 2160, "auto", 4784),
        ("claude-opus-4-7", 1075, 1520, "auto", 2145),
        # Gemini, Image understanding
        ("gemini-2.5-pro", 384, 384, "auto", 258),
        ("gemini-2.5-pro", 960, 540, "auto", 6 * 258),
        ("gemini-3-pro", 960, 540, "auto", 1120),
        ("gemini-3-pro", 960, 540, "low", 280),
        ("google/gemini-flash-latest", 960, 540, "auto", 1120),
        ("gemini-1.5-flash-latest", 960, 540, "auto", 6 * 258),
        ("gemini-3-pro", 960, 540, "medium", 560),
        ("gemini-3-pro", 960, 540, "ultra_high", 2240),
        # xAI, Image understanding
        ("grok-4", 448, 448, "auto", 512),
        ("grok-4", 8000, 8000, "auto", 1792),
        # open weights, as their processors in transformers
        ("Qwen/Qwen2.5-VL-7B-Instruct", 1280, 800, "auto", 46 * 29 + 2),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 10, 10, "auto", 6),
        ("Qwen/Qwen2.5-VL-7B-Instruct", 8000, 8000, "auto", 128 * 128 + 2),
        ("qwen3-vl:8b", 1280, 800, "auto", 40 * 25 + 2),
        ("qwen3-vl:8b", 10, 10, "auto", 66),
        ("pixtral-12b", 1280, 800, "auto", 65 * 40),
        ("mistral-small-3.2", 1280, 800, "auto", 47 * 29),
        ("gemma-3-27b-it", 1280, 800, "auto", 260),
        ("llama-3.2-90b-vision", 1280, 800, "auto", 2 * 1601),
        ("llama-4-scout", 1280, 800, "auto", 12 * 145 + 147),
        ("llama-4-scout", 300, 300, "auto", 147),
        ("internvl3-8b", 1280, 800, "auto", 7 * 256 + 2),
        ("llava-1.5-7b", 1280, 800, "auto", 576),
        # of unknown size: the most
        ("gpt-4o", 0, 0, "auto", 85 + 8 * 170),
        ("gpt-4o", 0, 0, "low", 85),
        ("gpt-4.1-mini", 0, 0, "auto", 6636),  # 64 * 64 patches * 1.62
        ("gpt-5.5", 0, 0, "low", 308),
        ("claude-sonnet-4", 0, 0, "auto", 1568),
        ("gemini-2.0-flash", 0, 0, "auto", 24 * 258),
        ("qwen2.5-vl", 0, 0, "auto", 16_386),
        ("unknown", 0, 0, "auto", 1568),
    ],
)
def test_images(model: str, width: int, height: int, detail: str, tokens: int) -> None:
    assert get_counter(model).count_image(Image(width, height, detail)) == tokens


def test_images_in_a_message() -> None:
    counter = get_counter("gpt-4o")
    look = TextSlot(0, (0,), "user", "What is this?")
    picture = TextSlot(0, (1,), "image", image=Image(1024, 1024, "high"))
    plain, shown = (counter.count_turn(Turn(0, "user", slots), "openai") for slots in ([look], [look, picture]))
    assert shown == plain + 765


def test_a_message_counts_the_same_before_and_after_the_whole_was_counted() -> None:
    turns = [
        Turn(i, "user", [TextSlot(i, ("content",), "user", text)])
        for i, text in enumerate(("Hello!", "", "How are you?"))
    ]
    context = Context([{}, {}, {}], turns, "openai_chat")
    counter = get_counter("gpt-4o")
    alone = [counter.count_turn(turn, context.format_name) for turn in turns]
    assert [counter.count_known_turn(context, i) for i in range(3)] == alone
    counter.count_context(context)
    assert [counter.count_known_turn(context, i) for i in range(3)] == alone
