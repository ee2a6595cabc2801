# distutils: language = c++
"""Finds phrases in sentences with one automaton for all of them; the twin of `compressor.text.reasoning_phrases`.

The automaton is deterministic and made as it is needed: a state is the set of nodes that the text may have reached.
"""

from cpython.unicode cimport PyUnicode_DATA, PyUnicode_GET_LENGTH, PyUnicode_KIND, PyUnicode_READ
from libc.stdint cimport int8_t, int32_t, uint8_t, uint64_t
from libcpp.algorithm cimport sort
from libcpp.string cimport string
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector

cdef extern from "Python.h":
    bint Py_UNICODE_ISALNUM(Py_UCS4 ch)
    bint Py_UNICODE_ISDECIMAL(Py_UCS4 ch)
    bint Py_UNICODE_ISDIGIT(Py_UCS4 ch)
    bint Py_UNICODE_ISSPACE(Py_UCS4 ch)

cdef enum:
    CLASSES = 64
    END_CLASS = 63  # after the last character
    SPLIT = 0  # the kinds of nodes
    CHARS = 1
    BOUNDARY = 2
    END = 3
    ACCEPT = 4
    BLANK = 1  # what a character is, as bits
    LINE = 2
    DIGIT = 4
    STOP = 8
    DASH = 16
    FILLER = 32
    ASKS = 64
    FOUND = 3  # the patterns that are searched for: result, decision, failed
    UNDECIDED = -1


cdef struct Search:
    # What is known of a pattern whose matches may be stated or only supposed.
    int bit
    bint is_stated
    bint is_supposed
    bint is_undecided
    Py_ssize_t end  # of the longest supposed match


def _marks(str char, str stops, str dashes, str fillers):
    """Returns what a character is, as bits."""
    return (
        (BLANK if char.isspace() else 0) | (LINE if char == "\n" else 0) | (DIGIT if char.isdigit() else 0)
        | (STOP if char in stops else 0) | (DASH if char in dashes else 0) | (FILLER if char in fillers else 0)
        | (ASKS if char == "?" else 0)
    )


