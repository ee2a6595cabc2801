"""Caches finished compressions in the store, so that equal requests cost one computation.

The key is a hash of everything that the result depends on: content, options, model and tokenizer, the scorer's
`identity`, and our version. The value is the result as JSON. Messages that were not changed are stored as indices, so
they come back as the caller's own objects. A result that came from a fallback is not cached, and a cached result is
returned only if all its originals are stored.

Concurrent identical requests wait for the first one: in this process (`SingleFlight`), and in other processes if the
store is a `LeaseStore`.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from dataclasses import astuple, dataclass
from functools import cache, cached_property, wraps
from typing import Any, Literal, ParamSpec, Protocol, TypeVar, cast

from compressor._version import __version__
from compressor.context.results import DocumentsResult, Result, TextResult, ToolSize
from compressor.errors import CompressorError, StoreError
from compressor.pipeline.engine import Engine
from compressor.pipeline.single_flight import SingleFlight
from compressor.scoring.base import cache_identity
from compressor.scoring.runtime.file_digest import file_digest
from compressor.storage.base import LeaseStore, get_many
from compressor.tokens import get_counter

P = ParamSpec("P")
R = TypeVar("R")
AnyResult = Result | TextResult | DocumentsResult

FORMAT_VERSION = 2
LEASE_SECONDS = 10.0  # A process may compute this long before another one computes the same result, too.
WAIT_SECONDS = 15.0  # After waiting this long each waiter computes the result itself.
MIN_POLL_SECONDS, MAX_POLL_SECONDS = 0.005, 0.1  # Pauses between two looks for the result of another process.
STORE_UNAVAILABLE = "the store is not available now, so this result was neither looked up in the cache nor kept there"
_FIELDS = ("tokens_before", "tokens_after", "budget", "warnings", "is_estimate", "tokenizer")
_TEXT, _NESTED = {str}, {list, dict}
_JSON = {str, int, float, bool, type(None), list, dict}


class HasResultCache(Protocol):
    """An object with a result cache, such as a `Compressor`."""

    cache: ResultCache | None


def cached(method: Callable[P, R]) -> Callable[P, R]:
    """Decorates a method so that it looks its result up in the cache of its object, if the object has one.

    The first parameter of the method is the content, the others are options.
    """
    signature, kind = inspect.signature(method), method.__name__

    @wraps(method)
    def call(*args: P.args, **options: P.kwargs) -> R:
        owner = cast("HasResultCache", args[0])
        if owner.cache is None:
            return method(*args, **options)
        given = signature.bind(*args, **options)
        given.apply_defaults()
        content, *rest = list(given.arguments.values())[1:]
        names = list(signature.parameters)[2:]

        def compute(content: Any, **options: Any) -> Any:
            return cast("Callable[..., Any]", method)(owner, content, **options)

        return cast(R, owner.cache.get_or_compute(kind, compute, content, dict(zip(names, rest, strict=True))))

    return call


class ResultCache:
    """The cached results of one engine, in its store.

    Safe to share between threads. Processes that share the store share the results.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._flights: SingleFlight[bytes | None] = SingleFlight()

    def get_or_compute(
        self, kind: str, compute: Callable[..., AnyResult], content: Any, options: Mapping[str, Any]
    ) -> AnyResult:
        """Returns the result of `compute(content, **options)`, from the cache if possible.

        Args:
            kind: The name of the computation. Equal content and options of different kinds have different results.
            compute: Computes the result. Its exceptions are raised in all threads that wait for it.
            content: What to compress.
            options: The other arguments.
        """
        request = self._request(kind, compute, content, options)
        if request is None:
            return compute(content, **options)
        store_failed = False
        try:
            if (found := self._find(request.key)) is not None:
                return request.result(found, "hit")
        except StoreError:
            store_failed = True
        flight, is_leader = self._flights.begin(request.key)
        if is_leader:
            return self._compute_as_leader(request, store_failed)
        with suppress(NotInTime):
            if (data := flight.result(WAIT_SECONDS)) is not None:
                return request.result(data, "coalesced")
        return self._compute(request, store_failed)[0]

    def _compute_as_leader(self, request: _Request, store_failed: bool) -> AnyResult:
        """Computes the result for all waiting threads of this process."""
        outcome: bytes | BaseException | None = None
        token = ""
        try:
            if not store_failed:
                try:
                    outcome, token = self._lease(request.key)
                except StoreError:
                    store_failed = True
            if isinstance(outcome, bytes):
                return request.result(outcome, "coalesced")
            result, outcome = self._compute(request, store_failed)
            return result
        except Exception as error:
            outcome = error
            raise
        finally:
            self._flights.finish(request.key, outcome)
            if token:
                with suppress(StoreError):
                    cast(LeaseStore, self._engine.store).release(request.key, token)

    def _compute(self, request: _Request, store_failed: bool) -> tuple[AnyResult, bytes | None]:
        """Computes and stores the result. Returns it, and its packed form if it has one."""
        result = request.compute(request.content, **request.options)
        result.cached = "miss"
        if store_failed:
            result.warnings.append(STORE_UNAVAILABLE)
        data = _packed(result, request.content)
        if data is not None and not store_failed and not result._cache_dependencies.transient:
            with suppress(StoreError):  # A result that cannot be cached is still a result.
                self._engine.store.put({request.key: data})
        return result, data

    def _find(self, key: str) -> bytes | None:
        """Returns the packed result if it is cached and still valid. Reading renews it and what it requires."""
        store = self._engine.store
        data = get_many(store, [key]).get(key)
        if data is None:
            return None
        try:
            requires, conflicts_with = json.loads(data[: data.index(b"\n")])
        except ValueError:
            return None
        if requires or conflicts_with:
            found = get_many(store, [*requires, conflicts_with] if conflicts_with else requires)
            if len(found) < len(requires) or (conflicts_with and conflicts_with in found):
                return None
        return data

    def _lease(self, key: str) -> tuple[bytes | None, str]:
        """Takes the lease of a key, or waits for the result of the process that has it.

        Returns:
            The packed result of another process and ""; or None and the token of our lease. The token is "" if the
            store has no leases, or if the other process takes too long.
        """
        store = self._engine.store
        if not hasattr(store, "lease"):
            return self._find(key), ""
        end, pause = time.monotonic() + WAIT_SECONDS, MIN_POLL_SECONDS
        while True:
            token = cast(LeaseStore, store).lease(key, LEASE_SECONDS) or ""
            found = self._find(key)  # Looked up after taking the lease: its last holder has stored the result by then.
            if token and found is not None:
                cast(LeaseStore, store).release(key, token)
            if found is not None:
                return found, ""
            if token or time.monotonic() > end:
                return None, token
            time.sleep(pause)
            pause = min(MAX_POLL_SECONDS, 1.5 * pause)

    @cached_property
    def _scorer(self) -> str:
        return cache_identity(self._engine.scorer)

    @cached_property
    def _image_readers(self) -> str:
        """What reads images here, such as Pillow; "" if one of these has no identity."""
        from compressor.images.known_image import is_decoding_installed
        from compressor.images.ocr import is_tesseract_installed

        relevance = self._engine.image_relevance
        encoder = "-" if relevance is None else cache_identity(relevance)
        return f"{encoder} {is_decoding_installed():d}{is_tesseract_installed():d}" if encoder else ""

    def _request(
        self, kind: str, compute: Callable[..., AnyResult], content: Any, options: Mapping[str, Any]
    ) -> _Request | None:
        """Returns the request, or None if its result must not be cached.

        That is so if a scorer or a word pruner has no identity, or if an argument is not plain JSON.
        """
        words = self._engine.word_pruner
        if not self._scorer or (words is not None and words.importance is not None):
            return None
        plain_options: dict[str, Any] = {
            name: list(value) if type(value) is tuple else value for name, value in options.items()
        }
        plain = list(content) if type(content) is tuple else content
        if type(plain) not in (list, str):
            return None
        try:
            counter = get_counter(plain_options["model"])
            text = json.dumps([plain, plain_options], ensure_ascii=False, separators=(",", ":"))
        except (CompressorError, ValueError, TypeError, AttributeError, RecursionError):
            return None  # The computation raises the error that the caller should see.
        # This check comes after json.dumps, which refuses circular data.
        if not _is_plain([plain, plain_options]):
            return None
        encoded = text.encode("utf-8", "surrogatepass")
        file = file_digest(counter.file) if counter.file else "-"
        image_readers = self._image_readers if "image" in text else "-"  # texts do not need them
        if not file or not image_readers:
            return None
        front = [
            FORMAT_VERSION,
            __version__,
            kind,
            self._scorer,
            repr(words),
            repr(self._engine.images),
            image_readers,
            counter.name,
            file,
        ]
        digest = hashlib.blake2b(json.dumps(front).encode() + b"\n", digest_size=32)
        digest.update(encoded)
        return _Request(f"cache:{FORMAT_VERSION}:{digest.hexdigest()}", compute, content, options, encoded)


