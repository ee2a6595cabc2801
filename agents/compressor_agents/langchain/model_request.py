"""Reads from LangChain's objects what a conversation needs: model name, window, tool schemas, task and thread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain.agents.middleware.types import ModelRequest
from langchain.agents.structured_output import AutoStrategy, OutputToolBinding, ProviderStrategy, ToolStrategy
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langgraph.config import get_config

from compressor.providers import is_context_overflow


def model_name(model: Any) -> str | None:
    """Returns the model's name, whichever attribute its integration keeps it in."""
    for attribute in ("model_name", "model", "model_id", "deployment_name"):
        name = getattr(model, attribute, None)
        if isinstance(name, str) and name:
            return name
    return None


def context_window(model: Any) -> int | None:
    """Returns the input tokens that the model accepts, if its LangChain profile tells."""
    profile = getattr(model, "profile", None)
    size = profile.get("max_input_tokens") if isinstance(profile, Mapping) else None
    return size if isinstance(size, int) and size > 0 else None


def tool_schemas(request: ModelRequest[Any]) -> list[Any]:
    """Returns all schemas that are sent with a request: its tools, and what a structured output adds."""
    tools: list[Any] = list(request.tools)
    response_format = request.response_format
    if response_format is None:
        return tools
    if isinstance(response_format, ProviderStrategy):
        return [*tools, response_format.to_model_kwargs()]
    if not isinstance(response_format, (ToolStrategy, AutoStrategy)):
        response_format = AutoStrategy(schema=response_format)
    if isinstance(response_format, AutoStrategy):  # LangChain decides later how to send it; a tool is the longest form
        response_format = ToolStrategy(schema=response_format.schema)
    return [*tools, *(OutputToolBinding.from_schema_spec(spec).tool for spec in response_format.schema_specs)]


def state_messages(state: Any) -> Sequence[AnyMessage]:
    """Returns the messages of an agent's state, which may be a mapping or the list of messages itself."""
    messages = state.get("messages") if isinstance(state, Mapping) else state
    return messages if isinstance(messages, Sequence) else ()


def find_task(messages: Sequence[AnyMessage]) -> list[AnyMessage]:
    """Returns the first and the last user message, which describe what the agent works on."""
    users = [message for message in messages if isinstance(message, HumanMessage)]
    return [*users[:1], *users[1:][-1:]]


def last_answer_model(messages: Sequence[AnyMessage]) -> str | None:
    """Returns the name of the model that wrote the last answer, if the answer tells."""
    answer = next((message for message in reversed(messages) if isinstance(message, AIMessage)), None)
    name = answer.response_metadata.get("model_name") if answer is not None else None
    return name if isinstance(name, str) else None


def is_overflow(error: Exception) -> bool:
    """Returns whether a model refused a request because its prompt is too long."""
    status = getattr(error, "status_code", None)
    return isinstance(error, ContextOverflowError) or is_context_overflow(status, str(error))


def thread_and_namespace(runtime: Any) -> tuple[str | None, str]:
    """Returns which conversation a step belongs to.

    Returns:
        The thread's id (None without a checkpointer), and the namespace of the agent in that thread: "" for the
        outermost agent; a sub-agent has another namespace in each run.
    """
    info = getattr(runtime, "execution_info", None)
    if info is not None:
        return info.thread_id, _agent_namespace(info.checkpoint_ns)
    try:
        config = get_config().get("configurable", {})
    except RuntimeError:  # outside a graph
        return None, ""
    return config.get("thread_id"), _agent_namespace(config.get("checkpoint_ns"))


def _agent_namespace(namespace: str | None) -> str:
    """Returns a node's namespace without the node itself: "tools:1|model:2" -> "tools:1"."""
    return (namespace or "").rpartition("|")[0]
