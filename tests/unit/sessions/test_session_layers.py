"""What a session still knows after compactions: users' words, newest states, open items. All through `Conversation`."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compressor import Compressor
from support.session_layers import agent, call, count_tokens, lines, look, looks, play, shown, user
from support.session_tools import Message

TASK = "Now port the checkout to Adyen, account ADY-4471."
TARGET = 0.6  # of the budget

PROPERTY = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


@pytest.mark.parametrize(
    "later",
    [
        *(
            "continue",
            "weiter",
            "d'accord, continue",
            "好的，继续",
            "👍",
            "<task-notification>job 7 is done</task-notification>",
        ),
        *("<system-reminder>The to-do list is empty.</system-reminder>", "[Request interrupted by user]"),
    ],
)
def test_the_last_instruction_stays(c: Compressor, later: str) -> None:
    messages = [user("What is this?"), agent("A shop."), user(TASK), *looks(0, 8)]
    for k in range(4):
        messages += [agent("Shall I go on?"), user(later), *looks(10 * k + 10, 10 * k + 15)]
    for view in (play(c, messages)[1], play(c, messages, 1_500)[1]):
        assert TASK in shown(view) and "What is this?" in shown(view)


def test_screenshots_are_no_instructions(c: Compressor) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    messages: list[Any] = [user("What is this?"), agent("A shop."), user(TASK)]
    for k in range(8):
        messages += [*looks(5 * k, 5 * k + 4), agent("Click."), {"role": "user", "content": [image]}]
    _, view = play(c, [*messages, *looks(90, 93)], 2_500)
    assert TASK in [m.get("content") for m in view]


RULES = (
    "Leave payments_archive alone.|No pushes to main, please.|Use pnpm instead of npm.|The budget is 200 euros."
    "|Wait for my OK before you deploy anything.|Hands off the production database!|I prefer tabs over spaces."
    "|Antworte bitte auf Deutsch.|Fass die Preise nicht an.|Réponds en français.|No toques la base de datos."
    "|Não mude os preços.|Отвечай по-русски.|请用中文回答。|テストを飛ばさないで。"
).split("|")


def test_rules_in_any_words_stay(c: Compressor) -> None:
    messages = [user("Port the shop.")]
    for k, rule in enumerate(RULES):
        messages += [agent("Ok."), user(rule), *looks(3 * k, 3 * k + 3)]
    _, view = play(c, [*messages, *looks(90, 100)], 4_000)
    assert [rule for rule in RULES if rule not in shown(view)] == []


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("write_todos", lambda k: {"todos": [{"content": f"Step {j}", "status": f"v{k}"} for j in range(4)]}),
        ("update_plan", lambda k: {"plan": [{"step": f"Step {j}", "status": f"v{k}"} for j in range(4)]}),
        ("update_todo_list", lambda k: {"todos": f"[x] Port it v{k}\n[ ] Test it"}),
        ("write_file", lambda k: {"path": "NOTES.md", "content": f"These are the notes, v{k}, of the port."}),
        ("bash", lambda k: {"command": f"cat > plan.md <<'EOF'\n- [ ] port, v{k}\nEOF"}),
        (
            "str_replace_editor",
            lambda k: {"command": "create", "path": "/p.md", "file_text": f"The plan is long, v{k}"},
        ),
    ],
)
def test_only_the_newest_state_is_current(c: Compressor, name: str, state: Any) -> None:
    messages = [user("Port the shop."), *call(name, state(0), "ok")]
    for k in range(1, 5):
        messages += [*looks(10 * k, 10 * k + 7), *call(name, state(k), f"Updated to {state(k)}")]

    def check(i: int, view: list[Any]) -> None:
        written = [a for m in messages[: i + 1] for a in arguments_of([m], name)]
        in_view = arguments_of(view, name)
        if written:
            assert in_view and in_view[-1] == written[-1]

    play(c, [*messages, *looks(60, 75)], each=check)


def arguments_of(messages: list[Any], name: str) -> list[str]:
    calls = [c["function"] for m in messages for c in m.get("tool_calls") or []]
    return [f["arguments"] for f in calls if f["name"] == name and "v" in f["arguments"]]


def test_notes_that_only_add_all_stay(c: Compressor) -> None:
    messages = [user("Triage my mail.")]
    for k in range(12):
        messages += [
            *look(k),
            *call("add_note", {"text": f"Mail {k}: reply to client {k} before May {k + 1}"}, "saved"),
        ]
    _, view = play(c, [*messages, *looks(50, 60)])
    assert all(f"Mail {k}: reply" in shown(view) for k in range(12))


def test_what_is_open_stays_and_what_is_resolved_leaves(c: Compressor) -> None:
    passed = "\n".join(f"tests/test_{k}.py::test_case PASSED [{k}%]" for k in range(50))
    failed = (
        f"{passed}\nFAILED tests/test_money.py::test_vat - AssertionError: 10.005\n"
        "FAILED tests/test_a.py::test_b - KeyError: 'x'"
    )
    messages = [
        *(user("Fix the failing tests."), *call("bash", {"command": "pytest"}, failed), *looks(0, 6)),
        *(
            agent("Root cause found: money.py:88 rounds twice. I will come back to money.py later."),
            user("ok"),
            *looks(6, 12),
        ),
        *(
            agent("Decision: I keep the old column price_net because the mobile app reads it."),
            user("weiter"),
            *looks(12, 16),
        ),
        *call("bash", {"command": "pytest tests/test_a.py -v"}, "tests/test_a.py::test_b PASSED"),
    ]
    talk, view = play(c, [*messages, *looks(20, 40)])
    text = shown(view)
    assert "test_vat" in text and "10.005" in text
    assert "money.py:88" in text and "price_net" in text and "come back to money.py" in text
    assert not any("test_b" in item[2] for item in talk.state["open_items"])


@pytest.mark.parametrize("at", [2, 10, 20])
def test_a_huge_result_does_not_age_the_others_out(c: Compressor, at: int) -> None:
    def run(tokens: int) -> int:
        messages = [user("List the disks that are full.")]
        for k in range(30):
            log = (
                "\n".join(f"INFO node n{k} tick {j} ok" for j in range(20))
                + f"\nERROR disk full on node n{k} code E{k}77"
            )
            messages += call("read_log", {"service": k}, lines(7, tokens // 13) if k == at and tokens else log)
        text = shown(play(c, messages, 6_000)[1])
        return sum(f"E{k}77" in text for k in range(30) if k != at)

    assert run(60_000) >= run(0) - 3


def test_a_view_uses_its_budget(c: Compressor) -> None:
    """A view after a compaction has .9 of its target, while rounds are outside of it. What is saved by whole"
    " lines is slack."""
    sizes: list[float] = []
    for count in (4, 20, 60):
        talk, compactions = None, 0
        messages = [user("Find out where the copper is stored."), *looks(0, 40, count)]
        for end in range(5, len(messages) + 1, 4):
            talk, view = (
                play(c, messages[:end], 3_000) if talk is None else (talk, after(talk, messages[end - 4 : end]))
            )
            if talk.cost_report().compactions > compactions:
                compactions = talk.cost_report().compactions
                sizes.append(count_tokens(view) / (TARGET * 3_000))
    assert len(sizes) > 5 and min(sizes) >= 0.9


