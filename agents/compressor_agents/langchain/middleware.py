"""The agent middleware: what the model is sent stays within a budget and byte-stable, and the graph's messages stay as
they are. Decides nothing itself: `Conversation` does.

Where the state lives. The view is made in `wrap_model_call`, and what a later call (or process) needs to say the same
bytes again goes back with the model's answer, as a private field of the agent's state. So it is written in the same
checkpoint as the answer it led to: a retry begins with the state before the failed call, an interrupt finds it saved, a
fork from an earlier checkpoint has what was frozen by then. A node of our own (`before_model`) would show up in
streams, and what it wrote would outlive a call that failed.

Where tool results are compressed. As part of the view, too: the graph keeps what tools returned, for other middleware,
for the user, and for a fork to compress otherwise. `ingest_at="tool"` does it in `wrap_tool_call` instead: checkpoints
get smaller with it, and the original is in the compressor's store alone, until its time there is over.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal, cast

from langchain.agents.middleware.types import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    PrivateStateAttr,
    ToolCallRequest,
)
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.types import Command
from typing_extensions import NotRequired, TypedDict

from compressor import BudgetTooSmallError, Compressor, CompressorError
from compressor.pipeline.tools import search_tool
from compressor.scoring.runtime.executor import run_in_thread
from compressor.sessions import Conversation, CostReport, Policy, ToolRule
from compressor.sessions.archive import scope_id
from compressor.sessions.expand_tool import TOOL_NAME
from compressor.tokens.context_limit import resolve_context_limit
from compressor.tokens.pricing import find_price
from compressor_agents.langchain import expand_tool as expansion
from compressor_agents.langchain import model_request
from compressor_agents.langchain.fail_open import FailOpenGuard
from compressor_agents.langchain.prompt_examples import PromptExampleTrimmer
from compressor_agents.langchain.tool_policy import resolve_policy
from compressor_agents.langchain.tool_selection import ToolSelection

FIELD = "compressor"  # of the agent's state; a middleware with a name of its own adds it


@dataclass
class _Step:
    """One model call: the conversation, and the request with its view."""

    conversation: Conversation
    request: ModelRequest[Any]
    thread: str | None
    place: str
    more: dict[str, Any] = field(default_factory=dict)  # what else of the agent's state has changed


class ContextCompressorMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Keeps what an agent sends to its model within a budget, without touching the agent's own messages.

    budget: limit of a request (messages, system prompt and tool schemas): tokens, a share of the model's window (a
        float below 1), money a call ("$0.02"), None: 0.8 of the window.
    compressor: scores, counts and stores; None makes one with the embedded defaults (a SQLite store).
    model: whose tokens, prices and window; None takes the name of the model that is called.
    policy: what is cut when. tools: rules by tool name ("*": every other). only, never: names of the tools whose
        results alone may be cut, and of those whose never are.
    expand: give the agent the tool `expand_context`.
    tools_budget: limit of the tool schemas alone: tokens, or a share of them. The tools that the task needs are listed,
        slimmed where that is enough, and with them a tool `find_tool` for the others; all can be called at any time.
        What is listed stays the same from call to call as far as it can. None lists all tools as they are.
    pinned_tools: names of tools that are always listed, word for word.
    examples_budget: limit of the worked examples in the system prompt and the messages that a conversation begins with:
        tokens, or a share of them. Chosen once a thread, for its first request; they then stay. None keeps all.
    ingest_at: where tool results are compressed: "model", or "tool", which keeps the checkpoints small, too.
    fail_open: an error of ours lets the request through as it was (a budget that is too small: the view without that
        limit), with a logged warning and an entry in `warnings`. False raises it.
    tenant: threads of different tenants open nothing of each other, whatever their ids, in one store.
    name: needed for a second one in the same agent; has to stay the same as long as its threads are used.

    One object may serve any number of agents, sub-agents and threads at once. BudgetError or CompressorError here for
    options that make no sense.
    """

    def __init__(
        self,
        budget: int | float | str | None = None,
        *,
        compressor: Compressor | None = None,
        model: str | None = None,
        policy: Policy | None = None,
        tools: Mapping[str, ToolRule] | None = None,
        compress_only: Collection[str] | None = None,
        never_compress: Collection[str] | None = None,
        expand: bool = True,
        tools_budget: int | float | None = None,
        pinned_tools: Collection[str] = (),
        examples_budget: int | float | None = None,
        ingest_at: Literal["model", "tool"] = "model",
        fail_open: bool = True,
        tenant: str = "",
        name: str | None = None,
    ) -> None:
        super().__init__()
        resolve_context_limit(budget, find_price(model))
        if tools_budget is not None and search_tool.NAME not in (tools or {}):  # what it shows has to be read whole
            tools = {**(tools or {}), search_tool.NAME: ToolRule(never_compress=True)}
        self.policy = resolve_policy(policy, tools, compress_only, never_compress)
        if ingest_at not in ("model", "tool"):
            raise CompressorError(f'ingest_at is "model" or "tool", not {ingest_at!r}')
        if ingest_at == "tool" and not self.policy.ingest:
            raise CompressorError('ingest_at="tool" needs a policy that compresses tool results: Policy(ingest=True)')
        self.budget, self.model, self.tenant = budget, model, tenant
        self.compressor = compressor or Compressor()
        self._ingest_at = ingest_at
        self._name = name or type(self).__name__
        self._field = f"{FIELD}_{name}" if name else FIELD
        self._guard = FailOpenGuard(fail_open, self._name)
        self._expands = expand
        self.tools = [expansion.make_tool(self._of_tool)] if expand else []
        fields: dict[str, Any] = {self._field: NotRequired[Annotated[dict[str, Any], PrivateStateAttr]]}
        self._fewshot: PromptExampleTrimmer | None = None
        if examples_budget is not None:
            self._fewshot = PromptExampleTrimmer(self.compressor, examples_budget)
            self._examples_field = f"examples_of_{self._field}"
            fields[self._examples_field] = fields[self._field]
        self._toolbox: ToolSelection | None = None
        if tools_budget is not None:
            self._toolbox = ToolSelection(self.compressor, tools_budget, pinned_tools, model, self._guard)
            self._tools_field = f"tools_of_{self._field}"
            self.tools.append(self._toolbox.tool)
            fields[self._tools_field] = fields[self._field]
        self.state_schema = cast(Any, TypedDict)("CompressorState", fields)

    @property
    def name(self) -> str:
        """The middleware's name, unique in an agent."""
        return self._name

    @property
    def warnings(self) -> list[str]:
        """What the user should know, oldest first: failures that let a request through, fallbacks taken."""
        return self._guard.warnings

    def cost_report(self, thread: str | Mapping[str, Any] | None = None) -> CostReport | None:
        """What a thread cost, and what it would have cost untouched.

        thread: an id, for a thread whose agent was called in this process (None: the last run without a checkpointer);
            or an agent's state (`agent.get_state(config).values`), for any. None if nothing is known of it.
        """
        if isinstance(thread, Mapping):
            state = thread.get(self._field)
            return None if state is None else Conversation(self.compressor, self.model, state=state).cost_report()
        return self._guard.cost_report(thread)

    # -- model calls

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Calls the model with the view; see the module for why here."""
        step = self._guard.run(self._step, request, *model_request.thread_id(request.runtime))
        if step is None:
            return handler(request)
        try:
            response = handler(step.request)
        except ContextOverflowError:  # the provider counts otherwise than we do
            if self._guard.run(self._shrink, step) is None:
                raise
            response = handler(step.request)
        return self._guard.run(self._save_state, step, response) or response

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """`wrap_model_call`, with our part of it in a worker thread."""
        run, key = self._guard.run, model_request.thread_id(request.runtime)
        step = await run_in_thread(run, self._step, request, *key)
        if step is None:
            return await handler(request)
        try:
            response = await handler(step.request)
        except ContextOverflowError:
            if await run_in_thread(run, self._shrink, step) is None:
                raise
            response = await handler(step.request)
        return await run_in_thread(run, self._save_state, step, response) or response

    def _step(self, request: ModelRequest[Any], thread: str | None, place: str) -> _Step | None:
        if not request.messages:
            return None
        request, listed = self._guard.run(self._with_tools, request) or (request, None)
        try:
            step = self._with_view(request, thread, place, self._budget(request.model))
        except BudgetTooSmallError as error:
            if not self._guard.fail_open:
                raise
            self._guard.warn(f"{error}; the request goes out above its budget", thread)
            step = self._with_view(request, thread, place, None)
        if listed is not None:
            step.more[self._tools_field] = listed
        return step

    def _with_tools(self, request: ModelRequest[Any]) -> tuple[ModelRequest[Any], dict[str, Any] | None] | None:
        """The request with the tools it is to list, and their state if that has changed; None without a budget."""
        if self._toolbox is None or not request.tools:
            return None
        state = self._stored_value(request.state, self._tools_field)
        tools, listed = self._toolbox.listed(request, state)
        return request.override(tools=tools), None if listed == state else listed

    def _with_view(self, request: ModelRequest[Any], thread: str | None, place: str, budget: Any) -> _Step:
        name = self.model or model_request.model_name(request.model)
        if self._expands and expansion.shadowed(request.tools):
            self._guard.warn(f"another tool is called {TOOL_NAME}: what was cut cannot be opened; rename it", thread)
        talk = self._open(request.state, thread, place, name, budget)
        request, shown = self._guard.run(self._with_examples, request, name, talk.state["scopes"][0]) or (request, None)
        expansion.record_expansions(talk, request.messages, self._state(request.state).get("count", 0))
        talk.sync(request.messages, request.system_message, model_request.tool_schemas(request))
        step = _Step(talk, request.override(messages=talk.view()), thread, place)
        step.more = {} if shown is None else {self._examples_field: shown}
        return step

    def _with_examples(
        self, request: ModelRequest[Any], model: str | None, scope: str
    ) -> tuple[ModelRequest[Any], dict[str, Any] | None] | None:
        """The request with the examples it is to show, and their state if that has changed; None without a budget."""
        if self._fewshot is None:
            return None
        state = self._stored_value(request.state, self._examples_field)
        request, shown = self._fewshot.cut(request, model, scope, state)
        return request, None if shown == state else shown

    def _shrink(self, step: _Step) -> _Step | None:
        """The step with a request that has been compacted; None if there is nothing left to cut."""
        if not step.conversation.compact():
            return None
        step.request = step.request.override(messages=step.conversation.view())
        return step

    def _save_state(self, step: _Step, response: ModelResponse[Any]) -> ExtendedModelResponse[Any] | None:
        """The response with the state to keep; None if that has not changed."""
        said = next((m for m in response.result if isinstance(m, AIMessage)), None)
        if said is not None and said.usage_metadata:
            self._guard.run(step.conversation.record_usage, said.usage_metadata)
        for text in step.conversation.warnings:
            self._guard.warn(text, step.thread)
        if not step.place:
            self._guard.note(step.thread, step.conversation.cost_report())
        update = dict(step.more)
        if step.conversation.has_changes:
            update[self._field] = step.conversation.state
        return ExtendedModelResponse(response, Command(update=update)) if update else None

    # -- tool calls

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Runs the tool; compresses its result here if told to (see the module). Of a ToolMessage nothing but the
        content changes; a Command passes as it is."""
        key = model_request.thread_id(request.runtime)
        answer = self._guard.run(self._answer_tool_call, request)
        if answer is not None:
            return answer
        result = handler(request)
        return self._guard.run(self._ingest_result, request, result, *key) or result

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """`wrap_tool_call`, with our part of it in a worker thread."""
        run, key = self._guard.run, model_request.thread_id(request.runtime)
        answer: ToolMessage | None = await run_in_thread(run, self._answer_tool_call, request)
        if answer is not None:
            return answer
        result = await handler(request)
        return await run_in_thread(run, self._ingest_result, request, result, *key) or result

    def _answer_tool_call(self, request: ToolCallRequest) -> ToolMessage | None:
        """The answer to a call of the expand tool, where several of us are in the agent: all have registered one tool
        of that name, and each opens only what is in its own store."""
        if request.tool_call["name"] != TOOL_NAME or not self._expands or not isinstance(request.state, Mapping):
            return None
        if sum(key == FIELD or str(key).startswith(f"{FIELD}_") for key in request.state) < 2:
            return None
        talk = self._of_tool(request.runtime)
        if not expansion.has_ref(talk, request.tool_call["args"]):
            return None
        text = expansion.answer_expand(talk, request.tool_call["args"])
        return ToolMessage(text, name=TOOL_NAME, tool_call_id=request.tool_call["id"])

    def _ingest_result(
        self, request: ToolCallRequest, result: Any, thread: str | None, place: str
    ) -> ToolMessage | None:
        """The result as it is compressed at birth; None for one that stays as it is."""
        if self._ingest_at != "tool" or not isinstance(result, ToolMessage) or result.status == "error":
            return None
        messages = model_request.state_messages(request.state)
        model = self.model or model_request.answered_by(messages)
        talk = self._open(request.state, thread, place, model, None, fresh=True)
        talk.sync([*model_request.find_task(messages), AIMessage("", tool_calls=[request.tool_call]), result])
        content = talk.view()[-1].content
        return None if content == result.content else result.model_copy(update={"content": content})

    # -- conversations

    def _of_tool(self, runtime: Any) -> Conversation:
        """The conversation that a tool belongs to."""
        model = self.model or model_request.answered_by(model_request.state_messages(runtime.state))
        return self._open(runtime.state, *model_request.thread_id(runtime), model, None)

    def _open(
        self, state: Any, thread: str | None, place: str, model: str | None, budget: Any, fresh: bool = False
    ) -> Conversation:
        """The conversation kept in an agent's state; `fresh`: an empty one that shares its refs."""
        data = self._state(state)
        if data and (thread is None or place):  # a sub-agent that keeps its state has another place in each run
            scope = data["scopes"][0]
        elif thread is not None:
            scope = scope_id(self.tenant, json.dumps([thread, place]))
        else:  # nobody else may open what is cut in a run that has no thread
            scope = scope_id(self.tenant, f"run {uuid.uuid4().hex}")
        given = None if fresh or not data else data
        return Conversation(self.compressor, model, budget, self.policy, scope_id=scope, state=given)

    def _state(self, state: Any) -> dict[str, Any]:
        return self._stored_value(state, self._field)

    @staticmethod
    def _stored_value(state: Any, name: str) -> dict[str, Any]:
        """A field of an agent's state that we have written; empty where we have not."""
        found: dict[str, Any] | None = state.get(name) if isinstance(state, Mapping) else None
        return found or {}

    def _budget(self, model: Any) -> int | float | str | None:
        """The budget, in tokens where LangChain knows the model's window."""
        window = model_request.context_window(model)
        if window is None or isinstance(self.budget, str):
            return self.budget
        return resolve_context_limit(self.budget, replace(find_price(self.model), max_input_tokens=window))
