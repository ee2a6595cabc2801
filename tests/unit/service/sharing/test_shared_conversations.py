"""Conversations that several processes continue through one store, each with a registry of its own."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("pydantic_settings")

from compressor import Compressor, StoreError
from compressor.providers import OpenAIChatApi, tracked_state
from compressor.providers.base import ContextCall, HiddenRounds, ModelTurn
from compressor.providers.tracked_state import hidden_from_json, hidden_to_json
from compressor.service.conversations import ConversationRegistry
from compressor.service.failure_notices import NOTICES
from compressor.service.modes import conversation_key
from compressor.service.proxy.request_body import read_body
from compressor.service.raw_histories import RawHistories
from compressor.service.session_registry import SessionRegistry
from compressor.service.settings import Settings
from compressor.service.sharing import shared_store, state_log
from compressor.service.sharing.response_ids import ResponseIds
from compressor.service.sharing.state_log import StateLog
from compressor.storage.memory import MemoryStore
from support.client_tools import LOG

Message = dict[str, Any]
API = OpenAIChatApi()


class Worker:
    """A process's registry, over a store that it shares."""

    def __init__(self, store: MemoryStore, **settings: Any) -> None:
        config = Settings(**{"store": "memory", "share_conversations": True, "budget": 6000, **settings})
        compressor = Compressor(store=store, cache=False)
        sessions = SessionRegistry(compressor, config.session_policy(), config.prompt_budgets(), 8)
        self.registry = ConversationRegistry(compressor, sessions, config)

    def send(self, messages: list[Message]) -> list[Message]:
        """The messages that go to the provider."""
        raw = json.dumps({"model": "gpt-4o", "messages": messages}).encode()
        call = self.registry.prepare(API, read_body(raw, 64, self.registry.similar_bodies))
        assert call is not None
        self.id = self.registry.conversation_cost(call.tracked)[0]
        sent: list[Message] = json.loads(json.dumps(call.body["messages"]))
        return sent


def rounds(count: int, begin: str = "Why did the import stop?") -> list[Message]:
    """A history of `count` tool rounds."""
    out: list[Message] = [{"role": "user", "content": begin}]
    for number in range(count):
        call = {"id": f"c{number}", "type": "function", "function": {"name": "read_log", "arguments": "{}"}}
        out.append({"role": "assistant", "content": f"Part {number}.", "tool_calls": [call]})
        out.append({"role": "tool", "tool_call_id": f"c{number}", "content": f"part {number}\n{LOG}"})
    return out


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture(autouse=True)
def notices() -> list[str]:
    found: list[str] = []
    NOTICES.set(found)
    return found


def alone(count: int) -> list[list[Message]]:
    """What one worker sends for 1 to `count` rounds."""
    worker = Worker(MemoryStore())
    return [worker.send(rounds(number)) for number in range(1, count + 1)]


def test_workers_in_turn_send_what_one_sends(store: MemoryStore) -> None:
    workers = [Worker(store), Worker(store)]
    sent = [workers[number % 2].send(rounds(number)) for number in range(1, 9)]
    assert sent == alone(8) and workers[0].id == workers[1].id
    assert len(sent[-1]) < len(rounds(8))  # some were compacted away
    assert Worker(store).send(rounds(9)) == alone(9)[-1]


def test_a_request_that_is_repeated_late_gets_its_first_bytes(store: MemoryStore) -> None:
    workers = [Worker(store), Worker(store)]
    sent = [workers[0].send(rounds(number)) for number in range(1, 9)]
    for number in (8, 3, 5, 1):
        assert workers[1].send(rounds(number)) == sent[number - 1]
        assert workers[0].send(rounds(number)) == sent[number - 1]


