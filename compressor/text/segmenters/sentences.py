"""Sentences of running text in any language, and the header lines that stand over them.

Also the last resort for texts of no known kind: short lines become units of their own. Finds no logs, code or tables.
"""

from __future__ import annotations

import re
from bisect import bisect_right

import numpy as np

from compressor.native import load_kernel
from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.lines import total_line, word_offsets
from compressor.text.segmenters.span_layout import MAX_UNIT_CHARS, SpanLayout, build_layout

WRAP = (48, 112)  # a line of this length without a full stop was wrapped at the margin, not ended on purpose
MIN_WRAPPED_CHARS = 30  # a line at least this long goes on in the next one if that begins in lower case
WIDE = "\u2e80"  # from this character on, letters are twice as wide
MAX_CLAUSE_CHARS = 240  # scripts without full stops (Thai, Lao, Khmer) are split at spaces into pieces this long

_STOPS = ".!?…؟۔"  # end a sentence if white space follows
_STOPS_IN_A_ROW = ".!?…"
_CLOSERS = "\"'”’»›)]*_`"  # may follow a stop
_MARKS = "।॥።。！？｡．։།။។"  # end a sentence in any case
_MARKS_IN_A_ROW = "。！？"
_MARK_CLOSERS = "”’」』）》】\"')"
_LINE_ENDS = ".!?:;。！？\r"  # a line feed after one of these is intended
_OPENERS = "([\"'“‘"  # stand before a word
# One class in front so that the scan runs at C speed; the look-behinds make every run of marks match only once.
_BREAK = re.compile(
    rf"[\n{_STOPS}{_MARKS}]"
    r"(?:(?<=\n)(?P<line>(?:[^\S\n]*\n)*)"
    rf"|(?<=[{_MARKS}])[{_MARKS_IN_A_ROW}]*[{re.escape(_MARK_CLOSERS)}]*[^\S\n]*(?P<any>)"
    rf"|(?<=[{_STOPS}])(?<![{_STOPS_IN_A_ROW}][{_STOPS_IN_A_ROW}])[{_STOPS_IN_A_ROW}]*[{re.escape(_CLOSERS)}]*"
    r"[^\S\n]+(?=\S)(?P<stop>))"
)
_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof sr jr st vs etc inc ltd co corp fig figs eq eqs no nos vol vols ed eds pp p cf al approx dept "
    "est gen col lt sgt capt sen rep gov pres rev hon jan feb mar "
    "apr jun jul aug sep sept oct nov dec mon tue wed thu fri "
    "ca resp viz op art arts sec ch nr bzw ggf vgl abb mme mlle av sra dra ing univ assn bros ave blvd rd mt "
    "ft rs fr sfr "
    "abs ziff lit kap para paras bd hrsg usw bspw evtl inkl exkl zzgl tel mio mrd incl excl env min max avg "
    "approx ibid "
    "chap pt pts ver ext bl blz cap núm pág págs tr č str ul al".split()
)
_ORDINAL_LEADS = frozenset(
    "der die das dem den des am im vom zum zur bis seit ab beim jeder jedes den d dne od do".split()
)
_MONTHS = re.compile(r"(?:jan|feb|mär|mar|apr|ma[ijy]|jun|jul|aug|sep|okt|oct|nov|de[csz])", re.I)
MAX_ABBREVIATION_CHARS = 4  # a shorter word with a stop before a digit is taken for an abbreviation (`approx. 5`)
MAX_ITEM_CHARS = 240  # a list item up to this length is not cut at its sentences
_BULLETS = "-*+•◦▪‣–"
_ITEM = re.compile(
    rf"[ \t]*(?:[{_BULLETS}]\s|"
    r"\(?\d{1,3}[.)]\s|\(?[a-zA-Z][.)]\s|#{1,6}\s|[>|]|[A-Z][\w .'-]{0,30}:(?:\s|$)|\[\d+\])"
)
_LIST_ITEM = re.compile(rf"[ \t]*(?:[{_BULLETS}]\s|\(?\d{{1,3}}[.)]\s|\(?[a-zA-Z][.)]\s|\[\d+\][ \t])")
_DOCUMENT_WORDS = ("Document", "Passage", "Doc", "Source", "Result", "Article", "Snippet")
_DOCUMENT = re.compile(
    rf"^[ \t]*(?:{'|'.join(_DOCUMENT_WORDS)})[ \t]*"
    r"(?:\[\d+\]|\(\d+\)|#?\d+)[ \t]*"
    r"(?:\(Title:(?:[^()\n]|\([^()\n]*\))*\)|:)?[ \t]*",
    re.M,
)
_HEAD_LETTERS = frozenset("QTAISCDFUL")
_HEAD = re.compile(
    r"(?:(?P<end>(?:Question|Query|Task|Answer|Instructions?)\b[^\n]{0,20}:)"
    r"|(?P<head>(?:Title|Subject|Source|Section|Chapter|Abstract|Author|Date|From|To|Url|URL|Link|Topic)"
    r"[ \t]?\d{0,3}:[^\n]{0,200}(?:\n|\Z)))"
)
#: A sentence that speaks of what one before it names.
_REFERRING = ("It", "Its", "He", "She", "They", "His", "Her", "Their")
_REFERS = re.compile(rf"(?:{'|'.join(_REFERRING)})\b")
LEAST_REFERRING = 2
MIN_REFERRING = 0.25  # fraction of sentences; in most prose, where fewer do, an answer matters more than its subject
_TROUBLE_WORDS = ("error", "exception", "fatal", "traceback", "not found", "denied", "no such file", "panic", "warn")
_TROUBLE = re.compile(
    r"\s*(?:[\w./<>-]{1,80}:[ \t]+)?(?:(?P<error>(?:[\w.]{0,80}(?:Error|Exception)|ERROR|error|[Ff]atal|FATAL"
    r"|[Tt]raceback|[Cc]ommand not found|[Pp]ermission denied|[Nn]o such file|panic)\b)|(?P<warning>[Ww]arn(?:ing)?"
    r"|WARN))"
)
_LINE_WORDS = re.compile(r"[ \t]*(\S{1,40})[ \t]+(\S{1,40})")
_DIGITS = re.compile(r"\d+")
_RARE_SCRIPTS = "\u0e00\u0eff\u1000\u109f\u1780\u17ff"  # the first and last characters of Thai and Lao, Burmese, Khmer
_SCRIPTS_WITHOUT_STOPS = re.compile("[{}-{}{}-{}{}-{}]".format(*_RARE_SCRIPTS))


