"""The command line: `compressor compress`, `expand`, `examples`, `replay`, `serve`, `healthcheck`, `mcp`, `doctor`.
Reads and writes files, and leaves the work to others.

Results go to stdout, everything meant for people to stderr. Exit codes: 0 done, 1 other failure, 2 bad usage or input,
3 the budget is too small, 4 unknown or expired ref, 5 the store failed, 130 interrupted, 141 the reader of stdout went.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import asdict
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from compressor.cli.examples import examples
from compressor.cli.serve import healthcheck, serve
from compressor.errors import (
    BudgetError,
    BudgetTooSmallError,
    CompressorError,
    ContextError,
    ExpiredRefError,
    RefError,
    StoreError,
)

if TYPE_CHECKING:
    from compressor import Compressor
    from compressor.cli.input_files import InputFile, RequestContext
    from compressor.compressor import Mode
    from compressor.context.results import Result, TextResult

_CODES: tuple[tuple[type[CompressorError], int], ...] = (
    (ContextError, 2),
    (BudgetError, 2),
    (BudgetTooSmallError, 3),
    (RefError, 4),
    (StoreError, 5),
    (CompressorError, 1),
)
#: Every usage error of typer's, wherever click's classes live in this version of it.
_UsageError: Any = typer.BadParameter.__mro__[2]


class _Commands(TyperGroup):
    """Turns what may go wrong into one line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BudgetTooSmallError as error:
            _fail(3, f"{error}; give --budget {error.needed} or more")
        except ExpiredRefError as error:
            _fail(4, f"{error}; compress the original again to get it back")
        except RefError as error:
            _fail(4, f"{error}; name the store it was compressed with by --store")
        except CompressorError as error:
            _fail(next(code for kind, code in _CODES if isinstance(error, kind)), str(error))
        except RecursionError:
            _fail(2, "the input is nested too deeply")
        except BrokenPipeError:
            # Python would complain again when it flushes stdout at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None
        except OSError as error:
            _fail(2, f"{error.filename or 'input or output'}: {error.strerror or error}")
        except KeyboardInterrupt:
            _fail(130, "interrupted")


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Compress what an agent is about to send to a hard token budget, and give every dropped byte back.",
)


class CompressMode(str, Enum):
    call = "call"
    ingest = "ingest"
    compact = "compact"


StoreOption = Annotated[
    str | None,
    typer.Option(
        help="Where originals are kept: memory, or a path ending in .db. [default: a file in the user's cache]"
    ),
]


