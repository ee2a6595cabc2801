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

from compressor.context.formats import detect
from compressor.errors import InvalidContext
from compressor.pipeline.examples.answer_format import form_of
from compressor.pipeline.examples.embeddings import TextEncoder, Vectors
from compressor.pipeline.examples.example import Example, read
from compressor.pipeline.examples.label_prior import Classes
from compressor.pipeline.examples.ngram_features import Features, features
from compressor.pipeline.examples.ngram_index import Lexical
from compressor.pipeline.examples.rationale_pruning import Step, shortened, steps_of, without
from compressor.pipeline.examples.template import Template, TemplateLike
from compressor.tokens import Counter

Ints = npt.NDArray[np.int64]
Array = npt.NDArray[Any]
#: works out the values of some rows, [len(rows), ...]
Compute = Callable[[list[int]], Array]
#: gives those of a pool's rows from `start` on, by a name; it may know them from before
Load = Callable[["Pool", str, int, Compute], Array]

REMEMBERED = 4  # lists of examples that a process remembers, so that another query over the same ones is quick
_LEAN = 2_000  # shortened examples that a pool remembers


class Pool:
    """Examples, in order. `template`: None, a format string or a function; see `Template`. `ids`: of a bank's."""

    def __init__(
        self,
        examples: Sequence[Example],
        template: TemplateLike | None = None,
        lexical: Lexical | None = None,
        load: Load | None = None,
        columns: dict[Any, Array] | None = None,
        ids: Sequence[str] = (),
    ) -> None:
        self.examples, self.ids = list(examples), list(ids)
        self._given = template
        self.lexical = lexical if lexical is not None else Lexical(features(asked_of(self.examples, template)))
        self._load = load or _computed
        self._columns = columns if columns is not None else {}
        self._lock = threading.RLock()
        self._vectors: dict[str, Vectors] = {}
        self._lean: OrderedDict[tuple[str, int], tuple[list[Step], str, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.examples)

    def added(self, examples: Sequence[Example], found: Sequence[Features], ids: Sequence[str]) -> Pool:
        """The pool with more examples behind the others: their n-grams, and their ids."""
        with self._lock:
            columns = dict(self._columns)
        every, lexical = [*self.examples, *examples], self.lexical.added(found)
        return Pool(every, self._given, lexical, self._load, columns, [*self.ids, *ids])

    def without(self, gone: npt.NDArray[np.bool_]) -> Pool:
        """The pool without the examples where `gone` is true."""
        with self._lock:
            columns = {key: column[~gone[: len(column)]] for key, column in self._columns.items()}
        left = [example for example, out in zip(self.examples, gone.tolist(), strict=True) if not out]
        ids = [id for id, out in zip(self.ids, gone.tolist(), strict=True) if not out]
        return Pool(left, self._given, self.lexical.without(gone), self._load, columns, ids)

    @cached_property
    def given(self) -> list[Any]:
        """[n] the objects that were given."""
        return [example.given for example in self.examples]

    @cached_property
    def places(self) -> dict[str, int]:
        """Where each id stands."""
        return {id: row for row, id in enumerate(self.ids)}

    @cached_property
    def classes(self) -> Classes:
        return Classes(self.lexical, [example.label for example in self.examples])

    @cached_property
    def forms(self) -> Ints:
        """[n] a number for what each answer looks like; -1 where there is none."""
        numbers: dict[str, int] = {"": -1}
        found = [form_of(example.answer) for example in self.examples]
        return np.array([numbers.setdefault(form, len(numbers) - 1) for form in found], np.int64)

    @cached_property
    def template(self) -> Template:
        """How these examples are written: by default a line each if all are such, with labels that are repeated."""
        short = self._given is None and all(
            e.shape == "fields" and e.label and not e.closed and "\n" not in e.asked and "\n" not in e.answer
            for e in self.examples
        )
        return Template(self._given, short and self.classes.repeated)

    @cached_property
    def chat(self) -> bool:
        """Whether examples are messages, which are sent and counted as such."""
        return bool(self.examples) and all(example.shape == "messages" for example in self.examples)

    @cached_property
    def texts(self) -> list[str]:
        """[n] the examples as they are written. InvalidContext where the template does not fit one."""
        render = self.template.render
        return [render(example, i) for i, example in enumerate(self.examples)]

    def costs(self, counter: Counter) -> Ints:
        """[n] tokens of each example with the separator behind it."""

        def compute(rows: list[int]) -> Array:
            return np.array([self.cost(row, self.texts[row], None, counter) for row in rows], np.int64)

        about = (self.template.key, self.chat)
        return self._column(f"tokens:{counter.name}:{counter.scale}:{about!r}", about, compute)

    def cost(self, row: int, text: str, home: str | None, counter: Counter) -> int:
        """Tokens of an example written as `text`, with the separator; `home`: its text there, if it is shortened."""
        cost = counter.count(text + self.template.separator)
        return max(cost, self.message_cost(row, home, counter)) if self.chat else cost

    def message_cost(self, row: int, home: str | None, counter: Counter) -> int:
        """Tokens of an example's messages, with what is around each."""
        example = self.examples[row]
        messages = list(example.given if home is None else example.with_text(home))
        try:
            context = detect(messages, None).parse(messages, None)
        except InvalidContext as error:
            raise InvalidContext(f"its messages cannot be read: {error}", row) from None
        return sum(counter.turn(turn, context.dialect) for turn in context.turns)

    def vectors(self, encoder: TextEncoder) -> Vectors:
        """The examples' vectors: of what each asks, or of all of it where that cannot be told."""
        with self._lock:
            known = self._vectors.get(encoder.fingerprint)
            if known is None:

                def compute(rows: list[int]) -> Array:
                    return encoder.embed([self.examples[r].asked or self.texts[r] for r in rows], keep=False)

                rows = self._column(f"vectors:{encoder.fingerprint}", (), compute)
                known = self._vectors[encoder.fingerprint] = Vectors(rows.astype(np.float32), encoder.device)
        return known

    def lean(self, row: int, counter: Counter) -> tuple[list[Step], str, int] | None:
        """An example with less of its reasoning: what goes, in the order in which it does, how it is then written, and
        its tokens. None where nothing can go."""
        key = counter.name, row
        with self._lock:
            known = self._lean.get(key)
        if known is None:
            example = self.examples[row]
            gone = shortened(example, steps_of(example), counter.count)
            text, cost = self.written(row, gone, counter) if gone else ("", 0)
            known = gone, text, cost
            with self._lock:
                self._lean[key] = known
                while len(self._lean) > _LEAN:
                    self._lean.popitem(last=False)
        return known if known[0] else None

    def written(self, row: int, gone: list[Step], counter: Counter) -> tuple[str, int]:
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


def asked_of(examples: Sequence[Example], template: TemplateLike | None) -> list[str]:
    """What examples ask, by which a query finds them; all of one of which that cannot be told."""
    written = Template(template)
    return [e.asked or written.render(e, i) for i, e in enumerate(examples)]


def pool_of(given: Sequence[Any], template: TemplateLike | None) -> Pool:
    """The pool of a list of examples; another list that holds the same gets the same pool. InvalidContext names what is
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


def _read(given: Sequence[Any], template: TemplateLike | None) -> Pool:
    return Pool([read(example, i, template is not None) for i, example in enumerate(given)], template)


def _computed(pool: Pool, name: str, start: int, compute: Compute) -> Array:
    return compute(list(range(start, len(pool))))


_pools: OrderedDict[tuple[bytes, TemplateLike | None], Pool] = OrderedDict()
_lock = threading.Lock()
