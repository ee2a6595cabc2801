"""Reads and checks the answers of Redis, because the server at an address may be something else.

An answer of the wrong shape raises TypeError or ValueError, which `RedisClient` turns into a StoreUnavailableError.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compressor.storage import codec

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


def _run_on_all(client: Any, pattern: bytes, command: str, *args: int) -> Iterator[Any]:
    """Runs a command on all keys that match, except tombstones, and yields the answers."""
    keys = {key for key in client.scan_iter(match=pattern, count=_STEP) if key.endswith(b"}")}
    unique = list(keys)  # a set before, because SCAN may return a key twice
    for start in range(0, len(unique), _STEP):
        with client.pipeline(transaction=False) as pipe:
            for key in unique[start : start + _STEP]:
                getattr(pipe, command)(key, *args)
            yield from execute(pipe)


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
