"""Reads the lines of search results and listings; the twin is `compressor.text.segmenters.search_results`.

The twin's patterns are tried only on lines that may match.
"""

from libcpp.vector cimport vector

from compressor.native.characters cimport (
    Place, Text, begins_with, char_at, is_digit, is_space, line_end, past_blanks, text_of,
)
from compressor.native.listing_marks cimport is_numbered, may_be_branch, may_be_path


def read_listing(str string, object tree, object kind_of, object path, dict flags):
    """Returns where the lines begin, their parents and their flags, as the twin's `read_listing`.

    Args:
        string: The text.
        tree: Matches a branch of a tree at an offset.
        kind_of: Matches what a line that is no match says at an offset.
        path: Matches a line that holds only a path at an offset.
        flags: The flag of each kind of line.
    """
    cdef Text text = text_of(string)
    cdef list starts = [], parents = [], marks = []
    cdef vector[Place] depths, units  # of the open branches of a tree
    cdef Place i = 0, start = 0, following, depth, top = -1, file = -1, after_file = -1
    cdef Place parent
    cdef int flag
    while start < text.size:
        following = line_end(text, start) + 1
        parent, flag = top, 0
        branch = tree(string, start) if may_be_branch(text, start) else None
        if branch is not None:
            parent = -1
            depth = branch.end() - start
            while depths.size() and depths.back() >= depth:
                depths.pop_back()
                units.pop_back()
            if units.size():
                parent = units.back()
            depths.push_back(depth)
            units.push_back(i)
        else:
            match = kind_of(string, start) if may_say_something(text, start) else None
            kind = None if match is None else match.lastgroup
            if kind is not None:
                flag = flags[kind]
                if kind == "head":
                    top, file, parent = i, -1, -1
                elif kind != "warn":
                    if char_at(text, start) == u'\r' or char_at(text, start) == u'\n':
                        file = -1
                    elif file >= 0:
                        parent = file
            elif file >= 0 and is_numbered(text, start):
                parent = file
            elif following < text.size and is_heading(string, text, start, following, tree, path):
                file, flag, after_file = i, flags["heading"], following
                depths.assign(1, 0)
                units.assign(1, i)
            elif file >= 0 and char_at(text, after_file - 2) == u':':
                parent = file
        starts.append(start)
        parents.append(parent)
        marks.append(flag)
        i += 1
        start = following
    return starts, parents, marks


cdef bint is_heading(str string, const Text& text, Place at, Place following, object tree, object path) except -1:
    """Whether the line at `at` names the file or folder of the lines that follow."""
    cdef Place end = following
    if may_be_branch(text, following) and tree(string, following) is not None:
        return True
    if not may_be_path(text, at):
        return False
    while end > at and is_space(char_at(text, end - 1)):
        end -= 1
    return (char_at(text, end - 1) == u':' or is_numbered(text, following)) and path(string, at) is not None


cdef bint may_say_something(const Text& text, Place start) noexcept:
    """Whether the twin's `_LINE` may match: by the first word or sign of the line."""
    cdef Place i = past_blanks(text, start)
    cdef Py_UCS4 c = char_at(text, i)
    if is_digit(c):
        while is_digit(char_at(text, i)):
            i += 1
        return is_space(char_at(text, i))
    if c == u'(':
        i += 1
        c = char_at(text, i)
    if c == u'-':
        return char_at(text, i + 1) == u'-'
    if c == u'R' or c == u'r':
        return begins_with(text, i + 1, "esult") or begins_with(text, i, "rg:")
    if c == u'S':
        return begins_with(text, i, "Showing") or begins_with(text, i, "Search ")
    if c == u'F':
        return begins_with(text, i, "Found")
    if c == u'f':
        return begins_with(text, i, "find:")
    if c == u'g':
        return begins_with(text, i, "grep:")
    if c == u'l':
        return begins_with(text, i, "ls:")
    if c == u't':
        return begins_with(text, i, "total")
    return (
        i >= text.size or c == u'\r' or c == u'\n' or c == u'D' or c == u'N' or c == u'M' or c == u'O' or c == u'E'
    )
