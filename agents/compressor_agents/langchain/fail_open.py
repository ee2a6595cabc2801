"""Runs our part of an agent's step so that no error of ours reaches the agent, and keeps what the user should know.
Knows no message.
"""

from __future__ import annotations

import contextvars
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from langchain_core.runnables.config import var_child_runnable_config

from compressor import CompressorError
from compressor.sessions import CostReport

logger = logging.getLogger(__name__)

T = TypeVar("T")
IDLE_WARNING_CALLS = 20  # calls after which a thread that saves nothing is reported
MAX_REPORTS = 1_000  # balances kept, the newest
MAX_WARNINGS = 100  # kept, the newest; each text once


class FailOpenGuard:
    """fail_open: errors become warnings. name: the middleware's, for the log."""

    def __init__(self, fail_open: bool, name: str) -> None:
        self.fail_open = fail_open
        self.warnings: list[str] = []
        self._name = name
        self._lock = threading.Lock()
        self._balances: OrderedDict[str | None, CostReport] = OrderedDict()
        self._idle = False

    def run(self, function: Callable[..., T | None], *args: Any) -> T | None:
        """`function(*args)`; None where it failed and we fail open.

        Callbacks of the graph do not reach it: a model that writes a summary would stream it to the user."""
        context = contextvars.copy_context()
        context.run(var_child_runnable_config.set, None)
        try:
            return context.run(function, *args)
        except Exception as error:
            if not self.fail_open:
                raise
            self.warn(f"{type(error).__name__}: {error}; it goes through as it was", None, error)
            return None

    def warn(self, text: str, thread: str | None, error: Exception | None = None) -> None:
        """Notes a warning, and logs it the first time."""
        with self._lock:
            if text in self.warnings:
                return
            self.warnings[:] = [*self.warnings[1 - MAX_WARNINGS :], text]
        known = error is None or isinstance(error, CompressorError)
        logger.warning(
            "%s%s: %s", self._name, f", thread {thread}" if thread else "", text, exc_info=not known and error
        )

    def record_report(self, thread: str | None, balance: CostReport) -> None:
        """Keeps a thread's balance. Says once if there is nothing in it."""
        with self._lock:
            self._balances[thread] = balance
            self._balances.move_to_end(thread)
            if len(self._balances) > MAX_REPORTS:
                self._balances.popitem(last=False)
            idle = (
                balance.calls >= IDLE_WARNING_CALLS
                and balance.actual_tokens >= balance.baseline_tokens
                and not self._idle
            )
            self._idle = self._idle or idle
        if idle:
            self.warn(
                f"enabled and saving nothing: {balance.calls} calls of {balance.actual_tokens:,} tokens went out as they "
                "were: tool results are short or the policy keeps them",
                thread,
            )

    def cost_report(self, thread: str | None) -> CostReport | None:
        """The newest balance of a thread."""
        with self._lock:
            return self._balances.get(thread)
