"""Which lines announce a list of examples, and which words near a list forbid to take it for one."""

from __future__ import annotations

import pytest

from compressor.text.segmenters.few_shot import find_examples
from compressor.text.segmenters.few_shot_announcements import Announcement, read_announcement
from compressor.text.segmenters.few_shot_lines import read_lines

PLAIN = """Examples:
## Examples
3. Examples
Worked examples
Below you will find some examples:
Examples — message → label:
Here are five examples of how to reply:
Use the following examples as a guide:
Follow the pattern of these examples:
The examples below illustrate the expected behaviour.
<few_shot_examples>
Im Folgenden einige Beispiele:
Nachfolgend findest du Beispiele:
Voici des exemples de réponses :
A continuación se muestran algunos ejemplos:
Di seguito alcuni esempi:
Seguem exemplos:
Hieronder staan enkele voorbeelden:
Poniżej znajduje się kilka przykładów:
Ниже приведены примеры:
以下是一些示例：
以下は例です：
次の例に従って答えてください：
다음은 몇 가지 예시입니다:
فيما يلي بعض الأمثلة:"""
OTHERS = """Examples of error codes:
Product examples:
For example:
Store these examples:
Write three more examples like these:
Examples of invoices are in the appendix.
An example of a log to audit:
Country codes, for example:
There are examples in the guide
Are these examples right?"""


@pytest.mark.parametrize("line", PLAIN.split("\n"))
def test_plain_announcements(line: str) -> None:
    assert read_announcement(read_lines(line)[0]) is Announcement.PLAIN


@pytest.mark.parametrize("line", OTHERS.split("\n"))
def test_other_lines(line: str) -> None:
    assert read_announcement(read_lines(line)[0]) is not Announcement.PLAIN


def pairs(asked: str = "Text", answered: str = "Label") -> str:
    return "\n\n".join(f"{asked}: x{i}\n{answered}: y{i}" for i in range(3))


LEADS = [
    ("Gib jedem Beispiel eine Note von 1 bis 6:", "Text", "Antwort"),
    ("Note chacun des exemples suivants de 1 à 5 :", "Texte", "Réponse"),
    ("Puntúa cada ejemplo del 1 al 5:", "Texto", "Respuesta"),
    ("Valuta ciascuno di questi esempi:", "Testo", "Risposta"),
    ("Avalie cada um dos exemplos:", "Texto", "Resposta"),
    ("Beoordeel elk van deze voorbeelden:", "Tekst", "Antwoord"),
    ("Oceń każdy z przykładów:", "Tekst", "Odpowiedź"),
    ("Оцени каждый из примеров:", "Текст", "Ответ"),
    ("请给每个示例打分：", "文本", "答案"),
    ("各例を1から5で評価してください：", "文", "答え"),
    ("각 예시에 점수를 매기세요:", "문장", "답"),
    ("قيّم كل مثال من الأمثلة:", "النص", "الجواب"),
    ("Übersetze diese Beispiele ins Englische:", "Frage", "Antwort"),
    ("Résume ces exemples :", "Question", "Réponse"),
    ("把以下示例翻译成英文：", "问", "答"),
    ("Add a column to the examples:", "Text", "Label"),
    ("Use these examples as test data for the parser:", "Input", "Output"),
    ("Customer reviews to analyse, three examples:", "Review", "Rating"),
    ("Turn the examples into a poem.\n\nExamples:", "Text", "Label"),
    ("Interview transcript. Examples:", "Ann", "Bo"),
]


@pytest.mark.parametrize(("lead", "asked", "answered"), LEADS)
def test_lists_to_work_on(lead: str, asked: str, answered: str) -> None:
    assert find_examples(f"{lead}\n\n{pairs(asked, answered)}") == []
    assert find_examples(f"Examples:\n\n{pairs(asked, answered)}")


@pytest.mark.parametrize("tail", ["Give the label of the third one.", "How many are there?", "Sort these by length."])
def test_a_task_behind_the_list(tail: str) -> None:
    assert find_examples(f"Examples:\n\n{pairs()}\n\n{tail}") == []
