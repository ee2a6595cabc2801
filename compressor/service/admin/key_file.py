"""Edits a key file: comments and other lines stay, and the file is replaced in one step."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from compressor.errors import CompressorError
from compressor.service.auth import ApiKey, parse_line, read_keys

_SEPARATOR = re.compile(r"([\n;])")


class KeyFile:
    """The keys of a key file.

    Args:
        path: The file. It is created with mode 0600 by the first key.

    Raises:
        CompressorError: From every method, if the file cannot be read or written, or has an invalid line.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def list_keys(self) -> list[ApiKey]:
        """Returns the entries of all keys."""
        return list(read_keys(self._read(must_exist=True), self._path))

    def edit(self, make: Callable[[list[ApiKey]], list[ApiKey]]) -> None:
        """Changes the keys.

        Args:
            make: Returns the new entries.
        """
        with self._locked():
            text = self._read()
            before = list(read_keys(text, self._path))
            after = make(list(before))
            if before and not after:
                raise CompressorError(
                    f"{self._path!r} would have no key left, and a running service would keep the last one: block it "
                    "instead"
                )
            if after != before:
                self._write(_edited(text, {key.hash: key for key in after}))

    def _read(self, must_exist: bool = False) -> str:
        if not must_exist and not os.path.lexists(self._path):
            return ""
        try:
            return Path(self._path).read_bytes().decode("utf-8")
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise CompressorError(f"Cannot read the key file {self._path!r}: {reason}") from None

    def _write(self, text: str) -> None:
        target = os.path.realpath(self._path)
        try:
            handle, partial = tempfile.mkstemp(prefix=f".{os.path.basename(target)}.", dir=os.path.dirname(target))
            try:  # mkstemp has made it with mode 0600
                with os.fdopen(handle, "wb") as file:
                    file.write(text.encode())
                    file.flush()
                    os.fsync(file.fileno())
                if os.path.exists(target):
                    known = os.stat(target)
                    os.chmod(partial, known.st_mode & 0o7777)
                    with suppress(OSError):  # only root may give files away
                        os.chown(partial, known.st_uid, known.st_gid)
                os.replace(partial, target)
            except BaseException:
                with suppress(OSError):
                    os.unlink(partial)
                raise
        except OSError as error:
            raise CompressorError(f"Cannot write the key file {self._path!r}: {error.strerror}") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keeps other commands from editing the file; its folder is locked, because the file is replaced."""
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        folder = os.path.dirname(os.path.realpath(self._path))
        try:
            handle = os.open(folder, os.O_RDONLY)
        except OSError as error:
            raise CompressorError(f"Cannot write the key file {self._path!r}: {error.strerror}") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


def _edited(text: str, wanted: dict[str, ApiKey]) -> str:
    """Returns the text of a key file with these keys; what is not changed stays as it is."""
    parts = _SEPARATOR.split(text)
    out: list[str] = []
    remaining = dict(wanted)
    for line, separator in zip(parts[::2], [*parts[1::2], ""], strict=True):
        entry = line.split("#")[0]
        key = parse_line(entry.strip()) if entry.strip() else None
        if key is None:
            out += [line, separator]
            continue
        new = remaining.pop(key.hash, None)
        if new is not None:  # a key that is listed twice stays on its first line
            stripped = entry.rstrip()
            out += [line if new == key else new.line() + entry[len(stripped) :] + line[len(entry) :], separator]
        elif line != entry:
            out += [line[len(entry) :], separator]  # the comment of a removed key
    edited = "".join(out)
    if remaining and edited and not edited.endswith("\n"):
        edited += "\n"
    return edited + "".join(f"{key.line()}\n" for key in remaining.values())
