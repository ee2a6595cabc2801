"""`compressor compress`: compresses one file and writes it in the same shape."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from compressor.cli.input_files import InputFile, RequestContext, encode, parse, read_input
from compressor.cli.options import DeviceOption, ModelOption, OutputOption, StoreOption, parse_budget
from compressor.cli.output import print_message, warn_about_unknown_model, write_output
from compressor.errors import BudgetTooSmallError, ContextError

if TYPE_CHECKING:
    from compressor import Compressor
    from compressor.compressor import Mode
    from compressor.context.results import Result, TextResult


class CompressMode(str, Enum):
    """The values of `--mode`."""

    call = "call"
    ingest = "ingest"
    compact = "compact"


def compress(
    file: Annotated[str, typer.Argument(help="JSON, JSONL or any other text; - for stdin.")],
    budget: Annotated[str, typer.Option("--budget", "-b", help="Tokens (4000), or a fraction of them (25% or 0.25).")],
    model: ModelOption = None,
    query: Annotated[
        str | None, typer.Option("--query", "-q", help="What matters. (default: read from the messages)")
    ] = None,
    mode: Annotated[
        CompressMode,
        typer.Option(help="call: everything, for one call; ingest: only the newest tool results; compact: history."),
    ] = CompressMode.call,
    scorer: Annotated[
        str, typer.Option(help="fast, embedding, pruner, perplexity or cascade; with a model: embedding:ORG/NAME.")
    ] = "fast",
    device: DeviceOption = None,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="Make images cheaper; or let each stay or go as it is.")
    ] = True,
    store: StoreOption = None,
    output: OutputOption = "-",
    report: Annotated[
        str | None, typer.Option(help="Write an HTML page to this file that shows what was dropped, and why.")
    ] = None,
    stats: Annotated[
        str | None, typer.Option(help="Write token counts, dropped spans and warnings to this file, as JSON.")
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="Treat the file as plain text, even if it is JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print nothing but errors to stderr.")] = False,
) -> None:
    """Compress FILE and write it in the same shape.

    FILE is a list of messages or a request body ("messages" or "input", with "tools", "system", "model") in JSON; JSONL
    with a message, or a list or body, on each line; or any other text. JSON without messages (an API response, a log,
    a notebook) is compressed as text.
    """
    limit = parse_budget(budget)
    name = "stdin" if file == "-" else file
    document = parse(read_input(file), name, text)
    if report and document.kind == "batch":
        raise ContextError("--report shows one context, but this file holds one on each line: compress one at a time")
    if document.is_fallback and not quiet:
        print_message("note", f"{name} is {document.description}: it is compressed as plain text")

    from compressor import Compressor

    work = _Work(Compressor(scorer, store, device, images=images), limit, model, query, mode.value)
    results: list[Result] | list[TextResult]
    if document.kind == "text":
        results = [single := work.compress_text(document.text, "" if file == "-" else os.path.basename(file))]
        data = encode(single.text)
    else:
        results = work.compress_contexts(document)
        data = document.dumps([result.messages for result in results])
    work.compressor.close()  # before anything is written: a result is useless if its originals could not be stored
    write_output(output, data)
    if report:
        from compressor.cli.html_report import render_html

        write_output(report, render_html(results[0], f"{os.path.basename(file)} at {budget}").encode())
    if stats:
        summaries = [_to_dict(result) for result in results]
        write_output(
            stats, json.dumps(summaries if document.kind == "batch" else summaries[0], indent=2).encode() + b"\n"
        )
    if not quiet:
        from compressor.cli.console import print_summary

        if output == "-" and not data.endswith(b"\n") and sys.stdout.isatty() and sys.stderr.isatty():
            typer.echo(err=True)  # otherwise the summary would continue the last line of the result
        names = [model] if document.kind == "text" else [model or context.model for context in document.contexts]
        for used, tokenizer in dict.fromkeys(zip(names, (r.tokenizer for r in results), strict=True)):
            warn_about_unknown_model(used, tokenizer)
        print_summary(results)


class _Work:
    """The calls of one command, with a progress bar if they take more than a second."""

    def __init__(
        self, compressor: Compressor, budget: int | float, model: str | None, query: str | None, mode: Mode
    ) -> None:
        self.compressor, self.budget, self.model, self.query, self.mode = compressor, budget, model, query, mode

    def compress_text(self, text: str, file: str) -> TextResult:
        from compressor.cli.console import progress

        with progress(None):
            return self.compressor.compress_text(text, self.budget, self.query, self.model, hint=file or None)

    def compress_contexts(self, document: InputFile) -> list[Result]:
        from compressor.cli.console import progress

        is_batch = document.kind == "batch"
        results = []
        with progress(len(document.contexts) if is_batch else None) as advance:
            for number, context in enumerate(document.contexts, 1):
                try:
                    results.append(self._compress(context))
                except (ContextError, BudgetTooSmallError) as error:
                    if is_batch:
                        error.args = (f"line {number}: {error}",)
                    raise
                advance()
        return results

    def _compress(self, context: RequestContext) -> Result:
        return self.compressor.compress(
            context.messages,
            budget=self.budget,
            model=self.model or context.model,
            query=self.query,
            tools=context.tools,
            mode=self.mode,
            system=context.system,
        )


def _to_dict(result: Result | TextResult) -> dict[str, Any]:
    """What `--stats` writes of a result."""
    return {
        "tokens_before": result.tokens_before,
        "tokens_after": result.tokens_after,
        "ratio": round(result.ratio, 4),
        "budget": result.budget,
        "tokenizer": result.tokenizer,
        "is_estimate": result.is_estimate,
        "warnings": result.warnings,
        "dropped": [asdict(d) for d in result.dropped],
    }
