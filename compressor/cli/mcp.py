"""`compressor mcp`: an MCP server of its own, or one in front of other MCP servers."""

from __future__ import annotations

from typing import Annotated

import typer

from compressor.cli.options import DeviceOption, ModelOption, StoreOption, parse_budget
from compressor.errors import BudgetTooSmallError, MissingDependencyError

_WRAP_ONLY = "Only with --wrap. "


def mcp(
    wrap: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SERVER",
            help="Wrap an MCP server: a command, or the URL of one that runs, with an optional NAME= before it. "
            "Can be given several times.",
        ),
    ] = None,
    wrap_config: Annotated[
        str | None,
        typer.Option(metavar="FILE", help='Wrap the servers of a file with "mcpServers", as desktop agents have it.'),
    ] = None,
    tools_budget: Annotated[
        str, typer.Option(help=f"{_WRAP_ONLY}Tokens of all listed tools (4000), or a fraction of them (25%).")
    ] = "4000",
    result_budget: Annotated[
        int | None,
        typer.Option(min=50, help=f"{_WRAP_ONLY}Tokens of a result; more is compressed. (default: never)"),
    ] = None,
    pin: Annotated[
        list[str] | None,
        typer.Option(metavar="TOOL", help=f'{_WRAP_ONLY}Always list this tool, whole. Patterns: "read_*", "github/*".'),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="TOOL", help=f"{_WRAP_ONLY}Offer only these tools. Patterns as in --pin."),
    ] = None,
    deny: Annotated[
        list[str] | None, typer.Option(metavar="TOOL", help=f"{_WRAP_ONLY}Never list or call these tools.")
    ] = None,
    task: Annotated[
        str, typer.Option(help=f"{_WRAP_ONLY}What the agent is to do: the first list of tools is chosen by it.")
    ] = "",
    prefix: Annotated[
        bool, typer.Option(help=f"{_WRAP_ONLY}Put the server's name before every tool's name, not only equal ones.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help=f"{_WRAP_ONLY}Seconds that a call may take.")] = 300.0,
    start_timeout: Annotated[
        float, typer.Option(min=0.1, help=f"{_WRAP_ONLY}Seconds that the start of a server may take.")
    ] = 60.0,
    model: ModelOption = None,
    scorer: Annotated[str, typer.Option(help="fast, embedding, pruner, perplexity or cascade.")] = "fast",
    device: DeviceOption = None,
    store: StoreOption = None,
) -> None:
    """Serve an agent over stdin and stdout (MCP): compress, expand and stats, or the tools of wrapped servers.

    With --wrap or --wrap-config this is one server in front of many: it lists only the tools that fit the budget, finds
    the others with find_tool, forwards calls, and compresses large results.
    """
    from compressor import Compressor

    if not wrap and not wrap_config:
        try:
            from compressor.cli.mcp_server import run
        except ImportError as error:
            raise _missing(error) from None
        run(Compressor(scorer, store, device))
        return

    from compressor.mcp_proxy.server_config import (
        WrapConfigError,
        load_config_file,
        parse_wrap_value,
        with_unique_names,
    )

    try:
        configs = [parse_wrap_value(value) for value in wrap or []]
        configs = with_unique_names([*configs, *(load_config_file(wrap_config) if wrap_config else [])])
    except WrapConfigError as error:
        raise typer.BadParameter(str(error)) from None
    budget = parse_budget(tools_budget)
    try:
        from compressor.mcp_proxy import stdio_runner
        from compressor.mcp_proxy.proxy_options import ProxyOptions
    except ImportError as error:
        raise _missing(error) from None
    options = ProxyOptions(
        tools_budget=budget,
        result_budget=result_budget,
        model=model,
        pinned=pin or (),
        allow=allow or (),
        deny=deny or (),
        task=task,
        always_prefix=prefix,
        call_timeout=timeout,
        start_timeout=start_timeout,
    )
    try:
        stdio_runner.run(Compressor(scorer, store, device), configs, options)
    except WrapConfigError as error:
        raise typer.BadParameter(str(error)) from None
    except BudgetTooSmallError as error:
        raise typer.BadParameter(f"{error}; give --tools-budget {error.needed} or more") from None


def _missing(error: ImportError) -> Exception:
    """Returns the error for a package that is not installed, or the error itself if it is our own."""
    if (error.name or "").partition(".")[0] == "compressor":
        return error
    return MissingDependencyError(error.name or "mcp", "mcp")
