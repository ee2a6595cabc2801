"""Calls that are made at once reach a session in the order of the caller."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest

from compressor import Compressor
from compressor.sessions import AsyncSession
from compressor.sessions.call_queue import CallQueue


def test_appends_of_one_event_loop_are_applied_in_call_order(tmp_path: Any) -> None:
    async def work(session: AsyncSession) -> list[Any]:
        # Two objects for one session, as two parts of a program may have.
        both = session, AsyncSession(session.session)
        await asyncio.gather(*(both[i % 2].append({"role": "user", "content": f"word {i}"}) for i in range(200)))
        return await session.view()

    session = AsyncSession(Compressor(store=str(tmp_path / "s.db")).session("a"))
    view = asyncio.run(work(session))
    assert [message["content"] for message in view] == [f"word {i}" for i in range(200)]


def test_a_failed_and_a_cancelled_call_do_not_hold_up_the_others() -> None:
    order: list[str] = []
    started, may_end = threading.Event(), threading.Event()

    def call(name: str) -> str:
        started.set()
        assert may_end.wait(60)
        order.append(name)
        if name == "bad":
            raise ValueError(name)
        return name

    async def work() -> None:
        queue = CallQueue()
        first = asyncio.ensure_future(queue.run(call, "slow"))
        await asyncio.to_thread(started.wait)
        rest = [asyncio.ensure_future(queue.run(call, name)) for name in ("bad", "cancelled", "last")]
        await asyncio.sleep(0)
        rest[1].cancel()
        await asyncio.wait({rest[1]})
        may_end.set()
        assert await first == "slow" and await rest[2] == "last"
        with pytest.raises(ValueError, match="bad"):
            await rest[0]
        assert await queue.run(call, "after") == "after"

    asyncio.run(work())
    assert order == ["slow", "bad", "last", "after"]


def test_a_call_sees_the_context_of_its_caller() -> None:
    tenant: contextvars.ContextVar[str] = contextvars.ContextVar("tenant", default="none")

    async def one(queue: CallQueue, name: str) -> str:
        tenant.set(name)
        return await queue.run(tenant.get)

    async def work() -> list[str]:
        queue = CallQueue()
        return list(await asyncio.gather(*(one(queue, name) for name in "abc")))

    assert asyncio.run(work()) == ["a", "b", "c"]


def test_a_queue_serves_several_event_loops() -> None:
    queue, done = CallQueue(), []

    def loop(name: str) -> None:
        async def work() -> None:
            for i in range(20):
                done.append(await queue.run(f"{name}{i}".upper))

        asyncio.run(work())

    threads = [threading.Thread(target=loop, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == sorted(f"{name.upper()}{i}" for name in "abc" for i in range(20))
