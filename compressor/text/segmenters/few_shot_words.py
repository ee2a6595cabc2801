"""Words by which lists of examples are recognised in a prompt, in many languages.

Latin, Cyrillic and Greek words are matched as whole words; Chinese, Japanese, Korean and Arabic ones anywhere.
"""

from __future__ import annotations

import re

_FLAGS = re.IGNORECASE
#: Nouns for several examples, or for one in languages that write both alike.
_PLURAL = (
    r"(?:example|sample) (?:inputs? (?:and|/|&) outputs?|pairs|exchanges|interactions|classifications|labels|answers|replies"
    r"|responses|translations|outputs|conversions)|beispiel(?:paare|antworten|ausgaben)"
    r"|examples|exemplars|demonstrations|demos|few[- ]?shots?|samples|beispielen?|musterbeispiele|exemples|ejemplos|esempi"
    r"|exemplos|voorbeelden|przykład(?:y|ów|ami|ach|om)|пример(?:ы|ов|ами|ам|ах)|приклад(?:и|ів|ами)|exempel|eksempl(?:er|ene)"
    r"|esimerk(?:it|kejä)|esimerkkejä|příklad(?:y|ů)|príklady|örnek(?:ler|leri)?|példák|exemplele|παραδείγματα|ví dụ"
    r"|contoh|דוגמאות|beispiele"
)
_SINGULAR = (
    r"example|exemplar|demonstration|sample|beispiel|musterbeispiel|exemple|ejemplo|esempio|exemplo|voorbeeld|przykład"
    r"|пример|приклад|eksempel|esimerkki|příklad|príklad|példa|exemplu|παράδειγμα|דוגמה"
)
_UNSPACED = (
    r"示例|例子|样例|樣例|范例|範例|示範例|用例|実例|例題|サンプル"
    r"|(?<![比条條案病先慣惯特单單])例(?![如外えば行会年题題证證])|예시|예제|(?<![가-힣])예(?=[ \t]*[\d:：)\]들]|$)|الأمثلة|أمثلة|امثلة|مثال"
    r"|उदाहरण|ตัวอย่าง"
)
PLURAL_NOUN = re.compile(rf"\b(?:{_PLURAL})\b|{_UNSPACED}", _FLAGS)
SINGULAR_NOUN = re.compile(rf"\b(?:{_SINGULAR})\b", _FLAGS)
NOUN = re.compile(rf"\b(?:{_PLURAL}|{_SINGULAR})\b(?!\.\w|\()|{_UNSPACED}", _FLAGS)
NOUN_SOURCE = rf"(?:\b(?:{_PLURAL}|{_SINGULAR})|{_UNSPACED})"
#: A text without any of these has no list of examples.
ANY_NOUN = re.compile(rf"{_PLURAL}|{_SINGULAR}|{_UNSPACED}|\bshot\b|\bdemo\b", _FLAGS)

