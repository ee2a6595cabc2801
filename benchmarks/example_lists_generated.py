"""Generated prompts with lists of examples among instructions, facts and harmless lists.

Every sentence that is no example carries a number of its own, so that its loss is seen.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.example_lists_languages import LANGUAGES, Language

HELD_OUT_NOTATIONS = ("sql_comments", "json_messages")
MIN_PAIRS, MAX_PAIRS = 4, 7
PLACES = ("none", "after", "after directly", "between", "between directly")


@dataclass
class ExampleListCase:
    """A prompt with what may be cut and what must stay.

    Attributes:
        name: A name for reports.
        language: The language.
        notation: The notation of the list; "" if there is none.
        text: The prompt.
        kept: Strings that must stay word for word.
        examples: The examples.
    """

    name: str
    language: str
    notation: str
    text: str
    kept: list[str]
    examples: list[str] = field(default_factory=list)


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
}


def _sibling(rng: random.Random, words: Language, kind: str, number: int) -> list[str]:
    """The lines of a harmless list."""
    a, b = words.labels[0]
    head = words.siblings[kind].format(words.heading)
    asked = [(f"{x} ({number + i})", y) for i, (x, y) in enumerate(words.questions)]
    said = [(f"{x} ({number + i})", y) for i, (x, y) in enumerate(words.pairs[:4])]
    if kind in ("faq", "glossary"):
        return [head, "", *[f"{a}: {x}\n{b}: {y}" for x, y in asked]]
    if kind == "transcript":
        u, v = words.labels[-1]
        return [head, *[f"{u}: {x}\n{v}: {y}" for x, y in said]]
    if kind == "spec":
        return [head, "", *[f"{words.noun} {i}\nInput: {x}\nOutput: {y}\n" for i, (x, y) in enumerate(said, 1)]]
    if kind == "tasks":
        return [head, "", *[f"{a}: {x}\n{b}: {y}" for x, y in said]]
    if kind == "table":
        return [head, "", "| no | rate |", "|---|---|", *[f"| {number + i} | {i}.5 % |" for i in range(4)]]
    if kind == "json":
        return [
            head,
            json.dumps([{"order": number + i, "status": y} for i, (_, y) in enumerate(said)], ensure_ascii=False),
        ]
    if kind == "changelog":
        return [head, "", *[f"- 1.{i}.{number}: {y}" for i, (_, y) in enumerate(said)]]
    return [
        head,
        "",
        *[f"{words.noun} {i}: {y}\nlisten: {number + i}\nmode: {y}\n" for i, (_, y) in enumerate(said, 1)],
    ]


SIBLINGS = ("faq", "transcript", "spec", "tasks", "table", "json", "changelog", "glossary", "guide")


def generated_case(rng: random.Random, number: int, language: str, notation: str) -> ExampleListCase:
    """Makes a prompt.

    Args:
        rng: The source of chance.
        number: A number that differs from prompt to prompt.
        language: The language.
        notation: The notation of its list; "" for a prompt without examples.
    """
    words = LANGUAGES[language]
    count = iter(range(100, 1000))

    def say(options: tuple[str, ...]) -> str:
        body = rng.choice(options)
        return f"{body[:-1]} ({next(count)}){body[-1]}"

    kept: list[str] = [say(words.opening)]
    parts: list[str] = [kept[0]]
    for options in rng.sample([words.rules, words.facts, words.rules], rng.randint(1, 3)):
        kept.append(say(options))
        parts.append(kept[-1])
    if not notation or rng.random() < 0.25:
        kind = rng.choice(
            [one for one in SIBLINGS if not notation or one not in ("faq", "transcript", "spec", "guide", "tasks")]
        )
        lines = _sibling(rng, words, kind, number)
        kept += [line for block in lines for line in block.split("\n") if line]
        parts.append("\n".join(lines))
    if not notation:
        kept.append(say(words.rules))
        return ExampleListCase(f"{number} {kind}", language, "", "\n\n".join([*parts, kept[-1]]), kept)
    chosen = rng.sample(words.pairs, rng.randint(MIN_PAIRS, min(MAX_PAIRS, len(words.pairs))))
    pairs = [(f"{x} {number + i}", y) for i, (x, y) in enumerate(chosen)]
    made = NOTATIONS[notation](rng, words, pairs)
    place = rng.choice(PLACES)
    joints = [made.joint] * (len(made.items) - 1)
    if place.startswith("between") and made.breaks and len(joints) > 2:
        at = rng.randrange(2, len(joints))
        kept.append(say(words.rules))
        joints[at] = f"\n{kept[-1]}{made.joint}" if place.endswith("directly") else f"\n\n{kept[-1]}\n\n"
    body = made.items[0] + "".join(joint + item for joint, item in zip(joints, made.items[1:], strict=True))
    block = "\n".join(one for one in (made.before, body, made.after) if one)
    kept += made.kept
    tail = ""
    if place.startswith("after"):
        kept.append(say(words.rules))
        tail = ("\n" if place.endswith("directly") else "\n\n") + kept[-1]
    if rng.random() < 0.5:
        kept.append(say(words.facts))
        tail += f"\n\n## {words.opening[0][:6]}\n{kept[-1]}"
    text = "\n\n".join([*parts, block]) + tail
    return ExampleListCase(f"{number} {notation}, {place}", language, notation, text, kept, made.items)


def generated_cases(count: int, seed: int) -> list[ExampleListCase]:
    """Makes prompts in all languages and notations, a quarter of them without examples."""
    rng = random.Random(seed)
    notations = list(NOTATIONS)
    out = []
    for number in range(count):
        language = list(LANGUAGES)[number % len(LANGUAGES)]
        notation = "" if rng.random() < 0.25 else rng.choice(notations)
        out.append(generated_case(rng, 7 * number + 1000, language, notation))
    return out
