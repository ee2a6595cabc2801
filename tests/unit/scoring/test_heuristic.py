"""The default scorer: what a question reserves, turns of conversations, rare lines, and the templates of log lines."""

from __future__ import annotations

import numpy as np
import pytest

from compressor.scoring import HeuristicScorer, Query, UnitBatch
from compressor.scoring.heuristic_weights import HeuristicWeights
from compressor.scoring.question_match import Turns, _spread_over_turns, question_match
from support.unit_batches import unit_batch

HOSTS = "".join(f"- name: host-{i}\n  port: {7000 + i}\n  zone: z{i % 3}\n  owner: team-{i}\n" for i in range(12))
TALK = "".join(
    f"{who}: {said}\n"
    for who, said in zip(
        ("Ana", "Boris") * 6,
        (
            "Good morning to all of you here.", "The weather is fine today, I think.", "We should speak of the "
            "ferry now.",
            "It was late again on Friday night.", "Nobody told me about that one.", "I have written to the office.",
            "They never answer such letters.", "Then we have to call them again.", "The garden needs more water too.",
            "I can do that on Monday morning.", "The kitchen is almost ready now.", "That is good to hear from you.",
        ),
        strict=True,
    )
)  # fmt: skip


def asked(units: UnitBatch, question: str, weight: float = 1.0) -> UnitBatch:
    HeuristicScorer().score(Query(((question, 1.0),), (), question, weight), units)
    return units


def best(units: UnitBatch) -> str:
    assert units.matches is not None
    return units.texts()[int(units.matches.argmax())].strip()


def test_the_question_marks_the_field_of_the_record() -> None:
    units = asked(unit_batch(HOSTS), "What is the port of host-7?")
    assert units.matches is not None and units.matches.dtype == np.float32
    assert float(units.matches.max()) == 1.0 and float(units.matches.min()) >= 0
    texts = units.texts()
    order = [texts[i].strip() for i in np.argsort(-units.matches, kind="stable")[:2]]
    assert set(order) == {"- name: host-7", "port: 7007"}


@pytest.mark.parametrize("question", ("", "  ", "?!", "the of and"))
def test_without_words_nothing_is_reserved(question: str) -> None:
    units = asked(unit_batch(HOSTS), question)
    assert units.matches is None and units.reserved_share == 0


def test_without_a_match_nothing_is_reserved() -> None:
    units = asked(unit_batch(HOSTS), "Xylophone quartet?")
    assert units.matches is None and units.reserved_share == 0


def test_the_share_falls_with_the_weight_and_the_length_of_the_question() -> None:
    share = asked(unit_batch(HOSTS), "port of host-7").reserved_share
    assert 0 < share <= HeuristicWeights().reserve
    assert asked(unit_batch(HOSTS), "port of host-7", 0.5).reserved_share == pytest.approx(share / 2)
    words = " ".join(f"port{i}" for i in range(30))
    assert asked(unit_batch(HOSTS), f"port of host-7 {words}").reserved_share < share / 2


def test_what_an_agent_thought_answers_no_question() -> None:
    units = asked(unit_batch("The port of host-7 is 7007. " * 3, kind="thinking"), "What is the port of host-7?")
    assert units.matches is not None and not units.matches.any()


def test_turns() -> None:
    talk, hosts = unit_batch(TALK), unit_batch(HOSTS)
    assert Turns.of(talk).spoken.all() and Turns.of(talk).share == pytest.approx(1)
    assert not Turns.of(hosts).spoken.any() and Turns.of(hosts).share == 0
    both = unit_batch(TALK, HOSTS)
    found = Turns.of(both)
    assert 0 < found.share < 1 and len(set(found.group[found.spoken].tolist())) == 1
    messages = unit_batch("Good morning. It is late.", "The ferry left. Nobody came.", kind="user")
    assert Turns.of(messages).rows.tolist() == [0, 0, 2, 2] and set(Turns.of(messages).group.tolist()) == {-1}


def test_a_conversation_reserves_more() -> None:
    assert asked(unit_batch(TALK), "the ferry?").reserved_share > asked(unit_batch(HOSTS), "host-7?").reserved_share


