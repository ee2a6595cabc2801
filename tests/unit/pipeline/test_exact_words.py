"""What the question names exactly stays: ids, numbers, dates and names, in many languages and kinds of input."""

from __future__ import annotations

import pytest

from compressor import Compressor
from support.property_tests import given, settings, st

COMPRESSOR = Compressor(store="memory")
SHARES = (0.5, 0.25)

#: Sentences about things by number, and a question: {n} is the number, {a} and {b} are what varies.
LANGUAGES = {
    "en": ("The parcel {n} was handed over in {a} by {b}, who had waited there for a while.",
           "Who handed over the parcel {n}?", " "),
    "de": ("Das Paket {n} wurde in {a} von {b} übergeben, nachdem man eine Weile gewartet hatte.",
           "Wer hat das Paket {n} übergeben?", " "),
    "ru": ("Посылка {n} была передана в городе {a}, её вручил {b} после долгого ожидания.",
           "Кто передал посылку {n}?", " "),
    "ar": ("تم تسليم الطرد {n} في {a} بواسطة {b} بعد انتظار طويل في المكتب.", "من سلم الطرد {n}؟", " "),
    "hi": ("पार्सल {n} को {a} में {b} ने लंबे इंतज़ार के बाद सौंप दिया।", "पार्सल {n} किसने सौंपा?", " "),
    "ko": ("소포 {n}은 {a}에서 {b}가 오랜 기다림 끝에 전달했습니다.", "소포 {n}은 누가 전달했습니까?", " "),
    "zh": ("包裹{n}在{a}由{b}经过长时间等待后交付。", "包裹{n}是谁交付的？", ""),
    "ja": ("小包{n}は{a}で{b}が長い間待った後に手渡しました。", "小包{n}は誰が手渡しましたか？", ""),
    "th": ("พัสดุ {n} ถูกส่งมอบที่ {a} โดย {b} หลังจากรอคอยมานาน", "ใครส่งมอบพัสดุ {n}?", "\n"),
}  # fmt: skip
PLACES = ("Ulm", "Bonn", "Kiel", "Trier", "Mainz", "Jena", "Fulda")
PEOPLE = ("Ada", "Bert", "Cem", "Dora", "Emil", "Finn", "Gita", "Hugo", "Ida", "Jan", "Kim")


def sentences(language: str, first: int, count: int = 40) -> list[str]:
    line = LANGUAGES[language][0]
    return [line.format(n=first + 37 * i, a=PLACES[i % len(PLACES)], b=PEOPLE[i % len(PEOPLE)]) for i in range(count)]


def compressed(way: str, text: str, query: str, share: float) -> str:
    """The excerpt of a text that is given in one of several ways."""
    if way == "text":
        return COMPRESSOR.compress_text(text, share, query=query).text
    if way == "documents":
        half = len(text) // 2
        half = text.find("\n", half) + 1 or half
        documents = [{"title": "One", "text": text[:half]}, {"title": "Two", "text": text[half:]}]
        return COMPRESSOR.compress_documents(documents, query=query, budget=share).text
    messages = [
        {"role": "user", "content": query},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "read", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": text},
    ]
    return str(COMPRESSOR.compress(messages, share).messages[-1]["content"])


@pytest.mark.moderate
@pytest.mark.parametrize("way", ("text", "documents", "tool result"))
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_sentence_with_the_number_asked_for_stays(language: str, way: str) -> None:
    for share in SHARES:
        for at in (3, 21, 38):
            first = 48_210 + 7 * at
            said = sentences(language, first)
            paragraphs = ["".join(s + LANGUAGES[language][2] for s in said[i : i + 5]) for i in range(0, 40, 5)]
            query = LANGUAGES[language][1].format(n=first + 37 * at)
            out = compressed(way, "\n\n".join(paragraphs), query, share)
            assert said[at].rstrip() in out, (share, at, out)


EXACT = {
    "id": ("Ticket {x} was closed by the night shift.", "Who closed {x}?", "TK-{n}-QZ"),
    "date": ("On {x} the pump was serviced by the night shift.", "What happened on {x}?", "2023-0{m}-{d}"),
    "number": ("The invoice over {x} euros went to the night shift.", "Which invoice was over {x}?", "{n}.5{m}"),
    "path": ("The file {x} belongs to the night shift.", "Whose is {x}?", "/srv/a{n}/b{m}.conf"),
    "mail": ("A note from {x} reached the night shift.", "What did {x} send?", "p{n}@mail{m}.org"),
    "hash": ("The change {x} broke the night shift's report.", "What did {x} break?", "{n}fe{m}a9{d}c07"),
    "version": ("Release {x} was tested by the night shift.", "Who tested {x}?", "v{m}.{n}.{d}"),
}


@pytest.mark.moderate
@pytest.mark.parametrize("way", ("text", "documents", "tool result"))
@pytest.mark.parametrize("kind", EXACT)
@settings(max_examples=5, deadline=None)
@given(at=st.integers(0, 39), share=st.sampled_from(SHARES), lines=st.booleans())
def test_the_line_with_the_exact_word_stays(kind: str, way: str, at: int, share: float, lines: bool) -> None:
    line, query, shape = EXACT[kind]
    words = [shape.format(n=4110 + 13 * i, m=1 + i % 9, d=10 + i % 19) for i in range(40)]
    said = [line.format(x=w) for w in words]
    text = "\n".join(said) if lines else "\n\n".join(" ".join(said[i : i + 4]) for i in range(0, 40, 4))
    out = compressed(way, text, query.format(x=words[at]), share)
    assert said[at] in out, (words[at], out)
