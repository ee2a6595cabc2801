"""The ruler of kept facts on made-up runs: where facts are, what is billed, and that it changes nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import facts_kept
from benchmarks.facts_kept_case import Fact, split_sentences
from benchmarks.facts_kept_generated import GENERATED, generated_cases, write_run
from benchmarks.facts_kept_methods import LastWithin, MaskedWithin, OursKept, SummaryAndFile, methods, ours_kept
from benchmarks.facts_kept_places import Places
from benchmarks.facts_kept_rules import RULE_KINDS, RULES
from benchmarks.facts_kept_script import LIST_TOOLS, list_arguments
from benchmarks.facts_kept_talk import TALK
from benchmarks.runs_methods import RAW, Method, Run
from benchmarks.runs_replay import PRICES, replay
from benchmarks.tokens import Message, message_text, total
from compressor.sessions import Policy

PRICE = PRICES["cached"]
CASE = next(iter(generated_cases(1, seed=5)))
MESSAGES = CASE.recording.messages


class Library(Run):
    """A method with two levels of refs and a search."""

    def expandable_texts(self, text: str) -> dict[str, str]:
        books = {"ref-1": "the code is 4711 see ref-2", "ref-2": "the colour is teal"}
        return {ref: book for ref, book in books.items() if ref in text}

    def recall(self, query: str) -> str:
        return "Leave\n  payments alone." if "payments" in query else ""


def judged(facts: list[Fact], *texts: str) -> Places:
    places = Places(Library(), [{"role": "user", "content": text} for text in texts])
    places.judge(facts)
    return places


def test_a_fact_is_at_the_best_place_that_has_it() -> None:
    facts = [
        Fact("users", "the task"),
        Fact("users", "code is 4711"),
        Fact("users", "colour is teal"),
        Fact("users", "Leave payments alone.", "payments"),
        Fact("users", "gone for good", "nothing"),
    ]
    places = judged(facts, "Do  the\ntask.", "[ref-1]")
    assert dict(places.counts) == {
        ("users", True, place): 1 for place in ("view", "expand", "expand_2", "recall", "lost")
    }
    assert [place for _, place in places.missing] == ["expand", "expand_2", "recall", "lost"]


def test_searches_are_sampled_and_shared_out() -> None:
    places = judged([Fact("users", f"fact {i}", "nothing") for i in range(90)], "nothing here")
    assert places.counts["users", True, "lost"] == pytest.approx(90)
    assert len(places.missing) <= 4


def test_a_line_with_the_anchor_and_most_words_is_enough() -> None:
    fact = Fact("decisions", "I will rewrite the parser in lexer.py with tables", anchor="lexer.py")
    assert judged([fact], "- lexer.py: rewrite the parser with tables").counts["decisions", True, "view"] == 1
    assert judged([fact], "- lexer.py was read").counts["decisions", True, "lost"] == 1


def test_an_outdated_state_counts_only_without_the_newest() -> None:
    newest = [Fact("state_written", f"step {i} done", owner="plan", outdated=("step 1 open",)) for i in (1, 2)]
    assert judged(newest, "step 1 open").owners == {"state_written": 1, "outdated state_written": 1}
    assert judged(newest, "step 1 open, step 2 done").owners == {"state_written": 1}
    assert judged(newest, "nothing").owners == {"state_written": 1}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Leave it. Take the other one!", 2),
        ("{a} 先别动。检查通过后可以推送。", 2),
        ("締め切りは明日です。お任せします。", 2),
        ("Не трогай схему. Подожди ответа.", 2),
        ("ok", 0),
    ],
)
def test_sentences_of_any_language_are_found(text: str, number: int) -> None:
    assert len(split_sentences(text)) == number


def test_generated_runs_are_legal_seeded_and_different() -> None:
    again = next(iter(generated_cases(1, seed=5)))
    assert again.recording == CASE.recording and again.calls == CASE.calls
    assert [again.facts_at(c) for c in again.calls] == [CASE.facts_at(c) for c in CASE.calls]
    assert write_run(6, 0).messages != MESSAGES and write_run(5, 1).messages != MESSAGES
    calls = [c["id"] for m in MESSAGES for c in m.get("tool_calls", ())]
    assert calls == [m["tool_call_id"] for m in MESSAGES if m["role"] == "tool"] and len(set(calls)) == len(calls)
    sizes = [total([m]) for m in MESSAGES if m["role"] == "tool"]
    assert 14_000 < max(sizes) < 17_000


def test_three_runs_have_all_languages() -> None:
    cases = list(generated_cases(1, seed=5))
    assert len(cases) == 3 and len({c.recording.name for c in cases}) == 3
    said = "\n".join(message_text(m) for c in cases for m in c.recording.messages)
    assert all(any(lead and lead.strip() in said for lead in talk.leads) for talk in TALK.values())


def test_every_language_has_every_kind_of_rule_and_no_two_statements_are_the_same() -> None:
    assert set(RULES) == set(TALK) and len(RULES) == 8 and len(RULE_KINDS) >= 12
    for language, rules in RULES.items():
        assert set(rules) == set(RULE_KINDS), language
        for said in rules.values():
            assert len({text.format(a="A", x="X", y="Y") for text in said}) == 3
            assert all("{a}" in text for text in said)
    assert all(talk.acknowledgements and talk.promises and talk.decisions for talk in TALK.values())


def test_raw_keeps_every_generated_fact_and_never_shows_an_outdated_state_alone() -> None:
    raw = replay([CASE.recording], RAW, PRICE)[0]
    kept = facts_kept.measure(CASE, RAW, raw)
    assert {place for _, _, place in kept.places} == {"view"}
    assert {"users", "last", "rules", "state_written", "failures"} <= {kind for kind, _, _ in kept.places}
    assert not [name for name in kept.owners if name.startswith("outdated")]


def test_a_method_that_shows_only_the_beginning_loses_facts_and_shows_outdated_rules() -> None:
    class First(Run):
        def step(self, new: list[Message]) -> list[Any]:
            self.messages += new
            return self.messages[:90]

    raw = replay([CASE.recording], RAW, PRICE)[0]
    kept = facts_kept.measure(CASE, Method("first", lambda price: First()), raw)
    assert kept.places["last", True, "lost"] > 0
    assert any(name.startswith("outdated") for name in kept.owners)


@pytest.mark.parametrize(("tool", "shape"), LIST_TOOLS)
def test_a_list_shows_each_entry_with_its_state(tool: str, shape: str) -> None:
    arguments, shown = list_arguments(shape, "plan-7", [("Read it", "completed"), ("Port it", "in_progress")])
    script = write_run(1, 0)
    script.call(tool, arguments, "ok")
    view = [script.messages[-2]]
    places = Places(Run(), view)
    places.judge([Fact("state_written", line) for line in shown])
    assert places.counts["state_written", True, "view"] == 2


def views(run: Run, messages: list[Message]) -> list[list[Message]]:
    found, done = [], 0
    for at, message in enumerate(messages):
        if message["role"] == "assistant" and at:
            found.append(run.as_openai(run.step(list(messages[done:at]))))
            done = at
    return found


@pytest.mark.parametrize(
    "method", [m for m in methods() if "12k" in m.name and not m.unavailable], ids=lambda m: m.name
)
def test_every_method_sends_legal_requests(method: Method) -> None:
    for sent in views(method.start(PRICE), MESSAGES):
        calls = [c["id"] for m in sent for c in m.get("tool_calls") or ()]
        assert calls == [m["tool_call_id"] for m in sent if m["role"] == "tool"]
        assert sent[0] == MESSAGES[0]


def test_masking_and_the_window_keep_to_their_size() -> None:
    for run in (MaskedWithin(12_000), LastWithin(12_000)):
        largest = sorted(total(view) for view in views(run, MESSAGES))
        assert largest[len(largest) // 2] <= 12_000 and run.rewrites > 3
        assert largest[-1] < 20_000  # one result has 15,000


def test_the_file_of_a_summary_gives_back_what_left() -> None:
    pytest.importorskip("langchain")
    run = SummaryAndFile(12_000)
    last = views(run, MESSAGES)[-1]
    texts = run.expandable_texts("\n".join(map(message_text, last)))
    assert len(texts) == 1 and message_text(MESSAGES[1]) in next(iter(texts.values()))
    assert run.expandable_texts("nothing") == {}


def test_looking_for_facts_does_not_teach_the_conversation() -> None:
    run = OursKept(PRICE, Policy(), 6_000)
    last = views(run, MESSAGES[:120])[-1]
    before = run.session.state
    text = "\n".join(map(message_text, last))
    assert run.expandable_texts(text)
    assert run.recall("budget") is not None and run.recall(" ") == ""
    assert run.session.state == before


def test_presets_that_the_policy_lacks_are_named() -> None:
    assert "nonsense" in ours_kept("x", {"nonsense": 1}).unavailable
    assert not ours_kept("ours (balanced)", {"preset": "balanced"}).unavailable
    assert not ours_kept("ours 6k", {}, 6_000).unavailable


def test_the_whole_table(tmp_path: Path) -> None:
    report = facts_kept.run(tmp_path, 1, ["raw", "masking 12k"], facts_kept.Options((GENERATED,), 5))
    assert [row[1] for row in report.table[1:]] == ["raw", "masking 12k"]
    assert all(len(row) == len(report.table[0]) for row in report.table)
    assert report.table[1][2] == "+0 %"
    assert {row["domain"] for row in report.rows} == {"all", GENERATED}
    assert facts_kept.Options(("foo", GENERATED)).unknown(tmp_path) == ["foo"]
    assert facts_kept.Options((GENERATED,), 2).flags() == " --tasks generated --seed 2"
