"""Examples at hand, with what has been worked out about them: how they are written, n-grams, classes, tokens, vectors.

A pool never changes: what adds or removes examples gives a new one that shares what the old one knows, so that a reader
needs no lock. Chooses nothing; `bank` keeps what a pool knows in a store.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from compressor.context.formats import detect_format
from compressor.errors import ContextError
from compressor.pipeline.examples.answer_format import answer_format
from compressor.pipeline.examples.embeddings import EmbeddingMatrix, TextEncoder
from compressor.pipeline.examples.example import Example, read
from compressor.pipeline.examples.label_prior import LabelModel
from compressor.pipeline.examples.ngram_features import Features, ngram_features
from compressor.pipeline.examples.ngram_index import NgramIndex
from compressor.pipeline.examples.rationale_pruning import RationaleStep, shortened, split_steps, without
from compressor.pipeline.examples.template import ExampleTemplate, TemplateLike
from compressor.tokens import TokenCounter

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[Any]
#: works out the values of some rows, [len(rows), ...]
Compute = Callable[[list[int]], Array]
#: gives those of a pool's rows from `start` on, by a name; it may know them from before
Load = Callable[["ExampleSet", str, int, Compute], Array]

REMEMBERED = 4  # lists of examples that a process remembers, so that another query over the same ones is quick
_LEAN = 2_000  # shortened examples that a pool remembers


class ExampleSet:
    """Examples, in order. `template`: None, a format string or a function; see `Template`. `ids`: of a bank's."""

    def __init__(
        self,
        examples: Sequence[Example],
        template: TemplateLike | None = None,
        lexical: NgramIndex | None = None,
        load: Load | None = None,
        columns: dict[Any, Array] | None = None,
        ids: Sequence[str] = (),
    ) -> None:
        self.examples, self.ids = list(examples), list(ids)
        self._given = template
        self.lexical = (
            lexical if lexical is not None else NgramIndex(ngram_features(question_text(self.examples, template)))
        )
        self._load = load or _computed
        self._columns = columns if columns is not None else {}
        self._lock = threading.RLock()
        self._vectors: dict[str, EmbeddingMatrix] = {}
        self._lean: OrderedDict[tuple[str, int], tuple[list[RationaleStep], str, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.examples)

    def added(self, examples: Sequence[Example], found: Sequence[Features], ids: Sequence[str]) -> ExampleSet:
        """The pool with more examples behind the others: their n-grams, and their ids."""
        with self._lock:
            columns = dict(self._columns)
        every, lexical = [*self.examples, *examples], self.lexical.added(found)
        return ExampleSet(every, self._given, lexical, self._load, columns, [*self.ids, *ids])

    def without(self, gone: npt.NDArray[np.bool_]) -> ExampleSet:
        """The pool without the examples where `gone` is true."""
        with self._lock:
            columns = {key: column[~gone[: len(column)]] for key, column in self._columns.items()}
        left = [example for example, out in zip(self.examples, gone.tolist(), strict=True) if not out]
        ids = [id for id, out in zip(self.ids, gone.tolist(), strict=True) if not out]
        return ExampleSet(left, self._given, self.lexical.without(gone), self._load, columns, ids)

    @cached_property
    def given(self) -> list[Any]:
        """[n] the objects that were given."""
        return [example.given for example in self.examples]

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each id stands."""
        return {id: row for row, id in enumerate(self.ids)}

    @cached_property
    def classes(self) -> LabelModel:
        return LabelModel(self.lexical, [example.label for example in self.examples])

    @cached_property
    def forms(self) -> Ints:
        """[n] a number for what each answer looks like; -1 where there is none."""
        numbers: dict[str, int] = {"": -1}
        found = [answer_format(example.answer) for example in self.examples]
        return np.array([numbers.setdefault(form, len(numbers) - 1) for form in found], np.int64)

    @cached_property
    def template(self) -> ExampleTemplate:
        """How these examples are written: by default a line each if all are such, with labels that are repeated."""
        short = self._given is None and all(
            e.shape == "fields" and e.label and not e.is_closed and "\n" not in e.question and "\n" not in e.answer
            for e in self.examples
        )
        return ExampleTemplate(self._given, short and self.classes.repeated)

    @cached_property
    def chat(self) -> bool:
        """Whether examples are messages, which are sent and counted as such."""
        return bool(self.examples) and all(example.shape == "messages" for example in self.examples)

    @cached_property
    def texts(self) -> list[str]:
        """[n] the examples as they are written. ContextError where the template does not fit one."""
        render = self.template.render
        return [render(example, i) for i, example in enumerate(self.examples)]

    def costs(self, counter: TokenCounter) -> Ints:
        """[n] tokens of each example with the separator behind it."""

        def compute(rows: list[int]) -> Array:
            return np.array([self.cost(row, self.texts[row], None, counter) for row in rows], np.int64)

        about = (self.template.key, self.chat)
        return self._column(f"tokens:{counter.name}:{counter.scale}:{about!r}", about, compute)

    def cost(self, row: int, text: str, home: str | None, counter: TokenCounter) -> int:
        """Tokens of an example written as `text`, with the separator; `home`: its text there, if it is shortened."""
        cost = counter.count(text + self.template.separator)
        return max(cost, self.message_cost(row, home, counter)) if self.chat else cost

    def message_cost(self, row: int, home: str | None, counter: TokenCounter) -> int:
        """Tokens of an example's messages, with what is around each."""
        example = self.examples[row]
        messages = list(example.given if home is None else example.with_text(home))
        try:
            context = detect_format(messages, None).parse(messages, None)
        except ContextError as error:
            raise ContextError(f"its messages cannot be read: {error}", row) from None
        return sum(counter.count_turn(turn, context.format_name) for turn in context.turns)

    def vectors(self, encoder: TextEncoder) -> EmbeddingMatrix:
        """The examples' vectors: of what each asks, or of all of it where that cannot be told."""
        with self._lock:
            known = self._vectors.get(encoder.fingerprint)
            if known is None:

                def compute(rows: list[int]) -> Array:
                    return encoder.embed([self.examples[r].question or self.texts[r] for r in rows], keep=False)

                rows = self._column(f"vectors:{encoder.fingerprint}", (), compute)
                known = self._vectors[encoder.fingerprint] = EmbeddingMatrix(rows.astype(np.float32), encoder.device)
        return known

    def with_pruned_rationale(self, row: int, counter: TokenCounter) -> tuple[list[RationaleStep], str, int] | None:
        """An example with less of its reasoning: what goes, in the order in which it does, how it is then written, and
        its tokens. None where nothing can go."""
        key = counter.name, row
        with self._lock:
            known = self._lean.get(key)
        if known is None:
            example = self.examples[row]
            gone = shortened(example, split_steps(example), counter.count)
            text, cost = self.written(row, gone, counter) if gone else ("", 0)
            known = gone, text, cost
            with self._lock:
                self._lean[key] = known
                while len(self._lean) > _LEAN:
                    self._lean.popitem(last=False)
        return known if known[0] else None

    def written(self, row: int, gone: list[RationaleStep], counter: TokenCounter) -> tuple[str, int]:
        """An example without some steps, as it is written, and its tokens."""
        example = self.examples[row]
        home = without(example.text, gone)
        text = self.template.render(example, row, home)
        return text, self.cost(row, text, home, counter)

    def _column(self, name: str, about: object, compute: Compute) -> Array:
        """[n, ...] values of all rows, of which only those that are new are worked out."""
        key = name, about
        with self._lock:
            known = self._columns.get(key)
            start = 0 if known is None else len(known)
            if known is None or start < len(self):
                new = self._load(self, name, start, compute)
                known = new if known is None else np.concatenate([known, new])
                self._columns[key] = known
        return known


def question_text(examples: Sequence[Example], template: TemplateLike | None) -> list[str]:
    """What examples ask, by which a query finds them; all of one of which that cannot be told."""
    written = ExampleTemplate(template)
    return [e.question or written.render(e, i) for i, e in enumerate(examples)]


def example_set(given: Sequence[Any], template: TemplateLike | None) -> ExampleSet:
    """The pool of a list of examples; another list that holds the same gets the same pool. ContextError names what is
    no example."""
    try:
        text = json.dumps(given, ensure_ascii=False)
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest(), template
    except (TypeError, ValueError):
        return _read(given, template)  # what cannot be compared is read again
    with _lock:
        pool = _pools.pop(key, None)
    if pool is None:
        pool = _read(given, template)
    with _lock:
        _pools[key] = pool
        while len(_pools) > REMEMBERED:
            _pools.popitem(last=False)
    return pool


def _read(given: Sequence[Any], template: TemplateLike | None) -> ExampleSet:
    return ExampleSet([read(example, i, template is not None) for i, example in enumerate(given)], template)


def _computed(pool: ExampleSet, name: str, start: int, compute: Compute) -> Array:
    return compute(list(range(start, len(pool))))


_pools: OrderedDict[tuple[bytes, TemplateLike | None], ExampleSet] = OrderedDict()
_lock = threading.Lock()
