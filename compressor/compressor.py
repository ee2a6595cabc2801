"""The Compressor: the public calls, and the flow from messages to messages.

parse -> segment -> fold -> score -> select -> guard -> render. Knows the order of the steps and the store; the steps
themselves live in `dialects`, `segments`, `folds`, `scoring`, `reducers` and `guard`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from compressor.context.budget import is_fraction, resolve_budget
from compressor.context.formats import detect_format
from compressor.context.results import DocumentsResult, Result, TextResult
from compressor.errors import CompressorError, ContextError
from compressor.pipeline.cost_gate import Gate
from compressor.pipeline.documents import compress_documents, compress_text
from compressor.pipeline.engine import Engine
from compressor.pipeline.messages import MessageCompression
from compressor.pipeline.result_cache import ResultCache, cached
from compressor.pipeline.word_pruner import WordPruner
from compressor.scoring import make_scorer
from compressor.scoring.base import Scorer
from compressor.scoring.runtime.executor import run_in_thread
from compressor.storage import open_store
from compressor.storage.base import BlobStore
from compressor.storage.text_values import get_text
from compressor.tokens import get_counter

if TYPE_CHECKING:
    from compressor.pipeline.examples.results import ExamplesResult
    from compressor.pipeline.tools import ToolsResult
    from compressor.sessions import Policy, Session

_JSON = re.compile(r"\s*(?:\{|\[\s*[\[{\"\d])")  # cut by values, not by stretches of the text: offsets are of no use
MODES = ("call", "ingest", "compact")


class Compressor:
    """Compresses contexts to a hard token budget and gives every dropped byte back.

    scorer: a tier ("fast", the embedded default, "embedding", "pruner", "perplexity" or "cascade"), a tier with a model
        of your own ("embedding:org/name@revision", "perplexity:model.gguf"), or any object with the `Scorer` protocol.
    device: where the tiers' models run: "cuda", "cuda:1", "mps", "cpu"; None takes COMPRESSOR_DEVICE or the best there
        is. DeviceError if it is not there.
    store: None for the SQLite file in the user's cache folder, "memory", a path ending in .db, or a `BlobStore`.
    prune_words: leave words that say little out of sentences of tool results and documents, too, when that makes room
        for more sentences; a `WordPruner` says how many. The mark then reads `[…words cut ref …]`.
    cache: keep results in the store, so that the same request is worked out once; see docs/caching.md. Not with a
        gate, nor with a scorer that has no `identity`, nor for messages that are no JSON.
    gate: a `RequestHandler` that says what a token is worth: where scoring costs more than it saves, a cheaper tier scores, and a
        budget given as a share goes unused. Results then depend on time.

    Safe to share between threads. Holds no state of its own but its store and caches.
    """

    def __init__(
        self,
        scorer: str | Scorer = "fast",
        store: str | BlobStore | None = None,
        device: str | None = None,
        prune_words: bool | WordPruner = False,
        gate: Gate | None = None,
        cache: bool = False,
    ) -> None:
        self._store_spec = store
        self._store: BlobStore | None = None if store is None or isinstance(store, str) else store
        self.scorer = make_scorer(scorer, device, lambda: self.store)
        words = WordPruner() if prune_words is True else prune_words or None
        self._engine = Engine(self.scorer, gate, words)
        self.cache = ResultCache(lambda: self.store, self._engine) if cache else None

    @property
    def engine(self) -> Engine:
        """Scorer, gate and pruner, for those who build on this compressor."""
        return self._engine

    @property
    def store(self) -> BlobStore:
        """The store, opened on first use."""
        if self._store is None:
            self._store = open_store(self._store_spec)
        return self._store

    @cached
    def compress(
        self,
        messages: Sequence[Any],
        budget: int | float,
        model: str | None = None,
        query: str | None = None,
        tools: Sequence[Any] | None = None,
        mode: str = "call",
        system: str | Sequence[Any] | None = None,
        pinned: Collection[int] = (),
    ) -> Result:
        """Compresses a context.

        messages: OpenAI chat, OpenAI Responses, Anthropic or LangChain messages; never written to. What comes back is
            in the same dialect, untouched messages are the same objects.
        budget: tokens of the whole context as the provider counts them, or a share of it in (0, 1).
        model: whose tokens to count; None counts as gpt-4o.
        query: what the agent is after; read from the context if not given.
        tools: the tool schemas sent along; they are counted in the budget and never changed.
        mode: "call" (one context, one call), "ingest" (compress only the newest tool results; every earlier message
            keeps its bytes, for the provider's prompt cache) or "compact" (like call, but for a history that many
            calls will share: the task is the query, not the last turn).
        system: Anthropic's separate system prompt, counted in the budget and never changed.
        pinned: indices of messages that stay as they are, besides those that always do; negative ones count from the
            end.

        Raises ContextError, BudgetError, BudgetTooSmallError, TokenizerError, StoreError.
        """
        if mode not in MODES:
            raise CompressorError(f"unknown mode {mode!r}: use one of {', '.join(MODES)}")
        count = len(_as_list(messages))
        if wrong := [i for i in pinned if isinstance(i, bool) or not isinstance(i, int) or not -count <= i < count]:
            raise ContextError(f"pinned: there is no message {wrong[0]!r} among {count}")
        lead = int(bool(system))
        if system:
            messages = [{"role": "system", "content": system}, *_as_list(messages)]
        try:
            dialect = detect_format(messages, tools)
            context = dialect.parse(messages, tools)
        except ContextError as error:
            raise error.with_index_offset(-lead) from None
        counter = get_counter(model)
        for turn in context.turns:  # these may be cut, so they are encoded once, with offsets, not counted first
            for slot in turn.slots:
                if slot.kind in ("tool_result", "assistant", "thinking") and not _JSON.match(slot.text):
                    counter.offsets(slot.text)
        before = counter.count_context(context)
        limit = resolve_budget(budget, before)
        share = is_fraction(budget)
        stay = frozenset(lead + i % count for i in pinned)
        flow = MessageCompression(
            context, dialect, counter, self._engine, mode, query, lambda: self.store, share, lead, stay, examples=True
        )
        return flow.run(before, limit)

    @cached
    def compress_text(
        self, text: str, budget: int | float, query: str | None = None, model: str | None = None
    ) -> TextResult:
        """Compresses one text (a document, log, JSON, code, table, ...) to at most `budget` tokens."""
        return compress_text(text, budget, query, get_counter(model), self._engine, lambda: self.store)

    @cached
    def compress_documents(
        self,
        documents: Sequence[Mapping[str, Any] | str],
        query: str | None = None,
        budget: int | float = 0.25,
        model: str | None = None,
    ) -> DocumentsResult:
        """Compresses documents (`{"title", "text"}` or strings) together to at most `budget` tokens of `.text`."""
        return compress_documents(documents, query, budget, get_counter(model), self._engine, lambda: self.store)

    def expand(self, ref: str, query: str | None = None, budget: int | None = None) -> str:
        """The exact original behind a ref; with `query` or `budget` the part of it that matters, in at most `budget`
        tokens (a quarter if only the query is given). UnknownRefError, ExpiredRefError; BudgetError, BudgetTooSmallError."""
        text = get_text(self.store, ref.strip())
        if budget is None and not (query and query.strip()):
            return text
        return self.compress_text(text, 0.25 if budget is None else budget, query=query).text

    def select_tools(
        self,
        tools: Sequence[Any],
        budget: int | float,
        query: str | None = None,
        messages: Sequence[Any] | None = None,
        pinned: Collection[str] = (),
        tool_choice: Any = None,
        model: str | None = None,
    ) -> ToolsResult:
        """The tools that a call needs, within `budget` tokens (or a share of theirs): the likely ones whole or slimmed,
        the others left out, each behind a ref.

        tools: OpenAI chat or Responses, Anthropic or MCP schemas, or bare functions; never written to. What is no
            function (web search, computer use) stays as it is. Every schema sent allows whatever the one given did.
        query, messages: what the call is for; without either the order given decides. Tools called in `messages` stay.
        pinned: names of tools that stay word for word; so do those that `tool_choice` forces.

        Raises ContextError, BudgetError, BudgetTooSmallError, TokenizerError, StoreError. `toolsets.ToolSet` keeps a
        choice the same over an agent's calls.
        """
        from compressor.pipeline.tools import select_tools

        counter = get_counter(model)
        return select_tools(
            tools, budget, query, messages, pinned, tool_choice, counter, self.scorer, lambda: self.store
        )

    def select_examples(
        self,
        examples: Sequence[Any],
        query: str | None = None,
        budget: int | float = 0.25,
        model: str | None = None,
        template: str | Callable[[Any], str] | None = None,
        method: str = "auto",
        prune: bool = True,
        order: str = "best last",
    ) -> ExamplesResult:
        """The in-context examples that teach most for a query, within `budget` tokens of the text that holds them.

        examples: `{"input", "output"}` (or question, answer, label, ...; with `rationale` and `label` where there are
            any), strings, lists of messages that end with an assistant's; any mapping or object with a template. Never
            written to; shortened ones are copies.
        budget: tokens, or a share of what all of them take. Examples of messages are counted as messages.
        template: how one is written: "{question} => {answer}", or a function; None: a line of input and label each
            where labels are repeated, else Q: and A:.
        method: "classes" (every likely label is shown), "dpp" (relevance and diversity of the set), "mmr" or "top";
            "auto" takes the first where labels are classes of texts, else the second.
        prune: shorten reasoning at the borders of its steps where that makes room for more examples.
        order: "best last" (next to the query), "best first" or "given".

        No examples: an empty result. Raises ContextError, BudgetError, BudgetTooSmallError (not one fits),
        TokenizerError. `ExampleStore` keeps many.
        """
        from compressor.pipeline.examples.select import select_examples

        options: dict[str, Any] = {"template": template, "method": method, "prune": prune, "order": order}
        return select_examples(examples, query, budget, get_counter(model), self.scorer, lambda: self.store, **options)

    def session(
        self,
        id: str,
        model: str | None = None,
        budget: int | float | str | None = None,
        policy: Policy | None = None,
        tools: Sequence[Any] | None = None,
        system: Any = None,
        tenant: str = "",
    ) -> Session:
        """The session of that id: a new one, or the one that the store has, as it was left.

        model: whose tokens, prices and window; None is gpt-4o. budget: hard limit of what is sent: tokens, a share of
            the model's window (a float below 1), money a call ("$0.02"), None: 0.8 of the window.
        policy: what is cut when. tools, system: the tool schemas and Anthropic's separate system prompt, counted.
        tenant: sessions of different tenants have nothing in common, whatever their ids.

        Raises BudgetError, StoreError.
        """
        from compressor.sessions import Session

        return Session(self, id, model, budget, policy, tools, system, tenant)

    def import_session(
        self, data: Mapping[str, Any], id: str | None = None, tenant: str = "", **options: Any
    ) -> Session:
        """A session from what `OnnxSession.export` gave, under its old id or another; `options` as for `session`.
        CompressorError if there is one of that id, or the data is none."""
        from compressor.sessions.session import import_session

        return import_session(self, data, id, tenant, options)

    async def acompress(self, messages: Sequence[Any], budget: int | float, **options: Any) -> Result:
        """`compress` in a worker thread, with the same options."""
        return await run_in_thread(self.compress, messages, budget, **options)

    async def acompress_text(self, text: str, budget: int | float, **options: Any) -> TextResult:
        """`compress_text` in a worker thread, with the same options."""
        return await run_in_thread(self.compress_text, text, budget, **options)

    async def acompress_documents(
        self, documents: Sequence[Mapping[str, Any] | str], **options: Any
    ) -> DocumentsResult:
        """`compress_documents` in a worker thread, with the same options."""
        return await run_in_thread(self.compress_documents, documents, **options)

    async def aselect_tools(self, tools: Sequence[Any], budget: int | float, **options: Any) -> ToolsResult:
        """`select_tools` in a worker thread, with the same options."""
        return await run_in_thread(self.select_tools, tools, budget, **options)

    async def aselect_examples(self, examples: Sequence[Any], **options: Any) -> ExamplesResult:
        """`select_examples` in a worker thread, with the same options."""
        return await run_in_thread(self.select_examples, examples, **options)

    async def aexpand(self, ref: str, query: str | None = None, budget: int | None = None) -> str:
        """`expand` in a worker thread."""
        return await run_in_thread(self.expand, ref, query, budget)

    def close(self) -> None:
        """Closes the store, if it was opened."""
        if self._store is not None:
            self._store.close()


def _as_list(messages: Any) -> list[Any]:
    if isinstance(messages, (str, bytes)) or not isinstance(messages, Sequence):
        raise ContextError(f"messages must be a list, not {type(messages).__name__}")
    return list(messages)
