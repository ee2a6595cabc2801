"""Which of the users' words stay in view."""

from __future__ import annotations

import subprocess
import sys

import pytest

from compressor.context.formats import detect_format
from compressor.context.model import Turn
from compressor.sessions.acknowledgements import is_acknowledgement, is_notice
from compressor.sessions.user_words import UserWords, is_instruction, own_words
from support.cpu_time import cpu_time_below


def turns_of(*texts: str) -> list[Turn]:
    """Returns the turns of a conversation in which a user says these texts."""
    messages = [
        m for text in texts for m in ({"role": "user", "content": text}, {"role": "assistant", "content": "Ok."})
    ]
    return list(detect_format(messages).parse(messages).turns)


def count(text: str) -> int:
    return len(text) // 4 + 1


def kept(texts: list[str], max_tokens: int, max_rule_tokens: int = 60, fixed: tuple[int, ...] = ()) -> list[str]:
    """Returns what stays of each message, oldest first, without those of which nothing does."""
    turns = turns_of(*texts)
    words = UserWords.choose(turns, fixed, count, max_tokens, max_rule_tokens)
    out = []
    for turn in turns:
        text = own_words(turn) if turn.role == "user" else ""
        if text and (turn.index in fixed or words.find_spans(turn.index, text)):
            spans = [(0, len(text))] if turn.index in fixed else words.find_spans(turn.index, text)
            out.append(" ".join(text[a:b] for a, b in spans))
    return out


ACKNOWLEDGEMENTS = (
    "continue|Continue.|go on please|OK, thanks!|yes please|Sounds good, go ahead.|Please continue where you left off"
    "|weiter|Mach weiter bitte|d'accord, continue|Continuez s'il vous plaît|vas-y|sí, sigue|continua por favor"
    "|pode continuar|好的，继续|继续|続けてください|はい、お願いします|продолжай|да, продолжай"
    "|계속해|👍|👍🏽 go|...|devam et"
).split("|")
INSTRUCTIONS = (
    "stop|Translate it|Deploy.|Undo that.|Revert it|C|K-2002|In Spanish please|Kein sudo mehr.|Blue.|no|nein|👎|3|why?"
    "|Use tabs|go with option B|Fix the login bug|不要动 payments|やめて|нет|Retourne en arrière"
).split("|")
NOTICES = (
    "<system-reminder>The to-do list is empty</system-reminder>",
    "<task-notification>\n<id>1</id>Task 3 finished\n</task-notification>",
    "<environment_details>\n# Files\nsrc/a.py\n</environment_details>",
    "<command-name>/clear</command-name>\n<command-message>clear</command-message>",
    "<a><a>x</a></a>",
    "[Request interrupted by user]",
    "[SYSTEM NOTIFICATION] Background job finished",
)
WORDS = (
    "<a>x</a> Real words here",
    "<user_query>Port the checkout to Adyen</user_query>",
    "<task>Port the checkout</task>",
    "<a> is a tag",
    '[{"role": "user"}]',
    "[1, 2, 3]",
    "[URGENT] fix the login",
    "",
)


@pytest.mark.parametrize("text", ACKNOWLEDGEMENTS)
def test_acknowledgements(text: str) -> None:
    assert is_acknowledgement(text) and not is_instruction(text)


@pytest.mark.parametrize("text", INSTRUCTIONS)
def test_short_words_that_say_something_are_no_acknowledgements(text: str) -> None:
    assert not is_acknowledgement(text)
    assert text in kept(["Port the checkout to Adyen.", text, "continue"], 200)


def test_notices_of_programs_and_words_of_users() -> None:
    assert [text for text in NOTICES if not is_notice(text)] == []
    assert [text for text in WORDS if is_notice(text)] == []


@pytest.mark.parametrize("later", ["continue", "好的，继续", NOTICES[0], "👍", NOTICES[5]])
def test_the_last_instruction_is_guaranteed_whatever_follows(later: str) -> None:
    texts = ["What is this?", "Now port the checkout to Adyen, account ADY-4471.", *[later] * 30]
    assert texts[1] in kept(texts, 0)
    assert texts[0] in kept(texts, 0)


def test_the_newest_words_behind_an_instruction_are_guaranteed() -> None:
    texts = ["What is this?", "Now port the checkout to Adyen, account ADY-4471.", "Fix the login bug", "weiter", "ok"]
    assert "Fix the login bug" in kept(texts, 0)


def test_notices_do_not_displace_users_words() -> None:
    rules = [f"Leave module m{k} alone, it belongs to team {k}." for k in range(10)]
    notices = [f"<note>Job {k} ended with {'many words ' * 20}</note>" for k in range(20)]
    assert set(rules) <= set(kept([*rules, *notices], 250))