def sentence_starts(text: str) -> list[int]:
    """Returns the offsets at which a sentence (or an intended line) begins, 0 first; [] for an empty text."""
    starts: list[int] = _find_starts(text) if _reader is None else _reader.starts(text)
    return starts


def _find_starts(text: str) -> list[int]:
    """Returns what `sentence_starts` does, without the kernel."""
    if not text:
        return []
    starts = [0]
    line = last = 0  # the beginnings of the current line and sentence
    size = len(text)
    whole = _item_end(text, 0)  # up to here a list item is one unit
    for m in _BREAK.finditer(text):
        at, end, kind = m.start(), m.end(), m.lastgroup
        if end >= size:
            break
        if kind == "line":
            breaks = end > at + 1 or _breaks_line(text, line, at, end)
            line = end
            if breaks:
                whole = _item_end(text, end)
        elif kind == "stop":
            breaks = at >= whole and _ends_sentence(text, last, at, end)
        else:
            breaks = at >= whole and text[end] != "\n"
        if breaks:
            starts.append(end)
            last = end
    return starts


def split_sentences(text: str) -> list[str]:
    """Returns the sentences of a text in order, without the blanks around them."""
    starts = sentence_starts(text)
    return [s for a, b in zip(starts, [*starts[1:], len(text)], strict=False) if (s := text[a:b].strip())]


def sentence_pieces(text: str, a: int, b: int, min_chars: int) -> list[int]:
    """Returns the offsets inside (a, b) at which text[a:b] is cut into sentences, short ones put together.

    Args:
        text: The text.
        a: Where the stretch begins.
        b: Where it ends.
        min_chars: No piece but the last is shorter.
    """
    cuts: list[int] = []
    last = a
    for start in sentence_starts(text[a:b])[1:]:
        if a + start - last >= min_chars:
            last = a + start
            cuts.append(last)
    return cuts


def _breaks_line(text: str, line: int, at: int, end: int) -> bool:
    """Whether the newline at `at` of the line that begins at `line` is intended rather than wrapping."""
    before = text[at - 1] if at else "\n"
    first = text[end : end + 80].lstrip(" \t")[:1]
    if end == at + 1 and first.islower() and text[at - 2 : at - 1].isalpha():
        if before in "-\u2010\xad":  # a word that is hyphenated at the end of the line
            return False
        if at - line >= MIN_WRAPPED_CHARS and before not in _LINE_ENDS:
            return _ITEM.match(text, end) is not None or _begin_alike(text, line, end)
    width = (at - line) * (2 if before >= WIDE else 1)
    if not WRAP[0] <= width <= WRAP[1] or before in _LINE_ENDS:
        return True
    if before in ")]}" and not first.islower():
        return True
    return _ITEM.match(text, end) is not None or _begin_alike(text, line, end)


