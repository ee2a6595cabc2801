"""What a process that serves can be told, by its supervisor or by a thread of its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from compressor.service.settings_sources import LoadedSettings


@dataclass(frozen=True)
class Reconfigure:
    """Serve with other settings.

    Attributes:
        settings: All settings. Only those that can change while the service runs differ from those of the start.
    """

    settings: LoadedSettings


@dataclass(frozen=True)
class Drain:
    """Answer `/readyz` with 503, and serve everything else."""


@dataclass(frozen=True)
class Stop:
    """Close the listening sockets, finish the requests in flight, and end."""


@dataclass(frozen=True)
class Orphaned:
    """Shut down, because the supervisor has ended."""


Command: TypeAlias = Reconfigure | Drain | Stop | Orphaned
