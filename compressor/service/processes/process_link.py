"""Connects a process that serves with what controls it: a supervisor, or threads of its own."""

from __future__ import annotations

import queue
from collections.abc import Callable

from compressor.service.processes.server_commands import Command


class ProcessLink:
    """What connects a process that serves with the one that tells it what to do.

    Args:
        commands: What the process is told. A queue that a signal handler and other threads may fill.
        is_worker: Whether it is one of several, which a supervisor ends.
        on_start: Called before the process accepts requests.
        on_ready: Called when the process accepts requests.
    """

    def __init__(
        self,
        commands: queue.SimpleQueue[Command],
        is_worker: bool = False,
        on_start: Callable[[], object] = lambda: None,
        on_ready: Callable[[], object] = lambda: None,
    ) -> None:
        self.commands, self.is_worker = commands, is_worker
        self.on_start, self.on_ready = on_start, on_ready
