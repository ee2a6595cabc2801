"""The result cache: a hit is what would have been computed, nobody computes what another is at, and no ref dangles."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compressor import (
    BudgetTooSmallError,
    Compressor,
    ContextError,
    DocumentsResult,
    Result,
    StoreError,
    TextResult,
)
from compressor.compressor import Mode
from compressor.context.refs import find_refs
from compressor.errors import MissingDependencyError, QueueFullError
from compressor.pipeline.result_cache import STORE_UNAVAILABLE
from compressor.pipeline.single_flight import SingleFlight
from compressor.scoring import BlendWeights, HeuristicScorer, ModelScorer, make_scorer
from compressor.scoring.base import Query, Scores, UnitBatch, cache_identity
from compressor.scoring.heuristic_weights import HeuristicWeights
from compressor.storage import MemoryStore, SQLiteStore
from compressor.storage.base import StoreStats
from support.gguf_tools import TINY
from support.property_tests import HealthCheck, given, settings, st
from support.store_tools import Clock
from support.strategies import anthropic_contexts, langchain_contexts, openai_chat_contexts, responses_contexts
from support.waiting import wait_for

Message = dict[str, Any]
SLOW = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
LOG = "\n".join(f"12:00:{i % 60:02d} worker-{i % 7} finished shard {i} of lot-{i * 37 % 101}" for i in range(400))
DOCUMENTS = [{"title": f"part {i}", "text": LOG[i * 2000 : i * 2000 + 2000], "page": i} for i in range(4)]


def context(log: str = LOG) -> list[Message]:
    call = {"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    return [
        {"role": "system", "content": "You are careful."},
        {"role": "user", "content": "Which lot did shard 77 belong to?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": log},
        {"role": "user", "content": "And shard 78?"},
    ]


def same(a: Any, b: Any) -> bool:
    """Byte for byte, keys in order, and all that a result tells."""
    names = ("messages", "text", "documents", "tokens_before", "tokens_after", "budget", "warnings", "is_estimate")
    one, other = ({n: getattr(r, n) for n in (*names, "tokenizer") if hasattr(r, n)} for r in (a, b))
    return json.dumps(one) == json.dumps(other) and (
        getattr(a, "tool_sizes", 0) == getattr(b, "tool_sizes", 0) and a.dropped == b.dropped and a.blocks == b.blocks
    )


class Counted:
    """A scorer that counts its calls, and waits in each until this many compressors' calls have come in."""

    name = identity = "counted"

    def __init__(self, waits_for: int = 0) -> None:
        self.calls, self.came, self.waits_for = 0, 0, waits_for
        self.fails: Exception | None = None
        self._lock = threading.Lock()

    def watch(self, compressor: Compressor) -> Compressor:
        """Counts the calls of a compressor that come in, before one of them computes what all wait for."""
        assert compressor.cache is not None
        begin = compressor.cache._flights.begin

        def begun(key: str) -> Any:
            flight = begin(key)
            with self._lock:
                self.came += 1
            return flight

        compressor.cache._flights.begin = begun  # type: ignore[method-assign]
        return compressor

    def score(self, query: Query, units: UnitBatch) -> Scores:
        self.calls += 1
        wait_for(lambda: self.came >= self.waits_for)
        if self.fails:
            raise self.fails
        return np.arange(len(units), 0, -1).astype(np.float32)


class Nameless(Counted):
    identity = ""


# --- a hit -----------------------------------------------------------------------------------------------------------

json_contexts = st.one_of(openai_chat_contexts(), anthropic_contexts(), responses_contexts())


