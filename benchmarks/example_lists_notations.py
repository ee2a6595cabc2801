"""The notations in which `example_lists` writes its lists of examples."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.example_lists_languages import Language


@dataclass
class ExampleListParts:
    """A list before it is put into a prompt.

    Attributes:
        items: The examples.
        joint: What stands between two.
        before: What stands before the list: an announcement, a header, a wrapper's opening tag.
        after: What stands behind it: a wrapper's closing tag, a bracket.
        breaks: Whether an instruction may stand between two examples.
        kept: Strings of `before` and `after` that must stay.
    """

    items: list[str]
    joint: str
    before: str = ""
    after: str = ""
    breaks: bool = True
    kept: tuple[str, ...] = ()


Pairs = list[tuple[str, str]]


def _labels(rng: random.Random, words: Language, low: int = 0, high: int | None = None) -> tuple[str, str, str]:
    a, b = rng.choice(words.labels[low:high])
    colon = "：" if words.noun == "示例" else " : " if words.noun == "Exemple" else ": "
    return a + colon, b + colon, colon


def _labelled(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    a, b, _ = _labels(rng, words)
    return ExampleListParts(
        [f"{a}{x}\n{b}{y}" for x, y in pairs], rng.choice(["\n\n", "\n"]), rng.choice(words.announcements)
    )


def _numbered(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    a, b, colon = _labels(rng, words, 0, -1)
    a, b = a[: -len(colon)], b[: -len(colon)]
    items = [f"{a}{i}{colon}{x}\n{b}{i}{colon}{y}" for i, (x, y) in enumerate(pairs, 1)]
    return ExampleListParts(items, "\n\n", rng.choice(words.announcements))


def _bold(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    a, b = rng.choice(words.labels)
    return ExampleListParts([f"**{a}:** {x}\n**{b}:** {y}" for x, y in pairs], "\n\n", f"## {words.heading}\n")


def _fenced(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    a, b, _ = _labels(rng, words, 1, 2)
    items = [f"{a.strip()}\n```\n{x}\n```\n{b.strip()}\n```\n{y}\n```" for x, y in pairs]
    return ExampleListParts(items, "\n\n", rng.choice(words.announcements))


def _headed(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    a, b, _ = _labels(rng, words)
    mark, end = rng.choice([("### ", ""), ("**", "**"), ("", ":"), ("[", "]")])
    items = [f"{mark}{words.noun} {i}{end}\n{a}{x}\n{b}{y}" for i, (x, y) in enumerate(pairs, 1)]
    return ExampleListParts(items, "\n\n", rng.choice(["", f"## {words.heading}\n"]))


def _two_headed(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    return _headed(rng, words, pairs[:2])


def _headed_plain(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    items = [f"### {words.noun} {i}\n{x}\n{y}" for i, (x, y) in enumerate(pairs, 1)]
    return ExampleListParts(items, "\n\n", f"## {words.heading}\n")


def _headed_arrow(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    return ExampleListParts([f"{words.noun} {i}: {x} -> {y}" for i, (x, y) in enumerate(pairs, 1)], "\n")


def _tags(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    wrap = rng.random() < 0.5
    items = [f"<example>\n{x}\n{y}\n</example>" for x, y in pairs]
    return ExampleListParts(items, "\n", "<examples>" * wrap, "</examples>" * wrap, kept=("</examples>",) * wrap)


def _nested_tags(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    items = [f"<example>\n<input>{x}</input>\n<output>{y}</output>\n</example>" for x, y in pairs]
    return ExampleListParts(items, "\n")


def _good_bad_tags(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    a, b, _ = _labels(rng, words)
    kinds = ("good_example", "bad_example")
    items = [f"<{kinds[i % 2]}>\n{a}{x}\n{b}{y}\n</{kinds[i % 2]}>" for i, (x, y) in enumerate(pairs)]
    return ExampleListParts(items, "\n")


def _json_array(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    a, b = rng.choice([("input", "output"), ("text", "label"), ("question", "answer"), ("prompt", "completion")])
    items = [json.dumps({a: x, b: y}, ensure_ascii=False) for x, y in pairs]
    return ExampleListParts(items, ",\n  ", f"{rng.choice(words.announcements)}\n[", "]", False)


def _json_lines(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    items = [json.dumps({"input": x, "output": y}, ensure_ascii=False) for x, y in pairs]
    return ExampleListParts(items, "\n", rng.choice(words.announcements))


def _json_messages(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    records = [[{"role": "user", "content": x}, {"role": "assistant", "content": y}] for x, y in pairs]
    items = [json.dumps({"messages": record}, ensure_ascii=False) for record in records]
    return ExampleListParts(items, "\n", rng.choice(words.announcements))


def _table(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    a, b = rng.choice(words.labels)
    head = f"{rng.choice(words.announcements)}\n\n| {a} | {b} |\n|---|---|"
    return ExampleListParts([f"| {x} | {y} |" for x, y in pairs], "\n", head, "", False, (f"| {a} | {b} |\n|---|---|",))


def _arrow(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    sign, bullet = rng.choice(["->", "=>", "→"]), rng.choice(["", "- "])
    return ExampleListParts([f"{bullet}{x} {sign} {y}" for x, y in pairs], "\n", rng.choice(words.announcements))


def _tab(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    return ExampleListParts([f"{x}\t{y}" for x, y in pairs], "\n", rng.choice(words.announcements))


def _sql_comments(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    items = [f"-- {words.noun}: {x}\nSELECT {i}\nFROM t\nWHERE v = '{y}';" for i, (x, y) in enumerate(pairs)]
    return ExampleListParts(items, "\n\n")


def _hash_comments(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    mark = rng.choice(["#", "//"])
    return ExampleListParts([f"{mark} {words.noun}: {x}\nrun('{y}')" for x, y in pairs], "\n\n")


def _rules(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    a, b, _ = _labels(rng, words)
    return ExampleListParts([f"{a}{x}\n{b}{y}" for x, y in pairs], "\n---\n", rng.choice(words.announcements))


def _inline(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    return ExampleListParts([f"Input: {x} | Output: {y}" for x, y in pairs], "\n", rng.choice(words.announcements))


def _command(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    return ExampleListParts([f"User: {x}\nCommand: run {y}" for x, y in pairs], "\n", rng.choice(words.announcements))


def _yaml(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    return ExampleListParts([f"- input: {x}\n  output: {y}" for x, y in pairs], "\n", rng.choice(words.announcements))


def _long_answers(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    a, b, _ = _labels(rng, words)
    one, two = words.answers
    items = [f"{a}{x}\n{b}{one} ({y})\n\n{two} ({y})" for x, y in pairs]
    return ExampleListParts(items, "\n\n", rng.choice(words.announcements))


def _headed_paragraphs(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    a, b, _ = _labels(rng, words)
    items = [f"**{words.noun} {i}**\n\n{a}{x}\n\n{b}{y}" for i, (x, y) in enumerate(pairs, 1)]
    return ExampleListParts(items, "\n\n")


def _headed_fences(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    a, b, _ = _labels(rng, words)
    items = [f"{words.noun} {i}:\n```\n{a}{x}\n{b}{y}\n```" for i, (x, y) in enumerate(pairs, 1)]
    return ExampleListParts(items, "\n\n")


def _good_bad_prose(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    kinds = ["good_example" if 2 * i < len(pairs) else "bad_example" for i in range(len(pairs))]
    return ExampleListParts([f"<{kind}>\n{x}\n</{kind}>" for kind, (x, _) in zip(kinds, pairs, strict=True)], "\n")


def _quoted_bullets(rng: random.Random, words: Language, pairs: Pairs) -> ExampleListParts:
    items = [f'- Input: "{x}" Output: "{y}"' for x, y in pairs]
    return ExampleListParts(items, "\n", rng.choice(words.announcements))


NOTATIONS: dict[str, Callable[[random.Random, Language, Pairs], ExampleListParts]] = {
    "labels": _labelled,
    "numbered_labels": _numbered,
    "bold_labels": _bold,
    "fenced_labels": _fenced,
    "headings": _headed,
    "two_headings": _two_headed,
    "headings_plain": _headed_plain,
    "headings_arrow": _headed_arrow,
    "tags": _tags,
    "nested_tags": _nested_tags,
    "good_bad_tags": _good_bad_tags,
    "json_array": _json_array,
    "json_lines": _json_lines,
    "json_messages": _json_messages,
    "table": _table,
    "arrows": _arrow,
    "tabs": _tab,
    "sql_comments": _sql_comments,
    "hash_comments": _hash_comments,
    "rules": _rules,
    "inline_labels": _inline,
    "user_command": _command,
    "yaml": _yaml,
    "long_answers": _long_answers,
    "headed_paragraphs": _headed_paragraphs,
    "headed_fences": _headed_fences,
    "good_bad_prose": _good_bad_prose,
    "quoted_bullets": _quoted_bullets,
}
