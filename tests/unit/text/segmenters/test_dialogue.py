"""Transcripts: turns are records, long turns are cut into sentences, and other texts are not transcripts."""

from __future__ import annotations

import numpy as np
import pytest

from compressor.text.segmenters import segment_text
from compressor.text.segmenters.base import UnitFlag
from compressor.text.segmenters.dialogue import segment_dialogue
from compressor.text.segmenters.record_layout import RecordLayout
from support.property_tests import given, settings, st
from support.segment_tools import units

LONG = " ".join(
    f"In the year {1990 + i} the harbour lost {i + 2} of its ferries, and nobody wrote about it." for i in range(8)
)
SAID = ("Good morning to all of you.", "Did anyone see the timber?", "I have seen it near the bridge.", LONG,
        "That was not in the ledger.", "We can look for it tomorrow.", "Who has the key of the engine "
        "room?", "I do, as always.")  # fmt: skip
SPEAKERS = ("Ana", "Boris", "Ana", "Dr. Diaz", "Boris", "Ana", "Dr. Diaz", "Boris")
STYLES = {
    "plain": "{who}: {said}\n",
    "paragraphs": "{who}: {said}\n\n",
    "bold": "**{who}:** {said}\n\n",
    "bold names": "**{who}**: {said}\n",
    "times": "[10:0{i}] {who}: {said}\n",
    "dates": "2024-05-06 10:0{i}:11 - {who}: {said}\n",
    "messages": "06/05/2024, 10:0{i} - {who}: {said}\n",
    "brackets": "<{who}> {said}\n",
    "voices": "<v {who}> {said}\n",
    "below": "{who}:\n{said}\n\n",
    "roles": "{who} (guest): {said}\n",
    "dashes": "- {who}: {said}\n",
}


def transcript(style: str) -> str:
    return "".join(
        STYLES[style].format(who=w, said=s, i=i) for i, (w, s) in enumerate(zip(SPEAKERS, SAID, strict=True))
    )


def cut(text: str) -> RecordLayout:
    found = segment_dialogue(text)
    assert found is not None
    assert found.render(np.ones(len(found.spans), np.bool_)) == text
    return found


@pytest.mark.parametrize("style", STYLES)
def test_turns_are_records_and_long_ones_are_cut(style: str) -> None:
    found = cut(transcript(style))
    assert len(np.unique(found.records)) == len(SAID)
    assert len(found.spans) >= len(SAID) + 3
    out = found.render(np.array(["1996" in unit for unit in units(found)]))
    assert out.index("Dr. Diaz") < out.index("1996") and "Ana" not in out and "1993" not in out


def test_the_day_heads_its_turns() -> None:
    text = "--- Monday, 6 May 2024 ---\n" + transcript("plain") + "--- Tuesday, 7 May 2024 ---\n" + transcript("plain")
    found = cut(text)
    every = units(found)
    heads = [u.strip() for u, f in zip(every, found.flags.tolist(), strict=True) if f & UnitFlag.HEADER]
    assert heads == ["--- Monday, 6 May 2024 ---", "--- Tuesday, 7 May 2024 ---"]
    last = max(i for i, unit in enumerate(every) if "as always" in unit)
    out = found.render(np.arange(len(every)) == last)
    assert "Tuesday" in out and "Monday" not in out


def test_lines_of_a_turn_belong_to_it() -> None:
    text = transcript("plain").replace("near the bridge.", "near the bridge.\nIt was wet.\nAnd old.")
    found = cut(text)
    assert any("near the bridge.\nIt was wet.\nAnd old." in unit for unit in units(found))


def test_a_speaker_of_one_turn_is_one() -> None:
    text = transcript("plain") + "Eve: May I say something about the bridge as well?\nAna: Please do so now.\n"
    found = cut(text)
    assert any(unit.startswith("Eve: ") for unit in units(found))


def test_two_speakers_in_turn_are_a_dialogue() -> None:
    text = "".join(f"{w}: {s}\n" for w, s in zip(("Q", "Ann") * 4, SAID, strict=True)).replace("Q:", "Bob:")
    assert cut(text).kind == "dialogue"


CHINESE = ("早上好，大家请坐。", "我们先谈渡轮的事情吧。", "上周五它又晚点了很久。", "没有人告诉我这件事。",
           "我已经写信给办公室了。", "他们从来不回这样的信。",
           "那么我们明天打电话给他们。", "花园也需要更多的水。")  # fmt: skip


@pytest.mark.parametrize("colon", ("：", ": "))
def test_scripts_without_spaces(colon: str) -> None:
    text = "".join(f"{w}{colon}{s}\n" for w, s in zip(("王先生", "李女士") * 4, CHINESE, strict=True))
    assert len(np.unique(cut(text).records)) == len(CHINESE)
    assert segment_text(text).kind == "dialogue"


NONE = {
    "commits": "".join(f"commit {i}{'0a' * 19}\nAuthor: ada <ada@x.org>\nDate:   Mon May {i} 10:00:00 2024 +0200\n"
    f"\n    Mend pump {i}\n\n"
                       for i in range(1, 9)),
    "fields": "".join(f"Name: host number {i} of the old harbour\nOwner: the team of the northern bridge {i}\n"
                      f"Note: nobody has looked at it since {i}\n\n" for i in range(6)),
    "short values": "".join(f"port: {i}\nzone: z{i}\n" for i in range(9)),
    "prose": "The harbour was closed. Note: nobody came.\n" * 3 + "Then it was spring, and the ferry came again.\n" * 6,
    "few turns": transcript("plain")[:90],
    "one speaker": "".join(f"Note: the harbour was closed in {i} and so was the bridge.\n" for i in range(9)),
}  # fmt: skip


@pytest.mark.parametrize("name", NONE)
def test_what_is_no_transcript(name: str) -> None:
    assert segment_dialogue(NONE[name]) is None
    assert segment_text(NONE[name]).kind != "dialogue"


@settings(max_examples=60, deadline=None)
@given(
    turns=st.lists(
        st.tuples(st.sampled_from(("Ana", "Boris", "", "10:00 Cem")), st.text("ab .\n:-", max_size=300)), max_size=20
    ),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_transcript_is_tiled(turns: list[tuple[str, str]], seed: int) -> None:
    text = "".join(f"{who}: {said} and some more words for it\n" if who else f"{said}\n" for who, said in turns)
    found = segment_dialogue(text)
    if found is None:
        return
    n = len(found.spans)
    assert "".join(units(found)) == text and found.render(np.ones(n, np.bool_)) == text
    assert (found.parents < np.arange(n)).all() and (found.records <= np.arange(n)).all()
    keep = np.random.default_rng(seed).random(n) < 0.4
    assert found.render(found.closure(keep)) == found.render(keep)
