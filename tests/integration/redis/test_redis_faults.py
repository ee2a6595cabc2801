"""Redis is killed, stalls or sends garbage: acknowledged writes are there, once, and no call hangs."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from compressor.errors import RefError, StoreError, UnknownRefError
from compressor.storage import ResilientStore
from compressor.storage.circuit_breaker import StoreUnavailableError
from compressor.storage.redis.store import RedisStore
from support.redis_tools import ALL_SLOTS, RedisServer, free_port, shared_server
from support.store_tools import Both, noise
from support.waiting import wait_for

pytestmark = pytest.mark.slow  # they wait for what does not come; CI runs them


CALLS: dict[str, Callable[[Both], object]] = {
    "put": lambda store: store.put({"k": b"v"}),
    "get": lambda store: store.get("k"),
    "get_many": lambda store: store.get_many(["k", "l"]),  # type: ignore[attr-defined]
    "append": lambda store: store.append_log("log", 0, [b"1"], values={"k": b"v"}),
    "read": lambda store: store.read_log("log"),
    "drop": lambda store: store.drop_log("log"),
    "stats": lambda store: store.stats(),
}


# --- killed ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cluster", [False, True])
def test_killed_and_restarted_while_written_to(tmp_path: Path, cluster: bool) -> None:
    """Every acknowledged append is there with its value, once; what failed is there once or not at all."""
    server = RedisServer(tmp_path / "c", appendonly="yes", appendfsync="always", slots=ALL_SLOTS if cluster else "")
    end = threading.Event()
    acknowledged: list[dict[int, bytes]] = [{}, {}]
    refused = [0, 0]
    unexpected: list[BaseException] = []

    def work(writer: int) -> None:
        store = RedisStore(server.url)
        i = at = 0
        while not end.is_set():
            record = b"%d %d" % (writer, i)
            try:
                if store.append_log("log", at, [record], values={f"{writer}-{i}": record * 50}):
                    at += 1
                    acknowledged[writer][at] = record
                    i += 1
                else:
                    at = ([(at, b""), *store.read_log("log", at)])[-1][0]
            except StoreError:
                refused[writer] += 1
                i += 1  # what became of it is not known: never the same again
                with suppress(StoreError, RefError):
                    at = ([(at, b""), *store.read_log("log", at)])[-1][0]
            except BaseException as exc:
                unexpected.append(exc)
                return
        store.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()

    def more() -> None:
        """Waits until both have written some more."""
        before = [len(each) for each in acknowledged]
        wait_for(lambda: all(len(a) >= b + 10 for a, b in zip(acknowledged, before, strict=True)), seconds=60)

    def noticed() -> None:
        """Waits until both have been refused some more."""
        before = list(refused)
        wait_for(lambda: bool(unexpected) or all(a > b for a, b in zip(refused, before, strict=True)))

    for _ in range(3):
        more()
        server.kill()
        noticed()
        server.start()
    more()
    end.set()
    for thread in threads:
        thread.join()
    assert not unexpected
    store = RedisStore(server.url)
    wait_for(lambda: not isinstance(_outcome(store, "read"), StoreError))
    log = store.read_log("log")
    assert [number for number, _ in log] == list(range(1, len(log) + 1))
    records = [record for _, record in log]
    assert len(set(records)) == len(records)
    for writer in range(2):
        for number, record in acknowledged[writer].items():
            assert log[number - 1] == (number, record)
    for record in records:  # none without its original
        assert store.get(record.decode().replace(" ", "-")) == record * 50
    store.close()
    server.stop()


def _outcome(store: Both, call: str) -> object:
    try:
        return CALLS[call](store)
    except (StoreError, RefError) as error:
        return error


def test_a_restart_between_two_calls_goes_unnoticed(server: RedisServer) -> None:
    store = RedisStore(server.url)
    for i in range(3):
        store.put({f"k{i}": b"v"})
        assert store.append_log("log", i, [b"%d" % i])
        server.kill()
        server.start()
        assert store.get(f"k{i}") == b"v"
        assert store.read_log("log", i) == [(i + 1, b"%d" % i)]
    store.close()


# --- answers that get lost -------------------------------------------------------------------------------------------


class Cutter:
    """Stands between a store and its server. While `armed`, it passes the next script on, calls `meanwhile` when the
    server has answered, and closes the connection instead of passing the answer back."""

    def __init__(self, port: int) -> None:
        self.armed, self.cuts = 0, 0
        self.meanwhile: Callable[[], object] = lambda: None
        self._to = port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._socket.accept()[0],), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server, suppress(OSError):
            while asked := client.recv(2**20):
                server.sendall(asked)
                answer = server.recv(2**20)
                if b"EVALSHA" in asked and self.armed:
                    self.armed -= 1
                    self.cuts += 1
                    self.meanwhile()
                    return
                client.sendall(answer)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def cutter() -> Iterator[Cutter]:
    server = shared_server()
    server.admin.execute_command("FLUSHALL")
    cutter = Cutter(server.port)
    warm = RedisStore(server.url)  # all scripts are known from here on
    assert warm.append_log("warm", 0, [b"1"], values={"warm": b"v"})
    warm.read_log("warm")
    warm.drop_log("warm")
    warm.close()
    yield cutter
    cutter.close()


def test_an_append_whose_answer_was_lost_is_written_once(cutter: Cutter) -> None:
    store = RedisStore(cutter.url)
    for i in range(0, 6, 2):
        cutter.armed = 1
        assert store.append_log("log", i, [b"%d" % i, b"%d" % (i + 1)], truncate_before=i == 2, values={"k": b"v"})
        assert store.read_log("log", i) == [(i + 1, b"%d" % i), (i + 2, b"%d" % (i + 1))]
    assert cutter.cuts == 3
    cutter.armed = 3
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):  # it does not try for ever
        store.append_log("log", 6, [b"x"])
    assert cutter.cuts == 6
    store.close()


def test_an_append_whose_answer_was_lost_while_others_wrote(cutter: Cutter) -> None:
    other, store = RedisStore(shared_server().url), RedisStore(cutter.url)
    cutter.meanwhile = lambda: other.append_log("log", 1, [b"other"])
    cutter.armed = 1
    assert store.append_log("log", 0, [b"mine"])
    assert store.read_log("log") == [(1, b"mine"), (2, b"other")]
    cutter.meanwhile = lambda: other.append_log("log", 3, [b"other"], truncate_before=True)
    cutter.armed = 1
    with pytest.raises(StoreError, match="read the log"):  # it was written, and that is past finding out
        store.append_log("log", 2, [b"mine"])
    assert store.read_log("log", 3) == [(4, b"other")]
    cutter.armed = 1
    assert not store.append_log("log", 3, [b"late"])  # it was not written before, and is not now

    def anew() -> None:
        other.drop_log("log")
        assert other.append_log("log", 0, [b"other"] * 5)

    cutter.meanwhile = anew
    cutter.armed = 1
    assert not store.append_log("log", 4, [b"mine"])  # in a log that has gone with it
    assert store.read_log("log") == [(n, b"other") for n in range(1, 6)]
    for each in (other, store):
        each.close()


def test_a_put_and_a_read_whose_answers_were_lost(cutter: Cutter) -> None:
    store = RedisStore(cutter.url)
    cutter.armed = 1
    store.put({"k": noise(1, 5000)})
    assert store.append_log("log", 0, [b"1"])
    cutter.armed = 1
    assert store.read_log("log") == [(1, b"1")]
    cutter.armed = 1
    store.drop_log("log")
    assert cutter.cuts == 3
    assert store.get("k") == noise(1, 5000)
    store.close()


# --- stalled ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("cluster", [False, True])
@pytest.mark.parametrize("known", [False, True])  # connected before it stalled
def test_a_stalled_server_holds_no_call(call: str, cluster: bool, known: bool) -> None:
    server = shared_server(cluster=cluster)
    store = RedisStore(server.url, connect_timeout=0.2, timeout=0.3)
    if known:
        store.get_many(["k"])
    with server.stalled():
        start = time.monotonic()
        with pytest.raises(StoreUnavailableError):
            CALLS[call](store)
        assert time.monotonic() - start < 15
    _outcome(store, call)  # what was on its way does not confuse what comes after
    assert store.get_many(["not there"]) == {}
    store.close()


@pytest.mark.parametrize("call", CALLS)
def test_what_was_not_answered_in_time_is_not_sent_again(call: str) -> None:
    clients: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    clients.append(listening.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        store = RedisStore(f"redis://127.0.0.1:{listening.getsockname()[1]}", timeout=0.1)
        with pytest.raises(StoreUnavailableError):
            CALLS[call](store)
        store.close()
        assert len(clients) == 1
        clients[0].close()


def test_more_threads_than_redis_py_has_connections(server: RedisServer) -> None:
    store = RedisStore(server.url, connect_timeout=5.0, timeout=5.0)
    outcomes: list[object] = []
    threads = [threading.Thread(target=lambda: outcomes.append(_outcome(store, "get"))) for _ in range(150)]
    with server.stalled():
        for thread in threads:
            thread.start()
        time.sleep(0.5)  # all of them wait
    for thread in threads:
        thread.join()
    assert [type(outcome) for outcome in outcomes] == [UnknownRefError] * 150
    store.close()


def test_a_write_to_a_stalled_server_may_still_take_effect(server: RedisServer) -> None:
    store = RedisStore(server.url, timeout=0.3)
    assert store.append_log("log", 0, [b"1"])
    with server.stalled(), pytest.raises(StoreUnavailableError, match="may still take effect"):
        store.append_log("log", 1, [b"2"])
    log = store.read_log("log")
    assert log in ([(1, b"1")], [(1, b"1"), (2, b"2")])
    assert store.append_log("log", len(log), [b"3"])
    store.close()


# --- what is no Redis, or not ours -----------------------------------------------------------------------------------

GARBAGE = [
    b"garbage\r\n",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"\x00" * 100,
    b"+OK\r\n",
    b"+OK\r\n" * 20,
    b":7\r\n",
    b":x\r\n",
    b"$5\r\nhello\r\n",
    b"$-7\r\n",
    b"$9999999999999\r\n",
    b"*1\r\n:7\r\n",
    b"*3\r\n:2\r\n:1\r\n:1\r\n",
    b"*2\r\n:1\r\n*-1\r\n",
    b"*2\r\n:1\r\n$1\r\nx\r\n",
    b"*-5\r\n",
    b"-ERR unknown command\r\n",
    b"-\r\n",
    b"-MOVED 1 127.0.0.1:1\r\n",
    b"-LOADING Redis is loading the dataset in memory\r\n",
    b"",
]


@pytest.mark.parametrize(
    ("scheme", "answer"),
    [
        *(("redis", answer) for answer in GARBAGE),
        *(("redis+cluster", answer) for answer in GARBAGE[::3]),
        *(("redis+sentinel", answer) for answer in GARBAGE[::5]),
    ],
)
def test_a_server_that_answers_garbage(answer: bytes, scheme: str) -> None:
    """To everything; no call believes it."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with client, suppress(OSError):
            while client.recv(2**16) and answer:
                client.sendall(answer)

    def accept() -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    url = f"{scheme}://127.0.0.1:{listening.getsockname()[1]}" + ("/main" if "sentinel" in scheme else "")
    store = RedisStore(url, connect_timeout=0.2, timeout=0.2)
    for name in CALLS:
        start = time.monotonic()
        assert isinstance(_outcome(store, name), StoreError), name  # and nothing but our own errors comes out
        assert time.monotonic() - start < 30
    store.close()
    listening.close()


