"""Generated coding runs over real files: an issue, a search, a file that is opened, and an edit of some of its lines.

Recorded coding runs whose licence lets weights made from them ship are few. These show where the strings of an edit
come from: from the lines of one place, near what the issue names, in one file of the many that a search lists. The
files are those of installed packages under the MIT, BSD and Apache licences, at the versions of constraints.txt.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from random import Random

from training.runs import Message, Run, call_message, result_message

#: The packages whose files are edited: all MIT, BSD or Apache-2.0 (packaging: Apache-2.0 or BSD).
PACKAGES = (
    *("click", "fastapi", "httpx", "jinja2", "_pytest", "mypy", "packaging", "pydantic", "pygments", "redis"),
    *("requests", "rich", "sklearn", "starlette", "urllib3", "uvicorn", "werkzeug", "yaml"),
)
RUNS = 900
FILES = 150  # of a package, at most
SMALLEST, LARGEST = 1_500, 150_000  # characters of a file
LEAST_LINES = 8  # of a function
TRIES = 50
_WORD = re.compile(r"[A-Za-z_]\w{3,}")
_PART = re.compile(r"[A-Z]?[a-z]+")


@dataclass(frozen=True)
class Place:
    """What is edited: the lines [first, last) of a function.

    Attributes:
        name: The file's path.
        files: All files of the package by their paths.
        function: The function's name.
        purpose: The first paragraph of its docstring, or "".
        words: The names in its body.
        first: The first line that is edited, counted from 0.
        last: The line after the last one.
    """

    name: str
    files: dict[str, str]
    function: str
    purpose: str
    words: tuple[str, ...]
    first: int
    last: int

    @property
    def lines(self) -> list[str]:
        """The lines of the file."""
        return self.files[self.name].split("\n")


@cache
def package_files(package: str) -> dict[str, str]:
    """Returns the Python files of an installed package by their paths.

    Raises:
        SystemExit: The package is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"the edits need the package {package}: pip install -c constraints.txt -e '.[dev]'")
    folder = Path(spec.submodule_search_locations[0])
    out = {}
    for path in sorted(folder.rglob("*.py"))[:FILES]:
        text = path.read_text(encoding="utf-8", errors="replace")
        if SMALLEST < len(text) < LARGEST:
            out[path.relative_to(folder.parent).as_posix()] = text
    return out


def edits(number: int = RUNS, packages: tuple[str, ...] = PACKAGES) -> Iterator[Run]:
    """Yields generated runs, the same ones each time.

    Args:
        number: How many.
        packages: The names of the packages to import them from.
    """
    for seed in range(number):
        random = Random(seed)
        for _ in range(TRIES):
            files = package_files(random.choice(packages))
            place = _place(random, files)
            messages = _run(random, place) if place else None
            if messages:
                yield Run("edits", f"edits-{seed}", messages)
                break


def _place(random: Random, files: dict[str, str]) -> Place | None:
    name = random.choice(sorted(files))
    try:
        tree = ast.parse(files[name])
    except SyntaxError:
        return None
    functions = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or node.lineno) - node.lineno >= LEAST_LINES
    ]
    if not functions:
        return None
    function = random.choice(functions)
    lines = files[name].split("\n")
    purpose = ast.get_docstring(function) or ""
    start = function.body[1 if purpose and len(function.body) > 1 else 0].lineno - 1
    body = [k for k in range(max(function.lineno, start), function.end_lineno or 0) if lines[k].strip()]
    if len(body) < LEAST_LINES // 2:
        return None
    words = tuple(sorted({w for k in body for w in _WORD.findall(lines[k])}))
    at = random.randrange(len(body))
    size = min(random.choice((1, 1, 2, 3, 4, 6, 9)), len(body) - at)
    first, last = body[at], body[at + size - 1] + 1
    return Place(name, files, function.name, purpose.split("\n\n")[0][:300], words, first, last)


