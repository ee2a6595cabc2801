"""What Redis answers to the store, looked at before it is believed: whoever answers at an address may be no Redis.

TypeError or ValueError for an answer of the wrong shape, which the client takes for what it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compressor.storage import codec

_STEP = 1000  # keys that one SCAN looks at; some 0.2 ms of the server's time


def execute(pipe: Any) -> list[Any]:
    """All answers to a pipeline; the first error is raised. redis-py's own would have the command in it, and with it
    what is stored, on its way into logs."""
    answers: list[Any] = pipe.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def parse_text(answer: Any) -> bytes | None:
    """A value's stored form."""
    if answer is not None and not isinstance(answer, bytes):
        raise TypeError(f"{type(answer).__name__} for a value")
    return answer


def parse_written(answer: Any) -> list[Any]:
    """Of PUT and APPEND."""
    if not isinstance(answer, list) or answer[0] not in (0, 1, 2, 3) or len(answer) % 2 != 1:
        raise TypeError(f"{answer!r:.80} for a write")
    if not all(isinstance(number, int) for number in answer[1::2]) or not all(
        parse_text(held) for held in answer[2::2]
    ):
        raise TypeError(f"{answer!r:.80} for a write")
    return answer


def parse_log(answer: Any) -> int | tuple[int, list[bytes]]:
    """Of READ."""
    if answer in (0, 1):
        return int(answer)
    start, records = answer
    if not isinstance(start, int) or not isinstance(records, list) or not all(isinstance(r, bytes) for r in records):
        raise TypeError(f"{answer!r:.80} for a log")
    return start, records


def parse_dropped(answer: Any) -> None:
    """Of DROP."""
    if answer not in (0, 1):
        raise TypeError(f"{answer!r:.80} for a removal")


def parse_bool(answer: Any) -> bool:
    """Of LEASE and RELEASE: whether it was done."""
    if answer not in (0, 1):
        raise TypeError(f"{answer!r:.80} for a lease")
    return bool(answer)


def last_number(client: Any, key: bytes) -> int:
    """Of a log, 0 where there is none. Two commands: an append in between makes it a number that never was, which is
    as good as one that is out of date."""
    head, count = client.lindex(key, 0), client.llen(key)
    return 0 if head is None else int(head.split()[0]) + int(count) - 2


def value_sizes(client: Any, pattern: bytes) -> list[int]:
    """Bytes of each value, as stored."""
    return [size for answer in _each(client, pattern, "strlen") if (size := int(answer)) > 0]


def log_sizes(client: Any, pattern: bytes) -> list[int]:
    """Bytes of each log's records, as stored."""
    return [int(answer.split()[1]) for answer in _each(client, pattern, "lindex", 0) if answer is not None]


def _each(client: Any, pattern: bytes, command: str, *args: int) -> Iterator[Any]:
    """The command's answers for all keys that match and are no tombstones."""
    keys = {key for key in client.scan_iter(match=pattern, count=_STEP) if key.endswith(b"}")}
    left = list(keys)  # SCAN may name a key twice
    for start in range(0, len(left), _STEP):
        with client.pipeline(transaction=False) as pipe:
            for key in left[start : start + _STEP]:
                getattr(pipe, command)(key, *args)
            yield from execute(pipe)


def maxmemory(client: Any) -> int:
    """Bytes that the server, or all of the cluster's, may hold; 0: as many as there are."""
    answer = client.info("memory")
    nodes = [answer] if "maxmemory" in answer else list(answer.values())
    return sum(int(node["maxmemory"]) for node in nodes)


def verify_identical(key: str, value: bytes, stored: bytes) -> None:
    """`StoreError` where what is stored is another value. Stored forms may differ: zstd's versions pack differently."""
    if codec.decompress(stored, key) != value:
        raise codec.collision_error(key)
