"""Commands that run in this process and set up its log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def root_log_kept() -> Iterator[None]:
    """Gives the root logger back its handlers: one on a test's captured stderr would write to a closed file later."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
