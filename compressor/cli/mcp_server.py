"""An MCP server on stdin and stdout that offers `compress`, `expand` and `stats` to desktop agents.

Texts and conversations are passed as arguments, originals are kept in the store, and every ref is a resource
(`compressor://ref/123456789012`). The server opens no port and reads no files of the user. Needs the extra "mcp".
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, ToolError
from mcp_types import CallToolResult, TextContent, ToolAnnotations
from pydantic import BaseModel, Field

from compressor._version import __version__
from compressor.compressor import Compressor
from compressor.context.refs import REF_DIGITS, find_refs
from compressor.context.results import Result, TextResult
from compressor.errors import BudgetTooSmallError, CompressorError, ExpiredRefError, RefError, UnknownRefError
from compressor.scoring.runtime.executor import run_in_thread
from compressor.service.model_names import sanitize_model_name
from compressor.tokens import get_counter

T = TypeVar("T")
#: The default of `expand`'s budget in tokens. Without one, a whole log would fill the context window again.
DEFAULT_EXPAND_TOKENS = 4_000
INSTRUCTIONS = (
    "Use `compress` on long text (logs, JSON, code, documents) before you add it to the conversation. Removed text is "
    "replaced by a placeholder with a ref, e.g. […cut ref 123456789012]. Call `expand` with the ref when you need the "
    "removed text."
)
_READ_ONLY = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
#: Stores originals in the user's store, and changes nothing else.
_STORES_ORIGINALS = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)

Budget = Annotated[
    float,
    Field(
        gt=0,
        allow_inf_nan=False,
        description="Maximum tokens of the result (2000), or a fraction of the input's tokens (0.25).",
    ),
]
Query = Annotated[str | None, Field(description="What you want to know. The text that is relevant to it is kept.")]
Model = Annotated[str | None, Field(description="The model whose tokens are counted, e.g. gpt-4o.")]


class CompressOutput(BaseModel):
    """The result of `compress`: `text` if a text was given, `messages` if messages were given."""

    text: str | None = None
    messages: list[Any] | None = None
    tokens_before: int
    tokens_after: int
    refs: list[str] = Field(description="The refs of the removed text, for `expand`.")
    warnings: list[str]


class ExpandOutput(BaseModel):
    """The result of `expand`. `whole` is true if `text` is the exact original, not a part of it."""

    ref: str
    text: str
    whole: bool


class StatsOutput(BaseModel):
    """The result of `stats`: counters of this server since it started, and the size of its store."""

    calls: int
    tokens_before: int
    tokens_after: int
    expansions: int
    originals: int = Field(description="Number of originals in the store.")
    bytes: int = Field(description="Size of the store.")
    limit: int = Field(description="Maximum size of the store in bytes.")
    store: str


class CompressorTools:
    """The tools and resources of the server. Safe to share between requests.

    The docstrings and parameter descriptions of `compress`, `expand` and `stats` are what the model reads.

    Args:
        compressor: Does the work; its store keeps the originals.
    """

    def __init__(self, compressor: Compressor) -> None:
        self._compressor = compressor
        self._calls = self._before = self._after = self._expansions = 0

    async def compress(
        self,
        budget: Budget,
        text: Annotated[str | None, Field(description="The text to compress.")] = None,
        messages: Annotated[
            list[dict[str, Any]] | None,
            Field(description="Instead of a text: a conversation, as a list of OpenAI or Anthropic messages."),
        ] = None,
        query: Query = None,
        model: Model = None,
    ) -> Annotated[CallToolResult, CompressOutput]:
        """Compress a text or a conversation to a token budget. Use `expand` to get removed text back by its ref."""
        if (text is None) == (messages is None):
            raise ToolError("give either `text` or `messages`, not both")
        limit = budget if budget < 1 else int(budget)
        model = sanitize_model_name(model, {})  # never a path: an untrusted text could talk the model into passing one
        result: TextResult | Result
        if text is not None:
            result = await self._run(lambda: self._compressor.compress_text(text, limit, query, model))
        else:
            result = await self._run(lambda: self._compressor.compress(messages or [], limit, model, query))
        self._calls += 1
        self._before += result.tokens_before
        self._after += result.tokens_after
        output = CompressOutput(
            text=result.text if isinstance(result, TextResult) else None,
            messages=None if isinstance(result, TextResult) else result.messages,
            tokens_before=result.tokens_before,
            tokens_after=result.tokens_after,
            refs=list(dict.fromkeys(dropped.ref for dropped in result.dropped)),
            warnings=list(result.warnings),
        )
        return _to_tool_result(output, output.text)

    async def expand(
        self,
        ref: Annotated[str, Field(description=f"The {REF_DIGITS} digits of a ref, or the whole placeholder.")],
        query: Query = None,
        budget: Annotated[
            int | None, Field(ge=1, description=f"Maximum tokens to return. Default: {DEFAULT_EXPAND_TOKENS}.")
        ] = None,
    ) -> Annotated[CallToolResult, ExpandOutput]:
        """Return removed text: the exact original, or its most relevant part if the original exceeds the budget."""
        name = next(iter(find_refs(ref)), ref.strip())
        max_tokens = DEFAULT_EXPAND_TOKENS if budget is None else budget

        def run() -> ExpandOutput:
            text = self._compressor.expand(name)
            if get_counter(None).count(text) <= max_tokens:
                return ExpandOutput(ref=name, text=text, whole=True)
            return ExpandOutput(
                ref=name, text=self._compressor.compress_text(text, max_tokens, query).text, whole=False
            )

        output = await self._run(run)
        self._expansions += 1
        return _to_tool_result(output, output.text)

    async def stats(self) -> StatsOutput:
        """Return how many tokens this server has saved since it started, and the size of its store."""
        store = await self._run(lambda: self._compressor.store.stats())
        return StatsOutput(
            calls=self._calls,
            tokens_before=self._before,
            tokens_after=self._after,
            expansions=self._expansions,
            originals=store.entries,
            bytes=store.size,
            limit=store.limit,
            store=store.location,
        )

    async def original(self, ref: str) -> str:
        """Return the exact text that a ref stands for."""
        try:
            return await run_in_thread(self._compressor.expand, ref)
        except RefError as error:
            raise ResourceNotFoundError(str(error)) from None
        except CompressorError as error:
            raise ResourceError(str(error)) from None

    async def _run(self, work: Callable[[], T]) -> T:
        """Runs the work in a thread and turns exceptions into errors that the model can read and act on."""
        try:
            return await run_in_thread(work)
        except BudgetTooSmallError as error:
            raise ToolError(f"{error}; give a budget of {error.needed} or more") from None
        except UnknownRefError as error:
            raise ToolError(f"{error}; copy the {REF_DIGITS} digits from a placeholder such as […cut ref …]") from None
        except ExpiredRefError as error:
            raise ToolError(f"{error}; get the text from its source again") from None
        except CompressorError as error:
            raise ToolError(str(error)) from None
        except RecursionError:
            raise ToolError("the messages are nested too deeply") from None


def make_server(compressor: Compressor) -> MCPServer[Any]:
    """Makes the server, for any transport of the MCP SDK."""
    tools = CompressorTools(compressor)
    server: MCPServer[Any] = MCPServer(
        "agentic-compressor", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING"
    )
    server.tool(title="Compress", annotations=_STORES_ORIGINALS)(tools.compress)
    server.tool(title="Expand", annotations=_READ_ONLY)(tools.expand)
    server.tool(title="Statistics", annotations=_READ_ONLY)(tools.stats)
    server.resource(
        "compressor://ref/{ref}",
        name="original",
        description="The exact text that a ref stands for.",
        mime_type="text/plain",
    )(tools.original)
    return server


def run(compressor: Compressor) -> None:
    """Serves on stdin and stdout until stdin ends, and closes the compressor. Logs go to stderr."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)
    try:
        make_server(compressor).run("stdio")
    finally:
        compressor.close()


def _to_tool_result(output: BaseModel, text: str | None) -> CallToolResult:
    """Returns plain text for the model and the fields for programs. If there is no text, the model reads the JSON."""
    return CallToolResult(
        content=[TextContent(type="text", text=output.model_dump_json(exclude_none=True) if text is None else text)],
        structured_content=output.model_dump(exclude_none=True),
    )
