"""Writes the beginnings that neighbouring lines of search results and listings share once: folders, or `file:`.

    [next 3 lines start with django/db/models/]          [next 2 lines start with django/db/utils.py:]
    query.py                                             12:import pkgutil
    sql/compiler.py                                      48:class DatabaseError(Error):
    sql/where.py

Groups are not nested, and are chosen to save the most characters. A path that an agent is about to use should stay in
one piece, so folders are taken out of long listings only, where most lines will not be used. Lines of logs are the task
of `log_templates`.
"""

from __future__ import annotations

import re

from compressor.text.lossless.base import verified

MIN_LINES = 3  # lines in a group
NOTE_COST = 32  # characters that a note must save: about what its eight tokens are worth in paths
#: Characters that folders must save in total. Of 484 strings that agents used again in recorded runs, 44 are cut in two
#: without this limit, and 12 with it (and all other codecs).
MIN_FOLDER_SAVING = 800

_NOTE = re.compile(r"^\[next (\d{1,7}) lines start with (\S+)\]$", re.M)
_GATE = re.compile(r"\n([^\s:/]*[/:]).*\n\1.*\n\1")
_HEAD = re.compile(r"^(?:([^\s:]+:)(?=\d+:)|([^\s:]*/))?", re.M)


class CommonPrefixCodec:
    """Writes shared beginnings of neighbouring lines once."""

    name = "prefix"

    def encode(self, text: str) -> str | None:
        """See `LosslessCodec.encode`."""
        if not _GATE.search(text) or _NOTE.search(text):
            return None
        heads = [path if "/" in path or "." in path else "" for path in (a or b for a, b in _HEAD.findall(text))]
        found = groups(heads, folders=True)
        if sum((stop - start) * len(prefix) for start, stop, prefix in found if prefix[-1] == "/") < MIN_FOLDER_SAVING:
            found = groups(heads, folders=False)
        lines = text.split("\n")
        out: list[str] = []
        at = 0
        for start, stop, prefix in found:
            out += lines[at:start]
            out.append(f"[next {stop - start} lines start with {prefix}]")
            out += [line[len(prefix) :] for line in lines[start:stop]]
            at = stop
        return verified(self, text, "\n".join(out + lines[at:])) if at else None

    def most_saved(self, text: str) -> int:
        """See `LosslessCodec.most_saved`."""
        return len(text) if _GATE.search(text) else 0

    def decode(self, encoded: str) -> str:
        """See `LosslessCodec.decode`."""
        out: list[str] = []
        prefix, left = "", 0
        for line in encoded.split("\n"):
            if left:
                out.append(prefix + line)
                left -= 1
                continue
            m = _NOTE.match(line)
            if m:
                left, prefix = int(m[1]), m[2]
            else:
                out.append(line)
        return "\n".join(out)


def groups(heads: list[str], folders: bool) -> list[tuple[int, int, str]]:
    """Returns the disjoint runs of lines that save the most characters.

    The shared prefixes of neighbours span a tree of runs, in which a deeper run shares more. From the leaves up, each
    run is taken whole or left to the best of its parts. Linear in the lines, apart from the comparisons of paths.

    Args:
        heads: The path at the start of each line, or "".
        folders: Whether folders may be shared; otherwise only whole heads that end in a colon.

    Returns:
        `(start, stop, shared prefix)` of each run, in order.
    """
    # open runs, outermost first: shared prefix, first line, characters that its parts save, its parts
    stack: list[tuple[str, int, int, list[tuple[int, int, str]]]] = [("", 0, 0, [])]
    for i, head in enumerate(heads):
        following = heads[i + 1] if i + 1 < len(heads) else ""
        if head == following and (folders or head[-1:] == ":"):
            shared = head
        else:
            shared = _shared(head, following) if folders else ""
        if len(shared) > len(stack[-1][0]):
            stack.append((shared, i, 0, []))
        while len(shared) < len(stack[-1][0]):
            prefix, start, saved, parts = stack.pop()
            whole = (i - start) * len(prefix) - NOTE_COST if i - start + 1 >= MIN_LINES else 0
            if whole > saved:
                saved, parts = whole, [(start, i + 1, prefix)]
            if len(shared) > len(stack[-1][0]):  # the run goes on, sharing less
                stack.append((shared, start, saved, parts))
            else:
                above, first, before, siblings = stack.pop()
                siblings += parts
                stack.append((above, first, before + saved, siblings))
    return stack[0][3]


def _shared(a: str, b: str) -> str:
    """The folders that two heads share."""
    if a[:1] != b[:1]:
        return ""
    size = 0
    for x, y in zip(a.split("/")[:-1], b.split("/")[:-1], strict=False):
        if x != y:
            break
        size += len(x) + 1
    return a[:size]
