"""Closing a socket on which clients connect."""

from __future__ import annotations

import socket
import sys
import time

import pytest

from compressor.service.processes.listening_sockets import accept_waiting, listen, refuse_new_connections


@pytest.mark.skipif(sys.platform != "linux", reason="other kernels cannot refuse connections to an open socket")
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_new_connections_are_refused_and_those_that_wait_are_served(host: str) -> None:
    sockets = listen(host, 0)
    port = sockets[0].getsockname()[1]
    clients = [socket.create_connection(("127.0.0.1", port), 5) for _ in range(20)]
    for one in sockets:
        refuse_new_connections(one)
    start = time.monotonic()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)
    assert time.monotonic() - start < 0.9  # at the first attempt: a second one comes after a second
    accepted = [taken for one in sockets for taken in accept_waiting(one)]
    for one in sockets:
        one.close()
    assert len(accepted) == 20
    by_client = {taken.getpeername()[1]: taken for taken in accepted}
    for client in clients:
        taken = by_client[client.getsockname()[1]]
        taken.setblocking(True)
        client.sendall(b"ask")
        assert taken.recv(3) == b"ask"
        taken.sendall(b"answer")
        assert client.recv(6) == b"answer"
        client.close()
        taken.close()
