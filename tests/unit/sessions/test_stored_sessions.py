"""Sessions in a store: restarts, kills, several workers, forks, exports, histories that depart."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from compressor import (
    Compressor,
    CompressorError,
    ContextError,
)
from compressor.context.refs import find_refs
from compressor.sessions import AsyncSession, Conversation, Policy, Session
from compressor.sessions.state import VERSION
from support.paths import TESTS
from support.session_tools import Message, conversation, prose, replay, text


@pytest.mark.moderate
def test_resumed_session_has_the_same_view(tmp_path: Any) -> None:
    path = str(tmp_path / "s.db")
    messages = conversation(30)
    first = Compressor(store=path)
    session = first.session("a", budget=4_000)
    views = replay(session, messages[:40])
    first.close()
    second = Compressor(store=path)
    resumed = second.session("a", budget=4_000)
    assert resumed.view() == views[-1]
    twin = Compressor(store="memory").session("a", budget=4_000)
    replay(twin, messages[:40])
    for message in messages[40:]:
        resumed.append(message)
        twin.append(message)
        if message["role"] == "tool":
            assert resumed.view() == twin.view()
    assert resumed.cost_report() == twin.cost_report()


@pytest.mark.moderate
def test_two_workers_on_one_session(tmp_path: Any) -> None:
    path = str(tmp_path / "s.db")
    a, b = (Compressor(store=path).session("a", budget=4_000) for _ in range(2))
    messages = conversation(20)
    for i, message in enumerate(messages):
        (a, b)[i % 2].append(message)
        if message["role"] == "tool":
            assert a.view() == b.view()


def test_many_threads_lose_nothing(c: Compressor) -> None:
    sessions = [c.session("a") for _ in range(4)]
    sessions[0].append({"role": "user", "content": "Start."})

    async def work() -> None:
        await asyncio.gather(
            *(
                AsyncSession(s).append({"role": "user", "content": f"word {k} {i}"})
                for k, s in enumerate(sessions)
                for i in range(10)
            )
        )

    asyncio.run(work())
    said = sorted(m["content"] for m in c.session("a").view())
    assert said == sorted(["Start.", *(f"word {k} {i}" for k in range(4) for i in range(10))])


KILLED = """
import sys
from compressor import Compressor
sys.path.insert(0, {tests!r})
from support.session_tools import conversation
session = Compressor(store={path!r}).session("a", budget=4_000)
for message in conversation(40):
    if message["role"] == "assistant":
        session.view()
    session.append(message)
    print(message.get("tool_call_id") or message["role"], flush=True)
