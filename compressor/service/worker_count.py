"""Chooses how many processes serve the port, where the settings leave it open."""

from __future__ import annotations

import os

from compressor.scoring.runtime.device import available_cores
from compressor.service.settings import Settings

MAX_AUTOMATIC_WORKERS = 8  # each takes some 150 to 350 MB: more only on request
_FAST = "fast"


def with_worker_count(settings: Settings) -> Settings:
    """Returns the settings with a number of workers.

    If they give none, there is a worker for each core that this process may use, up to `MAX_AUTOMATIC_WORKERS`. There
    is only one if the store is in memory, because workers must share it, or if a scorer has a model, because each
    worker would load it.
    """
    if settings.workers is not None:
        return settings
    scorers = {settings.scorer, *(own.get("scorer", _FAST) for own in settings.tenants.values())}
    is_single = settings.store == "memory" or scorers != {_FAST} or os.name != "posix"
    return settings.model_copy(update={"workers": 1 if is_single else min(MAX_AUTOMATIC_WORKERS, available_cores())})
