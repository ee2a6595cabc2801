"""SQLiteStore: the tests that only a file needs."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from compressor.errors import StoreError, UnknownRefError
from compressor.storage import SQLiteStore, codec
from support.cpu_time import cpu_time_below
from support.store_tools import Clock, noise


@pytest.mark.moderate
def test_survives_a_restart_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "new" / "s.db"
    store = SQLiteStore(path)
    assert not path.parent.exists()  # nothing is made before it is needed
    store.put({"a": b"1" * 9000})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in path.parent.iterdir()} == {0o600}
    store.close()
    code = "import sys; from compressor.storage import open_store; print(len(open_store(sys.argv[1]).get('a')))"
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout == "9000\n"


def _write_many(path: str, writer: int, rounds: int) -> None:
    store = SQLiteStore(path)
    for i in range(rounds):
        store.put(
            {f"{writer}-{i}-{j}": f"{writer} {i} {j} ".encode() * 50 for j in range(10)} | {f"all-{i}": b"x" * 700}
        )
    store.close()


@pytest.mark.moderate
def test_many_processes_make_and_write_one_file(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=_write_many, args=(path, n, 20)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    store = SQLiteStore(path)
    assert store.stats().entries == 4 * 20 * 10 + 20
    assert store.get("3-19-9") == b"3 19 9 " * 50
    db = sqlite3.connect(path)
    assert db.execute("SELECT size FROM totals").fetchone() == (store.stats().size,)
    db.close()
    store.close()


WRITER = """
import itertools, sys
from compressor.storage import SQLiteStore
store = SQLiteStore(sys.argv[1], limit=200_000)
for i in itertools.count(int(sys.argv[2])):
    store.put({f"{i}-{j}": f"{i} {j} ".encode() * 300 for j in range(20)})
    print(i, flush=True)
