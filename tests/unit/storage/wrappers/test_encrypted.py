"""Encryption at rest: what is kept comes back, is not to be read, changed, moved or forged, and survives new keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compressor import Compressor
from compressor.errors import CompressorError, ExpiredRefError, StoreError, UnknownRefError
from compressor.scoring.vector_cache import VectorCache
from compressor.storage import MemoryStore, SQLiteStore
from compressor.storage.base import get_many
from compressor.storage.redis.store import RedisStore
from compressor.storage.wrappers.encrypted import EncryptedStore
from compressor.storage.wrappers.encryption_keys import (
    ENCRYPTED_PREFIX,
    Keyring,
    is_encrypted,
    new_encryption_key,
    read_keyring,
    read_keyring_file,
)
from support.property_tests import given, st
from support.store_tools import Both, clock_for, make_store

pytest.importorskip("cryptography")

OLD, NEW = new_encryption_key(), new_encryption_key()
TEXT = b"patient 4711 has a pacemaker, model PX-9. " * 40


@pytest.fixture
def make(kind: str, tmp_path: Path) -> Iterator[Callable[[], Both]]:
    """Makes stores that share what they hold."""
    made = list[Both]()
    clock_for(kind)

    def one() -> Both:
        if kind != "memory" or not made:
            made.append(make_store(kind, tmp_path))
        return made[-1]

    yield one
    for store in made:
        store.close()


def sealed(store: Any, *keys: str, **options: Any) -> EncryptedStore:
    return EncryptedStore(store, Keyring(keys or [NEW]), **options)


def test_values_and_logs_come_back(make: Callable[[], Both]) -> None:
    store = sealed(make())
    store.put({"a": TEXT, "empty": b"", "b": b"R"})
    store.put({"a": TEXT, "c": b"\xff"})  # again, in one call with another
    assert store.get("a") == TEXT and store.get("empty") == b""
    assert get_many(store, ["a", "b", "c", "d"]) == {"a": TEXT, "b": b"R", "c": b"\xff"}
    with pytest.raises(UnknownRefError):
        store.get("d")
    with pytest.raises(StoreError, match="other bytes"):
        store.put({"a": b"another"})
    assert store.append_log("log", 0, [b"one", TEXT], values={"v": b"value"})
    assert not store.append_log("log", 0, [b"late"])
    assert store.append_log("log", 2, [b"three"], truncate_before=True)
    assert store.read_log("log") == [(3, b"three")] and store.get("v") == b"value"
    store.drop_log("log")
    with pytest.raises(ExpiredRefError):
        store.read_log("log")
    assert store.stats().entries >= 5


def test_nothing_of_it_can_be_read_in_the_database(make: Callable[[], Both]) -> None:
    inner = make()
    store = sealed(inner)
    store.put({"a": TEXT, "same": TEXT})
    store.append_log("log", 0, [TEXT])
    kept = [inner.get("a"), inner.get("same"), inner.read_log("log")[0][1]]
    assert all(b"pacemaker" not in one and is_encrypted(one) for one in kept)
    assert len({one[len(ENCRYPTED_PREFIX) + 6 :][:12] for one in kept}) == 3  # three names, three nonces
    assert len(kept[0]) < len(TEXT) / 4  # packed before it was encrypted


def test_a_new_key_seals_and_a_former_one_still_opens(make: Callable[[], Both]) -> None:
    sealed(make(), OLD).put({"a": TEXT})
    sealed(make(), OLD).append_log("log", 0, [b"one"], values={"b": TEXT})
    both = sealed(make(), NEW, OLD)
    assert both.get("a") == TEXT
    both.put({"a": TEXT, "c": TEXT})  # known under the former key, and new
    assert both.append_log("log", 1, [b"two"], values={"b": TEXT, "d": TEXT})
    assert both.read_log("log") == [(1, b"one"), (2, b"two")]
    with pytest.raises(StoreError, match="other bytes"):
        both.put({"a": b"another", "e": TEXT})
    new = sealed(make(), NEW)
    assert new.get("c") == new.get("d") == TEXT
    with pytest.raises(StoreError, match="keep a former key") as found:
        new.get("a")
    assert OLD not in str(found.value) and Keyring([OLD]).ids[0] in str(found.value)
    with pytest.raises(StoreError, match="keep a former key"):
        new.put({"a": TEXT})
    with pytest.raises(StoreError, match="keep a former key"):
        new.read_log("log")


def test_what_was_changed_or_moved_is_refused(make: Callable[[], Both]) -> None:
    inner = make()
    store = sealed(inner)
    store.put({"a": TEXT})
    store.append_log("log", 0, [b"one", b"two"])
    first, second = (record for _, record in inner.read_log("log"))
    kept = inner.get("a")
    changed = kept[:-1] + bytes([kept[-1] ^ 1])
    inner.put({"changed": changed, "moved": kept, "record": first, "short": kept[:30]})
    inner.append_log("swapped", 0, [first])
    inner.append_log("again", 0, [second, first])
    for key in ("changed", "moved", "record"):
        with pytest.raises(StoreError, match="tampered"):
            store.get(key)
    with pytest.raises(StoreError, match="not encrypted"):
        store.get("short")
    for log in ("swapped", "again"):
        with pytest.raises(StoreError, match="tampered"):
            store.read_log(log)


def test_what_is_not_encrypted_is_taken_only_where_that_was_allowed(make: Callable[[], Both]) -> None:
    plain = make()
    plain.put({"a": TEXT})
    plain.append_log("log", 0, [b"one"])
    strict, open_ = sealed(make()), sealed(make(), read_plain=True)
    for use in (lambda: strict.get("a"), lambda: strict.read_log("log"), lambda: strict.put({"a": TEXT})):
        with pytest.raises(StoreError, match="not encrypted"):
            use()
    assert open_.get("a") == TEXT
    open_.put({"a": TEXT, "b": TEXT})
    assert open_.append_log("log", 1, [b"two"]) and open_.read_log("log") == [(1, b"one"), (2, b"two")]
    assert is_encrypted(plain.get("b"))


@given(st.binary(max_size=2_000), st.text(max_size=20), st.data())
def test_any_flipped_bit_is_noticed(value: bytes, name: str, data: st.DataObject) -> None:
    ring, bound = Keyring([NEW]), name.encode("utf-8", "surrogatepass")
    made = ring.encrypt(value, bound)
    assert made == ring.encrypt(value, bound) and ring.decrypt(made, bound, "it") == value
    at = data.draw(st.integers(len(ENCRYPTED_PREFIX), len(made) - 1))
    broken = made[:at] + bytes([made[at] ^ 1 << data.draw(st.integers(0, 7))]) + made[at + 1 :]
    with pytest.raises(StoreError):
        ring.decrypt(broken, bound, "it")
    with pytest.raises(StoreError, match="tampered"):
        ring.decrypt(made, bound + b"x", "it")


def test_no_other_way_leads_into_the_store() -> None:
    store = sealed(RedisStore("redis://127.0.0.1:1"))
    assert not hasattr(store, "for_tenant")
    assert not hasattr(sealed(MemoryStore()), "health")


def test_keys_are_read_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# new\n{NEW}\n\n{OLD}  # until spring\n")
    ring = read_keyring_file(str(path))
    assert ring.ids == (*Keyring([NEW]).ids, *Keyring([OLD]).ids)
    assert read_keyring(f"{NEW};{OLD}", "env").ids == ring.ids
    shown = f"{ring!r} {vars(ring)}"
    assert NEW not in shown and OLD not in shown
    for text in ("", "# none", f"{NEW}x", "ek_short", NEW.removeprefix("ek_"), f"{NEW},{OLD}"):
        with pytest.raises(CompressorError) as found:
            read_keyring(text, "the file")
        assert NEW[3:20] not in str(found.value)
    with pytest.raises(CompressorError, match="cannot be read"):
        read_keyring_file(str(tmp_path / "none"))


def test_a_compressor_keeps_nothing_that_can_be_read(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    compressor = Compressor(store=sealed(SQLiteStore(path)))
    log = "\n".join(f"12:00:{i:02d} worker pacemaker-{i} is up" for i in range(60))
    messages = [
        {"role": "user", "content": "which worker failed?"},
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "l", "arguments": ""}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": log},
        {"role": "user", "content": "and now?"},
    ]
    made = compressor.compress(messages, 0.5)
    refs = [one.ref for one in made.dropped if one.ref]
    assert refs and log in [compressor.expand(ref) for ref in refs]
    session = compressor.session("s", budget=2_000)
    session.append(*messages)
    view = session.view()
    cache = VectorCache(lambda: compressor.store)
    cache.put("model", {"pacemaker": np.ones(8, np.float16)})
    assert compressor.session("s", budget=2_000).view() == view
    assert cache.get("model", ["pacemaker"])["pacemaker"].sum() == 8
    compressor.close()
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"pacemaker" not in files and b"which worker" not in files and np.ones(8, np.float16).tobytes() not in files
    with closing(sqlite3.connect(path)) as db:
        kept = [value for (value,) in db.execute("SELECT value FROM entries WHERE value IS NOT NULL")]
    assert kept and all(value[1:5] == ENCRYPTED_PREFIX for value in kept)
