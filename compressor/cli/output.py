"""Writes results to files or stdout, and single lines for people to stderr."""

from __future__ import annotations

import os
import shutil
import sys

import typer

#: The name of the counter for models that no family of tokenizers is known for.
_UNKNOWN_TOKENIZER = "estimate:other"


def write_output(path: str, data: bytes) -> None:
    """Writes to stdout or to a file, which then holds either its old content or all of the new one, never a part.

    Args:
        path: The file, or "-" for stdout. Pipes and devices are written to directly.
        data: What to write.

    Raises:
        OSError: If the file cannot be written; `filename` is `path`.
    """
    if path == "-":
        rest = memoryview(data)
        while rest:  # with PYTHONUNBUFFERED stdout is a raw file, whose write() may accept only a part
            rest = rest[sys.stdout.buffer.write(rest) :]
        sys.stdout.buffer.flush()
        return
    try:
        _write_file(path, data)
    except OSError as error:
        error.filename, error.filename2 = path, None  # not the temporary file's name, which the user has never seen
        raise


def _write_file(path: str, data: bytes) -> None:
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


def printable(text: str) -> str:
    """Returns the text on one line and without control characters, because messages may quote the output of tools."""
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))


def print_message(kind: str, message: str) -> None:
    """Prints `kind: message` as one line to stderr; `kind` is "error", "warning" or "note"."""
    typer.echo(f"{kind}: {printable(message)}", err=True)


def warn_about_unknown_model(model: str | None, tokenizer: str) -> None:
    """Warns if the tokenizer that counted is a guess because the name of the model is unknown."""
    if model and tokenizer == _UNKNOWN_TOKENIZER:
        print_message("warning", f"the tokenizer of model {model!r} is unknown, so all token counts are estimates")
