"""An append that was not answered is sent again: nothing is added twice, nor taken for ours if others added it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from compressor import Compressor, SessionConflictError
from compressor.sessions import Policy
from support.service_tools import Service, error_of
from support.session_tools import conversation


def test_what_is_there_is_not_added_again() -> None:
    session = Compressor(store="memory").session("a")
    messages: list[Any] = [{"role": "system", "content": "Be short."}, *({"role": "user", "content": n} for n in "abc")]
    session.append(*messages[:2], index=0)
    for _ in range(3):
        session.append(*messages[:2], index=0)
        session.append(*messages[1:3], index=1)  # part of it is there
    assert session.count == 3 and session.view() == messages[:3]
    with pytest.raises(SessionConflictError, match="has 3 messages, so `index` cannot be 4") as caught:
        session.append(messages[3], index=4)
    assert caught.value.count == 3
    with pytest.raises(SessionConflictError, match="message 2"):
        session.append(messages[3], index=2)
    with pytest.raises(SessionConflictError):
        session.append(messages[3], index=-1)
    session.append(messages[3], index=3)
    assert session.view() == messages


def test_what_has_left_the_view_is_not_taken_for_the_same() -> None:
    compressor = Compressor(store="memory")
    session = compressor.session("a", budget=3_000, policy=Policy(target=("tokens", 1_200)))
    history = conversation(40)
    for i in range(0, len(history), 4):
        for _ in range(2):
            session.append(*history[i : i + 4], index=i)
    session.view()
    assert session.count == len(history)
    with pytest.raises(SessionConflictError):
        session.append(history[40], index=40)


def test_many_workers_that_send_everything_twice() -> None:
    compressor = Compressor(store="memory")
    workers = [compressor.session("a") for _ in range(3)]
    chance = random.Random(7)
    for n in range(60):
        message = {"role": "user", "content": f"number {n}"}
        for _ in range(chance.randint(1, 3)):
            chance.choice(workers).append(message, index=n)
    assert [m["content"] for m in workers[0].view()] == [f"number {n}" for n in range(60)]


def test_over_http() -> None:
    with Service() as service:
        for _ in range(3):
            body = {"messages": [{"role": "user", "content": "one"}], "index": 0}
            answer = service.http.post("/v1/sessions/s/append", json=body)
            assert answer.json()["count"] == 1
        answer = service.http.post("/v1/sessions/s/append", json={**body, "index": 7})
        assert (answer.status_code, error_of(answer), answer.json()["error"]["count"]) == (409, "conflict", 1)


def test_the_old_name_of_index_over_http_keeps_a_repeat_safe() -> None:
    with Service() as service:
        for _ in range(2):
            body = {"messages": [{"role": "user", "content": "one"}], "at": 0}
            assert service.http.post("/v1/sessions/s/append", json=body).json()["count"] == 1
