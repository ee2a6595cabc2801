"""Prints what `compressor admin` was answered, for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from compressor.cli.output import print_message, printable


def print_new_key(data: Mapping[str, Any]) -> None:
    """Prints a key that is shown once: itself on stdout, what to know about it on stderr."""
    typer.echo(data["key"])
    ends = f", valid until {data['expires']}" if data["expires"] else ""
    print_message("note", f"key {data['id']} of tenant {data['tenant']}{ends}; it is not shown again")
    if old := data.get("replaces"):
        print_message("note", f"the old key {old['id']} is valid until {old['expires']}")


def print_key(data: Mapping[str, Any]) -> None:
    """Prints the state of a key."""
    ends = f", valid until {data['expires']}" if data["expires"] else ""
    typer.echo(f"key {data['id']} of tenant {data['tenant']}: {data['state']}{ends}")


def print_fields(data: Mapping[str, Any], indent: str = "") -> None:
    """Prints an object, a field on each line."""
    for name, value in data.items():
        if isinstance(value, Mapping) and value:
            typer.echo(f"{indent}{name}:")
            print_fields(value, indent + "  ")
        else:
            typer.echo(f"{indent}{name}: {_text(value)}")


def print_rows(data: Mapping[str, Any], name: str, columns: Sequence[str]) -> None:
    """Prints a page of a list as a table, and how to get the next page.

    Args:
        data: The answer.
        name: The name of the list in it.
        columns: The fields to print.
    """
    rows = [tuple(columns), *(tuple(_text(row.get(column)) for column in columns) for row in data[name])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(columns))]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    if (following := data.get("next_offset")) is not None:
        print_message("note", f"{data['total']} in all: go on with --offset {following}")
    if (before := data.get("next_before")) is not None:
        print_message("note", f"go on with --before {before}")


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
