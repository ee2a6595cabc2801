"""Sessions stored in Redis: several workers, and a server that goes away in the middle."""

from __future__ import annotations

import contextlib
import json
import pickle
import random
import subprocess
import sys
from typing import Any

import pytest

from compressor import Compressor, StoreError
from compressor.context.refs import find_refs
from compressor.storage import ResilientStore
from compressor.storage.circuit_breaker import CircuitBreaker
from compressor.storage.redis.store import RedisStore
from compressor.storage.text_values import get_text
from support.redis_tools import RedisServer, shared_server
from support.waiting import wait_for

Message = dict[str, Any]
WORDS = "harbour lantern gravel orbit maple cobalt ferry pillar walnut signal meadow copper".split()


def copper_conversation(rounds: int) -> list[Message]:
    """A task, then rounds of one tool call each."""
    rng = random.Random(0)
    out: list[Message] = [{"role": "user", "content": "Find out where the copper is stored. Never delete a record."}]
    for i in range(rounds):
        call = {"id": f"c{i}", "type": "function", "function": {"name": "look", "arguments": f'{{"page": {i}}}'}}
        lines = (f"The {rng.choice(WORDS)} near the {rng.choice(WORDS)} holds {rng.random()}." for _ in range(30))
        out.append({"role": "assistant", "content": f"Looking at page {i}.", "tool_calls": [call]})
        out.append({"role": "tool", "tool_call_id": f"c{i}", "content": " ".join(lines)})
    return out


@pytest.mark.parametrize("cluster", [False, True])
def test_two_workers_on_one_session(cluster: bool) -> None:
    server = shared_server(cluster=cluster)
    server.admin.execute_command("FLUSHALL")
    workers = [Compressor(store=server.url) for _ in range(2)]
    a, b = (worker.session("s", budget=4_000) for worker in workers)
    memory = Compressor(store="memory")
    alone = memory.session("s", budget=4_000)
    for i, message in enumerate(copper_conversation(20)):
        (a, b)[i % 2].append(message)
        alone.append(message)
        if message["role"] == "tool":
            assert a.view() == b.view() == alone.view()
    assert a.cost_report().compactions > 0
    refs = find_refs(json.dumps(a.view()))
    assert refs
    for ref in refs:
        assert a.expand(ref) == b.expand(ref) == alone.expand(ref)
    for worker in (*workers, memory):
        worker.close()


def test_a_pickled_session_connects_again_and_goes_on() -> None:
    server = shared_server()
    server.admin.execute_command("FLUSHALL")
    compressor = Compressor(store=server.url)
    original = compressor.session("s", budget=4_000)
    original.append(*copper_conversation(10))
    made: Any = pickle.loads(pickle.dumps(original))
    assert made.view() == original.view() and made.count == original.count
    original.append({"role": "assistant", "content": "It is in the harbour."})
    assert made.view() == original.view()
    made._compressor.close()
    compressor.close()


WORKER = """
import sys
from compressor import Compressor
url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
compressor = Compressor(store=url)
session = compressor.session("s")
for i in range(count):
    session.append({"role": "user", "content": f"{name} {i}"})
compressor.close()
"""


def test_processes_on_one_session_lose_and_double_nothing(server: RedisServer) -> None:
    workers = [subprocess.Popen([sys.executable, "-c", WORKER, server.url, name, "15"]) for name in "abc"]
    assert [worker.wait() for worker in workers] == [0, 0, 0]
    compressor = Compressor(store=server.url)
    said = [message["content"] for message in compressor.session("s").view()]
    assert sorted(said) == sorted(f"{name} {i}" for name in "abc" for i in range(15))
    for name in "abc":
        assert [text for text in said if text.startswith(name)] == [f"{name} {i}" for i in range(15)]
    compressor.close()


def test_resumed_after_the_servers_restart(server: RedisServer) -> None:
    messages = copper_conversation(20)
    first = Compressor(store=server.url)
    session = first.session("s", budget=4_000)
    for message in messages[:31]:
        session.append(message)
    view, refs = session.view(), find_refs(json.dumps(session.view()))
    originals = {ref: session.expand(ref) for ref in refs}
    assert refs
    server.kill()
    server.start()
    second = Compressor(store=server.url)
    resumed = second.session("s", budget=4_000)
    assert json.dumps(resumed.view()) == json.dumps(view) == json.dumps(session.view())
    assert {ref: resumed.expand(ref) for ref in refs} == originals
    for message in messages[31:]:
        resumed.append(message)
    assert session.view() == resumed.view()
    for compressor in (first, second):
        compressor.close()


@pytest.mark.slow
@pytest.mark.parametrize("stalled", [False, True])
def test_a_server_that_is_gone_costs_an_error_and_no_message(server: RedisServer, stalled: bool) -> None:
    """The caller follows the whole history: what an error left open is settled when the server is back."""
    store = ResilientStore(RedisStore(server.url, timeout=0.4), probe_interval=0.1, breaker=CircuitBreaker(2, 10.0))
    compressor, memory = Compressor(store=store), Compressor(store="memory")
    session, alone = (each.session("s", budget=4_000) for each in (compressor, memory))
    messages = copper_conversation(20)
    for end in range(1, len(messages) + 1, 4):
        if end % 3 == 1:
            with contextlib.ExitStack() as away:
                if stalled:
                    away.enter_context(server.stalled())
                else:
                    server.kill()
                    away.callback(server.start)
                for _ in range(3):
                    with pytest.raises(StoreError):
                        session.sync(messages[:end])
                # Calls that need no log go on, and their originals are local.
                done = compressor.compress(messages[:21], budget=2_000)
                originals = {ref: compressor.expand(ref) for ref in find_refs(json.dumps(done.messages))}
                assert originals
            wait_for(lambda: store.health().state == "closed" and store.health().pending == 0)
            for ref, original in originals.items():
                assert get_text(RedisStore(server.url), ref) == original
        session.sync(messages[:end])
        alone.sync(messages[:end])
        assert session.view() == alone.view()
    assert store.health().opened == 4
    for ref in find_refs(json.dumps(alone.view())):
        assert session.expand(ref) == alone.expand(ref)
    for each in (compressor, memory):
        each.close()
