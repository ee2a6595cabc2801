"""Tracebacks and the output of test runners and builds. A unit is a line, or a stack frame with its source line.

Says which lines fail, sum up or merely tell of progress; a failing test's heading is the parent of its section.
"""

from __future__ import annotations

import re

import numpy as np

from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.lines import flag_words, line_starts
from compressor.text.segmenters.span_layout import SpanLayout, build_layout

# Only alternatives that fail on their first characters: this runs on every line.
_LINE = re.compile(
    r"[ \t]*(?:(?P<blank>\r?(?:\n|\Z))|(?P<frame>(?:[|+][ \t]*)?File \"[^\"\n]*\", line \d+"
    r"|at (?:async )?[\w$.<>\[\]/ ]{0,200}[(:\w]|\d+: +\S{1,200}::))"
    # headings of a failing test's section, and of a traceback
    r"|(?P<section>_{3,} \S.* _{3,}\s*$|(?:FAIL|ERROR): (?:test|\S{1,200} \()\S*|--- FAIL: | {0,4}● \S"
    r"|goroutine \d+ \[)"
    r"|(?P<traceback>[ \t|+]*(?:Exception Group )?Traceback \(most recent call last\):"
    r"|stack backtrace:|Exception in thread |thread '[^'\n]{0,200}' panicked at|panic: )"
    # the outcome of a run
    r"|(?P<summary>=+ .*\b(?:passed|failed|errors?|skipped|warnings?|no tests ran|deselected)\b.*=+\s*$"
    r"|=+ (?:short test summary|slowest)|Ran \d+ tests?\b|(?:OK|FAILED)(?: \([^\n]{0,80}\))?\s*$|test result: "
    r"|(?:Tests|Test Suites|Snapshots|Test Files):? +\d| {0,8}\d+ (?:passing|failing|pending)\b"
    r"|(?:\[\w+\] )?(?:Tests run: |BUILD (?:SUCCESS|FAIL))|(?:ok|FAIL)\s+\S{1,200}\s+[\d.(]|FAIL\s*$"
    r"|Found \d+ (?:errors?|problems?)|error: (?:aborting|could not compile)|>>>>> |collected \d+ items?"
    r"|\d+ tests? (?:passed|failed))"
    # what failed
    r"|(?P<error>E(?:   |\s*$).*|>[ \t]+\S|(?:FAILED|ERROR)[ :(]|[ \t]*[✕✗✖×✘]\s|[ \t]*not ok \d|\[(?:ERROR|error)\]"
    r"|npm ERR!|FAILURES!|Caused by: |Segmentation fault|Killed\s*$|Aborted\b|[ \t]*\S{1,200}_test\.go:\d+: "
    r"|[ \t]*(?:Expected|Received|expected|actual|left|right|got|want) {0,2}:)"
    # progress, passed tests, installers
    r"|(?P<noise>(?:=== (?:RUN|PAUSE|CONT|NAME)|[ \t]*--- (?:PASS|SKIP)|[ \t]*[✓✔√] |ok \d+ |PASS\b|[-=~_*#. ]{5,}\s*$"
    r"|\[(?:INFO|DEBUG)\]|npm (?:WARN|notice)|platform |rootdir:|plugins:|cachedir:|running \d+ tests?|Looking in"
    r"|Destroying test|Cloning test|Creating test|Importing app|Previous HEAD|HEAD is now|executable: |architecture: "
    r"|cache: |ground types: |random seed: |hash rand)"
    r"|[ \t]*(?:\.\.\. \d+ more|Requirement already|Collecting |Downloading |Downloaded |Using cached|Installing "
    r"|Building wheel|Created wheel|Stored in|Preparing |Getting requirements|Checking |Obtaining |Creating table"
    r"|Running deferred|Compiling |Fresh |Attempting uninstall|Found existing|Uninstalling|Successfully uninstalled))",
    re.M,
)
# Tried only on lines that hold one of the words below.
_TROUBLE_WORDS = (
    "error", "exception", "failure", "interrupt", "exit", "fault", "fatal", "warn", "not found", "no such file",
    "return code",
)  # fmt: skip
_TROUBLE = re.compile(
    r"(?P<error>\S{1,300}\.py:\d+: (?:\w{1,80}(?:Error|Exception|Failure)|in )"
    r"|(?:[\w$.<>-]{1,200}[.:])?(?:\w{0,80}(?:Error|Exception|Failure|Interrupt|Exit|Fault)|error(?:\[E\d+\])?|fatal"
    r"|FATAL)"
    r"(?: \[[^\n]{0,60}\])?(?:[:(]|\s*$)|[^\s:]{1,200}:\d+:(?:\d+:)? (?:fatal )?error\b"
    r"|[^\n]{0,80}(?:command not found|No such file or directory))"
    r"|(?P<summary>[^\n]{0,120}(?:exit|Exit|Return)(?:ed)?(?: with)?(?: [Cc]ode| status):? ?-?[1-9])"
    r"|(?P<warning>[^\n]{0,200}(?:\b[Ww]arning:|\bWARNING\b|\[WARN))",
    re.M,
)
_FLAGS = {
    "blank": int(UnitFlag.NOISE),
    "section": int(UnitFlag.HEADER | UnitFlag.ERROR),
    "traceback": int(UnitFlag.HEADER),
    "summary": int(UnitFlag.SUMMARY),
    "error": int(UnitFlag.ERROR),
    "warning": int(UnitFlag.WARNING),
    "noise": int(UnitFlag.NOISE),
}
_VERDICTS = {
    "PASSED": "noise",
    "SKIPPED": "noise",
    "XFAIL": "noise",
    "FAILED": "error",
    "ERROR": "error",
    "XPASS": "error",
}
_DOTTED = _VERDICTS | dict.fromkeys(("ok", "OK", "done", "skipped", "ignored"), "noise") | {"FAIL": "error"}
_PYTHON_FRAME = re.compile(r"[ \t|+]*File \"")
_NO_SOURCE = re.compile(r"[ \t|+]*(?:File \"|Traceback|During |\[Previous|The above|\r?\n)")
_NAMED = re.compile(r"test\w* \([\w.<>-]{1,300}\)\s*$", re.M)  # unittest -v: the docstring and the verdict follow
_CARETS = re.compile(r"[ \t|]*[~^]+[~^ ]*\r?$", re.M)
INNERMOST_FRAMES = 2  # frames next to the exception that count as part of the error


