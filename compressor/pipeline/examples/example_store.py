"""Examples that outlive the process: added, removed and chosen from by the thousands.

A bank is a log in a store (memory, SQLite or Redis): records of examples added and of ids removed, so that processes
that share a store share their banks. What is dear to work out lies beside it (`kept`).
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
from compressor.pipeline.examples.example import Example, example_id, read
from compressor.pipeline.examples.example_set import Array, Compute, ExampleSet, question_text
from compressor.pipeline.examples.feature_cache import FeatureBatch, FeatureCache, digest
from compressor.pipeline.examples.ngram_features import Features, ngram_features
from compressor.pipeline.examples.results import ExamplesResult
from compressor.pipeline.examples.select import choose
from compressor.pipeline.examples.selector import ExampleOrder
from compressor.pipeline.examples.template import ExampleTemplate, TemplateLike
from compressor.scoring import HeuristicScorer
from compressor.scoring.runtime.executor import run_in_thread
from compressor.storage.base import AppendLog, BlobStore
from compressor.tokens import get_counter

RECORD = 1_000  # examples of one record of the log
TRIES = 20  # that another process may be first with its record
WASTE = 1_000  # removed examples from which on the log is written anew, once they are also half of it

Record = dict[str, Any]  # {"add": [[id, example], ...]} or {"remove": [id, ...]}


class ExampleStore:
    """A bank of examples. Safe to share between threads; processes see each other's changes when they change something
    themselves, or `refresh`.

    engine: a `Compressor` or an `Engine`, whose store and scorer are used; or a store or its name, as for `Compressor`.
        None is the user's own SQLite file.
    name: which of the store's banks. template: as for `Compressor.select_examples`; it has to fit all examples.

    A bank that nobody has opened, changed or refreshed for the store's TTL (seven days) is gone from it. Examples have
    to be JSON. Raises StoreError, ContextError, CompressorError.
    """

    def __init__(
        self,
        engine: HasEngine | Engine | BlobStore | os.PathLike[str] | str | None = None,
        name: str = "default",
        template: TemplateLike | None = None,
    ) -> None:
        self.engine = _open_engine(engine)
        if not isinstance(name, str) or not 0 < len(name) <= 100:
            raise CompressorError("a bank's name is a string of 1 to 100 characters")
        self.name, self._template = name, template
        self._writes = ExampleTemplate(template)  # what is wrong with a template shows now
        self._kept = FeatureCache(lambda: self.engine.store)
        self._lock = threading.RLock()
        self._at: int = 0  # the number of the last record that is applied
        self._clear()
        self.refresh()

    def __len__(self) -> int:
        return len(self._pool)

    def __contains__(self, id: object) -> bool:
        return id in self._pool.places

    @property
    def ids(self) -> list[str]:
        """Of all examples, in the order in which they were added."""
        return list(self._pool.ids)

    def get(self, id: str) -> Any:
        """The example of that id. ContextError if there is none."""
        pool = self._pool
        if id not in pool.places:
            raise ContextError(f"the bank {self.name!r} has no example {id!r}")
        return pool.examples[pool.places[id]].given

    def add(self, examples: Sequence[Any], ids: Sequence[str] | None = None) -> list[str]:
        """Adds examples and gives their ids: your own, or made from what each holds, so that the same example is there
        once. All are added or none: ContextError names the one that cannot be, also where its id has another."""
        if isinstance(examples, (str, bytes)) or not isinstance(examples, Sequence):
            raise ContextError(f"examples must be a list, not {type(examples).__name__}")
        if ids is not None and (len(ids) != len(examples) or not all(isinstance(i, str) and i for i in ids)):
            raise ContextError("ids are strings that are not empty, one for each example")
        contents = [example_id(example, i) for i, example in enumerate(examples)]
        for i, example in enumerate(examples):
            self._writes.render(read(example, i, self._template is not None), i)
        named = list(ids) if ids is not None else contents

        def records() -> list[Record]:
            new = self._new(examples, named, contents)
            return [{"add": new[i : i + RECORD]} for i in range(0, len(new), RECORD)]

        self._change(records)
        return named

    def remove(self, ids: Sequence[str]) -> int:
        """Removes examples; gives how many of the ids were there."""
        if isinstance(ids, str) or not all(isinstance(id, str) for id in ids):
            raise ContextError("ids must be a list of strings")
        before: list[str] = []

        def records() -> list[Record]:
            before[:] = [id for id in dict.fromkeys(ids) if id in self]
            return [{"remove": before}] if before else []

        self._change(records)
        self._tidy()
        return len(before)

    def select(
        self,
        query: str | None,
        budget: Budget,
        model: str | None = None,
        method: str = "auto",
        prune: bool = True,
        order: ExampleOrder = "most_relevant_last",
    ) -> ExamplesResult:
        """The examples that teach most for a query; see `Compressor.select_examples`."""
        pool, engine = self._pool, self.engine  # a pool never changes
        options: dict[str, Any] = {"method": method, "prune": prune, "order": order}
        counter = get_counter(model)
        return choose(pool, pool.given, query, budget, counter, engine.scorer, lambda: engine.store, **options)

    async def aselect(self, query: str | None, budget: Budget, **options: Any) -> ExamplesResult:
        """`select` in a worker thread, with the same options."""
        return await run_in_thread(self.select, query, budget, **options)

    def refresh(self) -> None:
        """Reads what others have added and removed since, and keeps the bank from expiring."""
        with self._lock:
            try:
                found = self._journal.read_log(self._log, self._at)
            except (UnknownRefError, ExpiredRefError):
                self._at = 0  # it has expired under us: what we have is written again with the next change
                return
            if found and found[0][0] != self._at + 1:
                self._clear()  # others have written it anew
            self._apply([json.loads(record) for _, record in found])
            self._at = found[-1][0] if found else self._at

    # -- the log

    @property
    def _log(self) -> str:
        return f"examples:{self.name}"

    @property
    def _journal(self) -> AppendLog:
        store: Any = self.engine.store
        if not hasattr(store, "append_log"):
            raise StoreError(
                f"{type(store).__name__} keeps no logs, which a bank needs: see compressor.storage.Journal"
            )
        journal: AppendLog = store
        return journal

    def _change(self, records: Callable[[], list[Record]]) -> None:
        """Writes records and applies them; if others were first, works them out again."""
        with self._lock:
            for _ in range(TRIES):
                new = records()
                if not new:
                    return
                lost = self._at == 0 and len(self) > 0  # the log has expired
                written = [*self._all(), *new] if lost else new
                if self._journal.append_log(self._log, self._at, [_dumped(record) for record in written]):
                    self._at += len(written)
                    self._apply([json.loads(_dumped(record)) for record in new])
                    return
                if lost:
                    self._clear()  # others have begun it anew
                self.refresh()
        raise StoreError(f"the bank {self.name!r} is written to by too many others at once: try again")

    def _tidy(self) -> None:
        """Writes the log anew where more than half of it is about examples that are gone."""
        with self._lock:
            added = sum(len(batch.ids) for batch in self._batches)
            if added - len(self) < max(WASTE, len(self)):
                return
            records = self._all()
            if self._journal.append_log(self._log, self._at, [_dumped(r) for r in records], truncate_before=True):
                at = self._at + len(records)
                self._clear()
                self._apply(records)
                self._at = at

    def _all(self) -> list[Record]:
        """The bank as records."""
        pairs = [[id, given] for id, given in zip(self._pool.ids, self._pool.given, strict=True)]
        return [{"add": pairs[i : i + RECORD]} for i in range(0, max(1, len(pairs)), RECORD)]

    def _new(self, examples: Sequence[Any], named: Sequence[str], contents: Sequence[str]) -> list[list[Any]]:
        """Those that are not there, with their ids. ContextError where an id has another example."""
        new: dict[str, int] = {}
        for i, (id, content) in enumerate(zip(named, contents, strict=True)):
            if id in self:
                known = example_id(self.get(id), i)
            else:
                known = contents[new.setdefault(id, i)]
            if known != content:
                raise ContextError(f"the id {id!r} has another example: remove that one first", i)
        return [[id, examples[i]] for id, i in new.items()]

    # -- the state

    def _clear(self) -> None:
        self._at = 0
        self._batches: list[FeatureBatch] = []
        self._slots: dict[str, tuple[FeatureBatch, int]] = {}  # where each example stands in them
        self._pool = ExampleSet([], self._template, load=self._load)

    def _load(self, pool: ExampleSet, name: str, start: int, compute: Compute) -> Array:
        return self._kept.column(pool, name, start, compute, list(self._batches))

    def _apply(self, records: Sequence[Record]) -> None:
        """Brings the pool up to date with new records, however many, in one go."""
        added = [record["add"] for record in records if "add" in record]
        templated = self._template is not None
        batches = [[read(given, i, templated) for i, (_, given) in enumerate(pairs)] for pairs in added]
        found = iter(self._kept.features([question_text(batch, self._template) for batch in batches], ngram_features))
        unread = iter(batches)
        new: dict[str, tuple[Example, Features]] = {}
        gone: set[str] = set()
        for record in records:
            for id in record.get("remove", ()):
                if new.pop(id, None) is None:
                    gone.add(id)
                batch, at = self._slots.pop(id)
                batch.ids[at] = None
            if "add" in record:
                pairs = record["add"]
                batch = FeatureBatch(digest([json.dumps(pairs)]), [id for id, _ in pairs])
                self._batches.append(batch)
                self._slots |= {id: (batch, i) for i, (id, _) in enumerate(pairs)}
                new |= {id: (example, next(found)) for (id, _), example in zip(pairs, next(unread), strict=True)}
        pool = self._pool
        if gone:
            pool = pool.without(np.array([id in gone for id in pool.ids], np.bool_))
        self._pool = pool.added([e for e, _ in new.values()], [f for _, f in new.values()], list(new))


def _open_engine(source: HasEngine | Engine | BlobStore | os.PathLike[str] | str | None) -> Engine:
    """Returns the engine of a compressor, or a new one with the default scorer for a store."""
    if isinstance(source, Engine) or hasattr(source, "engine"):
        return resolve_engine(cast("Engine | HasEngine", source))
    return Engine(HeuristicScorer(), None, source)


def _dumped(record: Record) -> bytes:
    return json.dumps(record, ensure_ascii=False).encode("utf-8", "surrogatepass")
