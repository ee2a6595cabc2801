"""Generated prompts with lists of examples among instructions, facts and harmless lists.

Every sentence that is no example carries a number of its own, so that its loss is seen.
"""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, field

from benchmarks.example_lists_languages import LANGUAGES, Language
from benchmarks.example_lists_notations import NOTATIONS

HELD_OUT_NOTATIONS = ("sql_comments", "json_messages")
MIN_PAIRS, MAX_PAIRS = 4, 7
PLACES = ("none", "after", "after directly", "between", "between directly", "inside")
NOTE_FORMS = (" ({})", "; {}", " - {}", ". {}", ": {}")


@dataclass
class ExampleListCase:
    """A prompt with what may be cut and what must stay.

    Attributes:
        name: A name for reports.
        language: The language.
        notation: The notation of the list; "" for a prompt without a list.
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
    place = rng.choice(PLACES)
    noted = rng.randrange(len(pairs)) if place == "inside" else -1
    if noted >= 0:  # a rule in an example, which must stay
        halves = list(pairs[noted])
        half = 0 if notation == "good_bad_prose" else 1
        halves[half] += rng.choice(NOTE_FORMS).format(say(words.rules))
        pairs[noted] = (halves[0], halves[1])
    made = NOTATIONS[notation](rng, words, pairs)
    joints = [made.joint] * (len(made.items) - 1)
    if place.startswith("between") and made.breaks and len(joints) > 2:
        at = rng.randrange(2, len(joints))
        kept.append(say(words.rules))
        joints[at] = f"\n{kept[-1]}{made.joint}" if place.endswith("directly") else f"\n\n{kept[-1]}\n\n"
    body = made.items[0] + "".join(joint + item for joint, item in zip(joints, made.items[1:], strict=True))
    block = "\n".join(one for one in (made.before, body, made.after) if one)
    kept += [*made.kept, *made.items[noted : noted + 1]] if noted >= 0 else made.kept
    tail = ""
    if place.startswith("after"):
        kept.append(say(words.rules))
        tail = ("\n" if place.endswith("directly") else "\n\n") + kept[-1]
    if rng.random() < 0.5:
        kept.append(say(words.facts))
        tail += f"\n\n## {words.opening[0][:6]}\n{kept[-1]}"
    text = "\n\n".join([*parts, block]) + tail
    examples = [item for k, item in enumerate(made.items) if k != noted]
    return ExampleListCase(f"{number} {notation}, {place}", language, notation, text, kept, examples)


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