def after(talk: Any, messages: list[Message]) -> list[Any]:
    talk.append(*messages)
    view: list[Any] = talk.view()
    return view


OBJECTS = ("payments.py", "K-1001", "the invoice archive", "src/cart.ts")
STATEMENTS = (
    "Never touch {}.|You can edit {} now, it is fine.|Lass {} in Ruhe, bitte.|{} darf jetzt geändert werden, gern."
    "|Ne touche pas à {} du tout.|{} は絶対に触らないでください。|现在可以修改 {} 了，没关系。|Use {} for all the"
    " tests.|Не трогай {} ни в коем случае."
).split("|")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("rule"), st.sampled_from(OBJECTS), st.sampled_from(STATEMENTS), st.integers(0, 9)),
        st.tuples(st.just("ack"), st.sampled_from(["continue", "weiter", "👍", "<note>job 7 is done</note>"])),
        st.tuples(st.just("state"), st.sampled_from(["write_todos", "update_plan", "NOTES.md", "plan.md"])),
        st.tuples(st.just("look"), st.sampled_from([3, 10, 30, 80])),
    ),
    min_size=15,
    max_size=45,
)


def history(plan: list[Any]) -> tuple[list[Message], list[tuple[int, str, str]]]:
    """Returns the messages of a plan, and its statements with their positions and objects."""
    messages, said = [user(TASK)], []
    for k, step in enumerate(plan):
        if step[0] == "rule":
            words = step[2].format(step[1])
            blah = " ".join(f"Bla bli {j} {k}." for j in range(6 * step[3]))
            messages += [agent("Ok."), user(f"{words}\n{blah}".strip())]
            said.append((len(messages) - 1, step[1], words))
        elif step[0] == "ack":
            messages += [agent("Go on?"), user(step[1])]
        elif step[0] == "look":
            messages += look(k, step[1])
        elif step[1].endswith(".md"):
            messages += call(
                "write_file", {"path": step[1], "content": f"The text of {step[1]} in version v{k}."}, "ok"
            )
        else:
            messages += call(step[1], {"todos": [{"content": f"Step {step[1]}", "status": f"v{k}"}]}, "ok")
    return messages, said


@PROPERTY
@given(steps, st.sampled_from([1_500, 2_500, 5_000]), st.sets(st.integers(0, 90), max_size=5))
def test_newest_statements_and_states_are_in_every_view(plan: list[Any], budget: int, compact_at: set[int]) -> None:
    messages, said = history(plan)

    def check(i: int, view: list[Any]) -> None:
        text = shown(view)
        assert TASK in text and count_tokens(view) <= budget
        for name in OBJECTS:
            mine = [words for at, about, words in said if at <= i and about == name]
            assert not any(words in text for words in mine) or mine[-1] in text
        for state in ("write_todos", "update_plan", "NOTES.md", "plan.md"):
            assert versions(view, state)[-1:] in ([], versions(messages[: i + 1], state)[-1:])

    talk, _ = play(Compressor(store="memory"), messages, budget, None, compact_at, check)
    sums = [{k: sum(t.values()) for k, t in r["tallies"].items()} for r in talk.receipts()]
    assert [s["user_words"] for s in sums] == sorted(s["user_words"] for s in sums)
    for receipt in talk.receipts():
        assert all(talk.expand(missing["ref"]) for missing in receipt["not_in_view"])


def versions(messages: list[Any], state: str) -> list[str]:
    """Returns the versions of a list or file that calls claim, oldest first."""
    functions = [c["function"] for m in messages for c in m.get("tool_calls") or []]
    found = [f["arguments"] for f in functions if state in (f["name"], json.loads(f["arguments"]).get("path"))]
    return [v for text in found for v in re.findall(r"\bv\d+\b", text)[:1]]
