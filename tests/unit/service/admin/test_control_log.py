"""The log of keys and settings: every worker sees every change, whoever was first, and nothing expires."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from compressor.errors import StoreError
from compressor.service.admin import control_log, key_operations
from compressor.service.admin.control_log import ControlChange, ControlLog, Forgetting, StoredKey
from compressor.service.admin.key_database import KeyDatabase
from compressor.service.auth import ApiKey, find_key, new_key
from compressor.service.http_errors import HttpError
from compressor.service.key_directory import KeyDirectory
from compressor.storage import PERMANENT, MemoryStore, SQLiteStore
from support.store_tools import Clock

KEY = StoredKey(ApiKey("red", "a" * 64, created=1.0), True)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(ttl=PERMANENT)


def test_others_see_changes(store: MemoryStore) -> None:
    one, other = ControlLog(store), ControlLog(store)
    assert other.refresh()[0].keys == {}
    one.change(lambda _: ControlChange(keys={KEY.key.hash: KEY}, settings={"red": {"budget": 1}}))
    state, forget = other.refresh()
    assert state.keys == {KEY.key.hash: KEY} and state.settings == {"red": {"budget": 1}} and not forget
    other.change(lambda state: ControlChange(settings={"red": None}, forget=[Forgetting("red", ("a", "b"))]))
    state, forget = one.refresh()
    assert state.settings == {} and forget == [Forgetting("red", ("a", "b"))]
    assert one.refresh()[1] == [] and other.refresh()[1] == [Forgetting("red", ("a", "b"))]
    assert ControlLog(store).refresh()[0].keys == {KEY.key.hash: KEY}


def test_a_snapshot_replaces_old_records_and_misses_are_noticed(store: MemoryStore) -> None:
    late, one = ControlLog(store), ControlLog(store)
    one.change(lambda _: ControlChange(settings={"t0": {"budget": 1}}))
    late.refresh()
    for number in range(2 * control_log.SNAPSHOT_INTERVAL + 10):
        one.change(lambda _, n=number: ControlChange(settings={f"t{n % 7}": {"budget": n + 1}}))  # type: ignore[misc]
    assert len(store.read_log(control_log.LOG_NAME)) <= control_log.SNAPSHOT_INTERVAL + 2
    state, forget = late.refresh()
    assert state.settings == one.state.settings and len(state.settings) == 7
    assert forget == [Forgetting(None)], "what it missed may have been an erasure"
    assert late.refresh()[1] == []


def test_a_lost_log_is_written_again(store: MemoryStore, caplog: pytest.LogCaptureFixture) -> None:
    one, other = ControlLog(store), ControlLog(store)
    one.change(lambda _: ControlChange(keys={KEY.key.hash: KEY}))
    other.refresh()
    store.erase()
    assert other.refresh()[0].keys == {KEY.key.hash: KEY} and "written again" in caplog.text
    assert one.refresh()[0].keys == ControlLog(store).refresh()[0].keys == {KEY.key.hash: KEY}
    one.change(lambda _: ControlChange(settings={"red": {"budget": 5}}))
    assert other.refresh()[0].settings == {"red": {"budget": 5}}


def test_another_log_in_its_place_is_read_from_the_beginning(store: MemoryStore) -> None:
    one = ControlLog(store)
    for number in range(5):
        one.change(lambda _, n=number: ControlChange(settings={"red": {"budget": n + 1}}))  # type: ignore[misc]
    store.erase()
    restored = ControlLog(store)  # a backup that knows less
    for number in range(9):
        restored.change(lambda _, n=number: ControlChange(settings={"blue": {"budget": n + 1}}))  # type: ignore[misc]
    state, forget = one.refresh()
    assert state.settings == {"blue": {"budget": 9}} and Forgetting(None) in forget


def test_a_damaged_log_is_an_error(store: MemoryStore) -> None:
    assert store.append_log(control_log.LOG_NAME, 0, [b'{"keys": {"a": 1}}'])
    with pytest.raises(StoreError, match="damaged"):
        ControlLog(store).refresh()


def test_many_administrators_at_once(tmp_path: Path) -> None:
    stores = [SQLiteStore(tmp_path / "s.db", ttl=PERMANENT) for _ in range(4)]
    databases = [KeyDatabase(ControlLog(store)) for store in stores]
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda n: key_operations.create_key(databases[n % 4], f"t{n}")[1], range(24)))
    control = ControlLog(stores[0])
    assert set(control.refresh()[0].keys) == {key.hash for key in made}
    for store in stores:
        store.close()


def test_nothing_expires() -> None:
    clock = Clock()
    store = MemoryStore(ttl=PERMANENT, clock=clock)
    ControlLog(store).change(lambda _: ControlChange(keys={KEY.key.hash: KEY}))
    clock.now += 20 * 365 * 86_400
    assert ControlLog(store).refresh()[0].keys


# --- keys


def directory_of(control: ControlLog, database: KeyDatabase, directory: KeyDirectory) -> KeyDirectory:
    directory.replace_stored(*database.split(control.refresh()[0]))
    return directory


def test_keys_of_the_file_can_be_blocked_and_end_earlier(store: MemoryStore) -> None:
    plain, in_file = new_key("red")
    directory, control = KeyDirectory([in_file]), ControlLog(store)
    database = KeyDatabase(control, directory.file_keys, grants=False)
    assert key_operations.block_key(database, in_file.id).blocked
    assert directory_of(control, database, directory).find(plain) is None
    key_operations.block_key(database, in_file.id, blocked=False)
    assert directory_of(control, database, directory).find(plain) and not control.state.keys
    key_operations.expire_key(database, in_file.id, 1.0)
    assert directory_of(control, database, directory).find(plain) is None
    changes: list[Callable[[], object]] = [
        lambda: key_operations.create_key(database, "blue"),
        lambda: key_operations.delete_key(database, in_file.id),
    ]
    for change in changes:
        with pytest.raises(HttpError) as found:
            change()
        assert found.value.status == 409
    directory.replace([])  # its line is removed
    assert directory_of(control, database, directory).list_keys() == []


def test_an_entry_of_the_file_that_is_blocked_stays_blocked(store: MemoryStore) -> None:
    key = ApiKey("red", "b" * 64, blocked=True, expires=5.0)
    database = KeyDatabase(ControlLog(store), lambda: [key])
    changes: list[Callable[[], object]] = [
        lambda: key_operations.block_key(database, key.id, blocked=False),
        lambda: key_operations.expire_key(database, key.id, None),
    ]
    for change in changes:
        with pytest.raises(HttpError, match="in the key file"):
            change()


def test_rotation_keeps_both_keys_for_the_overlap(store: MemoryStore) -> None:
    control = ControlLog(store)
    database = KeyDatabase(control)
    clock = Clock()
    directory = KeyDirectory([], True, clock)
    old_plain, old = key_operations.create_key(database, "red", admin=True)
    plain, new, ended = key_operations.rotate_key(database, old.id, 100)
    assert ended.hash == old.hash and ended.expires and new.admin and new.tenant == "red"
    directory_of(control, database, directory)
    clock.now = ended.expires - 1
    assert directory.find(old_plain) and directory.find(plain)
    clock.now = ended.expires
    assert directory.find(old_plain) is None and directory.find(plain) == new
    with pytest.raises(HttpError, match="blocked"):
        key_operations.block_key(database, new.id)
        key_operations.rotate_key(database, new.id, 0)


def test_a_refusal_is_logged_with_its_reason_but_no_key(caplog: pytest.LogCaptureFixture) -> None:
    plain, key = new_key("red")
    clock = Clock()
    directory = KeyDirectory([ApiKey("red", key.hash, blocked=True)], clock=clock)
    for _ in range(3):
        assert directory.find(plain) is None
    assert caplog.text.count(f"refused key {key.id} of tenant red: it is blocked") == 1
    assert plain not in caplog.text and key.hash not in caplog.text
    clock.now += 61
    assert directory.find(plain) is None and caplog.text.count("refused key") == 2
    assert directory.find("x" * 40) is None and find_key([key], plain) == key


def test_the_last_admin_key_stays(store: MemoryStore) -> None:
    database: Any = KeyDatabase(ControlLog(store))
    _, ops = key_operations.create_key(database, "ops", admin=True)
    key_operations.create_key(database, "red")
    with pytest.raises(HttpError, match="last valid admin key"):
        key_operations.require_other_admin(database.list_keys(), ops.id)
    key_operations.create_key(database, "ops", admin=True)
    key_operations.require_other_admin(database.list_keys(), ops.id)