@SLOW
@given(json_contexts, st.floats(0.05, 0.95) | st.integers(50, 2000), st.sampled_from(("call", "compact", "ingest")))
def test_a_hit_is_what_would_have_been_computed(messages: list[Message], budget: int | float, mode: Mode) -> None:
    c, alone = Compressor(store="memory", cache=True), Compressor(store="memory")

    def outcome(c: Compressor, messages: list[Message]) -> Result | str:
        try:
            return c.compress(messages, budget, mode=mode)
        except (BudgetTooSmallError, ContextError) as error:
            return str(error)

    first, plain = outcome(c, messages), outcome(alone, messages)
    again = copy.deepcopy(messages)
    hit = outcome(c, again)
    if isinstance(first, str) or isinstance(hit, str) or isinstance(plain, str):
        assert first == hit == plain
        return
    assert (plain.cached, first.cached, hit.cached) == ("", "miss", "hit")
    assert same(first, plain) and same(hit, plain)
    own = {id(message) for message in messages}
    untouched = [i for i, message in enumerate(first.messages) if id(message) in own]
    mine = {id(message) for message in again}
    assert untouched == [i for i, message in enumerate(hit.messages) if id(message) in mine]
    for gone in hit.dropped:
        assert c.expand(gone.ref) == alone.expand(gone.ref)


@SLOW
@given(langchain_contexts(), st.floats(0.1, 0.9))
def test_objects_that_are_no_json_are_computed(messages: list[Any], budget: float) -> None:
    c = Compressor(store="memory", cache=True)
    with suppress(BudgetTooSmallError):
        assert [c.compress(messages, budget).cached for _ in range(2)] == ["", ""]


@pytest.mark.moderate
@pytest.mark.parametrize("budget", [900, 0.3])
def test_texts_and_documents(budget: int | float) -> None:
    c, alone = Compressor(store="memory", cache=True), Compressor(store="memory")
    makes: list[Callable[[Compressor], TextResult | DocumentsResult]] = [
        lambda c: c.compress_text(LOG, budget, query="shard 77"),
        lambda c: c.compress_documents(DOCUMENTS, query="shard 77", budget=budget),
        lambda c: c.compress_documents([str(d["text"]) for d in DOCUMENTS], query="shard 77", budget=budget),
    ]
    for make in makes:
        made = [make(c), make(c), make(alone)]
        assert [r.cached for r in made] == ["miss", "hit", ""]
        assert same(made[1], made[2])


def test_what_a_caller_does_to_a_result_is_his_own_affair() -> None:
    c = Compressor(store="memory", cache=True)
    messages = context()
    first = c.compress(messages, 900)
    before = json.dumps(first.messages)
    first.messages[3]["content"] = "spoilt"
    hit = c.compress(messages, 900)
    assert json.dumps(hit.messages) == before
    hit.messages[3]["content"] = "spoilt"
    hit.warnings.append("spoilt")
    messages[3]["content"] = "short"
    assert hit.dropped == first.dropped  # of what was asked, not of what the messages are now
    again = c.compress(context(), 900)
    assert again.cached == "hit" and json.dumps(again.messages) == before and not again.warnings


@pytest.mark.moderate
def test_every_option_and_every_byte_counts() -> None:
    c = Compressor(store="memory", cache=True)
    tool = {"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}
    given: list[dict[str, Any]] = [
        {},
        {"budget": 901},
        {"budget": 0.5},
        {"model": "gpt-4"},
        {"query": "shard 78"},
        {"tools": [tool]},
        {"mode": "compact"},
        {"system": "Be brief."},
        {"pinned": [2]},
        {"messages": context(LOG.replace("worker-3", "worker-4"))},
        {"messages": [dict(reversed(message.items())) for message in context()]},  # other bytes come out
    ]
    for options in given:
        asked = {"messages": context(), "budget": 900, **options}
        assert [c.compress(**asked).cached for _ in range(2)] == ["miss", "hit"], options
    # Written in another way, the same is the same.
    assert c.compress(tuple(context()), 900, pinned=(2,)).cached == "hit"
    assert c.compress(context(), budget=900, query=None).cached == "hit"
    assert c.compress([{**m, 1: "a"} for m in context()], 900).cached == ""


def test_what_depends_on_more_than_the_request_is_computed() -> None:
    c = Compressor(Nameless(), store="memory", cache=True)
    assert [c.compress(context(), 900).cached for _ in range(2)] == ["", ""]
    assert Compressor(store="memory").compress(context(), 900).cached == ""


def test_another_scorer_shares_nothing() -> None:
    store = MemoryStore()
    for scorer in ("fast", Counted()):
        c = Compressor(scorer, store, cache=True)
        assert [c.compress(context(), 900).cached for _ in range(2)] == ["miss", "hit"]
    words = Compressor(store=store, cache=True, prune_words=True)
    assert [words.compress(context(), 900).cached for _ in range(2)] == ["miss", "hit"]


def test_a_tokenizer_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    store = MemoryStore()
    for number, words in enumerate((["a"], ["a", "b"])):
        folder = tmp_path / str(number)
        folder.mkdir()
        vocabulary = {"[UNK]": 0, **{word: i + 1 for i, word in enumerate(words)}}
        model = tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]")
        made = tokenizers.Tokenizer(model)
        made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        made.save(str(folder / "tokenizer.json"))
        path = tmp_path / "tokenizer.json"
        path.write_bytes((folder / "tokenizer.json").read_bytes())
        c = Compressor(store=store, cache=True)
        made_of = [c.compress(context(), 900, model=str(folder / "tokenizer.json")).cached for _ in range(2)]
        assert made_of == ["miss", "hit"]


