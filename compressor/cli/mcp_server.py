"""An MCP server on stdin and stdout: `compress`, `expand` and `stats` for desktop agents, by the official SDK.

Texts and contexts come as arguments, originals are kept in the store, and every ref is a resource
(`compressor://ref/123456789012`). Opens no port and reads no files of the user's. Needs the extra "mcp".
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
WHOLE = 4_000  # tokens that `expand` gives back without being asked for more: a whole log would fill the window again
INSTRUCTIONS = (
    "Use `compress` on long text (logs, JSON, code, documents) before it goes into the conversation. Where something "
    "was cut, a mark such as […cut ref 123456789012] stands; `expand` gives back what was there."
)
READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
#: It keeps originals in the user's own store, which nothing else is changed by.
KEEPS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)

Budget = Annotated[
    float,
    Field(
        gt=0, allow_inf_nan=False, description="Tokens of the result (2000), or a share of what it had before (0.25)."
    ),
]
Query = Annotated[str | None, Field(description="What matters: what is kept is chosen by it.")]
Model = Annotated[str | None, Field(description="Whose tokens to count, such as gpt-4o.")]


class CompressOutput(BaseModel):
    """What `compress` answers: `text`, or `messages` where messages came."""

    text: str | None = None
    messages: list[Any] | None = None
    tokens_before: int
    tokens_after: int
    refs: list[str] = Field(description="Of what was cut, for `expand`.")
    warnings: list[str]


class ExpandOutput(BaseModel):
    """What `expand` answers. `whole`: it is the exact original."""

    ref: str
    text: str
    whole: bool


class StatsOutput(BaseModel):
    """What `stats` answers: of this server since it started, and of its store."""

    calls: int
    tokens_before: int
    tokens_after: int
    expansions: int
    originals: int = Field(description="Kept in the store.")
    bytes: int = Field(description="Of the store, compressed.")
    limit: int = Field(description="Bytes the store may have.")
    store: str


class CompressorTools:
    """What the server does. Safe to share between requests."""

    def __init__(self, compressor: Compressor) -> None:
        self._compressor = compressor
        self._calls = self._before = self._after = self._expansions = 0

    async def compress(
        self,
        budget: Budget,
        text: Annotated[str | None, Field(description="The text to compress.")] = None,
        messages: Annotated[
            list[dict[str, Any]] | None,
            Field(description="Instead of a text: a conversation in OpenAI's or Anthropic's form."),
        ] = None,
        query: Query = None,
        model: Model = None,
    ) -> Annotated[CallToolResult, CompressOutput]:
        """Compress a text or a conversation to a budget of tokens. What is cut can be had back by its ref."""
        if (text is None) == (messages is None):
            raise ToolError("give either `text` or `messages`")
        limit = budget if budget < 1 else int(budget)
        model = sanitize_model_name(model, {})  # no path: a text could ask for one
        result: TextResult | Result
        if text is not None:
            result = await self._do(lambda: self._compressor.compress_text(text, limit, query, model))
        else:
            result = await self._do(lambda: self._compressor.compress(messages or [], limit, model, query))
        self._calls += 1
        self._before += result.tokens_before
        self._after += result.tokens_after
        answer = CompressOutput(
            text=result.text if isinstance(result, TextResult) else None,
            messages=None if isinstance(result, TextResult) else result.messages,
            tokens_before=result.tokens_before,
            tokens_after=result.tokens_after,
            refs=list(dict.fromkeys(dropped.ref for dropped in result.dropped)),
            warnings=list(result.warnings),
        )
        return _answer(answer, answer.text)

    async def expand(
        self,
        ref: Annotated[str, Field(description=f"The {REF_DIGITS} digits of a mark, or the whole mark.")],
        query: Query = None,
        budget: Annotated[
            int | None, Field(ge=1, description=f"The most tokens to give back; {WHOLE} if you do not say.")
        ] = None,
    ) -> Annotated[CallToolResult, ExpandOutput]:
        """Give back what was cut: the exact original, or the part of it that fits the budget and matters most."""
        name = next(iter(find_refs(ref)), ref.strip())
        most = WHOLE if budget is None else budget

        def run() -> ExpandOutput:
            text = self._compressor.expand(name)
            if get_counter(None).count(text) <= most:
                return ExpandOutput(ref=name, text=text, whole=True)
            return ExpandOutput(ref=name, text=self._compressor.compress_text(text, most, query).text, whole=False)

        answer = await self._do(run)
        self._expansions += 1
        return _answer(answer, answer.text)

    async def stats(self) -> StatsOutput:
        """What was saved since this server started, and what its store holds."""
        found = await self._do(lambda: self._compressor.store.stats())
        return StatsOutput(
            calls=self._calls,
            tokens_before=self._before,
            tokens_after=self._after,
            expansions=self._expansions,
            originals=found.entries,
            bytes=found.size,
            limit=found.limit,
            store=found.location,
        )

    async def original(self, ref: str) -> str:
        """The exact text that a ref stands for."""
        try:
            return await run_in_thread(self._compressor.expand, ref)
        except RefError as error:
            raise ResourceNotFoundError(str(error)) from None
        except CompressorError as error:
            raise ResourceError(str(error)) from None

    async def _do(self, work: Callable[[], T]) -> T:
        """The work, in a thread; an error that the model can read and act on."""
        try:
            return await run_in_thread(work)
        except BudgetTooSmallError as error:
            raise ToolError(f"{error}; give a budget of {error.needed} or more") from None
        except UnknownRefError as error:
            raise ToolError(f"{error}; take the {REF_DIGITS} digits from a mark such as […cut ref …]") from None
        except ExpiredRefError as error:
            raise ToolError(f"{error}; get the text again from where it came") from None
        except CompressorError as error:
            raise ToolError(str(error)) from None
        except RecursionError:
            raise ToolError("the messages are nested too deeply") from None


def make_server(compressor: Compressor) -> MCPServer[Any]:
    """A server for the SDK, over any of its transports."""
    tools = CompressorTools(compressor)
    server: MCPServer[Any] = MCPServer(
        "agentic-compressor", version=__version__, instructions=INSTRUCTIONS, log_level="WARNING"
    )
    server.tool(title="Compress", annotations=KEEPS)(tools.compress)
    server.tool(title="Expand", annotations=READS)(tools.expand)
    server.tool(title="Statistics", annotations=READS)(tools.stats)
    server.resource(
        "compressor://ref/{ref}", name="original", description="The exact text behind a ref.", mime_type="text/plain"
    )(tools.original)
    return server


def run(compressor: Compressor) -> None:
    """Serves on stdin and stdout until stdin ends. Whatever is logged goes to stderr."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)
    try:
        make_server(compressor).run("stdio")
    finally:
        compressor.close()


def _answer(answer: BaseModel, text: str | None) -> CallToolResult:
    """As plain text for the model, and as fields for programs."""
    said = answer.model_dump(exclude_none=True)
    return CallToolResult(
        content=[TextContent(type="text", text=answer.model_dump_json(exclude_none=True) if text is None else text)],
        structured_content=said,
    )
