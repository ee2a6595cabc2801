"""Compresses what the model sees in pydantic-ai, as a capability or as a history processor, with the expand tool.

`CompressHistory` changes only the request: `all_messages()` returns the originals. A history processor
(`ProcessHistory(history_processor(...))`) compresses the history itself, because pydantic-ai writes the result back
into it; use it only if something else needs a processor.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from compressor.context.formats.serialization import chain_digest
from compressor.errors import MissingDependencyError
from compressor.pipeline.tools import search_tool
from compressor.providers.context_overflow import MAX_HALVINGS, is_context_overflow
from compressor.providers.conversation_tracker import MAX_CONVERSATIONS, TrackedConversation
from compressor.providers.fail_open import FailOpen
from compressor.providers.prompt_budgets import NO_BUDGETS, PromptBudgets
from compressor.scoring.runtime.executor import run_in_thread
from compressor.sessions.compact_tool import COMPACT_TOOL_NAME
from compressor.sessions.context_tools import CONTEXT_TOOL_DEFINITIONS, CONTEXT_TOOL_NAMES
from compressor.sessions.cost_report import CostReport
from compressor.sessions.expand_tool import TOOL_NAME
from compressor.sessions.recall_tool import RECALL_TOOL_NAME
from compressor_agents.options import make_prompt_budgets, make_tracker
from compressor_agents.sdk_names import refuse_to_shadow

refuse_to_shadow(__name__, "pydantic_ai")
try:
    from pydantic_ai import RetryModelRequest, RunContext, Tool
    from pydantic_ai.capabilities import AbstractCapability
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.tools import ToolDefinition
    from pydantic_ai.toolsets import FunctionToolset

    from compressor_agents.pydantic_messages import from_anthropic, to_anthropic
    from compressor_agents.pydantic_tools import (
        RequestParts,
        apply_schemas,
        to_schema,
        to_tool_choice,
        without_find_tool,
    )
except ImportError:
    raise MissingDependencyError("pydantic-ai-slim", "pydantic-ai") from None

if TYPE_CHECKING:
    from pydantic_ai.models import ModelRequestContext

    from compressor import Compressor
    from compressor.sessions.policy import Policy


class HistoryProcessor:
    """Compresses the history of each model call.

    One processor serves any number of runs, also at the same time. A run belongs to the conversation whose messages it
    extends.

    Args:
        compressor: Compresses and stores; None makes one with the defaults.
        model: The model whose tokens and prices count; None takes the run's own.
        budget: The limit of each request: tokens, a fraction of the model's window (a float below 1), or dollars such
            as "$0.02". None means 0.8 of the window.
        policy: What is compressed and when; None takes the defaults.
        session: A `Session` or its id, to which all runs belong; None tells conversations apart by their messages.
        fail_open: True logs an error of the compressor once and sends the history unchanged, or the smallest possible
            view if the budget is too small; False raises the error.
        budgets: The budget of tools, for `CompressHistory`.

    Raises:
        BudgetError: If the budget cannot be read.
        CompressorError: If `policy` is not a `Policy`.
    """

    def __init__(
        self,
        compressor: Compressor | None = None,
        model: str | None = None,
        budget: int | float | str | None = None,
        policy: Policy | None = None,
        session: Any = None,
        fail_open: bool = True,
        budgets: PromptBudgets = NO_BUDGETS,
    ) -> None:
        self._tracker = make_tracker(compressor, budget, policy, session)
        self._tracker.policy = budgets.extend_policy(self._tracker.policy)
        self._fail_open, self._budgets = FailOpen(fail_open), budgets
        self._model = model
        self._runs: dict[str | None, TrackedConversation] = {}  # by run id, the newest last
        self._views: dict[str, list[ModelMessage]] = {}  # the originals of each view, by the view's digest

    async def __call__(self, ctx: RunContext[Any], messages: list[ModelMessage]) -> list[ModelMessage]:
        """Returns the view for `ProcessHistory`, which passes the last view back as the history."""
        originals = await run_in_thread(self._originals, messages)
        view = await self.view(ctx, originals)
        self._views[_chain_digests(view)[-1]] = originals
        while len(self._views) > MAX_CONVERSATIONS:
            self._views.pop(next(iter(self._views)))
        return view

    async def view(self, ctx: RunContext[Any], messages: Sequence[ModelMessage]) -> list[ModelMessage]:
        """Returns the messages to send; messages of which nothing was cut are the same objects.

        Args:
            ctx: The run.
            messages: The whole history.
        """
        return (await self.request(ctx, messages))[0]

    async def request(
        self, ctx: RunContext[Any], messages: Sequence[ModelMessage], parts: RequestParts | None = None
    ) -> tuple[list[ModelMessage], list[ToolDefinition]]:
        """Returns the messages and the function tools to send; what was not cut stays the same objects.

        Args:
            ctx: The run.
            messages: The whole history.
            parts: What is sent along. Without a budget of tools they are only counted.
        """
        parts = parts or RequestParts()
        try:
            converted = to_anthropic(messages)
            model = self._model or getattr(ctx.model, "model_name", None)
            tracked, view, tools = await run_in_thread(self._make_request, converted, model, parts)
            self._fail_open.report(tracked)
            self._runs.pop(ctx.run_id, None)
            self._runs[ctx.run_id] = tracked
            while len(self._runs) > MAX_CONVERSATIONS:
                self._runs.pop(next(iter(self._runs)))
            return from_anthropic(view, converted, messages), tools
        except Exception as error:
            self._fail_open.handle(error)
            return list(messages), without_find_tool(parts.tools)

    def _make_request(
        self, messages: list[dict[str, Any]], model: str | None, parts: RequestParts
    ) -> tuple[TrackedConversation, list[Any], list[ToolDefinition]]:
        tracked = self._tracker.match(messages, model, "anthropic")
        with tracked.lock:
            given = parts.tools if self._budgets.tools is None else without_find_tool(parts.tools)
            tools, removed_tokens = given, 0
            try:
                tools, removed_tokens = self._list_tools(tracked, given, messages, parts.tool_choice)
            except Exception as error:
                self._fail_open.handle_part(error, "tools")
            schemas = [to_schema(tool) for tool in (*tools, *parts.output_tools)]
            tracked.conversation.set_tools(schemas, removed_tokens)
            tracked.conversation.sync(messages, system=parts.system)
            return tracked, tracked.conversation.view(self._fail_open.enabled), tools

    def _list_tools(
        self, tracked: TrackedConversation, tools: list[ToolDefinition], messages: list[Any], tool_choice: Any
    ) -> tuple[list[ToolDefinition], int]:
        """Returns the tools to send, and how many tokens fewer these are than all."""
        own = [tool for tool in tools if tool.name in CONTEXT_TOOL_NAMES or tool.defer_loading]
        others = [tool for tool in tools if tool not in own]
        schemas = [to_schema(tool) for tool in others]
        compressor, count = self._tracker.compressor, len(messages)
        listed = self._budgets.list_tools(compressor, tracked, schemas, messages, tool_choice, count)
        return [*own, *apply_schemas(others, schemas, listed.tools)], listed.removed_tokens

    @property
    def expand_tool(self) -> Tool[Any]:
        """Returns the tool `expand_context` for agents with this processor; it only expands texts of its own run."""
        return self._make_tool(TOOL_NAME)

    def context_tools(self, compact: bool = False) -> list[Tool[Any]]:
        """Returns the tools `expand_context` and `recall_context` for agents with this processor.

        Args:
            compact: Include `compact_now`, with which an agent plans its compactions itself.
        """
        names = [TOOL_NAME, RECALL_TOOL_NAME, *([COMPACT_TOOL_NAME] if compact else [])]
        return [self._make_tool(name) for name in names]

    @property
    def find_tool(self) -> Tool[Any]:
        """Returns the tool `find_tool`, which finds the tools that a request does not list."""
        return self._make_tool(search_tool.NAME)

    def _make_tool(self, name: str) -> Tool[Any]:
        own = (search_tool.DESCRIPTION, search_tool.PARAMETERS)
        description, parameters = CONTEXT_TOOL_DEFINITIONS.get(name, own)
        answer = partial(self._answer_call, name)  # can be pickled
        tool: Tool[Any] = Tool.from_schema(answer, name, description, parameters, takes_ctx=True)
        return tool

    async def shrink(self, ctx: RunContext[Any], error: Exception) -> bool:
        """Halves the limit of a run whose request was too long for the provider; returns whether that helps."""
        tracked = self._runs.get(ctx.run_id)
        if tracked is None or not is_context_overflow(getattr(error, "status_code", None), str(error)):
            return False
        try:
            return await run_in_thread(tracked.halve_limit)
        except Exception as own_error:
            self._fail_open.handle(own_error)
            return False

    def record_usage(self, ctx: RunContext[Any], usage: Any) -> None:
        """Records the usage that the provider reported for a call of this run."""
        tracked = self._runs.get(ctx.run_id)
        if tracked is not None:
            with tracked.lock:
                tracked.conversation.record_usage(usage)

    def cost_report(self) -> CostReport:
        """Returns what all runs cost, and what they would have cost uncompressed.

        Before the first call all counts are 0.
        """
        return self._tracker.cost_report()

    def receipts(self) -> list[dict[str, Any]]:
        """Returns what each compaction kept and lost (see `Receipt`), for the runs used last."""
        return self._tracker.receipts()

    async def _answer_call(self, name: str, ctx: RunContext[Any], /, **arguments: Any) -> str:
        return await run_in_thread(self._answer, name, ctx.run_id, arguments)

    def _answer(self, name: str, run_id: str | None, arguments: dict[str, Any]) -> str:
        tracked = self._runs.get(run_id)
        if tracked is None:
            return (
                "Not answered: the texts of this run are no longer available. Call the tool that returned them again."
            )
        if name == search_tool.NAME:
            listing = tracked.tool_listing
            return "There are no other tools." if listing is None else listing.answer(arguments)
        with tracked.lock:
            return str(tracked.conversation.context_tools(compact=True).answer(name, arguments))

    def _originals(self, messages: list[ModelMessage]) -> list[ModelMessage]:
        """Returns the history with the originals in place of the last view."""
        if self._views:
            try:
                for n, link in reversed(list(enumerate(_chain_digests(messages), 1))):
                    if link in self._views:
                        return [*self._views[link], *messages[n:]]
            except Exception as error:
                self._fail_open.handle(error)
        return messages


def history_processor(
    compressor: Compressor | None = None,
    model: str | None = None,
    budget: int | float | str | None = None,
    policy: Policy | None = None,
    session: Any = None,
    fail_open: bool = True,
) -> HistoryProcessor:
    """Returns a processor for `ProcessHistory`; the options are those of `HistoryProcessor`.

    Example:
        >>> processor = history_processor(budget=32_000)
        >>> Agent("openai:gpt-4o", tools=[search, processor.expand_tool], capabilities=[ProcessHistory(processor)])
    """
    return HistoryProcessor(compressor, model, budget, policy, session, fail_open)


class CompressHistory(AbstractCapability[Any]):
    """Compresses each request and adds the expand tool; for `Agent(capabilities=[...])`.

    Args:
        compressor: Compresses and stores; None makes one with the defaults.
        model: The model whose tokens and prices count; None takes the run's own.
        budget: The limit of each request: tokens, a fraction of the model's window (a float below 1), or dollars such
            as "$0.02". None means 0.8 of the window.
        policy: What is compressed and when; None takes the defaults.
        session: A `Session` or its id, to which all runs belong; None tells conversations apart by their messages.
        expand: Whether the agent gets the tools `expand_context` and `recall_context`.
        compact_tool: Whether the agent gets the tool `compact_now` besides, with which it plans its compactions itself.
        tools_budget: The limit of the schemas of function tools alone: tokens, or a fraction of them. A request lists
            the tools that the task needs, shortened if that is enough, and a tool `find_tool` that finds the others.
            All tools of all toolsets can be called at any time, and the list changes as little as possible. None lists
            all tools.
        pinned_tools: The names of tools that are always listed unchanged.
        fail_open: True logs an error of the compressor once and sends the history unchanged, or the smallest possible
            view if the budget is too small; False raises the error.

    Raises:
        BudgetError: If the budget cannot be read.
        CompressorError: If `policy` is not a `Policy`.

    Example:
        >>> agent = Agent("openai:gpt-4o", tools=[search], capabilities=[CompressHistory(budget=32_000)])
    """

    def __init__(
        self,
        compressor: Compressor | None = None,
        model: str | None = None,
        budget: int | float | str | None = None,
        policy: Policy | None = None,
        session: Any = None,
        expand: bool = True,
        fail_open: bool = True,
        compact_tool: bool = False,
        tools_budget: int | float | str | None = None,
        pinned_tools: Collection[str] = (),
    ) -> None:
        budgets = make_prompt_budgets(tools_budget, pinned_tools)
        self.processor = HistoryProcessor(compressor, model, budget, policy, session, fail_open, budgets)
        self._expand, self._compact_tool, self._finds = expand, compact_tool, tools_budget is not None
        # Of the requests in flight, by run id: the history and the function tools.
        self._requests: dict[str | None, tuple[list[ModelMessage], list[ToolDefinition]]] = {}

    def cost_report(self) -> CostReport:
        """Returns what all runs cost, and what they would have cost uncompressed.

        Before the first call all counts are 0.
        """
        return self.processor.cost_report()

    def receipts(self) -> list[dict[str, Any]]:
        """Returns what each compaction kept and lost (see `Receipt`), for the runs used last."""
        return self.processor.receipts()

    def get_toolset(self) -> FunctionToolset[Any] | None:
        """Returns a toolset with the compressor's own tools, or None if there are none."""
        tools = self.processor.context_tools(self._compact_tool) if self._expand else []
        tools += [self.processor.find_tool] if self._finds else []
        return FunctionToolset(tools, id="compressor") if tools else None

    async def before_model_request(
        self, ctx: RunContext[Any], request_context: ModelRequestContext
    ) -> ModelRequestContext:
        """Returns the request with a compressed history and the tools that it lists."""
        tools = list(request_context.model_request_parameters.function_tools)
        self._requests[ctx.run_id] = list(request_context.messages), tools
        while len(self._requests) > MAX_CONVERSATIONS:
            self._requests.pop(next(iter(self._requests)))
        return await self._with_view(ctx, request_context)

    async def prepare_model_request(
        self, ctx: RunContext[Any], request_context: ModelRequestContext
    ) -> ModelRequestContext:
        """Returns the request of a further attempt with a history that fits the limit as it is now."""
        is_first = request_context.attempt == 1 or ctx.run_id not in self._requests
        return request_context if is_first else await self._with_view(ctx, request_context)

    async def _with_view(self, ctx: RunContext[Any], request_context: ModelRequestContext) -> ModelRequestContext:
        parameters = request_context.model_request_parameters
        messages, tools = self._requests[ctx.run_id]
        system = "\n\n".join(part.content for part in parameters.instruction_parts or ())
        choice = to_tool_choice((request_context.model_settings or {}).get("tool_choice"))
        parts = RequestParts(system, tools, parameters.output_tools, choice)
        view, listed = await self.processor.request(ctx, messages, parts)
        if listed != parameters.function_tools:
            parameters = replace(parameters, function_tools=listed)
        return replace(request_context, messages=view, model_request_parameters=parameters)

    async def on_model_request_error(
        self, ctx: RunContext[Any], *, request_context: ModelRequestContext, error: Exception
    ) -> ModelResponse:
        """Asks for another attempt with a smaller request if this one was too long for the provider."""
        if request_context.attempt <= MAX_HALVINGS and await self.processor.shrink(ctx, error):
            raise RetryModelRequest
        self._requests.pop(ctx.run_id, None)
        raise error

    async def after_model_request(
        self, ctx: RunContext[Any], *, request_context: ModelRequestContext, response: ModelResponse
    ) -> ModelResponse:
        """Records the usage and returns the response unchanged."""
        self._requests.pop(ctx.run_id, None)
        self.processor.record_usage(ctx, response.usage)
        return response


def _chain_digests(messages: Sequence[ModelMessage]) -> list[str]:
    """Returns a digest for every prefix of a history."""
    links, last = [], ""
    for message in messages:
        body = json.dumps([[{**b, "_at": ""} for b in d["content"]] for d in to_anthropic([message])], default=str)
        links.append(last := chain_digest({"role": message.kind, "content": body}, last))
    return links
