"""Words by which lists of examples are recognised in a prompt, in many languages.

Latin, Cyrillic and Greek words are matched as whole words; Chinese, Japanese, Korean and Arabic ones anywhere.
"""

from __future__ import annotations

import re

_FLAGS = re.IGNORECASE
#: Nouns for several examples, or for one in languages that write both alike.
_PLURAL = (
    r"(?:example|sample) (?:inputs? (?:and|/|&) outputs?|pairs|exchanges|interactions|classifications|labels"
    r"|answers|replies"
    r"|responses|translations|outputs|conversions|dialog(?:ue)?s|conversations|chats)|beispiel(?:paare"
    r"|antworten|ausgaben)"
    r"|examples|exemplars|demonstrations|demos|few[- ]?shots?|samples|beispielen?|musterbeispiele|exemples"
    r"|ejemplos|esempi"
    r"|exemplos|voorbeelden|przykład(?:y|ów|ami|ach|om)|пример(?:ы|ов|ами|ам|ах)|приклад(?:и|ів|ами)|exempel"
    r"|eksempl(?:er|ene)"
    r"|esimerk(?:it|kejä)|esimerkkejä|příklad(?:y|ů)|príklady|örnek(?:ler|leri)?|példák|exemplele|παραδείγματα|ví dụ"
    r"|contoh|דוגמאות|beispiele"
)
_SINGULAR = (
    r"example|exemplar|demonstration|sample|beispiel|musterbeispiel|exemple|ejemplo|esempio|exemplo|voorbeeld"
    r"|przykład"
    r"|пример|приклад|eksempel|esimerkki|příklad|príklad|példa|exemplu|παράδειγμα|דוגמה"
)
_UNSPACED = (
    r"示例|例子|样例|樣例|范例|範例|示範例|用例|実例|例題|サンプル"
    r"|(?<![比条條案病先慣惯特单單])例(?![如外えば行会年题題证證])|예시|예제"
    r"|(?<![가-힣])예(?=[ \t]*[\d:：)\]들]|$)|الأمثلة|أمثلة|امثلة|مثال"
    r"|उदाहरण|ตัวอย่าง"
)
PLURAL_NOUN = re.compile(rf"\b(?:{_PLURAL})\b|{_UNSPACED}", _FLAGS)
SINGULAR_NOUN = re.compile(rf"\b(?:{_SINGULAR})\b", _FLAGS)
NOUN = re.compile(rf"\b(?:{_PLURAL}|{_SINGULAR})\b(?!\.\w|\()|{_UNSPACED}", _FLAGS)
NOUN_SOURCE = rf"(?:\b(?:{_PLURAL}|{_SINGULAR})|{_UNSPACED})"
#: A text without any of these has no list of examples.
ANY_NOUN = re.compile(rf"{_PLURAL}|{_SINGULAR}|{_UNSPACED}|\bshot\b|\bdemo\b", _FLAGS)
#: Each of these nouns has one of these in it, in lower case, at most `_MAX_STEM_OFFSET` characters from its start.
_STEMS = (
    "ample|exemp|demo|shot|beispiel|jempl|sempi|voorbeeld|ksemp|esimerk|contoh|przykład|пример|приклад|íklad|örnek|péld"
    "|παραδε|παράδε|ví dụ|דוגמ|例|サンプル|예|مثلة|مثال|उदाहरण|ตัวอย่าง"
).split("|")
_MAX_STEM_OFFSET = 8
#: Letters that a search ignoring case takes for others, but that `str.lower` does not turn into those.
_ODD_CASE = re.compile("[µİıſ\u0345ϖϱϵ\u1c80-\u1c82\u1fbe]")

