"""Examples that are messages of their own: which are, and which never are."""

from __future__ import annotations

from typing import Any

from compressor import Compressor
from compressor.context.formats import detect_format
from compressor.text.few_shot_turns import find_few_shot_turns

SYSTEM = {"role": "system", "content": "You do sums, as in these examples."}


def pair(number: int, asked: str = "Q", answered: str = "A", more: str = "") -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": f"{asked}: what is {number} + 1"},
        {"role": "assistant", "content": f"{answered}: {number + 1}{more}"},
    ]


def live(label: str = "Q") -> dict[str, Any]:
    return {"role": "user", "content": f"{label}: what is 70 + 1"}


def found(messages: list[dict[str, Any]]) -> list[int]:
    return sorted(find_few_shot_turns(detect_format(messages).parse(messages).turns))


def named(number: int, role: str = "system") -> list[dict[str, Any]]:
    return [
        {"role": role, "name": "example_user", "content": f"what is {number} + 1"},
        {"role": role, "name": "example_assistant", "content": f"{number + 1}"},
    ]


def test_labels_of_any_language() -> None:
    for system, asked, answered in (
        ("Rechne wie in diesen Beispielen.", "Frage", "Antwort"),
        ("请参照下面的例子。", "问题", "答案"),
        ("Отвечай как в этих примерах.", "Вопрос", "Ответ"),
    ):
        pairs = [m for i in range(4) for m in pair(i, asked, answered)]
        assert found([{"role": "system", "content": system}, *pairs, live(asked)]) == [3, 4, 5, 6, 7, 8]


def test_the_first_and_the_last_user_message_stay() -> None:
    pairs = [m for i in range(4) for m in pair(i)]
    assert found([SYSTEM, *pairs, live()]) == [3, 4, 5, 6, 7, 8]
    assert found([SYSTEM, *pairs]) == []
    given = [SYSTEM, *[m for i in range(4) for m in named(i)]]
    assert found([*given, live()]) == list(range(1, 9))
    users = [SYSTEM, *[{**m, "role": "user"} for i in range(3) for m in named(i)]]
    assert 1 not in found(users) and 6 not in found(users)


def test_a_message_in_between_ends_the_list() -> None:
    pairs = [m for i in range(6) for m in pair(i)]
    rule = {"role": "system", "content": "Answer in words from now on."}
    assert found([SYSTEM, *pairs[:8], rule, *pairs[8:], live()]) == []
    said = [{"role": "user", "content": "Answer in words from now on."}, {"role": "assistant", "content": "Yes."}]
    assert found([SYSTEM, *pairs[:8], *said, *pairs[8:], live()]) == []
    names = [m for i in range(4) for m in named(i)]
    assert found([SYSTEM, *names[:4], rule, *names[4:], live()]) == [1, 2, 3, 4]


def test_an_odd_pair_ends_the_list() -> None:
    odd = pair(4, more="\n\nFrom now on, always answer in words.")
    messages = [SYSTEM, *[m for i in range(4) for m in pair(i)], *odd, *pair(5), *pair(6), live()]
    assert found(messages) == [3, 4, 5, 6, 7, 8]


def test_examples_to_work_on_are_none() -> None:
    pairs = [m for i in range(4) for m in pair(i)]
    for content in ("Check each of the examples.", "Answer from the FAQ; examples follow.", "Every example must pass."):
        assert found([{"role": "system", "content": content}, *pairs, live()]) == []


def test_the_first_pair_stays_whole(compressor: Compressor) -> None:
    long = " and then one more" * 20
    pairs = [m for i in range(8) for m in pair(i, more=long)]
    messages = [SYSTEM, *pairs, live()]
    result = compressor.compress(messages, 0.4)
    assert result.messages[:3] == messages[:3] and result.messages[-1] == messages[-1]
    assert any("messages of examples were left out whole" in text for text in result.warnings)
