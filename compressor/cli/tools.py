"""`compressor tools`: selects the tools of a call from a JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from compressor.cli.input_files import encode, read_input
from compressor.cli.options import ModelOption, OutputOption, parse_budget
from compressor.cli.output import print_message, warn_about_unknown_model, write_output
from compressor.errors import ContextError


def tools(
    file: Annotated[
        str, typer.Argument(help="JSON: a list of tools, a request with tools, or an MCP tools/list; - for stdin.")
    ],
    budget: Annotated[str, typer.Option("--budget", "-b", help="Tokens (4000), or a fraction of all tools (25%).")],
    query: Annotated[
        str | None, typer.Option("--query", "-q", help="What the call is for. (default: the messages of a request)")
    ] = None,
    pinned: Annotated[
        list[str] | None, typer.Option("--pin", help="The name of a tool to keep unchanged; may be repeated.")
    ] = None,
    model: ModelOption = None,
    scorer: Annotated[str, typer.Option(help="fast, or embedding with a model: embedding:ORG/NAME.")] = "fast",
    device: Annotated[str | None, typer.Option(help="The device of a model scorer: cuda, mps or cpu.")] = None,
    report: Annotated[bool, typer.Option("--report", help="Print what was done with each tool instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the tools, token counts and reports as JSON.")] = False,
    output: OutputOption = "-",
    store: Annotated[
        str | None,
        typer.Option(help="Where the schemas of what is cut are stored. (default: a file in the user's cache folder)"),
    ] = None,
) -> None:
    """Select from FILE the tools that a call needs, within a token budget, and print what would be sent."""
    from compressor import Compressor

    limit = parse_budget(budget)
    given, request = read_tools(read_input(file), "stdin" if file == "-" else file)
    compressor = Compressor(scorer, store, device)
    name = model or (request.get("model") if isinstance(request.get("model"), str) else None)
    messages = None if query else request.get("messages") or request.get("input")
    messages = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
    made = compressor.select_tools(given, limit, query, messages, pinned or (), request.get("tool_choice"), name)
    compressor.close()
    if as_json:
        names = ("tokens_before", "tokens_after", "budget", "tokenizer", "is_estimate", "warnings", "tools")
        fields: dict[str, Any] = {key: getattr(made, key) for key in names}
        fields["reports"] = [asdict(one) for one in made.reports]
        write_output(output, encode(json.dumps(fields, ensure_ascii=False, indent=2) + "\n"))
        return
    text = made.report() if report else json.dumps(made.tools, ensure_ascii=False, indent=2)
    write_output(output, encode(text + "\n"))
    if not report:
        count = f"{len(made.tools)} of {len(given)} tools"
        print_message("note", f"{count}, {made.tokens_before:,} -> {made.tokens_after:,} tokens")
        for warning in made.warnings:
            print_message("warning", warning)
    warn_about_unknown_model(name, made.tokenizer)


def read_tools(data: bytes, name: str) -> tuple[list[Any], dict[str, Any]]:
    """Parses a file with tools.

    Args:
        data: The content of the file.
        name: The name of the file, for messages.

    Returns:
        The tools, and the request that holds them ({} for a plain list).

    Raises:
        ContextError: The file is not JSON, or has no list of tools.
    """
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ContextError(f"{name}: not UTF-8; save the file as UTF-8") from None
    except ValueError as error:
        raise ContextError(f"{name}: not JSON ({error})") from None
    request = value if isinstance(value, dict) else {}
    result = request.get("result")
    body = result if isinstance(result, dict) and "tools" in result else request  # a JSON-RPC response of tools/list
    found = body.get("tools") if isinstance(value, dict) else value
    if not isinstance(found, list):
        raise ContextError(f'{name} has no tools: give a list of tools, or an object with a list "tools"')
    return found, request
