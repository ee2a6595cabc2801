"""Keeps finished compressions in the store, so that the same request costs one computation.

A key is a hash of everything that the result depends on: content, options, model and tokenizer, what the scorer says of
itself (`identity`), our version. A value is the result as JSON, packed by the store, with messages that were not
touched as numbers: they come back as the caller's own objects. Nothing is kept that came of a fallback, and nothing is
given out whose originals are not all there.

Who asks for what is being worked out waits for it: in this process (`flights`), and for another process where the
store has `LeaseStore`. Compresses nothing itself.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, cached_property, wraps
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, cast

from compressor.context.results import DocumentsResult, Result, TextResult
from compressor.errors import CompressorError, StoreError
from compressor.pipeline.engine import Engine
from compressor.pipeline.single_flight import SingleFlight
from compressor.scoring.base import cache_identity
from compressor.scoring.runtime.file_digest import file_digest
from compressor.storage.base import BlobStore, LeaseStore, get_many
from compressor.tokens import get_counter

if TYPE_CHECKING:
    from compressor.compressor import Compressor

P = ParamSpec("P")
R = TypeVar("R")
AnyResult = Result | TextResult | DocumentsResult

SCHEMA = 1
LEASE_SECONDS = 10.0  # seconds a process has to work a result out, before another one does so too
WAIT_SECONDS = 15.0  # seconds to wait for others, before working it out oneself
FIRST, LONGEST = 0.005, 0.1  # seconds between two looks at what another process is at
STORE_UNAVAILABLE = "the store is not available now: this result was neither looked up in the cache nor kept there"
_FIELDS = ("tokens_before", "tokens_after", "budget", "warnings", "is_estimate", "tokenizer")
_TEXT, _NESTED = {str}, {list, dict}
_JSON = {str, int, float, bool, type(None), list, dict}


def cached(method: Callable[P, R]) -> Callable[P, R]:
    """A compressing method of `Compressor`, with its cache in front of it if it has one."""
    signature, kind = inspect.signature(method), method.__name__

    @wraps(method)
    def call(*args: P.args, **options: P.kwargs) -> R:
        compressor = cast("Compressor", args[0])
        if compressor.cache is None:
            return method(*args, **options)
        given = signature.bind(*args, **options)
        given.apply_defaults()
        content, *rest = list(given.arguments.values())[1:]
        names = list(signature.parameters)[2:]

        def compute(content: Any, **options: Any) -> Any:
            return cast("Callable[..., Any]", method)(compressor, content, **options)

        return cast(R, compressor.cache.get_or_compute(kind, compute, content, dict(zip(names, rest, strict=True))))

    return call


class ResultCache:
    """The results of one compressor, in its store. Safe to share between threads and, with the store, processes."""

    def __init__(self, store: Callable[[], BlobStore], choice: Engine) -> None:
        self._store, self._choice = store, choice
        self._flights: SingleFlight[bytes | None] = SingleFlight()

    def get_or_compute(
        self, kind: str, compute: Callable[..., AnyResult], content: Any, options: Mapping[str, Any]
    ) -> AnyResult:
        """What `compute(content, **options)` gives, looked up if possible. Raises what it raises, also where that was
        worked out for another thread."""
        request = self._request(kind, compute, content, options)
        if request is None:
            return compute(content, **options)
        away = False
        try:
            if (found := self._find(request.key)) is not None:
                return request.result(found, "hit")
        except StoreError:
            away = True
        flight, mine = self._flights.begin(request.key)
        if mine:
            return self._compute_as_leader(request, away)
        with suppress(NotInTime):
            if (data := flight.result(WAIT_SECONDS)) is not None:
                return request.result(data, "coalesced")
        return self._compute(request, away)[0]

    def _compute_as_leader(self, request: _Request, away: bool) -> AnyResult:
        """Works it out for all threads of this process."""
        outcome: bytes | BaseException | None = None
        token = ""
        try:
            if not away:
                try:
                    outcome, token = self._lease(request.key)
                except StoreError:
                    away = True
            if isinstance(outcome, bytes):
                return request.result(outcome, "coalesced")
            result, outcome = self._compute(request, away)
            return result
        except Exception as error:
            outcome = error
            raise
        finally:
            self._flights.finish(request.key, outcome)
            if token:
                with suppress(StoreError):
                    cast(LeaseStore, self._store()).release(request.key, token)

    def _compute(self, request: _Request, away: bool) -> tuple[AnyResult, bytes | None]:
        """The result, and what others can read it from, which is kept if it may be."""
        result = request.compute(request.content, **request.options)
        result.cached = "miss"
        if away:
            result.warnings.append(STORE_UNAVAILABLE)
        data = _packed(result, request.content)
        if data is not None and not away and not result._cache_dependencies.transient:
            with suppress(StoreError):  # it is only a cache
                self._store().put({request.key: data})
        return result, data

    def _find(self, key: str) -> bytes | None:
        """The packed result, if it is there and holds still. Renews it, and what it needs. StoreError."""
        store = self._store()
        data = get_many(store, [key]).get(key)
        if data is None:
            return None
        try:
            needs, unless = json.loads(data[: data.index(b"\n")])
        except ValueError:
            return None
        if needs or unless:
            there = get_many(store, [*needs, unless] if unless else needs)
            if len(there) < len(needs) or (unless and unless in there):
                return None
        return data

    def _lease(self, key: str) -> tuple[bytes | None, str]:
        """Waits while another process works it out: its result; or none, with the token of the lease that is ours now,
        or "" where there are no leases or the other takes too long. StoreError."""
        store = self._store()
        if not hasattr(store, "lease"):
            return self._find(key), ""
        end, pause = time.monotonic() + WAIT_SECONDS, FIRST
        while True:
            token = cast(LeaseStore, store).lease(key, LEASE_SECONDS) or ""
            found = self._find(key)  # behind the lease: who had it before us has kept the result by then
            if token and found is not None:
                cast(LeaseStore, store).release(key, token)
            if found is not None:
                return found, ""
            if token or time.monotonic() > end:
                return None, token
            time.sleep(pause)
            pause = min(LONGEST, 1.5 * pause)

    @cached_property
    def _scorer(self) -> str:
        return cache_identity(self._choice.scorer)

    def _request(
        self, kind: str, compute: Callable[..., AnyResult], content: Any, options: Mapping[str, Any]
    ) -> _Request | None:
        """None where the result is not to be cached: it depends on time, on a scorer or a pruner we know nothing of, or
        on objects that are no JSON."""
        words = self._choice.word_pruner
        if not self._scorer or self._choice.gate is not None or (words is not None and words.importance is not None):
            return None
        told: dict[str, Any] = {name: list(value) if type(value) is tuple else value for name, value in options.items()}
        plain = list(content) if type(content) is tuple else content
        if type(plain) not in (list, str):
            return None
        try:
            counter = get_counter(told["model"])
            asked = json.dumps([plain, told], ensure_ascii=False, separators=(",", ":")).encode(
                "utf-8", "surrogatepass"
            )
        except (CompressorError, ValueError, TypeError, RecursionError):
            return None  # it will say so itself
        if not _is_plain([plain, told]):  # afterwards: nothing runs in a circle here
            return None
        file = file_digest(counter.file) if counter.file else "-"
        if not file:
            return None
        front = [SCHEMA, _version(), kind, self._scorer, repr(words), counter.name, file]
        digest = hashlib.blake2b(json.dumps(front).encode() + b"\n", digest_size=32)
        digest.update(asked)
        return _Request(f"cache:{SCHEMA}:{digest.hexdigest()}", compute, content, options, asked)


@dataclass(frozen=True, slots=True)
class _Request:
    """One call. `asked`: content and options as JSON."""

    key: str
    compute: Callable[..., AnyResult]
    content: Any
    options: Mapping[str, Any]
    asked: bytes

    def result(self, data: bytes, how: Literal["hit", "coalesced"]) -> AnyResult:
        """The result again. What became of each block was not kept: it is worked out again when it is asked for."""
        asked, compute = self.asked, self.compute  # as it was asked: the messages may be changed by then

        @cache
        def again() -> AnyResult:
            content, options = json.loads(asked.decode("utf-8", "surrogatepass"))
            return compute(content, **options)

        fields = json.loads(data[data.index(b"\n") :].decode("utf-8", "surrogatepass"))
        fields |= {"cached": how, "_dropped": lambda: again().dropped, "_blocks": lambda: again().blocks}
        if "messages" in fields:
            fields["messages"] = [self.content[m] if type(m) is int else m for m in fields["messages"]]
            return Result(**fields)
        return DocumentsResult(**fields) if "documents" in fields else TextResult(**fields)


def _packed(result: AnyResult, content: Any) -> bytes | None:
    """A line of what the result stands on, then the result. None where JSON would not give back the same."""
    fields: dict[str, Any] = {name: getattr(result, name) for name in _FIELDS}
    if isinstance(result, Result):
        place = {id(message): index for index, message in enumerate(content)}
        fields["messages"] = [place.get(id(message), message) for message in result.messages]
    else:
        fields["text"] = result.text
        if isinstance(result, DocumentsResult):
            fields["documents"] = result.documents
    head = json.dumps([result._cache_dependencies.requires, result._cache_dependencies.conflicts_with])
    body = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    if json.loads(body) != fields:
        return None
    return f"{head}\n{body}".encode("utf-8", "surrogatepass")


def _is_plain(data: Any) -> bool:
    """Whether it is JSON data and nothing else: no subclasses, no tuples, no keys that are not texts."""
    level: list[Any] = [data]
    while level:
        inside: list[Any] = []
        for item in level:
            if type(item) is dict:
                if not _TEXT.issuperset(map(type, item)):
                    return False
                inside += item.values()
            else:
                inside += item
        if not _JSON.issuperset(map(type, inside)):
            return False
        level = [item for item in inside if type(item) in _NESTED]
    return True


@cache
def _version() -> str:
    from compressor._version import __version__

    return __version__
