"""Worked examples in a prompt: found where they are unmistakable, kept or left out whole, and nothing else cut."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from compressor import Compressor
from compressor.context.formats import detect_format
from compressor.context.refs import find_refs
from compressor.text.few_shot_turns import find_few_shot_turns
from compressor.text.segmenters.few_shot import find_examples
from support.paths import SHARED_DATA as DATA
from support.property_tests import given, settings, st

TOPICS = ["apples", "trains", "paint", "bread", "stars", "rivers", "clocks", "dogs", "maps", "shoes"]
PAIRS = [
    (f"Ann has {i + 3} boxes of {t} and gives away {i + 1}. How many boxes of {t} are left in her {t} store?",
     f"She had {i + 3} boxes. {i + 3} - {i + 1} = 2 boxes of {t} are left. The answer is 2.")
    for i, t in enumerate(TOPICS)
]  # fmt: skip
ASKED = "Bo has 9 boxes of dogs and gives away 4. How many boxes of dogs are left?"
QA = [f"Q: {q}\nA: {a}" for q, a in PAIRS]
TAGGED = [f"<example>\n{q}\n{a}\n</example>" for q, a in PAIRS]


def two(system: str, said: str = ASKED) -> list[dict[str, Any]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": said}]


@pytest.mark.parametrize(
    ("head", "parts", "tail"),
    [
        ("You do sums. Here are some examples:\n\n", QA, "\n\nNever guess. Answer with a number."),
        ("You do sums.\n<examples>\n", TAGGED, "\n</examples>\nNever guess."),
        ("You do sums.\n\n## Examples\n\n", [f"### Example {i}\n{q}\n{a}" for i, (q, a) in enumerate(PAIRS, 1)],
         "\n\n## Rules\nNever guess."),
    ],
)  # fmt: skip
def test_examples_in_a_system_prompt(compressor: Compressor, head: str, parts: list[str], tail: str) -> None:
    sep = "\n" if parts is TAGGED else "\n\n"
    prompt = head + sep.join(parts) + tail
    found = find_examples(prompt)
    assert len(found) == 1 and len(found[0].starts) == len(PAIRS)
    assert prompt[found[0].start : found[0].end] == sep.join(parts)
    result = compressor.compress(two(prompt), 330)
    text = result.messages[0]["content"]
    assert result.tokens_after <= 330
    assert text.startswith(head) and text.endswith(tail)
    kept = [part for part in parts if part in text]
    assert 1 <= len(kept) < len(parts)
    left = text[len(head) : len(text) - len(tail)]
    for part in kept:
        left = left.replace(part, "", 1)
    assert left.strip(" \n…").startswith("[…cut ref")  # nothing of any other example
    assert [text.index(part) for part in kept] == sorted(text.index(part) for part in kept)
    assert any("dogs" in part for part in kept)
    (ref,) = find_refs(text)
    assert compressor.expand(ref) == sep.join(parts)
    assert result.messages[1] == two(prompt)[1]
    assert {b.kind for b in result.blocks} == {"system", "example", "user"}
    assert compressor.compress(result.messages, 330).messages == result.messages


def test_user_messages_stay(compressor: Compressor) -> None:
    said = "Do the sum. Examples:\n\n" + "\n\n".join(QA) + f"\n\nQ: {ASKED}\nA:"
    middle = [{"role": "user", "content": said}, {"role": "assistant", "content": "5"}]
    log = {"role": "user", "content": "Log:\n<log>\n" + "2024-05-01 INFO all is well\n" * 200 + "</log>\nGo on."}
    for messages in ([*middle, log], [log, *middle, {"role": "user", "content": said}]):
        result = compressor.compress(messages, 1500)
        end = 0 if messages[0]["content"] == said else -1
        assert result.messages[end]["content"] == said
        assert "example" not in {block.kind for block in result.blocks}


def _named() -> list[dict[str, Any]]:
    out = [{"role": "system", "content": "You do sums."}]
    for asked, answer in PAIRS:
        out.append({"role": "system", "name": "example_user", "content": asked})
        out.append({"role": "system", "name": "example_assistant", "content": answer})
    return [*out, {"role": "user", "content": ASKED}]


def _labelled(system: str = "You do sums, as in these examples.") -> list[dict[str, Any]]:
    out = [{"role": "system", "content": system}]
    for asked, answer in PAIRS:
        out += [{"role": "user", "content": f"Q: {asked}"}, {"role": "assistant", "content": f"A: {answer}"}]
    return [*out, {"role": "user", "content": f"Q: {ASKED}"}]


@pytest.mark.parametrize("messages", [_named(), _labelled()])
def test_examples_that_are_messages_go_in_pairs(compressor: Compressor, messages: list[dict[str, Any]]) -> None:
    result = compressor.compress(messages, 320)
    assert result.tokens_after <= 320
    left = result.messages
    assert left[0] == messages[0] and left[-1] == messages[-1]
    assert all(any(m is given for given in messages) for m in left)  # whole, and in order
    places = [messages.index(m) for m in left]
    assert places == sorted(places)
    halves = places[1:-1]
    assert halves and all(a % 2 == 1 and b == a + 1 for a, b in zip(halves[::2], halves[1::2], strict=True))
    assert 15 in halves  # the one about dogs
    gone = {d.message: compressor.expand(d.ref) for d in result.dropped}
    assert gone == {i: m["content"] for i, m in enumerate(messages) if i not in places}
    assert any("left out whole" in text for text in result.warnings)
    assert compressor.compress(left, 320).messages == left


def test_langchain_messages(compressor: Compressor) -> None:
    messages = pytest.importorskip("langchain_core.messages")
    given = [messages.SystemMessage("You do sums.")]
    for asked, answer in PAIRS:
        given.append(messages.SystemMessage(asked, name="example_user"))
        given.append(messages.SystemMessage(answer, name="example_assistant"))
    given.append(messages.HumanMessage(ASKED))
    left = compressor.compress(given, 320).messages
    assert 4 <= len(left) < len(given) and len(left) % 2 == 0


@pytest.mark.parametrize(
    "text",
    [
        "You answer from this FAQ.\n\n" + "\n\n".join(QA) + "\n\nBe polite.",  # knowledge, not examples
        "This is the conversation so far:\n" + "\n".join(f"User: {q}\nAssistant: {a}" for q, a in PAIRS),
        "For example, answer in one line.\n\n" + "\n\n".join(QA) + "\n\nBe polite.",
        "Use <example> tags. <example>One</example> is enough.",
        "Example 1: one. Example 2: two.",
        "mail: a@example.com\nuser: x\nassistant: y\nuser: x\nassistant: y\nuser: x\nassistant: y",
        "Answer:\nQuestion:\nExample 1\n\nExample 2\n\nExample 3\n",
        "<example><example>a</example></example>\n<example>b</example>",
    ],
)
def test_what_only_looks_like_examples_stays(compressor: Compressor, text: str) -> None:
    assert find_examples(text) == []


def test_pinned_messages_ingest_and_anthropics_system_stay(compressor: Compressor) -> None:
    prompt = "Here are some examples:\n\n" + "\n\n".join(QA) + "\n\nNever guess."
    log = {"role": "user", "content": "Log:\n<log>\n" + "2024-05-01 INFO all is well\n" * 200 + "</log>\nGo on."}
    for options in ({"pinned": [0]}, {"mode": "compact", "pinned": [-2]}):
        out = compressor.compress([*two(prompt)[:1], log], 900, **options).messages
        assert out[0]["content"] == prompt
    result = compressor.compress([log], 900, system=prompt)
    assert len(result.messages) == 1


def test_conversations_are_no_examples() -> None:
    chat: list[dict[str, Any]] = []
    for asked, answer in PAIRS:
        chat += [{"role": "user", "content": f"Question: {asked}"}, {"role": "assistant", "content": answer}]
    chat.append({"role": "user", "content": f"Question: {ASKED}"})
    assert find_few_shot_turns(detect_format(chat).parse(chat).turns) == {}
    for other in ("You do sums.", "For example, say 3."):
        chat = _labelled(other)
        assert find_few_shot_turns(detect_format(chat).parse(chat).turns) == {}
    assert find_few_shot_turns(detect_format(_labelled()[:-1]).parse(_labelled()[:-1]).turns) == {}


PIECES = ["Q: a\n", "A: b\n", "\n", "Example 1\n", "Example 2\n", "Example 3\n", "Examples:\n", "---\n", "x"]
PIECES += ["<example>", "</example>"]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=24).map("".join))
def test_lists_lie_in_order_and_start_with_their_first_example(text: str) -> None:
    at = 0
    for found in find_examples(text):
        assert at <= found.start < found.end <= len(text)
        assert list(found.starts) == sorted(set(found.starts)) and found.starts[-1] < found.end
        at = found.end


@pytest.mark.skipif(not (DATA / "sessions").is_dir(), reason="no recorded sessions here")
def test_no_false_positives_in_recorded_sessions() -> None:
    for path in sorted((DATA / "sessions").glob("tau_*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                messages = json.loads(line)["messages"]
                texts = [m["content"] for m in messages if isinstance(m.get("content"), str)]
                assert not [text for text in texts if find_examples(text)]
                assert not find_few_shot_turns(detect_format(messages).parse(messages).turns)
