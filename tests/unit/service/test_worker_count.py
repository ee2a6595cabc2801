"""How many workers there are where the settings leave it open."""

from __future__ import annotations

from typing import Any

import pytest

from compressor.errors import CompressorError
from compressor.service import worker_count
from compressor.service.settings import Settings
from compressor.service.settings_sources import load
from compressor.service.worker_count import with_worker_count


@pytest.mark.parametrize(
    ("settings", "workers"),
    [
        ({}, 4),  # the SQLite file in the default place
        ({"store": "a.db"}, 4),
        ({"store": "redis://localhost"}, 4),
        ({"store": "memory"}, 1),
        ({"scorer": "embedding"}, 1),
        ({"tenants": {"one": {"scorer": "cascade"}}}, 1),
        ({"tenants": {"one": {"scorer": "fast"}, "other": {"budget": 5}}}, 4),
        ({"workers": 3}, 3),
        ({"workers": "auto", "store": "a.db"}, 4),
        ({"workers": 2, "scorer": "embedding"}, 2),
        ({"workers": 1, "store": "memory"}, 1),
    ],
)
def test_the_default_is_as_many_as_cores(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], workers: int
) -> None:
    monkeypatch.setattr(worker_count, "available_cores", lambda: 4)
    assert with_worker_count(load(flags=settings)).workers == workers


def test_large_machines_do_not_start_dozens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_count, "available_cores", lambda: 128)
    assert with_worker_count(load()).workers == worker_count.MAX_AUTOMATIC_WORKERS
    assert with_worker_count(load(flags={"workers": 128})).workers == 128


def test_an_application_that_embeds_the_service_is_one_process() -> None:
    assert Settings().workers is None


def test_a_reload_that_leaves_it_open_changes_nothing() -> None:
    start, new = with_worker_count(load()), load(flags={"log": "debug"})
    assert start.with_changes(new)[1] == []
    assert start.with_changes(load(flags={"workers": 7}))[1] == ["workers"]


def test_several_workers_need_a_shared_store_only_if_they_are_asked_for() -> None:
    with pytest.raises(CompressorError, match="share"):
        load(flags={"workers": 2, "store": "memory"})
    assert with_worker_count(load(env={"COMPRESSOR_WORKERS": "auto", "COMPRESSOR_STORE": "memory"})).workers == 1
