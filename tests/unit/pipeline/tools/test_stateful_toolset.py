"""`ToolSet`: the tools of an agent over many calls, and the tool that finds the others."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from compressor import BudgetTooSmallError, Compressor, CompressorError
from compressor.pipeline.tools import ToolSet
from compressor.tokens import get_counter
from support.tool_schemas import chat, names
from support.tool_schemas import tools as few

BUDGET = 620


def many_tools() -> list[dict[str, Any]]:
    """The tools of the other tests, and many that nobody asks for."""
    words = "cellar attic garage shed barn tower bridge harbour castle temple museum school market bakery".split()
    more = [
        chat(f"{verb}_{word}", f"Does the {verb} of a {word}.", {"key": {"type": "string"}}, ["key"])
        for word in words
        for verb in ("paint", "lock", "clean")
    ]
    return [*few(), *more]


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(name: str, answer: str, call: str = "1", **arguments: Any) -> list[dict[str, Any]]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return [
        {"role": "assistant", "content": None, "tool_calls": [{"id": call, "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": call, "content": answer},
    ]


def make(compressor: Compressor, state: Any = None, **options: Any) -> ToolSet:
    return ToolSet(compressor, many_tools(), options.pop("budget", BUDGET), state=state, **options)


def test_the_bytes_stay_and_survive_the_process(compressor: Compressor) -> None:
    box = make(compressor)
    messages = [user("What is the weather at station W-3?")]
    first = json.dumps(box.view(messages))
    messages += called("get_weather", "Rain.", number="W-3")
    assert json.dumps(box.view(messages)) == first
    state = json.loads(json.dumps(box.state))
    messages += [{"role": "assistant", "content": "Rain."}, user("Thanks a lot!")]
    assert json.dumps(make(Compressor(store="memory"), state).view(messages)) == first
    assert get_counter(None).count_tools(json.loads(first)) <= BUDGET
    assert "find_tool" in first and "get_weather" in first and "get_tax" not in box.sent


def test_what_is_found_joins_at_the_end(compressor: Compressor) -> None:
    box = make(compressor)
    messages = [user("What is the weather at station W-3?")]
    first = box.view(messages)
    answer = box.answer({"query": "tax"})
    assert '"get_tax"' in answer and answer == box.answer('{"query": "tax"}')
    messages += called("find_tool", answer, query="tax")
    second = box.view(messages)
    assert second[: len(first)] == first and names(second[len(first) :]) == ["get_tax"]
    assert get_counter(None).count_tools(second) <= BUDGET
    assert answer == box.answer({"query": "tax"})
    assert box.view(messages) == second
    assert names(make(compressor, box.state).view(messages)) == names(second)


def test_it_grows_by_what_a_new_request_plainly_needs_or_is_called(compressor: Compressor) -> None:
    box = make(compressor)
    messages = [user("What is the weather at station W-3?")]
    first = box.view(messages)
    messages += [*called("get_weather", "Rain."), {"role": "assistant", "content": "Rain."}, user("Look up tax T-9.")]
    second = box.view(messages)
    assert "get_tax" not in names(first) and "get_tax" in names(second) and "get_weather" in names(second)
    messages += called("get_lamp", "on", "2")
    assert {"get_lamp", "get_tax", "get_weather"} <= set(names(box.view(messages)))


@pytest.mark.moderate
def test_it_is_chosen_afresh_when_growing_no_longer_fits(compressor: Compressor) -> None:
    box = make(compressor, budget=420)
    messages = [user("What is the weather at station W-3?")]
    box.view(messages)
    for number, thing in enumerate(("tax", "lamp", "car")):
        messages += called(f"get_{thing}", "ok", str(number))
        sent = box.view(messages)
        assert f"get_{thing}" in names(sent) and get_counter(None).count_tools(sent) <= 420
    with pytest.raises(BudgetTooSmallError):
        make(compressor, budget=25).view(messages)


def test_compact_and_other_tools_choose_afresh(compressor: Compressor) -> None:
    box = make(compressor)
    box.view([user("What is the weather at station W-3?")])
    later = [user("Look up song S-9.")]
    box.compact()
    assert "get_song" in names(box.view(later))
    more = [*many_tools(), chat("get_moon", "Looks up the moon.", {"day": {"type": "string"}}, ["day"])]
    grown = ToolSet(compressor, more, BUDGET, state=box.state)
    assert "get_moon" in names(grown.view([user("How full is the moon on day 3?")]))


def test_whatever_fits_goes_as_it_is(compressor: Compressor) -> None:
    given = many_tools()
    box = ToolSet(compressor, given, 100_000)
    assert all(a is b for a, b in zip(box.view([user("Hi")]), given, strict=True))
    assert box.sent == names(given)


@pytest.mark.moderate
def test_the_find_tool_speaks_every_dialect_and_never_raises(compressor: Compressor) -> None:
    chats = many_tools()
    anthropic = [
        {"name": f["name"], "description": f["description"], "input_schema": f["parameters"]}
        for f in (t["function"] for t in chats)
    ]
    flat = [{"type": "function", **t["function"]} for t in chats]
    for given in (chats, anthropic, flat):
        sent = ToolSet(compressor, given, 0.3).view([user("weather")])
        finder = next(t for t in sent if "find_tool" in names([t]))
        assert set(finder) <= set(given[0]) and finder["type" if "type" in given[0] else "name"]
    box = make(compressor)
    assert "get_weather" in box.answer({"query": "zzz qqq"})  # names what there is
    assert box.answer("no json") == box.answer(None) == box.answer({"query": 3}) != ""
    assert '"get_car"' in box.answer({"query": "get_car"})
    assert get_counter(None).count(box.answer({"query": "looks up by number"})) < 2_500


def test_pinned_native_and_options(compressor: Compressor) -> None:
    native = {"type": "web_search"}
    given = [*many_tools(), native]
    sent = ToolSet(compressor, given, BUDGET, pinned=["get_car"], find=False).view([user("weather")])
    assert sent[0] is native and given[10] in sent and "find_tool" not in names(sent)
    forced = ToolSet(compressor, given, BUDGET).view(
        [user("weather")], {"type": "function", "function": {"name": "get_tax"}}
    )
    assert given[11] in forced
    with pytest.raises(CompressorError):
        make(compressor, {"version": 99})
    assert ToolSet(compressor, [], 10).view([]) == []


def talk(box: ToolSet, requests: list[str], calls: bool = True) -> list[list[Any]]:
    """The lists of a conversation in which each request is answered by a call of the first tool that is sent."""
    messages: list[dict[str, Any]] = []
    views = []
    for number, text in enumerate(requests):
        messages.append(user(text))
        views.append(box.view(messages))
        wanted = next((n for n in names(many_tools()) if n.split("_")[-1] in text and n in names(views[-1])), None)
        if calls and wanted:
            messages += called(wanted, "ok", str(number))
        messages.append({"role": "assistant", "content": "Done."})
    return views


def test_the_prefix_breaks_once_in_ten_requests_at_most(compressor: Compressor) -> None:
    words = "weather tax lamp car song pump hotel flight parcel recipe ticket invoice".split()
    places = "cellar attic garage shed barn tower bridge harbour castle temple museum school".split()
    requests = [f"Look up {w} {i}." for i, w in enumerate(words)] + [f"Paint the {p}, please." for p in places]
    views = talk(make(compressor), requests)
    breaks = sum(new[: len(old)] != old for old, new in pairwise(views))
    assert breaks <= 1 + len(requests) // 10
    counter = get_counter(None)
    assert all(counter.count_tools(view) <= BUDGET for view in views)
    kept = sum(any(t.split("_")[-1] in text for t in names(view)) for text, view in zip(requests, views, strict=True))
    assert kept >= 0.85 * len(requests)


def test_a_short_tool_is_widened_when_it_is_plainly_needed_later(compressor: Compressor) -> None:
    box = make(compressor, budget=700)
    requests = ["Clean the barn.", "Clean the shed.", "Lock the attic.", "Lock the tower.", "Paint the temple."]
    requests += ["Look up the invoice by its number, filter and color."] * 7
    views = talk(box, requests, calls=False)

    def invoice(view: list[Any]) -> dict[str, Any]:
        found = [t["function"]["parameters"]["properties"] for t in view if t["function"]["name"] == "get_invoice"]
        return found[0] if found else {}

    assert {"number", "color"} <= invoice(views[-1]).keys()


@pytest.mark.moderate
def test_it_never_raises_in_the_middle_of_a_conversation(compressor: Compressor) -> None:
    box = make(compressor, budget=300)
    messages = [user("What is the weather at station W-3?")]
    box.view(messages)
    for number, name in enumerate(names(many_tools())[:24]):
        messages += [*called(name, "ok", str(number)), user(f"Next: number {number}")]
        sent = box.view(messages)
        assert sent and get_counter(None).count_tools(sent) <= 300
    grown = ToolSet(compressor, many_tools(), 90, state=box.state)
    assert names(grown.view(messages)) and "find_tool" not in names(grown.view(messages))
    assert any("find_tool is left out" in text for text in grown.warnings)
    forced = {"type": "function", "function": {"name": "get_tax"}}
    small = make(compressor, budget=110)
    small.view(messages[:1])
    assert "get_tax" in names(small.view(messages, forced))
    assert any("tool_choice forces are shortened" in text for text in small.warnings)


def test_small_talk_changes_nothing(compressor: Compressor) -> None:
    views = talk(make(compressor), ["What is the weather at station W-3?", "Thanks a lot!", "Great.", "ok", "Hm?"])
    assert all(view == views[0] for view in views)


def test_without_a_discount_for_cached_tokens_each_request_may_choose(
    compressor: Compressor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from compressor.pipeline.tools import list_planner
    from compressor.tokens.price import Price

    requests = ["Clean the barn.", *["Look up the invoice by its number, filter and color."] * 5]

    def breaks(price: Price) -> int:
        monkeypatch.setattr(list_planner, "find_price", lambda model: price)
        views = talk(make(compressor, budget=700), requests, calls=False)
        return sum(new[: len(old)] != old for old, new in pairwise(views))

    assert breaks(Price.custom(input=1, output=2, cache_read=0.1)) <= breaks(Price.custom(input=1, output=2))


def test_the_state_of_version_1_keeps_what_was_found(compressor: Compressor) -> None:
    old = {"version": 1, "forms": {"get_car": None}, "digest": "x", "turn": "y", "found": ["get_tax", "no_such_tool"]}
    box = make(compressor, old)
    assert "get_tax" in names(box.view([user("What is the weather at station W-3?")]))
    assert box.state["version"] == 2 and old["version"] == 1
