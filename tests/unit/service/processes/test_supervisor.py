"""The supervisor's decisions, with workers that are no processes. `test_serve_command` has it with real ones."""

from __future__ import annotations

import queue
import signal
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")
pytest.importorskip("pydantic_settings")

from compressor import CompressorError
from compressor.service.processes import supervisor
from compressor.service.settings import Settings
from compressor.service.settings_sources import LoadedSettings


class ScriptedWorker:
    """A worker that by the time it is looked at has started, or ended, as the test says for its slot."""

    started_workers = 0
    ready_slots: tuple[int, ...] = ()
    exit_codes: tuple[int | None, ...] = ()
    pid = sentinel = 1

    def __init__(self, start: Any, current: Any, sockets: Any, probe_sockets: Any, slot: int) -> None:
        ScriptedWorker.started_workers += 1
        self.slot, self.started, self.error = slot, time.monotonic(), ""
        self.is_ready = self.may_serve = slot in self.ready_slots
        self.exitcode = self.exit_codes[slot]
        self.process = self.pipe = self

    def read_messages(self) -> None:
        pass

    def describe_end(self) -> str:
        return f"ended with {self.exitcode}"

    def send(self, command: Any) -> None:
        self.exitcode = 0

    def close(self) -> None:
        pass

    kill = join = terminate = close


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[ScriptedWorker]:
    """What the supervisor starts; it waits for nothing."""
    monkeypatch.setattr(supervisor, "Worker", ScriptedWorker)
    monkeypatch.setattr(supervisor, "RESTART_BACKOFF", 0.0)
    monkeypatch.setattr(supervisor, "prepare_multiprocess", lambda: str(tmp_path / "metrics"))
    monkeypatch.setattr(supervisor, "worker_ended", lambda slot: None)
    monkeypatch.setattr("compressor.service.processes.supervisor.connection.wait", lambda *_: [])
    monkeypatch.setattr(ScriptedWorker, "started_workers", 0)
    return ScriptedWorker


def run_two() -> None:
    supervisor.Supervisor(LoadedSettings(Settings(workers=2, store="s.db")), [], [], queue.SimpleQueue()).run()


def test_workers_that_crash_over_and_over_end_the_service(workers: type[ScriptedWorker]) -> None:
    workers.ready_slots, workers.exit_codes = (0, 1), (3, 3)
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(CompressorError, match="crash over and over, the last one: ended with 3"):
        run_two()
    assert supervisor.MAX_EARLY_CRASHES <= workers.started_workers <= supervisor.MAX_EARLY_CRASHES + 2
    assert signal.getsignal(signal.SIGTERM) == handler


def test_a_worker_that_is_killed_while_it_starts_is_replaced(workers: type[ScriptedWorker]) -> None:
    workers.ready_slots, workers.exit_codes = (0,), (None, -signal.SIGKILL)
    with pytest.raises(CompressorError, match="crash over and over, the last one: ended with -9"):
        run_two()
    assert workers.started_workers == supervisor.MAX_EARLY_CRASHES + 1


@pytest.mark.parametrize(
    ("ready", "codes"),
    [((0,), (None, 3)), ((), (-signal.SIGKILL, None))],
    ids=["one of two fails", "killed before any has started"],
)
def test_workers_that_cannot_start_end_the_service(
    workers: type[ScriptedWorker], ready: tuple[int, ...], codes: tuple[int | None, ...]
) -> None:
    workers.ready_slots, workers.exit_codes = ready, codes
    with pytest.raises(CompressorError, match="could not start: ended with"):
        run_two()
    assert workers.started_workers == 2
