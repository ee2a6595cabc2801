"""Serves in one process with uvicorn: listens, and shuts down without losing a request.

The first SIGTERM or SIGINT starts the shutdown: `/readyz` answers 503 at once; after `shutdown_delay` seconds no new
connection is accepted; requests in flight have `shutdown_timeout` seconds to finish; pending writes are written to the
store; the exit code is 0. A second signal ends the process at once.
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

BACKLOG = 2048  # connections that may wait to be accepted
CLEANUP_TIMEOUT = 5.0  # seconds for what follows the requests: the last writes to the store, threads that end
log = logging.getLogger("compressor.service")


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


def serve(settings: Settings, sockets: list[socket.socket], ready: Callable[[], None] | None = None) -> None:
    """Serves on these sockets until a signal ends it.

    Args:
        settings: The settings of the service.
        sockets: The listening sockets.
        ready: Called when this process accepts requests; given in a worker of several.

    Raises:
        CompressorError: The service cannot start, for a reason that `create_app` raises or that is in the log.
        StoreError: Some pending writes could not be written to the store.
    """
    from compressor.service.app import create_app

    app = create_app(settings)
    gc.collect()
    gc.freeze()  # what is loaded by now stays in memory, so garbage collections need not visit it
    server = Server(app, settings, ready)
    server.run(sockets)
    if not server.started:
        raise CompressorError("the service could not start: see the log for the reason")
    if getattr(server.lifespan, "shutdown_failed", False):
        raise StoreError("the service ended before all pending values were stored: see the log for what is lost")


class Server(uvicorn.Server):
    """uvicorn's server with a shutdown that load balancers can see.

    uvicorn alone has neither a delay between the signal and the closing of the sockets nor a limit for busy threads, it
    ends with the signal instead of exit code 0, and a second SIGTERM does not end it.

    A worker of several reacts to SIGTERM only, and only to the first: a terminal or systemd sends signals to all
    processes, and the supervisor sends SIGTERM again.

    Args:
        app: The application.
        settings: The settings of the service.
        ready: Called when this process accepts requests; given in a worker of several.
    """

    def __init__(self, app: RequestHandler, settings: Settings, ready: Callable[[], None] | None = None) -> None:
        options = server_options(settings)
        if ready is not None:
            # asyncio accepts up to `backlog` connections in a row, before another worker can; 1 shares them evenly.
            options["backlog"] = 1
        super().__init__(uvicorn.Config(app, **options))
        self._app, self._settings, self._ready = app, settings, ready
        self._stop_time, self._is_finished = math.inf, False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Starts the shutdown at the first signal, and ends the process at the second."""
        if self._ready is not None and sig != signal.SIGTERM:
            return
        if self._stop_time == math.inf:
            self._app.drain()
            self._stop_time = time.monotonic() + self._settings.shutdown_delay  # a timer would not be signal-safe
        elif self._ready is None:
            os._exit(128 + sig)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to accept requests, and says so."""
        await super().startup(sockets)
        if self._ready is not None and self.started:
            for one in sockets or []:
                one.listen(BACKLOG)  # asyncio has set it to 1, see above
            self._ready()

    async def on_tick(self, counter: int) -> bool:
        """Returns True when it is time to stop; uvicorn calls this ten times a second."""
        self.should_exit = self.should_exit or time.monotonic() >= self._stop_time
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finishes the requests in flight; ends the process if that takes too long, as a thread may be busy."""
        log.info("draining")
        timeout = self._settings.shutdown_timeout + CLEANUP_TIMEOUT
        timer = threading.Timer(timeout, lambda: os._exit(int(not self._is_finished)))
        timer.daemon = True
        timer.start()
        await super().shutdown(sockets)
        self._is_finished = True  # from here on nothing can be lost


def server_options(settings: Settings) -> dict[str, Any]:
    """Returns the options of `uvicorn.Config`.

    uvicorn's access log is off, because a path may begin with a key; the service logs the route instead.
    """
    return {
        "access_log": False,
        "log_config": None,
        "proxy_headers": False,  # a client is who is connected, whatever a header says
        "server_header": False,
        "date_header": False,
        "http": TimeoutHttpProtocol,
        "timeout_keep_alive": KEEP_ALIVE,
        "timeout_graceful_shutdown": math.ceil(settings.shutdown_timeout),
        "h11_max_incomplete_event_size": 65_536,
        "ws": "auto" if settings.websockets else "none",
        "ws_max_size": settings.max_body_bytes,
        "backlog": BACKLOG,
        "ssl_certfile": settings.tls_cert,
        "ssl_keyfile": settings.tls_key,
    }