@dataclass(frozen=True, slots=True)
class _Request:
    """One call of a cached method. `encoded` is its content and options as JSON."""

    key: str
    compute: Callable[..., AnyResult]
    content: Any
    options: Mapping[str, Any]
    encoded: bytes

    def result(self, data: bytes, how: Literal["hit", "coalesced"]) -> AnyResult:
        """Returns the result from its packed form.

        The reports of the blocks are not cached. They are computed again when they are first read.
        """
        # The caller may have changed the messages by then, so they are read from the encoded request.
        encoded, compute = self.encoded, self.compute

        @cache
        def computed_again() -> AnyResult:
            content, options = json.loads(encoded.decode("utf-8", "surrogatepass"))
            return compute(content, **options)

        fields = json.loads(data[data.index(b"\n") :].decode("utf-8", "surrogatepass"))
        fields |= {"cached": how, "_dropped": lambda: computed_again().dropped}
        fields["_blocks"] = lambda: computed_again().blocks
        if "messages" in fields:
            fields["messages"] = [self.content[m] if type(m) is int else m for m in fields["messages"]]
            sizes = fields.pop("tool_sizes")
            fields["_tool_sizes"] = lambda: [ToolSize(*size) for size in sizes]
            return Result(**fields)
        return DocumentsResult(**fields) if "documents" in fields else TextResult(**fields)


def _packed(result: AnyResult, content: Any) -> bytes | None:
    """Returns a line with the result's cache dependencies, then the result; None if JSON would change it."""
    fields: dict[str, Any] = {name: getattr(result, name) for name in _FIELDS}
    if isinstance(result, Result):
        index_of = {id(message): index for index, message in enumerate(content)}
        fields["messages"] = [index_of.get(id(message), message) for message in result.messages]
        fields["tool_sizes"] = [[*astuple(size)] for size in result.tool_sizes]
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
    """Returns whether data is plain JSON: no subclasses, no tuples, only text keys."""
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