"""


@pytest.mark.moderate
def test_kill_9_while_writing_loses_nothing_confirmed(tmp_path: Path) -> None:
    path = str(tmp_path / "s.db")
    for start in (0, 100_000):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, path, str(start)], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < start + 15:
            pass
        writer.send_signal(signal.SIGKILL)
        confirmed = [start, *map(int, writer.stdout.read().split())][-1]
        writer.wait()
        writer.stdout.close()
        store = SQLiteStore(path)
        if confirmed > start:
            for j in range(20):  # a put is stored whole
                assert store.get(f"{confirmed}-{j}") == f"{confirmed} {j} ".encode() * 300
        db = sqlite3.connect(path)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("SELECT size FROM totals").fetchone() == (store.stats().size,)
        db.close()
        store.close()


def test_fork(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "s.db")
    store.put({"before": b"1"})
    child = os.fork()
    if child == 0:
        code = 1
        try:
            store.put({"child": store.get("before") + b"2"})
            code = 0
        finally:
            os._exit(code)
    store.put({"parent": b"3"})
    assert os.waitpid(child, 0)[1] == 0
    assert (store.get("child"), store.get("parent")) == (b"12", b"3")
    store.close()


def test_uses_are_noted_cheaply(tmp_path: Path, clock: Clock) -> None:
    store = SQLiteStore(tmp_path / "s.db", clock=clock)
    store.put({"a": b"1"})

    def used() -> float:
        db = sqlite3.connect(store.path)
        (value,) = db.execute("SELECT used FROM entries").fetchone()
        db.close()
        return float(value)

    first = used()
    clock.now += codec.RENEW_SECONDS - 1
    store.get("a")
    store.put({"a": b"1"})
    assert used() == first
    clock.now += 2
    store.get("a")
    assert used() == clock.now


def test_a_key_written_meanwhile_by_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, other = SQLiteStore(tmp_path / "s.db"), SQLiteStore(tmp_path / "s.db")
    write = mine._write
    overtaken: list[bool] = []

    def late(*args: object) -> bool:
        if not overtaken:
            other.put({"same": b"1", "different": b"2"})
        overtaken.append(write(*args))  # type: ignore[arg-type]
        return overtaken[-1]

    monkeypatch.setattr(mine, "_write", late)
    mine.put({"same": b"1", "new": b"3"})
    assert overtaken == [False, True]
    assert mine.get("new") == b"3"
    overtaken.clear()
    with pytest.raises(StoreError, match="other bytes"):
        mine.put({"different": b"other"})
    mine.close()
    other.close()


def test_removed_file_is_made_again(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "s.db")
    store.put({"a": b"1"})
    for path in tmp_path.iterdir():
        path.unlink()
    store.put({"b": b"2"})
    with pytest.raises(UnknownRefError):
        store.get("a")
    store.close()
    again = SQLiteStore(tmp_path / "s.db")
    assert again.get("b") == b"2"
    again.close()


@pytest.mark.parametrize("content", [b"not a database, " * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_corrupt_file(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.db"
    path.write_bytes(content)
    store = SQLiteStore(path)
    for call in (lambda: store.put({"a": b"1"}), lambda: store.get("a"), store.stats):
        with pytest.raises(StoreError, match=r"s\.db is corrupt .* delete that file"):
            call()
    assert path.read_bytes() == content
    path.unlink()
    store.put({"a": b"1"})  # what the message says to do works, without a restart
    store.close()


def test_damaged_pages(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    store = SQLiteStore(path)
    store.put({f"k{i}": noise(i, 2000) for i in range(50)})
    store.close()
    data = bytearray(path.read_bytes())
    data[4096:] = b"\xaa" * (len(data) - 4096)
    path.write_bytes(data)
    with pytest.raises(StoreError, match="corrupt"):
        SQLiteStore(path).get("k1")


def test_damaged_value(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "s.db")
    store.put({"a": b"text " * 500, "b": b"1"})
    db = sqlite3.connect(store.path)
    db.execute("UPDATE entries SET value = x'5a00' WHERE size > 9")
    db.execute("UPDATE entries SET value = x'21' WHERE size < 9")
    db.commit()
    db.close()
    for key in "ab":
        with pytest.raises(StoreError, match="damaged"):
            store.get(key)
    store.close()


def test_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "s.db", tmp_path):
        with pytest.raises(StoreError, match="COMPRESSOR_CACHE_DIR") as caught:
            SQLiteStore(path).put({"a": b"1"})
        assert str(path) in str(caught.value)


def test_files_that_are_not_ours(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    db = sqlite3.connect(path)
    db.execute("CREATE TABLE entries (x)")
    db.commit()
    with pytest.raises(StoreError, match="SQLite file of another program"):
        SQLiteStore(path).put({"a": b"1"})
    db.execute("DROP TABLE entries")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StoreError, match="newer version"):
        SQLiteStore(path).put({"a": b"1"})


@pytest.mark.moderate
def test_a_locked_file_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compressor.storage.sqlite.store.BUSY_SECONDS", 0.1)
    store = SQLiteStore(tmp_path / "s.db", clock=(clock := Clock()))
    store.put({"a": b"1"})
    db = sqlite3.connect(store.path, isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="busy"):
        store.put({"b": b"1"})
    clock.now += 1000
    assert store.get("a") == b"1"  # its use cannot be noted now; the bytes come all the same
    db.execute("ROLLBACK")
    db.close()
    store.put({"b": b"1"})
    store.close()


def test_put_is_quick(tmp_path: Path) -> None:
    """60 items of 2 KB, one transaction: about 2 ms warm."""
    store = SQLiteStore(tmp_path / "s.db")
    puts = [
        {f"{n}-{i}": f"line {n} {i} of the log, quite ordinary text\n".encode() * 48 for i in range(60)}
        for n in range(12)
    ]
    store.put(puts[0])
    assert store._connection is not None
    said: list[str] = []
    store._connection.set_trace_callback(said.append)
    with cpu_time_below(11 * 0.04):
        for items in puts[1:]:
            store.put(items)
    assert said.count("COMMIT") == 11
    store.close()
