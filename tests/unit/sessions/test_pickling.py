"""Copies of what a program holds: pickle, copy.deepcopy, and a process that is started anew."""

from __future__ import annotations

import asyncio
import copy
import json
import multiprocessing
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from compressor import Compressor, ExampleStore, StoreError, summarizer
from compressor.context.refs import find_refs
from compressor.pipeline.word_pruner import WordPruner
from compressor.sessions import AsyncSession, Conversation, Policy, Session, ToolRule
from compressor.storage import MemoryStore, ResilientStore, SQLiteStore
from compressor.storage.wrappers.encrypted import EncryptedStore
from compressor.storage.wrappers.redacting import RedactingStore
from support.session_tools import conversation, prose, text

LOG = "\n".join(f"step {i}: ok" for i in range(500)) + "\nstep 500: error, disk full"
POLICY = Policy(target=("tokens", 1_200), tools={"look": ToolRule(max_tokens=400)})


def by_pickle(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


COPIES: list[Callable[[Any], Any]] = [by_pickle, copy.deepcopy]


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("scorer", ["fast", "embedding", "pruner", "cascade"])
def test_a_compressor_expands_what_the_one_it_was_copied_from_has_cut(
    copied: Callable[[Any], Any], scorer: str, tmp_path: Any
) -> None:
    if scorer != "fast":
        pytest.importorskip("onnxruntime" if scorer != "pruner" else "torch")
    for store in ("memory", str(tmp_path / "s.db")):
        original = Compressor(scorer, store, device="cpu", prune_words=WordPruner(), cache=True)
        cut = Compressor("fast", original.store).compress_text(LOG, budget=60, query="What failed?")
        made = copied(original)
        assert repr(made) == repr(original) and made.expand(cut.dropped[0].ref) == LOG
        assert made.cache is not None and made.cache is not original.cache


def test_a_copy_shares_the_store_and_a_pickle_of_a_memory_store_carries_what_it_holds() -> None:
    original = Compressor(store="memory")
    shared, carried = copy.deepcopy(original), by_pickle(original)
    assert shared.store is original.store is copy.copy(original.store) and carried.store is not original.store
    later = original.compress_text(LOG, budget=60).dropped[0].ref
    assert shared.expand(later) == LOG
    with pytest.raises(LookupError):
        carried.expand(later)
    assert by_pickle(original).expand(later) == LOG


def test_a_cached_result_is_found_by_a_copy() -> None:
    original = Compressor(store="memory", cache=True)
    first = original.compress_text(LOG, budget=60)
    found = by_pickle(original).compress_text(LOG, budget=60)
    assert (first.cached, found.cached, found.text) == ("miss", "hit", first.text)


def filled(session: Any) -> Any:
    session.append(*conversation(30))
    session.view()
    return session


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("frozen", [False, True])
def test_a_conversation_goes_on_with_the_same_bytes(copied: Callable[[Any], Any], frozen: bool) -> None:
    c, rest = Compressor(store="memory"), conversation(40)[62:]
    original = Conversation(c, "gpt-4o", 3_000, POLICY, system="Be brief.", tools=[], frozen=frozen)
    filled(original)
    original.request_compaction()
    made = copied(original)
    assert made.view() == original.view() and made.state == original.state
    assert (made.warnings, made.has_changes, made.cost_report()) == (
        original.warnings,
        original.has_changes,
        original.cost_report(),
    )
    for session in (original, made):
        session.append(*rest)
    assert made.view() == original.view() and made.view_tokens == original.view_tokens
    ref = find_refs(text(original.view()))[0]
    assert made.expand(ref) == original.expand(ref)
    made.append({"role": "user", "content": "In the copy."})
    assert "In the copy." not in text(original.view())


def test_a_conversation_that_waits_for_its_messages_is_copied_as_it_is() -> None:
    c, messages = Compressor(store="memory"), conversation(30)
    first = Conversation(c, budget=3_000, policy=POLICY)
    first.sync(messages)
    view = first.view()
    waiting = copy.deepcopy(Conversation(c, budget=3_000, policy=POLICY, state=first.state))
    waiting.sync(messages)
    assert waiting.view() == view


@pytest.mark.parametrize("copied", COPIES)
def test_a_session_goes_on_from_its_journal(copied: Callable[[Any], Any], tmp_path: Any) -> None:
    for store in ("memory", str(tmp_path / "s.db")):
        c = Compressor(store=store)
        original = filled(c.session("a", "gpt-4o", 3_000, POLICY, tenant="one"))
        made = copied(original)
        assert repr(made) == repr(original) and made.tenant == "one" and made.view() == original.view()
        made.append({"role": "assistant", "content": "From the copy."})
        if store != "memory" or copied is copy.deepcopy:  # two workers on one session
            assert "From the copy." in text(original.view()) and made.count == original.count
        is_small = len(pickle.dumps(original)) < 3_000
        assert is_small or store == "memory"  # the id and the options, no messages


def test_a_forgotten_session_starts_anew_in_its_copy(tmp_path: Any) -> None:
    original = filled(Compressor(store=str(tmp_path / "s.db")).session("a"))
    data = pickle.dumps(original)
    original.close(forget=True)
    assert pickle.loads(data).count == 0


@pytest.mark.parametrize("copied", COPIES)
def test_an_asynchronous_session_is_copied_as_its_session(copied: Callable[[Any], Any], tmp_path: Any) -> None:
    original = AsyncSession(filled(Compressor(store=str(tmp_path / "s.db")).session("a")))
    made = copied(original)
    asyncio.run(made.append({"role": "assistant", "content": "From the copy."}))
    assert made.session.call_queue is not original.session.call_queue
    assert asyncio.run(made.view()) == asyncio.run(original.view())


def work(session: Session, said: str, answers: Any) -> None:
    """What the process does that is started anew."""
    session.append({"role": "user", "content": said})
    answers.put((session.view(), session.recall("Which units hold the copper?"), session.cost_report().calls))


def test_a_session_goes_on_in_a_process_that_is_started_anew(tmp_path: Any) -> None:
    session = filled(Compressor(store=str(tmp_path / "s.db")).session("a", "gpt-4o", 3_000, POLICY))
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=work, args=(session, "Said elsewhere.", answers))
    process.start()
    view, found, calls = answers.get(timeout=120)
    process.join(30)
    assert process.exitcode == 0 and view[-1]["content"] == "Said elsewhere."
    assert session.view() == view and session.recall("Which units hold the copper?") == found and calls == 2


