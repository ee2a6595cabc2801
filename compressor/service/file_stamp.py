"""Tells whether a file has changed, or was replaced by a rename or a symbolic link, without reading it."""

from __future__ import annotations

import os
from typing import NamedTuple


class FileStamp(NamedTuple):
    """The state of a file. Two stamps differ if the file was written, or another file has taken its place."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


def stamp_file(path: str) -> FileStamp | None:
    """Returns the stamp of the file that a path leads to, or None if the file cannot be seen.

    Symbolic links are followed, because Kubernetes replaces a mounted secret by turning a link to another folder.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return FileStamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
