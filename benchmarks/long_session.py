"""Measures a session of 2,000 steps: does a step take longer in a longer session, and does a crash change a byte?

Recorded sessions, one after the other, form one agent's run. A session of ours in a SQLite store follows it twice: once
undisturbed, and once in a process that is killed (SIGKILL) at random moments and started again. Both must produce the
same views.

    python -m benchmarks.long_session MESSAGES STORE VIEWS     runs that process; it goes on where VIEWS ends
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, zip_longest
from pathlib import Path
from typing import Any

from benchmarks.data import REPOSITORY, records
from benchmarks.report import Report
from benchmarks.runs_chains import join_sessions
from benchmarks.tokens import Message

MODEL = None  # the default: gpt-4o
STEPS = 2_000
KILLS = 12
SEED = 4


@dataclass(frozen=True)
class Step:
    """One call: a digest of its view's bytes, the view's number of messages, the seconds taken, and bytes of memory."""

    number: int
    digest: str
    messages: int
    seconds: float
    memory: int


def take_steps(sessions: Sequence[Any], steps: int) -> list[Message]:
    """Joins the sessions, repeated if there are too few, until they have `steps` assistant messages."""
    picked, left = [], steps
    for session in cycle(sessions):
        picked.append(session)
        left -= sum(m["role"] == "assistant" for m in session["messages"])
        if left <= 0:
            break
    messages = join_sessions(picked)
    ends = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    return messages[: ends[steps - 1] + 1]


def play_session(messages: Path, store: Path, views: Path) -> None:
    """Feeds the messages to the session in the store, from the first call whose view is not yet in `views`."""
    from compressor import Compressor

    history: list[Message] = json.loads(messages.read_text(encoding="utf-8"))
    calls = [i for i, m in enumerate(history) if m["role"] == "assistant"]
    done = len(read_steps(views))
    session = Compressor(store=str(store)).session("marathon", model=MODEL)
    out = os.open(views, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for number in range(done, len(calls)):
        start = time.perf_counter()
        if number == done:
            session.sync(history[: calls[number]])  # the session may have some of it already
        else:
            session.append(*history[calls[number - 1] : calls[number]])
        view = session.view()
        seconds = time.perf_counter() - start
        text = json.dumps(view, ensure_ascii=False)
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
        os.write(out, f"{number} {digest} {len(view)} {seconds:.6f} {_memory()}\n".encode())


def read_steps(views: Path) -> list[Step]:
    """Reads the steps of a file of views, and removes a last line that a kill cut off."""
    if not views.exists():
        return []
    data = views.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        views.write_bytes(whole)
    rows = [line.split() for line in whole.decode().splitlines()]
    return [Step(int(n), digest, int(size), float(s), int(memory)) for n, digest, size, s, memory in rows]


def run_session(history: list[Message], folder: Path, kills: Sequence[int] = ()) -> tuple[list[Step], int]:
    """Runs all steps of a session in its own process, which is killed soon after each step in `kills`.

    Returns the steps, and how often the process was killed. Raises RuntimeError if it fails by itself.
    """
    messages, views = folder / "messages.json", folder / "views"
    messages.write_text(json.dumps(history), encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks.long_session", str(messages), str(folder / "store.db"), str(views)]
    delays, killed = random.Random(SEED), 0
    for stop in [*kills, None]:
        with subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as process:
            if stop is not None:
                while process.poll() is None and _lines(views) <= stop:
                    time.sleep(0.002)
                time.sleep(delays.random() * 0.02)
                process.kill()
            error = process.stderr.read() if process.stderr else ""
        killed += process.returncode == -signal.SIGKILL
        if process.returncode not in (0, -signal.SIGKILL):
            raise RuntimeError(f"the process of the long session failed: {error[-2000:]}")
    return read_steps(views), killed


def _lines(views: Path) -> int:
    return views.read_bytes().count(b"\n") if views.exists() else 0


def _memory() -> int:
    """Returns the bytes of memory of this process; 0 if the system does not report them."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def compare(undisturbed: Sequence[Step], killed: Sequence[Step]) -> list[int]:
    """Returns the numbers of the steps whose views differ or are missing."""
    return [i for i in range(len(undisturbed)) if i >= len(killed) or killed[i].digest != undisturbed[i].digest]


def run(root: Path, limit: int | None, methods: list[str]) -> Report:
    """Measures both runs. `limit`: steps (default 2,000)."""
    files = [list(records(path)) for path in sorted((root / "sessions").glob("*.jsonl.gz"), reverse=True)]
    mixed = [session for group in zip_longest(*files) for session in group if session is not None]
    history = take_steps(mixed, limit or STEPS)
    count = sum(m["role"] == "assistant" for m in history)
    kills = sorted(random.Random(SEED).sample(range(count), min(KILLS, count)))
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        undisturbed, _ = run_session(history, Path(one))
        killed, times = run_session(history, Path(two), kills)
        size = sum(path.stat().st_size for path in Path(one).glob("store.db*"))
    wrong = compare(undisturbed, killed)
    rows = [_row(f"quarter {i + 1}", part) for i, part in enumerate(_quarters(undisturbed))]
    table = [["steps", "ms a step p50 / p95", "memory, MB", "messages in view"]]
    table += [
        [
            f"{row['from']} to {row['to']}",
            f"{1e3 * row['p50']:.1f} / {1e3 * row['p95']:.1f}",
            f"{row['memory'] / 1e6:.0f}",
            f"{row['messages']:.0f}",
        ]
        for row in rows
    ]
    crash = {
        "kills": kills,
        "killed": times,
        "differ": wrong,
        "steps": count,
        "raw messages": len(history),
        "store bytes": size,
    }
    notes = [
        f"A session of ours over {len(history):,} recorded messages, {count:,} model calls, in a SQLite store: time",
        "and memory of its process by quarters (a step is the new messages appended and the view). A second process",
        f"was killed (SIGKILL) {times} times, soon after random steps, and started again each time:",
        f"**{count - len(wrong):,} of {count:,} views have the same bytes.**",
    ]
    return Report("marathon", f"A session of {count:,} steps", notes, table, [*rows, crash])


def _row(name: str, steps: Sequence[Step]) -> dict[str, Any]:
    """Returns the median time and memory of some steps, without the session's first step, which loads modules."""
    seconds = sorted(s.seconds for s in steps if s.number)
    return {
        "name": name,
        "from": steps[0].number + 1,
        "to": steps[-1].number + 1,
        "p50": statistics.median(seconds),
        "p95": seconds[int(0.95 * (len(seconds) - 1))],
        "memory": statistics.median(s.memory for s in steps),
        "messages": statistics.fmean(s.messages for s in steps),
    }


def _quarters(steps: Sequence[Step]) -> list[Sequence[Step]]:
    size = len(steps) // 4
    return [steps[i * size : (i + 1) * size] for i in range(4)]


if __name__ == "__main__":
    play_session(*map(Path, sys.argv[1:4]))
