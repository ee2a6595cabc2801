"""Reads the settings again while the service runs: when SIGHUP asks for it, or when one of their files has changed.

One process reads, checks and hands the result on, so that all workers have the same settings. Settings that are not
valid change nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from compressor.errors import CompressorError
from compressor.service.processes.listening_sockets import check_tls
from compressor.service.settings import Settings
from compressor.service.settings_sources import LoadedSettings, SettingsSources

WATCH_INTERVAL = 0.1  # seconds between two looks at the files
MAX_UNSTABLE = 0.4  # seconds; a file that is written all the time is read after this
log = logging.getLogger("compressor.service")


class SettingsReloader:
    """Watches the files of the settings in a thread.

    A changed file is read once two looks have found it the same, because it may be written in several steps.

    Args:
        sources: The sources, as they were read at the start.
        start: The settings with which the service has started.
        apply: Called in the thread with the new settings, which hold from now on.

    Attributes:
        current: The settings that hold now.
    """

    def __init__(
        self, sources: SettingsSources, start: LoadedSettings, apply: Callable[[LoadedSettings], object]
    ) -> None:
        self._sources, self._start, self._apply = sources, start, apply
        self.current = start
        self._is_requested = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="settings-reloader")

    def start(self) -> None:
        """Starts to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stopped.set()

    def request(self) -> None:
        """Asks for a reload at the next look. A signal handler may call this."""
        self._is_requested = True

    def reload(self) -> None:
        """Reads the settings now; if they are valid, they hold. Otherwise one line of the log says why not."""
        try:
            new = self._sources.read(allow_no_keys=bool(self._start.settings.keys))
            settings, fixed = self.current.settings.with_changes(new.settings)
            if not self._start.settings.keys and settings.keys:
                settings = settings.model_copy(update={"keys": ()})  # as a start without keys leaves the service open
                fixed.insert(0, "keys")
            check_tls(settings)
        except CompressorError as error:
            log.error("the settings were not reloaded, nothing has changed: %s", error)
            return
        except Exception as error:  # such as a parser's limit; the thread has to go on, and the text may be a secret
            log.error("the settings were not reloaded, nothing has changed: %s", type(error).__name__)
            return
        before, self.current = self.current.settings, LoadedSettings(settings, self._start.encryption_keys)
        names = [name for name in Settings.model_fields if getattr(before, name) != getattr(settings, name)]
        log.info("settings reloaded", extra={"data": {"changed": names}})
        if fixed:
            log.warning("only a restart can change these settings, which differ now: %s", ", ".join(fixed))
        if before.keys and not settings.keys:
            log.warning("no API key is valid any more: every request is refused until a key is added")
        self._apply(self.current)

    def _run(self) -> None:
        last, since = self._sources.stamps(), 0.0
        while not self._stopped.wait(WATCH_INTERVAL):
            if self._is_requested:
                self._is_requested = False
                self.reload()
            elif self._sources.have_changed():
                now = self._sources.stamps()
                since = since or time.monotonic()
                if now == last or time.monotonic() - since > MAX_UNSTABLE:
                    self.reload()
                    since = 0.0
                last = now
