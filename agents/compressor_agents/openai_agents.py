"""Compresses the model's input in the OpenAI Agents SDK and provides the expand tool.

The filter changes what the model sees, not what the SDK keeps: sessions, results and traces contain the originals. If
the provider keeps the history (`conversation_id`, `previous_response_id`), the filter sees only the new items. Input
that it cannot read is sent unchanged. The SDK does not show it the usage, so its cost report uses our own token counts.
"""

from __future__ import annotations

from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from compressor.errors import MissingDependencyError
from compressor.providers.conversation_tracker import TrackedConversation
from compressor.providers.fail_open import FailOpen
from compressor.scoring.runtime.executor import run_in_thread
from compressor.sessions.compact_tool import COMPACT_TOOL_NAME
from compressor.sessions.context_tools import CONTEXT_TOOL_DEFINITIONS
from compressor.sessions.cost_report import CostReport
from compressor.sessions.expand_tool import TOOL_NAME
from compressor.sessions.recall_tool import RECALL_TOOL_NAME
from compressor_agents.options import make_tracker

try:
    from agents.run_config import CallModelData, ModelInputData

    from agents import FunctionTool
    from compressor_agents.openai_agents_schemas import SchemaReader
except ImportError:
    raise MissingDependencyError("openai-agents", "openai-agents") from None

if TYPE_CHECKING:
    from agents.tool_context import ToolContext

    from compressor import Compressor
    from compressor.sessions.policy import Policy

#: The conversation of the current run, by the id of its filter: the SDK calls the filter and the tools of a run in one
#: context.
_current: ContextVar[dict[int, TrackedConversation] | None] = ContextVar("compressor_conversations", default=None)


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
    ) -> None:
        self._tracker = make_tracker(compressor, budget, policy, session)
        self._fail_open = FailOpen(fail_open)
        self._model = model
        self._schemas = SchemaReader()

    async def __call__(self, data: CallModelData[Any]) -> ModelInputData:
        """Returns what the model sees; items of which nothing was cut stay the SDK's own objects."""
        original = data.model_data
        try:
            schemas = await self._schemas.read(data.agent, data.context)
            tracked, view = await run_in_thread(
                self._tracker.view,
                original.input,
                self._model or _agent_model(data.agent),
                "openai_responses",
                system=original.instructions,
                tools=schemas,
                best_effort=self._fail_open.enabled,
            )
            self._fail_open.report(tracked)
        except Exception as error:
            self._fail_open.handle(error)
            return original
        _current.set({**(_current.get() or {}), id(self): tracked})
        return ModelInputData(input=view, instructions=original.instructions)

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
        tracked = (_current.get() or {}).get(id(self))
        if tracked is None:
            return "Not answered: this run has not called its model yet. Call the tool again."
        with tracked.lock:
            return str(tracked.conversation.context_tools(compact=True).answer(name, arguments))

    async def _answer_call(self, name: str, context: ToolContext[Any], arguments: str) -> str:
        return await run_in_thread(self.answer, name, arguments)


def expand_tool(filter: CompressorFilter) -> FunctionTool:
    """Returns the tool `expand_context` for agents that run with this filter; it only expands texts of its own run."""
    return _make_tool(filter, TOOL_NAME)


def context_tools(filter: CompressorFilter, compact: bool = False) -> list[FunctionTool]:
    """Returns the tools `expand_context` and `recall_context` for agents that run with this filter.

    Args:
        filter: The filter.
        compact: Include `compact_now`, with which an agent plans its compactions itself.
    """
    names = [TOOL_NAME, RECALL_TOOL_NAME, *([COMPACT_TOOL_NAME] if compact else [])]
    return [_make_tool(filter, name) for name in names]


def _make_tool(filter: CompressorFilter, name: str) -> FunctionTool:
    description, parameters = CONTEXT_TOOL_DEFINITIONS[name]
    answer = partial(filter._answer_call, name)  # can be pickled
    return FunctionTool(name, description, parameters, answer, strict_json_schema=False)


def _agent_model(agent: Any) -> str | None:
    model = getattr(agent, "model", None)
    name = model if isinstance(model, str) else getattr(model, "model", None)
    return name if isinstance(name, str) else None
