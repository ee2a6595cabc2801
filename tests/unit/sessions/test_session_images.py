"""Sessions with drawn screenshots: what their views show, and what stays the same from view to view."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from compressor import Compressor
from compressor.context.refs import find_refs
from compressor.images.policy import ImagePolicy
from compressor.sessions import Conversation, Policy, ToolRule
from support.property_tests import given, settings, st

if os.environ.get("COMPRESSOR_REQUIRE_MODELS") != "1":
    pytest.importorskip("PIL")

from support.picture_runs import (
    FORMATS,
    MODELS,
    Shot,
    browsing,
    computer_run,
    count,
    dumped,
    encode,
    image_data,
    image_part,
    image_parts,
    page_shot,
    screen_data,
    texts_of,
    user_message,
    write_rounds,
)
from support.session_views import check_view, common_tokens

BY_POINT: dict[str, Any] = {"tool": "computer", "arguments": {"action": "left_click", "coordinate": [120, 80]}}
NO_LIMIT = 100_000


def make(images: Any = True, format_name: str = "openai_chat", budget: int = NO_LIMIT, **options: Any) -> Conversation:
    policy = ImagePolicy(ocr=False) if images is True else images
    compressor = Compressor(store="memory", images=policy)
    return Conversation(compressor, MODELS[format_name], budget, **options)


def feed(session: Conversation, shots: list[Shot], format_name: str = "openai_chat") -> tuple[list[Any], list[Any]]:
    """Gives a session a run, and returns the history and the views after each round."""
    history = [user_message(format_name, "Go on.")]
    session.append(*history)
    views: list[Any] = [session.view()]
    for i, shot in enumerate(shots):
        rounds = write_rounds(format_name, [shot], i)
        history += rounds
        session.append(*rounds)
        views.append(session.view())
        check_view(session, history, views[-1], MODELS[format_name])
    return history, views


@cache
def large(seed: int, kinds: tuple[str, ...] = ()) -> str:
    """A screen with large letters, of which a smaller picture is legible."""
    from PIL import Image

    small = Image.open(io.BytesIO(base64.b64decode(screen_data(seed, kinds))))
    return encode(small.resize((1600, 1000), Image.Resampling.NEAREST))


@pytest.mark.parametrize("format_name", FORMATS)
@pytest.mark.parametrize("options", [{}, BY_POINT], ids=["elements", "coordinates"])
def test_a_view_begins_with_the_bytes_of_the_last_one(format_name: str, options: dict[str, Any]) -> None:
    shots = browsing((1, 1, 2, 1, 2, 3, 1), **options)
    session = make(format_name=format_name)
    _, views = feed(session, [*shots, shots[3]], format_name)
    for before, after in pairwise(views):
        assert dumped(after[: len(before)]) == dumped(before)


def test_stale_screenshots_leave_together_and_the_unchanged_tokens_are_those_of_the_common_start() -> None:
    session = make(ImagePolicy(ocr=False, fold_repeats=False, shrink=False, max_stale_tokens=1_500))
    history, left = [user_message("openai_chat", "Go on.")], []
    session.append(*history)
    view = session.view()
    for i, shot in enumerate(browsing((1,) * 9)):
        rounds = write_rounds("openai_chat", [shot], i)
        history += rounds
        session.append(*rounds)
        unchanged, before = session.state["counters"]["unchanged_tokens"], view
        view = session.view()
        check_view(session, history, view)
        assert common_tokens(before, view) == (count(before, "gpt-4o") if unchanged < 0 else unchanged)
        if unchanged >= 0:
            left.append(len(image_data(before)) + 1 - len(image_data(view)))
    assert left == [4, 4]  # 425 tokens each, less those of a line


@pytest.mark.parametrize("format_name", FORMATS)
def test_an_image_that_comes_again_becomes_a_note(format_name: str) -> None:
    one, two = page_shot(1), page_shot(2)
    session = make(format_name=format_name)
    _, views = feed(session, [one, two, one], format_name)
    assert image_data(views[-1]) == [one.data, two.data]


def test_an_image_that_comes_again_becomes_a_note_where_the_first_is_shown_smaller() -> None:
    one = Shot(large(1), "https://desk.example/1")
    _, views = feed(make(), [one, one._replace(url="https://desk.example/2")])
    assert any("[image 1, 1600×1000, shown smaller]" in text for text in texts_of(views[-1]))
    assert any("[image 2: the same as image 1]" in text for text in texts_of(views[-1]))
    assert len(image_data(views[-1])) == 1


def test_a_screenshot_with_a_small_change_is_shown_by_the_part_that_differs() -> None:
    session = make(format_name="anthropic")
    history, views = feed(session, [page_shot(1), page_shot(1, ("digit",))], "anthropic")
    (text,) = [text for text in texts_of(views[-1]) if text.startswith("[image 2: as image 1")]
    assert "its part at" in text and len(image_data(views[-1])) == 2
    assert image_data(views[-1])[0] == image_data(history)[0]


def test_screenshots_of_an_agent_that_clicks_by_coordinates_stay_as_they_are() -> None:
    shots = [Shot(large(1, kinds), **BY_POINT) for kinds in ((), ("digit",), ("tick",))]
    _, views = feed(make(), shots)
    assert image_data(views[-1]) == [shot.data for shot in shots]


@st.composite
def sessions(draw: st.DrawFn) -> tuple[str, list[Shot], int, ImagePolicy, list[str]]:
    options: dict[str, Any] = draw(st.sampled_from(({}, BY_POINT, {"tool": "screenshot", "arguments": {}})))
    shots = browsing(draw(st.lists(st.integers(1, 3), min_size=3, max_size=9)), **options)
    if draw(st.booleans()):
        shots = [shot._replace(url="", title="") for shot in shots]
    if draw(st.booleans()):
        shots.insert(draw(st.integers(0, len(shots))), shots[0])
    policy = ImagePolicy(
        shrink=draw(st.booleans()),
        drop_stale=draw(st.booleans()),
        ocr=False,
        keep_frames=draw(st.integers(1, 2)),
        max_stale_tokens=draw(st.sampled_from((300, 1_000))),
    )
    steps = ("go on", "go on", "compact", "pickle", "json", "sync")
    each = [draw(st.sampled_from(steps)) for _ in shots]
    return draw(st.sampled_from(FORMATS)), shots, draw(st.sampled_from((2_500, 4_000, 30_000))), policy, each


@settings(max_examples=25)
@given(sessions())
def test_views_of_any_session_show_or_name_what_their_notes_refer_to(
    given_session: tuple[str, list[Shot], int, ImagePolicy, list[str]],
) -> None:
    format_name, shots, budget, policy, steps = given_session
    model = MODELS[format_name]
    session = make(policy, format_name, budget)
    history = [user_message(format_name, "Go on.")]
    session.append(*history)
    view = session.view()
    for i, (shot, step) in enumerate(zip(shots, steps, strict=True)):
        rounds = write_rounds(format_name, [shot], i)
        history += rounds
        if step == "sync":
            session.sync(history)
        else:
            session.append(*rounds)
        if step == "compact":
            session.request_compaction()
        if step == "pickle":
            session = pickle.loads(pickle.dumps(session))
        if step == "json":
            state = json.loads(json.dumps(session.state))
            session = Conversation(session.compressor, model, budget, state=state)
            session.sync(history)
        counters, before = session.state["counters"], view
        view = session.view()
        check_view(session, history, view, model)
        assert session.view_tokens <= budget
        if session.state["counters"]["compactions"] == counters["compactions"]:
            unchanged = counters["unchanged_tokens"]
            assert common_tokens(before, view, model) == (count(before, model) if unchanged < 0 else unchanged)


@pytest.mark.parametrize("format_name", FORMATS)
def test_numbers_of_images_stay_right_after_compactions_and_copies(format_name: str) -> None:
    session = make(ImagePolicy(ocr=False, max_stale_tokens=300), format_name)
    history, _ = feed(session, browsing((1, 2, 1, 2, 3, 3)), format_name)
    assert session.compact()
    session = pickle.loads(pickle.dumps(session))
    for i, shot in enumerate(browsing((2, 2, 1, 1)), 6):
        rounds = write_rounds(format_name, [shot._replace(data=screen_data(20 + i))], i)
        history += rounds
        session.append(*rounds)
        check_view(session, history, session.view(), MODELS[format_name])
    assert session.state["images"] == 10 == len(image_parts(history))


def test_a_state_of_an_older_program_has_no_numbers_and_goes_on() -> None:
    session = make()
    history, _ = feed(session, browsing((1, 2)))
    state = json.loads(json.dumps(session.state))
    state.pop("images")
    for record in state["records"]:
        record.pop("images", None)
    old = Conversation(session.compressor, "gpt-4o", NO_LIMIT, state=state)
    history += write_rounds("openai_chat", [page_shot(1, ("digit",))], 2)
    old.sync(history)
    assert old.view()


@pytest.mark.parametrize("format_name", FORMATS)
def test_images_of_rounds_that_left_the_view_come_back_by_their_refs(format_name: str) -> None:
    session = make(format_name=format_name, budget=2_500)
    history, _ = feed(session, browsing((1, 2, 3, 4, 5, 6, 7, 8)), format_name)
    assert session.cost_report().compactions
    view = "\n".join(texts_of(session.view()))
    index = session.recall("page 1", 2_000)
    found = set[str]()
    waiting = [*find_refs(view), *find_refs(index)]
    seen = set[str]()
    while waiting:
        ref = waiting.pop()
        if ref in seen:
            continue
        seen.add(ref)
        text = session.expand(ref)
        found.add(text)
        waiting += find_refs(text)
    shown = set(image_parts(session.view()))
    for part in image_parts(history):
        assert part in shown or part in found


def test_a_compaction_that_saves_too_little_changes_no_image() -> None:
    session = make()
    rules = " ".join(f"rule {i}: {i * i}." for i in range(8_000))
    session.append({"role": "system", "content": rules}, user_message("openai_chat", "Go on."))
    kinds: list[tuple[str, ...]] = [(), (), ("scroll",), ("scroll", "scroll"), ("theme",), ("swap",)]
    for i, one in enumerate(kinds):
        session.append(*write_rounds("openai_chat", [Shot(large(1, one), f"https://desk.example/{i}", **BY_POINT)], i))
        before = session.view()
    assert any("the same image as" in text for text in texts_of(before))
    assert not session.compact()
    assert dumped(session.view()) == dumped(before)


def test_a_shorter_history_takes_images_and_numbers_back() -> None:
    session = make(ImagePolicy(ocr=False, max_stale_tokens=300))
    history, _ = feed(session, browsing((1, 1, 1, 2, 1)))
    for end in (9, 5, 3):
        session.sync(history[:end])
        view = session.view()
        check_view(session, history[:end], view)
        assert session.state["images"] == len(image_parts(history[:end]))
    history = history[:3] + write_rounds("openai_chat", browsing((2, 1, 3)), 30)
    session.sync(history)
    check_view(session, history, session.view())


def test_pictures_of_the_user_and_of_pinned_messages_stay() -> None:
    session = make(ImagePolicy(ocr=False, max_stale_tokens=300))
    mine = screen_data(30)
    session.append(user_message("openai_chat", "Find this.", image_part("openai_chat", mine)))
    session.append(*write_rounds("openai_chat", browsing((1,))), pin=True)
    photo = user_message("openai_chat", "My photo of it.", image_part("openai_chat", screen_data(31)))
    session.append(*write_rounds("openai_chat", browsing((1, 1)), 1), photo)
    session.append(*write_rounds("openai_chat", browsing((1, 1, 1)), 3), user_message("openai_chat", "Go on."))
    data = image_data(session.view())
    assert data[0] == mine and screen_data(1) in data and screen_data(31) in data


def observed_round(shot: Shot, number: int) -> list[Any]:
    """A round of OpenAI chat, whose results hold texts only: a program shows the screenshot in a user message."""
    call, result = write_rounds("openai_chat", [shot], number)
    *texts, part = result["content"]
    seen = user_message("openai_chat", f"Screenshot after step {number + 1}:", part)
    return [call, {**result, "content": texts}, seen]


def test_screenshots_that_a_program_shows_in_user_messages_are_those_of_a_tool() -> None:
    mine, first = screen_data(30), page_shot(1)
    session, shots = make(), [first, page_shot(2), page_shot(1, ("digit",)), first]
    session.append(user_message("openai_chat", "Find this.", image_part("openai_chat", mine)))
    for i, shot in enumerate(shots):
        session.append(*observed_round(shot, i))
        before = session.view()
    data = image_data(before)
    assert data[:3] == [mine, first.data, shots[1].data] and len(data) == 4  # the part that differs
    assert list(texts_of(before))[-1].startswith("[image 5: the same as image 2")
    # What the user shows stays, also where it repeats a screenshot.
    session.append(user_message("openai_chat", "What is wrong here?", image_part("openai_chat", first.data)))
    after = session.view()
    assert dumped(after[: len(before)]) == dumped(before) and image_data(after) == [*data, first.data]


def test_results_of_a_tool_that_is_never_compressed_keep_their_images() -> None:
    rule = Policy(tools={"browser_navigate": ToolRule(never_compress=True)})
    shots = browsing((1, 1, 1))
    _, views = feed(make(ImagePolicy(ocr=False, max_stale_tokens=1), policy=rule), [*shots, shots[0]])
    assert image_data(views[-1]) == [shot.data for shot in (*shots, shots[0])]


def test_without_a_policy_only_equal_images_are_noted() -> None:
    shots = browsing((1, 1, 1))
    _, views = feed(make(False), [*shots, shots[0]])
    assert image_data(views[-1]) == [shot.data for shot in shots]


@pytest.mark.parametrize("frozen", [False, True])
def test_parallel_calls_and_two_images_of_one_result_are_told_apart(frozen: bool) -> None:
    session = make(ImagePolicy(ocr=False, max_stale_tokens=300), frozen=frozen)
    history = [user_message("openai_chat", "Go on.")]
    session.append(*history)
    for i in range(4):
        first, second = (
            write_rounds("openai_chat", [page_shot(page, ("digit", "tick", "dot")[:i])], 2 * i + page - 1)
            for page in (1, 2)
        )
        first[0]["tool_calls"] += second[0]["tool_calls"]
        second[1]["content"].append(image_part("openai_chat", screen_data(40 + i)))
        rounds = [*first, second[1]]
        history += rounds
        session.append(*rounds)
        check_view(session, history, session.view())
    session.request_compaction()
    check_view(session, history, session.view())
    assert session.state["images"] == 12


def test_screenshots_of_the_computer_tool_only_become_pictures() -> None:
    shots = [Shot(large(1, ("digit", "tick", "dot", "badge", "caret")[:i])) for i in range(6)]
    messages = computer_run(shots)
    session = make(ImagePolicy(ocr=False, max_stale_tokens=300), "openai_responses")
    session.append(messages[0])
    for i in range(1, len(messages), 2):
        session.append(*messages[i : i + 2])
        view = session.view()
        assert session.view_tokens == count(view, MODELS["openai_responses"])
        items = [item for item in view if item.get("type") == "computer_call_output"]
        assert all(item["output"]["image_url"].startswith("data:image/") for item in items)
    assert image_data(view)[-1] == shots[-1].data
    assert session.view_tokens < count(messages, MODELS["openai_responses"])


@pytest.mark.parametrize("data", ["", "@@@@", base64.b64encode(b"no picture").decode(), screen_data(1)[:4000]])
def test_a_broken_image_passes_through(data: str) -> None:
    shots = [page_shot(1), page_shot(1)._replace(data=data), page_shot(1, ("digit",)), page_shot(1)]
    session = make()
    _, views = feed(session, shots)
    assert data in image_data(views[2])
    assert not data or "image 2 is kept as it is: " in session.warnings[0]
