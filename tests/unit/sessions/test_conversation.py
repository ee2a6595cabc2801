"""Sessions under adverse conditions: odd messages, marks that tools wrote, journals that vanish, stores that fail."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from typing import Any

import pytest

from compressor import BudgetTooSmallError, Compressor, ContextError, StoreError, UnknownRefError
from compressor.context.formats import detect_format, serialization
from compressor.context.refs import compute_ref, find_refs, format_placeholder
from compressor.sessions import Conversation, Policy, Session, ToolRule
from compressor.sessions.summaries import summarizer
from compressor.storage import MemoryStore
from support.property_tests import given, settings, st
from support.session_tools import Message, conversation, prose, said, text, tokens, words_of
from support.strategies import anthropic_contexts, langchain_contexts, openai_chat_contexts, responses_contexts

TIGHT: dict[str, Any] = {"budget": 3_000, "policy": Policy(target=("tokens", 1_200))}


def assistant_calls(*ids: str, name: str = "look") -> Message:
    calls = [{"id": i, "type": "function", "function": {"name": name, "arguments": "{}"}} for i in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(i: str, content: Any) -> Message:
    return {"role": "tool", "tool_call_id": i, "content": content}


# -- messages


@pytest.mark.moderate
def test_call_ids_used_again_in_every_round(c: Compressor) -> None:
    """As some providers do it: "call_0" is answered once, and called again."""
    session = c.session("a", **TIGHT)
    session.append(*said("Find the copper."))
    for i in range(30):
        session.append(assistant_calls("call_0", "call_1"))
        with pytest.raises(ContextError, match="call_0"):
            session.view()
        session.append(result("call_1", prose(i)), result("call_0", prose(100 + i)))
        view = session.view()
        assert tokens(view) <= 3_000 and detect_format(view).parse(view)
    assert session.cost_report().compactions and c.session("a", **TIGHT).view() == view


def claude(i: int, results: list[str], words: str = "") -> list[Message]:
    uses = [{"type": "tool_use", "id": f"t{i}.{k}", "name": "look", "input": {}} for k in range(len(results))]
    parts = [{"type": "tool_result", "tool_use_id": f"t{i}.{k}", "content": r} for k, r in enumerate(results)]
    content = [*parts, *([{"type": "text", "text": words}] if words else [])]
    return [{"role": "assistant", "content": uses}, {"role": "user", "content": content}]


def test_words_beside_results_are_no_message_of_their_own(c: Compressor) -> None:
    session = c.session("a")
    session.append(*said("Find the copper."))
    for i in range(3):
        session.append(*claude(i, [prose(i, 150)], "And hurry."))
    assert len(find_refs(text(session.view()))) == 3


@pytest.mark.moderate
def test_results_that_share_a_message_with_the_index_are_gone_too(c: Compressor) -> None:
    session = c.session("a", **TIGHT)
    session.append(*said("Find the copper."))
    for i in range(12):
        session.append(*claude(i, [prose(10 * i + k, 25) for k in range(5)]))
        view = session.view()
        assert tokens(view) <= 3_000
    (carrier,) = [m for m in view if "index of earlier rounds" in text([m])]
    assert len(text([carrier])) < 3_000
    for part in carrier["content"][1:]:
        assert prose(0, 25).startswith(session.expand(part["content"])[:3])
    originals = [session.expand(part["content"]) for part in carrier["content"][1:]]
    assert originals == [prose(k, 25) for k in range(1, 5)]


@pytest.mark.moderate
def test_what_the_agent_has_just_asked_for_never_goes_whole(c: Compressor) -> None:
    session = c.session("a", budget=3_000)
    session.append(*said("Find the copper."), assistant_calls("a"), result("a", prose(1, 20)))
    session.append(assistant_calls("b"), result("b", prose(2, 1_500)))
    view = session.view()
    assert view[-1]["content"].count("units") > 20 and tokens(view) <= 3_000


def test_sdk_objects_inside_messages(c: Compressor) -> None:
    anthropic = pytest.importorskip("anthropic.types")
    openai = pytest.importorskip("openai.types.chat")
    use = {"type": "tool_use", "id": "t", "name": "look", "input": {"page": 1}}
    answer = anthropic.Message.model_validate(
        {"id": "m", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "tool_use"}
        | {"content": [{"type": "text", "text": "Hm.", "citations": None}, use]}
        | {"stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1}}
    )
    ours = openai.ChatCompletionMessage.model_validate({**assistant_calls("t"), "refusal": None})
    for name, messages in {
        "anthropic": [{"role": "assistant", "content": answer.content}, *claude(0, ["x"])[1:]],
        "openai": [{"role": "assistant", "content": None, "tool_calls": ours.tool_calls}, result("t", "x")],
        "whole": [ours, result("t", "x")],
    }.items():
        if name == "anthropic":
            messages[1] = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}
        session = c.session(name)
        session.append(*said("Go."), *messages)
        view = session.view()
        resumed = c.session(name)
        assert (
            [serialization.serialize_message(m) for m in view]
            == resumed.view()
            == json.loads(json.dumps(resumed.view()))
        )
        read = json.loads(json.dumps(resumed.view()))
        resumed.sync([*said("Go."), *messages])
        resumed.sync(read)
        assert resumed.export()["state"]["count"] == 3 and resumed.cost_report().calls == 1


def test_langchain_artifacts_need_not_be_json(c: Compressor) -> None:
    messages = pytest.importorskip("langchain_core.messages")
    session = c.session("a")
    call = {"id": "1", "name": "look", "args": {}}
    given = messages.ToolMessage("x", tool_call_id="1", artifact=object(), status="error")
    session.append(messages.HumanMessage("Go."), messages.AIMessage("", tool_calls=[call]), given)
    assert session.view()[2] is given
    (again,) = c.session("a").view()[2:]
    assert (again.content, again.status, again.artifact) == ("x", "error", None)
    chunk, whole = messages.AIMessageChunk("Hi."), messages.AIMessage("Hi.")
    assert serialization.chain_digest(chunk) == serialization.chain_digest(whole)


@pytest.mark.moderate
def test_pinned_message_without_a_text_is_no_reason_to_fail(c: Compressor) -> None:
    session = c.session("a", **TIGHT)
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    session.append({"role": "user", "content": [audio]})
    session.append(assistant_calls("p", "q"), result("q", prose(1, 20)))
    session.append(result("p", ""), pin=True)
    for i in range(30):
        session.append(assistant_calls(f"c{i}"), result(f"c{i}", prose(i)))
        assert tokens(session.view()) <= 3_000
    view = session.view()
    assert session.cost_report().compactions and view[0]["content"] == [audio] and result("p", "") in view


def dropping(context: list[Any]) -> Iterator[list[Any]]:
    """All beginnings of a context in which every call has its result."""
    for end in range(1, len(context) + 1):
        turns = detect_format(context[:end]).parse(context[:end]).turns
        waiting: set[str] = set()
        for turn in turns:
            waiting = waiting.union(turn.call_ids).difference(turn.result_call_ids)
        if not waiting:
            yield context[:end]


POLICIES = st.builds(
    Policy,
    target=st.sampled_from([("tokens", 1), ("tokens", 50), ("fraction", 0.6)]),
    keep=st.sampled_from([("fraction", 0.01), ("fraction", 1.0), ("tokens", 200)]),
    tool_result_min_tokens=st.sampled_from([1, 50]),
    tool_result_keep_fraction=st.sampled_from([0.01, 1.0]),
    tools=st.sampled_from([{}, {"bash": ToolRule(never_compress=True)}, {"*": ToolRule(max_tokens=1)}]),
)


@pytest.mark.parametrize("contexts", [openai_chat_contexts, anthropic_contexts, responses_contexts, langchain_contexts])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_any_dialect(contexts: Callable[[], Any], data: st.DataObject) -> None:
    """Budget, count, prefix, legality, restarts, for contexts with everything that a dialect knows."""
    context, policy = data.draw(contexts()), data.draw(POLICIES)
    options: dict[str, Any] = {"budget": data.draw(st.sampled_from([150, 400, 5_000])), "policy": policy}
    compressor = Compressor(store="memory")
    session, last, compactions = compressor.session("a", **options), list[str](), 0
    for messages in dropping(context):
        session.sync(messages)
        try:
            view = session.view()
        except BudgetTooSmallError as error:
            assert error.needed > error.budget == options["budget"]
            continue
        except ContextError:
            assert all(getattr(m, "type", None) == "system" or serialization.chain_digest(m) for m in messages)
            assert session.export()["messages"] == []  # nothing but system messages
            continue
        assert tokens(view) == session.cost_report().view_tokens <= options["budget"]
        sent = [json.dumps(serialization.serialize_message(m)) for m in view]
        now = session.cost_report().compactions
        assert now > compactions or sent[: len(last)] == last
        last, compactions = sent, now
        session = compressor.session("a", **options)
        assert [json.dumps(serialization.serialize_message(m)) for m in session.view()] == sent


@pytest.mark.moderate
def test_an_index_never_stands_where_there_is_no_text(c: Compressor) -> None:
    """A picture that was cut is a text in the view; in the message there is none that the index could replace."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    for low in (1, 200, 400):
        session, history = (
            c.session(f"p{low}", budget=1_200, policy=Policy(target=("tokens", low))),
            said("Find the copper."),
        )
        for i in range(10):
            history += [assistant_calls(f"c{i}"), result(f"c{i}", [picture])]
            history += said(prose(i, 6)) if i > 4 else []
            session.sync(history)
            assert tokens(session.view()) <= 1_200
        assert session.cost_report().compactions


