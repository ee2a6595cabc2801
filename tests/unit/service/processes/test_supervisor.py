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


class CrashingWorker:
    """A worker that has started and crashed by the time it is looked at."""

    started_workers = 0
    pid = sentinel = 1
    exitcode = 3

    def __init__(self, start: Any, current: Any, sockets: Any, probe_sockets: Any, slot: int) -> None:
        CrashingWorker.started_workers += 1
        self.slot, self.started, self.error = slot, time.monotonic(), ""
        self.is_ready = self.may_serve = True
        self.process = self.pipe = self

    def read_messages(self) -> None:
        pass

    def describe_end(self) -> str:
        return "exited with code 3"

    def send(self, command: Any) -> None:
        pass

    def close(self) -> None:
        pass

    kill = join = terminate = close


def test_workers_that_crash_over_and_over_end_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "Worker", CrashingWorker)
    monkeypatch.setattr(supervisor, "RESTART_BACKOFF", 0.0)
    monkeypatch.setattr(supervisor, "prepare_multiprocess", lambda: str(tmp_path / "metrics"))
    monkeypatch.setattr(supervisor, "worker_ended", lambda slot: None)
    monkeypatch.setattr("compressor.service.processes.supervisor.connection.wait", lambda *_: [])
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(CompressorError, match="crash over and over, the last one: exited with code 3"):
        start = LoadedSettings(Settings(workers=2, store="s.db"))
        supervisor.Supervisor(start, [], [], queue.SimpleQueue()).run()
    assert supervisor.MAX_EARLY_CRASHES <= CrashingWorker.started_workers <= supervisor.MAX_EARLY_CRASHES + 2
    assert signal.getsignal(signal.SIGTERM) == handler