#: "For example" announces nothing.
FOR_EXAMPLE = re.compile(
    r"\bfor (?:example|instance)\b|\be\.\s?g\.|\bzum beispiel\b|\bz\.\s?b\.|\bpar exemple\b|\bpor ejemplo\b"
    r"|\b(?:per|ad) esempio\b|\bpor exemplo\b|\bbijvoorbeeld\b|\bna przykład\b|\bнапример\b|例如|たとえば|例えば|예를 들|على سبيل المثال",
    _FLAGS,
)
#: Words between which and the noun nothing stands: "some examples", "few-shot examples", "these examples".
NEUTRAL = frozenset(
    "a an the some few several more many other here are is of in as like with by from following these those below such"
    " use follow see study consider two three four five six seven eight nine ten good great ideal correct worked solved"
    " labelled labeled annotated training reference sample example input output input/output i/o in-context few-shot"
    " fewshot shot short brief quick full typical further additional and your sind ist einige ein paar die der den diese"
    " diesen folgende folgenden mehrere weitere gute hier wie in nach mit zwei drei vier fünf voici des les ces quelques"
    " plusieurs suivants autres bons deux trois quatre cinq aux d' comme en algunos unos los estos siguientes varios más"
    " buenos otros dos tres cuatro cinco aquí tienes van como con alcuni degli dei gli questi seguenti ecco vari altri"
    " buoni due tre quattro cinque con come alguns uns os estes esses seguintes vários seguem mais bons dois quatro aqui"
    " estão nos enkele wat deze volgende de hier zijn een paar goede meerdere twee drie vier vijf kilka te tych oto"
    " następujące poniższe poniższych dobre więcej dwa trzy cztery pięć w вот несколько эти этих следующие ниже примеры"
    " хорошие два три четыре пять как в других några här är följande dessa nogle her er følgende disse birkaç bazı işte"
    " aşağıdaki".split()
)
#: Words after the noun that leave it an announcement.
AFTER_NOUN = re.compile(
    r"(?:below|follow(?:s|ing)?|as follows|here|show\w*|illustrat\w*|demonstrat\w*|to (?:follow|imitate|guide|learn|copy)\b.*"
    r"|of how\b.*|how\b.*|of (?:the )?(?:expected|desired|required|good|correct|such)\b.*|for (?:reference|guidance)\b.*"
    r"|for (?:each|every) (?:class|label|category|intent)|(?:of|for|für|de|di|da|do|dos|das|des|van|voor|von|dla|для|with|mit)"
    r"(?:[ \w]{0,24} )?(?:answers|replies|responses|outputs?|labels|the format|format|style|tone|antworten|ausgaben|réponses"
    r"|sorties|respuestas|salidas|risposte|respostas|saídas|antwoorden|odpowiedzi|ответов|ответами|wie|comment|cómo|come|como"
    r"|hoe|jak|как)\b.*|folgen\w*|unten|ci-dessous|suivants|a continuación|siguientes|seguenti|qui sotto|abaixo|a seguir"
    r"|seguintes|hieronder|volgen|poniżej|ниже|を(?:以下に)?(?:示|挙|記).*|です|は(?:次|以下).*|は(?:以下|次)の通り.*|如下|입니다|은 다음.*"
    r"|들|는 다음.*|(?:来|進行|进行)?(?:回答|作答|回复|答复|分类|翻译)|(?:に|の)(?:ならって|従って|沿って|ように|とおり|通り).*|(?:을|를|에|과|와)? ?(?:참고|따라|같이|처럼).*|في ما يلي|التالية|أدناه)?",
    _FLAGS,
)
#: An announcement that ends with a full stop says where the examples are, or that they are to be followed.
DIRECTS = re.compile(
    r"\b(?:here|below|following|these|follow|like|as in|learn from|folgende\w*|diese[nr]?|hier|wie|unten|voici|suivants|ces"
    r"|ci-dessous|estos|siguientes|aquí|questi|seguenti|ecco|estes|seguintes|aqui|abaixo|deze|volgende|hieronder|poniż\w*|oto"
    r"|tych|эти\w*|следующ\w*|ниже|вот)\b|以下|下面|如下|次の|다음|التالية|يلي|أدناه",
    _FLAGS,
)

#: The answer of an example. Any other pair of labels needs a plain announcement.
_OUT = (
    "a answer reply response output label sentiment category class intent sql command result completion rating tag"
    " grade verdict decision topic tone emotion mood headline corrected fixed improved rewritten polite formal reasoning"
    " english french german spanish italian deutsch englisch französisch français anglais español inglés bewertung urteil thema stimmung verdict catégorie sujet humeur nota tema voto umore oordeel ocena оценка тема 评分 主题 評価 話題 평가 주제"
    " translation solution code assistant bot ai agent target expected summary score json query rewrite correction"
    " antwort ausgabe ergebnis befehl kategorie klasse absicht lösung übersetzung stimmung etikett"
    " réponse sortie résultat commande catégorie classe intention étiquette traduction"
    " respuesta salida resultado comando categoría clase intención etiqueta traducción"
    " risposta uscita risultato comando categoria classe intento etichetta traduzione"
    " resposta saída rótulo tradução resultado intenção antwoord uitvoer resultaat opdracht categorie klasse vertaling"
    " odpowiedź wyjście wynik polecenie kategoria klasa etykieta tłumaczenie ответ выход вывод результат команда"
    " категория класс метка перевод 输出 答 回答 答案 答え 结果 结论 标签 类别 分类 意图 情感 翻译 命令 出力 結果 ラベル 分類 カテゴリ 感情"
    " コマンド 返答 翻訳 출력 답 답변 응답 결과 레이블 분류 번역 명령 المخرج المخرجات الإخراج الجواب الإجابة النتيجة التصنيف الفئة"
    " الأمر الترجمة assistent asistente assistente asystent ассистент 助手 助理 アシスタント 어시스턴트 المساعد output_text expected_output"
)
OUT_LABELS = frozenset(_OUT.split()) | {"cypher", "regex", "bash", "shell", "python"}
#: Knowledge and conversations are written with these, too.
TALK_LABELS = frozenset(
    "assistent asistente assistente asystent 客户 客服 助理 어시스턴트 q question a answer user human assistant bot ai agent customer client support frage antwort kunde nutzer benutzer"
    " question réponse utilisateur client pregunta respuesta usuario cliente domanda risposta utente pergunta resposta"
    " usuário vraag antwoord gebruiker klant pytanie odpowiedź użytkownik klient вопрос ответ пользователь клиент ассистент"
    " 问 問 答 问题 回答 答案 用户 助手 質問 答え ユーザー アシスタント 質 질문 답 답변 사용자 سؤال جواب السؤال الجواب المستخدم المساعد".split()
)

