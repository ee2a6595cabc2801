"""Runs the middleware's own work so that its errors do not reach the agent, and keeps its warnings and cost reports."""

from __future__ import annotations

import contextvars
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from langchain_core.runnables.config import var_child_runnable_config

from compressor import CompressorError
from compressor.caches import LruCache
from compressor.sessions import CostReport

logger = logging.getLogger(__name__)

T = TypeVar("T")
#: Model calls after which a thread that saves nothing is reported.
IDLE_WARNING_CALLS = 20
#: Threads whose newest cost report is kept, and threads and warnings that were logged.
MAX_REPORTS = 1_000
#: Warnings that are kept, the newest; each text once.
MAX_WARNINGS = 100
_LISTED_THREADS = 10  # in an error message


@dataclass(frozen=True)
class ThreadReport:
    """What is known of a thread.

    Attributes:
        thread_id: Its id; None for the last run without one.
        report: Its newest cost report.
        receipt_refs: The refs of the receipts of its compactions, oldest first.
    """

    thread_id: str | None
    report: CostReport
    receipt_refs: Sequence[str]


class FailOpenGuard:
    """Turns errors into warnings and keeps the newest cost report of each thread.

    Args:
        fail_open: Whether errors become warnings; False raises them.
        name: The middleware's name, for the log.

    Attributes:
        warnings: The texts of all warnings, oldest first.
    """

    def __init__(self, fail_open: bool, name: str) -> None:
        self.fail_open = fail_open
        self.warnings: list[str] = []
        self._name = name
        self._lock = threading.Lock()
        self._reports: LruCache[str | None, ThreadReport] = LruCache(MAX_REPORTS)
        self._warned: LruCache[tuple[str | None, str], bool] = LruCache(MAX_REPORTS)
        self._idle = False

    def __getstate__(self) -> dict[str, Any]:
        """Returns what is pickled: the settings, the warnings and the reports."""
        with self._lock:
            state = {**vars(self), "warnings": list(self.warnings), "_reports": self._reports.values()}
        del state["_lock"], state["_warned"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        reports = state.pop("_reports")
        vars(self).update(state, _lock=threading.Lock(), _warned=LruCache(MAX_REPORTS), _reports=LruCache(MAX_REPORTS))
        for report in reports:
            self._reports.put(report.thread_id, report)

    def run(self, function: Callable[..., T | None], *args: Any) -> T | None:
        """Returns `function(*args)`, or None if it failed and `fail_open` is on.

        The graph's callbacks are not passed on, because a model that writes a summary would stream it to the user.
        """
        context = contextvars.copy_context()
        context.run(var_child_runnable_config.set, None)
        try:
            return context.run(function, *args)
        except Exception as error:
            if not self.fail_open:
                raise
            self.warn(f"{type(error).__name__}: {error}; it was sent unchanged", None, error)
            return None

    def warn(self, text: str, thread_id: str | None, error: Exception | None = None) -> None:
        """Keeps a warning, and logs it the first time in each thread."""
        with self._lock:
            if self._warned.get((thread_id, text)):
                return
            self._warned.put((thread_id, text), True)
            if text not in self.warnings:
                self.warnings[:] = [*self.warnings[1 - MAX_WARNINGS :], text]
        expected = error is None or isinstance(error, CompressorError)
        where = f", thread {thread_id}" if thread_id else ""
        logger.warning("%s%s: %s", self._name, where, text, exc_info=not expected and error)

    def record_report(self, thread_id: str | None, report: CostReport, receipt_refs: Sequence[str] = ()) -> None:
        """Keeps a thread's newest cost report and receipts, and warns once if nothing is saved."""
        self._reports.put(thread_id, ThreadReport(thread_id, report, receipt_refs))
        if report.calls < IDLE_WARNING_CALLS or report.actual_tokens < report.baseline_tokens:
            return
        with self._lock:
            is_first, self._idle = not self._idle, True
        if is_first:
            sent = f"{report.calls} calls with {report.actual_tokens:,} tokens were sent unchanged"
            text = f"the middleware is enabled but is saving nothing: {sent}"
            self.warn(f"{text}, because tool results are short or the policy keeps them", thread_id)

    def find_thread(self, thread_id: str | None) -> ThreadReport:
        """Returns what is known of a thread (None: the last run without a thread id).

        Without a thread id and before the first run, all counts are 0.

        Raises:
            CompressorError: If the thread is unknown; the message names the known threads.
        """
        found = self._reports.get(thread_id)
        if found is not None:
            return found
        known = [one.thread_id for one in self._reports.values() if one.thread_id is not None]
        if not self.thread_count:
            if thread_id is None:
                return ThreadReport(None, CostReport.before_first_call(), ())
            raise CompressorError(
                f"there is no cost report of thread {thread_id!r} in this process, because no agent has run with this "
                "middleware here yet; run it first, or pass an agent's state: agent.get_state(config).values"
            )
        missing = "a run without a thread id" if thread_id is None else f"thread {thread_id!r}"
        text = f"there is no cost report of {missing} in this process"
        if known:
            more = ", ..." if len(known) > _LISTED_THREADS else ""
            text += "; pass one of the known thread ids: " + ", ".join(map(repr, known[-_LISTED_THREADS:])) + more
        else:
            text += "; all runs had no thread id, so call it without one"
        raise CompressorError(f"{text}; or pass an agent's state: agent.get_state(config).values")

    @property
    def thread_count(self) -> int:
        """Returns the number of threads whose cost report is kept."""
        return len(self._reports)