#: "For example" announces nothing.
FOR_EXAMPLE = re.compile(
    r"\bfor (?:example|instance)\b|\be\.\s?g\.|\bzum beispiel\b|\bz\.\s?b\.|\bpar exemple\b|\bpor ejemplo\b"
    r"|\b(?:per|ad) esempio\b|\bpor exemplo\b|\bbijvoorbeeld\b|\bna przykład\b|\bнапример\b|例如|たとえば"
    r"|例えば|예를 들|على سبيل المثال",
    _FLAGS,
)
#: "For example:" alone.
FOR_EXAMPLE_ALONE = re.compile(rf"(?:{FOR_EXAMPLE.pattern})\W*", _FLAGS)
#: Words between which and the noun nothing stands: "some examples", "few-shot examples", "these examples".
NEUTRAL = frozenset(
    "a an the some few several more many other here are is of in as like following these those below such"
    " there come now"
    " two three four five six seven eight nine ten good great ideal correct"
    " worked solved"
    " labelled labeled annotated training reference sample example input output input/output i/o in-context few-shot"
    " fewshot shot short brief quick full typical further additional your sind ist einige ein paar die der den diese"
    " diesen folgende folgenden mehrere weitere gute hier wie in nach zwei drei vier fünf voici des les ces quelques"
    " plusieurs suivants autres bons deux trois quatre cinq aux d' comme en algunos unos los estos siguientes"
    " varios más"
    " buenos otros dos tres cuatro cinco aquí tienes van como alcuni degli dei gli questi seguenti ecco vari altri"
    " buoni due tre quattro cinque come alguns uns os estes esses seguintes vários seguem mais bons dois quatro aqui"
    " estão nos enkele wat deze volgende de hier zijn een paar goede meerdere twee drie vier vijf kilka te tych oto"
    " następujące poniższe poniższych dobre więcej dwa trzy cztery pięć w вот несколько эти этих следующие"
    " ниже примеры"
    " хорошие два три четыре пять как в других några här är följande dessa nogle her er følgende disse birkaç"
    " bazı işte"
    " aşağıdaki".split()
)
#: Words after the noun that leave it an announcement.
AFTER_NOUN = re.compile(
    r"(?:(?:(?:below|above|carefully|closely) ?)?(?:(?:show|illustrat|demonstrat)\w*(?: (?:how|what is expected|it"
    r"|the (?:(?:expected|desired|correct|required|right) )?(?:behaviou?r|outputs?|format|style|tone|pattern|answers?"
    r"|classification|labels?|way|mapping|task))\b.*)?)?|as (?:an? )?(?:guides?|references?|models?"
    r"|templates?|patterns?|inspiration)"
    r"|zur (?:orientierung|verdeutlichung|veranschaulichung)|à suivre|como referencia|come riferimento"
    r"|como referência"
    r"|ter (?:illustratie|verduidelijking)|を参考.*)|"
    r"(?:[\w /]{1,24}(?:→|->|=>|⇒)[\w /]{1,24}|below|follow(?:s|ing)?|as follows|here|show\w*|illustrat\w*"
    r"|demonstrat\w*|to (?:follow|imitate|guide"
    r"|learn|copy)\b.*"
    r"|of how\b.*|how\b.*|of (?:the )?(?:expected|desired|required|good|correct|such)\b.*|for (?:reference"
    r"|guidance)\b.*"
    r"|for (?:each|every) (?:class|label|category|intent)|(?:of|for|für|de|di|da|do|dos|das|des|van|voor|von"
    r"|dla|для|with|mit)"
    r"(?:[ \w]{0,24} )?(?:answers|replies|responses|outputs?|labels|interactions|exchanges|classifications?"
    r"|conversions|dialog(?:ue)?s|inputs?|the format|format|style|tone|antworten"
    r"|ausgaben|réponses"
    r"|sorties|respuestas|salidas|risposte|respostas|saídas|antwoorden|odpowiedzi|ответов|ответами|wie"
    r"|comment|cómo|come|como"
    r"|hoe|jak|как)\b.*|folgen\w*|unten|ci-dessous|suivants|a continuación|siguientes|seguenti|qui sotto"
    r"|abaixo|a seguir"
    r"|seguintes|hieronder|volgen|poniżej|ниже|を(?:以下に)?(?:示|挙|記).*|です|は(?:次|以下).*|は(?:以下"
    r"|次)の通り.*|如下|입니다|은 다음.*"
    r"|들|는 다음.*|(?:来|進行|进行)?(?:回答|作答|回复|答复|分类|翻译)|(?:に|の)(?:ならって|従って|沿って"
    r"|ように|とおり|通り).*|(?:을|를|에|과|와)? ?(?:참고|따라|같이|처럼).*|في ما يلي|التالية|أدناه)?",
    _FLAGS,
)
#: Words that only say who gives the examples: "below you will find some examples".
GIVES = re.compile(
    r"\b(?:you (?:will|can) (?:find|see)|we (?:give|provide|show|list)|i (?:give|provide)|let (?:me"
    r"|us) (?:show|give)(?: you)?"
    r"|findest du|finden sie|vous trouverez|tu trouveras|encontrarás|encontrará|trovi|troverai"
    r"|você encontra(?:rá)?|vind je"
    r"|znajdziesz|даны|приведены)\b",
    _FLAGS,
)
#: An announcement that ends with a full stop says where the examples are, or that they are to be followed.
DIRECTS = re.compile(
    r"\b(?:here|below|following|these|follow|like|as in|learn from|folgende\w*|diese[nr]?|hier|wie|unten"
    r"|voici|suivants|ces"
    r"|ci-dessous|estos|siguientes|aquí|questi|seguenti|ecco|estes|seguintes|aqui|abaixo|deze|volgende"
    r"|hieronder|poniż\w*|oto"
    r"|tych|эти\w*|следующ\w*|ниже|вот)\b|以下|下面|如下|次の|다음|التالية|يلي|أدناه",
    _FLAGS,
)

