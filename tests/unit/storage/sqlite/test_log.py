"""Logs in the SQLite file: several processes, killed processes, files of older versions."""

from __future__ import annotations

import base64
import multiprocessing
import random
import signal
import sqlite3
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from compressor.errors import ExpiredRefError, StoreError, UnknownRefError
from compressor.storage import SQLiteStore, codec
from compressor.storage.sqlite import log as log_table
from compressor.storage.sqlite import schema
from support.log_writers import append_from_many_processes, check_that_no_append_is_lost
from support.store_tools import Clock, noise


def check_database(store: SQLiteStore) -> None:
    """The file is sound, the totals are right, and no record is without its log."""
    db = sqlite3.connect(store.path)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    sizes = "SELECT (SELECT coalesce(sum(size), 0) FROM entries) + (SELECT coalesce(sum(size), 0) FROM logs)"
    gone = "(SELECT count(*) FROM entries WHERE value IS NULL), (SELECT count(*) FROM logs WHERE last = 0)"
    assert (
        db.execute(f"{sizes}, {gone}").fetchone() == db.execute("SELECT size, gone, gone_logs FROM totals").fetchone()
    )
    per_log = "SELECT id, size FROM logs WHERE size > 0 ORDER BY id"
    counted = "SELECT log, sum(length(record)) FROM records GROUP BY log ORDER BY log"
    assert db.execute(per_log).fetchall() == db.execute(counted).fetchall()
    db.close()


# --- several processes -----------------------------------------------------------------------------------------------


@pytest.mark.moderate
def test_many_processes_append_to_one_log(tmp_path: Path) -> None:
    def connect() -> SQLiteStore:
        store = SQLiteStore(tmp_path / "s.db")
        store.stats()
        return store

    append_from_many_processes(connect)
    store = SQLiteStore(tmp_path / "s.db")
    check_that_no_append_is_lost(store)
    check_database(store)
    store.close()


def test_a_log_written_meanwhile_by_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = SQLiteStore(tmp_path / "s.db"), SQLiteStore(tmp_path / "s.db")
    write = mine._write
    overtaken: list[bool] = []

    def late(*args: object) -> bool:
        if not overtaken:
            assert other.append_log("log", 0, [b"other"])
        overtaken.append(write(*args))  # type: ignore[arg-type]
        return overtaken[-1]

    monkeypatch.setattr(mine, "_write", late)
    assert not mine.append_log("log", 0, [b"mine"], values={"k": b"v"})
    assert overtaken == [False]
    assert mine.read_log("log") == [(1, b"other")]
    with pytest.raises(UnknownRefError):
        mine.get("k")
    check_database(mine)
    mine.close()
    other.close()


WRITER = """
import random, sys
from compressor.errors import RefError
from compressor.storage import SQLiteStore
store = SQLiteStore(sys.argv[1])
try:
    at = store.read_log("log")[-1][0]
except RefError:
    at = 0
print("ready", flush=True)
while True:
    batch = at // 20
    body = random.Random(batch).randbytes(2000)
    records = [b"%d %d " % (batch, i) + body for i in range(20)]
    assert store.append_log("log", at, records, truncate_before=batch % 10 == 0, values={f"{batch}": body})
    at += 20
    print(at, flush=True)
"""


@pytest.mark.moderate
def test_kill_9_while_appending(tmp_path: Path) -> None:
    """Every acknowledged append is there whole, with its value; of the one that was under way, all or nothing."""
    path = str(tmp_path / "s.db")
    store = SQLiteStore(path)
    chance = random.Random(0)
    for _ in range(8):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, path], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        confirmed = int(writer.stdout.readline())
        time.sleep(chance.uniform(0.0, 0.1))
        writer.send_signal(signal.SIGKILL)
        confirmed = max(
            [confirmed, *(int(line) for line in writer.stdout.read().splitlines(keepends=True) if "\n" in line)]
        )
        writer.wait()
        writer.stdout.close()
        log = store.read_log("log")
        reached = log[-1][0]
        assert reached - confirmed in (0, 20)
        first = log[0][0] - 1
        assert first == (reached - 20) // 200 * 200  # what was before the last fresh append is gone, nothing else
        for number, (at, record) in enumerate(log, first):
            batch, i = divmod(number, 20)
            assert at == number + 1
            assert record == b"%d %d " % (batch, i) + store.get(f"{batch}")
        with pytest.raises(UnknownRefError):
            store.get(f"{reached // 20}")
        check_database(store)
    assert reached >= 8 * 20
    store.close()