def _begin_alike(text: str, line: int, other: int) -> bool:
    """Whether two lines begin with the same word and a number, as in a list and rarely in wrapped text."""
    first, second = _LINE_WORDS.match(text, line), _LINE_WORDS.match(text, other)
    if first is None or second is None:
        return False
    one, two = (tuple(_DIGITS.sub("0", word) for word in m.groups()) for m in (first, second))
    return one[0] == two[0] and ("0" in one[0] or ("0" in one[1] and one[1] == two[1]))


def _item_end(text: str, at: int) -> int:
    """Where the list item ends that begins at `at`, 0 if none does or it is long."""
    if _LIST_ITEM.match(text, at) is None:
        return 0
    end = text.find("\n", at)
    end = len(text) if end < 0 else end
    return end if end - at <= MAX_ITEM_CHARS else 0


def _ends_sentence(text: str, last: int, at: int, end: int) -> bool:
    """Whether the stop at `at` ends the sentence begun at `last`; text[end] is the next word's first letter."""
    if text[end].islower():
        return False
    if text[at] != "." or text[at + 1] == ".":
        return True
    words = text[max(last, at - 14) : at].split()
    word = words[-1].lstrip(_OPENERS) if words else ""
    if not word:
        return False
    if word.isdigit():  # "1. First" opens a list item, "in 1990. The" ends a sentence, "am 1. Mai" does not
        if len(word) <= 2 and (_MONTHS.match(text, end) or (len(words) > 1 and words[-2].lower() in _ORDINAL_LEADS)):
            return False
        return not (len(word) <= 3 and len(words) == 1 and at - last <= 8)
    if (
        text[end].isdigit()
        and len(words) > 1
        and len(word) <= MAX_ABBREVIATION_CHARS
        and word.isalpha()
        and at - last <= MAX_ITEM_CHARS
    ):
        return False
    if len(word) == 1:
        if word.islower() and (text[end + 1 : end + 2] == "." or word in "svz"):  # z. B., i. d. R., s. Abb.
            return False
        return not word.isalpha() or word.islower() or word >= "\u0370"
    return word.lower() not in _ABBREVIATIONS and not (word[-2] == "." and word[-1].isalpha())