def _run(random: Random, place: Place) -> list[Message] | None:
    """Returns the messages, or None if the search does not find the file."""
    form = random.choice(("numbered", "numbered", "cat", "plain"))
    search, found, others = _search(random, place, form == "numbered")
    if place.name not in found:
        return None
    out: list[Message] = [
        {"role": "system", "content": "You are a software engineer working in a shell. Fix the issue."},
        {"role": "user", "content": _issue(random, place)},
    ]
    steps = [(search, found, random.choice(("", "Let's look where this is.")))]
    if others and random.random() < 0.3:
        other = random.choice(others)
        lines = place.files[other].split("\n")
        steps.append((f"open /repo/{other}", _window(random, other, lines, random.randrange(len(lines)), form), ""))
    opened = f"open /repo/{place.name} {place.first + 1}"
    if form == "plain":
        opened = f"sed -n '{max(1, place.first - 40)},{place.first + 60}p' /repo/{place.name}"
    steps.append((opened, _window(random, place.name, place.lines, place.first, form), ""))
    for number, (command, result, said) in enumerate(steps):
        out += [call_message(number, "shell", {"command": command}, said), result_message(number, result)]
    text = "\n".join(place.lines[place.first : place.last])
    name, arguments = "shell", {"command": f"edit {place.first + 1}:{place.last}\n{text}\nend_of_edit"}
    if form == "cat":
        path = f"/repo/{place.name}"
        name = "str_replace_editor"
        arguments = {"command": "str_replace", "path": path, "old_str": text, "new_str": text}
    said = random.choice(("", f"I change `{place.function}`.", "Now the fix."))
    return [*out, call_message(len(steps), name, arguments, said), result_message(len(steps), "File updated.")]


def _issue(random: Random, place: Place) -> str:
    """What the user says: the function's name, what it is for or some of its names, or the words of its name."""
    said = []
    if random.random() < 0.6:
        said.append(f"`{place.function}`")
    if place.purpose and random.random() < 0.7:
        said.append(place.purpose)
    if place.words and random.random() < 0.6:
        named = random.sample(place.words, min(len(place.words), random.randint(1, 3)))
        said.append(f"It goes wrong with {', '.join(named)}.")
    return "ISSUE:\n" + "\n".join(said or [" ".join(_PART.findall(place.function))])


def _search(random: Random, place: Place, counted: bool) -> tuple[str, str, list[str]]:
    """Returns a command, what it finds, and the other files that hold what it looked for."""
    term = random.choice([place.function] * 3 + list(place.words))
    pattern = re.compile(rf"\b{re.escape(term)}\b")
    counts = [(name, n) for name, text in place.files.items() if (n := len(pattern.findall(text)))]
    others = [name for name, _ in counts if name != place.name]
    if random.random() < 0.5:
        random.shuffle(counts)
    if counted:
        head = f'Found {sum(n for _, n in counts)} matches for "{term}" in /repo:'
        rows = [f"/repo/{name} ({n} matches)" for name, n in counts[:100]]
        found = "\n".join((head, *rows, f'End of matches for "{term}" in /repo'))
        return f'search_dir "{term}"', found, others
    if random.random() < 0.5:
        rows = [
            f"/repo/{name}:{k}:{line}"
            for name, _ in counts[:40]
            for k, line in enumerate(place.files[name].split("\n"), 1)
            if pattern.search(line)
        ]
        return f"grep -rn {term} /repo", "\n".join(rows[:120]), others
    names = sorted(place.files)
    random.shuffle(names)
    names = names[: random.choice((20, 60, 150))]
    if place.name not in names:
        names.insert(random.randrange(len(names) + 1), place.name)
    return 'find /repo -name "*.py"', "\n".join(f"/repo/{name}" for name in names), others


def _window(random: Random, name: str, lines: list[str], at: int, form: str) -> str:
    """What opening a file shows: some lines around one of them."""
    size = random.choice((60, 100, 100, 150))
    start = max(0, at - random.randint(5, size - 5))
    stop = min(len(lines), start + size)
    if form == "numbered":
        head = f"[File: /repo/{name} ({len(lines)} lines total)]\n({start} more lines above)"
        rows = [f"{k + 1}:{lines[k]}" for k in range(start, stop)]
        return "\n".join((head, *rows, f"({len(lines) - stop} more lines below)"))
    if form == "cat":
        rows = [f"{k + 1:6d}\t{lines[k]}" for k in range(start, stop)]
        return "\n".join((f"Here's the result of running `cat -n` on /repo/{name}:", *rows))
    return "\n".join(lines[start:stop])
