"""The sockets that the service listens on: opens them, and closes them without losing a connection.

The kernel completes connections before a process accepts them. They wait in the socket's queue, and are reset when the
last process closes the socket. So at the end the socket is bound to a network interface that does not exist: the kernel
then refuses new connections at once, and what waits can be accepted before the socket is closed.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import suppress

from compressor.errors import CompressorError
from compressor.service.settings import Settings

BACKLOG = 2048  # connections that may wait to be accepted
HANDSHAKE_TIME = 0.1  # seconds for handshakes that are under way when new connections are refused
_SO_BINDTOIFINDEX = 62  # of Linux, not in `socket`
_NO_INTERFACE = 2**31 - 1


def listen(host: str, port: int) -> list[socket.socket]:
    """Opens listening sockets on every address of the host, all on one port.

    Args:
        host: A name or an address of this machine.
        port: The port; 0 picks a free one.

    Raises:
        CompressorError: The host is unknown, or the port cannot be used.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise CompressorError(f"The host {host!r} is unknown: give an address of this machine") from None
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in sorted(set(found)):
            # Name the protocol, or asyncio does not set TCP_NODELAY and answers wait 40 ms.
            one = socket.socket(family, kind, protocol or socket.IPPROTO_TCP)
            sockets.append(one)
            if os.name != "nt":
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                one.bind((address[0], port, *address[2:]))
                one.listen(BACKLOG)
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL or len(found) == 1:
                    raise
                sockets.pop().close()  # localhost has an IPv6 address even on machines without IPv6
                continue
            port = one.getsockname()[1]
    except OSError as error:
        for one in sockets:
            one.close()
        reasons = {
            errno.EADDRINUSE: "the port is in use, choose another one",
            errno.EADDRNOTAVAIL: "the address does not belong to this machine",
        }
        reason = reasons.get(error.errno or 0, error.strerror or str(error))
        raise CompressorError(f"Cannot listen on {host}, port {port}: {reason}") from None
    return sockets


def check_tls(settings: Settings) -> None:
    """Checks that the TLS certificate and its key can be used.

    Raises:
        CompressorError: One of the files cannot be read, or they do not belong together.
    """
    if not (settings.tls_cert and settings.tls_key):
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key, _refuse_password)
    except OSError as error:  # ssl.SSLError is one
        reason = (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or str(error)
        pair = f"the certificate {settings.tls_cert!r} with the key {settings.tls_key!r}"
        raise CompressorError(f"Cannot use {pair}: {reason}") from None


def _refuse_password() -> str:
    raise CompressorError(
        "The TLS key is encrypted with a password: give a key without one, in a file that only this user may read"
    )


def refuse_new_connections(listening: socket.socket) -> None:
    """Has the kernel refuse new connections to a socket, in all processes. Those in its queue can still be accepted.

    Does nothing where the kernel cannot (other than Linux 5.7 and later): there a connection is lost if it arrives in
    the microseconds between the last `accept_waiting` and the closing of the socket.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            listening.setsockopt(socket.SOL_SOCKET, _SO_BINDTOIFINDEX, _NO_INTERFACE)


def accept_waiting(listening: socket.socket) -> Iterator[socket.socket]:
    """Accepts the connections that wait in the queue of a socket, which may be shared with other processes."""
    listening.setblocking(False)
    with suppress(OSError):  # EAGAIN: none is left; too many open files: no more can be taken
        while True:
            accepted, _ = listening.accept()
            accepted.setblocking(False)
            yield accepted
