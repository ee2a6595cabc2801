"""Passes the resources and prompts of wrapped servers through, and offers originals as resources of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import anyio
from mcp import MCPError
from mcp.client.session import ClientSession
from mcp.server import ServerRequestContext
from mcp_types import (
    INVALID_PARAMS,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    PaginatedResult,
    Prompt,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)

from compressor.compressor import Compressor
from compressor.errors import CompressorError
from compressor.mcp_proxy.exposed_tools import SEPARATOR
from compressor.mcp_proxy.server_errors import WrappedServerError
from compressor.mcp_proxy.tool_pages import MAX_PAGES
from compressor.mcp_proxy.wrapped_server import WrappedServer
from compressor.scoring.runtime.executor import run_in_thread

PageT = TypeVar("PageT", bound=PaginatedResult)
ORIGINAL_URI = "compressor://ref/"


class PassedThrough:
    """Lists the resources and prompts of all servers, and reads each from the server that has it.

    Args:
        compressor: Its store has the originals behind `compressor://ref/…`.
        servers: The wrapped servers, by name.
        always_prefix: Whether each prompt's name begins with its server's.
    """

    def __init__(
        self, compressor: Compressor, servers: Mapping[str, WrappedServer], always_prefix: bool = False
    ) -> None:
        self._compressor = compressor
        self._servers = servers
        self._always_prefix = always_prefix
        self._resource_owners: dict[str, str] = {}
        self._prompts: dict[str, tuple[str, str]] = {}  # by exposed name: the server and its own name

    def handlers(self) -> dict[str, Any]:
        """Returns the handlers for the SDK's server."""
        return {
            "on_list_resources": self._list_resources,
            "on_list_resource_templates": self._list_templates,
            "on_read_resource": self._read_resource,
            "on_list_prompts": self._list_prompts,
            "on_get_prompt": self._get_prompt,
        }

    async def _list_resources(
        self, _: ServerRequestContext[Any], __: PaginatedRequestParams | None
    ) -> ListResourcesResult:
        pages = await self._gather("resources", lambda session, params: session.list_resources(params=params))
        found: dict[str, Resource] = {}
        for server, results in pages.items():
            for resource in (resource for page in results for resource in page.resources):
                if str(resource.uri) not in found:
                    found[str(resource.uri)] = resource
                    self._resource_owners[str(resource.uri)] = server
        return ListResourcesResult(resources=list(found.values()))

    async def _list_templates(
        self, _: ServerRequestContext[Any], __: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        pages = await self._gather("resources", lambda session, params: session.list_resource_templates(params=params))
        own = ResourceTemplate(
            name="original",
            uri_template=f"{ORIGINAL_URI}{{ref}}",
            description="The exact text that a ref stands for.",
            mime_type="text/plain",
        )
        found = [t for results in pages.values() for page in results for t in page.resource_templates]
        return ListResourceTemplatesResult(resource_templates=[*found, own])

    async def _read_resource(
        self, _: ServerRequestContext[Any], params: ReadResourceRequestParams
    ) -> ReadResourceResult:
        uri = params.uri
        if uri.startswith(ORIGINAL_URI):
            try:
                text = await run_in_thread(self._compressor.expand, uri[len(ORIGINAL_URI) :])
            except CompressorError as error:
                raise MCPError(INVALID_PARAMS, str(error)) from None
            return ReadResourceResult(contents=[TextResourceContents(uri=uri, mime_type="text/plain", text=text)])
        owner = self._resource_owners.get(uri)
        # A resource of a template is in no list, so the servers are asked one after the other.
        names = [owner] if owner else [name for name in self._servers if self._has(name, "resources")]
        failure = MCPError(INVALID_PARAMS, f"no server has the resource {uri[:200]}")
        for name in names:
            found = await self._try_to_read(name, uri)
            if isinstance(found, ReadResourceResult):
                return found
            failure = found
        raise failure

    async def _try_to_read(self, server: str, uri: str) -> ReadResourceResult | MCPError:
        try:
            return await self._servers[server].request(lambda session: session.read_resource(uri))
        except MCPError as error:
            return error
        except WrappedServerError as error:
            return MCPError(INVALID_PARAMS, str(error))

    async def _list_prompts(self, _: ServerRequestContext[Any], __: PaginatedRequestParams | None) -> ListPromptsResult:
        pages = await self._gather("prompts", lambda session, params: session.list_prompts(params=params))
        found = [(server, prompt) for server, results in pages.items() for page in results for prompt in page.prompts]
        names = [prompt.name for _, prompt in found]
        out: dict[str, Prompt] = {}
        for server, prompt in found:
            is_own = names.count(prompt.name) == 1 and not self._always_prefix
            name = prompt.name if is_own else f"{server}{SEPARATOR}{prompt.name}"
            self._prompts[name] = (server, prompt.name)
            out[name] = prompt.model_copy(update={"name": name})
        return ListPromptsResult(prompts=list(out.values()))

    async def _get_prompt(self, context: ServerRequestContext[Any], params: GetPromptRequestParams) -> GetPromptResult:
        if params.name not in self._prompts:
            await self._list_prompts(context, None)
        if params.name not in self._prompts:
            raise MCPError(INVALID_PARAMS, f"no server has the prompt {params.name[:80]!r}")
        server, name = self._prompts[params.name]
        try:
            return await self._servers[server].request(lambda session: session.get_prompt(name, params.arguments))
        except WrappedServerError as error:
            raise MCPError(INVALID_PARAMS, str(error)) from None

    def _has(self, server: str, kind: str) -> bool:
        capabilities = self._servers[server].capabilities
        return capabilities is not None and getattr(capabilities, kind) is not None

    async def _gather(
        self, kind: str, ask: Callable[[ClientSession, PaginatedRequestParams | None], Awaitable[PageT]]
    ) -> dict[str, list[PageT]]:
        """Returns all pages of all servers that have something of this kind; a server that fails has none."""
        out: dict[str, list[PageT]] = {name: [] for name in self._servers if self._has(name, kind)}

        async def fetch(name: str) -> None:
            params: PaginatedRequestParams | None = None
            for _ in range(MAX_PAGES):
                try:
                    page = await self._servers[name].request(lambda session, params=params: ask(session, params))  # type: ignore[misc]
                except (MCPError, WrappedServerError):
                    return
                out[name].append(page)
                if not page.next_cursor or (params is not None and params.cursor == page.next_cursor):
                    return
                params = PaginatedRequestParams(cursor=page.next_cursor)

        async with anyio.create_task_group() as tasks:
            for name in out:
                tasks.start_soon(fetch, name)
        return out
