"""Options that several commands share, so that `-b`, `-m`, `-q` and `-o` mean the same in each of them."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from compressor.errors import BudgetError

ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", help="The model whose tokens are counted. (default: the request's, else gpt-4o)"),
]
OutputOption = Annotated[str, typer.Option("--output", "-o", help="The file to write the result to; - for stdout.")]
StoreOption = Annotated[
    str | None,
    typer.Option(
        help="Where originals are stored: memory, a path ending in .db, or redis://host:6379/0. "
        "(default: a file in the user's cache folder)"
    ),
]
DeviceOption = Annotated[
    str | None, typer.Option(help="The device of a model scorer: cuda, mps or cpu. (default: the best one available)")
]


def parse_budget(text: str) -> int | float:
    """Parses a budget as users write it.

    Args:
        text: A number of tokens ("4000", "4_000", "4,000") or a fraction ("25%", "0.25").

    Returns:
        An int for tokens, a float for a fraction. Whether it is in range is checked by `resolve_budget`.

    Raises:
        BudgetError: If the text is neither.
    """
    plain = text.strip().replace(",", "").replace("_", "")
    if re.fullmatch(r"[+-]?\d+", plain):
        return int(plain)
    if re.fullmatch(r"[+-]?(\d+\.\d*|\.\d+)", plain):
        return float(plain)
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)%", plain):
        return float(plain[:-1]) / 100
    raise BudgetError(f"--budget {text!r} is not a budget: write a number of tokens (4000) or a fraction (25% or 0.25)")
