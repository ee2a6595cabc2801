"""Notations of example lists, texts that only look like them, and the property that no instruction is lost."""

from __future__ import annotations

import json
import random

import pytest

from benchmarks.example_lists_generated import generated_case
from benchmarks.example_lists_languages import LANGUAGES
from benchmarks.example_lists_notations import NOTATIONS
from benchmarks.example_lists_written import written_cases
from compressor import Compressor
from compressor.text.segmenters.few_shot import find_examples, segment_examples


def all_cut(text: str) -> str:
    for run in reversed(find_examples(text)):
        block = text[run.start : run.end]
        assert len(segment_examples(block).spans) == len(run.starts)
        text = f"{text[: run.start]}…{text[run.end :]}"
    return text


@pytest.mark.parametrize("notation", ["", *NOTATIONS])
def test_no_sentence_outside_the_examples_is_lost(notation: str) -> None:
    rng = random.Random(f"few shot {notation}")
    found = 0
    for number in range(12):
        case = generated_case(rng, 1000 + 7 * number, list(LANGUAGES)[number % len(LANGUAGES)], notation)
        output = all_cut(case.text)
        assert not [text for text in case.kept if text not in output], case.text
        found += any(example not in output for example in case.examples)
    assert found >= (7 if notation else 0)  # a JSON array or a pair of examples stays whole if a rule is in it
    assert notation or not found


def test_written_prompts() -> None:
    for case in written_cases():
        output = all_cut(case.text)
        assert not [text for text in case.kept if text not in output], case.name
        assert bool(case.examples) == (output != case.text), case.name


PAIRS = "Text: i lost my card\nLabel: card\n\nText: my balance\nLabel: balance\n\nText: bye\nLabel: close"
QA = PAIRS.replace("Text", "Q").replace("Label", "A")


@pytest.mark.parametrize(
    "text",
    [
        "Find the mistakes.\n\nExamples:\n\n" + PAIRS,
        "Examples:\n\n" + PAIRS + "\n\nTranslate all of the above into German.",
        "Examples:\n\n" + PAIRS + "\n\nAre they right?",
        "Quote one of these examples in every reply:\n\n" + PAIRS,
        "The following examples define what counts as spam:\n\n" + PAIRS,
        "Examples of what you must refuse:\n\n" + PAIRS,
        "Use only this information.\n\nExamples:\n\n" + QA,
        "## Examples\n\nTone as in our letters.\n\n" + QA,
        "Domande frequenti. Esempi di tono nella guida.\n\n" + QA,
        "Popraw te przykłady:\n\n" + PAIRS,
        "次の例をすべて修正してください：\n\n" + PAIRS,
        "다음 예시를 모두 검토하세요:\n\n" + PAIRS,
        "راجع كل الأمثلة التالية:\n\n" + PAIRS,
        "Given an array of integers, return the sum.\n\n"
        "Example 1:\nInput: [1]\nOutput: 1\n\nExample 2:\nInput: []\nOutput: 0",
        "Treat discounts as in Example 2.\n\nExample 1:\nInput: a\nOutput: b\n\nExample 2:\nInput: c\nOutput: d",
        "Sort the tickets.\n"
        "<samples>\n<sample>printer broken\nroom 3</sample>\n<sample>no light\nroom 4</sample></samples>",
        "Country codes, for example:\nDE -> 49\nFR -> 33\nIT -> 39",
        "Install:\n```bash\n# Example: start\nlumo run\n# Example: stop\nlumo halt\n```",
        "All examples are real customers:\n\nName: Ann\nPhone: 1\n\nName: Bo\nPhone: 2",
    ],
)
def test_work_knowledge_and_references_stay(text: str) -> None:
    assert find_examples(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "Shorten it.\n\n### Beispiel 1\nTicket: Drucker defekt\nKurzfassung: Drucker\n\n### Beispiel 2\n"
        "Ticket: Kein Netz\nKurzfassung: Netz\n\n### Format ¶\nNie mehr als drei Wörter. ¶",
        "You look at diffs.\n\n**Example 1**\n\nDiff: rename foo\n"
        "\nReview: The docs still say foo.\n\n**Example 2**\n\n"
        "Diff: deletes dead code\n\nReview: Fine.\n\nKeep it short. ¶\n\nThe tone is warm. ¶",
        "Say what changed.\n<good_example>\nThe export keeps the order.\n"
        "</good_example>\n<good_example>\nLogins last.\n"
        "</good_example>\n<bad_example>\nFixed stuff.\n</bad_example>\n"
        "<bad_example>\nThings.\n</bad_example>\nOne line. ¶",
        "You write like the pirate in these examples:\n"
        '{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant",'
        ' "content": "Ahoy"}]}\n'
        '{"messages": [{"role": "user", "content": "bye"}, {"role": "assistant", "content": "Aye"}]}'
        "\n\nThe ship is called Bo. ¶",
        'Slugify titles. For instance these examples show it:\n- Input: "Hello World" Output: "hello-world"\n'
        '- Input: "Ten Cats" Output: "ten-cats"\n\nAt most 30 characters. ¶',
        "Write messages.\n\nExample 1:\n```\ndiff: drop py3.8\n"
        "message: Drop Python\n```\n\nExample 2:\n```\ndiff: typo\n"
        "message: Fix a typo\n```\n\nUse the imperative mood. ¶",
    ],
)
def test_lists_before_more_text_are_found(text: str) -> None:
    output = all_cut(text.replace(" ¶", ""))
    assert output != text.replace(" ¶", "")
    assert all(line[:-2] in output for line in text.split("\n") if line.endswith(" ¶"))


