"""Where a tenant's conversations are shared: its store, what may be stored there, when it is left alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from compressor.caches import LruCache
from compressor.errors import StoreError
from compressor.providers.tracked_state import Parts
from compressor.service.failure_notices import NOTICES
from compressor.service.sharing.state_log import StateLog
from compressor.storage.base import BlobStore, get_many
from compressor.storage.circuit_breaker import StoreUnavailableError
from compressor.text.redaction import redact

log = logging.getLogger("compressor.service")
#: Times a conversation is matched again because another process was first.
MAX_ATTEMPTS = 8
#: Seconds in which a store that failed is not asked again.
RETRY_SECONDS = 1.0
#: Conversations whose billed tokens are remembered.
MAX_BILLED = 4096
_NEAR_TURNS = 64  # newest turns that are looked up first


@dataclass
class SharedState:
    """What a tracker knows of a conversation's form in the store.

    Attributes:
        id: The id of the conversation, the same in all processes.
        log: Its log.
        saved_cost: What it had saved when this process took it over, in dollars.
        skipped_turn: A turn that is not saved, because its pointer belongs to another log.
        is_stale: Whether another process has continued the conversation.
    """

    id: str
    log: StateLog
    saved_cost: float = 0.0
    skipped_turn: str = ""
    is_stale: bool = False


class SharedStore:
    """Where a tenant's conversations are shared. Safe to share between threads.

    Args:
        store: The tenant's store.
        redact: Records with secrets of this level are not stored ("off" stores all): logs are never redacted.

    Attributes:
        billed: What the provider billed this process for a conversation, by its id: each process counts its own calls.
    """

    def __init__(self, store: BlobStore, redact: str) -> None:
        self.store, self._redact = store, redact
        self.billed: LruCache[str, tuple[int, int]] = LruCache(MAX_BILLED)
        self._retry_at = 0.0
        self._logged: set[str] = set()

    def open_log(self, name: str) -> StateLog:
        """Returns a log, of which nothing was read yet."""
        return StateLog(self.store, name)

    @contextmanager
    def use(self) -> Iterator[None]:
        """Guards what uses the store. After an error it is left alone for a moment, so that no request waits twice.

        Raises:
            StoreError: The store cannot be used.
        """
        if time.monotonic() < self._retry_at:
            raise StoreUnavailableError("the store could not be used just now")
        try:
            yield
        except StoreError:
            self._retry_at = time.monotonic() + RETRY_SECONDS
            raise

    def append(self, log: StateLog, parts: Parts, turn: str, pointer: Mapping[str, bytes]) -> bool | None:
        """Appends to a log, with the pointer of a new turn; returns what `StateLog.append` returns.

        Raises:
            StoreError: The store cannot be used.
        """
        with self.use():
            try:
                done = log.append(parts, turn, pointer, self._may_store)
            except StoreUnavailableError:
                raise
            except StoreError:
                if get_many(self.store, list(pointer)) in ({}, pointer):
                    raise
                return False  # another process has served this turn in another log
        if done is None:
            self._warn_once("it contains secrets, and the store does not encrypt")
        return done

    def find_turns(self, keys: Sequence[str]) -> dict[int, str]:
        """Returns the ids of the logs that know these turns, by position. The newest turns are looked up first.

        Args:
            keys: The keys of the turns, oldest first.

        Raises:
            StoreError: The store cannot be used.
        """
        for part in (range(max(0, len(keys) - _NEAR_TURNS), len(keys)), range(max(0, len(keys) - _NEAR_TURNS))):
            if part:
                with self.use():
                    found = get_many(self.store, [f"turn:{keys[i]}" for i in part])
                if found:
                    return {i: found[f"turn:{keys[i]}"].decode() for i in part if f"turn:{keys[i]}" in found}
        return {}

    def warn(self, error: BaseException | str) -> None:
        """Notes for client and log that other processes cannot continue a conversation."""
        reason = error if isinstance(error, str) else type(error).__name__
        notice, notices = f"conversation not shared: {reason}", NOTICES.get([])
        if notice not in notices:
            notices.append(notice)
        self._warn_once(reason)

    def _warn_once(self, reason: str) -> None:
        if reason not in self._logged:
            self._logged.add(reason)
            log.warning("a conversation cannot be continued by other processes: %s", reason)

    def _may_store(self, record: bytes) -> bool:
        text = record.decode("utf-8", "surrogatepass")
        return redact(text, self._redact) == text
