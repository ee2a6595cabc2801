"""Serves in one process: listens, and ends as it should.

The first SIGTERM or SIGINT drains: `/readyz` says no at once; after `linger` seconds nothing new is accepted; what is
under way has `drain` seconds to be over; what waits to be written is written; the exit code is 0. A second one ends
everything at once. Knows no requests, and no other process (`workers`).
"""

from __future__ import annotations

import errno
import gc
import logging
import math
import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn

from compressor.errors import CompressorError, StoreError
from compressor.service.http_protocol import KEEP_ALIVE, TimeoutHttpProtocol
from compressor.service.settings import Settings

if TYPE_CHECKING:
    from compressor.service.request_handler import RequestHandler

BACKLOG = 2048  # connections that wait to be taken
LATE = 5.0  # seconds for what follows the drain: the store's last writes, threads that end
log = logging.getLogger("compressor.service")


def listen(host: str, port: int) -> list[socket.socket]:
    """Sockets on every address of the host, all on one port; 0: any that is free. CompressorError if that cannot be
    had."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise CompressorError(f"the host {host!r} is not known: give an address of this machine") from None
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in sorted(set(found)):
            # With the protocol named, or asyncio leaves Nagle on and answers wait 40 ms.
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
                sockets.pop().close()  # localhost has an IPv6 address also where there is no IPv6
                continue
            port = one.getsockname()[1]
    except OSError as error:
        for one in sockets:
            one.close()
        known = {errno.EADDRINUSE: "it is in use, give another port", errno.EADDRNOTAVAIL: "it is not this machine's"}
        why = known.get(error.errno or 0, error.strerror or str(error))
        raise CompressorError(f"cannot listen on {host}, port {port}: {why}") from None
    return sockets


def check_tls(settings: Settings) -> None:
    """CompressorError if the certificate or its key cannot be read, or they are not of each other."""
    if not (settings.tls_cert and settings.tls_key):
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_cert, settings.tls_key, _no_password)
    except OSError as error:  # ssl.SSLError is one
        why = (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or str(error)
        pair = f"the certificate {settings.tls_cert!r} with the key {settings.tls_key!r}"
        raise CompressorError(f"{pair} cannot be used: {why}") from None


def _no_password() -> str:
    raise CompressorError("the TLS key has a password: give one without, in a file that only this user may read")


def serve(settings: Settings, sockets: list[socket.socket], ready: Callable[[], None] | None = None) -> None:
    """Serves on these sockets until told to end, as one of several processes if `ready` is to be told when it accepts.
    Raises what `create_app` does, and StoreError if the store has lost what it still had to write."""
    from compressor.service.app import create_app

    app = create_app(settings)
    gc.collect()
    gc.freeze()  # what is loaded by now stays: no collection has to look at it again
    server = Server(app, settings, ready)
    server.run(sockets)
    if not server.started:
        raise CompressorError("the service could not start: the log says why")
    if getattr(server.lifespan, "shutdown_failed", False):
        raise StoreError("the service ended, and not all was written before that: the log says what is lost")


class Server(uvicorn.Server):
    """uvicorn's, with a drain that balancers can see, an end that nothing can put off, and 0 for an exit code.

    One of several processes hears SIGTERM only, and that only once: it gets what a terminal or systemd sends to all,
    and from its supervisor the same again."""

    def __init__(self, app: RequestHandler, settings: Settings, ready: Callable[[], None] | None = None) -> None:
        options = server_options(settings)
        if ready is not None:
            # asyncio takes `backlog` connections at a time before any other process can: one leaves some for them.
            options["backlog"] = 1
        super().__init__(uvicorn.Config(app, **options))
        self._app, self._settings, self._ready = app, settings, ready
        self._stops, self._ended = math.inf, False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Drains, or ends."""
        if self._ready is not None and sig != signal.SIGTERM:
            return
        if self._stops == math.inf:
            self._app.drain()
            self._stops = time.monotonic() + self._settings.shutdown_delay
        elif self._ready is None:
            os._exit(128 + sig)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to accept."""
        await super().startup(sockets)
        if self._ready is not None and self.started:
            for one in sockets or []:
                one.listen(BACKLOG)  # the queue itself has to be long all the same
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; whether to end."""
        self.should_exit = self.should_exit or time.monotonic() >= self._stops
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends what has to end, and the process if that takes too long: a thread may be busy for minutes."""
        log.info("draining")
        late = threading.Timer(self._settings.shutdown_timeout + LATE, lambda: os._exit(int(not self._ended)))
        late.daemon = True
        late.start()
        await super().shutdown(sockets)
        self._ended = True  # from here on nothing is lost


def server_options(settings: Settings) -> dict[str, Any]:
    """What uvicorn is told. Its access log is off: a path may begin with a key; ours has the route only."""
    return {
        "access_log": False,
        "log_config": None,
        "proxy_headers": False,  # who asks is who is connected, whatever a header says
        "server_header": False,
        "date_header": False,
        "http": TimeoutHttpProtocol,
        "timeout_keep_alive": KEEP_ALIVE,
        "timeout_graceful_shutdown": math.ceil(settings.shutdown_timeout),
        "h11_max_incomplete_event_size": 65_536,
        "ws": "none",
        "backlog": BACKLOG,
        "ssl_certfile": settings.tls_cert,
        "ssl_keyfile": settings.tls_key,
    }
