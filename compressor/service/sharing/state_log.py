"""Keeps the state of one conversation in a log of the store, as changes of its named parts.

Each record says for which messages it holds (its turn), so that the state as it was for an earlier request can be read
again. Every append is a compare-and-append: of two processes that continue the same state, one is told that it was
second.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from compressor.errors import RefError
from compressor.providers.tracked_state import Parts
from compressor.storage.base import BlobStore, require_log

#: Records of a log after which one record with everything replaces them. Earlier requests are then no longer known.
MAX_RECORDS = 64


class StateLog:
    """The log of one conversation, and the parts that its records add up to. Not safe to share between threads.

    Every method raises StoreError if the store cannot be used.

    Args:
        store: The tenant's store.
        name: The name of the log.

    Attributes:
        number: The number of the last record that was read or written.
        parts: The parts as that record leaves them.
        turn: The turn of that record.
    """

    def __init__(self, store: BlobStore, name: str) -> None:
        self._store, self.name = store, name
        self.reset()

    def reset(self) -> None:
        """Forgets everything, as before the first record."""
        self.number, self.turn, self._count = 0, "", 0
        self.parts: Parts = {}

    def catch_up(self) -> bool:
        """Reads what other processes have appended; returns whether there was anything."""
        try:
            records = require_log(self._store).read_log(self.name, self.number)
        except RefError:
            had_records = bool(self.number)
            self.reset()
            return had_records
        for number, packed in records:
            self._apply(number, json.loads(packed))
        return bool(records)

    def read_turn(self, turn: str, known: StateLog | None = None) -> bool | None:
        """Reads the state as it was for a turn.

        Args:
            turn: The turn.
            known: An object of the same log that has read an earlier turn, so that only what follows need be read.

        Returns:
            Whether it is also the newest state of the log; None if the log no longer knows that turn.

        Raises:
            RefError: There is no such log.
        """
        after = known.number if known is not None and known.name == self.name else 0
        records = [(n, json.loads(packed)) for n, packed in require_log(self._store).read_log(self.name, after)]
        last = max((i for i, (_, record) in enumerate(records) if record["turn"] == turn), default=None)
        if last is None:
            return self.read_turn(turn) if after else None
        self.reset()
        if known is not None and after:
            self.number, self.turn, self._count, self.parts = after, known.turn, known._count, dict(known.parts)
        for number, record in records[: last + 1]:
            self._apply(number, record)
        return last + 1 == len(records)

    def append(
        self,
        parts: Parts,
        turn: str,
        values: Mapping[str, bytes] | None = None,
        allow: Callable[[bytes], bool] = lambda _: True,
    ) -> bool | None:
        """Appends the difference to new parts.

        Args:
            parts: All parts as they are now. Nobody may write to them later.
            turn: The turn for which they hold.
            values: Values to store with the record.
            allow: Says whether a record may be stored.

        Returns:
            False if another process has appended since, so that nothing was written; None if it was not allowed.
        """
        changed = {name: value for name, value in parts.items() if name not in self.parts or self.parts[name] != value}
        removed = [name for name in self.parts if name not in parts]
        if turn == self.turn and not changed and not removed:
            return True
        rewrite = self._count >= MAX_RECORDS
        record = {"turn": turn, "set": parts if rewrite else changed, "remove": removed, "whole": rewrite}
        packed = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
        if not allow(packed):
            return None
        log = require_log(self._store)
        if not log.append_log(self.name, self.number, [packed], truncate_before=rewrite, values=values):
            return False
        self._apply(self.number + 1, record)
        return True

    def _apply(self, number: int, record: Mapping[str, Any]) -> None:
        if record["whole"]:
            self.parts, self._count = {}, 0
        for name in record["remove"]:
            self.parts.pop(name, None)
        self.parts.update(record["set"])
        self.number, self.turn, self._count = number, record["turn"], self._count + 1