def test_a_long_system_prompt_is_journaled_once(c: Compressor) -> None:
    """And one that came later, or is another one now, all the same."""
    session, history = c.session("a"), said("one", "two", "three")
    prompts = [{"role": "system", "content": prose(i, 400)} for i in range(3)]
    for prompt in prompts[:2]:
        session.append(prompt)
    before = c.store.stats().size
    for n in (1, 2, 3):
        session.append(history[n - 1])
        assert c.session("a").view() == session.view() == [*prompts[:2], *history[:n]]
    assert c.store.stats().size - before < 6_000
    session.sync([prompts[2], *history])
    assert c.session("a").view() == session.view() == [prompts[2], *history]


@pytest.mark.moderate
def test_a_session_whose_messages_nobody_writes_to_gives_the_same_views(c: Compressor) -> None:
    """Two workers with one session, one of which begins anew now and then, and a history that changes on its way."""
    for seed in range(3):
        rng, history = random.Random(seed), conversation(12, seed)
        plain, frozen = Session(c, f"plain{seed}", **TIGHT), [Session(c, f"f{seed}", **TIGHT, frozen=True)] * 2
        for end in (4, 6, 10, 16, 10, 12, 20, 26):
            if rng.random() < 0.3:
                frozen[1] = Session(c, f"f{seed}", **TIGHT, frozen=True)
            if rng.random() < 0.3:
                history[5] = {**history[5], "content": prose(rng.randrange(99))}
            one = rng.choice(frozen)
            plain.sync(deepcopy(history[:end]))
            one.sync(history[:end])
            assert text(one.view()) == text(plain.view())
            assert one.cost_report() == plain.cost_report()


