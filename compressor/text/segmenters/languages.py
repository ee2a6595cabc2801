"""Detects the programming language of a text by the command that produced it or by telling lines."""

from __future__ import annotations

import re
from functools import lru_cache

_EXTENSIONS: dict[str, str] = {
    ext: name
    for name, exts in {
        "python": "py pyi pyx pyw",
        "javascript": "js jsx mjs cjs",
        "typescript": "ts mts cts",
        "tsx": "tsx",
        "java": "java",
        "go": "go",
        "rust": "rs",
        "c": "c h",
        "cpp": "cc cpp cxx hpp hh hxx cu",
        "csharp": "cs",
        "kotlin": "kt kts",
        "swift": "swift",
        "scala": "scala",
        "dart": "dart",
        "php": "php",
        "css": "css scss less",
        "ruby": "rb rake gemspec",
        "shell": "sh bash zsh",
        "perl": "pl pm",
        "r": "r",
        "lua": "lua",
        "sql": "sql",
        "haskell": "hs",
        "elixir": "ex exs",
        "yaml": "yaml yml",
        "toml": "toml",
        "ini": "ini cfg conf",
        "make": "mk",
        "proto": "proto",
        "terraform": "tf hcl",
    }.items()
    for ext in exts.split()
}
_NAMES = {name: name for name in _EXTENSIONS.values()} | {
    "py": "python", "python3": "python", "js": "javascript", "jsx": "javascript", "ts": "typescript", "golang": "go",
    "rs": "rust", "c++": "cpp", "cs": "csharp", "c#": "csharp", "sh": "shell", "bash": "shell", "zsh": "shell",
    "rb": "ruby", "yml": "yaml", "kt": "kotlin", "makefile": "make", "dockerfile": "shell", "h": "c",
}  # fmt: skip
#: Notations for settings and data rather than programs.
CONFIGURATION = ("yaml", "toml", "ini", "proto", "terraform", "make")
_FILE = re.compile(
    r"(?<![\w.@+~/-])[\w.@+~/-]{1,300}\.([A-Za-z]{1,6})(?![\w.])|(?<![\w.@+~/-])(?:[\w.@+~/-]{0,300}/)?(Makefile"
    r"|Dockerfile)\b"
)
#: Commands and tools that print a file as it is.
_READS = re.compile(
    r"\b(?:open|cat|view|read|edit|create|head|tail|sed|nl|less|more|bat|show|goto|scroll|insert|str_replace|print"
    r"|file|path|fetch)",
    re.I,
)
_HINT_LENGTH = 2000  # characters of a hint that are looked at

_LOOKS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.M))
    for name, pattern in (
        (
            "python",
            r"^[ \t]*(?:(?:async )?def \w+\(|class \w+[^\n{;]*:[ \t]*(?:#.*)?$|from [\w.]+ import "
            r"|import [\w.]+(?: as \w+)?$"
            r"|if __name__ ==|@\w[\w.]*(?:\(|$)|(?:elif|except|with|for|while|if) [^\n]*:$|(?:try|else|finally):$"
            r"|return\b[^;\n]*$|self\.\w+ = [^;\n]*$|raise \w)",
        ),
        (
            "typescript",
            r"^[ \t]*(?:(?:export )?(?:interface|type|enum|abstract class|namespace) \w+|(?:public|private|protected"
            r"|readonly) \w+[(:]"
            r"|[^\n]*\w\??: (?:string|number|boolean|void|any|unknown)\b|import type )",
        ),
        (
            "javascript",
            r"^[ \t]*(?:(?:const|let|var) [\w{\[$][^\n]*=|(?:export |async )*function\b|export (?:default|const"
            r"|class)|import [^\n]* from ['\"]"
            r"|module\.exports|[^\n]*=> ?[{(]|[^\n]*\brequire\(['\"]|console\.\w+\(|\}\);?$)",
        ),
        (
            "java",
            r"^[ \t]*(?:package [\w.]+;|import (?:static )?[\w.*]+;|(?:public|private"
            r"|protected)[\w<>\[\], ]* \w+ ?[({;=]|@Override"
            r"|(?:public |final |abstract )*(?:class|interface|enum|record) \w+)",
        ),
        (
            "go",
            r"^[ \t]*(?:package \w+$|func [\w(]|import \($|type \w+ (?:struct|interface)|[^\n]*\w :?= [^\n]*[^;\n]$"
            r"|if err != nil|defer )",
        ),
        (
            "rust",
            r"^[ \t]*(?:(?:pub(?:\(\w+\))? )?(?:async |unsafe )*(?:fn|struct|enum|impl|trait|mod|use)\b[^\n]*[{;(]"
            r"|let (?:mut )?\w|#\[\w|match [^\n]*\{$"
            r"|[^\n]*->[^\n]*\{$|[^\n]*::<)",
        ),
        (
            "cpp",
            r"^[ \t]*(?:#include <\w+>|namespace \w*|template ?<|using namespace|(?:public|private|protected):"
            r"|class \w+[^;:\n]*[{:]"
            r"|[^\n]*\bstd::|[^\n]*\w+::\w+\([^\n]*\)[^\n]*\{)",
        ),
        (
            "c",
            r"^[ \t]*(?:#(?:include [<\"]|define |ifn?def |endif)|(?:static |const |extern |inline "
            r"|unsigned )*(?:void|int|char|long|size_t|struct \w+) [*\w]+ ?[(\[=;]"
            r"|typedef |[^\n]*\w->\w)",
        ),
    )
)