def test_nobody_there() -> None:
    store = RedisStore(f"redis://user:secret@127.0.0.1:{free_port()}")
    start = time.monotonic()
    for name in CALLS:
        error = _outcome(store, name)
        assert isinstance(error, StoreUnavailableError)
        assert "cannot be reached" in str(error)
        assert "secret" not in str(error)
    assert time.monotonic() - start < 30
    store.close()


def test_a_wrong_password(server: RedisServer) -> None:
    server.admin.execute_command("CONFIG", "SET", "requirepass", "right")
    server.admin.execute_command("AUTH", "right")

    def connections() -> int:
        found = re.findall(rb"total_connections_received:(\d+)", server.admin.execute_command("INFO", "stats"))
        return int(found[0])

    for url in (server.url, server.url.replace("127", ":wrong@127")):
        store = RedisStore(url)
        before = connections()
        for name in CALLS:
            error = _outcome(store, name)
            assert isinstance(error, StoreUnavailableError)
            assert "refuses the login" in str(error)
            assert "wrong@" not in str(error)
        assert connections() - before == len(CALLS)  # trying again is no use
        store.close()
    guarded = ResilientStore(RedisStore(server.url.replace("127", ":right-soon@127")), probe_interval=0.1)
    guarded.put({"k": b"v"})
    assert guarded.health().pending == 1
    server.admin.execute_command("CONFIG", "SET", "requirepass", "right-soon")
    server.admin.execute_command("AUTH", "right-soon")
    wait_for(lambda: guarded.health().pending == 0)
    assert guarded.append_log("log", 0, [b"1"])
    guarded.close()
    server.admin.execute_command("CONFIG", "SET", "requirepass", "")


