"""Tells a SIGHUP that asks for a reload from the one that a closing terminal sends to all its processes."""

from __future__ import annotations

import os
import signal
from contextlib import suppress


class Terminal:
    """The terminal in which the process was started, if there was one."""

    def __init__(self) -> None:
        is_detached = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN  # started with nohup: outlives its terminal
        self._had_one = not is_detached and _can_open()

    def is_closed(self) -> bool:
        """Returns whether the process should end because its terminal is gone."""
        return self._had_one and not _can_open()


def _can_open() -> bool:
    with suppress(OSError):
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
        return True
    return False
