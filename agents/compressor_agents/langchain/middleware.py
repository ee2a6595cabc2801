"""Keeps an agent's requests within a budget and byte-stable, without changing the messages of its graph.

State: the view is made in `wrap_model_call`. What a later call or process needs to send the same bytes again is
returned with the model's answer as a private field of the agent's state, so one checkpoint has both. A retry starts
with the state before the failed call, an interrupt finds it saved, and a fork has the state of its checkpoint. A node
of its own (`before_model`) would show up in streams, and its state would outlive a failed call.

Tool results are compressed in the view too: the graph keeps what tools returned, for other middleware, for the user and
for a fork that compresses them differently. With `ingest_at="tool"`, `wrap_tool_call` compresses them instead.
Checkpoints get smaller, and the original is only in the compressor's store, until it expires there.
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
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.types import Command
from typing_extensions import NotRequired, TypedDict

from compressor import Compressor, CompressorError
from compressor.pipeline.tools import search_tool
from compressor.providers.context_overflow import MAX_HALVINGS, halve_limit
from compressor.scoring.runtime.executor import run_in_thread
from compressor.sessions import Conversation, CostReport, Policy, ToolRule
from compressor.sessions.archive import scope_id
from compressor.sessions.compact_tool import COMPACT_TOOL_NAME
from compressor.sessions.expand_tool import TOOL_NAME
from compressor.sessions.recall_tool import RECALL_TOOL_NAME
from compressor.sessions.receipt import load_receipts
from compressor.tokens.context_limit import resolve_context_limit
from compressor.tokens.pricing import find_price
from compressor_agents.langchain import context_tools, model_request
from compressor_agents.langchain.fail_open import FailOpenGuard
from compressor_agents.langchain.prompt_examples import PromptExampleTrimmer
from compressor_agents.langchain.tool_policy import resolve_policy
from compressor_agents.langchain.tool_selection import ToolSelection
from compressor_agents.options import check_budget, check_token_budget

#: The middleware's field in the agent's state; a middleware with a name of its own appends it.
STATE_FIELD = "compressor"
#: What the agent cannot do if another tool has the name of one of the compressor's.
_UNABLE = {
    TOOL_NAME: "cut texts cannot be expanded",
    RECALL_TOOL_NAME: "cut texts cannot be searched",
    COMPACT_TOOL_NAME: "the agent cannot ask for a compaction",
}


@dataclass
class _Step:
    """One model call: the conversation, and the request with its view.

    `state_update` is what else of the agent's state has changed, `halvings` how often the provider found it too long.
    """

    conversation: Conversation
    request: ModelRequest[Any]
    thread_id: str | None
    namespace: str
    halvings: int = 0
    state_update: dict[str, Any] = field(default_factory=dict)


class ContextCompressorMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Keeps what an agent sends to its model within a budget, without changing the agent's own messages.

    One object may serve any number of agents, sub-agents and threads at the same time.

    Args:
        budget: The limit of a request with messages, system prompt and tool schemas: tokens, a fraction of the model's
            window (a float below 1), or dollars per call ("$0.02"). None means 0.8 of the window.
        compressor: Scores, counts and stores; None makes one with the embedded defaults (a SQLite store).
        model: The model whose tokens, prices and window count; None takes the name of the model that is called.
        policy: What is compressed and when; None takes the defaults.
        tools: Rules by tool name; "*" stands for all other tools.
        compress_only: The only tools whose results may be compressed.
        never_compress: The tools whose results are never compressed.
        expand: Whether the agent gets the tools `expand_context` and `recall_context`.
        compact_tool: Whether the agent gets the tool `compact_now`, with which it plans its compactions itself.
        tools_budget: The limit of the tool schemas alone: tokens, or a fraction of them. The request lists the tools
            that the task needs, slimmed if that is enough, and a tool `find_tool` that finds the others. All tools can
            be called at any time, and the list changes as little as possible. None lists all tools unchanged.
        pinned_tools: The tools that are always listed, verbatim.
        examples_budget: The limit of the worked examples in the system prompt and the first messages: tokens, or a
            fraction of them. They are chosen once per thread, for its first request. None keeps all.
        ingest_at: Where tool results are compressed: "model" (in the view) or "tool" (also in the checkpoints).
        fail_open: True turns an error of the compressor into a logged warning and an entry of `warnings`; the request
            is sent unchanged, or the smallest possible one if the budget is too small. False raises.
        tenant: Threads of different tenants cannot expand each other's texts, whatever their ids, in one store.
        name: Needed for a second middleware in the same agent; must not change while its threads are used.

    Raises:
        BudgetError: If a budget cannot be read.
        CompressorError: If another option has a wrong value.

    Example:
        >>> middleware = ContextCompressorMiddleware(budget=12_000, never_compress=["read_contract"])
        >>> agent = create_agent(model, tools, middleware=[middleware], checkpointer=InMemorySaver())
        >>> agent.invoke({"messages": [question]}, {"configurable": {"thread_id": "t1"}})
        >>> print(middleware.cost_report("t1").report())
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
        compact_tool: bool = False,
        tools_budget: int | float | None = None,
        pinned_tools: Collection[str] = (),
        examples_budget: int | float | None = None,
        ingest_at: Literal["model", "tool"] = "model",
        fail_open: bool = True,
        tenant: str = "",
        name: str | None = None,
    ) -> None:
        super().__init__()
        check_budget(budget, model)
        check_token_budget("tools_budget", tools_budget)
        check_token_budget("examples_budget", examples_budget)
        self.policy = resolve_policy(policy, tools, compress_only, never_compress)
        if tools_budget is not None and search_tool.NAME not in (tools or {}):  # the model must read its answer whole
            rules = {**self.policy.tools, search_tool.NAME: ToolRule(never_compress=True)}
            self.policy = replace(self.policy, tools=rules)
        if ingest_at not in ("model", "tool"):
            raise CompressorError(f'ingest_at must be "model" or "tool", not {ingest_at!r}')
        if ingest_at == "tool" and not self.policy.ingest:
            raise CompressorError('ingest_at="tool" needs a policy that compresses tool results: Policy(ingest=True)')
        self.budget, self.model, self.tenant = budget, model, tenant
        self.compressor = compressor or Compressor()
        self._ingest_at = ingest_at
        self._name = name or type(self).__name__
        self._field = f"{STATE_FIELD}_{name}" if name else STATE_FIELD
        self._guard = FailOpenGuard(fail_open, self._name)
        self._own_tools = expand, compact_tool
        self._tool_options = None if tools_budget is None else (tools_budget, pinned_tools)
        self._example_trimmer: PromptExampleTrimmer | None = None
        if examples_budget is not None:
            self._example_trimmer = PromptExampleTrimmer(self.compressor, examples_budget)
        self._make_tools()

    def _make_tools(self) -> None:
        """Makes the tools and the fields of the agent's state, which cannot be pickled."""
        self.tools = context_tools.make_context_tools(self._open_for_tool, *self._own_tools)
        self._own_tool_names = frozenset(tool.name for tool in self.tools)
        fields: dict[str, Any] = {self._field: NotRequired[Annotated[dict[str, Any], PrivateStateAttr]]}
        if self._example_trimmer is not None:
            self._examples_field = f"examples_of_{self._field}"
            fields[self._examples_field] = fields[self._field]
        self._tool_selection: ToolSelection | None = None
        if self._tool_options is not None:
            self._tool_selection = ToolSelection(self.compressor, *self._tool_options, self.model, self._guard)
            self._tools_field = f"tools_of_{self._field}"
            self.tools.append(self._tool_selection.tool)
            fields[self._tools_field] = fields[self._field]
        self.state_schema = cast(Any, TypedDict)("CompressorState", fields)

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled: the options, the warnings and the cost reports. Threads are in the checkpoints."""
        made = ("tools", "state_schema", "_tool_selection")
        return {name: value for name, value in vars(self).items() if name not in made}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._make_tools()

    def __repr__(self) -> str:
        options = f"budget={self.budget!r}, model={self.model!r}, fail_open={self._guard.fail_open}"
        return f"<{self._name} {options}: {self._guard.thread_count} threads, {len(self.warnings)} warnings>"

    @property
    def name(self) -> str:
        """Returns the middleware's name, which must be unique in an agent."""
        return self._name

    @property
    def warnings(self) -> list[str]:
        """Returns the warnings, oldest first: errors after which a request was sent unchanged, and fallbacks."""
        return self._guard.warnings

    def cost_report(self, thread: str | Mapping[str, Any] | None = None) -> CostReport:
        """Returns what a thread cost, and what it would have cost uncompressed.

        Args:
            thread: The id of a thread whose agent ran in this process (None: the last run without a thread id), or the
                state of any thread's agent: `agent.get_state(config).values`. Without a thread id and before the first
                run, all counts are 0.

        Raises:
            CompressorError: If the thread is unknown; the message names the known threads.
        """
        if isinstance(thread, Mapping):
            return self._conversation_of(thread).cost_report()
        return self._guard.find_thread(thread).report

    balance = cost_report

    def receipts(self, thread: str | Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Returns what each compaction of a thread kept and lost, oldest first (see `Receipt`).

        Args:
            thread: As for `cost_report`.

        Raises:
            CompressorError: If the thread is unknown.
        """
        if isinstance(thread, Mapping):
            return self._conversation_of(thread).receipts()
        return load_receipts(self.compressor.store, self._guard.find_thread(thread).receipt_refs)

    def _conversation_of(self, state: Mapping[str, Any]) -> Conversation:
        """Returns the conversation in the state of an agent."""
        if not state.get(self._field):
            raise CompressorError(
                f"this state has no field {self._field!r}; pass the state of an agent that has run with this middleware"
            )
        return Conversation(self.compressor, self.model, state=state[self._field])

    def wrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], ModelResponse[Any]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Calls the model with the view; the module docstring says why it is made here."""
        step = self._guard.run(self._step, request, *model_request.thread_and_namespace(request.runtime))
        if step is None:
            return handler(request)
        while True:
            try:
                response = handler(step.request)
                break
            except Exception as error:
                if not model_request.is_overflow(error) or self._guard.run(self._shrink, step) is None:
                    raise
        return self._guard.run(self._save_state, step, response) or response

    async def awrap_model_call(
        self, request: ModelRequest[Any], handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]]
    ) -> ModelResponse[Any] | ExtendedModelResponse[Any]:
        """Does the same as `wrap_model_call`, with the compressor's work in a worker thread."""
        run, key = self._guard.run, model_request.thread_and_namespace(request.runtime)
        step = await run_in_thread(run, self._step, request, *key)
        if step is None:
            return await handler(request)
        while True:
            try:
                response = await handler(step.request)
                break
            except Exception as error:
                if not model_request.is_overflow(error) or await run_in_thread(run, self._shrink, step) is None:
                    raise
        return await run_in_thread(run, self._save_state, step, response) or response

    def _step(self, request: ModelRequest[Any], thread_id: str | None, namespace: str) -> _Step | None:
        if not request.messages:
            return None
        request, tool_state = self._guard.run(self._with_tools, request) or (request, None)
        step = self._with_view(request, thread_id, namespace)
        if tool_state is not None:
            step.state_update[self._tools_field] = tool_state
        return step

    def _with_tools(self, request: ModelRequest[Any]) -> tuple[ModelRequest[Any], dict[str, Any] | None] | None:
        """Returns the request with its selected tools, and their state if it changed; None without a tools budget."""
        if self._tool_selection is None or not request.tools:
            return None
        state = self._stored_value(request.state, self._tools_field)
        tools, tool_state = self._tool_selection.select(request, state)
        return request.override(tools=tools), None if tool_state == state else tool_state

    def _with_view(self, request: ModelRequest[Any], thread_id: str | None, namespace: str) -> _Step:
        name = self.model or model_request.model_name(request.model)
        for taken in context_tools.find_taken_names(request.tools, self._own_tool_names):
            self._guard.warn(f"another tool is called {taken}, so {_UNABLE[taken]}; rename that tool", thread_id)
        conversation = self._open_conversation(request.state, thread_id, namespace, name, self._budget(request.model))
        request, example_state = self._guard.run(
            self._with_examples, request, name, conversation.state["scopes"][0], thread_id
        ) or (request, None)
        seen_count = self._state(request.state).get("count", 0)
        context_tools.record_calls(conversation, request.messages, seen_count, self._own_tool_names)
        conversation.sync(request.messages, request.system_message, model_request.tool_schemas(request))
        view = conversation.view(best_effort=self._guard.fail_open)
        step = _Step(conversation, request.override(messages=view), thread_id, namespace)
        step.state_update = {} if example_state is None else {self._examples_field: example_state}
        return step

    def _with_examples(
        self, request: ModelRequest[Any], model: str | None, scope: str, thread_id: str | None
    ) -> tuple[ModelRequest[Any], dict[str, Any] | None] | None:
        """Returns the request with its chosen examples, and their state if it changed; None without a budget."""
        if self._example_trimmer is None:
            return None
        state = self._stored_value(request.state, self._examples_field)
        request, example_state = self._example_trimmer.cut(request, model, scope, state)
        for text in example_state["warnings"] if example_state != state else ():
            self._guard.warn(text, thread_id)
        return request, None if example_state == state else example_state

    def _shrink(self, step: _Step) -> _Step | None:
        """Makes the request smaller, as the provider found it too long. Returns None if it cannot be made smaller."""
        if step.halvings == MAX_HALVINGS or not halve_limit(step.conversation):
            return None
        step.halvings += 1
        step.request = step.request.override(messages=step.conversation.view())
        return step

    def _save_state(self, step: _Step, response: ModelResponse[Any]) -> ExtendedModelResponse[Any] | None:
        """Returns the response with the state to keep, or None if that has not changed."""
        answer = next((m for m in response.result if isinstance(m, AIMessage)), None)
        if answer is not None and answer.usage_metadata:
            self._guard.run(step.conversation.record_usage, answer.usage_metadata)
        for text in step.conversation.warnings:
            self._guard.warn(text, step.thread_id)
        if not step.namespace:
            refs = step.conversation.state["receipt_refs"]
            self._guard.record_report(step.thread_id, step.conversation.cost_report(), refs)
        update = dict(step.state_update)
        if step.conversation.has_changes:
            update[self._field] = step.conversation.state
        return ExtendedModelResponse(response, Command(update=update)) if update else None

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]]
    ) -> ToolMessage | Command[Any]:
        """Runs the tool, and with `ingest_at="tool"` compresses its result.

        Only the content of a ToolMessage changes; a Command passes unchanged.
        """
        key = model_request.thread_and_namespace(request.runtime)
        answer = self._guard.run(self._answer_tool_call, request)
        if answer is not None:
            return answer
        result = handler(request)
        return self._guard.run(self._ingest_result, request, result, *key) or result

    async def awrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Awaitable[ToolMessage | Command[Any]]]
    ) -> ToolMessage | Command[Any]:
        """Does the same as `wrap_tool_call`, with the compressor's work in a worker thread."""
        run, key = self._guard.run, model_request.thread_and_namespace(request.runtime)
        answer: ToolMessage | None = await run_in_thread(run, self._answer_tool_call, request)
        if answer is not None:
            return answer
        result = await handler(request)
        return await run_in_thread(run, self._ingest_result, request, result, *key) or result

    def _answer_tool_call(self, request: ToolCallRequest) -> ToolMessage | None:
        """Answers a call of `expand_context` or `recall_context` if the agent has several compressor middlewares.

        All register tools of the same names, but each can only expand and search what is in its own store.
        """
        name, arguments = request.tool_call["name"], request.tool_call["args"]
        if name not in self._own_tool_names - {COMPACT_TOOL_NAME} or not isinstance(request.state, Mapping):
            return None
        if sum(key == STATE_FIELD or str(key).startswith(f"{STATE_FIELD}_") for key in request.state) < 2:
            return None
        conversation = self._open_for_tool(request.runtime)
        if not context_tools.has_answer(conversation, name, arguments):
            return None
        text = context_tools.answer(conversation, name, arguments)
        return ToolMessage(text, name=name, tool_call_id=request.tool_call["id"])

    def _ingest_result(
        self, request: ToolCallRequest, result: Any, thread_id: str | None, namespace: str
    ) -> ToolMessage | None:
        """Returns the compressed result, or None if it stays unchanged."""
        if self._ingest_at != "tool" or not isinstance(result, ToolMessage) or result.status == "error":
            return None
        messages = model_request.state_messages(request.state)
        model = self.model or model_request.last_answer_model(messages)
        conversation = self._open_conversation(request.state, thread_id, namespace, model, None, fresh=True)
        conversation.sync([*model_request.find_task(messages), AIMessage("", tool_calls=[request.tool_call]), result])
        content = conversation.view()[-1].content
        return None if content == result.content else result.model_copy(update={"content": content})

    def _open_for_tool(self, runtime: Any) -> Conversation:
        """Returns the conversation of the agent that called a tool."""
        model = self.model or model_request.last_answer_model(model_request.state_messages(runtime.state))
        return self._open_conversation(runtime.state, *model_request.thread_and_namespace(runtime), model, None)

    def _open_conversation(
        self, state: Any, thread_id: str | None, namespace: str, model: str | None, budget: Any, fresh: bool = False
    ) -> Conversation:
        """Returns the conversation kept in an agent's state, or with `fresh` an empty one that shares its refs."""
        data = self._state(state)
        # A sub-agent that keeps its state has another namespace in each run, so the state names the scope.
        if data and (thread_id is None or namespace):
            scope = data["scopes"][0]
        elif thread_id is not None:
            scope = scope_id(self.tenant, json.dumps([thread_id, namespace]))
        else:  # texts cut in a run without a thread can be expanded by that run only
            scope = scope_id(self.tenant, f"run {uuid.uuid4().hex}")
        stored = None if fresh or not data else data
        return Conversation(self.compressor, model, budget, self.policy, scope_id=scope, state=stored)

    def _state(self, state: Any) -> dict[str, Any]:
        return self._stored_value(state, self._field)

    @staticmethod
    def _stored_value(state: Any, name: str) -> dict[str, Any]:
        """Returns a field of an agent's state that this middleware has written, or {}."""
        value: dict[str, Any] | None = state.get(name) if isinstance(state, Mapping) else None
        return value or {}

    def _budget(self, model: Any) -> int | float | str | None:
        """Returns the budget, in tokens if LangChain knows the model's window."""
        window = model_request.context_window(model)
        if window is None or isinstance(self.budget, str):
            return self.budget
        return resolve_context_limit(self.budget, replace(find_price(self.model), max_input_tokens=window))