def test_stores_are_opened_again_and_locks_are_new(tmp_path: Any) -> None:
    sqlite = SQLiteStore(tmp_path / "s.db", ttl=500)
    stores: list[Any] = [
        sqlite,
        MemoryStore(ttl=500),
        RedactingStore(MemoryStore(), "secrets"),
        RedactingStore(sqlite, "secrets"),
    ]
    for store in stores:
        store.put({"key": b"value"})
        made = by_pickle(store)
        made.put({"other": b"more"})
        assert made.get("key") == b"value" and made.get("other") == b"more" and made.stats().entries == 2
    with pytest.raises(StoreError, match="closed"):
        sqlite.close()
        by_pickle(sqlite).get("key")


def test_a_pickle_of_a_remote_store_holds_its_address_and_no_connection() -> None:
    pytest.importorskip("redis")
    store: Any = Compressor(store="redis://user:word@localhost:1/0").store
    with pytest.raises(StoreError):
        store.read_log("a")
    made = by_pickle(store)
    assert isinstance(made, ResilientStore)
    with pytest.raises(StoreError, match="redis://localhost:1/0 cannot be reached"):
        made.read_log("a")
    made.put({"key": b"value"})  # kept here until the server can be reached
    assert made.get("key") == b"value"
    with pytest.raises(StoreError, match="1 values were never written"):
        made.close()
    assert copy.deepcopy(store) is store
    store.close()


def test_no_key_is_pickled(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("httpx")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    policy = Policy(summarizer=summarizer("http://localhost:1/v1#model", api_key="sk-argument"))
    session = Compressor(store="memory").session("a", policy=policy)
    data = pickle.dumps(session)
    assert b"sk-" not in data
    made: Any = pickle.loads(data)
    assert made._options["policy"].summarizer._llm._key == "sk-environment"
    assert copy.deepcopy(policy).summarizer is policy.summarizer


def test_an_encrypted_store_says_why_it_is_not_pickled() -> None:
    pytest.importorskip("cryptography")
    from compressor.storage.wrappers.encryption_keys import Keyring, new_encryption_key

    compressor = Compressor(store=EncryptedStore(MemoryStore(), Keyring([new_encryption_key()])))
    with pytest.raises(TypeError, match="encryption keys are not pickled"):
        pickle.dumps(compressor)
    ref = compressor.compress_text(LOG, budget=60).dropped[0].ref
    assert copy.deepcopy(compressor).expand(ref) == LOG


@pytest.mark.parametrize("copied", COPIES)
def test_an_example_store_reads_its_examples_again(copied: Callable[[Any], Any]) -> None:
    original = ExampleStore("memory", template="{input} => {output}")
    ids = original.add([{"input": prose(i, 1), "output": str(i)} for i in range(4)])
    made = copied(original)
    assert made.ids == ids and made.select(prose(2, 1), budget=60).text == original.select(prose(2, 1), budget=60).text


def test_a_policy_and_its_prices_are_copied_as_they_are() -> None:
    policy = Policy(target=("tokens", 2_000), tools={"look": ToolRule(never_compress=True)})
    assert by_pickle(policy) == copy.deepcopy(policy) == policy
    report = filled(Compressor(store="memory").session("a")).cost_report()
    assert by_pickle(report) == report and json.dumps(report.report())


@pytest.mark.parametrize("cache", [False, True])
def test_results_are_pickled_with_what_they_report(cache: bool) -> None:
    c = Compressor(store="memory", cache=cache)
    messages = [{"role": "user", "content": said} for said in ("Read this.", LOG, "What failed?")]
    for _ in range(2):  # the second time from the cache
        for result in (
            c.compress_text(LOG, budget=60),
            c.compress_documents([LOG], "What failed?", budget=60),
            c.compress(messages, budget=200),
            c.select_examples([{"input": prose(i, 1), "output": str(i)} for i in range(5)], budget=40),
        ):
            made = by_pickle(result)
            assert made.dropped == result.dropped and made.report() == result.report() and made.dropped