def test_turns_near_a_match_match_too() -> None:
    units = asked(unit_batch(TALK), "What about the ferry?")
    assert "ferry" in best(units) and units.matches is not None
    near, far = units.matches[3], units.matches[10]
    assert near > far > 0


def test_relevance_does_not_spread_between_conversations() -> None:
    units = unit_batch(TALK, TALK)
    turns = Turns.of(units)
    records = np.zeros(len(units), np.float32)
    records[2] = 1
    out = _spread_over_turns(records, turns, HeuristicWeights())
    half = int(units.starts[1])
    assert out[:half].all() and not out[half:].any()
    assert out[2] == 1 == out.max() and out[1] == pytest.approx(out[3]) and out[3] > out[6]
    assert (_spread_over_turns(records, turns, HeuristicWeights(spread=0)) == records).all()


def test_words_of_every_turn_lift_no_turn_above_the_match() -> None:
    turns = Turns.of(units := unit_batch(TALK * 3))
    records = np.full(len(units), 0.2, np.float32)
    records[0] = 1
    out = _spread_over_turns(records, turns, HeuristicWeights())
    assert out.argmax() == 0 and float(out[18]) < 0.3


def test_fields_without_the_words_of_a_large_record_match_less() -> None:
    def rest(fields: int) -> float:
        text = "".join(
            f"- name: host-{i}\n" + "".join(f"  field{k}: value{i}x{k}\n" for k in range(fields)) for i in range(5)
        )
        units = asked(unit_batch(text), "What about host-3?")
        assert units.matches is not None
        return float(units.matches[next(i for i, t in enumerate(units.texts()) if "value3x2" in t)])

    assert rest(3) > rest(30) > 0


def test_question_match_of_a_single_unit() -> None:
    units = unit_batch("The ferry is late.")
    one = np.ones(1, np.float32)
    assert question_match(one, one, units, Turns.of(units), HeuristicWeights()).tolist() == [1.0]


# Log lines


def log(rare: int) -> str:
    lines = [f"2024-05-06T10:00:{i:02d}Z INFO pool: connection {i}a7f handed out in {i * 7} ms" for i in range(40)]
    for i in range(rare):
        lines.insert(10 + 3 * i, f"2024-05-06T10:01:0{i}Z INFO leader moved to replica {i}")
    return "\n".join(lines) + "\n"


def test_templates_are_lines_without_ids_and_numbers() -> None:
    units = unit_batch(log(1))
    texts = units.texts()
    of = units.templates
    pool = {int(t) for t, x in zip(of, texts, strict=True) if "pool" in x}
    leader = {int(t) for t, x in zip(of, texts, strict=True) if "leader" in x}
    assert len(pool) == len(leader) == 1 and pool != leader
    assert (unit_batch(HOSTS).templates == -1).all()


def test_templates_of_two_logs_are_apart() -> None:
    units = unit_batch(log(0), log(0))
    half = int(units.starts[1])
    assert not set(units.templates[:half].tolist()) & set(units.templates[half:].tolist())


@pytest.mark.parametrize(("rare", "wins"), ((1, True), (2, True), (3, False)))
def test_a_line_of_a_rare_form_is_worth_more(rare: int, wins: bool) -> None:
    units = unit_batch(log(rare))
    with_rare = HeuristicScorer().score(Query(), units)
    without = HeuristicScorer(HeuristicWeights(rare_line=0)).score(Query(), units)
    line = next(i for i, x in enumerate(units.texts()) if "leader" in x)
    assert bool(with_rare[line] > 1.5 * without[line]) is wins


def test_in_a_short_log_no_line_is_rare() -> None:
    units = unit_batch(
        "".join(f"2024-05-06T10:00:{i:02d}Z INFO {'pool: out' if i else 'leader moved'}\n" for i in range(15))
    )
    plain = HeuristicScorer(HeuristicWeights(rare_line=0)).score(Query(), units)
    assert (HeuristicScorer().score(Query(), units) == plain).all()
