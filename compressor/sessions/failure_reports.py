"""Reads failing and passing tests, and errors, from what test runners, compilers, shells and services print.

Only lines with a word of failure are looked at closely, so a long log takes little time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from compressor.context.refs import PLACEHOLDER_RE

MAX_SCANNED_CHARS = 400_000  # of a result: its beginning and its end
MAX_LINES = 2_000  # that are looked at closely: the first and the last
MAX_LINE_CHARS = 200
MAX_EXPLAINED = 8  # failed tests of a result whose error is looked for
MAX_ASSERTION_DISTANCE = 6_000  # characters between a failed test and the error that belongs to it

_PATH_TEST = r"[^\s\[]{2,300}(?:\[.{0,80}?\])?"
_IS_PATH = re.compile(r"::|/|\\|\.(?:py|rb|[jt]sx?|go|exs?|php|rs|java|kt|cs)\b")
_TIME = r"(?:\s+[(\[]?<?\s?[\d.,]+\s?m?s[)\]]?)?"
#: Lines of runners: the form with the test's name in its only group, what stands in every such line, and how the runner
#: says failed ({F}), passed, and that an error stopped the test ({E}).
_FORMS = (
    (rf"(?:{{F}}|{{E}})\s+({_PATH_TEST})(?:\s+-\s.*|\s+\(.*| > .*)?", "", "FAILED|FAIL", "PASSED|PASS|ok", "ERROR"),
    (rf"({_PATH_TEST})\s+(?:{{F}}|{{E}})(?:\s+\[\s*\d+%\])?", "", "FAILED", "PASSED", "ERROR"),  # pytest -v
    (r"(?:{F}|{E}): (\w[\w.]{0,160} ?\(?[\w.]{0,160}\)?)", ": ", "FAIL", "PASS", "ERROR"),  # unittest
    (r"--- {F}: ([\w/.#=-]{1,160})(?: \([\d.]+s\))?", "--- ", "FAIL", "PASS", ""),  # Go
    (r"(?:test )?(.{3,160}?)\s+\.\.\. (?:{F}|{E})" + _TIME, " ... ", "FAILED|FAIL", "ok", "ERROR"),  # Rust, unittest -v
    (rf"{{F}} (?:\d+\) )?(.{{3,160}}?){_TIME}", "", "[✕✗✘×]", "[✓✔√]", ""),  # jest, vitest, mocha, bats
    (r"{F} \d+ (?:- )?(.{1,160}?)(?: # time=.*)?", "", "not ok", "ok", ""),  # TAP
    (rf"(.{{3,160}}? > .{{3,120}}?) {{F}}{_TIME}", " > ", "FAILED", "PASSED", ""),  # Gradle
    (r"{F} ([\w.<>(),\"': =-]{3,160}?) \[<? ?[\d.,]+ m?s\]", "", "Failed", "Passed", ""),  # dotnet
    (
        r"\d+/\d+ Test\s+#\d+: (\S{1,160}) \.*\s*(?:\*\*\*)?{F}\b.*",
        " #",
        "Failed|Timeout|Exception",
        "Passed",
        "",
    ),  # CTest
    (r"\[\s+{F}\s+\] ([\w./]{1,160})(?:,.*| \(\d+ ms\))?", "[ ", "FAILED", "OK", ""),  # GoogleTest
    (r"Test Case '-\[([^\]]{1,160})\]' {F}\b.*", "Test Case", "failed", "passed", ""),  # XCTest
    (r"(//[\w./:-]{1,160})\s+(?:\(cached\) )?{F}\b.*", "//", "FAILED|TIMEOUT", "PASSED", ""),  # Bazel
    (r"\[{F}\]\s+([\w.$]{3,160})(?::\d+|  Time elapsed).*", "[", "ERROR", "", ""),  # Maven
)


def _patterns(is_failure: bool) -> list[tuple[str, re.Pattern[str]]]:
    out = []
    for form, part, failed, passed, error in _FORMS:
        words = failed if is_failure else passed
        form = form.replace("{F}", f"(?:{words})").replace("|{E}", f"|{error}" if is_failure and error else "")
        if words:
            out.append((part, re.compile(rf"\s{{0,40}}(?:{form})\s*")))
    return out


_FAILED = _patterns(True)
_PASSED = _patterns(False)
_NUMBERED = re.compile(r"\s{0,8}(\d{1,3})\) (.{3,160}?)\s*:?\s*")
_FAILING = re.compile(r"\b[1-9]\d* (?:failing|failures?|failed)\b|FAILURES!|^Failures:|\bfailed with \d", re.MULTILINE)
_GREEN = re.compile(
    r"\b[1-9]\d* (?:passed|passing|tests? passed|examples?, 0 failures|tests?, 0 failures)\b|Failures: 0|\b0 failed\b"
    r"|^OK\b|\b100% tests passed|^ok\s|test result: ok|Tests:\s+\d+ passed|BUILD SUCCESS|All tests passed|^PASS\b"
    r"|Passed!\s",
    re.MULTILINE,
)
_LOOKED_AT = re.compile(
    r"fail|error|fatal|exception|panic|not ok|not found|no such|denied|refused|cannot|timeout|segmentation|[✕✗✘×]"
    r"|exit (?:code|status)|undefined|\*\*\*|ERR!| 50\d |错误|錯誤|エラー|ошибка|오류|fehler|erreur|\berro\b",
    re.IGNORECASE,
)
_LOOKED_AT_PASSED = re.compile(r"PASS|pass|\bok\b|\bOK\b|[✓✔√]")

_ERROR = re.compile(
    r"\s*(?:"
    r"(?:[│|E]\s+)?(?:Exception in thread \"[^\"]{0,60}\" |Unhandled |Uncaught )?(?:[\w$]+\.)*[A-Z]\w*(?:Error"
    r"|Exception"
    r"|Failure)(?:: ?\S.*|\s*)"
    r"|(?:[│|]\s+)?(?:error|fatal(?: error)?|FATAL|ERROR|Error|panic|CRITICAL|SEVERE)(?:\[\w+\])?:\s{0,4}\S.*"
    r"|\d+:\d+\s+error\s+.*"
    r"|Error from server.*|npm (?:ERR!|error) (?!A complete log|\s).*"
    r"|\S{1,160}[:(]\d+(?:[:,]\d+)?\)?(?::| -|: fatal)? (?:fatal )?error(?: [A-Z]{1,4}\d+)?: ?\S.*"
    r"|\S{1,160}\.go:\d+:\d+: (?!warning).{4,}"
    r"|thread '.{1,80}' panicked at .*|.{0,60}\*\*\* \[.{1,80}\] Error \d+.*|HTTP/[\d.]+ [45]\d\d\b.*"
    r"|curl: \(\d+\).*|.{0,80}: (?:command )?not found|.{0,160}: (?:No such file or directory|Permission denied)"
    r"|.{0,80}(?:Connection refused|Cannot find path .*|Segmentation fault.*|\bKilled)"
    r"|.{0,80}\b[Ee]xit(?:ed with)? (?:code|status):? *[1-9]\d*.{0,40}"
    r"|.{0,60}\b\d\d:\d\d(?::\d\d)?\S{0,16} \W?(?:ERROR|FATAL|CRITICAL|SEVERE)\b.*"
    r"|\[?(?:ERROR|FATAL|CRITICAL|SEVERE)\]? .{8,}"
    r"|.{0,300}\blevel=\"?(?:error|fatal|critical)\b.*"
    r"|(?:错误|錯誤|エラー|Ошибка|오류|Fehler|Erreur|Erro|Errore)\s?[:：].{2,}"
    r")"
)
_JSON_ERROR = re.compile(
    r"\"(?:error|error_message|errorMessage|exception)\": ?(?:\"[^\"\n]{3,300}"
    r"|\{[^{}\n]{0,400}?\"message\": ?\"[^\"\n]{3,300})"
)
_NO_ERROR = re.compile(
    r"\b(?:0|no|without|zero) (?:errors?|failures?|failed|failing)\b|(?:errors?|failures?|failed): ?(?:0|none"
    r"|false|null)\b"
    r"|\bFailures: 0, Errors: 0\b",
    re.IGNORECASE,
)
#: Lines of source code, of listings with line numbers, of patches and of searches: they only speak of errors.
_SOURCE = re.compile(
    r"\s*(?:[-+>] ?|\d{1,6}[\t:|→-])?\s*(?:def |class |raise |throw |except\b|catch\b|return\b|import "
    r"|from \w+ import|if\b"
    r"|elif\b|else\b|try\b|log(?:ger|ging)?\.|console\.|print|printf|echo |assert |const |let |var |func |fn |\#"
    r"|//|/?\*"
    r"|it\(|test\(|describe\(|@\w|[-*] |\| )"
    r"|\s*\d{1,6}\t|[-+](?![-+])|[\w./-]{1,200}\.\w{1,5}[:-]\d{1,6}[:-](?!\d{1,6}(?::"
    r"| - error))(?!\s?(?:fatal )?error\b)"
)
_ASSERTION = re.compile(
    r"(?:E\s+)?(?:[\w.]+(?:Error|Exception)\b.*|(?:Error|Exception): \S.*|assert(?:ion)?\b.*|.*\bexpected\b.*"
    r"|.*panicked at.*)",
    re.I,
)
_SKIPPED = re.compile(r"#\s*(?:TODO|SKIP)\b", re.IGNORECASE)


@dataclass(frozen=True)
class FailedTest:
    """A test that failed.

    Attributes:
        name: Its name as the runner writes it.
        line: The line that says so, with the error that belongs to it.
    """

    name: str
    line: str


@dataclass
class FailureReport:
    """What a tool result says about failures.

    Attributes:
        failed: The tests that failed, in order.
        passed: The names of the tests that passed, with and without their modules.
        errors: The lines that report an error.
        is_green: Whether it says that tests passed and none failed.
    """

    failed: list[FailedTest] = field(default_factory=list)
    passed: set[str] = field(default_factory=set)
    errors: list[str] = field(default_factory=list)
    is_green: bool = False


def short_names(name: str) -> list[str]:
    """Returns the name of a test as runners may write it: whole, and without its file, module or suite."""
    name = name.split(" (")[0].strip().removesuffix("()")
    head, bracket, parameters = name.partition("[")
    borders = [found.end() for found in re.finditer(r"::| > |(?<=\.py)/", head)]
    return [name, *(head[at:] + bracket + parameters for at in borders)]


def read_failures(text: str) -> FailureReport:
    """Returns what a tool result says about failures."""
    text = _scanned(text)
    out = FailureReport()
    failed: dict[str, str] = {}
    errors: dict[str, None] = {}
    is_numbered = _FAILING.search(text) is not None
    numbers: set[str] = set()
    for line in _lines(text, _LOOKED_AT, is_numbered):
        if _SKIPPED.search(line) or PLACEHOLDER_RE.search(line):
            continue
        if is_numbered and (found := _NUMBERED.fullmatch(line)) and found[1] not in numbers:
            numbers.add(found[1])
            failed.setdefault(found[2], line)
        elif (name := _test_name(line, _FAILED)) and (name.startswith("//") or not _SOURCE.match(line)):
            failed.setdefault(name, line)
        elif (found := _ERROR.match(line)) and not _NO_ERROR.search(line) and not _SOURCE.match(line):
            errors.setdefault(line.strip()[:MAX_LINE_CHARS])
        elif (found := _JSON_ERROR.search(line)) and not _NO_ERROR.search(found[0]):
            errors.setdefault(line.strip() if len(line) <= MAX_LINE_CHARS else found[0])
    failed = _without_files(failed)
    names = [short_names(name)[-1] for name in failed]
    for number, (name, line) in enumerate(failed.items()):
        line = line.strip()[:MAX_LINE_CHARS]
        if number < MAX_EXPLAINED:
            line = _with_assertion(line, names[number], text, names[: 4 * MAX_EXPLAINED])
        out.failed.append(FailedTest(name, line))
    for line in _lines(text, _LOOKED_AT_PASSED, False):
        if name := _test_name(line, _PASSED):
            out.passed.update(short_names(name))
    out.errors = list(errors)
    out.is_green = not failed and not errors and _GREEN.search(text) is not None and not is_numbered
    return out


def _test_name(line: str, patterns: list[tuple[str, re.Pattern[str]]]) -> str:
    """Returns the name of the test of which a line says that it failed, or passed, or ""."""
    for number, (part, pattern) in enumerate(patterns):
        if part in line and (found := pattern.fullmatch(line)):
            name = found[1].strip(" :-")
            if re.search(r"[^\W\d_]", name) and (number > 1 or _IS_PATH.search(name)):
                return name
    return ""


def _scanned(text: str) -> str:
    if len(text) <= MAX_SCANNED_CHARS:
        return text
    half = MAX_SCANNED_CHARS // 2
    return text[:half] + "\n" + text[-half:]


def _lines(text: str, words: re.Pattern[str], with_numbered: bool) -> Iterator[str]:
    """Yields the lines, cut to a length, in which one of the words stands: at most `MAX_LINES`."""
    lines: list[str] = []
    at = 0
    for line in text.splitlines():
        if len(line) > 2_000:
            found = words.search(line)
            at = max(0, found.start() - 400) if found else 0
            line = line[at : at + 1_200]
        if words.search(line) or (with_numbered and ") " in line[:12]):
            lines.append(line)
    if len(lines) > MAX_LINES:
        lines = lines[: MAX_LINES // 2] + lines[-MAX_LINES // 2 :]
    yield from lines


def _without_files(failed: dict[str, str]) -> dict[str, str]:
    """Returns the failed tests without files and packages of which single tests are known."""
    files = {name for name in failed if " " not in name and re.search(r"[\w-]+\.\w{1,4}$", name) and "::" not in name}
    return {name: line for name, line in failed.items() if name not in files or len(files) == len(failed)}


def _with_assertion(line: str, name: str, text: str, names: list[str]) -> str:
    """Returns the line of a failed test with the error that stands nearest after a mention of the test."""
    if re.search(r"\w(?:Error|Exception)\b| - \S", line):
        return line
    at, tries = text.find(name), 0
    while at >= 0 and tries < 6:
        behind = text[at + len(name) : at + MAX_ASSERTION_DISTANCE]
        for raw in behind.splitlines()[1:]:
            other = raw.strip()
            if any(n in other for n in names if n != name and n not in name):
                break
            if _ASSERTION.match(other) and name not in other and other not in line and not _SOURCE.match(raw):
                return f"{line} | {re.sub(r'^E +', '', other)[:MAX_LINE_CHARS]}"
        at, tries = text.find(name, at + 1), tries + 1
    return line
