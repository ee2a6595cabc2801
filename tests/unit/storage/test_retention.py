"""Kinds of content have TTLs of their own, and can be erased without a trace. Redis runs these tests too."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from compressor.errors import ExpiredRefError, RefError, StoreError, UnknownRefError
from compressor.storage import MemoryStore, Retention, SQLiteStore, codec, open_store
from compressor.storage.retention import NamespacedRetention, UniformTtl
from compressor.storage.wrappers.encrypted import EncryptedStore
from compressor.storage.wrappers.encryption_keys import Keyring, new_encryption_key
from compressor.storage.wrappers.fenced import FencedStore
from compressor.storage.wrappers.namespaced import NamespacedStore
from compressor.storage.wrappers.redacting import RedactingStore
from support.store_tools import Clock

Make = Callable[..., Any]
HOUR = 3_600.0
REF, RESULT, LOG, OPTIONS = "123456789012", "cache:1:abc", "session:abc", "options:abc"
SHORT = Retention(originals=HOUR, results=10 * HOUR, sessions=100 * HOUR)


def fill(store: Any) -> None:
    store.put({REF: b"an original", RESULT: b"a result", f"grant:abc:{REF}": b"", "expansion:abc:1": b"{}"})
    assert store.append_log(LOG, 0, [b"a message"]) and store.append_log("ledger:1", 0, [b"usage"])


def is_live(store: Any, key: str) -> bool:
    try:
        store.get(key)
    except ExpiredRefError:
        return False
    return True


def test_each_kind_of_content_has_a_ttl_of_its_own(make: Make, clock: Clock) -> None:
    store = make(ttl=SHORT, clock=clock)
    fill(store)
    clock.now += HOUR + 60
    with pytest.raises(ExpiredRefError):
        store.get(REF)
    assert not is_live(store, f"grant:abc:{REF}")
    assert is_live(store, RESULT) and is_live(store, "expansion:abc:1") and store.read_log(LOG)
    clock.now += 10 * HOUR + 600
    assert not is_live(store, RESULT)
    assert store.read_log(LOG) and store.read_log("ledger:1")
    clock.now += 101 * HOUR + 600
    with pytest.raises(ExpiredRefError):
        store.read_log(LOG)
    assert store.read_log("ledger:1") == [(1, b"usage")]


def test_the_ttl_of_a_use_slides_by_kind(make: Make, clock: Clock) -> None:
    store = make(ttl=SHORT, clock=clock)
    fill(store)
    for _ in range(4):
        clock.now += HOUR / 2
        assert store.get(REF) == b"an original"
        assert set(store.get_many([REF, RESULT])) == {REF, RESULT}
    clock.now += HOUR + 60
    assert not is_live(store, REF)
    store.put({REF: b"an original"})
    assert store.get(REF) == b"an original"


def test_a_ttl_that_has_changed_holds_from_the_next_use_on(make: Make, clock: Clock) -> None:
    make(ttl=Retention(), clock=clock).put({REF: b"text"})
    policy = NamespacedRetention(SHORT)
    store = make(ttl=policy, clock=clock) if not isinstance(make(clock=clock), MemoryStore) else None
    if store is None:  # what is in memory is not shared
        store = make(ttl=policy, clock=clock)
        policy.shared = Retention()
        store.put({REF: b"text"})
        policy.shared = SHORT
    assert store.get(REF) == b"text"
    clock.now += HOUR + 60
    assert not is_live(store, REF)


def test_description_shows_size_and_age_but_renews_nothing(make: Make, clock: Clock) -> None:
    store = make(ttl=SHORT, clock=clock)
    assert store.describe(REF) is None
    fill(store)
    for _ in range(3):
        clock.now += HOUR / 4
        entry = store.describe(REF)
        assert entry.size == len(codec.compress(b"an original")) and 0 < entry.expires_in <= HOUR
    clock.now += HOUR / 2
    assert store.describe(REF).size == 0
    assert store.describe(RESULT).expires_in > 8 * HOUR


def test_removed_values_read_as_expired(make: Make, clock: Clock) -> None:
    store = make(ttl=SHORT, clock=clock)
    fill(store)
    assert store.get(REF) and sorted(store.list_keys("grant:abc:")) == [f"grant:abc:{REF}"]
    assert store.remove([REF, REF, "000000000000"]) == 1
    with pytest.raises(ExpiredRefError):
        store.get(REF)
    assert store.get_many([REF, RESULT]) == {RESULT: b"a result"}
    assert REF not in store.list_keys("") and RESULT in store.list_keys("")
    store.put({REF: b"an original"})
    assert store.get(REF) == b"an original"


def test_erasure_leaves_nothing_but_other_namespaces(make: Make, clock: Clock) -> None:
    base = make(ttl=NamespacedRetention(SHORT), clock=clock)
    red, blue = (RedactingStore(NamespacedStore(base, name)) for name in ("red", "blue"))
    for store in (base, red, blue):
        fill(store)
    red.drop_log(LOG)
    assert red.erase("cache:").values == 1 and is_live(red, REF)
    erased = red.erase()
    assert (erased.values, erased.logs) == (3, 1) and erased.size > 0
    for key in (REF, RESULT):
        with pytest.raises(UnknownRefError):
            red.get(key)
    with pytest.raises(UnknownRefError):
        red.read_log(LOG)
    assert blue.get(REF) == base.get(REF) == b"an original"
    erased = base.erase()
    assert (erased.values, erased.logs) == (4, 2)
    with pytest.raises(UnknownRefError):
        base.get(REF)
    assert blue.get(REF) == b"an original" and blue.read_log(LOG)


def test_many_entries_are_erased(make: Make) -> None:
    store = make()
    store.put({f"k{number}": b"%d" % number for number in range(1_200)})
    store.put({"other": b"1", "k\ud800": b"2"})
    assert store.erase("k").values == 1_201
    assert store.get("other") == b"1" and store.list_keys("") == ["other"]


def test_encrypted_content_can_be_erased(make: Make) -> None:
    pytest.importorskip("cryptography")
    store = EncryptedStore(NamespacedStore(make(), "red"), Keyring([new_encryption_key()]), namespace="red")
    fill(store)
    entry = store.describe(REF)
    assert entry is not None and entry.size > 11 and store.remove([REF]) == 1
    assert store.erase().logs == 2 and store.describe(REF) is None


# --- one kind of store


def test_what_a_file_held_cannot_be_read_from_it(tmp_path: Path, clock: Clock, kind: str) -> None:
    if kind != "sqlite":
        pytest.skip("a file")
    marker = b"PACEMAKER-4711"
    store = SQLiteStore(tmp_path / "s.db", ttl=SHORT, clock=clock)
    other = SQLiteStore(tmp_path / "s.db", ttl=SHORT, clock=clock)  # as another process has it open
    for number in range(40):
        store.put({f"{number:012d}": marker + b"-%d" % number, f"cache:1:{number}": b"other " * number})
        assert store.append_log(f"session:{number}", 0, [marker, b"x" * 5000])
    assert other.get("0" * 12) and other.read_log("session:1")

    def count() -> int:
        return sum(file.read_bytes().count(marker) for file in tmp_path.iterdir())

    assert count() >= 80
    store.erase("session:")
    assert store.erase("0").values == 40
    assert count() == 0
    store.put({"000000000001": marker})
    clock.now += 2 * HOUR
    store.put({"cache:1:z": b"1"})  # a write removes what has expired
    store.erase("cache:")  # and this empties the write-ahead log
    assert count() == 0 and not is_live(store, "000000000001")
    store.close()
    other.close()


def test_old_files_get_the_columns(tmp_path: Path, clock: Clock, kind: str) -> None:
    if kind != "sqlite":
        pytest.skip("a file")
    path = tmp_path / "s.db"
    store = SQLiteStore(path, ttl=SHORT, clock=clock)
    fill(store)
    with closing(sqlite3.connect(path)) as db:
        own = dict(db.execute("SELECT key, ttl FROM entries"))
        assert own[REF.encode()] == HOUR and own[RESULT.encode()] == 10 * HOUR
        assert dict(db.execute("SELECT name, ttl FROM logs")) == {LOG.encode(): 100 * HOUR, b"ledger:1": None}
    # Older versions of the program write no TTL; then that of the store holds.
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE entries SET ttl = NULL")
        db.commit()
    clock.now += 2 * HOUR
    assert store.get(REF) == b"an original"
    clock.now += 2 * HOUR
    assert not is_live(store, REF)
    store.close()


def test_a_fenced_store_ends(clock: Clock, kind: str) -> None:
    if kind != "memory":
        pytest.skip("one is enough")
    inner = MemoryStore(clock=clock)
    store = FencedStore(inner)
    fill(store)
    store.end()
    calls: list[Callable[[], Any]] = [
        lambda: store.put({"a": b"1"}),
        lambda: store.get(REF),
        lambda: store.get_many([REF]),
        lambda: store.read_log(LOG),
        lambda: store.append_log(LOG, 1, [b"2"]),
        lambda: store.drop_log(LOG),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="erased") as found:
            call()
        assert not isinstance(found.value, RefError)
    assert inner.get(REF) == b"an original"


@pytest.mark.parametrize("ttl", [0, -1, float("nan"), "7d", None])
def test_senseless_ttls(ttl: Any, kind: str) -> None:
    with pytest.raises(StoreError, match="TTL"):
        open_store("memory", ttl=ttl)


def test_the_kinds_of_keys(kind: str) -> None:
    policy = Retention(originals=1, results=2, sessions=3, others=4)
    kinds = {REF: 1, f"redacted:{REF}": 1, f"grant:x:{REF}": 1, RESULT: 2, "vector:a:b": 2, LOG: 3, OPTIONS: 3}
    kinds |= {"tools:abc": 3, f"examples:{'0a' * 12}": 3, "examples:invoices": 4, "ledger:1": 4}
    assert {key: policy.ttl(key) for key in kinds} == kinds
    shared = NamespacedRetention(UniformTtl(9))
    shared.set("red", policy)
    own = shared.of("red")
    assert shared.ttl(REF) == 9 and shared.ttl(codec.namespace("red") + LOG) == 3 and own.ttl(LOG) == 3
    assert shared.of("blue").ttl(LOG) == 9 and shared.of("").ttl(LOG) == 9