@pytest.mark.moderate
def test_reasoning_left_out_stays_out_only_where_its_turn_has_ended(c: Compressor) -> None:
    """What a compaction leaves may have lost the answer that ended a turn; edits know their places all the same."""
    for seed in range(12):
        rng = random.Random(seed)
        talk = Conversation(
            c,
            budget=1_500,
            policy=Policy(target=("tokens", rng.choice([1, 600])), tool_result_min_tokens=1),
            scope=f"t{seed}",
        )
        talk.append(*said("Find the copper."))
        for i in range(14):
            thinking = {"type": "thinking", "thinking": "plan " * 10, "signature": "s"}
            if rng.random() < 0.4:
                talk.append({"role": "assistant", "content": [thinking, {"type": "text", "text": prose(i, 3)}]})
                talk.append(*said(f"More {i}."))
            else:
                asked, answered = claude(i, [prose(rng.randrange(99), rng.randrange(1, 40)) for _ in range(3)])
                asked["content"] = [thinking, {"type": "text", "text": prose(i, 5)}, *asked["content"]]
                talk.append(asked, answered)
            assert tokens(talk.view()) == talk.cost_report().view_tokens <= 1_500


# -- budget


@pytest.mark.moderate
def test_view_near_its_budget_is_compacted_though_that_saves_little(c: Compressor) -> None:
    for sentences in range(180, 196, 4):
        session = c.session(f"s{sentences}", budget=3_000, policy=Policy(target=("tokens", 1_500)))
        session.append(*said("Go."))
        session.append(*said(prose(1, sentences)), pin=True)
        for i in range(12):
            session.append(assistant_calls(f"c{i}"), result(f"c{i}", prose(i, 6)))
            try:
                assert tokens(session.view()) <= 3_000
            except BudgetTooSmallError:
                break