"""


@pytest.mark.moderate
@pytest.mark.parametrize("after", [1, 9, 30])
def test_killed_at_any_step_nothing_acknowledged_is_lost(tmp_path: Path, after: int) -> None:
    """SIGKILL after so many acknowledged messages; a session that goes on from there gives the bytes of one that was
    never interrupted."""
    path, messages = str(tmp_path / "s.db"), conversation(40)
    code = KILLED.format(tests=str(TESTS), path=path)
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for _ in range(after):
            assert child.stdout.readline()
        child.kill()
    resumed = Compressor(store=path).session("a", budget=4_000)
    count = resumed.export(originals=False)["state"]["count"] + 1  # and the system message
    assert count >= after
    twin = Compressor(store="memory").session("a", budget=4_000)
    for message in messages[:count]:
        if message["role"] == "assistant":
            twin.view()
        twin.append(message)
    for message in messages[count:]:
        if message["role"] == "assistant":
            assert resumed.view() == twin.view()
        resumed.append(message)
        twin.append(message)
    assert resumed.view() == twin.view()


def test_follow_is_idempotent_and_goes_back(c: Compressor) -> None:
    messages = conversation(20)
    session = c.session("a", policy=Policy(compact=False))
    session.sync(messages[:12])
    first = session.view()
    session.sync(messages[:12])
    assert session.view() == first
    session.sync(messages)
    assert session.view()[:12] == first
    changed = [*messages[:10], {"role": "user", "content": "Forget that; where is the maple?"}]
    session.sync(changed)
    assert session.view()[:10] == first[:10] and session.view()[-1] == changed[-1]
    session.sync([{"role": "user", "content": "A new history."}])
    assert session.view() == [{"role": "user", "content": "A new history."}]


@pytest.mark.moderate
def test_follow_equals_append(c: Compressor) -> None:
    messages = conversation(30)
    by_append, by_follow = c.session("a", budget=4_000), c.session("b", budget=4_000)
    for i, message in enumerate(messages):
        by_append.append(message)
        if message["role"] == "tool":
            by_follow.sync(messages[: i + 1])
            assert by_append.view() == by_follow.view()


def test_follow_does_not_mind_moving_cache_borders(c: Compressor) -> None:
    def marked(messages: list[Message], at: int) -> list[Message]:
        out = [
            {**m, "content": [{"type": "text", "text": m["content"]}]} if m["role"] == "user" else m for m in messages
        ]
        out[at] = {**out[at], "content": [{**out[at]["content"][0], "cache_control": {"type": "ephemeral"}}]}
        return out

    messages = [{"role": "user", "content": f"{i} {prose(i)}"} for i in range(3)]
    session = c.session("a")
    session.sync(marked(messages[:2], 1))
    session.sync(marked(messages, 2))
    view = session.view()
    assert [("cache_control" in m["content"][0]) for m in view] == [False, False, True]


def test_going_back_behind_what_has_gone_shows_nothing_of_it(c: Compressor) -> None:
    """Two histories that begin alike: the index of the one is no business of the other."""
    session = c.session("a", budget=3_000, policy=Policy(target=("tokens", 1_200)))
    messages = conversation(30)
    session.sync(messages)
    assert "index of earlier rounds" in text(session.view())
    other = [*messages[:2], *conversation(3, seed=9)[2:]]
    session.sync(other)
    view = session.view()
    assert "index of earlier rounds" not in text(view) and view[:2] == other[:2]
    assert session.recall("page 0") == ""


def test_conversation_state_is_json_and_enough(c: Compressor) -> None:
    messages = conversation(30)
    talk = Conversation(c, budget=4_000, scope="t")
    talk.sync(messages[:30])
    view, state = talk.view(), json.loads(json.dumps(talk.state))
    again = Conversation(c, budget=4_000, scope="t", state=state)
    again.sync(messages[:30])
    assert again.view() == view and not again.has_changes
    again.sync(messages)
    talk.sync(messages)
    assert again.view() == talk.view()
    wrong: list[Any] = [
        {},
        {"version": VERSION + 1},
        {"version": VERSION - 1},
        {"version": VERSION, "records": [{"nonsense": 1}]},
        {"version": VERSION, "counters": {"calls": "x"}},
    ]
    for bad in wrong:
        with pytest.raises(CompressorError):
            Conversation(c, state=bad)


def test_forks_go_their_own_way(c: Compressor) -> None:
    session = c.session("a", budget=4_000)
    session.append(*conversation(10))
    fork = session.fork("b")
    fork.append({"role": "assistant", "content": "In the fork."}, {"role": "user", "content": "More."})
    session.append({"role": "assistant", "content": "In the trunk."}, {"role": "user", "content": "More."})
    assert "In the fork." not in text(session.view()) and "In the trunk." not in text(fork.view())
    assert c.session("b", budget=4_000).view() == fork.view()


@pytest.mark.moderate
def test_export_and_import_into_another_store(c: Compressor) -> None:
    session = c.session("a", budget=4_000, policy=Policy(target=("tokens", 1_500)))
    replay(session, conversation(40))
    data = json.loads(json.dumps(session.export()))
    other = Compressor(store="memory")
    twin = other.import_session(data, budget=4_000, policy=Policy(target=("tokens", 1_500)))
    assert twin.view() == session.view() and twin.id == "a"
    for ref in find_refs(text(twin.view())):
        assert twin.expand(ref) == session.expand(ref)
    with pytest.raises(CompressorError, match="there is a session"):
        other.import_session(data)
    broken: list[dict[str, Any]] = [{}, {"state": {}}, {**data, "messages": []}]
    for bad in broken:
        with pytest.raises(CompressorError):
            other.import_session(bad, "x")


def test_forgotten_session_starts_anew(c: Compressor) -> None:
    session = c.session("a")
    session.append({"role": "user", "content": "Hello."})
    session.close(forget=True)
    fresh = c.session("a")
    with pytest.raises(ContextError, match="empty"):
        fresh.view()


def test_async_session_has_every_public_name_of_a_session() -> None:
    own = {name for name in vars(Session) if not name.startswith("_")}
    assert own <= {name for name in vars(AsyncSession) if not name.startswith("_")}
    for name in own:
        if not isinstance(vars(Session)[name], property) and name != "fork":
            assert inspect.signature(getattr(AsyncSession, name)) == inspect.signature(getattr(Session, name))


def test_async_session_passes_properties_and_repr_through(c: Compressor) -> None:
    session = c.session("a", model="gpt-4o", tenant="t")
    session.append(*conversation(2))
    twin = AsyncSession(session)
    assert (twin.id, twin.model, twin.tenant, twin.count) == ("a", "gpt-4o", "t", 6)
    assert repr(session) == f"<Session 'a' model='gpt-4o' messages=6 view_tokens={session.cost_report().view_tokens}>"
    assert repr(twin) == f"<AsyncSession of {session!r}>" and twin.warnings == [] and twin.expand_tool.name