#: The answer of an example. Any other pair of labels needs a plain announcement.
_OUT = (
    "a answer reply response output label sentiment category class intent sql command result completion rating tag"
    " grade verdict decision topic tone emotion mood headline corrected fixed improved rewritten polite"
    " formal reasoning"
    " english french german spanish italian deutsch englisch französisch français anglais español inglés"
    " bewertung urteil thema stimmung verdict catégorie sujet humeur nota tema voto umore oordeel ocena"
    " оценка тема 评分 主题 評価 話題 평가 주제"
    " translation solution code assistant bot ai agent target expected summary score json query rewrite correction"
    " antwort ausgabe ergebnis befehl kategorie klasse absicht lösung übersetzung stimmung etikett"
    " réponse sortie résultat commande catégorie classe intention étiquette traduction"
    " respuesta salida resultado comando categoría clase intención etiqueta traducción"
    " risposta uscita risultato comando categoria classe intento etichetta traduzione"
    " resposta saída rótulo tradução resultado intenção antwoord uitvoer resultaat opdracht categorie klasse"
    " vertaling"
    " odpowiedź wyjście wynik polecenie kategoria klasa etykieta tłumaczenie ответ выход вывод результат команда"
    " категория класс метка перевод 输出 答 回答 答案 答え 结果 结论 标签 类别 分类 意图 情感 翻译 命令 出力"
    " 結果 ラベル 分類 カテゴリ 感情"
    " コマンド 返答 翻訳 출력 답 답변 응답 결과 레이블 분류 번역 명령 المخرج المخرجات الإخراج الجواب الإجابة"
    " النتيجة التصنيف الفئة"
    " الأمر الترجمة assistent asistente assistente asystent ассистент 助手 助理 アシスタント 어시스턴트"
    " المساعد output_text expected_output"
)
_OUT_TOO = (
    " sentimiento sentimento gevoel sentyment тональность настроение nastrój emoción emozione emoção émotion"
    " gefühl emotie"
    " onderwerp temat résumé resumen riassunto resumo zusammenfassung samenvatting streszczenie резюме 情绪"
    " 摘要 要約 요약 감정"
    " المشاعر الموضوع الملخص titre soort tono ton toon тон 语气 口調 어조 intencja намерение 意図 의도 القصد"
    " decisión décision"
    " kurzfassung kommentar commentaire comentario commento comment feedback korrektur correzione corrección correção"
    " slug entscheidung decisione decisão besluit decyzja решение 决定 判定 결정 القرار"
)
OUT_LABELS = frozenset((_OUT + _OUT_TOO).split()) | {"cypher", "regex", "bash", "shell", "python"}
#: Knowledge and conversations are written with these, too.
TALK_LABELS = frozenset(
    "assistent asistente assistente asystent 客户 客服 助理 어시스턴트 q question a answer user human"
    " assistant bot ai agent customer client support frage antwort kunde nutzer benutzer"
    " question réponse utilisateur client pregunta respuesta usuario cliente domanda risposta utente pergunta"
    " resposta"
    " usuário vraag antwoord gebruiker klant pytanie odpowiedź użytkownik klient вопрос ответ пользователь"
    " клиент ассистент"
    " 问 問 答 问题 回答 答案 用户 助手 質問 答え ユーザー アシスタント 質 질문 답 답변 사용자 سؤال جواب"
    " السؤال الجواب المستخدم المساعد".split()
)

