"""Serves in one process with uvicorn, and shuts down without losing a request.

The first SIGTERM or SIGINT starts the shutdown: `/readyz` answers 503 at once, and responses tell their clients to
close the connection. After `shutdown_delay` seconds the connections that wait in the listening sockets are taken, and
the sockets closed; requests in flight have `shutdown_timeout` seconds to finish; pending writes are written to the
store; the exit code is 0. A second signal ends the process at once.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.server import ServerState

from compressor.errors import CompressorError, StoreError
from compressor.service.processes.drainable_app import DrainableApp
from compressor.service.processes.http_protocol import KEEP_ALIVE, TimeoutHttpProtocol
from compressor.service.processes.listening_sockets import (
    BACKLOG,
    HANDSHAKE_TIME,
    accept_waiting,
    refuse_new_connections,
)
from compressor.service.processes.probe_app import ProbeApp
from compressor.service.processes.process_link import ProcessLink
from compressor.service.processes.server_commands import Drain, Orphaned, Reconfigure, Stop
from compressor.service.settings import Settings
from compressor.service.settings_sources import LoadedSettings

if TYPE_CHECKING:
    from compressor.service.request_handler import RequestHandler

CLEANUP_TIMEOUT = 5.0  # seconds for what follows the requests: the last writes to the store, threads that end
IDLE_GRACE = 0.5  # seconds an idle connection is kept after the sockets are closed: a request may be on its way
CUT_TIMEOUT = 1.0  # seconds for requests that are cut to end
SUPERVISOR_TIMEOUT = 2.0  # seconds that a worker waits, beyond the delay, for the supervisor to tell it to stop
#: Seconds after which a thread that computes lets another one go on. The event loop waits that often, and several times
#: a request, while a large body is worked on; Python's own 5 ms are too much for it.
SWITCH_INTERVAL = 0.001
log = logging.getLogger("compressor.service")


def serve(
    start: LoadedSettings,
    sockets: Sequence[socket.socket],
    probe_sockets: Sequence[socket.socket] = (),
    link: ProcessLink | None = None,
) -> None:
    """Serves on these sockets until a signal ends it.

    Args:
        start: The settings of the service. Those that it was told to have instead are among the commands.
        sockets: The listening sockets.
        probe_sockets: Those of the probe port.
        link: What tells this process what to do.

    Raises:
        CompressorError: The service cannot start, for a reason that `create_app` raises or that is in the log.
        StoreError: Some pending writes could not be written to the store.
    """
    from compressor.service.app import create_app

    app = create_app(start.settings)
    gc.collect()
    gc.freeze()  # what is loaded by now stays in memory, so garbage collections need not visit it
    sys.setswitchinterval(SWITCH_INTERVAL)
    server = Server(app, start.settings, probe_sockets, link or ProcessLink(queue.SimpleQueue()))
    server.run([*sockets])
    if not server.started:
        raise CompressorError("the service could not start: see the log for the reason")
    if getattr(server.lifespan, "shutdown_failed", False):
        raise StoreError("the service ended before all pending values were stored: see the log for what is lost")


class Server(uvicorn.Server):
    """uvicorn's server with a shutdown that load balancers can see, and with settings that can change.

    uvicorn alone has no delay between the signal and the closing of the sockets; it resets connections that wait in
    them, and idle ones whose next request is on its way; it has no limit for busy threads; it logs a traceback for each
    request that it cuts; it ends with the signal instead of exit code 0; and a second SIGTERM does not end it.

    A worker of several reacts to SIGTERM only, and only to the first: a terminal or systemd sends signals to all
    processes, and the supervisor tells it when to stop.

    Args:
        app: The application.
        settings: The settings of the service.
        probe_sockets: The listening sockets of the probe port.
        link: What tells this process what to do.
    """

    def __init__(
        self, app: RequestHandler, settings: Settings, probe_sockets: Sequence[socket.socket], link: ProcessLink
    ) -> None:
        options = server_options(settings)
        if link.is_worker:
            # asyncio accepts up to `backlog` connections in a row, before another worker can; 1 shares them evenly.
            options["backlog"] = 1
        self._drainable = DrainableApp(app)
        super().__init__(uvicorn.Config(self._drainable, **options))
        self._app, self._settings, self._probe_sockets, self._link = app, settings, probe_sockets, link
        self._probe_servers: list[asyncio.AbstractServer] = []
        self._accepting: set[asyncio.Task[Any]] = set()
        self._stop_time, self._ends_alone, self._is_finished = math.inf, False, False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Starts the shutdown at the first signal, and ends the process at the second."""
        if self._link.is_worker and sig != signal.SIGTERM:
            return
        if self._stop_time == math.inf:
            self._begin_drain()
            delay = self._settings.shutdown_delay + (SUPERVISOR_TIMEOUT if self._link.is_worker else 0.0)
            self._ends_alone = self._link.is_worker  # unless the supervisor says otherwise
            self._stop_time = time.monotonic() + delay  # a timer would not be signal-safe
        elif not self._link.is_worker:
            os._exit(128 + sig)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts to accept requests, and says so."""
        self._run_commands()  # settings that have changed since the start
        self._link.on_start()
        await super().startup(sockets)
        if not self.started:
            return
        config = uvicorn.Config(
            ProbeApp(self._app.api, self._settings.probe_metrics),
            **{**server_options(self._settings), "lifespan": "off", "ssl_certfile": None, "ssl_keyfile": None},
        )
        config.load()
        state = ServerState()
        for one in self._probe_sockets:
            self._probe_servers.append(
                await asyncio.get_running_loop().create_server(
                    lambda: TimeoutHttpProtocol(config=config, server_state=state, app_state={}), sock=one
                )
            )
        if self._link.is_worker:
            for one in sockets or []:
                one.listen(BACKLOG)  # asyncio has set it to 1, see above
        self._link.on_ready()

    async def on_tick(self, counter: int) -> bool:
        """Returns True when it is time to stop; uvicorn calls this ten times a second."""
        self._run_commands()
        self.should_exit = self.should_exit or time.monotonic() >= self._stop_time
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finishes the requests in flight; ends the process if that takes too long, as a thread may be busy."""
        self._begin_drain()
        log.info("draining")
        timeout = self._settings.shutdown_timeout + CUT_TIMEOUT + CLEANUP_TIMEOUT
        timer = threading.Timer(timeout, lambda: os._exit(int(not self._is_finished)))
        timer.daemon = True
        timer.start()
        await self._close_sockets(sockets or [])
        await self._finish_requests()
        await self.lifespan.shutdown()
        for server in self._probe_servers:
            server.close()
        self._is_finished = True  # from here on nothing can be lost

    def _run_commands(self) -> None:
        while not self._link.commands.empty():
            command = self._link.commands.get()
            if isinstance(command, Reconfigure):
                self._reconfigure(command.settings)
            elif isinstance(command, Drain):
                self._begin_drain()
            elif isinstance(command, Stop):
                self._ends_alone, self.should_exit = False, True
            elif isinstance(command, Orphaned):
                self._begin_drain()
                self._ends_alone, self._stop_time = False, time.monotonic() + self._settings.shutdown_delay

    def _reconfigure(self, loaded: LoadedSettings) -> None:
        settings = loaded.settings
        logging.getLogger().setLevel(settings.log.upper())
        try:
            self._app.reconfigure(settings)
        except Exception as error:  # the process has to go on; the text of the error may have a secret
            log.error("the new settings are not in force in this process: %s", type(error).__name__)
        if self.config.loaded and self.config.ssl is not None:
            try:
                self.config.ssl.load_cert_chain(str(settings.tls_cert), settings.tls_key)
            except OSError as error:  # it was checked, so it has changed again, and will be reloaded again
                log.error("the TLS certificate was not reloaded: %s", error)

    def _begin_drain(self) -> None:
        self._drainable.is_draining = True
        self._app.drain()

    async def _close_sockets(self, sockets: Sequence[socket.socket]) -> None:
        """Takes the connections that wait, and closes the listening sockets."""
        if not self._ends_alone:
            for one in sockets:
                refuse_new_connections(one)
            await asyncio.sleep(HANDSHAKE_TIME)
        for one in sockets:
            for accepted in accept_waiting(one):
                task = asyncio.ensure_future(self._connect(accepted))
                self._accepting.add(task)
                task.add_done_callback(self._on_connected)
        for server in self.servers:
            server.close()
        for one in sockets:
            one.close()

    def _on_connected(self, task: asyncio.Task[Any]) -> None:
        self._accepting.discard(task)
        if not task.cancelled():
            task.exception()  # such as a failed TLS handshake, which concerns only its client

    async def _connect(self, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        make = self.config.http_protocol_class
        await loop.connect_accepted_socket(
            lambda: make(  # type: ignore[call-arg]
                config=self.config, server_state=self.server_state, app_state=self.lifespan.state
            ),
            accepted,
            ssl=self.config.ssl,
        )

    async def _finish_requests(self) -> None:
        """Waits for the requests in flight, and cuts those that take too long."""
        start, state = time.monotonic(), self.server_state
        end = start + self._settings.shutdown_timeout
        grace_end = start + min(IDLE_GRACE, self._settings.shutdown_timeout)
        while (now := time.monotonic()) < end:
            await asyncio.sleep(0.02)
            for connection in list(state.connections):
                _close_if_idle(connection, now < grace_end)
            is_handshaking = bool(self._accepting) or (self.config.is_ssl and now < grace_end)
            if not (state.connections or state.tasks or is_handshaking):
                return
        tasks = [task for task in state.tasks if not task.done()]
        for connection in list(state.connections):
            if isinstance(connection, TimeoutHttpProtocol) and connection.is_serving():
                if connection.cycle.response_started:
                    connection.cut()
            else:
                connection.shutdown()
        if tasks:
            log.warning(
                "requests cut: they took longer than the shutdown timeout",
                extra={"data": {"requests": len(tasks), "shutdown_timeout": self._settings.shutdown_timeout}},
            )
            self._drainable.cut(tasks)
            await asyncio.wait(tasks, timeout=CUT_TIMEOUT)


def _close_if_idle(connection: Any, is_grace: bool) -> None:
    """Closes a connection that has no request; has one with a request close after it."""
    if not isinstance(connection, TimeoutHttpProtocol):
        return  # a websocket: its application ends it
    if connection.is_serving() or not (is_grace or connection.is_receiving()):
        connection.shutdown()


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
