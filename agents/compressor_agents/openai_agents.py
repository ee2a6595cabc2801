"""Compresses the model's input in the OpenAI Agents SDK and provides the expand tool.

The filter changes what the model sees, not what the SDK keeps: sessions, results and traces contain the originals. If
the provider keeps the history (`conversation_id`, `previous_response_id`), the filter sees only the new items. Input
that it cannot read is sent unchanged. The SDK does not show it the usage, so its cost report uses our own token counts.
"""

from __future__ import annotations

from collections.abc import Collection
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from compressor.errors import MissingDependencyError
from compressor.pipeline.tools import search_tool
from compressor.providers.conversation_tracker import TrackedConversation
from compressor.providers.fail_open import FailOpen
from compressor.scoring.runtime.executor import run_in_thread
from compressor.sessions.compact_tool import COMPACT_TOOL_NAME
from compressor.sessions.context_tools import CONTEXT_TOOL_DEFINITIONS, CONTEXT_TOOL_NAMES, ToolDefinition
from compressor.sessions.cost_report import CostReport
from compressor.sessions.expand_tool import TOOL_NAME
from compressor.sessions.recall_tool import RECALL_TOOL_NAME
from compressor_agents.options import make_prompt_budgets, make_tracker

try:
    from agents.run_config import CallModelData, ModelInputData

    from agents import FunctionTool
    from compressor_agents.openai_agents_models import RequestTools, ToolListingModel, ToolListingProvider
    from compressor_agents.openai_agents_schemas import SchemaReader
except ImportError:
    raise MissingDependencyError("openai-agents", "openai-agents") from None

__all__ = ["CompressorFilter", "ToolListingModel", "ToolListingProvider", "context_tools", "expand_tool"]

if TYPE_CHECKING:
    from agents.tool_context import ToolContext

    from compressor import Compressor
    from compressor.sessions.policy import Policy


class _Call(NamedTuple):
    """The conversation of a run's last model call, and the tools that it lists (None: all)."""

    tracked: TrackedConversation
    tools: RequestTools | None


#: The last call of the current run, by the id of its filter: the SDK calls the filter, the model and the tools of a run
#: in one context.
_current: ContextVar[dict[int, _Call] | None] = ContextVar("compressor_calls", default=None)


