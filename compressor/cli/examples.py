"""`compressor examples`: selects in-context examples from a JSONL, JSON or CSV file."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from compressor.cli.example_files import read_examples
from compressor.cli.input_files import encode, read_input
from compressor.cli.options import ModelOption, OutputOption, parse_budget
from compressor.cli.output import print_message, warn_about_unknown_model, write_output
from compressor.errors import ContextError


def examples(
    file: Annotated[str, typer.Argument(help="JSONL, a JSON array, or CSV with a header row; - for stdin.")],
    budget: Annotated[str, typer.Option("--budget", "-b", help="Tokens (400), or a fraction of all of them (25%).")],
    query: Annotated[
        str | None, typer.Option("--query", "-q", help="The question that the prompt asks. (default: typical examples)")
    ] = None,
    model: ModelOption = None,
    template: Annotated[
        str | None, typer.Option(help=r'How to write an example: "{question}\n=> {answer}" (\n is a line break).')
    ] = None,
    method: Annotated[str, typer.Option(help="auto, classes, dpp, mmr or top.")] = "auto",
    order: Annotated[
        str, typer.Option(help="most_relevant_last, most_relevant_first or given.")
    ] = "most_relevant_last",
    cached_budget: Annotated[
        str | None,
        typer.Option(help="Part of the budget for typical examples, the same for all queries, to be cached: 4000."),
    ] = None,
    prune: Annotated[bool, typer.Option(help="Shorten reasoning if more examples fit then.")] = True,
    scorer: Annotated[str, typer.Option(help="fast, or embedding with a model: embedding:ORG/NAME.")] = "fast",
    device: Annotated[str | None, typer.Option(help="The device of a model scorer: cuda, mps or cpu.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the examples and token counts as JSON.")] = False,
    output: OutputOption = "-",
    store: Annotated[
        str | None,
        typer.Option(
            help="Where the originals of the refs in --json are stored. (default: a file in the user's cache folder)"
        ),
    ] = None,
) -> None:
    """Select from FILE the examples that teach most for a query, within a token budget."""
    from compressor import Compressor

    limit = parse_budget(budget)
    bank = read_examples(read_input(file), "stdin" if file == "-" else file)
    compressor = Compressor(scorer, store, device)
    options: dict[str, Any] = {"method": method, "order": order, "prune": prune}
    if cached_budget is not None:
        options["cached_budget"] = parse_budget(cached_budget)
    written = template.replace("\\n", "\n").replace("\\t", "\t") if template else None
    try:
        made = compressor.select_examples(bank.examples, query, limit, model, written, **options)
    except ContextError as error:
        if error.index is None:
            raise
        raise ContextError(f"{bank.place(error.index)}: {error.text}") from None
    if as_json:
        names = ["tokens_before", "tokens_after", "budget", "tokenizer", "is_estimate", "warnings", "examples", "text"]
        names += ["cached_count", "cached_text", "cached_tokens"] if cached_budget is not None else []
        selected = set(made.indices)
        fields = {key: getattr(made, key) for key in names} | {
            "lines": [bank.numbers[i] for i in made.indices],
            "shortened": [asdict(dropped) for dropped in made.dropped if dropped.block in selected],
        }
        write_output(output, encode(json.dumps(fields, ensure_ascii=False, indent=2) + "\n"))
        compressor.close()
    else:
        write_output(output, encode(made.text + "\n" if made.text else ""))
        warn_about_unknown_model(model, made.tokenizer)
        for warning in made.warnings:
            print_message("warning", warning)
