"""Stores examples that outlive the process, by the tens of thousands, and selects from them.

An example store is a log in a store (memory, SQLite or Redis): records of examples added and of ids removed. Processes
that share the store share its examples. What is expensive to compute about them is cached beside the log.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from compressor.context.budget import Budget
from compressor.errors import CompressorError, ContextError, ExpiredRefError, StoreError, UnknownRefError
from compressor.pipeline.engine import Engine, HasEngine, resolve_engine
from compressor.pipeline.examples.example import Example, example_id, has_known_fields, parse_example
from compressor.pipeline.examples.example_set import Array, ComputeRows, ExampleSet, question_texts
from compressor.pipeline.examples.feature_cache import FeatureBatch, FeatureCache, digest_bytes
from compressor.pipeline.examples.ngram_features import ngram_features
from compressor.pipeline.examples.results import ExamplesResult
from compressor.pipeline.examples.select import select_from_set
from compressor.pipeline.examples.selector import ExampleOrder
from compressor.pipeline.examples.template import ExampleTemplate, TemplateLike
from compressor.scoring import HeuristicScorer
from compressor.scoring.runtime.executor import run_in_thread
from compressor.storage.base import AppendLog, BlobStore
from compressor.tokens import get_counter

MAX_RECORD_EXAMPLES = 1_000  # examples in one record of the log
MAX_ATTEMPTS = 20  # to append a record while other processes append theirs
#: The log is rewritten once it holds this many removed examples, and they are at least half of it.
MIN_REMOVED_FOR_REWRITE = 1_000

Record = dict[str, Any]  # {"add": [[id, example], ...]} or {"remove": [id, ...]}


class ExampleStore:
    r"""A named collection of examples in a store.

    It is safe to share between threads. Processes see each other's changes when they change something themselves or
    call `refresh`. Examples that nobody has opened, changed or refreshed for the TTL of the store (seven days) expire.

    Args:
        engine: A `Compressor` or an `Engine`, whose store and scorer are used; or a store, its name or its path, as for
            `Compressor`. None is the user's own SQLite file.
        name: The name of the collection; a store can hold several.
        template: How examples are written, as for `Compressor.select_examples`. It must fit all examples.

    Raises:
        StoreError: If the store cannot be opened or read, or keeps no logs.
        ContextError: If the template is invalid or does not fit an example.
        CompressorError: If the name is invalid.

    Example:
        >>> store = ExampleStore("memory")
        >>> ids = store.add([{"input": "2 + 2", "output": "4"}, {"input": "capital of France", "output": "Paris"}])
        >>> store.select("3 + 4", budget=20).text
        'Q: 2 + 2\nA: 4'
    """

    def __init__(
        self,
        engine: HasEngine | Engine | BlobStore | os.PathLike[str] | str | None = None,
        name: str = "default",
        template: TemplateLike | None = None,
    ) -> None:
        self.engine = _open_engine(engine)
        if not isinstance(name, str) or not 0 < len(name) <= 100:
            raise CompressorError("the name of an example store must be a string of 1 to 100 characters")
        self.name, self._template = name, template
        self._writes = ExampleTemplate(template)  # raises now if the template is invalid
        self._feature_cache = FeatureCache(lambda: self.engine.store)
        self._lock = threading.RLock()
        self._last_record: int = 0  # the number of the last record that was applied
        self._clear()
        self.refresh()

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled: the name and the options. A copy reads the examples from the store."""
        return {"engine": self.engine, "name": self.name, "template": self._template}

    def __setstate__(self, state: dict[str, Any]) -> None:
        ExampleStore.__init__(self, **state)

    def __len__(self) -> int:
        return len(self._set)

    def __contains__(self, id: object) -> bool:
        return id in self._set.row_by_id

    @property
    def ids(self) -> list[str]:
        """The ids of all examples, in the order in which they were added."""
        return list(self._set.ids)

    def get(self, id: str) -> Any:
        """Returns the example with an id. Raises ContextError if the id is unknown."""
        pool = self._set
        if id not in pool.row_by_id:
            raise ContextError(f"the example store {self.name!r} has no example with the id {id!r}")
        return pool.examples[pool.row_by_id[id]].given

    def add(self, examples: Sequence[Any], ids: Sequence[str] | None = None) -> list[str]:
        """Adds examples: all of them, or none if one is invalid.

        Args:
            examples: The examples; they must be JSON.
            ids: Their ids. By default an id is made from the content, so that equal examples are stored once.

        Returns:
            The ids of the examples.

        Raises:
            ContextError: If an example is invalid, or if its id belongs to another example.
            StoreError: If the store cannot be written.
        """
        if isinstance(examples, (str, bytes)) or not isinstance(examples, Sequence):
            raise ContextError(f"examples must be a list, not {type(examples).__name__}")
        if ids is not None and (len(ids) != len(examples) or not all(isinstance(i, str) and i for i in ids)):
            raise ContextError("ids must be non-empty strings, one for each example")
        contents = [example_id(example, i) for i, example in enumerate(examples)]
        for i, example in enumerate(examples):
            if self._template is not None:
                self._writes.render(parse_example(example, i, True), i)
            elif not has_known_fields(example):
                parse_example(example, i)
        named = list(ids) if ids is not None else contents

        def records() -> list[Record]:
            new = self._new_pairs(examples, named, contents)
            return [{"add": new[i : i + MAX_RECORD_EXAMPLES]} for i in range(0, len(new), MAX_RECORD_EXAMPLES)]

        self._change(records)
        return named

    def remove(self, ids: Sequence[str]) -> int:
        """Removes examples. Unknown ids are ignored.

        Returns:
            The number of examples removed.
        """
        if isinstance(ids, str) or not all(isinstance(id, str) for id in ids):
            raise ContextError("ids must be a list of strings")
        before: list[str] = []

        def records() -> list[Record]:
            before[:] = [id for id in dict.fromkeys(ids) if id in self]
            return [{"remove": before}] if before else []

        self._change(records)
        self._rewrite_if_wasteful()
        return len(before)

    def select(
        self,
        query: str | None,
        budget: Budget,
        model: str | None = None,
        method: str = "auto",
        prune: bool = True,
        order: ExampleOrder = "most_relevant_last",
        cached_budget: Budget | None = None,
    ) -> ExamplesResult:
        """Selects the examples that teach most for a query; the arguments are those of `Compressor.select_examples`."""
        pool, engine = self._set, self.engine  # a set is immutable, so no lock is needed
        options: dict[str, Any] = {"method": method, "prune": prune, "order": order, "cached_budget": cached_budget}
        counter = get_counter(model)
        return select_from_set(pool, pool.given, query, budget, counter, engine.scorer, lambda: engine.store, **options)

    async def aselect(self, query: str | None, budget: Budget, **options: Any) -> ExamplesResult:
        """Runs `select` in a worker thread, with the same options."""
        return await run_in_thread(self.select, query, budget, **options)

    def refresh(self) -> None:
        """Reads what other processes have added and removed, and keeps the examples from expiring."""
        with self._lock:
            try:
                found = self._append_log.read_log(self._log, self._last_record)
            except (UnknownRefError, ExpiredRefError):
                self._last_record = 0  # the log has expired; the next change writes it again
                return
            if found and found[0][0] != self._last_record + 1:
                self._clear()  # another process has rewritten the log
            self._apply([record for _, record in found])
            self._last_record = found[-1][0] if found else self._last_record

    # -- the log

    @property
    def _log(self) -> str:
        return f"examples:{self.name}"

    @property
    def _append_log(self) -> AppendLog:
        store: Any = self.engine.store
        if not hasattr(store, "append_log"):
            raise StoreError(
                f"{type(store).__name__} cannot hold examples: it has no logs (see compressor.storage.AppendLog)"
            )
        journal: AppendLog = store
        return journal

    def _change(self, records: Callable[[], list[Record]]) -> None:
        """Appends records and applies them. If another process was first, makes them again from the new state."""
        with self._lock:
            for _ in range(MAX_ATTEMPTS):
                new = records()
                if not new:
                    return
                lost = self._last_record == 0 and len(self) > 0  # the log has expired, so all of it is written
                packed = [_dumped(record) for record in new]
                written = [*map(_dumped, self._to_records()), *packed] if lost else packed
                if self._append_log.append_log(self._log, self._last_record, written):
                    self._last_record += len(written)
                    self._apply(packed)
                    return
                if lost:
                    self._clear()  # another process has written the log again first
                self.refresh()
        raise StoreError(f"too many processes are writing to the example store {self.name!r} at once: try again")

    def _rewrite_if_wasteful(self) -> None:
        """Rewrites the log if at least half of its examples have been removed."""
        with self._lock:
            added = sum(len(batch.ids) for batch in self._batches)
            if added - len(self) < max(MIN_REMOVED_FOR_REWRITE, len(self)):
                return
            records = [_dumped(record) for record in self._to_records()]
            if self._append_log.append_log(self._log, self._last_record, records, truncate_before=True):
                at = self._last_record + len(records)
                self._clear()
                self._apply(records)
                self._last_record = at

    def _to_records(self) -> list[Record]:
        """All examples as records."""
        pairs = [[id, given] for id, given in zip(self._set.ids, self._set.given, strict=True)]
        return [{"add": pairs[i : i + MAX_RECORD_EXAMPLES]} for i in range(0, max(1, len(pairs)), MAX_RECORD_EXAMPLES)]

    def _new_pairs(self, examples: Sequence[Any], named: Sequence[str], contents: Sequence[str]) -> list[list[Any]]:
        """Pairs of id and example for new examples. Raises ContextError if an id belongs to another example."""
        new: dict[str, int] = {}
        for i, (id, content) in enumerate(zip(named, contents, strict=True)):
            if id in self:
                existing = example_id(self.get(id), i)
            else:
                existing = contents[new.setdefault(id, i)]
            if existing != content:
                raise ContextError(
                    f"the id {id!r} belongs to another example: remove that one first, or use another id", i, "example"
                )
        return [[id, examples[i]] for id, i in new.items()]

    # -- the state

    def _clear(self) -> None:
        self._last_record = 0
        self._batches: list[FeatureBatch] = []
        self._set = ExampleSet([], self._template, load=self._load)

    def _load(self, pool: ExampleSet, name: str, start: int, compute: ComputeRows) -> Array:
        return self._feature_cache.column(pool, name, start, compute, list(self._batches))

    def _places(self, batches: Sequence[FeatureBatch] | None = None) -> dict[str, tuple[FeatureBatch, int]]:
        """The batch and the position of each example. Only removing needs them, so they are not kept."""
        some = self._batches if batches is None else batches
        return {id: (batch, i) for batch in some for i, id in enumerate(batch.ids) if id is not None}

    def _apply(self, packed: Sequence[bytes]) -> None:
        """Updates the set with any number of records at once."""
        records: list[Record] = [json.loads(record) for record in packed]
        added = [record["add"] for record in records if "add" in record]
        templated = self._template is not None
        batches = [[parse_example(given, i, templated) for i, (_, given) in enumerate(pairs)] for pairs in added]
        features = self._feature_cache.features(
            [question_texts(batch, self._template) for batch in batches], ngram_features
        )
        unread = iter(batches)
        new: dict[str, tuple[Example, int]] = {}
        removed: set[str] = set()
        places: dict[str, tuple[FeatureBatch, int]] | None = None
        count = 0
        for data, record in zip(packed, records, strict=True):
            for id in record.get("remove", ()):
                if new.pop(id, None) is None:
                    removed.add(id)
                places = places if places is not None else self._places()
                batch, position = places.pop(id)
                batch.ids[position] = None
            if "add" in record:
                ids = [id for id, _ in record["add"]]
                batch = FeatureBatch(digest_bytes(data), list(ids))
                self._batches.append(batch)
                if places is not None:
                    places.update(self._places([batch]))
                new.update(zip(ids, zip(next(unread), range(count, count + len(ids)), strict=True), strict=True))
                count += len(ids)
        pool = self._set
        if removed:
            pool = pool.without(np.array([id in removed for id in pool.ids], np.bool_))
        rows = [row for _, row in new.values()]
        if len(rows) < count:
            features = features.select(rows)
        self._set = pool.with_added([example for example, _ in new.values()], features, list(new))


def _open_engine(source: HasEngine | Engine | BlobStore | os.PathLike[str] | str | None) -> Engine:
    """Returns the engine of a compressor, or a new one with the default scorer for a store."""
    if isinstance(source, Engine) or hasattr(source, "engine"):
        return resolve_engine(cast("Engine | HasEngine", source))
    return Engine(HeuristicScorer(), None, source)


def _dumped(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")
