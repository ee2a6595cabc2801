"""Defines `Compressor`, the entry point of the SDK.

Each method checks its arguments and hands over to `compressor.pipeline` (one call) or `compressor.sessions` (an agent's
whole conversation).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, Literal, ParamSpec, get_args

from compressor.context.budget import Budget
from compressor.context.results import DocumentsResult, Result, TextResult
from compressor.errors import CompressorError, ContextError
from compressor.images.policy import ImagePolicy, check_image_policy
from compressor.pipeline.arguments import check_list, check_model, check_query, parse_ref
from compressor.pipeline.async_twin import make_async_twin
from compressor.pipeline.documents import compress_documents, compress_text
from compressor.pipeline.engine import Engine
from compressor.pipeline.messages import compress_messages
from compressor.pipeline.result_cache import ResultCache, cached
from compressor.pipeline.word_pruner import WordPruner
from compressor.scoring import make_scorer
from compressor.scoring.base import Scorer
from compressor.scoring.runtime.device import parse_device
from compressor.storage.base import BlobStore
from compressor.storage.text_values import get_text
from compressor.tokens import get_counter

if TYPE_CHECKING:
    from compressor.pipeline.examples.example_store import ExampleStore
    from compressor.pipeline.examples.results import ExamplesResult
    from compressor.pipeline.examples.selector import ExampleOrder
    from compressor.pipeline.tools import ToolsResult
    from compressor.sessions import Policy, Session
    from compressor.sessions.async_session import AsyncSession

P = ParamSpec("P")
Mode = Literal["call", "ingest", "compact"]


def _make_async_session_twin(
    method: Callable[Concatenate[Compressor, P], Session],
) -> Callable[Concatenate[Compressor, P], Coroutine[Any, Any, AsyncSession]]:
    """Returns a coroutine method that runs `method` in a worker thread and returns an `AsyncSession`."""
    opens = make_async_twin(method)

    @wraps(opens)
    async def twin(self: Compressor, /, *args: P.args, **options: P.kwargs) -> AsyncSession:
        from compressor.sessions.async_session import AsyncSession

        return AsyncSession(await opens(self, *args, **options))

    return twin


class Compressor:
    r"""Compresses contexts to a hard token budget and keeps every original, so that `expand` can return it.

    A compressor may be shared between threads. Its only state is its store and its caches. It can be pickled: the copy
    opens the store again (a store in memory is copied with what it holds) and loads models anew. `copy.deepcopy` gives
    a compressor with the same scorer and store.

    Attributes:
        cache: The result cache, or None.

    Example:
        >>> compressor = Compressor(store="memory")
        >>> log = "\n".join(f"step {i}: ok" for i in range(500)) + "\nstep 500: error, disk full"
        >>> result = compressor.compress_text(log, budget=60, query="What failed?")
        >>> result.tokens_after <= 60, "disk full" in result.text
        (True, True)
        >>> compressor.expand(result.dropped[0].ref) == log
        True
    """

    def __init__(
        self,
        scorer: str | Scorer = "fast",
        store: str | os.PathLike[str] | BlobStore | None = None,
        device: str | None = None,
        prune_words: bool | WordPruner = False,
        cache: bool = False,
        images: bool | ImagePolicy = True,
    ) -> None:
        """Makes a compressor. Models are loaded and the store is opened on first use.

        Args:
            scorer: A tier ("fast", "embedding", "pruner", "perplexity" or "cascade"), a tier with a model
                ("embedding:org/name@revision", "perplexity:model.gguf"), or an object with the `Scorer` protocol.
            store: None for the SQLite file in the user's cache folder, "memory", a path that ends in .db, .sqlite or
                .sqlite3, a "redis://" URL, or a `BlobStore`.
            device: Where a tier's model runs: "cuda", "cuda:1", "mps", "cpu" or "auto". None reads COMPRESSOR_DEVICE,
                else takes the best device there is.
            prune_words: Whether to leave words of little information out of kept sentences of tool results and
                documents. A `WordPruner` says how many. Placeholders then read `[…words cut ref …]`.
            cache: Whether to keep results in the store, so that an equal request is not computed again. Only for a
                scorer that has an `identity`, and for messages that are plain JSON.
            images: What may be done with images: an `ImagePolicy`, True for the defaults, or False to let each stay or
                go as it is. All but the exact repeats needs Pillow: `pip install 'agentic-compressor[images]'`.

        Raises:
            CompressorError: The scorer is unknown or not a scorer.
            DeviceError: The device is unknown. A known device that this machine lacks is found when a model is loaded.
            MissingDependencyError: The store needs a package that is not installed.
            StoreError: The store is unknown or not a store.
        """
        parse_device(device)
        words = WordPruner() if prune_words is True else prune_words or None
        policy = check_image_policy(images)
        self._engine = Engine(make_scorer(scorer, device, self._open_store), words, store, policy, device)
        self.cache = ResultCache(self._engine) if cache else None

    def __repr__(self) -> str:
        # The store is shown by its class: its address may hold a password.
        name = getattr(self.scorer, "name", type(self.scorer).__name__)
        return f"Compressor(scorer={name!r}, store={type(self.store).__name__}, cache={self.cache is not None})"

    def _open_store(self) -> BlobStore:
        return self.store

    @property
    def engine(self) -> Engine:
        """Returns the scorer, word pruner and store, for objects that are built on this compressor."""
        return self._engine

    @property
    def scorer(self) -> Scorer:
        """Returns the scorer."""
        return self._engine.scorer

    @property
    def store(self) -> BlobStore:
        """Returns the store of originals, cached results and sessions."""
        return self._engine.store

    @cached
    def compress(
        self,
        messages: Sequence[Any],
        budget: Budget,
        model: str | None = None,
        query: str | None = None,
        tools: Sequence[Any] | None = None,
        mode: Mode = "call",
        system: str | Sequence[Any] | None = None,
        pinned: Collection[int] = (),
    ) -> Result:
        """Compresses the messages of one context.

        Args:
            messages: OpenAI chat, OpenAI Responses, Anthropic or LangChain messages. They are never written to. The
                result has the same format, and unchanged messages are the same objects.
            budget: Tokens of the whole context as the provider counts them, or a fraction of it: 0.25 or "25%".
            model: The model whose tokens are counted. None counts as gpt-4o.
            query: What the agent is looking for. None reads it from the context.
            tools: The tool schemas that are sent along. They count towards the budget and are never changed.
            mode: "call" compresses for one call. "ingest" compresses only the newest tool results, so that the
                provider's prompt cache keeps every earlier message. "compact" compresses a history that many calls
                will share, so the task is the query, not the last turn.
            system: Anthropic's separate system prompt. It counts towards the budget and is never changed.
            pinned: Indices of messages to keep as they are, besides those that are always kept. Negative indices count
                from the end.

        Returns:
            The compressed messages, with token counts, warnings, and what was dropped.

        Raises:
            BudgetError: The budget is neither a number of tokens nor a fraction.
            BudgetTooSmallError: What must stay is larger than the budget.
            CompressorError: The mode or the model is wrong, or the scorer returned wrong scores.
            ContextError: The messages cannot be read.
            StoreError: The originals could not be stored.
            TokenizerError: The model's tokenizer could not be loaded.

        Example:
            >>> result = compressor.compress(messages, budget=4_000, model="gpt-4o")  # doctest: +SKIP
            >>> client.chat.completions.create(model="gpt-4o", messages=result.messages)  # doctest: +SKIP
        """
        if mode not in get_args(Mode):
            raise CompressorError(f"unknown mode {mode!r}: use one of {', '.join(get_args(Mode))}")
        check_model(model)
        check_query(query)
        counter = get_counter(model)
        return compress_messages(
            messages, budget, counter, self._engine, lambda: self.store, query, tools, mode, system, pinned
        )

    @cached
    def compress_text(
        self,
        text: str,
        budget: Budget,
        query: str | None = None,
        model: str | None = None,
        hint: str | None = None,
    ) -> TextResult:
        """Compresses one text, such as a document, a log, JSON, code or a table.

        Args:
            text: The text.
            budget: Tokens of the result, or a fraction of the text's: 0.25 or "25%".
            query: What the reader is looking for, or None.
            model: The model whose tokens are counted. None counts as gpt-4o.
            hint: What the text is, if the caller knows: a file name ("app.rb"), a media type ("text/csv") or a language
                ("python"). It decides how the text is divided. None looks at the text alone.

        Returns:
            The compressed text, with token counts, warnings, and what was dropped.

        Raises:
            BudgetError: The budget is neither a number of tokens nor a fraction.
            BudgetTooSmallError: Not even the placeholder fits the budget.
            CompressorError: The model is not a name, or the scorer returned wrong scores.
            ContextError: `text`, `query` or `hint` is not a text.
            StoreError: The original could not be stored.
            TokenizerError: The model's tokenizer could not be loaded.
        """
        check_model(model)
        check_query(query)
        if hint is not None and not isinstance(hint, str):
            raise ContextError(f"hint must be a str, not {type(hint).__name__}")
        return compress_text(text, budget, query, get_counter(model), self._engine, lambda: self.store, hint or "")

    @cached
    def compress_documents(
        self,
        documents: Sequence[Mapping[str, Any] | str],
        query: str | None = None,
        budget: Budget = 0.25,
        model: str | None = None,
    ) -> DocumentsResult:
        """Compresses several documents into one text.

        Args:
            documents: Texts, or mappings with "text" and perhaps "title".
            query: What the reader is looking for, or None.
            budget: Tokens of the resulting text, or a fraction of all documents': 0.25 or "25%".
            model: The model whose tokens are counted. None counts as gpt-4o.

        Returns:
            The text to send, the documents that are still in it, token counts, warnings, and what was dropped.

        Raises:
            BudgetError: The budget is neither a number of tokens nor a fraction.
            BudgetTooSmallError: Not even the placeholder fits the budget.
            CompressorError: The model is not a name, or the scorer returned wrong scores.
            ContextError: The documents cannot be read.
            StoreError: The originals could not be stored.
            TokenizerError: The model's tokenizer could not be loaded.
        """
        check_model(model)
        check_query(query)
        items = check_list(documents, "documents", "give one document as a list of one")
        return compress_documents(items, query, budget, get_counter(model), self._engine, lambda: self.store)

    def expand(self, ref: str, query: str | None = None, budget: Budget | None = None) -> str:
        """Returns the exact original behind a ref, or the part of it that matters.

        Args:
            ref: The 12 digits of a ref, or the whole placeholder.
            query: What to look for in the original. With a query only the part that matters is returned.
            budget: The maximum tokens to return, or a fraction of the original's. None returns a quarter if there is
                a query, else everything.

        Raises:
            BudgetError: The budget is neither a number of tokens nor a fraction.
            BudgetTooSmallError: Not even a placeholder fits the budget.
            CompressorError: `ref` is not a text.
            ExpiredRefError: The original was stored and has expired.
            StoreError: The store could not be read.
            UnknownRefError: Nothing was ever stored under this ref.
        """
        check_query(query)
        text = get_text(self.store, parse_ref(ref))
        if budget is None and not (query and query.strip()):
            return text
        return self.compress_text(text, 0.25 if budget is None else budget, query=query).text

    def select_tools(
        self,
        tools: Sequence[Any],
        budget: Budget,
        query: str | None = None,
        messages: Sequence[Any] | None = None,
        pinned: Collection[str] = (),
        tool_choice: Any = None,
        model: str | None = None,
    ) -> ToolsResult:
        """Selects the tools that a call needs: likely ones whole or shortened, the others left out behind a ref.

        `ToolSet` keeps a selection stable over the calls of an agent.

        Args:
            tools: Tools in any form: schemas of OpenAI, Anthropic, MCP, Gemini or Bedrock, objects with a schema,
                pydantic models, Python functions. They are never written to.
                Tools that are not functions (web search, computer use) stay as they are. A shortened schema allows
                every call that the original allows.
            budget: Tokens of the schemas, or a fraction of them: 0.25 or "25%".
            query: What the call is for. Without `query` and `messages` the order of the tools decides.
            messages: The conversation so far. Tools that it calls stay.
            pinned: Names of tools to keep word for word.
            tool_choice: The provider's parameter of that name. Tools that it forces are kept word for word.
            model: The model whose tokens are counted. None counts as gpt-4o.

        Raises:
            BudgetError: The budget is neither a number of tokens nor a fraction.
            BudgetTooSmallError: What must stay is larger than the budget.
            ContextError: The tools or messages cannot be read.
            StoreError: The originals could not be stored.
            TokenizerError: The model's tokenizer could not be loaded.
        """
        from compressor.pipeline.tools import select_tools

        check_model(model)
        check_query(query)
        counter = get_counter(model)
        return select_tools(
            tools, budget, query, messages, pinned, tool_choice, counter, self.scorer, lambda: self.store
        )

    def select_examples(
        self,
        examples: Sequence[Any],
        query: str | None = None,
        budget: Budget = 0.25,
        model: str | None = None,
        template: str | Callable[[Any], str] | None = None,
        method: str = "auto",
        prune: bool = True,
        order: ExampleOrder = "most_relevant_last",
        cached_budget: Budget | None = None,
    ) -> ExamplesResult:
        """Selects the in-context examples that teach most for a query.

        `ExampleStore` keeps thousands of examples between processes.

        Args:
            examples: Mappings with "input" and "output" (or question, answer, label, ...; "rationale" and "label" are
                read, too), texts, pairs of strings, lists of messages, or records that hold such a list ("messages",
                "conversations"). With a template any object will do. They are never written to. Shortened examples are
                copies.
            query: What the examples are for. None selects typical examples.
            budget: Tokens of the text that holds the examples, or a fraction of what all take: 0.25 or "25%".
                Examples that are messages are counted as messages.
            model: The model whose tokens are counted. None counts as gpt-4o.
            template: How an example is written: "{question} => {answer}", or a function. None writes a line of input
                and label where labels repeat, else "Q:" and "A:".
            method: "classes" shows every likely label, "dpp" weighs relevance against diversity of the whole set,
                "mmr" does so one example at a time, "top" takes the most relevant. "auto" takes "classes" where
                labels are classes of texts, else "dpp".
            prune: Whether to shorten reasoning by whole steps where that makes room for more examples.
            order: "most_relevant_last" (next to the query), "most_relevant_first", or "given".
            cached_budget: The part of the budget for a block of typical examples at the beginning that is the same for
                all queries, so that the provider's prompt cache holds it. Tokens, or a fraction of what all take.

        Returns:
            The chosen examples and their text. Both are empty if there are no examples.

        Raises:
            BudgetError: A budget is neither a number of tokens nor a fraction, or `cached_budget` is the larger one.
            BudgetTooSmallError: Not one example fits the budget.
            CompressorError: The method or the order is unknown.
            ContextError: An example cannot be read.
            StoreError: The originals could not be stored.
            TokenizerError: The model's tokenizer could not be loaded.
        """
        from compressor.pipeline.examples.select import select_examples

        check_model(model)
        options: dict[str, Any] = {"template": template, "method": method, "prune": prune, "order": order}
        options["cached_budget"] = cached_budget
        return select_examples(examples, query, budget, get_counter(model), self.scorer, lambda: self.store, **options)

    def example_store(self, name: str = "default", template: str | Callable[[Any], str] | None = None) -> ExampleStore:
        """Opens a store of examples that uses this compressor's store and scorer.

        Args:
            name: The name of the example store, up to 100 characters.
            template: How an example is written; see `select_examples`. It must fit all examples.

        Raises:
            CompressorError: The name or the template is wrong.
            StoreError: The store cannot be read.
        """
        from compressor.pipeline.examples.example_store import ExampleStore

        return ExampleStore(self._engine, name, template)

    def session(
        self,
        id: str,
        model: str | None = None,
        budget: Budget | None = None,
        policy: Policy | None = None,
        tools: Sequence[Any] | None = None,
        system: Any = None,
        tenant: str = "",
    ) -> Session:
        """Opens the session of that id: a new one, or the stored one as it was left.

        Args:
            id: The id of the session.
            model: The model whose tokens, prices and window apply. None is gpt-4o.
            budget: The maximum of what is sent: tokens, a fraction of the model's window (0.5 or "50%"), or the cost
                of a call ("$0.02"). None is 0.8 of the window.
            policy: What is compressed when. None is the default policy.
            tools: The tool schemas that are sent along. They count towards the budget.
            system: Anthropic's separate system prompt. It counts towards the budget.
            tenant: Sessions of different tenants share nothing, even under the same id.

        Raises:
            BudgetError: The budget cannot be read or buys no token.
            StoreError: The store cannot be read or written.
        """
        from compressor.sessions import Session

        check_model(model)
        return Session(self, id, model, budget, policy, tools, system, tenant)

    def import_session(
        self, /, data: Mapping[str, Any], id: str | None = None, tenant: str = "", **options: Any
    ) -> Session:
        """Makes a session from the data that `Session.export` returned.

        Args:
            data: The exported session.
            id: The id of the new session. None keeps the old one.
            tenant: The tenant of the new session.
            **options: Options of `session` that replace the exported ones.

        Raises:
            CompressorError: A session of this id exists, or the data is not an exported session.
            StoreError: The store cannot be read or written.
        """
        from compressor.sessions.session import import_session

        return import_session(self, data, id, tenant, options)

    def close(self) -> None:
        """Closes the store."""
        self.store.close()

    acompress = make_async_twin(compress)
    acompress_text = make_async_twin(compress_text)
    acompress_documents = make_async_twin(compress_documents)
    aexpand = make_async_twin(expand)
    aselect_tools = make_async_twin(select_tools)
    aselect_examples = make_async_twin(select_examples)
    aexample_store = make_async_twin(example_store)
    asession = _make_async_session_twin(session)
    aimport_session = _make_async_session_twin(import_session)
    aclose = make_async_twin(close)
