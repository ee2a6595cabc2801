"""An example that carries a note stays, whatever its outer shape is."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from compressor.context.formats import detect_format
from compressor.text.few_shot_turns import find_few_shot_turns
from compressor.text.segmenters.few_shot import find_examples
from compressor.text.segmenters.few_shot_notes import notes_in

PAIRS = [
    ("i lost my card", "card"),
    ("how much is left", "balance"),
    ("can you end my contract", "closing"),
    ("the app says error 17", "app"),
    ("what do i owe you", "balance"),
]
NOTES = [
    "only for verified users: check the PIN first!",
    "nur für geprüfte Kunden",
    "jamais aux mineurs",
    "pide antes el PIN",
    "tranne in Svizzera",
    "só para clientes verificados",
    "eerst de pincode vragen",
    "najpierw sprawdź PIN",
    "сначала спроси ПИН",
    "仅限已验证用户",
    "確認済みの客のみ",
    "인증된 고객만",
    "فقط للعملاء الموثقين",
    "VIPs get a person",
]
FORMS = [
    "{} ({})",
    "{}; {}",
    "{} - {}",
    "{}: {}",
    "{}. {}.",
    "{}! {}!",
    "{} // {}",
    "{}（{}）",
    "{1}: {0}",
    "({1}) {0}",
]
NOTATIONS: dict[str, Callable[[list[tuple[str, str]]], tuple[str, list[str], str, str]]] = {
    "labels": lambda pairs: ("Examples:\n\n", [f"Q: {x}\nA: {y}" for x, y in pairs], "\n\n", ""),
    "headings": lambda pairs: (
        "",
        [f"### Example {k}\nInput: {x}\nOutput: {y}" for k, (x, y) in enumerate(pairs, 1)],
        "\n\n",
        "",
    ),
    "tags": lambda pairs: ("", [f"<example>\n{x}\n{y}\n</example>" for x, y in pairs], "\n", ""),
    "nested": lambda pairs: ("", [f"<example><in>{x}</in><out>{y}</out></example>" for x, y in pairs], "\n", ""),
    "arrows": lambda pairs: ("Examples:\n", [f"- {x} -> {y}" for x, y in pairs], "\n", ""),
    "table": lambda pairs: ("Examples:\n\n| a | b |\n|---|---|\n", [f"| {x} | {y} |" for x, y in pairs], "\n", ""),
    "records": lambda pairs: ("Examples:\n", [json.dumps({"input": x, "output": y}) for x, y in pairs], "\n", ""),
    "array": lambda pairs: ("Examples:\n[", [json.dumps({"input": x, "output": y}) for x, y in pairs], ",\n", "]"),
}


def cut(text: str) -> str:
    for run in reversed(find_examples(text)):
        text = f"{text[: run.start]}…{text[run.end :]}"
    return text


@pytest.mark.parametrize("notation", NOTATIONS)
def test_an_example_with_a_note_stays(notation: str) -> None:
    write = NOTATIONS[notation]
    for number, note in enumerate(NOTES):
        for place, form in enumerate(FORMS):
            pairs, at, half = list(PAIRS), (number + place) % len(PAIRS), (number * 3 + place) % 2
            pair = list(pairs[at])
            pair[half] = form.format(pair[half], note)
            pairs[at] = (pair[0], pair[1])
            before, items, joint, after = write(pairs)
            output = cut(f"You sort mail.\n\n{before}{joint.join(items)}{after}\n\nThe office is in Oslo.")
            assert items[at] in output, (form, note)
            assert notation == "array" or items[(at + 1) % len(PAIRS)] not in output


@pytest.mark.parametrize("notation", NOTATIONS)
def test_a_list_without_notes_goes(notation: str) -> None:
    before, items, joint, after = NOTATIONS[notation](PAIRS)
    output = cut(f"You sort mail.\n\n{before}{joint.join(items)}{after}\n\nThe office is in Oslo.")
    assert not [item for item in items if item in output]


def test_what_most_examples_have_is_no_note() -> None:
    replies = [f"Mail: {x}\nReply: You must show the PIN ({y}). Never send it." for x, y in PAIRS]
    assert notes_in(replies, may_oblige=True) == [False] * 5
    assert notes_in(replies, may_oblige=False) == [True] * 5
    assert notes_in(["Q: who?\nA: Ann", "Q: never call me\nA: never", "Q: where?\nA: Oslo"], True) == [False] * 3


def test_messages_with_a_note_stay() -> None:
    chat = [{"role": "system", "content": "You sort mail."}]
    for x, y in [*PAIRS[:2], ("what is my balance", "balance (only for verified users)"), *PAIRS[2:]]:
        chat.append({"role": "system", "name": "example_user", "content": x})
        chat.append({"role": "system", "name": "example_assistant", "content": y})
    chat.append({"role": "user", "content": "my card is gone"})
    assert sorted(find_few_shot_turns(detect_format(chat).parse(chat).turns)) == [1, 2, 3, 4, 7, 8, 9, 10, 11, 12]