def clause_cuts(text: str, starts: list[int]) -> list[int]:
    """Splits long ranges of scripts that write no full stops at spaces; returns all starts."""
    if text.isascii() or not _SCRIPTS_WITHOUT_STOPS.search(text):
        return starts
    out: list[int] = []
    for a, b in zip(starts, [*starts[1:], len(text)], strict=False):
        out.append(a)
        while b - a > MAX_CLAUSE_CHARS and _SCRIPTS_WITHOUT_STOPS.search(text, a, b):
            cut = text.find(" ", a + MAX_CLAUSE_CHARS // 2, min(b, a + MAX_UNIT_CHARS)) + 1
            if not 0 < cut < b:
                break
            out.append(cut)
            a = cut
    return out


def segment_prose(text: str, hint: str = "") -> SpanLayout:
    """Divides running text into sentences.

    `Title: x` lines and `Document [1](Title: x)` openings are headers of the text after them, and a line that ends in a
    colon is the header of the list items after it.
    """
    if not text:
        return build_layout("prose", "", [])
    if _reader is not None and (divided := _reader.divide(text)) is not None:
        starts, parents, flags = divided
        _flag_total(text, starts, flags)
        return build_layout("prose", text, starts, parents, flags)
    starts = clause_cuts(text, sentence_starts(text))
    documents: set[int] = set()
    if _may_open_document(text):
        openings = np.array([m.span() for m in _DOCUMENT.finditer(text) if m.end() < len(text)], np.int32).reshape(
            -1, 2
        )
        if len(openings):
            at = np.array(starts, np.int32)
            of = np.searchsorted(openings[:, 0], at) - 1  # the last opening that begins before the sentence
            at = at[(of < 0) | (at >= openings[of, 1])]  # no sentence begins inside an opening ("(Title: J. Doe)")
            starts = np.unique(np.concatenate((at, openings.ravel()))).tolist()
            documents.update(openings[:, 0].tolist())
    parents, flags = _heads(text, starts, documents)
    return build_layout("prose", text, starts, parents, flags)


def _may_open_document(text: str) -> bool:
    """Whether a line may begin with a word that opens a document."""
    if _reader is not None:
        return bool(_reader.has_opening(text))
    return any(word in text for word in _DOCUMENT_WORDS)


def _heads(text: str, starts: list[int], documents: set[int]) -> tuple[list[int], list[int]]:
    """Returns the parents and flags of the sentences."""
    troubled = sorted({bisect_right(starts, at) - 1 for at in word_offsets(text, _TROUBLE_WORDS)})
    find = _find_heads if _reader is None else _reader.heads
    parents, flags = find(text, starts, documents, troubled)
    _flag_total(text, starts, flags)
    return parents, flags


def _flag_total(text: str, starts: list[int], flags: list[int]) -> None:
    """Flags the last line if it sums up."""
    if (last := total_line(text, starts)) >= 0 and text[starts[last] - 1] == "\n":
        flags[last] |= UnitFlag.SUMMARY


def _find_heads(text: str, starts: list[int], documents: set[int], troubled: list[int]) -> tuple[list[int], list[int]]:
    """Returns the parents and flags of the sentences, without the kernel.

    Args:
        text: The text.
        starts: Where they begin.
        documents: Those at which a document begins.
        troubled: The numbers of those that have a word of errors or warnings.
    """
    n = len(starts)
    parents = [-1] * n
    flags = [0] * n
    trouble = set(troubled)
    scope = lead = -1  # the current header and the current lead-in line of a list
    was_head = False
    named = -1  # the last sentence that names what it speaks of
    refers = [_REFERS.match(text, a) is not None for a in starts]
    if sum(refers) < max(LEAST_REFERRING, MIN_REFERRING * n):
        refers = [False] * n
    ends = [*starts[1:], len(text)]
    for i, (a, b) in enumerate(zip(starts, ends, strict=True)):
        if a in documents:
            scope, lead, was_head, flags[i] = i, -1, True, UnitFlag.HEADER
            continue
        m = _HEAD.match(text, a, b) if text[a] in _HEAD_LETTERS else None
        if m and m.lastgroup == "head":
            flags[i] = UnitFlag.HEADER
            if was_head:
                parents[i] = scope
            else:
                scope = i
            lead, was_head = -1, True
            continue
        if m:
            scope = -1
        was_head = False
        parents[i] = scope
        if refers[i] and i and "\n\n" not in text[max(0, a - 2) : a]:
            parents[i] = named if named >= 0 else scope
        else:
            named = i
        if lead >= 0 and _ITEM.match(text, a, b):
            parents[i] = lead
        elif text[max(a, b - 8) : b].rstrip()[-1:] == ":" and i + 1 < n and _ITEM.match(text, b):
            lead, flags[i] = i, UnitFlag.HEADER
        else:
            lead = -1
        if i in trouble and (t := _TROUBLE.match(text, a, b)):
            flags[i] |= UnitFlag.ERROR if t.lastgroup == "error" else UnitFlag.WARNING
    return parents, flags


_kernel = load_kernel("sentences")
_reader = _kernel and _kernel.SentenceReader(
    stops=_STOPS,
    run_stops=_STOPS_IN_A_ROW,
    marks=_MARKS,
    mark_runs=_MARKS_IN_A_ROW,
    closers=_CLOSERS,
    mark_closers=_MARK_CLOSERS,
    bullets=_BULLETS,
    line_ends=_LINE_ENDS,
    openers=_OPENERS,
    abbreviations=_ABBREVIATIONS,
    numbers=(MAX_ITEM_CHARS, MIN_WRAPPED_CHARS, *WRAP),
    wide=WIDE,
    ends_sentence=_ends_sentence,
    begin_alike=_begin_alike,
    refers=_REFERRING,
    openings=_DOCUMENT_WORDS,
    head_match=_HEAD.match,
    head_letters="".join(_HEAD_LETTERS),
    trouble_match=_TROUBLE.match,
    fractions=(LEAST_REFERRING, MIN_REFERRING),
    header=int(UnitFlag.HEADER),
    error=int(UnitFlag.ERROR),
    warning=int(UnitFlag.WARNING),
    trouble_words=_kernel.WordFinder(_TROUBLE_WORDS),
    rare_scripts=_RARE_SCRIPTS,
)