def test_results_of_a_fallback_are_not_kept() -> None:
    class Tired:
        name = identity = "tired"
        tired = True

        def relevance(self, query: Query, units: UnitBatch, which: Any) -> Scores:
            if self.tired:
                raise QueueFullError("cpu", "no time left")
            return np.zeros(len(which), np.float32)

    prose = " ".join(f"The harbour master of port {i} keeps {i * 3} boats near the old pier." for i in range(200))
    reader = Tired()
    c = Compressor(ModelScorer("embedding", reader, BlendWeights(1.0, 1.0)), "memory", cache=True)
    found = [c.compress_text(prose, 500, query="port 7") for _ in range(2)]
    assert [r.cached for r in found] == ["miss", "miss"] and "instead" in found[0].warnings[0]
    reader.tired = False
    found = [c.compress_text(prose, 500, query="port 7") for _ in range(2)]
    assert [r.cached for r in found] == ["miss", "hit"] and not found[1].warnings


# --- originals -------------------------------------------------------------------------------------------------------


@pytest.mark.moderate
@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_no_ref_of_a_hit_dangles_and_hits_keep_originals_alive(kind: str, tmp_path: Path) -> None:
    clock = Clock()
    options: dict[str, Any] = {"ttl": 1000.0, "clock": clock}
    store = MemoryStore(**options) if kind == "memory" else SQLiteStore(tmp_path / "s.db", **options)
    c = Compressor(store=store, cache=True)
    first = c.compress(context(), 900)
    (ref,) = find_refs(json.dumps(first.messages))
    for _ in range(5):
        clock.now += 900
        assert c.compress(context(), 900).cached == "hit"
    assert c.expand(ref) == LOG
    clock.now += 900
    assert c.expand(ref) == LOG  # which does not keep the result alive
    clock.now += 200
    again = c.compress(context(), 900)
    assert again.cached == "miss" and same(again, first) and c.expand(ref) == LOG


