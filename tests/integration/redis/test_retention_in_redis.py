"""The tests of TTLs by kind of content and of erasure, run on the stores in Redis."""

from unit.storage.test_retention import (  # noqa: F401
    test_a_ttl_that_has_changed_holds_from_the_next_use_on,
    test_description_shows_size_and_age_but_renews_nothing,
    test_each_kind_of_content_has_a_ttl_of_its_own,
    test_encrypted_content_can_be_erased,
    test_erasure_leaves_nothing_but_other_namespaces,
    test_many_entries_are_erased,
    test_removed_values_read_as_expired,
    test_the_ttl_of_a_use_slides_by_kind,
)
