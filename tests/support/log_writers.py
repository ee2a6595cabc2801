"""Several processes that append to one log at once, and what the log must hold afterwards."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.synchronize import Barrier

from support.store_tools import Both

WRITERS, ROUNDS = 4, 50


def append_from_many_processes(open_store: Callable[[], Both]) -> None:
    """Lets each process open a store of its own and append to the log "log", all from the same moment on."""
    fork = multiprocessing.get_context("fork")
    start = fork.Barrier(WRITERS)
    writers = [fork.Process(target=_append_many, args=(open_store, n, start)) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * WRITERS


def check_that_no_append_is_lost(store: Both) -> None:
    """Every record is in the log once, each writer's in order, with the value that came with it."""
    log = store.read_log("log")
    assert [number for number, _ in log] == list(range(1, WRITERS * ROUNDS + 1))
    for n in range(WRITERS):
        written = [b"%d %d" % (n, i) for i in range(ROUNDS)]
        assert [record for _, record in log if record.startswith(b"%d " % n)] == written
        assert store.get(f"{n}-49") == b"%d 49" % n * 100


def _append_many(open_store: Callable[[], Both], writer: int, start: Barrier) -> None:
    store = open_store()
    start.wait()
    seen: list[tuple[int, bytes]] = []
    for i in range(ROUNDS):
        while True:
            record = f"{writer} {i}".encode()
            items = {f"{writer}-{i}": record * 100} if i % 2 else None
            if store.append_log("log", len(seen), [record], values=items):
                seen.append((len(seen) + 1, record))
                break
            seen += store.read_log("log", len(seen))
    assert store.read_log("log")[: len(seen)] == seen  # what was once seen stays as it was
    store.close()