class Forgetful(MemoryStore):
    """Loses some keys, or all access."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: set[str] = set()
        self.broken = False

    def get_many(self, keys: Any) -> dict[str, bytes]:
        if self.broken:
            raise StoreError("no disk")
        return {k: v for k, v in super().get_many(keys).items() if k not in self.lost}

    def stats(self) -> StoreStats:
        return super().stats()


def test_a_result_whose_original_is_gone_is_worked_out_again() -> None:
    store, scorer = Forgetful(), Counted()
    c = Compressor(scorer, store, cache=True)
    first = c.compress(context(), 900)
    (ref,) = find_refs(json.dumps(first.messages))
    store.lost = {ref}
    again = c.compress(context(), 900)
    assert again.cached == "miss" and scorer.calls == 2 and same(again, first)
    store.lost = set()
    assert c.compress(context(), 900).cached == "hit"


def test_a_cache_that_cannot_be_read_is_done_without_and_says_so() -> None:
    store = Forgetful()
    c = Compressor(store=store, cache=True)
    store.broken = True
    found = [c.compress(context(), 900) for _ in range(2)]
    assert [r.cached for r in found] == ["miss", "miss"] and found[0].warnings == [STORE_UNAVAILABLE]
    store.broken = False
    assert [c.compress(context(), 900).cached for _ in range(2)] == ["miss", "hit"]
    assert not c.compress(context(), 900).warnings


def test_a_result_of_ours_stays_as_it_is_although_a_share_of_it_was_kept() -> None:
    c = Compressor(store="memory", cache=True)
    whole = context()
    made = Compressor(store="memory").compress(whole, 0.5).messages  # unknown to `c`, so a share is taken
    assert [c.compress(made, 0.5).cached for _ in range(2)] == ["miss", "hit"]
    assert c.compress(whole, 0.5).messages == made  # and now it is one of its own
    for _ in range(2):  # the old result is never written over, so this one is worked out each time
        result = c.compress(made, 0.5)
        assert result.messages == made and result.cached == "miss"


# --- at the same time ------------------------------------------------------------------------------------------------


def at_once(n: int, ask: Callable[[int], Any]) -> list[Any]:
    gate = threading.Barrier(n)
    out: list[Any] = [None] * n

    def run(i: int) -> None:
        gate.wait()
        try:
            out[i] = ask(i)
        except Exception as error:
            out[i] = error

    threads = [threading.Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    return out


@pytest.mark.moderate
def test_a_hit_knows_the_sizes_of_tools_without_computing_again() -> None:
    scorer = Counted()
    compressor = Compressor(scorer, store="memory", cache=True)
    made = [compressor.compress(context(), 0.2, "gpt-4o") for _ in range(2)]
    calls = scorer.calls
    assert [one.cached for one in made] == ["miss", "hit"]
    (size,) = made[1].tool_sizes
    assert scorer.calls == calls and made[0].tool_sizes == [size]
    assert (size.name, size.results) == ("read", 1) and size.tokens_after < size.tokens_before
    reports = [one for one in made[1].blocks if one.kind == "tool_result"]
    assert sum(one.tokens_before for one in reports) == size.tokens_before
    assert sum(one.tokens_after for one in reports) == size.tokens_after
    assert copy.deepcopy(made[1]).tool_sizes == [size]


def test_requests_at_once_cost_one_computation() -> None:
    scorer = Counted(16)
    c = scorer.watch(Compressor(scorer, "memory", cache=True))
    asked = [context() for _ in range(16)]
    found = at_once(16, lambda i: c.compress(asked[i], 900))
    assert scorer.calls == 1
    assert sorted(r.cached for r in found) == ["coalesced"] * 15 + ["miss"]
    assert all(same(r, found[0]) for r in found[:3]) and len({json.dumps(r.messages) for r in found}) == 1
    assert all(r.messages[0] is asked[i][0] for i, r in enumerate(found))  # everybody's own objects
    assert len({id(r.messages[3]) for r in found}) == 16


@pytest.mark.moderate
def test_an_error_is_everybodys_who_waited_and_nobodys_afterwards() -> None:
    scorer = Counted(8)
    scorer.fails = ValueError("a bug")
    c = scorer.watch(Compressor(scorer, "memory", cache=True))
    found = at_once(8, lambda i: c.compress(context(), 900))
    assert scorer.calls == 1 and all(isinstance(error, ValueError) for error in found)
    scorer.fails = None
    assert c.compress(context(), 900).cached == "miss"


@pytest.mark.moderate
def test_who_waits_for_one_that_does_not_come_back_does_it_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compressor.pipeline.result_cache.WAIT_SECONDS", 0.1)
    scorer = Counted()
    c = Compressor(scorer, "memory", cache=True)
    assert c.cache is not None
    join = c.cache._flights.begin
    monkeypatch.setattr(c.cache._flights, "begin", lambda key: (join(key), join(key))[1])  # the first is that one
    assert c.compress(context(), 900).cached == "miss" and scorer.calls == 1
    assert c.compress(context(), 900).cached == "hit"


def test_one_that_is_ended_does_not_keep_the_others_waiting() -> None:
    flights: SingleFlight[bytes | None] = SingleFlight()
    flight, mine = flights.begin("key")
    other, others = flights.begin("key")
    assert mine and not others and other is flight
    flights.finish("key", None)
    assert other.result(0) is None and flights.begin("key")[1]


class Leased(MemoryStore):
    """Two processes' store: what one has leased the other has not."""

    def __init__(self) -> None:
        super().__init__()
        self.held: dict[str, str] = {}
        self.asked = 0

    def lease(self, name: str, seconds: float) -> str | None:
        self.asked += 1
        if name in self.held:
            return None
        self.held[name] = f"token {self.asked}"
        return self.held[name]

    def release(self, name: str, token: str) -> None:
        if self.held.get(name) == token:
            del self.held[name]