#: Starts of sentences that oblige or inform: such a line is no part of an answer.
_OBLIGES = (
    r"must|never|always|only|notes?|nb|n\.b\.|important|if|when(?:ever)?|unless|do not|don['’]t|should|shall|make sure|ensure"
    r"|be sure|remember|please|avoid|required|forbidden|warning|caution|attention|beware|now|rules?|use|reply|respond|return"
    r"|write|keep|treat|exception|otherwise|in all|for all|all|any|everything|anything|you"
    r"|muss|müssen|darf|dürfen|nie|niemals|immer|nur|hinweis|achtung|wichtig|wenn|falls|bitte|beachten?|merke|verwende|sollst|du|sie"
    r"|doit|doivent|devez|dois|jamais|toujours|seulement|uniquement|note|attention|si|lorsque|ne|veuillez|remarque|n['’]\w+"
    r"|debe|debes|deben|nunca|jamás|siempre|solo|sólo|nota|importante|cuando|no|por favor|atención|ojo|aviso"
    r"|deve|devi|devono|mai|sempre|soltanto|se|quando|non|attenzione|avviso"
    r"|devem|só|somente|apenas|não|atenção|observação|obs"
    r"|moet|moeten|nooit|altijd|alleen|let op|belangrijk|als|wanneer|niet|opmerking|gebruik"
    r"|musi|musisz|nigdy|zawsze|tylko|uwaga|ważne|jeśli|jeżeli|gdy|nie|należy"
    r"|должен|должна|должны|никогда|всегда|только|внимание|важно|примечание|если|когда|не|нельзя|нужно|пожалуйста"
)
_OBLIGES_UNSPACED = (
    r"必须|必須|绝不|从不|不要|不得|不能|不可|总是|始终|一律|只|仅|注意|重要|如果|若|请|切勿|必ず|決して|常に|絶対|のみ|だけ|もし|場合|ください|禁止"
    r"|반드시|절대|항상|오직|주의|중요|만약|경우|마세요|하세요|십시오|يجب|أبدا|أبدًا|دائما|دائمًا|فقط|ملاحظة|مهم|إذا|لا "
)
OBLIGES_FIRST = re.compile(rf"[\s>*_#\-•(\[\"'!⚠️\d.]*(?:(?:{_OBLIGES})\b|(?:{_OBLIGES_UNSPACED}))", _FLAGS)
OBLIGES = re.compile(
    r"\b(?:must|never|always|only|important|unless|do not|don['’]t|should|shall|make sure|ensure|muss|müssen|darf|niemals|immer|nur"
    r"|wichtig|doit|doivent|devez|jamais|toujours|uniquement|seulement|debe|debes|deben|nunca|siempre|solo|sólo|deve|devi|mai|sempre"
    r"|soltanto|devem|somente|apenas|moet|moeten|nooit|altijd|alleen|musi|musisz|nigdy|zawsze|tylko|долж\w+|никогда|всегда|только"
    rf"|нельзя)\b|{_OBLIGES_UNSPACED}",
    _FLAGS,
)