#: What an example is given; headings without a colon are labels only if they are one of these or an answer's.
IN_LABELS = frozenset(
    "q question problem input text sentence review utterance query prompt user human message request context"
    " instruction"
    " customer eingabe frage text satz nachricht anfrage aufgabe entrée question phrase texte message entrada"
    " pregunta texto"
    " frase mensaje mensagem pergunta domanda ingresso testo frase messaggio invoer vraag tekst zin bericht"
    " wejście pytanie"
    " tekst zdanie wiadomość вход вопрос текст ввод запрос сообщение 输入 问 问题 文本 入力 質問 文 テキスト"
    " 입력 질문 문장 텍스트 المدخل"
    " المدخلات الإدخال السؤال النص input_text source".split()
)
#: A question with one of these brings what it is answered from.
CONTEXT_LABELS = frozenset(
    "context passage document documents text source article kontext dokument contexte passage contexto"
    " documento contesto"
    " tekst контекст текст документ 上下文 文档 文本 文書 문맥 문서".split()
)
#: More words of announcements: "es folgen …", "a continuación se muestran …".
NEUTRAL_TOO = frozenset(
    "es folgen im folgenden nachfolgend unten nun ci-dessous suivent continuación se muestran hay debajo"
    " siguen di seguito"
    " seguono sotto abaixo seguir há a hieronder staan volgen poniżej znajdują znajduje się są далее приведены ниже"
    " идут следуют"
    " bunlar nedan إليك بعض هذه فيما يلي عدة هنا please also now there".split()
)
#: "Answer as in these examples": what stands before is done like the examples, not to them.
COMPARES = re.compile(
    r"\b(?:as in|as with|like in|like|similar to|following|in the (?:style|tone|format|manner|spirit) of|according to"
    r"|based on|guided by|wie in|wie|gemäß|nach|im stil|comme dans|comme|selon|como en|como|según|come in"
    r"|come|secondo"
    r"|como nos|conforme|segundo|zoals in|zoals|volgens|jak w|jak|według|zgodnie z|как в|как|согласно|по"
    r"|som i|enligt|gibi)"
    r"(?:[ \t]+[\w'’-]+){0,3}(?:[ \t]+(?:in|from|aus|dans|en|nei|negli|nos|em|uit|w|z|в|из)[ \t]+"
    r"(?:these|those|the|diesen|den|ces|les|estos|los|questi|gli|estes|os|deze|de|tych|этих))?$"
    r"|(?:^|.)(?:参照|参考|按照|仿照|像|依照|根据)[^。]{0,6}$|كما في.{0,12}$|مثل.{0,12}$",
    _FLAGS,
)
#: "Follow these examples": verbs of which examples are the object without being the work.
FOLLOWS = re.compile(
    r"(?:please |bitte |por favor )?(?:follow|use|study|see|consider|imitate|refer to|look at|take|learn from"
    r"|observe|mimic|match"
    r"|stick to|keep (?:to )?the (?:tone|style|format) of|orientier\w* (?:dich|sie sich) an|folge\w*|nutze\w*"
    r"|verwende\w*|beachte\w*"
    r"|siehe|suis|suivez|utilise[zr]?|voir|sigue|siga|usa|utiliza|mira|segui|vedi|osserva|volg|gebruik|zie"
    r"|użyj|zobacz"
    r"|следуй\w*|используй\w*|смотри\w*)\b(?: the (?:pattern|style|format|logic|tone) (?:of|in))?",
    _FLAGS,
)
#: What announces a list in languages without spaces.
UNSPACED_NEUTRAL = re.compile(
    r"(?:以下|下面|下記|这里|這裡|是|为|有|列出|给出|一些|几个|幾個|若干|两个|三个|四个|五个|的|请|参照|参考"
    r"|按照|参见|次|いくつか|に|は|の|も|ここ|簡単な"
    r"|다음|은|는|아래|몇|가지|여기|같은|[ 、，,:：\d])*",
)


def find_any_noun(text: str) -> bool:
    """Returns whether `ANY_NOUN` is in a text. It is searched from the first stem of a noun on."""
    lower = text.lower()
    first = min([at for stem in _STEMS if (at := lower.find(stem)) >= 0], default=-1)
    if not text.isascii() and (len(lower) != len(text) or _ODD_CASE.search(text)):
        first = 0
    return first >= 0 and ANY_NOUN.search(text, max(0, first - _MAX_STEM_OFFSET)) is not None
