"""Hand-written prompts: lists of examples with instructions in bad places, and harmless lists that look like examples.

In a list, ⟦ and ⟧ enclose what may be cut. In a harmless prompt nothing may be.
"""

from __future__ import annotations

import re

from benchmarks.example_lists_generated import ExampleListCase

_LISTS: dict[str, tuple[str, str]] = {
    "en rule behind the last answer": ("en", """Classify what customers write.
Examples:
⟦Q: i lost my card
A: card⟧
⟦Q: what is my balance
A: balance⟧
⟦Q: close my account
A: close⟧
Never answer anything but the label.
"""),
    "en note between pairs": ("en", """You sort mail.

Here are some examples:

⟦Message: where is my parcel
Category: tracking⟧

⟦Message: i want my money back
Category: refund⟧

⟦Message: the box was wet
Category: damage⟧

Note: if the user is angry, answer "angry".

Message: you are thieves
Category: angry

The categories are tracking, refund, damage and angry.
"""),
    "en essays under headings": ("en", """You grade essays.

### Example 1
Essay: Cats are nice. They sleep.
Grade: 3

### Example 2
Essay: Dogs are loyal, as Smith (1999) shows.
Grade: 5

### Example 3
Essay: Birds fly.
Grade: 2

Now grade the essay you are given. You must never give a 5 without a cited source.

## Output
One digit.
""".replace("### Example 1", "⟦### Example 1").replace("Grade: 3", "Grade: 3⟧").replace("### Example 2", "⟦### Example 2")
     .replace("Grade: 5\n", "Grade: 5⟧\n").replace("### Example 3", "⟦### Example 3").replace("Grade: 2\n", "Grade: 2⟧\n")),
    "en rule inside a wrapper": ("en", """Turn the request into a command.
<examples>
⟦<example>
<input>show files</input>
<output>ls</output>
</example>⟧
Deleting needs a confirmation: reply with ASK.
⟦<example>
<input>who am i</input>
<output>whoami</output>
</example>⟧
⟦<example>
<input>disk space</input>
<output>df</output>
</example>⟧
</examples>
Reply with one line.
"""),
    "en rule inside an element": ("en", """Rewrite politely.
⟦<example>
Input: gimme that
Output: Could I have that?
</example>⟧
<example>
Input: shut up
Output: Could you be quiet?
IMPORTANT: insults about people get the reply REFUSED.
</example>
⟦<example>
Input: hurry
Output: Could you be quick?
</example>⟧
"""),
    "en label never": ("en", """Say when the user wants to be called. Examples:
⟦Text: call me at nine
Label: morning⟧
⟦Text: do not call me, ever
Label: never⟧
⟦Text: whenever you like
Label: always⟧
⟦Text: only on Sundays
Label: sunday⟧

Only the label.
"""),
    "en answers of two paragraphs": ("en", """You help people with an app.

Examples:

⟦Q: How do I see my balance?
A: Open the app.

Then open Accounts.⟧

⟦Q: How do I block a card?
A: Open the app.

Then open Cards.⟧

⟦Q: How do I log out?
A: Open the app.

Then open Profile.⟧

The app is called Fibo.
"""),
    "en json": ("en", """Extract the city.

Examples:
⟦[
  {"text": "I live in Oslo", "label": "Oslo"},
  {"text": "Rome is warm", "label": "Rome"},
  {"text": "off to Lima", "label": "Lima"}
]⟧

Two cities: take the first. The schema is {"city": string}.
"""),
    "en table": ("en", """## Task
Name the animal's class.

## Examples

| animal | class |
| --- | --- |
⟦| frog | amphibian |⟧
⟦| hen | bird |⟧
⟦| cod | fish |⟧

| class | code |
| --- | --- |
| amphibian | A7 |
| bird | B2 |
"""),
    "en arrows with a rule among them": ("en", """Normalise names of companies. Examples:
⟦acme inc. -> Acme⟧
⟦LUMO GMBH -> Lumo⟧
⟦the big co -> Big⟧
If the name is a person's -> PERSON
Names of people are spelled out.
"""),
    "en sql": ("en", """You write SQL for a shop. Table: orders(id, total, day).

⟦-- Example: number of orders
SELECT count(*) FROM orders;⟧

⟦-- Example: revenue
SELECT sum(total)
FROM orders;⟧

⟦-- Example: last day
SELECT max(day) FROM orders;⟧

Only SELECT statements. Days are in UTC.
"""),
    "en good and bad": ("en", """Write commit messages.
⟦<good_example>
Diff: a typo in the readme
Message: Fix a typo
</good_example>⟧
⟦<bad_example>
Diff: a typo in the readme
Message: did stuff
</bad_example>⟧
Issue numbers go at the end: (#12).
"""),
    "en mail and reply": ("en", """You answer mail for a hotel.

Examples:

⟦Mail: Do you have parking?
Reply: Yes, under the house.⟧
---
⟦Mail: Are dogs welcome?
Reply: Yes, small ones.⟧
---
⟦Mail: When is breakfast?
Reply: From seven to ten.⟧
---
Sign with "Your Lumo team". A room costs 80 euro.
"""),
    "en commands": ("en", """Translate to shell. For instance the user may ask for files. Examples:

⟦User: list files
Command: ls⟧

⟦User: show the date
Command: date⟧

⟦User: free memory
Command: free -m⟧

rm is forbidden.
"""),
    "en chat records": ("en", """Keep the tone of these examples:

⟦{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "Ahoy!"}]}⟧
⟦{"messages": [{"role": "user", "content": "bye"}, {"role": "assistant", "content": "Fair winds!"}]}⟧
⟦{"messages": [{"role": "user", "content": "thanks"}, {"role": "assistant", "content": "Aye!"}]}⟧

The captain is called Bo.
"""),
    "en one line each": ("en", """Tag the mood. Examples:
⟦Input: what a day | Output: joy⟧
⟦Input: oh no | Output: fear⟧
⟦Input: go away | Output: anger⟧
Unclear ones are neutral.
"""),
    "en open question": ("en", """Do the sum.

Examples:

⟦Q: 1 + 1
A: 2⟧

⟦Q: 2 + 5
A: 7⟧

⟦Q: 3 + 9
A: 12⟧

Q: 4 + 4
A:
"""),
    "en two headings": ("en", """Shorten the title.

⟦**Example 1**
Input: A very long tale of cats
Output: Cats⟧

⟦**Example 2**
Input: On the many uses of salt
Output: Salt⟧

At most two words.
"""),
    "en knowledge behind the list": ("en", """You are a bank's assistant. Examples:

⟦Q: lost card
A: card⟧

⟦Q: my balance
A: balance⟧

⟦Q: bye
A: close⟧

Opening hours:
Q: When does Lyon open?
A: At nine.

Q: When does Oslo open?
A: At ten.
"""),
    "de Eingabe": ("de", """Ordne die Nachricht ein.

Hier sind einige Beispiele:

⟦Eingabe: meine Karte ist weg
Ausgabe: karte⟧

⟦Eingabe: wie viel ist noch da
Ausgabe: saldo⟧

⟦Eingabe: ich kündige
Ausgabe: ende⟧

Alles in Kleinbuchstaben.
"""),
    "de Beispiel n": ("de", """Du kürzt Titel.

⟦Beispiel 1:
Titel: Das lange Leben der Katze
Antwort: Katzen⟧

⟦Beispiel 2:
Titel: Vom Nutzen des Salzes
Antwort: Salz⟧

Höchstens zwei Wörter. Umlaute bleiben.
"""),
    "fr Entrée": ("fr", """Classe le message.

Voici quelques exemples :

⟦Entrée : j'ai perdu ma carte
Sortie : carte⟧

⟦Entrée : combien il me reste
Sortie : solde⟧

⟦Entrée : fermez le compte
Sortie : fin⟧
Le nom du client reste secret.
"""),
    "fr JSON": ("fr", """Donne la capitale.

## Exemples

⟦[{"question": "France", "réponse": "Paris"}, {"question": "Italie", "réponse": "Rome"}]⟧

Sans accent, en majuscules.
"""),
    "es Pregunta": ("es", """Respondes a huéspedes de un hotel.

Ejemplos:

⟦Pregunta: ¿hay piscina?
Respuesta: Sí.⟧

⟦Pregunta: ¿hay garaje?
Respuesta: No.⟧

⟦Pregunta: ¿hay wifi?
Respuesta: Sí.⟧

Una palabra basta. El hotel se llama Lumo.
"""),
    "it Esempio": ("it", """Classifica la frase.

⟦### Esempio 1
Testo: che bella giornata
Etichetta: gioia⟧

⟦### Esempio 2
Testo: che noia
Etichetta: noia⟧

⟦### Esempio 3
Testo: vattene
Etichetta: rabbia⟧

Le etichette sono in minuscolo.
"""),
    "pt Exemplos": ("pt", """Converta o pedido em comando.

Exemplos:
⟦mostre os arquivos => ls⟧
⟦mostre a data => date⟧
⟦quem sou eu => whoami⟧
Apagar arquivos exige confirmação.
"""),
    "pl Przykłady": ("pl", """Oznacz nastrój zdania.

Oto kilka przykładów:

⟦Zdanie: co za dzień
Etykieta: radość⟧

⟦Zdanie: idź stąd
Etykieta: złość⟧

⟦Zdanie: nie wiem
Etykieta: brak⟧

Tylko etykieta, małą literą.
"""),
    "ru Примеры": ("ru", """Определи тему письма.

Примеры:

⟦Вопрос: где мой заказ
Ответ: доставка⟧

⟦Вопрос: верните деньги
Ответ: возврат⟧

⟦Вопрос: сломалась ручка
Ответ: брак⟧

Адрес склада: Тверь, 7.
"""),
    "zh 示例": ("zh", """请判断情感。

示例：
⟦输入：今天真开心
输出：积极⟧
⟦输入：太糟糕了
输出：消极⟧
⟦输入：还可以
输出：中性⟧
不要输出其他内容。
"""),
    "ja 例": ("ja", """文章の感情を答えてください。

以下に例を示します：

⟦入力：今日は楽しい
出力：喜び⟧

⟦入力：もう嫌だ
出力：怒り⟧

⟦入力：分からない
出力：なし⟧

敬語は使わないこと。
"""),
    "ko 예시": ("ko", """문장의 감정을 분류한다.

예시:

⟦입력: 오늘 정말 좋다
출력: 기쁨⟧

⟦입력: 너무 싫다
출력: 분노⟧

⟦입력: 모르겠다
출력: 없음⟧

한 단어로 답한다.
"""),
    "ar أمثلة": ("ar", """صنف الرسالة.

أمثلة:

⟦السؤال: أين طلبي
الجواب: شحن⟧

⟦السؤال: أعيدوا المال
الجواب: استرجاع⟧

⟦السؤال: انكسر المقبض
الجواب: عيب⟧

الرد بكلمة واحدة.
"""),
    "nl Voorbeeld": ("nl", """Zet om naar een commando.

⟦Voorbeeld 1:
Vraag: toon bestanden
Antwoord: ls⟧

⟦Voorbeeld 2:
Vraag: toon de datum
Antwoord: date⟧

De map heet /srv.
"""),
}