# --- cost ------------------------------------------------------------------------------------------------------------


def test_reads_and_appends_go_by_the_index(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "s.db")
    assert store.append_log("log", 0, [b"x"] * 300)
    assert store._connection is not None
    said: list[str] = []
    store._connection.set_trace_callback(said.append)
    assert store.read_log("log", 299) == [(300, b"x")]
    assert store.append_log("log", 300, [b"y"])
    store._connection.set_trace_callback(None)
    db = sqlite3.connect(store.path)
    plans = {}
    for statement in said:
        if statement.lstrip().startswith(("SELECT", "UPDATE", "INSERT", "DELETE")):
            plans[statement] = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + statement)]
    db.close()
    (read,) = [plan for statement, plan in plans.items() if "records.number" in statement]
    assert any("SEARCH records" in line and "(log=? AND number>?)" in line for line in read)
    assert sum("logs" in statement for statement in plans) >= 4  # the trace saw what it is there to see
    for statement, plan in plans.items():
        lines = [line for line in plan if line != "SCAN totals"]  # one row
        assert not any("SCAN" in line or "TEMP B-TREE" in line for line in lines), (statement, plan)
    store.close()


def test_uses_are_noted_cheaply(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteStore(tmp_path / "s.db", clock=clock)
    assert store.append_log("log", 0, [b"1"])

    def used() -> float:
        db = sqlite3.connect(store.path)
        (value,) = db.execute("SELECT used FROM logs").fetchone()
        db.close()
        return float(value)

    first = used()
    clock.now += codec.RENEW_SECONDS - 1
    store.read_log("log")
    assert used() == first
    clock.now += 2
    store.read_log("log", 1)
    assert used() == clock.now
    store.close()


@pytest.mark.moderate
def test_a_locked_file_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compressor.storage.sqlite.store.BUSY_SECONDS", 0.1)
    store = SQLiteStore(tmp_path / "s.db", clock=(clock := Clock()))
    assert store.append_log("log", 0, [b"1"])
    db = sqlite3.connect(store.path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    for call in (lambda: store.append_log("log", 1, [b"2"]), lambda: store.drop_log("log")):
        with pytest.raises(StoreError, match="busy"):
            call()
    assert not store.append_log("log", 0, [b"2"])  # late, and known without waiting
    clock.now += 1000
    assert store.read_log("log") == [(1, b"1")]  # its use cannot be noted now; the records come all the same
    db.execute("ROLLBACK")
    db.close()
    assert store.append_log("log", 1, [b"2"])
    store.close()


def test_many_expired_logs_are_purged_a_few_at_a_time(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteStore(tmp_path / "s.db", ttl=100.0, clock=clock)
    for n in range(log_table._PURGE_BATCH * 2 + 1):
        assert store.append_log(f"log{n}", 0, [noise(n, 100)])
    clock.now += 101
    assert (store.stats().logs, store.stats().size) == (0, 0)
    for left in (log_table._PURGE_BATCH + 1, 1, 0):
        store.put({f"k{left}": b"v"})
        db = sqlite3.connect(store.path)
        assert db.execute("SELECT count(*) FROM records").fetchone() == (left,)
        db.close()
    check_database(store)
    store.close()


# --- versions of the file --------------------------------------------------------------------------------------------

#: A file as the first version wrote it (TTL 100 s, the clock at 1,000,000 s, then at 1,000,101 s): the tombstone of
#: "gone", "kept" with 2,500 bytes packed, "small".
V1 = (
    b"eNrt201PE0EYB/CZ3bbbEspggjRkL2PioQ0vRr1pSGzpgo11C32Jooe60rU2LK22CyKe6sfwzjfQcPFi4oXPQbyYEA4eRBMTZ7YDUhESPQn5/9Lt"
    b"vszMs88zyTbZbVtayDd8lz9ptVccn18nw0TTyC3OCSGaWCLkF0MsoSP7VC0kPVOcJ3+mkaklGmf7JDpYIMxi20Ofh94MTcc/DH4RBwAAAAAA4Czr"
    b"XooapmlGXyf8dqNed9ttd6W15tbcpth3OzNFK122eLmYm5uzilw18vRsWexlrbwlGgs2V715xprL2bwyn5WD/JbveB1essq809hw+XRvNclbXm1K"
    b"bk7weqspjwerSZ6UDWuOt+ryXInblXw+dZNbdrZ7x+jluKxyXHrqNOsn5agaVY4ql8Is7wX+y2THedN9MXVq3uM8Kfv0531KNRsRw0yY0e5dVYxT"
    b"q51UStCkCsnZJatY/vf8g3M/DBuJsTHaveA7jz23N6b3Hjk4dTqTP4yWDGLk7LIls7EL5aAMVf7vh1N2KJK4aNJXjWbNXZddVKJhFTpnZ637vbFH"
    b"qkiudtxait+7bRUt3jddi7oh43VZENBrrB0EDPUFlA3HAk4E5R8Pq3LtUmokTBF7MZgINVSttL6pOAy77L7kmXwhcxiEV+zcQsWa4PKEXIzJH5mi"
    b"E2aul4kMk5rUIom0SUlQXee5J+7qq86q3wr2q+q01atqQxfXalResHGx6GxLZ3tsm23hAwwAAAAAAADgPzKsh0d1OtxZcTyPZTa14rXLWnhEpzeW"
    b"3We+OJB4kHx35cejj1GXkKTvrvuckvfd6ttBKnpFiXxqInqJQAPB/f8nwvbZnlgBAAAAAAAAwFkV00dp8KhAj+ojVD4i0Ax9JCafAgywr0RjO4Tt"
    b"sF22i6kCAAAAAAAAOKt3/yGdUvkjAf1gKyH/2h8LGuX3/5R9I+IFAAAAAAAAAOdNRNdjLLMZD+7/vxPxAgAAAAAAAIBzJ0R1Ghv7CdnvXZI="
)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "old.db"
    path.write_bytes(zlib.decompress(base64.b64decode(V1)))
    return path


def version(path: Path) -> int:
    db = sqlite3.connect(path)
    (number,) = db.execute("PRAGMA user_version").fetchone()
    db.close()
    return int(number)


def tables(path: Path) -> list[tuple[str, str]]:
    db = sqlite3.connect(path)
    found = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name").fetchall()
    db.close()
    return found


def test_a_file_of_version_1_is_upgraded(old: Path, tmp_path: Path, clock: Clock) -> None:
    assert version(old) == 1
    clock.now += 150
    store = SQLiteStore(old, ttl=100.0, clock=clock)
    assert store.get("kept") == b"text " * 500
    assert version(old) == 3
    assert store.get("small") == b"2"
    with pytest.raises(ExpiredRefError):
        store.get("gone")
    assert store.append_log("log", 0, [b"1"], values={"new": b"v"})
    assert store.read_log("log") == [(1, b"1")]
    check_database(store)
    store.close()
    new = SQLiteStore(tmp_path / "new.db")
    new.stats()
    new.close()
    assert tables(old) == tables(tmp_path / "new.db")


def _upgrade(path: str, writer: int) -> None:
    store = SQLiteStore(path, clock=lambda: 1_000_150.0)
    assert store.get("small") == b"2"
    assert store.append_log(f"log{writer}", 0, [b"1"])
    store.close()


@pytest.mark.moderate
def test_several_processes_upgrade_one_file(old: Path) -> None:
    fork = multiprocessing.get_context("fork")
    writers = [fork.Process(target=_upgrade, args=(str(old), n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    store = SQLiteStore(old, clock=lambda: 1_000_150.0)
    assert (store.stats().logs, store.stats().entries) == (4, 2)
    check_database(store)
    store.close()


def test_an_upgrade_that_fails_changes_nothing(old: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    before = tables(old)
    clock.now += 150
    store = SQLiteStore(old, ttl=100.0, clock=clock)
    with monkeypatch.context() as patch:
        patch.setattr(schema, "_STEPS", (*schema._STEPS[:1], (*log_table.SCHEMA, "CREATE TABLE logs (x)")))
        with pytest.raises(StoreError, match="already exists"):
            store.get("small")
    assert version(old) == 1
    assert tables(old) == before
    assert store.get("small") == b"2"  # and it works as soon as what was in the way has gone
    assert version(old) == 3
    store.close()


def test_a_version_of_the_program_that_knows_no_logs_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SQLiteStore(tmp_path / "s.db")
    assert store.append_log("log", 0, [b"1"])
    store.close()
    monkeypatch.setattr(schema, "_VERSION", 1)  # the check is the one that version 1 has
    with pytest.raises(StoreError, match=r"newer version .*schema 3, this one reads 1"):
        SQLiteStore(tmp_path / "s.db").stats()