cdef class PhraseMatcher:
    """Classifies sentences by the phrases of an automaton.

    Args:
        automaton: The nodes, the groups' first nodes and the classes, see `PhraseAutomaton`.
        kinds: The number of each kind of sentence by its name.
        stops: After these characters a blank ends a clause.
        dashes: Between blanks these characters end a clause.
        fillers: A clause of these characters alone says nothing.
        max_states: With more states, of about 600 bytes each, they are made anew.
    """

    cdef vector[int] kinds
    cdef vector[int] first
    cdef vector[int] second
    cdef vector[uint64_t] chars
    cdef vector[int] starts
    cdef uint64_t word_classes
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
    cdef int max_states
    cdef int count
    # The text that is read.
    cdef vector[uint8_t] text
    cdef vector[uint8_t] marks
    # The groups, the bits of patterns and the numbers of kinds.
    cdef int group_find, group_start, group_bullet, group_opener, group_pause, group_words
    cdef int result, decision, failed, hypothetical, turn, talk, plan, modal, negated, opener, belief
    cdef int connective_kind, plan_kind, neutral_kind, failed_kind, decision_kind, result_kind

    def __init__(self, automaton, dict kinds, str stops, str dashes, str fillers, int max_states=8_000):
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
            self.ascii_marks[code] = _marks(chr(code), stops, dashes, fillers)
        for char in {*automaton.classes, *stops, *dashes, *fillers}:
            if ord(char) >= 128:
                self.named[ord(char)] = automaton.class_of(char)
                self.named_marks[ord(char)] = _marks(char, stops, dashes, fillers)
        bits, groups = automaton.bits, list(automaton.starts)
        self.result, self.decision, self.failed = bits["result"], bits["decision"], bits["failed"]
        self.hypothetical, self.turn, self.talk = bits["hypothetical"], bits["break"], bits["talk"]
        self.plan, self.modal, self.negated = bits["plan"], bits["modal"], bits["negated"]
        self.opener, self.belief = bits["opening"], bits["belief"]
        self.group_find, self.group_start = groups.index("find"), groups.index("start")
        self.group_bullet, self.group_opener = groups.index("bullet"), groups.index("opener")
        self.group_pause, self.group_words = groups.index("pause"), groups.index("words")
        self.connective_kind, self.plan_kind, self.neutral_kind = kinds["CONNECTIVE"], kinds["PLAN"], kinds["NEUTRAL"]
        self.failed_kind, self.decision_kind, self.result_kind = kinds["FAILED"], kinds["DECISION"], kinds["RESULT"]
        self.seen.assign(self.kinds.size(), 0)
        self.stamp, self.max_states = 0, max_states
        self.forget()

    def classify(self, str plain):
        """Returns the kind of a sentence in lower case, or -1 where only the twin can tell."""
        self.read(plain)
        return self.sentence(0, <Py_ssize_t> self.text.size())

    def classify_spans(self, str plain, const int32_t[:, ::1] spans, Py_ssize_t max_chars, int8_t[::1] kinds):
        """Sets the kind of each sentence of a text in lower case, or -1 where only the twin can tell.

        Args:
            plain: The text.
            spans: [n, 2] start and end of each sentence.
            max_chars: So many characters of each are read.
            kinds: [n] the kinds.

        Returns:
            Whether it could tell all of them.
        """
        cdef Py_ssize_t i, size, start, end
        cdef bint is_decided = spans.shape[0] == kinds.shape[0]
        self.read(plain)
        size = <Py_ssize_t> self.text.size()
        for i in range(min(spans.shape[0], kinds.shape[0])):
            start, end = max(0, spans[i, 0]), min(size, spans[i, 1])
            kinds[i] = self.sentence(start, min(end, start + max_chars)) if start < end else self.neutral_kind
            is_decided &= kinds[i] != UNDECIDED
        return is_decided

    cdef void read(self, str plain):
        """Looks up the class and the marks of each character."""
        cdef Py_ssize_t size = PyUnicode_GET_LENGTH(plain), i
        cdef int kind = PyUnicode_KIND(plain)
        cdef void* data = PyUnicode_DATA(plain)
        cdef Py_UCS4 char
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

    cdef inline int start_of(self, int group, Py_ssize_t begin, Py_ssize_t at):
        """Returns the first state of a group at a place of a text that begins at `begin`."""
        if self.count > self.max_states:
            self.forget()
        return 1 + 2 * group + (1 if at > begin and (self.word_classes >> self.text[at - 1]) & 1 else 0)

    cdef inline int step(self, int* state, Py_ssize_t at, Py_ssize_t end):
        """Goes on by one character and returns the patterns that were accepted before it."""
        cdef int char = self.text[at] if at < end else END_CLASS
        cdef int place = state[0] * CLASSES + char
        if self.next_state[place] < 0:
            self.follow(state[0], char)
        state[0] = self.next_state[place]
        return self.accepted[place]

    cdef int matches(self, int group, Py_ssize_t at, Py_ssize_t end):
        """Returns the patterns of a group that match at the start of the text [at, end)."""
        cdef int state = self.start_of(group, at, at), bits = 0
        while state and at <= end:
            bits |= self.step(&state, at, end)
            at += 1
        return bits

    cdef Py_ssize_t skip(self, int group, Py_ssize_t at, Py_ssize_t end):
        """Returns where the longest match of a group at the start of the text [at, end) ends, or `at`."""
        cdef int state = self.start_of(group, at, at)
        cdef Py_ssize_t found = at
        while state and at <= end:
            if self.step(&state, at, end):
                found = at
            at += 1
        return found

    cdef Py_ssize_t skip_opener(self, Py_ssize_t start, Py_ssize_t end):
        """Returns where the opener at the start of the text [start, end) ends, with the pause after it, or `start`."""
        cdef int state = self.start_of(self.group_opener, start, start), bits
        cdef Py_ssize_t at = start, found = start
        cdef vector[Py_ssize_t] beliefs
        while state and at <= end:
            bits = self.step(&state, at, end)
            if bits & self.opener:
                found = at
            if bits & self.belief:
                beliefs.push_back(at)
            at += 1
        for at in beliefs:
            if at > found and self.matches(self.group_words, at, end):
                found = at
        return self.skip(self.group_pause, found, end) if found > start else start

    cdef int sentence(self, Py_ssize_t begin, Py_ssize_t end):
        """Returns the highest kind of the clauses of a sentence, or UNDECIDED."""
        cdef Py_ssize_t at = begin, start = begin, after, tried = begin
        cdef int kind, best = -1
        while at < end and best != self.result_kind:
            after = self.separator_end(begin, at, end, &tried)
            if after == at:
                at += 1
                continue
            kind = self.clause(start, at)
            if kind == UNDECIDED:
                return UNDECIDED
            best = max(best, kind)
            at = start = after
        if best != self.result_kind:
            kind = self.clause(start, end)
            if kind == UNDECIDED:
                return UNDECIDED
            best = max(best, kind)
        return best if best > 0 else self.neutral_kind

    cdef Py_ssize_t separator_end(self, Py_ssize_t begin, Py_ssize_t at, Py_ssize_t size, Py_ssize_t* tried):
        """Returns where the separator of clauses that begins at a place ends, or the place; the twin of `_CLAUSE`.

        `tried` is up to where the blanks are known to have no dash behind them.
        """
        cdef Py_ssize_t end = at
        if not self.marks[at] & BLANK:
            return at
        if at > begin and self.marks[at - 1] & STOP:
            return self.blanks_end(at, size)
        if self.marks[at] & LINE:
            while end < size and self.marks[end] & LINE:
                end += 1
            return end
        if at < tried[0]:
            return at
        end = self.blanks_end(at, size)
        if end + 1 < size and self.marks[end] & DASH and self.marks[end + 1] & BLANK:
            return self.blanks_end(end + 1, size)
        tried[0] = end
        return at

    cdef Py_ssize_t blanks_end(self, Py_ssize_t at, Py_ssize_t size):
        while at < size and self.marks[at] & BLANK:
            at += 1
        return at

    cdef bint all_have(self, Py_ssize_t at, Py_ssize_t end, int mark):
        while at < end:
            if not self.marks[at] & mark:
                return False
            at += 1
        return True

    cdef bint any_has(self, Py_ssize_t at, Py_ssize_t end, int mark):
        while at < end:
            if self.marks[at] & mark:
                return True
            at += 1
        return False

    cdef int count_words(self, Py_ssize_t at, Py_ssize_t end):
        """Returns the number of words between blanks."""
        cdef int count = 0
        cdef bint was_blank = True
        while at < end:
            if not self.marks[at] & BLANK and was_blank:
                count += 1
            was_blank = self.marks[at] & BLANK
            at += 1
        return count

    cdef int clause(self, Py_ssize_t begin, Py_ssize_t end):
        """Returns the kind of the clause [begin, end), UNDECIDED, or 0 for blanks; the twin of `_clause`."""
        cdef Py_ssize_t start, after, last = end
        cdef bint is_opened = False, asks
        cdef int bits
        cdef Search found[FOUND]
        while last > begin and self.marks[last - 1] & BLANK:
            last -= 1
        if last == begin:
            return 0
        start = self.skip(self.group_bullet, begin, end)
        after = self.skip_opener(start, end)
        while after > start:
            start, is_opened = after, True
            after = self.skip_opener(start, end)
        if self.all_have(start, end, FILLER):
            return self.connective_kind
        bits = self.matches(self.group_start, start, end)
        if bits & self.talk:
            return self.connective_kind
        asks = self.marks[last - 1] & ASKS
        if not asks:
            self.search(begin, end, found)
            if found[0].is_undecided:
                return UNDECIDED
            if found[0].is_stated:
                return self.result_kind
            if found[1].is_undecided:
                return UNDECIDED
            if found[1].is_stated:
                return self.decision_kind
        if bits & self.plan or (bits & self.modal and not bits & self.negated):
            return self.plan_kind
        if not asks and self.count_words(begin, end) > 1:
            if found[2].is_undecided:
                return UNDECIDED
            if found[2].is_stated:
                return self.failed_kind
        if is_opened and self.count_words(start, end) <= 2 and not self.any_has(start, end, DIGIT):
            return self.connective_kind
        return self.plan_kind if is_opened and asks else self.neutral_kind

    cdef void search(self, Py_ssize_t begin, Py_ssize_t end, Search* found):
        """Finds out for each pattern whether a match is stated rather than supposed; the twin of `_asserts`.

        A match is supposed if a hypothetical word stands before it, with nothing between that breaks the clause.
        Undecided are matches that overlap an earlier one, which a search of the text may pass over.
        """
        cdef Py_ssize_t at, place, hypothetical_end, supposed_from = end + 1
        cdef int state, bits, all_bits, i
        cdef Py_ssize_t ends[FOUND]
        cdef bint is_supposed
        ends[0] = ends[1] = ends[2] = 0
        found[0].bit, found[1].bit, found[2].bit = self.result, self.decision, self.failed
        for i in range(FOUND):
            found[i].is_stated = found[i].is_supposed = found[i].is_undecided = False
            found[i].end = 0
        for at in range(begin, end):
            state = self.start_of(self.group_find, begin, at)
            place = state * CLASSES + self.text[at]
            if self.next_state[place] == 0 and self.accepted[place] == 0:
                continue  # nothing begins here, as in the middle of a word
            all_bits, place, hypothetical_end = 0, at, -1
            while state and place <= end:
                bits = self.step(&state, place, end)
                if bits:
                    all_bits |= bits
                    for i in range(FOUND):
                        if bits & found[i].bit:
                            ends[i] = place
                    if bits & self.hypothetical and hypothetical_end < 0:
                        hypothetical_end = place
                place += 1
            if not all_bits:
                continue
            is_supposed = supposed_from <= at
            for i in range(FOUND):
                if all_bits & found[i].bit and not found[i].is_stated:
                    if is_supposed:
                        found[i].is_supposed, found[i].end = True, max(found[i].end, ends[i])
                    elif found[i].is_supposed and found[i].end > at:
                        found[i].is_undecided = True
                    else:
                        found[i].is_stated = True
            if found[0].is_stated:
                return
            if all_bits & self.turn:
                supposed_from = end + 1
            if hypothetical_end >= 0:
                supposed_from = min(supposed_from, hypothetical_end)