def test_a_user_who_may_not_write(server: RedisServer) -> None:
    server.admin.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@read", "+@connection")
    owner, reader = RedisStore(server.url), RedisStore(server.url.replace("127", "reader:pw@127"))
    owner.put({"k": b"v"})
    assert reader.get("k") == b"v"
    with pytest.raises(UnknownRefError):
        reader.get("l")
    with pytest.raises(StoreUnavailableError, match=r"refuses the login .*permissions"):
        reader.put({"l": b"v"})
    needed = "eval evalsha get set exists pexpire pttl del lindex llen lrange lset rpush strlen scan info"
    server.admin.execute_command(
        "ACL", "SETUSER", "worker", "on", ">pw", "~acr:*", "-@all", *(f"+{command}" for command in needed.split())
    )
    worker = RedisStore(server.url.replace("127", "worker:pw@127"))
    for i in range(2):
        worker.put({"l": b"v"})
        assert worker.append_log("log", i, [b"1"], truncate_before=True, values={"m": b"v"})
    server.age(1000)  # uses are noted
    assert worker.get_many(["k", "l", "m"]) == {"k": b"v", "l": b"v", "m": b"v"}
    assert worker.read_log("log") == [(2, b"1")]
    assert worker.stats().entries == 3
    worker.drop_log("log")
    for each in (owner, reader, worker):
        each.close()