@pytest.fixture
def workers() -> Iterator[tuple[Leased, Counted, list[Compressor]]]:
    store, scorer = Leased(), Counted()
    yield store, scorer, [scorer.watch(Compressor(scorer, store, cache=True)) for _ in range(4)]


@pytest.mark.moderate
def test_processes_wait_for_each_other(workers: tuple[Leased, Counted, list[Compressor]]) -> None:
    store, scorer, compressors = workers
    scorer.waits_for = 16
    found = at_once(16, lambda i: compressors[i % 4].compress(context(), 900))
    assert scorer.calls == 1 and sorted(r.cached for r in found) == ["coalesced"] * 15 + ["miss"]
    assert not store.held


@pytest.mark.moderate
def test_the_next_process_takes_over_from_one_that_failed(workers: tuple[Leased, Counted, list[Compressor]]) -> None:
    store, scorer, compressors = workers
    scorer.waits_for = 4
    scorer.fails = ValueError("a bug")
    found = at_once(4, lambda i: compressors[i].compress(context(), 900))
    assert scorer.calls == 4 and all(isinstance(error, ValueError) for error in found) and not store.held


@pytest.mark.moderate
def test_a_process_that_died_is_not_waited_for_longer_than_its_lease(
    workers: tuple[Leased, Counted, list[Compressor]],
) -> None:
    store, scorer, (a, *_) = workers
    lease = store.lease

    def dead(name: str, seconds: float) -> str | None:
        if store.asked == 0:
            store.held[name] = "a dead one's"
        if store.asked == 5:
            store.held.clear()
        return lease(name, seconds)

    store.lease = dead  # type: ignore[method-assign]
    assert a.compress(context(), 900).cached == "miss"
    assert store.asked > 5 and scorer.calls == 1 and not store.held


@pytest.mark.moderate
@pytest.mark.parametrize("tier", ["fast", "embedding", "pruner", f"perplexity:{TINY}", "cascade", "cascade:pruner"])
def test_every_tier_says_what_its_scores_depend_on(tier: str) -> None:
    try:
        mine, again = make_scorer(tier, "cpu"), make_scorer(tier, "cpu")
        others = {cache_identity(make_scorer(other, "cpu")) for other in ("fast", "pruner") if other != tier}
    except MissingDependencyError as error:
        pytest.skip(str(error))
    assert cache_identity(mine) == cache_identity(again) != ""
    assert cache_identity(mine) not in others


def test_other_weights_are_another_scorer(tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    data = TINY.read_bytes()
    paths = [tmp_path / "a.gguf", tmp_path / "b.gguf", tmp_path / "c.gguf"]
    for path, end in zip(paths, (b"", b"", b"\0"), strict=True):
        path.write_bytes(data + end)
    a, b, c = (cache_identity(make_scorer(f"perplexity:{path}", "cpu")) for path in paths)
    assert a == b != c
    assert HeuristicScorer().identity != HeuristicScorer(HeuristicWeights(error=2.0)).identity
