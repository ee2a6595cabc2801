"""Reads the hand-written prompts of `example_lists`: lists with instructions in bad places, and harmless texts."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.example_lists_generated import ExampleListCase

FILE = Path(__file__).with_suffix(".txt")
_PROMPT = re.compile(r"^=== (list|harmless) (\w+) (.*)\n((?:(?!=== (?:list|harmless) ).*\n)*)", re.M)
_EXAMPLE = re.compile("⟦([^⟧]*)⟧")


def written_cases() -> list[ExampleListCase]:
    """Returns the hand-written prompts, lists first."""
    out = []
    for kind, language, name, marked in _PROMPT.findall(FILE.read_text(encoding="utf-8")):
        text = re.sub("[⟦⟧]", "", marked)
        if kind == "harmless":
            out.append(ExampleListCase(f"{language} {name}", language, "", text, [text.strip()]))
            continue
        kept = [line for part in _EXAMPLE.split(marked)[::2] for line in part.split("\n") if line.strip()]
        out.append(ExampleListCase(f"{language} {name}", language, "written", text, kept, _EXAMPLE.findall(marked)))
    return out
