"""What the command line shows to people: the balance of a call, the doctor's findings, progress. Draws with rich."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from compressor.cli.doctor import Check
    from compressor.context.results import BlockReport, Result, TextResult

_ROWS = 10  # blocks listed; those that saved most
_MARKS = {"ok": ("ok", "green"), "off": ("off", "dim"), "warn": ("warn", "yellow"), "fail": ("FAIL", "bold red")}


def print_summary(results: Sequence[Result | TextResult]) -> None:
    """Totals, the blocks that saved most, warnings; to stderr."""
    console = Console(stderr=True, highlight=False)
    before, after = sum(r.tokens_before for r in results), sum(r.tokens_after for r in results)
    ratio = before / after if after else 1.0
    line = Text.assemble(
        (f"{before:,}", "bold"), " → ", (f"{after:,}", "bold"), " tokens ", (f"{ratio:.2f}×", "bold green")
    )
    if len(results) == 1:
        line.append(f", budget {results[0].budget:,}")
    else:
        line.append(f", {len(results):,} contexts")
    tokenizers = sorted({r.tokenizer for r in results if r.tokenizer})
    if tokenizers:
        line.append(f", counted with {_printable(', '.join(tokenizers))}", "dim")
    if any(r.is_estimate for r in results):
        line.append(" (estimate)", "yellow")
    console.print(line)
    if before == after:
        console.print(Text("nothing had to go: what was given fits, and is written unchanged", "dim"))
    if len(results) == 1 and before != after:
        _print_blocks(console, results[0].blocks)
    for warning, times in Counter(w for r in results for w in r.warnings).items():
        console.print(Text(f"warning: {_printable(warning)}" + (f" ({times}×)" if times > 1 else ""), "yellow"))


def _print_blocks(console: Console, blocks: Sequence[BlockReport]) -> None:
    changed = [b for b in blocks if b.action not in ("pinned", "kept")]
    changed.sort(key=lambda b: b.tokens_after - b.tokens_before)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("message", "block", "action"):
        table.add_column(heading)
    for heading in ("before", "after"):
        table.add_column(heading, justify="right")
    table.add_column("why")
    for b in changed[:_ROWS]:
        name = f"{b.kind} {_printable(b.name)}" if b.name else b.kind
        cells = (str(b.message), name, b.action, f"{b.tokens_before:,}", f"{b.tokens_after:,}", _printable(b.reason))
        table.add_row(*map(Text, cells))
    if changed:
        console.print(table)
    if len(changed) > _ROWS:
        console.print(Text(f"and {len(changed) - _ROWS:,} more blocks (--report shows all)", "dim"))


def print_doctor_report(checks: Sequence[Check]) -> None:
    """The doctor's findings, to stdout."""
    console = Console(highlight=False)
    for check in checks:
        mark, style = _MARKS[check.status]
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=4)
        table.add_column(width=12)
        table.add_column(overflow="fold")
        table.add_row(Text(mark, style), Text(check.name), Text(_printable(check.detail)))
        if check.fix:
            table.add_row("", "", Text(f"→ {_printable(check.fix)}", "dim" if check.status == "off" else style))
        console.print(table)


@contextmanager
def progress(total: int | None) -> Iterator[Callable[[], None]]:
    """A bar on stderr for work that takes more than a second, on a terminal; without a `total` it only shows that there
    is work. Gives a function to call at each step."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda: None
        return
    from rich.progress import Progress

    bar = Progress(console=console, transient=True)
    task = bar.add_task("compressing", total=total)
    late = threading.Timer(1.0, bar.start)
    late.daemon = True
    late.start()
    try:
        yield lambda: bar.advance(task)
    finally:
        late.cancel()
        late.join()
        bar.stop()


def _printable(text: str) -> str:
    """On one line, without control characters: names and reasons may quote tool text."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
