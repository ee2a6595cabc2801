"""Encryption at rest in Redis."""

from __future__ import annotations

import pytest

pytest.importorskip("cryptography")

from unit.storage.wrappers.test_encrypted import (  # noqa: F401
    make,
    test_a_new_key_encrypts_and_a_former_one_still_decrypts,
    test_changed_or_moved_content_is_rejected,
    test_no_content_can_be_read_in_the_database,
    test_unencrypted_content_is_read_only_with_read_plain,
    test_values_and_logs_come_back,
)


@pytest.fixture(params=["redis", pytest.param("cluster", marks=pytest.mark.slow), "resilient"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)
