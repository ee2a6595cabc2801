"""Detects the programming language of a text by the command that produced it or by telling lines."""

from __future__ import annotations

import re
from functools import lru_cache

from compressor.text.segmenters.content_lines import count_code_marks

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
        "tcl": "tcl tk",
        "vim": "vim",
        "cmake": "cmake",
        "lisp": "el lisp clj cljs scm rkt",
        "erlang": "erl hrl",
        "julia": "jl",
        "zig": "zig",
        "nim": "nim",
        "groovy": "groovy gradle",
        "powershell": "ps1 psm1",
        "fortran": "f90 f95",
        "ocaml": "ml mli",
        "fsharp": "fs fsx",
        "assembly": "asm",
        "solidity": "sol",
        "graphql": "graphql gql",
    }.items()
    for ext in exts.split()
}
_NAMES = {name: name for name in _EXTENSIONS.values()} | {
    "py": "python", "python3": "python", "js": "javascript", "jsx": "javascript", "ts": "typescript", "golang": "go",
    "rs": "rust", "c++": "cpp", "cs": "csharp", "c#": "csharp", "sh": "shell", "bash": "shell", "zsh": "shell",
    "rb": "ruby", "yml": "yaml", "kt": "kotlin", "makefile": "make", "dockerfile": "shell", "h": "c", "ex": "elixir",
    "pl": "perl", "ps1": "powershell", "hcl": "terraform", "tf": "terraform", "clojure": "lisp", "scheme": "lisp",
}  # fmt: skip
#: Notations for settings and data rather than programs.
CONFIGURATION = ("yaml", "toml", "ini", "proto", "terraform", "make")
_FILE = re.compile(
    r"(?<![\w.@+~/-])[\w.@+~/-]{1,300}\.([A-Za-z][A-Za-z0-9]{0,8})(?![\w.])|(?<![\w.@+~/-])(?:[\w.@+~/-]{0,300}/)?(Makefile"
    r"|Dockerfile)\b"
)
#: Commands and tools that print a file as it is.
_READS = re.compile(
    r"\b(?:open|cat|view|read|edit|create|head|tail|sed|nl|less|more|bat|show|goto|scroll|insert|str_replace|print"
    r"|file|path|fetch)",
    re.I,
)
#: A media type such as `text/x-python` or `application/javascript; charset=utf-8`.
_MEDIA_TYPE = re.compile(r"(?:text|application)/(?:x-|vnd\.)?([\w#-]+?)(?:-?script|-source|-src)?\s*(?:;|\Z)")
_MEDIA_LANGUAGES = {"java": "javascript", "ecma": "javascript", "type": "typescript", "c++": "cpp"}
#: The info string of a fence: `python`, `js {1,3}`, `rust,ignore`; not a tool called `bash` with its arguments.
_FENCE = re.compile(r"([A-Za-z][\w+#-]*)(?:[ ,]*(?:\{[^\"'}]+\}|[\w-]+(?:=\S+)?))*\Z")
_HINT_LENGTH = 2000  # characters of a hint that are looked at

_LOOKS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(pattern, re.M))
    for name, pattern in (
        (
            "php",
            r"^[ \t]*(?:<\?php|(?:(?:public|private|protected|static|final|abstract) )*function &?\w*\([^\n]*\$"
            r"|\$this->|\$\w+(?:\[[^\n]*\]|->\w+)*(?:\([^\n]*\))? ?[.]?= ?[^\n]*;|[^\n]*\$\w+->\w"
            r"|use [\w\\]+\\\w+;|return \$)",
        ),
        (
            "perl",
            r"^[ \t]*(?:(?:my|our|local) [($@%]|sub \w+ ?\{|use (?:strict|warnings|vars|base|parent|\d)\b"
            r"|package [\w:]+;"
            r"|[^\n]*=~ ?[ms/]|[^\n]*[$@%]\w+(?:->)?[\[{]|=(?:head\d|cut|item|over|back|pod)\b)",
        ),
        (
            "kotlin",
            r"^[ \t]*(?:package [\w.]+$|import [\w.]+\*?$"
            r"|(?:[\w@]+ )*(?:fun (?:<[^>\n]*> ?)?[\w.<>?]+\(|va[lr] \w+ ?[:=]|(?:data|sealed|enum|inner|open) class "
            r"|companion object|object \w+)|[^\n]*-> ?\{$|[^\n]*\?\.\w)",
        ),
        (
            "swift",
            r"^[ \t]*(?:import [A-Z]\w+$|(?:[\w@]+ )*(?:func \w+[<(]|(?:let|var) \w+ ?: ?[A-Z\[(]"
            r"|extension \w|protocol \w"
            r"|init[?(]|struct \w+ ?[:{])|(?:guard|if) let |[^\n]*\) (?:throws )?-> [A-Z\[(]|case \.\w)",
        ),
        (
            "ruby",
            r"^[ \t]*(?:def (?:self\.)?[\w?!=]+(?:\([^\n]*\))?$|end$|require(?:_relative)? ['\"]|attr_\w+ :"
            r"|module [A-Z]\w*$"
            r"|class [A-Z][\w:]*(?: < [\w:]+)?$|[^\n]* do(?: \|[^|\n]*\|)?$|elsif |unless |@\w+ (?:\|\|)?= )",
        ),
        (
            "shell",
            r"^[ \t]*(?:#!\S*(?:env )?\S*sh\b|(?:el)?if \[|fi$|done$|esac$|[^\n]*; (?:then|do)$|local \w+=|export \w+="
            r"|[A-Za-z_]\w*=[\"'$`(]|[^\n]*\$\{\w|echo [\"'$-]|[\w-]+\(\) ?\{$|set -[a-z])",
        ),
        (
            "elixir",
            r"^[ \t]*(?:defmodule |defp? \w[^\n]*(?: do$|, do:)|@(?:doc|spec|moduledoc|impl)\b|\|> |end$"
            r"|alias [A-Z]|use [A-Z]"
            r"|[^\n]* do$|[^\n]*%\{)",
        ),
        (
            "csharp",
            r"^[ \t]*(?:using [\w.]+;|namespace [\w.]+;?$|(?:(?:public|private|protected|internal|static"
            r"|sealed|override"
            r"|virtual|async|readonly) )+[\w<>\[\],? ]+(?:\(|\{|;|=)|[^\n]*\{ get;|\[\w+(?:\([^\n]*\))?\]$|///? <)",
        ),
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
            r"|(?=[^\n]*::)(?:[^\n]*\bstd::|[^\n]*\w::\w+\([^\n]*\)[^\n]*\{))",
        ),
        (
            "c",
            r"^[ \t]*(?:#(?:include [<\"]|define |ifn?def |endif)|(?:static |const |extern |inline "
            r"|unsigned )*(?:void|int|char|long|size_t|struct \w+) [*\w]+ ?[(\[=;]"
            r"|typedef |(?=[^\n]*->)[^\n]*\w->\w)",
        ),
    )
)


