"""A tenant's sessions by their ids. What a session was told (model, budget, tools, system prompt) is kept beside its
journal, so that a client need not say it with every call, nor to the same worker.

Knows no HTTP; what a session does is `compressor.sessions`' business.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from compressor.compressor import Compressor
from compressor.errors import CompressorError, RefError, StoreError
from compressor.service.http_errors import HttpError
from compressor.sessions import Policy, Session
from compressor.sessions.archive import scope_id
from compressor.storage.base import require_log
from compressor.tokens.context_limit import resolve_context_limit
from compressor.tokens.model_families import DEFAULT_MODEL
from compressor.tokens.pricing import find_price

MAX_ID_LENGTH = 200  # characters of an id
ATTEMPTS = 20


class SessionRegistry:
    """Makes and finds sessions; keeps the objects of the `most` used last. Safe to share between threads."""

    def __init__(self, compressor: Compressor, policy: Policy, most: int) -> None:
        self._compressor, self._policy, self._most = compressor, policy, most
        self._open: OrderedDict[str, tuple[dict[str, Any], Session]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, id: str, given: Mapping[str, Any], begin: bool = False) -> Session:
        """The session of that id, with what it was told before and is told now. Refused (404) if there is none, unless
        this is to `begin` it; CompressorError for what is no id."""
        if not id or len(id) > MAX_ID_LENGTH or not id.isprintable():
            raise CompressorError(f"a session's id has 1 to {MAX_ID_LENGTH} printable characters")
        options = self.merge_options(id, given, begin)
        with self._lock:
            known = self._open.get(id)
        if known is None or known[0] != options:
            # Reads the store. What is in a request nobody writes to.
            known = options, Session(self._compressor, id, policy=self._policy, frozen=True, **options)
        with self._lock:
            self._open[id] = known
            self._open.move_to_end(id)
            while len(self._open) > self._most:
                self._open.popitem(last=False)
        return known[1]

    def open_ids(self) -> set[str]:
        """Of those that are at hand."""
        with self._lock:
            return set(self._open)

    def merge_options(self, id: str, given: Mapping[str, Any], begin: bool) -> dict[str, Any]:
        """Keeps what a session is told; gives all that it has been told."""
        journal, name = require_log(self._compressor.store), f"options:{scope_id('', id)}"
        new = {key: value for key, value in given.items() if value is not None}
        for _ in range(ATTEMPTS):
            try:
                number, packed = journal.read_log(name)[-1]
                known = json.loads(packed)
            except RefError:
                if not begin:
                    raise HttpError(404, "unknown_session", f"there is no session {id!r}: append to begin it") from None
                number, known = 0, None
            told = {**(known or {}), **new}
            if told == known:
                return told
            # What makes no sense is not kept, or no later call would make any.
            resolve_context_limit(
                told.get("budget"), self._policy.pricing or find_price(told.get("model") or DEFAULT_MODEL)
            )
            if journal.append_log(name, number, [json.dumps(told).encode()], truncate_before=True):
                return told
        raise StoreError(f"session {id!r} is told other things by too many at once")
