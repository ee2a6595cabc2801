"""What every store promises, kept by those in Redis."""

from unit.storage.test_stores import (  # noqa: F401
    test_any_key,
    test_bad_items_store_nothing,
    test_closed,
    test_exact_bytes_come_back,
    test_many_keys_at_once,
    test_many_threads,
    test_no_key_is_overwritten,
    test_senseless_limits,
    test_text_is_stored_compressed,
    test_tombstones_are_forgotten,
    test_ttl_slides_on_get_and_put,
    test_what_expired_may_be_stored_again,
)
