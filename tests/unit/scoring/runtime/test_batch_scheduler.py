"""The batching worker: order, limits, fairness, errors, memory, deadlines, and the ends of threads and processes."""

from __future__ import annotations

import gc
import itertools
import os
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from compressor.errors import CompressorError, ModelError, QueueFullError
from compressor.scoring.runtime import batch_scheduler, device_worker
from compressor.scoring.runtime.batch_queue import BatchQueue, PendingRequest
from compressor.scoring.runtime.batch_scheduler import BatchLimits, BatchScheduler
from support.property_tests import given, settings, st

DEVICES = (f"test:{i}" for i in itertools.count())
PATIENT = 60.0  # seconds after which a test that hangs fails
WAIT = BatchLimits(deadline=PATIENT)


def double(batch: Sequence[int]) -> list[int]:
    return [2 * item for item in batch]


def lane_of(
    run: Callable[[Sequence[int]], Sequence[int]] = double, limits: BatchLimits = WAIT, device: str | None = None
) -> BatchScheduler[int, int]:
    """A lane whose items are their own sizes."""
    return BatchScheduler(run, lambda item: item, device or next(DEVICES), limits, "tiny")


class Held:
    """A `run` that notes its batches and waits in each until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun, self.go = threading.Semaphore(0), threading.Semaphore(0)

    def __call__(self, batch: Sequence[int]) -> list[int]:
        self.batches.append(list(batch))
        self.begun.release()
        assert self.go.acquire(timeout=PATIENT)
        return double(batch)

    def wait(self) -> None:
        assert self.begun.acquire(timeout=PATIENT)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENT
    while not true():
        assert time.monotonic() < end
        time.sleep(0.0005)


# -- order and limits

sizes = st.lists(st.integers(1, 60), max_size=30)
limits = st.builds(
    BatchLimits,
    batch_tokens=st.integers(1, 200),
    batch_items=st.integers(1, 8),
    queue_tokens=st.integers(1, 400),
    max_wait=st.sampled_from([0.0, 0.001]),
    deadline=st.just(PATIENT),
    max_padding_fraction=st.sampled_from([0.0, 0.25, 1.0]),
    batch_cost=st.sampled_from([0, 10]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(sizes, min_size=1, max_size=8), limits)
def test_every_caller_gets_its_outputs_in_order_and_no_batch_breaks_the_limits(
    calls: list[list[int]], limits: BatchLimits
) -> None:
    batches: list[list[int]] = []

    def run(batch: Sequence[int]) -> list[int]:
        batches.append(list(batch))
        return double(batch)

    lane = lane_of(run, limits)
    with ThreadPoolExecutor(len(calls)) as pool:
        assert list(pool.map(lane.map, calls)) == [double(items) for items in calls]
    assert sorted(itertools.chain(*batches)) == sorted(itertools.chain(*calls))
    for batch in batches:
        padded = max(batch) * len(batch)
        assert len(batch) <= limits.batch_items
        assert len(batch) == 1 or padded <= limits.batch_tokens
        assert padded - sum(batch) <= max(limits.max_padding_fraction * padded, limits.batch_cost)
    stats = lane.stats()
    assert (stats.batches, stats.items, stats.tokens) == (len(batches), sum(map(len, calls)), sum(map(sum, calls)))
    assert (stats.waiting_items, stats.waiting_tokens) == (0, 0)


@settings(max_examples=60, deadline=None)
@given(st.lists(sizes.filter(bool), min_size=1, max_size=12), limits)
def test_nobody_starves(calls: list[list[int]], limits: BatchLimits) -> None:
    """Every batch holds an item of the oldest call, however many calls of whatever size come after it."""
    waiting = BatchQueue(limits)
    open_calls = []
    for items in calls:
        open_calls.append(PendingRequest(items, items, 0.0))
        waiting.push(open_calls[-1])
        begin(waiting, open_calls, limits)
    while open_calls:
        begin(waiting, open_calls, limits)
    assert waiting.oldest() is None and waiting.size() == (0, 0)


def begin(waiting: BatchQueue, open_calls: list[PendingRequest], limits: BatchLimits) -> None:
    oldest = waiting.oldest()
    assert oldest is open_calls[0]
    anchor = oldest.longest()
    assert anchor is not None
    low, high, _ = waiting.find_batch(anchor, limits.batch_tokens)
    assert anchor in waiting.take(low, high)
    open_calls[:] = [call for call in open_calls if len(call.started) < len(call.items)]


def test_similar_lengths_share_a_batch() -> None:
    run = Held()
    run.go.release(2)
    lane_of(run, replace(WAIT, batch_items=4)).map([100, 9, 101, 10, 99, 8, 100, 11])
    assert [sorted(batch) for batch in run.batches] == [[99, 100, 100, 101], [8, 9, 10, 11]]


def test_nothing_asked_is_nothing_run() -> None:
    lane = lane_of()
    assert lane.map([]) == []
    assert lane.stats() == batch_scheduler.BatchStats(0, 0, 0, 0.0, 0, 0, 0, 0.0, 0.0)


@pytest.mark.parametrize(
    "wrong", [{"batch_tokens": 0}, {"batch_items": 0}, {"max_wait": -1.0}, {"max_padding_fraction": 1.5}]
)
def test_limits_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(CompressorError):
        BatchLimits(**wrong)  # type: ignore[arg-type]


# -- gathering


def test_lanes_of_one_device_never_run_two_batches_at_once_and_those_of_two_devices_do() -> None:
    running, most, names = 0, 0, set()
    lock, both = threading.Lock(), threading.Barrier(2)

    def run(batch: Sequence[int]) -> list[int]:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            names.add(threading.current_thread().name)
        time.sleep(0.001)
        with lock:
            running -= 1
        return double(batch)

    device = next(DEVICES)
    lanes = [lane_of(run, device=device), lane_of(run, device=device)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: lanes[k % 2].map([k + 1] * 20), range(16)))
    assert (most, names) == (1, {f"compressor {device}"})

    def meet(batch: Sequence[int]) -> list[int]:
        both.wait(PATIENT)
        return double(batch)

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda lane: lane.map([1]), [lane_of(meet), lane_of(meet)])) == [[2], [2]]


def test_what_comes_while_a_batch_runs_shares_the_next_one() -> None:
    run = Held()
    lane = lane_of(run)
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(lane.map, [50])
        run.wait()
        others = [pool.submit(lane.map, [k]) for k in range(20, 28)]
        until(lambda: lane.stats().waiting_items == 8)
        run.go.release(2)
        assert first.result() == [100] and [f.result() for f in others] == [[2 * k] for k in range(20, 28)]
    assert [len(batch) for batch in run.batches] == [1, 8]


def test_a_caller_alone_pays_no_window() -> None:
    lane = lane_of(limits=replace(WAIT, max_wait=60.0))
    start = time.monotonic()
    assert lane.map([3]) == [6] and lane.map([4]) == [8]
    assert time.monotonic() - start < 30


def test_callers_in_company_wait_for_each_other_until_the_batch_is_full_or_the_window_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = Held()
    run.go.release(3)
    lane = lane_of(run, replace(WAIT, max_wait=60.0, batch_items=8))
    monkeypatch.setattr(lane, "_crowded_until", float("inf"))
    start = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lane.map, [[1]] * 8)) == [[2]] * 8
    assert time.monotonic() - start < 30
    lane.limits = replace(lane.limits, max_wait=0.02)
    start = time.monotonic()
    assert lane.map([1]) == [2]
    assert 0.02 <= time.monotonic() - start < 30
    assert [len(batch) for batch in run.batches] == [8, 1]


def test_two_calls_at_once_are_company() -> None:
    run = Held()
    lane = lane_of(run)
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(lane.map, [1]) for _ in range(2)]
        until(lambda: lane._open == 2)
        assert lane._crowded_until > time.monotonic()
        run.go.release(2)
        assert [future.result() for future in futures] == [[2], [2]]
    assert lane._open == 0


# -- memory and errors


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
        MemoryError(),
        Exception("Failed to allocate memory"),
    ],
)
def test_out_of_memory_halves_the_batch_and_remembers(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []

    def run(batch: Sequence[int]) -> list[int]:
        if max(batch) * len(batch) > 100:
            raise error
        done.append(len(batch))
        return double(batch)

    lane = lane_of(run)
    items = [20 + k % 4 for k in range(64)]
    assert lane.map(items) == double(items)
    assert set(done) == {4}
    short = lane.stats().out_of_memory
    assert short == 3  # 16, then 8 twice; after that no batch was too large
    assert lane.map(items) == double(items) and lane.stats().out_of_memory == short
    monkeypatch.setattr(lane, "_shrunk_until", 0.0)  # a while later it tries again
    assert lane.map(items) == double(items) and lane.stats().out_of_memory > short


def test_an_item_that_does_not_fit_fails_its_own_caller_and_says_its_size() -> None:
    def run(batch: Sequence[int]) -> list[int]:
        if max(batch) > 70:
            raise RuntimeError("MPS backend out of memory")
        return double(batch)

    held = Held()
    device = next(DEVICES)
    first, lane = lane_of(held, device=device), lane_of(run, device=device)
    with ThreadPoolExecutor(3) as pool:
        pool.submit(first.map, [1])
        held.wait()
        bad, good = pool.submit(lane.map, [71, 70]), pool.submit(lane.map, [69, 68])
        until(lambda: lane.stats().waiting_items == 4)
        held.go.release()
        with pytest.raises(ModelError, match="an item of 71 tokens"):
            bad.result()
        assert good.result() == [138, 136]


@pytest.mark.parametrize("error", [ValueError("13 is bad luck"), SystemExit(3), ModelError("13 is bad luck")])
def test_one_callers_poison_is_its_own(error: BaseException) -> None:
    batches: list[list[int]] = []

    def run(batch: Sequence[int]) -> list[int]:
        batches.append(list(batch))
        if 13 in batch:
            raise error
        return double(batch)

    held = Held()
    device = next(DEVICES)
    first, lane = lane_of(held, device=device), lane_of(run, device=device)
    with ThreadPoolExecutor(4) as pool:
        pool.submit(first.map, [1])
        held.wait()
        futures = [pool.submit(lane.map, items) for items in ([12, 14], [13, 12], [14, 14])]
        until(lambda: lane.stats().waiting_items == 6)
        held.go.release()
        assert futures[0].result() == [24, 28] and futures[2].result() == [28, 28]
        with pytest.raises(ModelError) as caught:
            futures[1].result()
    assert caught.value is error or (caught.value.__cause__ is error and "tiny on test" in str(caught.value))
    assert len(batches) == 4  # together, then each of three once
    assert lane.map([5]) == [10]


def test_a_failed_call_is_not_computed_further() -> None:
    def run(batch: Sequence[int]) -> list[int]:
        raise ValueError("no")

    lane = lane_of(run)
    with pytest.raises(ModelError, match="ValueError: no"):
        lane.map([1] * 100)
    assert lane.stats().waiting_items == 0


@pytest.mark.parametrize("outs", [[], [1, 2, 3], None])
def test_a_wrong_number_of_outputs_is_an_error(outs: list[int]) -> None:
    with pytest.raises(ModelError):
        lane_of(lambda batch: outs).map([4, 5])


def test_an_error_of_size_is_the_callers() -> None:
    lane: BatchScheduler[str, int] = BatchScheduler(lambda batch: [0], int, next(DEVICES), WAIT)
    with pytest.raises(ValueError):
        lane.map(["x"])
    assert lane.stats().waiting_items == 0


# -- deadline and queue


def test_past_its_deadline_a_call_fails_and_what_was_not_begun_is_not_run() -> None:
    run = Held()
    lane = lane_of(run, replace(WAIT, batch_items=2))
    with pytest.raises(
        QueueFullError, match=r"tiny on test:\d+ did not finish within 0.5 s: 0 of 6 items done; 4 items"
    ):
        lane.map([7, 7, 7, 7, 7, 7], deadline=0.5)
    run.go.release(2)
    assert lane.map([9]) == [18]
    assert run.batches == [[7, 7], [9]]
    assert lane.stats().waiting_items == 0


def test_the_lanes_own_deadline_and_none() -> None:
    run = Held()
    with pytest.raises(QueueFullError):
        lane_of(run, BatchLimits(deadline=0.01)).map([1])
    assert lane_of(limits=BatchLimits(deadline=None)).map([1]) == [2]
    run.go.release()


def test_a_full_queue_makes_callers_wait_and_a_large_call_enters_an_empty_one() -> None:
    run = Held()
    lane = lane_of(run, replace(WAIT, queue_tokens=100, batch_items=1))
    with ThreadPoolExecutor(3) as pool:
        large = pool.submit(lane.map, [90, 91, 92])
        run.wait()
        with pytest.raises(QueueFullError, match="still waiting to enter"):
            lane.map([1], deadline=0.01)
        later = pool.submit(lane.map, [20])
        until(lambda: lane.stats().waiting_items == 3)
        run.go.release(4)
        assert large.result() == [180, 182, 184] and later.result() == [40]
    assert run.batches[-1] == [20]  # there was room for it only when the others had begun


def test_waits_and_the_queue_are_counted() -> None:
    run = Held()
    lane = lane_of(run, replace(WAIT, batch_items=4))
    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(lane.map, [10])]
        run.wait()
        futures.append(pool.submit(lane.map, [10, 8]))
        until(lambda: lane.stats().waiting_tokens == 18)
        time.sleep(0.2)
        run.go.release(2)
        for future in futures:
            future.result()
    stats = lane.stats()
    assert (stats.batches, stats.items, stats.tokens, stats.waiting_items) == (2, 3, 28, 0)
    assert stats.padding == pytest.approx(2 / 30)
    assert stats.wait_p50 == min(lane._waits) and lane._waits[1] >= 0.2


# -- deadlines


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(sizes, st.sampled_from([0.0, 0.001, 0.005, PATIENT])), min_size=1, max_size=16), limits)
def test_deadlines_among_answers_leave_nothing_behind(
    calls: list[tuple[list[int], float]], limits: BatchLimits
) -> None:
    def run(batch: Sequence[int]) -> list[int]:
        time.sleep(0.0003)
        if len(batch) > 4:
            raise MemoryError
        if 13 in batch:
            raise ValueError
        return double(batch)

    lane = lane_of(run, limits)

    def ask(call: tuple[list[int], float]) -> None:
        items, deadline = call
        try:
            assert lane.map(items, deadline) == double(items) and 13 not in items
        except ModelError:
            assert 13 in items
        except QueueFullError:
            assert deadline < PATIENT

    with ThreadPoolExecutor(len(calls)) as pool:
        list(pool.map(ask, calls))
    assert lane.map([3, 4, 5]) == [6, 8, 10]
    assert (lane._open, lane.stats().waiting_items, lane.stats().waiting_tokens) == (0, 0, 0)


# -- the ends of threads and processes


def test_the_thread_ends_when_idle_and_starts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_worker, "IDLE_SECONDS", 0.01)
    lane = lane_of()
    for _ in range(3):
        assert lane.map([2]) == [4]
        until(lambda: lane._worker._thread is None)


@pytest.mark.moderate
def test_a_worker_keeps_no_model_alive() -> None:
    lane = lane_of()
    lane.map([2])
    gone = weakref.ref(lane)
    del lane
    until(lambda: gc.collect() >= 0 and gone() is None)


def test_a_worker_that_cannot_start_is_overloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    lane = lane_of()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(QueueFullError, match="can't start new thread"):
            lane.map([1])
    assert lane.map([1]) == [2]


START = """
import os, sys, threading, time
from compressor.errors import QueueFullError
from compressor.scoring.runtime.batch_scheduler import BatchScheduler
from compressor.scoring.runtime.batch_queue import BatchLimits
begun = threading.Event()
def run(batch):
    begun.set()
    time.sleep(batch[0] / 1000)
    return batch