@pytest.mark.parametrize(
    "text",
    [
        "Config guide.\n\nExample 1:\n```\nlisten: 80\nmode: a\n```\n\nExample 2:\n```\nlisten: 81\nmode: b\n```",
        "Example 1:\n```\nmake\nmake test\n```\n\nExample 2:\n```\nmake doc\nmake all\n```\n\nBe careful.",
        'It seems the customer sent these examples:\n{"input": "a", "output": "b"}\n{"input": "c", "output": "d"}',
        "Rate each of these.\n<good_example>\nIt left.\n</good_example>\n<bad_example>\nno idea\n</bad_example>",
    ],
)
def test_texts_like_them_stay(text: str) -> None:
    assert find_examples(text) == []


def test_an_interrupted_list_keeps_what_interrupts_it() -> None:
    text = "Examples:\n" + PAIRS.replace("\n\n", "\n").replace("card\nText: my", "card\nThe list is closed.\nText: my")
    assert "The list is closed." in all_cut(text)
    loose = (
        "Examples:\n\n"
        + PAIRS
        + "\n\n"
        + PAIRS.replace("card", "box")
        + "\n\nOur facts:\n\n"
        + PAIRS.replace("card", "key")
    )
    assert (
        loose.endswith(all_cut(loose)[-60:]) and "lost my key" in all_cut(loose) and "lost my box" not in all_cut(loose)
    )


def test_what_is_left_of_a_json_array_parses(compressor: Compressor) -> None:
    words = ["apples", "trains", "paint", "bread", "stars", "rivers", "clocks", "dogs"]
    records = [{"input": f"Ann gives away {i + 1} of {i + 3} boxes of {w}; how many are left?", "output": f"2 {w}"}
               for i, w in enumerate(words)]  # fmt: skip
    for array in (json.dumps(records, indent=2), json.dumps({"examples": records})):
        prompt = f"You do sums.\n\nExamples:\n```json\n{array}\n```\nDigits only."
        messages = [{"role": "system", "content": prompt}, {"role": "user", "content": "Bo has 5 boxes of dogs."}]
        result = compressor.compress(messages, 0.6)
        text = result.messages[0]["content"]
        assert text.startswith("You do sums.\n\nExamples:\n```json\n") and text.endswith("]\nDigits only.")
        left = json.loads(text.split("```json\n")[1].split("\n```")[0])
        left = left["examples"] if isinstance(left, dict) else left
        assert 0 < len(left) < len(records) and all(one in records for one in left)
        assert result.warnings == [
            f"{len(records) - len(left)} of 8 examples in the system prompt (message 0) were left out; result.dropped "
            "has their refs"
        ]


def test_a_long_prompt_takes_linear_time() -> None:
    pieces = [
        "Examples:\nQ: a\nA: b\n",
        "<example>a\nb</example>\n",
        "### Example 1\nInput: a\nOutput: b\n",
        "a -> b\n",
        "```\n",
    ]
    for piece in pieces:
        for run in find_examples(piece * 4000):
            assert run.starts[0] < run.end
