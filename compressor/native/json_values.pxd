cdef bint all_dicts(values)

cdef class ValueWriter:
    cdef object number_type, absent, write_other
    cdef readonly object repeated_keys, detect_table
    cdef readonly str absent_cell
    cdef str write(self, value, writer, quote)
