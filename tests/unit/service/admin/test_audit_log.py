"""The audit log: numbered without gaps, read in pages, the newest first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from compressor.service.admin import audit_log
from compressor.service.admin.audit_log import AuditLog
from compressor.storage import PERMANENT, MemoryStore, SQLiteStore


def test_pages(monkeypatch: object) -> None:
    store = MemoryStore(ttl=PERMANENT)
    log = AuditLog(store)
    assert log.read(10) == ([], None)
    count = 2 * audit_log.SEGMENT + 30
    for number in range(count):
        log.record("local", "key.block", f"k{number}", "ok", fields=["budget"])
    other = AuditLog(store)  # another worker
    first, before = other.read(20)
    assert [one["number"] for one in first] == list(range(count, count - 20, -1)) and before == count - 19
    assert first[0]["target"] == f"k{count - 1}" and first[0]["fields"] == ["budget"] and first[0]["time"].endswith("Z")
    seen, before = [*first], before
    while before is not None:
        more, before = other.read(300, before)
        seen += more
    assert [one["target"] for one in seen] == [f"k{number}" for number in reversed(range(count))]
    log.record("x", "y", "z", "ok")
    assert other.read(1)[0][0]["number"] == count + 1


def test_many_workers_lose_no_record(tmp_path: Path) -> None:
    stores = [SQLiteStore(tmp_path / "a.db", ttl=PERMANENT) for _ in range(4)]
    logs = [AuditLog(store) for store in stores]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: logs[n % 4].record("w", "act", str(n), "ok"), range(80)))
    records, before = logs[0].read(1000)
    assert before is None and {one["target"] for one in records} == {str(n) for n in range(80)}
    assert [one["number"] for one in records] == list(range(80, 0, -1))
    for store in stores:
        store.close()
