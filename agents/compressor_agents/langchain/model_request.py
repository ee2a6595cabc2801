"""Reads from LangChain's objects what a conversation needs to know: model, window, tool schemas, task, thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain.agents.middleware.types import ModelRequest
from langchain.agents.structured_output import AutoStrategy, OutputToolBinding, ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.config import get_config


def model_name(model: Any) -> str | None:
    """The model's name, by whatever attribute its integration keeps it under."""
    for attribute in ("model_name", "model", "model_id", "deployment_name"):
        name = getattr(model, attribute, None)
        if isinstance(name, str) and name:
            return name
    return None


def context_window(model: Any) -> int | None:
    """Tokens of input that the model takes, if its LangChain profile says so."""
    profile = getattr(model, "profile", None)
    size = profile.get("max_input_tokens") if isinstance(profile, Mapping) else None
    return size if isinstance(size, int) and size > 0 else None


def tool_schemas(request: ModelRequest[Any]) -> list[Any]:
    """All schemas that go along with a request: its tools, and what a structured output adds to them."""
    tools: list[Any] = list(request.tools)
    form = request.response_format
    if form is None:
        return tools
    if isinstance(form, ProviderStrategy):
        return [*tools, form.to_model_kwargs()]
    if not isinstance(form, (ToolStrategy, AutoStrategy)):
        form = AutoStrategy(schema=form)
    if isinstance(form, AutoStrategy):  # LangChain decides later how to send it; as a tool it is the longest
        form = ToolStrategy(schema=form.schema)
    return [*tools, *(OutputToolBinding.from_schema_spec(spec).tool for spec in form.schema_specs)]


def state_messages(state: Any) -> Sequence[AnyMessage]:
    """The messages of a state, whatever shape a graph gives it."""
    found = state.get("messages") if isinstance(state, Mapping) else state
    return found if isinstance(found, Sequence) else ()


def find_task(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """The first and the last user message: what the agent is after."""
    users = [message for message in messages if isinstance(message, HumanMessage)]
    return [*users[:1], *users[1:][-1:]]


def answered_by(messages: Sequence[AnyMessage]) -> str | None:
    """The model that wrote the last answer, as far as the answer tells."""
    said = next((message for message in reversed(messages) if isinstance(message, AIMessage)), None)
    name = said.response_metadata.get("model_name") if said is not None else None
    return name if isinstance(name, str) else None


def thread_id(runtime: Any) -> tuple[str | None, str]:
    """Whose conversation a step belongs to: the thread's id (None: no checkpointer), and the place of its agent in
    there: "" for the outermost, else the namespace of the sub-agent, of which each run has its own."""
    info = getattr(runtime, "execution_info", None)
    if info is not None:
        return info.thread_id, _outer(info.checkpoint_ns)
    try:
        config = get_config().get("configurable", {})
    except RuntimeError:  # outside a graph
        return None, ""
    return config.get("thread_id"), _outer(config.get("checkpoint_ns"))


def _outer(namespace: str | None) -> str:
    """A node's namespace without the node itself: "tools:1|model:2" -> "tools:1"."""
    return (namespace or "").rpartition("|")[0]