def language_of(text: str, hint: str = "") -> str | None:
    """Returns the name of the programming language of a text.

    Args:
        text: Any text.
        hint: A file name, a media type, the info string of a fence, or the tool call that produced the text. A call
            that runs a file instead of printing it is ignored, and so is the name of a tool, such as `bash`.

    Returns:
        "python", "javascript", "typescript", "tsx", "java", "go", "rust", "c", "cpp" or a language without a parser
        here; None if the text does not look like code.
    """
    named = hint_language(hint)
    if named is None and text.startswith("[File: "):
        named = hint_language(text[1:300].partition("\n")[0])
    return named or looks_like(text)


def hint_language(hint: str) -> str | None:
    """The language that a hint names: a printed file, a media type, or the info string of a fence."""
    return _hint_language(hint[:_HINT_LENGTH].strip()) if hint else None


@lru_cache(maxsize=256)
def _hint_language(hint: str) -> str | None:
    if not hint:
        return None
    if media := _MEDIA_TYPE.match(hint):
        name = media.group(1).lower()
        if "script" in hint[:40] and name in _MEDIA_LANGUAGES:
            return _MEDIA_LANGUAGES[name]
        return _NAMES.get(name)
    m = _FILE.search(hint)
    if m is None:
        fence = _FENCE.match(hint) if len(hint) < 40 else None
        return _NAMES.get(fence.group(1).lower()) if fence else None
    if m.start() > 0 and not _READS.search(hint, 0, m.start() + 1):
        return None
    return _EXTENSIONS.get(m.group(1).lower()) if m.group(1) else _NAMES[m.group(2).lower()]


def media_content_type(hint: str) -> str:
    """The content type that a media type or a data file's name stands for, or ""."""
    low = hint.strip().lower()
    if (m := _DATA_TYPE.match(low)) is None:
        return ""
    return _CONTENT_TYPES.get(m.group(1) or m.group(2) or m.group(3), "")


_DATA_TYPE = re.compile(
    r"(?:text|application)/(?:[\w.-]+\+)?(?:x-)?([\w-]+)\s*(?:;[^\n]*)?\Z|[^\s{}]{1,300}\.(\w{1,8})\Z|([a-z]{2,8})\Z"
)
_CONTENT_TYPES = {
    "csv": "table", "tsv": "table", "tab-separated-values": "table", "markdown": "markdown", "md": "markdown",
    "html": "html", "htm": "html", "xhtml": "html", "diff": "diff", "patch": "diff", "log": "log",
}  # fmt: skip


_BRACED = re.compile(r"^[^#\n]*(?:\)|\w|->|=>) ?\{[ \t]*\r?$", re.M)
_LOOKED_AT = 2500  # characters
#: A text without any of these words is not in the language; this is cheaper to test than the patterns.
_NEEDS = {
    "php": ("<?php", "$this", "function "),
    "perl": ("my $", "my (", "use strict", "=head", "sub "),
    "kotlin": ("fun ", "val "),
    "swift": ("func ", "let ", "import Foundation", "import UIKit", "import SwiftUI"),
    "ruby": ("def ", "end\n", "require"),
    "shell": ("#!/", "fi\n", "done\n", "esac", "${", "; then", "; do"),
    "elixir": ("defmodule ", "def "),
    "csharp": ("using ", "namespace "),
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
    if not sample.startswith(("#!", "<?php")) and count_code_marks(sample) < 0.15 * lines:
        return None
    scores = {
        name: len(pattern.findall(sample)) for name, pattern in _LOOKS if any(word in sample for word in _NEEDS[name])
    }
    if sample.startswith("<?php"):
        return "php"
    if "python" in scores and len(_BRACED.findall(sample)) > 0.06 * lines:
        del scores["python"]  # it has few lines that open a block with a brace
    # of equals the first is the more telling one; Java, Go and C share too much with others to win by a little
    best = max(scores, key=lambda name: scores[name], default=None)
    if best is None:
        return None
    most = scores[best]
    if most < 3:
        return None
    if most < 0.12 * lines:
        return None
    if best == "javascript" and scores.get("typescript", 0) >= 3:
        return "typescript"
    if best == "c" and scores.get("cpp", 0) >= 3:
        return "cpp"
    return best