class CompressorFilter:
    """Compresses the input of each model call; for `RunConfig(call_model_input_filter=...)`.

    One filter serves any number of runs, also at the same time. A run belongs to the conversation whose items it
    extends.

    Args:
        compressor: Compresses and stores; None makes one with the defaults.
        model: The model whose tokens and prices count; None takes each agent's own, if the agent names it.
        budget: The limit of each request: tokens, a fraction of the model's window (a float below 1), or dollars such
            as "$0.02". None means 0.8 of the window.
        policy: What is compressed and when; None takes the defaults.
        session: A `Session` or its id, to which all runs belong; None tells conversations apart by their messages.
        fail_open: True logs an error of the compressor once and sends the input unchanged, or the smallest possible
            view if the budget is too small; False raises the error.
        tools_budget: The limit of the schemas of function tools (those of MCP servers too): tokens, or a fraction of
            them. A request lists the tools that the task needs, shortened if that is enough, and the tool `find_tool`
            of `context_tools`, which finds the others. It needs a `ToolListingModel` or `ToolListingProvider`. None
            lists all tools.
        pinned_tools: The names of tools that are always listed unchanged.

    Raises:
        BudgetError: If the budget cannot be read.
        CompressorError: If `policy` is not a `Policy`.

    Example:
        >>> compress = CompressorFilter(budget=32_000)
        >>> agent = Agent(name="researcher", tools=[search, expand_tool(compress)])
        >>> await Runner.run(agent, task, run_config=RunConfig(call_model_input_filter=compress))
    """

    def __init__(
        self,
        compressor: Compressor | None = None,
        model: str | None = None,
        budget: int | float | str | None = None,
        policy: Policy | None = None,
        session: Any = None,
        fail_open: bool = True,
        tools_budget: int | float | str | None = None,
        pinned_tools: Collection[str] = (),
    ) -> None:
        self._budgets = make_prompt_budgets(tools_budget, pinned_tools)
        self._tracker = make_tracker(compressor, budget, policy, session)
        self._tracker.policy = self._budgets.extend_policy(self._tracker.policy)
        self._lists_tools = False  # whether a wrapped model has called `listed_tools`
        self._has_filtered = False
        self._fail_open = FailOpen(fail_open)
        self._model = model
        self._schemas = SchemaReader()

    async def __call__(self, data: CallModelData[Any]) -> ModelInputData:
        """Returns what the model sees; items of which nothing was cut stay the SDK's own objects."""
        original = data.model_data
        try:
            functions, others = await self._schemas.read_parts(data.agent, data.context)
            choice = getattr(getattr(data.agent, "model_settings", None), "tool_choice", None)
            model = self._model or _agent_model(data.agent)
            call, view = await run_in_thread(self._make_view, original, model, functions, others, choice)
            self._fail_open.report(call.tracked)
        except Exception as error:
            self._fail_open.handle(error)
            _current.set({key: call for key, call in (_current.get() or {}).items() if key != id(self)})
            return original
        _current.set({**(_current.get() or {}), id(self): call})
        return ModelInputData(input=view, instructions=original.instructions)

    def _make_view(
        self, data: ModelInputData, model: str | None, functions: list[Any], others: list[Any], tool_choice: Any
    ) -> tuple[_Call, list[Any]]:
        """Returns the call and its messages; selects among `functions` if they have a budget."""
        tracked = self._tracker.match(data.input, model, "openai_responses")
        conversation, made, removed_tokens = tracked.conversation, None, 0
        with tracked.lock:
            if self._has_filtered and not self._lists_tools:
                text = "tools_budget has no effect: wrap the model in a ToolListingModel, or use a ToolListingProvider"
                self._fail_open.warn_once(text, "tools_budget")
            elif self._budgets.tools is not None and functions:
                self._has_filtered = True
                try:
                    functions, made, removed_tokens = self._select(tracked, functions, data.input, tool_choice)
                except Exception as error:
                    self._fail_open.handle_part(error, "tools")
            conversation.set_tools([*functions, *others], removed_tokens)
            conversation.sync(data.input, system=data.instructions)
            return _Call(tracked, made), conversation.view(self._fail_open.enabled)

    def _select(
        self, tracked: TrackedConversation, functions: list[Any], messages: list[Any], tool_choice: Any
    ) -> tuple[list[Any], RequestTools, int]:
        own = [one for one in functions if one["name"] in CONTEXT_TOOL_NAMES]
        others = [one for one in functions if one["name"] not in (*CONTEXT_TOOL_NAMES, search_tool.NAME)]
        compressor, has_search = self._tracker.compressor, len(own) + len(others) < len(functions)
        listed = self._budgets.list_tools(
            compressor, tracked, others, messages, tool_choice, len(messages), find=has_search
        )
        whole = {id(one) for one in others}
        schemas = {one["name"]: None if id(one) in whole else one for one in listed.tools}
        names = {one["name"] for one in others} | ({search_tool.NAME} if has_search else set())
        return [*own, *listed.tools], RequestTools(_without_search_schema(schemas), names), listed.removed_tokens

    def listed_tools(self, tools: list[Any]) -> list[Any]:
        """Returns the tools of the current call that its request lists, for `ToolListingModel`."""
        self._lists_tools = True
        call = (_current.get() or {}).get(id(self))
        if call is None or call.tools is None:
            return [tool for tool in tools if tool.name != search_tool.NAME]
        return call.tools.apply(tools)

    def cost_report(self) -> CostReport:
        """Returns what all runs cost, and what they would have cost uncompressed.

        Before the first call all counts are 0.
        """
        return self._tracker.cost_report()

    def receipts(self) -> list[dict[str, Any]]:
        """Returns what each compaction kept and lost (see `Receipt`), for the runs used last."""
        return self._tracker.receipts()

    def expand(self, arguments: str) -> str:
        """Returns the expand tool's answer in the current run; never raises."""
        return self.answer(TOOL_NAME, arguments)

    def answer(self, name: str, arguments: str) -> str:
        """Returns the answer of one of the tools of `context_tools` in the current run; never raises."""
        call = (_current.get() or {}).get(id(self))
        if call is None:
            return "Not answered: this run has not called its model yet. Call the tool again."
        tracked = call.tracked
        if name == search_tool.NAME:
            listing = tracked.tool_listing
            return "There are no other tools." if listing is None else listing.answer(arguments)
        with tracked.lock:
            return str(tracked.conversation.context_tools(compact=True).answer(name, arguments))

    async def _answer_call(self, name: str, context: ToolContext[Any], arguments: str) -> str:
        return await run_in_thread(self.answer, name, arguments)


def expand_tool(filter: CompressorFilter) -> FunctionTool:
    """Returns the tool `expand_context` for agents that run with this filter; it only expands texts of its own run."""
    return _make_tool(filter, TOOL_NAME)


def context_tools(filter: CompressorFilter, compact: bool = False) -> list[FunctionTool]:
    """Returns the tools `expand_context` and `recall_context` for agents that run with this filter.

    If it has a `tools_budget`, `find_tool` is among them.

    Args:
        filter: The filter.
        compact: Include `compact_now`, with which an agent plans its compactions itself.
    """
    names = [TOOL_NAME, RECALL_TOOL_NAME, *([COMPACT_TOOL_NAME] if compact else [])]
    names += [search_tool.NAME] if filter._budgets.tools is not None else []
    return [_make_tool(filter, name) for name in names]


def _make_tool(filter: CompressorFilter, name: str) -> FunctionTool:
    own = ToolDefinition(search_tool.DESCRIPTION, search_tool.PARAMETERS)
    definition: ToolDefinition = CONTEXT_TOOL_DEFINITIONS.get(name, own)
    answer = partial(filter._answer_call, name)  # can be pickled
    return FunctionTool(name, definition.description, definition.parameters, answer, strict_json_schema=False)


def _without_search_schema(schemas: dict[str, Any]) -> dict[str, Any]:
    """Returns the schemas with None for `find_tool`, which the agent has as a tool of its own."""
    return {name: None if name == search_tool.NAME else schema for name, schema in schemas.items()}


def _agent_model(agent: Any) -> str | None:
    model = getattr(agent, "model", None)
    name = model if isinstance(model, str) else getattr(model, "model", None)
    return name if isinstance(name, str) else None
