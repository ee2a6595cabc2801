"""The record of what administrators did: who, what, when, and how it ended. It holds no key and no content.

Records are kept in logs of `SEGMENT` records each, so that neither an append nor a page reads all of them. They stay
when a tenant is erased.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from compressor.errors import RefError, StoreError
from compressor.service.auth import format_time
from compressor.storage.base import BlobStore, require_log
from compressor.storage.circuit_breaker import StoreUnavailableError

SEGMENT = 500  # records in one log
MAX_ATTEMPTS = 50  # of one append, where other workers are first
_POINTER = "audit:1"  # the number of the newest segment; it names stored data, so it does not change


class AuditLog:
    """Appends records and reads them, the newest first. Safe to share between threads.

    Args:
        store: A store in which nothing expires.
        clock: Returns the time in seconds since the epoch.
    """

    def __init__(self, store: BlobStore, clock: Callable[[], float] = time.time) -> None:
        self._store, self._clock = store, clock
        self._lock = threading.Lock()
        self._segment, self._last = 1, 0  # where the last record was, as far as this process knows

    def record(self, who: str, act: str, target: str, outcome: str, **details: Any) -> None:
        """Appends a record.

        Args:
            who: The id of the key, or "local".
            act: What was done, such as "key.block".
            target: To what: a tenant, the id of a key, of a session, or a ref.
            outcome: "ok", or the type of the error.
            details: More, as JSON data without any content.

        Raises:
            StoreError: The record cannot be written.
        """
        now = self._clock()
        record = {"time": format_time(now), "who": who, "act": act, "target": target, "outcome": outcome, **details}
        packed = json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")
        journal = require_log(self._store)
        with self._lock:
            for _ in range(MAX_ATTEMPTS):
                if self._last < SEGMENT and journal.append_log(self._name(self._segment), self._last, [packed]):
                    self._last += 1
                    return
                self._find_end()
        raise StoreError("too many administrators write to the audit log at the same time")

    def read(self, limit: int, before: int | None = None) -> tuple[list[dict[str, Any]], int | None]:
        """Returns records, the newest first.

        Args:
            limit: The maximum number of records.
            before: Return only records with smaller numbers.

        Returns:
            The records, each with its `number`, and the next `before`; None after the last page.

        Raises:
            StoreError: The records cannot be read.
        """
        with self._lock:
            self._find_end()
            end = (self._segment - 1) * SEGMENT + self._last + 1
        position = end if before is None else min(before, end)
        out: list[dict[str, Any]] = []
        while position > 1 and len(out) <= limit:
            segment = (position - 2) // SEGMENT + 1
            first = (segment - 1) * SEGMENT
            records = self._read(segment)
            if records is None:
                out.append({"number": first + 1, "outcome": "unreadable"})
            found = [(first + number, data) for number, data in records or () if first + number < position]
            out += [{"number": number, **json.loads(data)} for number, data in reversed(found)]
            position = first + 1
        more = len(out) > limit
        out = out[:limit]
        return out, out[-1]["number"] if more else None

    def renew(self) -> None:
        """Starts a new log for what comes, so that it is encrypted with the first of the encryption keys.

        Earlier records can be read as long as the key that encrypted them is among the encryption keys.

        Raises:
            StoreError: The store cannot be used.
        """
        with self._lock:
            self._find_end()
            if self._last:
                self._begin_segment()

    def _find_end(self) -> None:
        """Finds the newest segment and its last record; starts a new segment if that one is full."""
        self._segment = max(self._segment, self._read_pointer()[1])
        records = self._read(self._segment)
        self._last = SEGMENT if records is None else records[-1][0] if records else 0
        if self._last >= SEGMENT:
            self._begin_segment()

    def _begin_segment(self) -> None:
        number, segment = self._read_pointer()
        self._segment, self._last = max(self._segment, segment) + 1, 0
        pointer = json.dumps({"segment": self._segment}).encode()
        require_log(self._store).append_log(_POINTER, number, [pointer], truncate_before=True)

    def _read_pointer(self) -> tuple[int, int]:
        """Returns the number of the pointer's record, and the segment that it names."""
        try:
            number, packed = require_log(self._store).read_log(_POINTER)[-1]
            return number, int(json.loads(packed)["segment"])
        except (RefError, IndexError):
            return 0, 1

    def _read(self, segment: int) -> list[tuple[int, bytes]] | None:
        """Returns the records of a segment, or None if they cannot be decrypted any more."""
        try:
            return require_log(self._store).read_log(self._name(segment))
        except RefError:
            return []
        except StoreUnavailableError:
            raise
        except StoreError:
            return None

    @staticmethod
    def _name(segment: int) -> str:
        return f"audit:1:{segment}"
