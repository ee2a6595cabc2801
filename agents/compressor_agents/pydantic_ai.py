"""pydantic-ai: a capability that compresses what the model sees, the same as a history processor, and the expand tool.

    agent = Agent("openai:gpt-4o", tools=[search], capabilities=[CompressHistory(budget=32_000)])

`CompressHistory` changes the request alone: `all_messages()` holds the originals. pydantic-ai's own way for history
processors (`ProcessHistory(history_processor(...))`) writes what a processor returns back into the history, so that
is compressed for good; use it where something else wants a processor.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from compressor.context.formats.serialization import chain_digest
from compressor.errors import MissingDependencyError
from compressor.providers.conversation_tracker import RECENT, ConversationTracker, TrackedConversation
from compressor.providers.expand_resolver import FailOpen
from compressor.scoring.runtime.executor import run_in_thread
from compressor.sessions.cost_report import CostReport
from compressor.sessions.expand_tool import DESCRIPTION, PARAMETERS, TOOL_NAME

try:
    from pydantic_ai import RunContext, Tool
    from pydantic_ai.capabilities import AbstractCapability
    from pydantic_ai.messages import ModelMessage, ModelResponse
    from pydantic_ai.toolsets import FunctionToolset
except ImportError:
    raise MissingDependencyError("pydantic-ai-slim", "pydantic-ai") from None

from compressor_agents.pydantic_messages import from_anthropic, to_anthropic

if TYPE_CHECKING:
    from pydantic_ai.models import ModelRequestContext

    from compressor import Compressor
    from compressor.sessions.policy import Policy


class HistoryProcessor:
    """Makes views of histories. One serves any number of runs, one after another or at once; a run belongs to the
    conversation whose messages it extends. See `history_processor` for the options."""

    def __init__(
        self,
        compressor: Compressor | None = None,
        model: str | None = None,
        budget: int | float | str | None = None,
        policy: Policy | None = None,
        session: Any = None,
        fail_open: bool = True,
    ) -> None:
        self._tracker = ConversationTracker(compressor, budget, policy, session)
        self._failing = FailOpen(fail_open)
        self._model = model
        self._runs: dict[str | None, TrackedConversation] = {}  # by run id, the newest last
        self._views: dict[str, list[ModelMessage]] = {}  # what a view was made of, by the view's digest

    async def __call__(self, ctx: RunContext[Any], messages: list[ModelMessage]) -> list[ModelMessage]:
        """For `ProcessHistory`, which gives back what it was given the last time as the history."""
        originals = await run_in_thread(self._originals, messages)
        view = await self.view(ctx, originals)
        self._views[_digests(view)[-1]] = originals
        while len(self._views) > RECENT:
            self._views.pop(next(iter(self._views)))
        return view

    async def view(
        self, ctx: RunContext[Any], messages: Sequence[ModelMessage], system: str = "", tools: Sequence[Any] = ()
    ) -> list[ModelMessage]:
        """What to send of a whole history; messages of which nothing was cut are the same objects. system, tools:
        instructions and tool definitions sent along, counted."""
        try:
            given = to_anthropic(messages)
            model = self._model or getattr(ctx.model, "model_name", None)
            schemas = [
                {"name": tool.name, "description": tool.description or "", "input_schema": tool.parameters_json_schema}
                for tool in tools
            ]
            thread, view = await run_in_thread(
                self._tracker.view, given, model, "anthropic", system=system, tools=schemas
            )
            self._runs.pop(ctx.run_id, None)
            self._runs[ctx.run_id] = thread
            while len(self._runs) > RECENT:
                self._runs.pop(next(iter(self._runs)))
            return from_anthropic(view, given, messages)
        except Exception as error:
            self._failing.note(error)
            return list(messages)

    @property
    def expand_tool(self) -> Tool[Any]:
        """The tool `expand_context` for agents that run with this processor. It answers with texts of its run only."""

        async def expand_context(ctx: RunContext[Any], **arguments: Any) -> str:
            return await run_in_thread(self._expand, ctx.run_id, arguments)

        made: Tool[Any] = Tool.from_schema(expand_context, TOOL_NAME, DESCRIPTION, PARAMETERS, takes_ctx=True)
        return made

    def used(self, ctx: RunContext[Any], usage: Any) -> None:
        """Notes what the provider says a call of this run used."""
        thread = self._runs.get(ctx.run_id)
        if thread is not None:
            with thread.lock:
                thread.conversation.record_usage(usage)

    def cost_report(self) -> CostReport:
        """What all runs cost, and what they would have cost untouched. CompressorError before the first."""
        return self._tracker.cost_report()

    def _expand(self, run: str | None, arguments: dict[str, Any]) -> str:
        thread = self._runs.get(run)
        if thread is None:
            return "Not expanded: nothing of this run is known here any more. Run the tool that gave it again."
        with thread.lock:
            return str(thread.conversation.expand_tool.answer(arguments))

    def _originals(self, messages: list[ModelMessage]) -> list[ModelMessage]:
        """The history with what stood in it before a view of ours took its place."""
        if self._views:
            try:
                for n, link in reversed(list(enumerate(_digests(messages), 1))):
                    if link in self._views:
                        return [*self._views[link], *messages[n:]]
            except Exception as error:
                self._failing.note(error)
        return messages


def history_processor(
    compressor: Compressor | None = None,
    model: str | None = None,
    budget: int | float | str | None = None,
    policy: Policy | None = None,
    session: Any = None,
    fail_open: bool = True,
) -> HistoryProcessor:
    """A processor for `ProcessHistory`; give the agent its `expand_tool` too.

    compressor: None makes one with defaults. model: whose tokens and prices; None takes the run's own. budget: of each
    request: tokens, a share of the model's window (a float below 1), "$0.02", None for 0.8 of the window. policy: what
    is cut when. session: a `OnnxSession` or an id, to which all runs belong then. fail_open: an error of ours is logged
    once and the history goes through as it is; else the run fails with it.
    """
    return HistoryProcessor(compressor, model, budget, policy, session, fail_open)


class CompressHistory(AbstractCapability[Any]):
    """For `Agent(capabilities=[...])`: compresses each request and brings the expand tool along. Options as
    `history_processor`; expand: whether there is the tool."""

    def __init__(
        self,
        compressor: Compressor | None = None,
        model: str | None = None,
        budget: int | float | str | None = None,
        policy: Policy | None = None,
        session: Any = None,
        expand: bool = True,
        fail_open: bool = True,
    ) -> None:
        self.processor = HistoryProcessor(compressor, model, budget, policy, session, fail_open)
        self._expand = expand

    def cost_report(self) -> CostReport:
        """What all runs cost, and what they would have cost untouched. CompressorError before the first."""
        return self.processor.cost_report()

    def get_toolset(self) -> FunctionToolset[Any] | None:
        """The expand tool."""
        return FunctionToolset([self.processor.expand_tool], id="compressor") if self._expand else None

    async def before_model_request(
        self, ctx: RunContext[Any], request_context: ModelRequestContext
    ) -> ModelRequestContext:
        """The request with a view in the place of its history."""
        parameters = request_context.model_request_parameters
        system = "\n\n".join(part.content for part in parameters.instruction_parts or ())
        tools = [*parameters.function_tools, *parameters.output_tools]
        view = await self.processor.view(ctx, list(request_context.messages), system, tools)
        return replace(request_context, messages=view)

    async def after_model_request(
        self, ctx: RunContext[Any], *, request_context: ModelRequestContext, response: ModelResponse
    ) -> ModelResponse:
        """The response as it is; its usage is noted."""
        self.processor.used(ctx, response.usage)
        return response


def _digests(messages: Sequence[ModelMessage]) -> list[str]:
    """A digest for every prefix of a history."""
    links, last = [], ""
    for message in messages:
        body = json.dumps([[{**b, "_at": ""} for b in d["content"]] for d in to_anthropic([message])], default=str)
        links.append(last := chain_digest({"role": message.kind, "content": body}, last))
    return links