@pytest.mark.moderate
def test_summary_finds_room_or_waits(c: Compressor) -> None:
    policy = Policy(
        target=("tokens", 2_000), summarizer=summarizer(lambda prompt: "Facts:\n- The copper is stored.\n" * 30)
    )
    for budget in (1_300, 1_500):
        session = c.session(f"b{budget}", budget=budget, policy=policy)
        session.append(*said("Find the copper."))
        for i in range(20):
            session.append(assistant_calls(f"c{i}"), result(f"c{i}", prose(i, 45)))
            assert tokens(session.view()) <= budget


# -- trust


def secret_of_another(c: Compressor) -> str:
    victim = c.session("victim", tenant="other")
    victim.append(*said("Go."), assistant_calls("s"), result("s", "TOPSECRET of another. " * 30 + prose(5, 300)))
    return find_refs(text(victim.view()))[0]


def test_marks_that_a_tool_writes_open_nothing(c: Compressor) -> None:
    ref = secret_of_another(c)
    session = c.session("a", tenant="mine", **TIGHT)
    session.append(*said("Go."))
    for i in range(20):
        session.append(
            assistant_calls(f"c{i}"),
            result(f"c{i}", f"{prose(i)}\n{format_placeholder(ref)} {format_placeholder('000000000000')}"),
        )
        session.view()
    data = session.export()
    assert session.cost_report().compactions and "TOPSECRET" not in text([data])
    with pytest.raises(UnknownRefError):
        Compressor(store="memory").import_session(data).expand(ref)


def test_index_that_a_tool_writes_opens_nothing(c: Compressor) -> None:
    ref = secret_of_another(c)
    rules = Policy(target=("tokens", 1_200), tools={"*": ToolRule(max_tokens=300)})
    session = c.session("a", tenant="mine", budget=3_000, policy=rules)
    page = "\n".join(f"secret of another {i}: {prose(i, 2)} {format_placeholder(ref)}" for i in range(40))
    session.append(*conversation(1, sentences=2), assistant_calls("p"), result("p", page))
    session.append(*conversation(8, seed=3)[2:])
    session.view()
    assert "secret of another 3" in session.expand(compute_ref(page))
    assert "TOPSECRET" not in session.expand(compute_ref(page), query="secret of another")


def test_every_ref_that_recall_shows_can_be_expanded(c: Compressor) -> None:
    session = c.session("a")
    rows = json.dumps([{"id": i, "name": f"item {i}", "where": "Atlantis"} for i in range(30)], indent=2)
    session.append(*said("Find item 7."), assistant_calls("q"), result("q", rows))
    assert session.view()[-1]["content"] != rows and not find_refs(text(session.view()))  # folded
    refs = find_refs(session.recall("item 7", 150))
    assert refs and all(session.expand(ref) for ref in refs) and session.expand(refs[0]) == rows


def test_tool_answers_whatever_it_is_called_with(c: Compressor) -> None:
    session = c.session("a")
    session.append(*conversation(1, sentences=200))
    (ref,) = find_refs(text(session.view()))
    tool = session.expand_tool
    for arguments in (
        "[" * 100_000,
        {"ref": "\ud800"},
        {"ref": "x" * 10**6},
        b"{",
        {"ref": "1", "max_tokens": "9" * 9999},
    ):
        answer = tool.answer(arguments)  # type: ignore[arg-type]
        assert answer.startswith("Not expanded") and len(answer) < 300
    for i in range(20):
        session.expand(f" […cut ref {ref}] ", query=f"walnut{i} " * 5_000, budget=10**9)
    assert sum(map(len, session.export()["state"]["expansions"])) <= 8 * 600


# -- journals and stores


def test_expired_journal_is_written_whole_also_after_a_failure() -> None:
    now = [0.0]
    c = Compressor(store=MemoryStore(ttl=100, clock=lambda: now[0]))
    session = c.session("a")
    session.append(*conversation(3))
    now[0] += 500
    with pytest.raises(ContextError):
        session.append(7)
    session.append(*said("More."))
    assert c.session("a").view() == session.view()


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_another_journal_in_the_place_of_one_forgotten(c: Compressor, count: int) -> None:
    """Two sessions' records never mix, whatever their numbers."""
    old = c.session("a")
    old.append(*said("A0"))
    old.append(*said("A1"))
    c.session("a").close(forget=True)
    new = c.session("a")
    for i in range(count):
        new.append(*said(f"B{i}"))
    old.append(*said("last"))
    assert words_of(old) == words_of(new) == words_of(c.session("a")) == [*(f"B{i}" for i in range(count)), "last"]


