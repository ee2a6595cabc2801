from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef enum:
    WORD_BYTES = 8


cdef inline uint64_t factor() noexcept:
    return 0x9E3779B97F4A7C15  # 2**64 / golden ratio: its multiples spread over all bits


cdef inline uint64_t hash_bytes(const uint8_t* bytes, size_t size, uint64_t seed) noexcept:
    """Hashes eight bytes at a time. The upper half of the result is the better one."""
    cdef uint64_t out = seed ^ size, part
    while size >= WORD_BYTES:
        memcpy(&part, bytes, WORD_BYTES)
        out = (out ^ part) * factor()
        out ^= out >> 32
        bytes += WORD_BYTES
        size -= WORD_BYTES
    part = 0
    memcpy(&part, bytes, size)
    out = (out ^ part) * factor()
    out ^= out >> 29
    return out * factor()