lane = BatchScheduler(run, lambda item: item, "cpu", BatchLimits())
"""


def script(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", START + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENT)


@pytest.mark.moderate
@pytest.mark.parametrize(
    "code",
    [
        "assert lane.map([1, 2]) == [1, 2]",
        "threading.Thread(target=lane.map, args=([100_000],), daemon=True).start(); begun.wait()",
        "threading.Thread(target=lane.map, args=([100],)).start(); begun.wait()",
    ],
    ids=["idle", "busy for ever", "busy for a moment"],
)
def test_the_interpreter_ends(code: str) -> None:
    start = time.monotonic()
    done = script(code)
    assert (done.returncode, done.stderr) == (0, "")
    assert time.monotonic() - start < 60


@pytest.mark.moderate
def test_no_work_is_taken_when_the_interpreter_is_about_to_end() -> None:
    code = """
import atexit
from compressor.scoring.runtime import device_worker as worker
def late():
    try:
        lane.map([1])
    except QueueFullError as error:
        print(error)
atexit.unregister(worker._stop)
atexit.register(late)
atexit.register(worker._stop)
lane.map([1])
"""
    done = script(code)
    assert "is ending" in done.stdout, done.stderr


@pytest.mark.moderate
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_makes_its_own_worker() -> None:
    code = """
threading.Thread(target=lane.map, args=([300, 300, 300],), daemon=True).start()
begun.wait()
with lane._worker.changed:  # forked with the lock held: the child must not find it taken
    child = os.fork()
if child == 0:
    ok = lane.map([1, 2, 3]) == [1, 2, 3] and lane.stats().items == 3
    os._exit(0 if ok else 7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert lane.map([1]) == [1]
"""
    done = script(code)
    assert (done.returncode, done.stderr) == (0, "")
