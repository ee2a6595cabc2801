"""Numbers strings in order of first use, for `compressor.native.words`. It has no twin: in Python a dict does it."""

import os

from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp
from libcpp.vector cimport vector

from compressor.native.byte_hash cimport hash_bytes

cdef size_t FIRST_SLOTS = 1 << 10


cdef class StringTable:
    """An open-addressing hash table of byte strings. Strings are never removed."""

    def __cinit__(self):
        self.slots.resize(FIRST_SLOTS)
        self.made = []
        self.seed = int.from_bytes(os.urandom(8), "little")  # so that no text can be made to collide

    def __len__(self):
        return <Py_ssize_t>self.ends.size()

    cdef uint32_t hash_of(self, const uint8_t* word, size_t size) noexcept:
        return <uint32_t>(hash_bytes(word, size, self.seed) >> 32)

    cdef int32_t find(self, const uint8_t* word, size_t size, uint32_t hashed) noexcept:
        """Returns the number of a string, or -1."""
        cdef size_t mask = self.slots.size() - 1, at = hashed & mask
        cdef uint32_t found
        while True:
            found = self.slots[at]
            if found == 0:
                return -1
            found -= 1
            if self.hashes[found] == hashed and self.size_of(found) == size:
                if memcmp(self.start_of(found), word, size) == 0:
                    return <int32_t>found
            at = (at + 1) & mask

    cdef int32_t add(self, const uint8_t* word, size_t size, uint32_t hashed) except -1:
        """Adds a string that is not there and returns its number."""
        cdef size_t mask, at
        if 2 * (self.ends.size() + 1) > self.slots.size():
            self.grow()
        mask = self.slots.size() - 1
        at = hashed & mask
        while self.slots[at]:
            at = (at + 1) & mask
        self.held.insert(self.held.end(), word, word + size)
        self.hashes.push_back(hashed)
        self.ends.push_back(self.held.size())
        self.made.append(None)
        self.slots[at] = <uint32_t>self.ends.size()
        return <int32_t>(self.ends.size() - 1)

    cdef int grow(self) except -1:
        cdef size_t size = 2 * self.slots.size(), i, at
        self.slots.assign(size, 0)
        for i in range(self.hashes.size()):
            at = self.hashes[i] & (size - 1)
            while self.slots[at]:
                at = (at + 1) & (size - 1)
            self.slots[at] = <uint32_t>(i + 1)
        return 0

    cdef const uint8_t* start_of(self, int32_t number) noexcept:
        if number == 0:
            return self.held.data()
        return self.held.data() + self.ends[number - 1]

    cdef size_t size_of(self, int32_t number) noexcept:
        if number == 0:
            return self.ends[0]
        return self.ends[number] - self.ends[number - 1]

    cdef str text(self, int32_t number):
        """Returns a string as a Python object, the same one each time."""
        found = self.made[number]
        if found is None:
            found = PyUnicode_DecodeUTF8(<const char*>self.start_of(number), self.size_of(number), "surrogatepass")
            self.made[number] = found
        return <str>found
