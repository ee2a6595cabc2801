"""Draws what the command line shows to people: the summary of a call, the checks of the doctor, a progress bar."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from compressor.cli.output import printable

if TYPE_CHECKING:
    from compressor.cli.doctor import Check
    from compressor.context.results import BlockReport, Result, TextResult

_MAX_ROWS = 10  # blocks in the summary
_STATUS_LABELS = {
    "ok": ("ok", "green"),
    "off": ("off", "dim"),
    "warn": ("warn", "yellow"),
    "fail": ("FAIL", "bold red"),
}


def print_summary(results: Sequence[Result | TextResult]) -> None:
    """Prints totals, the blocks that shrank most, and warnings, to stderr.

    Args:
        results: The results of one command: one, or one for each line of a batch.
    """
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
        line.append(f", counted with {printable(', '.join(tokenizers))}", "dim")
    if any(r.is_estimate for r in results):
        line.append(" (estimate)", "yellow")
    console.print(line)
    if before == after:
        console.print(Text("the input fits the budget and is written unchanged", "dim"))
    if len(results) == 1 and before != after:
        _print_blocks(console, results[0].blocks)
    for warning, times in Counter(w for r in results for w in r.warnings).items():
        console.print(Text(f"warning: {printable(warning)}" + (f" ({times}×)" if times > 1 else ""), "yellow"))


def _print_blocks(console: Console, blocks: Sequence[BlockReport]) -> None:
    changed = [b for b in blocks if b.action not in ("pinned", "kept")]
    changed.sort(key=lambda b: b.tokens_after - b.tokens_before)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("message", "block", "action"):
        table.add_column(heading)
    for heading in ("before", "after"):
        table.add_column(heading, justify="right")
    table.add_column("why")
    for b in changed[:_MAX_ROWS]:
        name = f"{b.kind} {printable(b.name)}" if b.name else b.kind
        if b.image and b.image.sizes:
            name += f", {b.image.sizes.replace('->', '→')}"
        cells = (str(b.message), name, b.action, f"{b.tokens_before:,}", f"{b.tokens_after:,}", printable(b.reason))
        table.add_row(*map(Text, cells))
    if changed:
        console.print(table)
    if len(changed) > _MAX_ROWS:
        console.print(Text(f"and {len(changed) - _MAX_ROWS:,} more blocks (--report shows all)", "dim"))


def print_doctor_report(checks: Sequence[Check]) -> None:
    """Prints the checks of the doctor, each with what to do about it, to stdout."""
    console = Console(highlight=False)
    for check in checks:
        label, style = _STATUS_LABELS[check.status]
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=4)
        table.add_column(width=15)  # the longest extra, [openai-agents]
        table.add_column(overflow="fold")
        table.add_row(Text(label, style), Text(check.name), Text(printable(check.detail)))
        if check.fix:
            table.add_row("", "", Text(f"→ {printable(check.fix)}", "dim" if check.status == "off" else style))
        console.print(table)


@contextmanager
def progress(total: int | None) -> Iterator[Callable[[], None]]:
    """Shows a progress bar on stderr if it is a terminal and the work takes more than a second.

    Args:
        total: The number of steps, or None if it is unknown.

    Yields:
        A function to call after each step.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda: None
        return
    from rich.progress import Progress

    bar = Progress(console=console, transient=True)
    task = bar.add_task("compressing", total=total)
    delayed_start = threading.Timer(1.0, bar.start)
    delayed_start.daemon = True
    delayed_start.start()
    try:
        yield lambda: bar.advance(task)
    finally:
        delayed_start.cancel()
        delayed_start.join()
        bar.stop()