def test_forgotten_object_begins_anew(c: Compressor) -> None:
    session = c.session("a")
    session.append(*said("Secret."))
    session.close(forget=True)
    session.append(*said("Hello."))
    assert words_of(session) == words_of(c.session("a")) == ["Hello."]


def test_new_system_prompt_is_kept(c: Compressor) -> None:
    session, messages = c.session("a"), conversation(1, sentences=2)
    session.sync(messages)
    session.view()
    session.sync([{"role": "system", "content": "Other."}, *messages[1:]])
    session.view()
    assert c.session("a").view()[0]["content"] == "Other."


def test_system_and_tools_given_with_follow_count_also_after_a_failure(c: Compressor) -> None:
    session = c.session("a", model="claude-sonnet-4-5")
    tools = [{"name": "look", "description": "Looks. " * 50, "input_schema": {"type": "object", "properties": {}}}]
    session.sync(said("Go."), system="Be brief. " * 200, tools=tools)
    before = session.cost_report().view_tokens
    with pytest.raises(ContextError):
        session.sync([*said("Go."), 7])
    c.session("a").append(*said("More."))
    assert session.cost_report().view_tokens > before > 500


@pytest.mark.moderate
def test_what_was_exported_or_kept_does_not_change(c: Compressor) -> None:
    session = c.session("a", **TIGHT)
    session.append(*conversation(20))
    session.view()
    data = session.export()
    frozen = json.dumps(data)
    session.append(*conversation(20, seed=1)[2:])
    session.view()
    assert json.dumps(data) == frozen and Compressor(store="memory").import_session(data).cost_report().calls == 1
    talk = Conversation(c, scope="t", **TIGHT)
    talk.sync(conversation(20))
    talk.view()
    state = talk.state
    frozen = json.dumps(state)
    talk.sync(conversation(40))
    talk.view()
    assert json.dumps(state) == frozen and talk.state["page_refs"] != state["page_refs"]


def test_failed_follow_changes_nothing(c: Compressor) -> None:
    talk = Conversation(c, scope="t")
    talk.sync(conversation(2))
    view, state = talk.view(), talk.state
    for bad in ([{"a": {1}}], [*said("Other."), 7]):
        with pytest.raises(ContextError):
            talk.sync(bad, system="Other.")
        assert talk.state == state and talk.view() == view


def test_a_round_that_a_provider_would_refuse_is_set_aside(c: Compressor) -> None:
    """Its messages stay as they are, and the rest is compressed. What is appended now must be right all the same."""
    call: Message = assistant_calls("lost")
    history: list[Any] = [*said("Find the copper."), call, {"role": "user", "content": "Stop. Take page 2 first."}]
    talk = Conversation(c, budget=2_000, scope="t")
    for i in range(30):
        history += [assistant_calls(f"c{i}"), result(f"c{i}", prose(i, 12))]
        talk.sync(history)
        view = talk.view()
    assert talk.cost_report().compactions and call in view and talk.view_tokens <= 2_000
    with pytest.raises(ContextError):
        talk.append(result("nobody", "x"))
    assert talk.view() == view


@pytest.mark.moderate
def test_failing_store_costs_nothing_but_time() -> None:
    """Whatever call fails, it can be made again, and the session goes on as one whose store never failed."""
    store, rng = MemoryStore(), random.Random(1)
    session, twin = Compressor(store=store).session("a", **TIGHT), Compressor(store="memory").session("a", **TIGHT)

    def flaky(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if rng.random() < 0.3:
                raise StoreError("the disk is full")
            return function(*args, **options)

        return call

    for name in ("append_log", "read_log", "put", "get_many"):
        setattr(store, name, flaky(getattr(store, name)))

    def again(function: Callable[..., Any], *args: Any) -> Any:
        for _ in range(100):
            with suppress(StoreError):
                return function(*args)
        raise AssertionError("never done")

    for message in conversation(40):
        if message["role"] == "assistant":
            assert again(session.view) == twin.view()
        again(session.append, message)
        twin.append(message)
    pages = again(session.export)["state"]["page_refs"]
    assert again(session.cost_report) == twin.cost_report() and len(pages) == len(set(pages)) > 1
