"""Reads and checks the answers of Redis, because the server at an address may be something else.

An answer of the wrong shape raises TypeError or ValueError, which `RedisClient` turns into a StoreUnavailableError.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from compressor.storage import codec
from compressor.storage.base import Erasure, StoredEntry

_STEP = 1000  # keys that one SCAN looks at; about 0.2 ms of server time


def execute(pipe: Any) -> list[Any]:
    """Runs a pipeline and returns all answers, or raises the first error.

    redis-py would raise an error that quotes the command, and so would write stored content into logs.
    """
    answers: list[Any] = pipe.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def parse_value(answer: Any) -> bytes | None:
    """Returns the stored form of a value, or None."""
    if answer is not None and not isinstance(answer, bytes):
        raise TypeError(f"got {type(answer).__name__} for a value")
    return answer


def parse_written(answer: Any) -> list[Any]:
    """Returns the checked answer of PUT or APPEND."""
    if not isinstance(answer, list) or answer[0] not in (0, 1, 2, 3) or len(answer) % 2 != 1:
        raise TypeError(f"got {answer!r:.80} for a write")
    if not all(isinstance(number, int) for number in answer[1::2]) or not all(
        parse_value(held) for held in answer[2::2]
    ):
        raise TypeError(f"got {answer!r:.80} for a write")
    return answer


def parse_log(answer: Any) -> int | tuple[int, list[bytes]]:
    """Returns the answer of READ: 0 or 1 for a log that is not there, else the first number and the records."""
    if answer in (0, 1):
        return int(answer)
    start, records = answer
    if not isinstance(start, int) or not isinstance(records, list) or not all(isinstance(r, bytes) for r in records):
        raise TypeError(f"got {answer!r:.80} for a log")
    return start, records


def parse_dropped(answer: Any) -> None:
    """Checks the answer of DROP."""
    if answer not in (0, 1):
        raise TypeError(f"got {answer!r:.80} for a removal")


def parse_bool(answer: Any) -> bool:
    """Returns the answer of LEASE or RELEASE: whether it was done."""
    if answer not in (0, 1):
        raise TypeError(f"got {answer!r:.80} for a lease")
    return bool(answer)


def last_number(client: Any, key: bytes) -> int:
    """Returns the number of the last record of a log; 0 if there is no log.

    This takes two commands. If an append happens between them the number is wrong, which does no more harm than a
    number that is out of date.
    """
    head, count = client.lindex(key, 0), client.llen(key)
    return 0 if head is None else int(head.split()[0]) + int(count) - 2


def value_sizes(client: Any, pattern: bytes) -> list[int]:
    """Returns the stored size of each value in bytes."""
    return [size for answer in _run_on_all(client, pattern, "strlen") if (size := int(answer)) > 0]


def log_sizes(client: Any, pattern: bytes) -> list[int]:
    """Returns the stored size of the records of each log in bytes."""
    return [int(answer.split()[1]) for answer in _run_on_all(client, pattern, "lindex", 0) if answer is not None]


def _run_on_all(client: Any, pattern: bytes, command: str, *args: int) -> list[Any]:
    """Runs a command on all keys that match, except tombstones, and returns the answers."""
    return _sizes(client, scan(client, pattern), command, *args)


def _scan(client: Any, pattern: bytes) -> list[bytes]:
    names: set[bytes] = set()  # because SCAN may return a key twice
    for name in client.scan_iter(match=pattern, count=_STEP):
        if not isinstance(name, bytes):  # raise at once: a server that is no Redis may never stop answering
            raise TypeError(f"got {name!r:.80} for a key")
        names.add(name)
    return list(names)


def _sizes(client: Any, names: Sequence[bytes], command: str, *args: int) -> list[Any]:
    answers: list[Any] = []
    for start in range(0, len(names), _STEP):
        with client.pipeline(transaction=False) as pipe:
            for name in names[start : start + _STEP]:
                getattr(pipe, command)(name, *args)
            answers += execute(pipe)
    return answers


def describe(client: Any, value: bytes, tombstone: bytes) -> StoredEntry | None:
    """Returns what is known about a value, or None."""
    with client.pipeline(transaction=False) as pipe:
        pipe.strlen(value), pipe.pttl(value), pipe.exists(tombstone)
        size, left, is_known = map(int, execute(pipe))
    if size:
        return StoredEntry(size, max(0, left) / 1000)
    return StoredEntry(0, 0.0) if is_known else None


def scan(client: Any, pattern: bytes) -> list[bytes]:
    """Returns the names that match, except those of tombstones."""
    return [name for name in _scan(client, pattern) if name.endswith(b"}")]


def unlink(client: Any, names: Sequence[bytes]) -> int:
    """Removes keys and returns how many there were."""
    count = 0
    for start in range(0, len(names), _STEP):
        with client.pipeline(transaction=False) as pipe:
            for name in names[start : start + _STEP]:
                pipe.unlink(name)
            count += sum(map(int, execute(pipe)))
    return count


def erase(client: Any, patterns: Sequence[bytes], is_meant: Callable[[bytes], bool]) -> Erasure:
    """Removes the values, logs and other keys that match these three patterns and are meant."""
    values, logs, others = ([name for name in _scan(client, one) if is_meant(name)] for one in patterns)
    sizes = _sizes(client, [name for name in values if name.endswith(b"}")], "strlen")
    heads = _sizes(client, [name for name in logs if name.endswith(b"}")], "lindex", 0)
    size = sum(map(int, sizes)) + sum(int(head.split()[1]) for head in heads if head is not None)
    unlink(client, [*values, *logs, *others])
    return Erasure(len(sizes), len(heads), size)


def maxmemory(client: Any) -> int:
    """Returns the bytes that the server, or the whole cluster, may hold; 0 if there is no limit."""
    answer = client.info("memory")
    nodes = [answer] if "maxmemory" in answer else list(answer.values())
    return sum(int(node["maxmemory"]) for node in nodes)


def verify_identical(key: str, value: bytes, stored: bytes) -> None:
    """Raises StoreError if the stored value is another one.

    The stored forms of one value may differ, because versions of zstd compress differently.
    """
    if codec.decompress(stored, key) != value:
        raise codec.collision_error(key)