def segment_traceback(text: str, hint: str = "") -> SpanLayout:
    """Divides tracebacks and test output into lines and stack frames."""
    if not text:
        return build_layout("trace", "", [])
    where = line_starts(text).tolist()
    trouble = flag_words(text, np.array(where, np.int32), _TROUBLE_WORDS).tolist()
    starts: list[int] = []
    parents: list[int] = []
    flags: list[int] = []
    section = call = -1  # the failing test's heading, the traceback's first line
    frames: list[int] = []  # units of the frames of the traceback being read
    above = True  # frames follow the exception's line (Java, JavaScript, Go), so the first are the innermost
    after = ""  # the kind of the line before, if it decides where this one belongs
    for i, (s, e) in enumerate(zip(where, [*where[1:], len(text)], strict=True)):
        if after and _continues(text, s, after):
            if after == "name":
                flags[-1] |= _FLAGS.get(_verdict(text, s, e), 0)
            after = {"python": "carets", "carets": "carets"}.get(after, "")
            continue
        after = ""
        m = _LINE.match(text, s)
        if m is None and trouble[i]:
            m = _TROUBLE.match(text, s)
        kind = (m.lastgroup or "") if m else _verdict(text, s, e)
        if not kind:
            if call >= 0 and not above and text[s] not in " \t|":
                kind = "error"  # a Python traceback ends with its exception, whatever its name
            elif e < len(text) and text.startswith("\t/", e):
                kind = "frame"  # Go: the function's line, then the file's
            elif _NAMED.match(text, s):
                after = "name"
        flag = _FLAGS.get(kind, 0)
        parent = section
        if kind == "frame":
            parent = call if call >= 0 else section
            python = _PYTHON_FRAME.match(text, s) is not None
            after = "python" if python else "path"
            if not python and above and len(frames) < INNERMOST_FRAMES:
                flag |= _FLAGS["error"]
            frames.append(len(starts))
        elif kind == "section":
            section, call, parent, frames, above = len(starts), -1, -1, [], True
        elif kind == "traceback":
            above = not text.startswith("Traceback", s) and "Traceback" not in text[s:e]
            call, frames = len(starts), []
            if above:
                flag |= _FLAGS["error"]
                after = "name" if text.startswith("thread '", s) else ""
        elif kind == "error":
            for frame in [] if above else frames[-INNERMOST_FRAMES:]:
                flags[frame] |= _FLAGS["error"]
            call, frames, above = -1, [], True
        elif kind == "summary" or (kind == "noise" and text[s] == "="):
            section = call = parent = -1
        starts.append(s)
        parents.append(parent)
        flags.append(flag)
    return build_layout("trace", text, starts, np.array(parents, np.int32), flags, max_chars=2000)


def _verdict(text: str, a: int, b: int) -> str:
    """What a test runner says in a line's last words: "noise" for a passed test, "error" for a failed one, else ""."""
    line = text[max(a, b - 200) : b].rstrip()
    if line.endswith("%]"):
        line = line[: line.rfind("[")].rstrip()
    last = line[line.rfind(" ") + 1 :]
    if last in _VERDICTS:
        return _VERDICTS[last]
    dots = line.rfind("... ")
    if dots >= 0:
        said = line[dots + 4 :].split(None, 1)
        return "noise" if line.endswith("expected failure") else _DOTTED.get(said[0], "") if said else ""
    if last and not last.strip(".sxXFE") and (len(last) > 1 or last in ".F"):  # pytest's and unittest's dots
        return "error" if "F" in last or "E" in last else "noise"
    return ""


def _continues(text: str, at: int, after: str) -> bool:
    """Whether the line at `at` belongs to the unit before it, which was a frame or a test's name."""
    if after == "name":
        return text[at] not in "\r\n"
    if after == "path":
        return text.startswith("\t/", at)
    if _CARETS.match(text, at):
        return True
    return after == "python" and text[at] in " \t|" and not _NO_SOURCE.match(text, at)