EIGHT = (
    "Leave payments_archive alone.|Fass payments_archive nicht an.|Ne touche pas à payments_archive."
    "|No toques payments_archive.|Não mexa em payments_archive.|Не трогай payments_archive.|不要动 payments_archive。"
    "|payments_archive は触らないで。"
).split("|")
LIFTED = (
    "You may edit payments_archive now.|payments_archive darfst du jetzt ändern.|Tu peux modifier payments_archive."
    "|Ya puedes cambiar payments_archive.|Agora pode mudar payments_archive.|Теперь payments_archive можно менять."
    "|现在可以修改 payments_archive 了。|payments_archive を変更してもいいです。"
).split("|")


@pytest.mark.parametrize("rule", EIGHT)
@pytest.mark.parametrize("lifted", LIFTED)
def test_a_rule_in_view_has_its_lifting_beside_it(rule: str, lifted: str) -> None:
    filler = [f"And what about the {word} of the shop?" for word in "door roof lamp desk wall sink".split()]
    long = f"{lifted} {'This is a story about the weather. ' * 60}"
    for texts in ([rule, lifted, *filler], [rule, long, *filler], [rule, *filler[:3], long, *filler[3:]]):
        for room in (0, 30, 60, 200, 2_000):
            said = " ".join(kept(texts, room))
            assert rule not in said or lifted in said


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Always answer in English.", "Answer in German please."),
        ("At most 200 euros.", "Up to 350 euros is fine after all."),
        ("My customer number is K-1001, always use it.", "Sorry, customer number K-2002 is right."),
        ("Never book a red-eye flight.", "A red-eye is okay if it is cheap."),
        ("You must not edit src/shop/cart.ts.", "src/shop/cart.ts is yours now."),
    ],
)
def test_a_correction_in_other_words_stays_with_the_rule(old: str, new: str) -> None:
    texts = [
        "Help me with the shop.",
        old,
        *["Tell me more."] * 3,
        f"{new} {'Blah blah blah. ' * 80}",
        "Next one please.",
    ]
    said = " ".join(kept(texts, 40))
    assert new in said or old not in said


def test_a_rule_said_again_is_the_newest_statement_even_if_an_older_message_is_pinned() -> None:
    texts = ["Use tabs in app.py.", "Use spaces in app.py.", "Use tabs in app.py.", "Go to the next file."]
    assert kept(texts, 100, fixed=(0,))[-2] == "Use tabs in app.py."


def test_an_object_of_many_sentences_keeps_its_newest_statement() -> None:
    texts = [f"Never change cart.py in step {k}." for k in range(12)] + [
        "You may change cart.py. " + "Bla. " * 200,
        "Go.",
    ]
    assert "You may change cart.py." in " ".join(kept(texts, 60, 80))


def test_one_large_rule_does_not_take_the_room_of_the_others() -> None:
    texts = [
        "Start.",
        "Never push. " + "Blah it is. " * 90,
        "Always " + "very " * 60 + "careful.",
        "Stay on topic now please.",
    ]
    assert any("Never push." in text for text in kept(texts, 0, 20))


def test_sentences_of_two_parts_of_a_message_are_found_again() -> None:
    parts = ["please never use the old module of the shop because it is slow and", "only write with tabs in it, ever."]
    message = {"role": "user", "content": [{"type": "text", "text": part} for part in parts]}
    messages = [
        {"role": "user", "content": "Go."},
        message,
        {"role": "user", "content": "Now the next file please, all of it."},
    ]
    turns = detect_format(messages).parse(messages).turns
    words = UserWords.choose(turns, (), count, 0, 200)
    edits, _ = words.reduce(turns[1])
    for sentence in words.sentences.get(1, ()):
        assert any(sentence in part for part in parts)
    assert len(edits) <= 2


def test_the_choice_is_the_same_in_every_process() -> None:
    code = (
        "from unit.sessions.test_user_words import kept\n"
        "texts = [f'Never touch file{k}.py and use tool{k % 3}.' for k in range(9)]"
        " + [f'file{k}.py is yours now, take tool{k % 3}. ' + 'bla ' * 90 for k in range(9)]"
        " + ['Go to the next one now.']\n"
        "print(kept(texts, 50, 70))\n"
    )
    out = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join([*sys.path, "tests"])},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(out) == 1 and "file" in out.pop()


@pytest.mark.parametrize(
    "text",
    [
        *("<" + "a" * 1_000_000, "<a>" * 300_000, "<a></a>" * 100_000, "[" * 1_000_000, " " * 1_000_000),
        *("继续" * 500_000, "<a>" + "</a> " * 200_000 + "x", "a-" * 500_000, "no. " * 250_000),
    ],
    ids=range(9),
)
def test_hostile_texts_take_linear_time(text: str) -> None:
    with cpu_time_below(10):
        is_notice(text), is_acknowledgement(text), is_instruction(text)
        UserWords.choose(turns_of(text, "Go."), (), count, 100, 50)
        UserWords.choose(turns_of("Start it. " * 9_000, text, "Go to app.py. " * 70_000, "Go."), (), count, 100, 50)
