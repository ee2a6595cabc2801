"""Log lines: one unit a line, lines that continue a record (stack traces, wrapped text) under the record's first line.

Levels come from the line's own level word; only lines without one are judged by what they say.
"""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.lines import Flags, flag_words, line_starts
from compressor.text.segmenters.span_layout import SpanLayout, build_layout

_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
#: The beginning of a log record's first line: a time stamp, a level, or a logfmt key.
LOG_HEAD = re.compile(
    r"(?:\S{1,60}\.log\S{0,60}[ \t]+|\S{1,40}[ \t]+\|[ \t])?(?:"
    r"(?:[-A-Z][A-Z0-9_]*[ \t])?1\d{9}(?:\d{3}|\.\d+)?[ \t]"  # epoch; BGL, Thunderbird: after an alert label
    r"|[\[(<\"]?\d{4}[-/.]\d\d[-/.]\d\d(?:[T _,-]{1,3}\d\d?[:.h]\d\d|[ \t])"
    r"|[\[(<]?\d\d?[-/.]\d\d?(?:[-/.]\d{2,4})?[T ,]{1,2}\d\d?:\d\d"
    rf"|[\[(<]?(?:{_DAY},?[ \t]+)?{_MONTH}[ \t]+\d{{1,2}}(?:[ ,]+\d{{4}})?,?[ \t]+\d\d?:\d\d"
    rf"|[\[(<]?\d{{1,2}}[ /-]{_MONTH}[ /-]\d{{2,4}}[ :T]\d\d:\d\d"
    r"|[\[(<]?\d\d?:\d\d:\d\d(?:[.,]\d+)?[\])> \t-]"
    r"|\d{6}[ \t]\d{6}[ \t]\d+[ \t]|\d{8}-\d\d?:\d\d?:\d\d"  # HDFS, HealthApp
    r"|[IWEFD]\d{4}[ \t]\d\d:\d\d:\d\d|[VDIWEF]/[\w.$-]+[ \t]*[(:]"  # glog, logcat
    r"|[\[<]?(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|FATAL|CRITICAL|SEVERE)[\]>]?(?:[:|][ \t]?"
    r"|[ \t]+(?=[\[\w(-]))"
    r"|(?:time|ts|timestamp|level|lvl)="
    r"|\d{1,3}(?:\.\d{1,3}){3}[ \t]\S+[ \t]\S+[ \t]\[\d\d/"  # web server access log
    r"|\[[ \t]*\d+\.\d{3,6}\][ \t]"  # kernel ring buffer
    r")"
)
_SMALL = r"(?:info|notice|error|fatal|crit|emerg|alert|panic|warn|debug|trace|verbose)(?:ical|ing)?\b"
# Every alternative begins with a plain character: that lets `re` skip ahead by first character.
_LEVEL = re.compile(
    r"INFO\b|NOTICE\b|ERROR|FATAL|FAILURE\b|CRITICAL|CRIT\b|SEVERE|EMERG|ALERT\b|PANIC|WARN|DEBUG|TRACE\b|VERBOSE\b"
    rf"|\[{_SMALL}|={_SMALL}|\"{_SMALL}|<{_SMALL}|:{_SMALL}\]"
)
_ERROR, _WARNING, _NOISE = int(UnitFlag.ERROR), int(UnitFlag.WARNING), int(UnitFlag.NOISE)
_LEVEL_FLAGS = {"info": 0, "noti": 0, "warn": _WARNING} | dict.fromkeys(("debu", "trac", "verb"), _NOISE)
_LETTER = re.compile(r"(?:[-\d:., \t]{12,48}?[ \t](?P<letter>[VDIWEF])[ \t/]|(?P<first>[VDIWEF])(?:/|\d{4} ))")
_LETTER_FLAGS = {"E": _ERROR, "F": _ERROR, "W": _WARNING, "I": 0, "D": _NOISE, "V": _NOISE}
_ALERT = re.compile(r"(-|[A-Z][A-Z0-9_]+)[ \t]\d{10}[ \t]\d{4}\.\d\d\.\d\d[ \t]")
_STATUS = re.compile(r'\d{1,3}(?:\.\d{1,3}){3}[ \t][^"\n]{0,80}"[^"\n]{0,2000}"[ \t](?P<code>\d)\d\d\b')
TROUBLE = (
    "error", "fail", "exception", "fatal", "panic", "denied", "refused", "segfault", "killed", "abort", "unable to",
    "cannot", "timed out", "timeout", "corrupt", "unreachable", "traceback", "caused by:",
)  # fmt: skip
_LEVEL_WITHIN = 160  # characters of a line in which its level is looked for


def segment_log(text: str, hint: str = "") -> SpanLayout:
    """Divides a log into lines; lines that continue a record are children of its first line."""
    if not text:
        return build_layout("log", "", [])
    starts = line_starts(text)
    where = starts.tolist()
    match = LOG_HEAD.match
    head = np.fromiter((match(text, s) is not None for s in where), np.bool_, len(where))
    index = np.arange(len(where), dtype=np.int32)
    parents = np.maximum.accumulate(np.where(head, index, np.int32(-1)))
    parents = np.where(head, np.int32(-1), parents)
    if head.sum() * 20 < len(where):  # an unknown format: continuation lines cannot be recognised
        parents = np.full(len(where), -1, np.int32)
    return build_layout("log", text, starts, parents, level_flags(text, starts, head), max_chars=2000)


def level_flags(text: str, starts: npt.NDArray[np.int32], head: npt.NDArray[np.bool_]) -> Flags:
    """Returns [lines] ERROR, WARNING or NOISE by the level of each line, or by its words if it has none."""
    n = len(starts)
    flags = np.zeros(n, np.uint16)
    if not n:
        return flags
    levelled = np.zeros(n, np.bool_)
    search, letter, status = _LEVEL.search, _LETTER.match, _STATUS.match
    for i in np.flatnonzero(head).tolist():
        s = int(starts[i])
        stop = int(starts[i + 1]) if i + 1 < n else len(text)
        if m := search(text, s, min(stop, s + _LEVEL_WITHIN)):
            flags[i] = _LEVEL_FLAGS.get(m.group().strip('[="<:')[:4].lower(), _ERROR)
        elif m := letter(text, s, stop):
            flags[i] = _LETTER_FLAGS[m.group("letter") or m.group("first")]
        elif m := status(text, s, stop):
            flags[i] = _ERROR if m.group("code") == "5" else _WARNING if m.group("code") == "4" else 0
        else:
            continue
        levelled[i] = True
    told = flag_words(text, starts, TROUBLE)
    flags[told & ~levelled] = _ERROR
    flags[told & levelled & (flags == 0)] = _WARNING
    if head.any() and _ALERT.match(text, int(starts[head][0])):
        # the label is the operators' own verdict, so it overrides the level
        for i in np.flatnonzero(head).tolist():
            m = _ALERT.match(text, int(starts[i]))
            if m and m.group(1) != "-":
                flags[i] = _ERROR
            elif flags[i] == _ERROR:
                flags[i] = _WARNING
    return flags
