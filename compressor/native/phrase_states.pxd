from libc.stdint cimport int32_t, uint8_t, uint64_t
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector

cdef enum:
    CLASSES = 64
    END_CLASS = 63  # after the last character
    BLANK = 1  # what a character is, as bits
    DIGIT = 2


cdef class PhraseStates:
    # The automaton as it is given.
    cdef vector[int] kinds
    cdef vector[int] first
    cdef vector[int] second
    cdef vector[uint64_t] chars
    cdef vector[int] starts
    cdef uint64_t word_classes
    # The class of each character, and what it is.
    cdef uint8_t ascii_class[128]
    cdef uint8_t ascii_marks[128]
    cdef unordered_map[int, uint8_t] named
    cdef unordered_map[int, uint8_t] named_marks
    cdef uint8_t unnamed[4]
    # The deterministic automaton. State 0 is dead.
    cdef unordered_map[string, int] numbers
    cdef vector[vector[int]] members
    cdef vector[uint8_t] after_word
    cdef vector[int32_t] next_state
    cdef vector[int32_t] accepted
    cdef vector[int] seen
    cdef int stamp
    cdef int count
    cdef int max_states
    # The text that was read.
    cdef vector[uint8_t] text
    cdef vector[uint8_t] marks

    cdef void read(self, str plain)
    cdef void read_other(self, Py_ssize_t i, Py_UCS4 char)
    cdef void forget(self)
    cdef int state_of(self, vector[int]& nodes, int after)
    cdef void follow(self, int state, int char)
