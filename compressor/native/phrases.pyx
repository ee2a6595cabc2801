"""Classifies sentences by their phrases; the twin of `compressor.text.reasoning_phrases`."""

from libc.stdint cimport int8_t, int32_t
from libcpp.vector cimport vector

from compressor.native.phrase_states cimport BLANK, CLASSES, DIGIT, END_CLASS, PhraseStates

cdef enum:
    LINE = 4  # what a character is, as bits besides BLANK and DIGIT
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


cdef class PhraseMatcher(PhraseStates):
    """Classifies sentences by the phrases of an automaton.

    Args:
        automaton: The nodes, the groups' first nodes and the classes, see `PhraseAutomaton`.
        kinds: The number of each kind of sentence by its name.
        stops: After these characters a blank ends a clause.
        dashes: Between blanks these characters end a clause.
        fillers: A clause of these characters alone says nothing.
        max_states: With more states, of about 600 bytes each, they are made anew.
    """

    # The groups, the bits of patterns and the numbers of kinds.
    cdef int group_find, group_start, group_bullet, group_opener, group_pause, group_words
    cdef int result, decision, failed, hypothetical, turn, talk, plan, modal, negated, opener, belief
    cdef int connective_kind, plan_kind, neutral_kind, failed_kind, decision_kind, result_kind

    def __init__(self, automaton, dict kinds, str stops, str dashes, str fillers, int max_states=8_000):
        chars = {*map(chr, range(128)), *automaton.classes, *stops, *dashes, *fillers}
        PhraseStates.__init__(self, automaton, {char: _marks(char, stops, dashes, fillers) for char in chars}, max_states)
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
