"""`compressor examples`: chooses in-context examples from a JSONL file. Reads the file; leaves the choice to others."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from compressor.errors import ContextError


def examples(
    bank: Annotated[str, typer.Argument(help="JSONL, an example on each line; - for stdin.")],
    budget: Annotated[str, typer.Option("--budget", "-b", help="Tokens (400), or a share of all of them (25%).")],
    query: Annotated[
        str | None, typer.Option("--query", "-q", help="What the prompt asks. [default: what is typical]")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Whose tokens to count. [default: gpt-4o]")] = None,
    template: Annotated[
        str | None, typer.Option(help=r'How an example is written: "{question}\n=> {answer}" (\n is a line break).')
    ] = None,
    method: Annotated[str, typer.Option(help="auto, classes, dpp, mmr or top.")] = "auto",
    order: Annotated[
        str, typer.Option(help="most_relevant_last, most_relevant_first or given.")
    ] = "most_relevant_last",
    prune: Annotated[bool, typer.Option(help="Shorten reasoning where that makes room for more examples.")] = True,
    scorer: Annotated[str, typer.Option(help="fast, or embedding with a model: embedding:ORG/NAME.")] = "fast",
    device: Annotated[str | None, typer.Option(help="Where a model runs: cuda, mps, cpu.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the examples and the account as JSON.")] = False,
    output: Annotated[str, typer.Option("--output", "-o", help="Where to write the result; - for stdout.")] = "-",
    store: Annotated[
        str | None, typer.Option(help="Where the originals of --json's refs are kept. [default: a file in the cache]")
    ] = None,
) -> None:
    """Choose from BANK the examples that teach most for a query, within a token budget."""
    from compressor import Compressor
    from compressor.cli import input_files
    from compressor.cli.main import _budget, _read, _write

    limit = _budget(budget)
    name = "stdin" if bank == "-" else bank
    given, lines = read_jsonl(_read(bank), name)
    compressor = Compressor(scorer, store, device)
    options: dict[str, Any] = {"method": method, "order": order, "prune": prune}
    written = template.replace("\\n", "\n").replace("\\t", "\t") if template else None
    try:
        made = compressor.select_examples(given, query, limit, model, written, **options)
    except ContextError as error:
        if error.index is None:
            raise
        raise ContextError(f"{name}, line {lines[error.index]}: {error.text}") from None
    if as_json:
        names = ("tokens_before", "tokens_after", "budget", "tokenizer", "is_estimate", "warnings", "examples", "text")
        kept = set(made.indices)
        whole = {key: getattr(made, key) for key in names} | {
            "lines": [lines[i] for i in made.indices],
            "shortened": [asdict(gone) for gone in made.dropped if gone.block in kept],
        }
        _write(output, input_files.encode(json.dumps(whole, ensure_ascii=False, indent=2) + "\n"))
        compressor.close()
    else:
        _write(output, input_files.encode(made.text + "\n" if made.text else ""))
        for warning in made.warnings:
            typer.echo(f"warning: {warning}", err=True)


def read_jsonl(data: bytes, name: str) -> tuple[list[Any], list[int]]:
    """The values of a JSONL file's lines and the lines' numbers; blank lines are passed over. ContextError names the
    first line that is no JSON."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise ContextError(f"{name}, line {line}: not UTF-8; save the file as UTF-8") from None
    values: list[Any] = []
    numbers: list[int] = []
    for number, row in enumerate(text.split("\n"), 1):
        if not row.strip():
            continue
        try:
            values.append(json.loads(row))
        except json.JSONDecodeError as error:
            if number == 1 and row.strip() in ("[", "{"):
                raise ContextError(f"{name} is one JSON value over several lines: give one example a line") from None
            raise ContextError(
                f"{name}, line {number}, column {error.colno}: not JSON ({error.msg}); each line holds one example, "
                'such as {"input": "…", "output": "…"}'
            ) from None
        numbers.append(number)
    return values, numbers
