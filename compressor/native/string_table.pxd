from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libcpp.vector cimport vector


cdef class StringTable:
    cdef vector[uint32_t] slots  # number + 1 of the string at each place, 0 if free
    cdef vector[uint32_t] hashes
    cdef vector[size_t] ends  # of each string in `held`
    cdef vector[uint8_t] held  # all strings as UTF-8, end to end
    cdef list made  # the strings as Python objects, None until asked for
    cdef uint64_t seed

    cdef uint32_t hash_of(self, const uint8_t* word, size_t size) noexcept
    cdef int32_t find(self, const uint8_t* word, size_t size, uint32_t hashed) noexcept
    cdef int32_t add(self, const uint8_t* word, size_t size, uint32_t hashed) except -1
    cdef const uint8_t* start_of(self, int32_t number) noexcept
    cdef size_t size_of(self, int32_t number) noexcept
    cdef str text(self, int32_t number)
    cdef int grow(self) except -1
