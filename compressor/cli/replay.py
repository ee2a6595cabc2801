"""`compressor replay`: what a recorded conversation cost, and what it would have cost through a session."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from compressor.cli.input_files import parse, read_input
from compressor.cli.options import parse_budget
from compressor.errors import ContextError


def replay(
    file: Annotated[
        str,
        typer.Argument(
            help="A recorded conversation: a list of messages or a request body, JSON or JSONL; - for stdin."
        ),
    ],
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget", "-b", help="Tokens, a fraction of the context window (50%) or dollars a call ($0.02)."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="The model whose tokens and prices count. (default: the request's, else gpt-4o)"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a conversation.")] = False,
) -> None:
    """Compare the cost of a recorded conversation with its cost through a session.

    FILE must hold the messages of an agent's run: a JSON list of messages, a request body with "messages" or "input",
    or JSONL of either.
    """
    from compressor import Compressor
    from compressor.sessions import replay as replay_session

    name = "stdin" if file == "-" else file
    document = parse(read_input(file), name)
    if not document.contexts:
        raise ContextError(
            f"replay needs a recorded conversation, but {name} is {document.description}: give a JSON list of "
            'messages, a request body with "messages" or "input", or JSONL of either'
        )
    limit = budget if budget is None or budget.strip().startswith("$") else parse_budget(budget)
    for context in document.contexts:
        made = replay_session(
            Compressor(store="memory"),
            context.messages,
            model or context.model,
            limit,
            None,
            context.tools,
            context.system,
        )
        fields = {**asdict(made), "saved_fraction": made.saved_fraction}
        typer.echo(json.dumps(fields, ensure_ascii=False) if as_json else made.report())
