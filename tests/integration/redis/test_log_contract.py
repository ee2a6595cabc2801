"""What every log promises, kept by those in Redis."""

from unit.storage.test_append_log import (  # noqa: F401
    test_a_long_log_costs_no_more_than_a_short_one,
    test_a_value_that_collides_leaves_nothing_of_the_records,
    test_any_name_and_no_key_is_in_the_way,
    test_as_the_model_says,
    test_bad_names_and_records_write_nothing,
    test_closed,
    test_drop,
    test_fresh_drops_what_was_before_and_numbers_go_on,
    test_many_threads_on_one_log,
    test_records_are_stored_compressed,
    test_records_come_back_in_order_with_their_numbers,
    test_tombstones_are_forgotten,
    test_ttl_slides_on_read_and_append,
    test_values_are_written_with_the_records,
    test_who_writes_record_n_first_has_written_it,
    test_without_records_no_log_begins,
)
