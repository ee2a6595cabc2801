"""Models of the OpenAI Agents SDK that list the tools which a `CompressorFilter` has selected.

The SDK has no hook that changes the tools of one call: `is_enabled` also decides what may run. So the model is wrapped.
The agent keeps all tools, and one that a request does not list runs as usual when the model calls it.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agents.models.multi_provider import MultiProvider

from agents import FunctionTool, Model, ModelProvider
from compressor.pipeline.tools import search_tool

if TYPE_CHECKING:
    from compressor_agents.openai_agents import CompressorFilter

TOOLS_POSITION = 3  # of the tools among the arguments of a model's methods


@dataclass(frozen=True)
class RequestTools:
    """The function tools that one request lists.

    Attributes:
        schemas: The schema of each listed tool by its name, in order. The schema of an unchanged tool is None.
        names: The names of all tools that were selected from. Other tools are listed as they are, before these.
    """

    schemas: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
    names: Collection[str] = ()

    def apply(self, tools: Sequence[Any]) -> list[Any]:
        """Returns the tools of a request that are listed; shortened ones are copies."""
        own = {tool.name: tool for tool in tools if isinstance(tool, FunctionTool) and tool.name in self.names}
        others = [tool for tool in tools if not (isinstance(tool, FunctionTool) and tool.name in own)]
        if search_tool.NAME not in self.schemas:
            others = [tool for tool in others if tool.name != search_tool.NAME]
        made = []
        for name, schema in self.schemas.items():
            tool = own.get(name)
            if tool is not None and schema is not None:
                tool = copy.copy(tool)
                tool.description, tool.params_json_schema = schema.get("description", ""), dict(schema["parameters"])
            made += [tool] if tool is not None else []
        return [*others, *made]


class ToolListingModel(Model):
    """A model that lists the tools which a filter has selected.

    Args:
        filter: The filter of the runs. It must have a `tools_budget`.
        model: The model that is called.
    """

    def __init__(self, filter: CompressorFilter, model: Model) -> None:
        self._filter, self._model = filter, model

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("_model", "_filter"):
            raise AttributeError(name)
        return getattr(self._model, name)  # such as the name of the model

    async def get_response(self, *args: Any, **options: Any) -> Any:
        """Calls the model with the selected tools."""
        args, options = self._with_tools(args, options)
        return await self._model.get_response(*args, **options)

    def stream_response(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        """Calls the model with the selected tools, and streams its answer."""
        args, options = self._with_tools(args, options)
        return self._model.stream_response(*args, **options)

    async def close(self) -> None:
        """Closes the model."""
        await self._model.close()

    def get_retry_advice(self, request: Any) -> Any:
        """Returns what the model says about retries."""
        return self._model.get_retry_advice(request)

    async def _cleanup_on_run_end(self, owner: object) -> None:
        await self._model._cleanup_on_run_end(owner)

    def _with_tools(self, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Returns the arguments of a call with the selected tools; the SDK gives them by position or by name."""
        if len(args) > TOOLS_POSITION:
            listed = self._filter.listed_tools(args[TOOLS_POSITION])
            return (*args[:TOOLS_POSITION], listed, *args[TOOLS_POSITION + 1 :]), options
        return args, {**options, "tools": self._filter.listed_tools(options["tools"])}


class ToolListingProvider(ModelProvider):
    """Makes a `ToolListingModel` of each model; for `RunConfig(model_provider=...)`.

    Args:
        filter: The filter of the runs. It must have a `tools_budget`.
        provider: Finds models by their names; None takes the SDK's own.

    Example:
        >>> compress = CompressorFilter(tools_budget=4_000)
        >>> agent = Agent(name="clerk", model="gpt-4o", tools=[*my_tools, *context_tools(compress)])
        >>> provider = ToolListingProvider(compress)
        >>> run_config = RunConfig(call_model_input_filter=compress, model_provider=provider)
        >>> await Runner.run(agent, task, run_config=run_config)
    """

    def __init__(self, filter: CompressorFilter, provider: ModelProvider | None = None) -> None:
        self._filter, self._provider = filter, provider or MultiProvider()

    def get_model(self, model_name: str | None) -> Model:
        """Returns a model by its name."""
        return ToolListingModel(self._filter, self._provider.get_model(model_name))

    async def aclose(self) -> None:
        """Closes the provider's connections."""
        await self._provider.aclose()
