"""Makes the automaton of `compressor.text.phrase_automaton` deterministic, as far as texts lead.

It has no twin: in Python the regular expressions do it.
"""

from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ
from libcpp.algorithm cimport sort

cdef extern from "Python.h":
    bint Py_UNICODE_ISALNUM(Py_UCS4 ch)
    bint Py_UNICODE_ISDECIMAL(Py_UCS4 ch)
    bint Py_UNICODE_ISDIGIT(Py_UCS4 ch)
    bint Py_UNICODE_ISSPACE(Py_UCS4 ch)

cdef enum:
    SPLIT = 0  # the kinds of nodes
    CHARS = 1
    BOUNDARY = 2
    END = 3
    ACCEPT = 4
    LONG_TEXT = 1 << 20  # the memory of a longer one is given back


cdef class PhraseStates:
    """The states of an automaton: each is a set of nodes that a text may have reached, made when a text needs it.

    Args:
        automaton: The nodes, the groups' first nodes and the classes, see `PhraseAutomaton`.
        marks: What ASCII characters and those that matter besides are, as bits: at least BLANK and DIGIT.
        max_states: With more states, of about 600 bytes each, they are made anew.
    """

    def __init__(self, automaton, dict marks, int max_states):
        cdef int code
        self.kinds = automaton.kinds
        self.first = automaton.first
        self.second = automaton.second
        self.chars = automaton.chars
        self.starts = list(automaton.starts.values())
        self.word_classes = automaton.word_classes
        for code in range(4):
            self.unnamed[code] = automaton.unnamed[code]
        for code in range(128):
            self.ascii_class[code] = automaton.class_of(chr(code))
            self.ascii_marks[code] = marks[chr(code)]
        for char in marks:
            if ord(char) >= 128:
                self.named[ord(char)] = automaton.class_of(char)
                self.named_marks[ord(char)] = marks[char]
        self.seen.assign(self.kinds.size(), 0)
        self.stamp, self.max_states = 0, max_states
        self.forget()

    cdef void read(self, str plain):
        """Looks up the class and the marks of each character."""
        cdef Py_ssize_t size = PyUnicode_GET_LENGTH(plain), i
        cdef int kind = PyUnicode_KIND(plain)
        cdef void* data = PyUnicode_DATA(plain)
        cdef Py_UCS4 char
        if self.text.capacity() > LONG_TEXT:
            self.text = vector[uint8_t]()
            self.marks = vector[uint8_t]()
        self.text.resize(size)
        self.marks.resize(size)
        for i in range(size):
            char = PyUnicode_READ(kind, data, i)
            if char < 128:
                self.text[i] = self.ascii_class[char]
                self.marks[i] = self.ascii_marks[char]
            else:
                self.read_other(i, char)

    cdef void read_other(self, Py_ssize_t i, Py_UCS4 char):
        if self.named.count(<int> char):
            self.text[i] = self.named[<int> char]
            self.marks[i] = self.named_marks[<int> char]
            return
        self.marks[i] = (BLANK if Py_UNICODE_ISSPACE(char) else 0) | (DIGIT if Py_UNICODE_ISDIGIT(char) else 0)
        if Py_UNICODE_ISDECIMAL(char):
            self.text[i] = self.unnamed[1]
        elif Py_UNICODE_ISALNUM(char):
            self.text[i] = self.unnamed[0]
        else:
            self.text[i] = self.unnamed[2] if self.marks[i] & BLANK else self.unnamed[3]

    cdef void forget(self):
        """Starts with the dead state and the first states of each group, at the start of a text and after a letter."""
        cdef vector[int] nodes
        cdef size_t group
        cdef int after
        self.numbers.clear()
        self.members.clear()
        self.after_word.clear()
        self.next_state.clear()
        self.accepted.clear()
        self.state_of(nodes, 0)
        for group in range(self.starts.size()):
            for after in range(2):
                nodes.assign(1, self.starts[group])
                self.state_of(nodes, after)

    cdef int state_of(self, vector[int]& nodes, int after):
        """Returns the state of a sorted set of nodes."""
        cdef string key
        cdef int number
        if nodes.size():
            key = string(<char*> nodes.data(), nodes.size() * sizeof(int))
            key.push_back(<char> after)
        if self.numbers.count(key):
            return self.numbers[key]
        number = <int> self.members.size()
        self.numbers[key] = number
        self.members.push_back(nodes)
        self.after_word.push_back(<uint8_t> after)
        self.count = number + 1
        self.next_state.resize((number + 1) * CLASSES, -1)
        self.accepted.resize((number + 1) * CLASSES, 0)
        if number == 0:
            for i in range(CLASSES):
                self.next_state[i] = 0
        return number

    cdef void follow(self, int state, int char):
        """Finds where a state leads on a character, and which patterns it accepts before that."""
        cdef vector[int] stack = self.members[state], reached
        cdef int node, kind, bits = 0, after, is_word = (self.word_classes >> char) & 1
        cdef size_t i
        self.stamp += 1
        while stack.size():
            node = stack.back()
            stack.pop_back()
            if self.seen[node] == self.stamp:
                continue
            self.seen[node] = self.stamp
            kind = self.kinds[node]
            if kind == ACCEPT:
                bits |= <int> self.chars[node]
            elif kind == CHARS:
                if char != END_CLASS and (self.chars[node] >> char) & 1:
                    reached.push_back(self.first[node])
            elif kind == SPLIT:
                stack.push_back(self.first[node])
                stack.push_back(self.second[node])
            elif kind == END:
                if char == END_CLASS:
                    stack.push_back(self.first[node])
            elif self.after_word[state] != is_word:
                stack.push_back(self.first[node])
        sort(reached.begin(), reached.end())
        stack.clear()
        for i in range(reached.size()):
            if i == 0 or reached[i] != reached[i - 1]:
                stack.push_back(reached[i])
        after = self.state_of(stack, is_word) if stack.size() else 0
        self.accepted[state * CLASSES + char] = bits
        self.next_state[state * CLASSES + char] = after
