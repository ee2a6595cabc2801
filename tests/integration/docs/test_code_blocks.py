"""The Python code in README.md and docs/ runs as it is written.

The blocks of a page run in order and share their names, as if a reader typed them one after another. A page can hold
two comments that readers do not see:

* `<!-- no-run: why -->` on the line before a block: the block is not run.
* `<!-- run-first`, lines of Python, `-->`: code that runs at this point, such as data for the blocks that follow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.paths import ROOT

BLOCK = re.compile(
    r"(?:^<!-- no-run: *(?P<reason>[^\n]+?) *-->\n)?^(?P<indent> *)```python\n(?P<code>.*?)^ *```$"
    r"|^<!-- run-first\n(?P<hidden>.*?)^-->$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class CodeBlock:
    code: str
    line: int
    skip_reason: str = ""


def find_code_blocks(page: str) -> list[CodeBlock]:
    found = []
    for match in BLOCK.finditer(page):
        part = "hidden" if match["hidden"] is not None else "code"
        indent = len(match["indent"] or "")
        code = "".join(line[indent:] or "\n" for line in match[part].splitlines(keepends=True))
        found.append(CodeBlock(code, page.count("\n", 0, match.start(part)) + 1, match["reason"] or ""))
    return found


def run_code_blocks(page: str, name: str) -> dict[str, object]:
    """Runs the blocks of a page; errors point to the page's own lines."""
    names: dict[str, object] = {"__name__": "__main__"}
    for block in find_code_blocks(page):
        if not block.skip_reason:
            exec(compile("\n" * (block.line - 1) + block.code, name, "exec"), names)
    return names


PAGES = [
    pytest.param(path, id=name)
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    for name in (str(path.relative_to(ROOT)),)
    if find_code_blocks(path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("path", PAGES)
def test_the_code_of_a_page_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_code_blocks(path.read_text(encoding="utf-8"), str(path))


SAMPLE = """# A page

<!-- run-first
given = [1, 2]
-->

```python
total = sum(given)
```

```sh
echo this is not Python
```

<!-- no-run: it needs a provider's key -->
```python
client.create()
```

1. In a list:

   ```python
   if total:
       total += 1

   late = total
   ```
"""


def test_blocks_share_their_names_and_what_is_marked_is_left_out() -> None:
    blocks = find_code_blocks(SAMPLE)
    assert [block.line for block in blocks] == [4, 8, 17, 23]
    assert [block.skip_reason for block in blocks] == ["", "", "it needs a provider's key", ""]
    assert run_code_blocks(SAMPLE, "page.md")["late"] == 4


def test_an_error_names_the_line_of_the_page() -> None:
    with pytest.raises(ZeroDivisionError) as error:
        run_code_blocks("Text.\n\n```python\na = 1\na / 0\n```\n", "page.md")
    assert error.traceback[-1].lineno + 1 == 5