#: All of a list, or each of its items: the list is what the work is about.
_EACH = (
    r"each|every|all|both|any|either|one by one|alle[nrs]?|jede[nmrs]?|jeweils|sämtliche\w*|tous|toutes|chaque|chacun\w*|todos|todas|cada"
    r"|ambos|tutti|tutte|ogni|ciascun\w*|elk|elke|ieder\w*|każd\w*|wszystk\w*|кажд\w*|все|всех|всем"
)
_EACH_UNSPACED = r"每(?!月|年|天|日|周|星期|小时|分钟|秒|次)|全部|所有|逐|すべて|全て|それぞれ|全例|各(?!種)|모든|각각|모두|كل |جميع"
EACH = re.compile(rf"\b(?:{_EACH})\b|{_EACH_UNSPACED}", _FLAGS)
_WORK = (
    r"fix|correct(?! (?:examples?|answers?|outputs?|label))|review|rate|grade|score|check|verify|audit|proofread|validate|evaluate|assess"
    r"|annotate|label|classify|translate|summari[sz]e|rewrite|convert|continue|complete|compare|rank|sort|solve|answer|process|edit|improve"
    r"|debug|test|clean|count|judge|critique|find|spot|pick|choose|remove|return|list|repeat|quote|extract|tag|give"
)
#: "Every day" is about no list.
EACH_TIME = re.compile(
    r"\b(?:each|every|all|jede[nmrs]?|alle|tous les|toutes les|chaque|todos los|todas las|cada|ogni|tutti i|tutte le"
    r"|todos os|todas as|elke?|każd\w*|кажд\w*) (?:day|week|month|year|hour|minute|morning|evening|night|time|tag|woche|monat"
    r"|jahr|stunde|jours?|semaines?|mois|ans|heures?|día|días|semanas?|mes|meses|años?|horas?|giorn[oi]|settiman[ae]|mes[ei]"
    r"|ann[oi]|or[ae]|dias?|anos?|mês|dag|maand|jaar|uur|dzień|dnia|miesiąc|rok|день|недел\w*|месяц|год|час)\b",
    _FLAGS,
)
#: "Rate these", "fix the following", "translate the examples".
WORK_ON = re.compile(
    rf"\b(?:{_WORK})\b(?: up| back)? (?:(?:the|all|all of|each of|any of|both) )?"
    r"(?:these|those|them|following|below|above|examples?\b|samples?\b|items?\b|pairs?\b|ones?\b|rest\b|each|every|list\b|entries|reviews below)"
    r"|\b(?:fix|review|rate|grade|proofread|audit|verify|validate|evaluate|check|critique)\b.{0,40}\b(?:examples?|samples?|these|below|above|following)\b",
    _FLAGS,
)
#: The same in other languages, where the sentence also names or introduces the list.
WORK_OTHER = re.compile(
    r"\b(?:prüf\w*|überprüf\w*|korrigier\w*|bewerte\w*|verbesser\w*|kontrollier\w*|benote\w*|beurteil\w*|übersetze?n?(?: sie)? (?:diese|die|alle)\w*"
    r"|corrige[zr]?|vérifie[zr]?|évalue[zr]?|note[zr] (?:ces|les|chaque)|relis\w*|tradui\w+ (?:ces|les|chaque)|revis[ae]\w*|evalú[ae]\w*"
    r"|califi[cq]\w+|puntú\w+|comprueb\w+|verifi(?:ca|que)\w*|traduc[ei]\w* (?:estos|los|cada)|corregg\w+|controlla\w*|valuta\w*|traduci \w*"
    r"(?:questi|gli|ogni)|corrij\w+|avali[ae]\w*|traduza (?:estes|os|cada)|controleer\w*|verbeter\w*|beoordeel\w*|vertaal (?:deze|alle|de)"
    r"|popraw\w*|sprawdź\w*|oceń\w*|przetłumacz (?:te|wszyst)\w*|исправ\w+|провер\w+|оцени\w*|переведи\w* (?:эти|все|кажд)\w*)\b"
    r"|检查|檢查|修正|改正|评价|评估|評估|评分|打分|审查|校对|修复|翻译(?:这|以下|下面|每)|確認して|修正|評価|採点|直して|チェック|レビュー|(?:これら|次|以下)\S{0,8}翻訳"
    r"|검토|수정|평가|고쳐|채점|صحح|راجع|قيّم|قيم |تحقق",
    _FLAGS,
)
#: Requirements, and what must be taken for a fact.
BINDING = re.compile(
    r"\bmust (?:behave|work|return|produce|match|reproduce|give|hold|satisfy)\b|\bexact (?:wording|words?|phras\w+|text)\b"
    r"|\b(?:one|two|any|some) of (?:these|the following|them|the examples)\b|\bimplement\b|\bconstraints?:"
    r"|\b(?:write|create|build|develop|code) (?:an? |the |your )?(?:\w+ )?(?:function|program|parser|class|method|script|module"
    r"|converter|algorithm|library|solution)\b|\bgiven (?:an?|two|the) (?:\w+ )?(?:array|integer|string|list|number|matrix|tree|graph)\b"
    r"|\bimplementier\w+|\bschreib\w* (?:eine|die|ein|das) (?:funktion|programm|parser)|\bimplément\w+|\bécri[st]\w* (?:une|la|un) "
    r"(?:fonction|programme)|\bimplementa\w*|\bescrib\w+ (?:una|la|un) (?:función|programa)|\bscriv\w+ (?:una|la|un) (?:funzione|programma)"
    r"|\bimplemente\w*|\bescrev\w+ (?:uma|a|um) (?:função|programa)|\bschrijf (?:een|de) (?:functie|programma)|\bnapisz (?:funkcję|program)"
    r"|реализуй|напиши (?:функцию|программу)|实现|编写|実装|関数を書|구현|함수를 작성|نفذ|اكتب دالة|"
    r"\bmust\b.{0,30}\bpass\b|\bhave to pass\b|\btest[- ]?cases?\b|\bacceptance\b|\bspecs?\b|\bspecifications?\b|\bregression\b|\bexhaustive\b"
    r"|\bbinding\b|\bauthoritative\b|\bofficial\b|\bcomplete list\b|\bare the only\b|\bthe only\b|\bverbatim\b|\bword for word\b|\bby heart\b"
    r"|\bare facts\b|\bknown (?:facts|cases)\b|\brequirements?\b|\bis every\b|\bare (?:they|these|those|the)\b.*\?|\btestf(?:all|älle)\w*"
    r"|\bspezifikation\w*|\bbestehen\b|\bverbindlich\w*|\bcas de test|\bspécification\w*|\bcasos de prueba|\bespecificaci\w*|\bcasi di test"
    r"|\bspecific(?:a|he)\b|\bcasos de teste|\bespecificaç\w*|\btestgevallen|\bspecificatie\w*|\bprzypadki testowe|\bspecyfikacj\w*"
    r"|тест-?кейс|тестовые|спецификац|测试用例|規格|规格|規範|必须通过|テストケース|仕様|테스트 ?케이스|명세|حالات اختبار|مواصفات",
    _FLAGS,
)
#: Kinds of text whose questions and answers are knowledge or a record of what was said.
KNOWLEDGE = re.compile(
    r"\bfaqs?\b|\bfrequently asked|\bknowledge[- ]?base\b|\bq&a\b|\btranscripts?\b|\b(?:conversation|chat|dialogue?|discussion) (?:so far|until now"
    r"|up to now|history|log)\b|\b(?:previous|earlier|past) (?:conversation|messages|chat|turns)\b|\banswer(?:s|ed)? (?:only )?(?:from|out of)\b"
    r"|\bbased (?:only |solely )?on\b|\busing (?:only )?the (?:information|knowledge|facts|answers)\b|\bhelp ?(?:center|centre|desk) (?:articles|answers)\b"
    r"|\bonly (?:use )?(?:this|the|these) (?:information|facts|answers|knowledge|sources?)\b|\b(?:information|facts|answers|questions) (?:above|below)"
    r"|\bsource of truth\b|\bcontradict\w*|\babove (?:information|facts|answers|questions)"
    r"|\bmost asked|\bcommon questions|\bhäufig\w* (?:gestellte )?fragen|\bwissens(?:datenbank|basis)|\bgesprächsverlauf|\bchatverlauf|\bverlauf\b"
    r"|\bprotokoll\b|\bfoire aux questions|\bquestions fréquentes|\bbase de connaissances?|\btranscription\b|\bhistorique\b|\bpreguntas frecuentes"
    r"|\bbase de conocimientos?|\btranscripci\w+|\bhistorial\b|\bdomande frequenti|\bbase di conoscenza|\btrascrizion\w+|\bcronologia\b"
    r"|\bperguntas frequentes|\bbase de conhecimento|\btranscriç\w+|\bhistórico\b|\bveelgestelde vragen|\bkennisbank|\bgespreksverslag"
    r"|\bczęsto zadawane|\bnajczęstsze pytania|\bbaza wiedzy|\btranskrypcj\w+|\bhistoria\b|часто задаваемые|частые вопросы|база знаний|стенограмма"
    r"|история|常见问题|常見問題|知识库|知識庫|聊天记录|对话记录|历史|よくある質問|ナレッジ|会話履歴|履歴|議事録|자주 묻는|지식 ?베이스|대화 기록|الأسئلة الشائعة"
    r"|قاعدة المعرفة|سجل المحادثة",
    _FLAGS,
)
#: Kinds of text in which numbered examples are the documentation itself, and lists of records are data.
REFERENCE = re.compile(
    r"\bguides?\b(?! (?:you|your))|\bmanual\b|\bdocumentation\b|\bdocs\b|\bhandbook\b|\btutorial\b|\bcook ?book\b|\bhow[- ]?to\b|\bchangelog\b|\brelease notes\b"
    r"|\bglossar\w+|\bprice ?list\b|\binventory\b|\bcatalog(?:ue)?\b|\brecords?\b|\bconfigur\w+|\breadme\b|\busage\b|\breference\b|\bapi\b|\bsettings\b|\blog\b"
    r"|\bhandbuch\b|\banleitung\b|\bleitfaden\b|\bkonfigur\w+|\bdokumentation\b|\bpreisliste\b|\bguía\b|\bmanuel\b|\bdocumentación\b|\bguida\b"
    r"|\bmanuale\b|\bdocumentazione\b|\bguia\b|\bdocumentação\b|\bhandleiding\b|\bpodręcznik\b|\binstrukcja\b|\bdokumentacja\b|руководств|справочник"
    r"|документаци|глоссарий|настройк|指南|手册|手冊|文档|配置|术语|ガイド|マニュアル|設定|用語集|ドキュメント|가이드|매뉴얼|설정|용어집|문서|دليل|مسرد|إعداد",
    _FLAGS,
)
#: A mention of one example by its place; the noun stands beside it.
_ORDINAL = (
    r"\b(?:first|second|third|fourth|fifth|last|next|previous|final|erste[nrs]?|zweite[nrs]?|dritte[nrs]?|letzte[nrs]?|premier|deuxième|dernier"
    r"|primer|segundo|tercer|último|primo|secondo|terzo|ultimo|primeiro|terceiro|eerste|tweede|laatste|pierwsz\w+|drug\w+|ostatni\w*|перв\w+"
    r"|втор\w+|последн\w+)\b|第[一二三四五六七八九十\d]+[个個]?|最后|最後の|첫|마지막|الأول|الأخير"
)
ORDINAL = re.compile(rf"(?:{_ORDINAL})[ \t]*(?:\w+[ \t]+)?{NOUN_SOURCE}|{NOUN_SOURCE}[ \t]+(?:{_ORDINAL})", _FLAGS)
#: What an example is given; headings without a colon are labels only if they are one of these or an answer's.
IN_LABELS = frozenset(
    "q question problem input text sentence review utterance query prompt user human message request context instruction"
    " customer eingabe frage text satz nachricht anfrage aufgabe entrée question phrase texte message entrada pregunta texto"
    " frase mensaje mensagem pergunta domanda ingresso testo frase messaggio invoer vraag tekst zin bericht wejście pytanie"
    " tekst zdanie wiadomość вход вопрос текст ввод запрос сообщение 输入 问 问题 文本 入力 質問 文 テキスト 입력 질문 문장 텍스트 المدخل"
    " المدخلات الإدخال السؤال النص input_text source".split()
)
