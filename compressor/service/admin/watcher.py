"""Brings what administrators change into effect in this process: reads the control log four times a second."""

from __future__ import annotations

import asyncio
import logging
import threading

from compressor.errors import StoreError
from compressor.service.admin.control_log import ControlLog, ControlState, Forgetting
from compressor.service.admin.key_database import KeyDatabase
from compressor.service.dashboard.usage_recorder import UsageRecorder
from compressor.service.key_directory import KeyDirectory
from compressor.service.tenants import Tenants

POLL_INTERVAL = 0.25  # seconds, so that a change holds in all workers within one second
log = logging.getLogger("compressor.service")


class ControlWatcher:
    """Applies the control log. It has a thread of its own, so that no load delays it.

    Args:
        control: The log.
        database: Tells which keys the log makes valid.
        directory: Gets the keys.
        tenants: Get their settings, and drop what was erased.
        recorder: Drops the usage of what was erased.
    """

    def __init__(
        self,
        control: ControlLog,
        database: KeyDatabase,
        directory: KeyDirectory,
        tenants: Tenants,
        recorder: UsageRecorder,
    ) -> None:
        self._control, self._database = control, database
        self._directory, self._tenants, self._recorder = directory, tenants, recorder
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._applied: ControlState | None = None
        self._applying = threading.Lock()
        self._is_failing = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts the thread.

        Args:
            loop: The event loop that serves requests; settings change in it.
        """
        self._loop = loop
        self._thread = threading.Thread(target=self._run, name="compressor-control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def refresh(self) -> None:
        """Reads the log now, and applies it.

        Raises:
            StoreError: The store cannot be read. What was known before stays in force.
        """
        with self._applying:
            state, forget = self._control.refresh()
            if state is not self._applied:
                self._directory.replace_stored(*self._database.split(state))
                self._override(state)
                self._applied = state
            for one in forget:
                self._apply(one)

    def _override(self, state: ControlState) -> None:
        if self._loop is None or self._loop.is_closed():
            self._tenants.override(state.settings)
        else:
            self._loop.call_soon_threadsafe(self._tenants.override, state.settings)

    def _apply(self, one: Forgetting) -> None:
        names = [tenant.name for tenant in self._tenants.list_created()] if one.tenant is None else [one.tenant]
        for name in names:
            tenant = self._tenants.find(name)
            if one.session is not None and tenant is not None:
                tenant.forget_session(one.session)
                self._recorder.forget_session(name, one.session)
            if one.keys is not None:
                self._tenants.stores.forget(self._tenants.namespace(name), one.keys)
            else:
                self._tenants.drop(name)
                self._recorder.forget(name)

    def _run(self) -> None:
        while not self._stop.wait(POLL_INTERVAL):
            self._try()

    def _try(self) -> None:
        try:
            self.refresh()
            self._is_failing = False
        except StoreError as error:
            if not self._is_failing:
                log.warning("keys and settings cannot be read, those known stay in force: %s", error)
            self._is_failing = True
        except Exception as error:  # the thread has to go on
            log.error("keys and settings were not applied: %s", type(error).__name__)
