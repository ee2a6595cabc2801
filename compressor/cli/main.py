"""The `compressor` command: registers the subcommands and turns exceptions into messages and exit codes.

Results go to stdout, everything meant for people to stderr. Exit codes: 0 success, 1 other failure, 2 wrong usage or
input, 3 the budget is too small, 4 unknown or expired ref, 5 the store failed, 130 interrupted, 141 the reader of
stdout has closed it.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from compressor.cli.admin import admin
from compressor.cli.compress import compress
from compressor.cli.examples import examples
from compressor.cli.input_files import encode
from compressor.cli.mcp import mcp
from compressor.cli.options import OutputOption, StoreOption
from compressor.cli.output import print_message, write_output
from compressor.cli.replay import replay
from compressor.cli.serve import healthcheck, serve
from compressor.cli.tools import tools
from compressor.errors import (
    BudgetError,
    BudgetTooSmallError,
    CompressorError,
    ContextError,
    ExpiredRefError,
    RefError,
    StoreError,
)

#: The first class that an error is an instance of decides.
_EXIT_CODES: tuple[tuple[type[CompressorError], int], ...] = (
    (ContextError, 2),
    (BudgetError, 2),
    (BudgetTooSmallError, 3),
    (RefError, 4),
    (StoreError, 5),
    (CompressorError, 1),
)
#: click's ClickException, the base of all usage errors. Newer versions of typer bring their own copy of click, so it is
#: found through a class that every version exports.
_UsageError: Any = typer.BadParameter.__mro__[2]


class _Commands(TyperGroup):
    """Prints one line for an exception of a command and exits with its code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except BudgetTooSmallError as error:
            _fail(3, f"{error}; give --budget {error.needed} or more")
        except ExpiredRefError as error:
            _fail(4, f"{error}; compress the original again to get a new ref")
        except RefError as error:
            _fail(4, f"{error}; use --store to name the store that it was compressed with")
        except CompressorError as error:
            _fail(next(code for kind, code in _EXIT_CODES if isinstance(error, kind)), str(error))
        except RecursionError:
            _fail(2, "the input is nested too deeply")
        except BrokenPipeError:
            # Python flushes stdout at exit, which would print a second error.
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
    help="Compress what an agent is about to send to a hard token budget. Everything that is dropped can be expanded.",
)


def main() -> NoReturn:
    """Runs the command line and exits with the code of the command."""
    if sys.argv[1:2] == ["compress"]:  # the other commands that count run for longer
        from compressor.tokens.quicktok_encoder import prefer_short_start

        prefer_short_start()
    try:
        code = app(standalone_mode=False)
    except _UsageError as error:
        message = error.format_message()
        if message:  # empty if the command was given no arguments: then typer has printed the help
            message = message.rstrip(".").replace(": Value error, ", ": ")
            print_message("error", f"{message} (see compressor --help)")
        code = 2
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        from compressor._version import __version__

        typer.echo(f"compressor {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Declares the options that stand before a command."""


app.command()(compress)


@app.command()
def expand(
    ref: Annotated[
        str, typer.Argument(help="The digits of a placeholder such as […cut ref 123456789012], or all of it.")
    ],
    store: StoreOption = None,
    output: OutputOption = "-",
) -> None:
    """Print the exact original behind a ref."""
    from compressor import Compressor
    from compressor.context.refs import find_refs

    write_output(output, encode(Compressor(store=store).expand(next(iter(find_refs(ref)), ref))))


app.command()(examples)
app.command()(tools)
app.command()(replay)


@app.command()
def doctor(
    store: StoreOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is installed and what works, and how to fix the rest.

    The store is opened for this (and created if it does not exist), and one small entry is written to it and read back.
    """
    from compressor.cli.doctor import run_checks

    checks = run_checks(store)
    is_healthy = not any(check.status == "fail" for check in checks)
    if as_json:
        typer.echo(json.dumps({"ok": is_healthy, "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        from compressor.cli.console import print_doctor_report

        print_doctor_report(checks)
    raise typer.Exit(0 if is_healthy else 1)


app.command()(mcp)
app.command()(serve)
app.command()(healthcheck)
app.add_typer(admin, name="admin")


def _fail(code: int, message: str) -> NoReturn:
    print_message("error", message)
    raise typer.Exit(code) from None
