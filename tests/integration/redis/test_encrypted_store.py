"""Encryption at rest in Redis."""

from __future__ import annotations

import pytest

pytest.importorskip("cryptography")

from unit.storage.wrappers.test_encrypted import (  # noqa: F401
    make,
    test_a_new_key_seals_and_a_former_one_still_opens,
    test_nothing_of_it_can_be_read_in_the_database,
    test_values_and_logs_come_back,
    test_what_is_not_encrypted_is_taken_only_where_that_was_allowed,
    test_what_was_changed_or_moved_is_refused,
)


@pytest.fixture(params=["redis", pytest.param("cluster", marks=pytest.mark.slow), "guarded"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)