def language_of(text: str, hint: str = "") -> str | None:
    """Returns the name of the programming language of a text.

    Args:
        text: Any text.
        hint: A file name, the info string of a fence, or the tool call that produced the text. A call that runs a file
            instead of printing it is ignored.

    Returns:
        "python", "javascript", "typescript", "tsx", "java", "go", "rust", "c", "cpp" or a language without a parser
        here; None if the text does not look like code.
    """
    named = hint_language(hint)
    if named is None and text.startswith("[File: "):
        named = hint_language(text[1:300].partition("\n")[0])
    return named or looks_like(text)


def hint_language(hint: str) -> str | None:
    """The language that a hint names if it is about a file that is printed rather than run."""
    hint = hint[:_HINT_LENGTH].strip()
    if not hint:
        return None
    m = _FILE.search(hint)
    if m is None:  # a fence's info string: `python`, `js {1,3}`
        words = hint.lower().split(None, 1)
        return _NAMES.get(words[0]) if len(hint) < 40 else None
    if m.start() > 0 and not _READS.search(hint, 0, m.start() + 1):
        return None
    return _EXTENSIONS.get(m.group(1).lower()) if m.group(1) else _NAMES[m.group(2).lower()]


#: What nearly every line of code in these languages ends or begins with; text without it is not examined.
_CODELIKE = re.compile(
    r"[;{}]\r?$|[)\]\w]:\r?$"
    r"|^[ \t]*(?:\d+[:|]?[ \t]*)?(?:def|class|import|from|return|func|fn|let|const|var|public|private|package|use"
    r"|self\.|#include)\b",
    re.M,
)
_LOOKED_AT = 2500  # characters
#: A text without any of these words is not in the language; this is cheaper to test than the patterns.
_NEEDS = {
    "python": ("def ", "import ", "class ", "return", "self.", "elif ", "except"),
    "typescript": ("interface ", ": string", ": number", ": boolean", "readonly ", "import type", "enum "),
    "javascript": ("const ", "function", "=>", "require(", "console.", "let ", "var "),
    "java": ("public ", "private ", "protected ", "import ", "class "),
    "go": ("func ", ":=", "package ", "err != nil"),
    "rust": ("fn ", "let ", "impl ", "::", "#["),
    "cpp": ("#include <", "std::", "::", "template", "namespace "),
    "c": ("#include", "#define", "->", "int ", "void ", "char ", "struct "),
}


def looks_like(text: str) -> str | None:
    """The language of which the sample holds enough telling lines, or None."""
    return _guess(text[:_LOOKED_AT])


@lru_cache(maxsize=256)
def _guess(sample: str) -> str | None:
    lines = max(1, sample.count("\n") - sample.count("\n\n"))
    if len(_CODELIKE.findall(sample)) < 0.15 * lines:
        return None
    best, most = None, 2.5
    scores: dict[str, int] = {}
    for name, pattern in _LOOKS:
        if not any(word in sample for word in _NEEDS[name]):
            continue
        scores[name] = n = len(pattern.findall(sample))
        if n > most:
            best, most = name, n
        if n > 0.5 * lines:
            break
    if best is None or most < 0.12 * lines:
        return None
    if best == "javascript" and scores.get("typescript", 0) >= 3:
        return "typescript"
    if best == "c" and scores.get("cpp", 0) >= 3:
        return "cpp"
    return best