def main() -> NoReturn:
    """The entry point: runs the command and exits."""
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        message = error.format_message()
        if message:  # without any argument the help has been printed, and that is all
            _say(f"{message.rstrip('.')} (compressor --help tells more)")
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _version(wanted: bool) -> None:
    if wanted:
        from compressor._version import __version__

        typer.echo(f"compressor {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Options before any command."""


@app.command()
def compress(
    file: Annotated[str, typer.Argument(help="JSON, JSONL or plain text; - for stdin.")],
    budget: Annotated[str, typer.Option("--budget", "-b", help="Tokens (4000), or a share of them (25% or 0.25).")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Whose tokens to count. [default: the request's, else gpt-4o]")
    ] = None,
    query: Annotated[str | None, typer.Option(help="What matters. [default: read from the context]")] = None,
    mode: Annotated[
        CompressMode, typer.Option(help="call: for one call; ingest: newest results only; compact: history.")
    ] = CompressMode.call,
    scorer: Annotated[
        str, typer.Option(help="fast, embedding, pruner, perplexity or cascade, with a model: embedding:ORG/NAME.")
    ] = "fast",
    device: Annotated[
        str | None, typer.Option(help="Where a model scorer runs: cuda, mps, cpu. [default: the best there is]")
    ] = None,
    store: StoreOption = None,
    output: Annotated[str, typer.Option("--output", "-o", help="Where to write the result; - for stdout.")] = "-",
    report: Annotated[str | None, typer.Option(help="Write an HTML page that shows what went, and why.")] = None,
    stats: Annotated[
        str | None, typer.Option(help="Write the account as JSON: tokens, what was dropped, warnings.")
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="Take the file as plain text, even if it is JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no balance.")] = False,
) -> None:
    """Compress FILE and write it in the same shape.

    FILE is a list of messages or a request body ("messages" or "input", with "tools", "system", "model") in JSON; JSONL
    with a message, or a list or body, on each line; or any other text.
    """
    from compressor.cli import input_files

    limit = _budget(budget)
    document = input_files.parse(_read(file), "stdin" if file == "-" else file, text)
    if report and document.kind == "batch":
        raise ContextError("--report shows one context, and this file holds one on each line")

    from compressor import Compressor

    work = _Work(Compressor(scorer, store, device), limit, model, query, mode.value)
    results: list[Result] | list[TextResult]
    if document.kind == "text":
        results = [single := work.text(document.text)]
        data = input_files.encode(single.text)
    else:
        results = work.cases(document)
        data = document.dumps([result.messages for result in results])
    work.compressor.close()  # a result whose originals could not be kept is none
    _write(output, data)
    if report:
        from compressor.cli.html_report import render_html

        _write(report, render_html(results[0], f"{os.path.basename(file)} at {budget}").encode())
    if stats:
        accounts = [_account(result) for result in results]
        whole = accounts if document.kind == "batch" else accounts[0]
        _write(stats, json.dumps(whole, indent=2).encode() + b"\n")
    if not quiet:
        from compressor.cli.console import print_summary

        print_summary(results)


@app.command()
def expand(
    ref: Annotated[str, typer.Argument(help="The ref in a mark such as […cut ref 123456789012], or the whole mark.")],
    store: StoreOption = None,
    output: Annotated[str, typer.Option("--output", "-o", help="Where to write the original; - for stdout.")] = "-",
) -> None:
    """Print the exact original behind a ref."""
    from compressor import Compressor
    from compressor.cli import input_files
    from compressor.context.refs import find_refs

    _write(output, input_files.encode(Compressor(store=store).expand(next(iter(find_refs(ref)), ref))))


@app.command()
def replay(
    file: Annotated[str, typer.Argument(help="A recorded session: messages or a request, JSON or JSONL; - for stdin.")],
    budget: Annotated[
        str | None, typer.Option("--budget", "-b", help="Tokens, a share of the window (50%) or money a call ($0.02).")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Whose tokens and prices. [default: the request's, else gpt-4o]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Bill a recorded session as it was, and as it would have been through a session of ours."""
    from compressor import Compressor
    from compressor.cli import input_files
    from compressor.sessions import replay as bill

    document = input_files.parse(_read(file), "stdin" if file == "-" else file)
    if not document.cases:
        raise ContextError(f"{file} holds plain text, not messages: there are no calls to bill")
    limit = budget if budget is None or budget.strip().startswith("$") else _budget(budget)
    for case in document.cases:
        found = bill(
            Compressor(store="memory"), case.messages, model or case.model, limit, None, case.tools, case.system
        )
        whole = {**asdict(found), "saved_fraction": found.saved_fraction}
        typer.echo(json.dumps(whole, ensure_ascii=False) if as_json else found.report())


@app.command()
def doctor(
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is installed and what works, and what to do about the rest."""
    from compressor.cli.doctor import run_checks

    checks = run_checks(store)
    well = not any(check.status == "fail" for check in checks)
    if as_json:
        typer.echo(json.dumps({"ok": well, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        from compressor.cli.console import print_doctor_report

        print_doctor_report(checks)
    raise typer.Exit(0 if well else 1)


@app.command()
def mcp(
    scorer: Annotated[str, typer.Option(help="fast, embedding, pruner, perplexity or cascade.")] = "fast",
    device: Annotated[str | None, typer.Option(help="Where a model scorer runs: cuda, mps, cpu.")] = None,
    store: StoreOption = None,
) -> None:
    """Serve compress, expand and stats to a desktop agent, over stdin and stdout (MCP)."""
    from compressor import Compressor
    from compressor.errors import MissingDependencyError

    try:
        from compressor.cli.mcp_server import run
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "compressor":
            raise
        raise MissingDependencyError(error.name or "mcp", "mcp") from None
    run(Compressor(scorer, store, device))


app.command()(examples)
app.command()(serve)
app.command()(healthcheck)


class _Work:
    """The calls of one command, with a progress bar if they take more than a second."""

    def __init__(
        self, compressor: Compressor, budget: int | float, model: str | None, query: str | None, mode: Mode
    ) -> None:
        self.compressor, self.budget, self.model, self.query, self.mode = compressor, budget, model, query, mode

    def text(self, text: str) -> TextResult:
        from compressor.cli.console import progress

        with progress(None):
            return self.compressor.compress_text(text, budget=self.budget, query=self.query, model=self.model)

    def cases(self, document: InputFile) -> list[Result]:
        from compressor.cli.console import progress

        batch = document.kind == "batch"
        results = []
        with progress(len(document.cases) if batch else None) as advance:
            for number, case in enumerate(document.cases, 1):
                try:
                    results.append(self.case(case))
                except (ContextError, BudgetTooSmallError) as error:
                    if batch:
                        error.args = (f"line {number}: {error}",)
                    raise
                advance()
        return results

    def case(self, case: RequestContext) -> Result:
        return self.compressor.compress(
            case.messages,
            budget=self.budget,
            model=self.model or case.model,
            query=self.query,
            tools=case.tools,
            mode=self.mode,
            system=case.system,
        )


def _budget(text: str) -> int | float:
    """ "4000" or "4_000" tokens, or a share: "25%", "0.25"."""
    plain = text.strip().replace(",", "").replace("_", "")
    if re.fullmatch(r"[+-]?\d+", plain):
        return int(plain)
    if re.fullmatch(r"[+-]?(\d+\.\d*|\.\d+)", plain):
        return float(plain)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)%", plain):
        return float(plain[:-1]) / 100
    raise BudgetError(f"--budget {text!r} is neither a number of tokens (4000) nor a share (25% or 0.25)")


def _account(result: Result | TextResult) -> dict[str, Any]:
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


def _read(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    with open(path, "rb") as file:
        return file.read()


def _write(path: str, data: bytes) -> None:
    """To stdout, or to a file that holds either its old content or all of the new one, never a part."""
    if path == "-":
        left = memoryview(data)
        while left:  # under PYTHONUNBUFFERED this is a raw file, which may take a part only
            left = left[sys.stdout.buffer.write(left) :]
        sys.stdout.buffer.flush()
        return
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe or a device cannot be replaced
        with open(path, "wb") as file:
            file.write(data)
        return
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    partial = os.path.join(folder, f".{name}.{os.getpid()}.part")
    try:
        with open(partial, "wb") as file:
            file.write(data)
        if os.path.exists(target):
            shutil.copymode(target, partial)
        os.replace(partial, target)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise


def _fail(code: int, message: str) -> NoReturn:
    _say(message)
    raise typer.Exit(code) from None


def _say(message: str) -> None:
    """One line on stderr. Messages may quote tool text: no control character of it reaches the terminal."""
    line = " ".join(message.split())
    typer.echo("error: " + "".join(c if c.isprintable() else "\ufffd" for c in line), err=True)