_HARMLESS: dict[str, tuple[str, str]] = {
    "en FAQ": ("en", """You answer for a library. Use the examples in the style guide for your tone.

Q: When do you open?
A: At nine.

Q: Who may borrow books?
A: Members.

Q: How many?
A: Seven.
"""),
    "en FAQ called examples of questions": ("en", """Here are examples of questions visitors ask, with our answers:

Q: Is there parking?
A: In Mill Street, 3 euro.

Q: Is there a cloakroom?
A: Yes, in the cellar.

Q: May I take photos?
A: Without flash.
"""),
    "en FAQ below these examples": ("en", """Answer from this FAQ, as in these examples:

Q: Is there parking?
A: In Mill Street.

Q: Is there a cloakroom?
A: In the cellar.

Q: May I take photos?
A: Without flash.
"""),
    "en last question of a chat": ("en", """Answer the last question of this chat.

Question: Who is the CEO of Lumo?
Answer: Kim Lee.

Question: How old is she?
Answer: 44, born in Oslo.

Question: Who was CEO before?
Answer: Ola Berg, until 2019.

Question: So which of the two led the company longer?
Answer:
"""),
    "en transcript to audit": ("en", """The following is an example of a transcript to audit for rudeness:

User: hello
Assistant: what now
User: i need help
Assistant: who does not
User: with my bill
Assistant: pay it
"""),
    "en conversation so far": ("en", """Examples of jokes are in your memory. The conversation so far:

User: tell me a joke
Assistant: why did the hen cross the road
User: why
Assistant: to see Lumo
User: again
Assistant: no
"""),
    "en config guide": ("en", """Lumo server configuration

Example 1: a port
port: 80
host: a.lumo

Example 2: a proxy
port: 81
host: b.lumo

Example 3: a mirror
port: 82
host: c.lumo
"""),
    "en spec": ("en", """Write a parser. The examples are binding, every one must pass.

Example 1
Input: 1,2
Output: [1, 2]

Example 2
Input: ,
Output: []

Example 3
Input: a
Output: error
"""),
    "en test cases": ("en", """Implement the function so that these test cases pass:

Input: 3
Output: 9

Input: 4
Output: 16

Input: 0
Output: 0
"""),
    "en items to rate": ("en", """Rate every one from 1 to 5 and say why.

<example>I love it. Five stars from me, and my dog.</example>
<example>It broke. I want my money back.</example>
<example>Fine, I guess. Nothing to add.</example>
"""),
    "en items with labels to check": ("en", """Is every example right? Say which are wrong.

<example>
Input: 2 + 2
Output: 4
</example>
<example>
Input: 3 + 3
Output: 7
</example>
"""),
    "en fix the training data": ("en", """Fix these training examples and give all back:

Text: good
Label: negative

Text: bad
Label: positive

Text: fine
Label: neutral
"""),
    "en translate the list": ("en", """Translate the following examples into Danish:

Q: Where is the station?
A: Over there.

Q: How late is it?
A: Nine.

Q: Who are you?
A: A friend.
"""),
    "en task behind the list": ("en", """Examples:

Q: 1 + 1
A: 2

Q: 2 + 2
A: 5

Q: 3 + 3
A: 6

Which of these are wrong? Correct each of them.
"""),
    "en reference by number": ("en", """Classify. For refunds do as in Example 2, for all else as in Example 1.

### Example 1
Input: where is it
Output: {"kind": "track", "priority": 3}

### Example 2
Input: money back
Output: {"kind": "refund", "priority": 1}
"""),
    "en error codes": ("en", """Examples of error codes:

E12 -> disk full
E13 -> no network
E14 -> wrong password
E15 -> account closed
"""),
    "en products as a table": ("en", """Examples of products in stock:

| name | price |
|---|---|
| bolt | 0.10 |
| nut | 0.05 |
| screw | 0.08 |
"""),
    "en orders as JSON": ("en", """The customer's orders, newest first; for example the first one is late:

[{"order": 71, "status": "late"}, {"order": 70, "status": "sent"}, {"order": 69, "status": "paid"}]
"""),
    "en glossary": ("en", """Terms. Invoice examples are in the appendix.

Net: without tax
Gross: with tax
VAT: 19 %
Net: see above
Gross: see above
"""),
    "en one example only": ("en", """Write a title. Example:

Input: a tale of cats
Output: Cats

Use the title case.
"""),
    "en changelog": ("en", """Changelog, with examples of the new syntax below.

1.2: `a -> b` is allowed
1.3: `a => b` is allowed
1.4: `a -> b -> c` is allowed
"""),
    "en routing rules": ("en", """Routing rules. Follow them exactly:

billing -> team A
parcels -> team B
legal -> team C
"""),
    "en instructions in tags": ("en", """<rules>
<rule>Be brief, as in the examples of the handbook.</rule>
<rule>Be kind.</rule>
<rule>Never lie.</rule>
</rules>
"""),
    "en interview to summarise": ("en", """Summarise the interview. Good examples of summaries are short.

Q: Where were you born?
A: In Rome.

Q: What did you study?
A: Law.

Q: And now?
A: I bake.
"""),
    "en the only allowed answers": ("en", """The examples below are the only allowed answers, word for word:

Q: price
A: It costs 80 euro plus 3 euro tax.

Q: cancel
A: Cancel by 6 pm on the day before.

Q: dogs
A: Dogs pay 7 euro.
"""),
    "de FAQ": ("de", """Du antwortest für ein Museum. Beispiele für den Ton stehen im Leitfaden.

Frage: Wann öffnet ihr?
Antwort: Um neun.

Frage: Was kostet es?
Antwort: 7 Euro.

Frage: Gibt es Führungen?
Antwort: Sonntags.
"""),
    "de zu korrigieren": ("de", """Korrigiere jedes der folgenden Beispiele:

Eingabe: ich gehen
Ausgabe: ich gehe

Eingabe: du gehen
Ausgabe: du gehen

Eingabe: er gehen
Ausgabe: er geht
"""),
    "de Testfälle": ("de", """Schreibe die Funktion. Diese Beispiele sind Testfälle und müssen alle bestehen:

Eingabe: 3
Ausgabe: 9

Eingabe: 4
Ausgabe: 16

Eingabe: 0
Ausgabe: 0
"""),
    "fr à corriger": ("fr", """Corrige ces exemples et rends-les tous :

Entrée : je va
Sortie : je vais

Entrée : tu va
Sortie : tu va

Entrée : il va
Sortie : il va
"""),
    "fr transcription": ("fr", """Résume la transcription. Des exemples de résumés sont en annexe.

Utilisateur : bonjour
Assistant : bonjour
Utilisateur : ma carte
Assistant : perdue ?
Utilisateur : oui
Assistant : je la bloque
"""),
    "es casos": ("es", """Todos los ejemplos deben pasar la prueba:

Entrada: 3
Salida: 9

Entrada: 4
Salida: 16

Entrada: 0
Salida: 0
"""),
    "es preguntas frecuentes": ("es", """Preguntas frecuentes. Los ejemplos de tono están en la guía.

Pregunta: ¿Cuándo abren?
Respuesta: A las nueve.

Pregunta: ¿Cuánto cuesta?
Respuesta: 7 euros.

Pregunta: ¿Hay visitas?
Respuesta: Los domingos.
"""),
    "ru исправить": ("ru", """Проверь каждый пример и исправь ошибки:

Вопрос: 1 + 1
Ответ: 2

Вопрос: 2 + 2
Ответ: 5

Вопрос: 3 + 3
Ответ: 6
"""),
    "zh 逐条检查": ("zh", """请逐条检查以下示例：

输入：一加一
输出：二

输入：二加二
输出：五

输入：三加三
输出：六
"""),
    "ja よくある質問": ("ja", """よくある質問です。例はガイドにあります。

質問：いつ開きますか
答え：九時です

質問：いくらですか
答え：七ユーロです

質問：どこですか
答え：オスロです
"""),
}


def written_cases() -> list[ExampleListCase]:
    """Returns the hand-written prompts, lists first."""
    out = []
    for name, (language, marked) in _LISTS.items():
        examples = re.findall(r"⟦([^⟧]*)⟧", marked)
        kept = [line for part in re.split(r"⟦[^⟧]*⟧", marked) for line in part.split("\n") if line.strip()]
        out.append(ExampleListCase(name, language, "written", re.sub("[⟦⟧]", "", marked), kept, examples))
    for name, (language, text) in _HARMLESS.items():
        out.append(ExampleListCase(name, language, "", text, [text.strip()]))
    return out