def test_an_edited_history_goes_on_from_the_turn_before_the_edit(store: MemoryStore, notices: list[str]) -> None:
    one, other = Worker(store), Worker(store)
    sent = [one.send(rounds(number)) for number in range(1, 5)]
    edited = [*rounds(2), {"role": "assistant", "content": "Hm."}, {"role": "user", "content": "And before?"}]
    branch = other.send(edited)
    assert branch[: len(sent[1])] == sent[1] and other.id != one.id
    later = [*edited, {"role": "assistant", "content": "Nothing."}, {"role": "user", "content": "Thanks."}]
    assert one.send(later)[: len(branch)] == branch and one.id == other.id
    assert other.send(rounds(5)) == alone(5)[-1]  # the first branch is as it was
    assert not notices


def test_a_worker_that_ends_before_it_writes_leaves_nothing(store: MemoryStore, monkeypatch: Any) -> None:
    one, other = Worker(store), Worker(store)
    one.send(rounds(1))
    with monkeypatch.context() as patch:
        patch.setattr(StateLog, "append", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            one.send(rounds(2))
    assert other.send(rounds(2)) == alone(2)[-1]
    assert other.send(rounds(3)) == alone(3)[-1]


def test_the_second_of_two_writers_takes_over_what_the_first_wrote(store: MemoryStore, monkeypatch: Any) -> None:
    one, other = Worker(store), Worker(store)
    one.send(rounds(1))
    raced: list[Any] = []
    whole = StateLog.append

    def append(log: StateLog, *args: Any) -> Any:
        if not raced:
            raced.append(1)
            raced.append(other.send(rounds(2)))
        return whole(log, *args)

    monkeypatch.setattr(StateLog, "append", append)
    assert one.send(rounds(2)) == raced[1] == alone(2)[-1]
    assert one.send(rounds(3)) == alone(3)[-1]


def test_a_lost_or_damaged_log_is_begun_anew(store: MemoryStore, monkeypatch: Any, notices: list[str]) -> None:
    Worker(store).send(rounds(1))
    logs = [name for name in store._logs.live if name.startswith("conversation:")]
    for name in logs:
        store.drop_log(name)
    assert Worker(store).send(rounds(1)) == alone(1)[-1]
    assert Worker(store).send(rounds(2))[: len(rounds(1))] == alone(2)[-1][: len(rounds(1))]
    monkeypatch.setattr(tracked_state, "state_from_parts", lambda _: {"version": 99, "scopes": [""]})
    assert Worker(store).send(rounds(3))[0] == rounds(3)[0]
    assert notices == ["conversation not shared: unreadable"]


def test_a_long_conversation_has_a_short_log(store: MemoryStore, monkeypatch: Any) -> None:
    monkeypatch.setattr(state_log, "MAX_RECORDS", 3)
    workers = [Worker(store), Worker(store)]
    sent = [workers[number % 2].send(rounds(number)) for number in range(1, 11)]
    assert sent == alone(10)
    (name,) = (name for name in store._logs.live if name.startswith("conversation:"))
    assert len(store.read_log(name)) <= 4
    again = workers[0].send(rounds(2))  # a turn that the log has forgotten
    assert again[0] == rounds(2)[0]
    assert workers[1].send(rounds(11)) == alone(11)[-1]


def test_a_system_prompt_may_change_from_call_to_call(store: MemoryStore) -> None:
    Worker(store).send([{"role": "system", "content": "It is 12:00."}, *rounds(1)])
    sent = Worker(store).send([{"role": "system", "content": "It is 12:01."}, *rounds(2)])
    assert sent[0]["content"] == "It is 12:01." and sent[1:] == alone(2)[-1]


def test_a_gateways_workers_see_one_view(store: MemoryStore) -> None:
    def views(*workers: Worker) -> list[list[Message]]:
        asked = [(workers[number % len(workers)], rounds(number)) for number in range(1, 8)]
        return [worker.registry.view(messages, "gpt-4o", None, None)[1] for worker, messages in asked]

    assert views(Worker(store), Worker(store)) == views(Worker(MemoryStore()))


def test_a_worker_keeps_one_state_of_a_conversation(store: MemoryStore) -> None:
    workers = [Worker(store), Worker(store)]
    for number in range(1, 9):
        workers[number % 2].send(rounds(number))
    for worker in workers:
        assert len(worker.registry._cached) == 1 and len(worker.registry.cost_reports()) == 1
        assert worker.registry.find(worker.id) is not None


def test_a_worker_that_takes_over_writes_nothing_that_is_known(store: MemoryStore, monkeypatch: Any) -> None:
    one, other = Worker(store, tools_budget=400), Worker(store, tools_budget=400)
    for number in range(1, 9):
        one.send(rounds(number))
    written: list[Any] = []
    whole = store.append_log

    def append(name: str, number: int, records: Any, **more: Any) -> bool:
        written.extend(json.loads(record) for record in records)
        return whole(name, number, records, **more)

    monkeypatch.setattr(store, "append_log", append)
    other.send(rounds(8))
    assert not written
    other.send(rounds(9))
    (record,) = written
    known = {name for name in record["set"] if name.startswith("record:")}
    assert len(known) <= 3 and len(json.dumps(record)) < 20_000


def test_a_conversation_that_was_taken_over_does_not_begin_anew(store: MemoryStore) -> None:
    one, other = Worker(store), Worker(store)
    raw = RawHistories()
    raw.note(conversation_key(one.registry._tenant, "", rounds(9)), rounds(4))  # what a rollout held out here
    one.registry._raw_histories = raw
    for number in range(1, 9):
        other.send(rounds(number))
    tracked = one.registry._find_resolver_by_message(rounds(9), "openai_chat", 6000, {}).tracker.match(
        rounds(9), "gpt-4o", "openai_chat"
    )
    assert tracked.conversation.state["count"] == len(rounds(8))


def test_other_settings_are_other_conversations(store: MemoryStore) -> None:
    one, other = Worker(store), Worker(store, budget=9000)
    one.send(rounds(1))
    other.send(rounds(1))
    assert one.id != other.id


def test_a_store_that_fails_costs_only_the_sharing(store: MemoryStore, monkeypatch: Any, notices: list[str]) -> None:
    monkeypatch.setattr(shared_store, "RETRY_SECONDS", 0.0)
    one, other = Worker(store), Worker(store)
    sent = [one.send(rounds(1))]

    def fail(*_: Any, **__: Any) -> Any:
        raise StoreError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(store, "append_log", fail)
        sent += [one.send(rounds(number)) for number in range(2, 5)]
        assert notices == ["conversation not shared: StoreError"]
    sent.append(one.send(rounds(5)))
    assert other.send(rounds(6)) == alone(6)[-1] and sent == alone(5)


def test_hidden_rounds_are_json_and_back() -> None:
    turn = ModelTurn([{"role": "assistant"}], [ContextCall("1", "expand_context", "{}")], ["2"], {"a": 1}, "r")
    hidden = HiddenRounds([{"role": "tool"}], [turn, turn], ["text"])
    data = json.loads(json.dumps(hidden_to_json(hidden)))
    assert hidden_from_json(data) == hidden and hidden_to_json(hidden_from_json(data)) == data


def test_ids_of_responses_are_found_by_other_workers(store: MemoryStore) -> None:
    one, other, own = ResponseIds(store), ResponseIds(store), ResponseIds()
    one.put("resp_1", "resp_2")
    own.put("resp_3", "resp_4")
    assert other.get("resp_1") == "resp_2" and other.get("resp_3") is None and other.get("") is None
    assert own.get("resp_3") == "resp_4" and own.get("resp_1") is None


def test_conversations_are_shared_where_there_is_something_to_share() -> None:
    assert Settings().shares_conversations and Settings(store="redis://localhost").shares_conversations
    assert not Settings(store="memory").shares_conversations
    assert not Settings(store="redis://localhost", share_conversations=False).shares_conversations
