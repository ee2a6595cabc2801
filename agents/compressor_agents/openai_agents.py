"""The OpenAI Agents SDK: a filter for the model's input, and the expand tool.

    compress = CompressorFilter(budget=32_000)
    agent = Agent(name="researcher", tools=[search, expand_tool(compress)])
    await Runner.run(agent, task, run_config=RunConfig(call_model_input_filter=compress))

The filter changes what the model sees, not what the SDK keeps: sessions, results and traces hold the originals. Where
the history is kept by the provider (`conversation_id`, `previous_response_id`) the filter sees only what is new, and
what it cannot read goes out as it is. Sees no usage, so `balance()` goes by our own reckoning.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from compressor.errors import MissingDependencyError
from compressor.providers.conversation_tracker import ConversationTracker, TrackedConversation
from compressor.providers.expand_resolver import FailOpen
from compressor.scoring.runtime.executor import run_in_thread
from compressor.sessions.cost_report import CostReport
from compressor.sessions.expand_tool import DESCRIPTION, PARAMETERS, TOOL_NAME

try:
    from agents.run_config import CallModelData, ModelInputData

    from agents import FunctionTool
except ImportError:
    raise MissingDependencyError("openai-agents", "openai-agents") from None

if TYPE_CHECKING:
    from agents.tool_context import ToolContext

    from compressor import Compressor
    from compressor.sessions.policy import Policy

#: The thread of the run that is going on here, by its filter: the SDK calls filter and tools of a run in one context.
_running: ContextVar[dict[int, TrackedConversation] | None] = ContextVar("compressor_threads", default=None)


class CompressorFilter:
    """For `RunConfig(call_model_input_filter=...)`. One filter serves any number of runs, one after another or at once;
    a run belongs to the conversation whose items it extends.

    compressor: None makes one with defaults. model: whose tokens and prices; None takes each agent's own where it is
    given by name. budget: of each request: tokens, a share of the model's window (a float below 1), "$0.02", None for
    0.8 of the window. policy: what is cut when. session: a `OnnxSession` or an id, to which all runs belong then.
    fail_open: an error of ours is logged once and the input goes through as it is; else the run fails with it.
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
        self._tracker = ConversationTracker(compressor, budget, policy, session)
        self._failing = FailOpen(fail_open)
        self._model = model

    async def __call__(self, data: CallModelData[Any]) -> ModelInputData:
        """What the model gets to see. The items of which nothing was cut are the SDK's own objects."""
        given = data.model_data
        try:
            thread, view = await run_in_thread(
                self._tracker.view,
                given.input,
                self._model or _model(data.agent),
                "openai_responses",
                system=given.instructions,
                tools=_schemas(data.agent.tools),
            )
        except Exception as error:
            self._failing.note(error)
            return given
        _running.set({**(_running.get() or {}), id(self): thread})
        return ModelInputData(input=view, instructions=given.instructions)

    def cost_report(self) -> CostReport:
        """What all runs cost, and what they would have cost untouched. CompressorError before the first."""
        return self._tracker.cost_report()

    def expand(self, arguments: str) -> str:
        """The expand tool's answer in the run that is going on. Never raises."""
        thread = (_running.get() or {}).get(id(self))
        if thread is None:
            return "Not expanded: this run has not called its model yet. Call the tool again."
        with thread.lock:
            return str(thread.conversation.expand_tool.answer(arguments))


def expand_tool(filter: CompressorFilter) -> FunctionTool:
    """The tool `expand_context` for the agents that run with this filter. It answers with texts of its run only."""

    async def answer(context: ToolContext[Any], arguments: str) -> str:
        return await run_in_thread(filter.expand, arguments)

    return FunctionTool(TOOL_NAME, DESCRIPTION, PARAMETERS, answer, strict_json_schema=False)


def _model(agent: Any) -> str | None:
    model = getattr(agent, "model", None)
    name = model if isinstance(model, str) else getattr(model, "model", None)
    return name if isinstance(name, str) else None


def _schemas(tools: Sequence[Any]) -> list[dict[str, Any]]:
    return [
        {"type": "function", "name": t.name, "description": t.description, "parameters": t.params_json_schema}
        for t in tools
        if isinstance(t, FunctionTool)
    ]
