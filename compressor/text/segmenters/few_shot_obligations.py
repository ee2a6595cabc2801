"""Words that forbid to take a text for an example, in many languages: obligations, work, knowledge, references."""

from __future__ import annotations

import re

from compressor.text.segmenters.few_shot_words import NOUN_SOURCE

_FLAGS = re.IGNORECASE
#: Starts of sentences that oblige or inform: such a line is no part of an answer.
_OBLIGES = (
    r"must|never|always|only|notes?|nb|n\.b\.|important|if|when(?:ever)?|unless|do not|don['’]t|should|shall"
    r"|make sure|ensure"
    r"|be sure|remember|please|avoid|required|forbidden|warning|caution|attention|beware|now|rules?|use|reply"
    r"|respond|return"
    r"|write|keep|treat|exception|otherwise|in all|for all|all|any|everything|anything|you"
    r"|muss|müssen|darf|dürfen|nie|niemals|immer|nur|hinweis|achtung|wichtig|wenn|falls|bitte|beachten?|merke"
    r"|verwende|sollst|du|sie"
    r"|doit|doivent|devez|dois|jamais|toujours|seulement|uniquement|note|attention|si|lorsque|ne|veuillez"
    r"|remarque|n['’]\w+"
    r"|debe|debes|deben|nunca|jamás|siempre|solo|sólo|nota|importante|cuando|no|por favor|atención|ojo|aviso"
    r"|deve|devi|devono|mai|sempre|soltanto|se|quando|non|attenzione|avviso"
    r"|devem|só|somente|apenas|não|atenção|observação|obs"
    r"|moet|moeten|nooit|altijd|alleen|let op|belangrijk|als|wanneer|niet|opmerking|gebruik"
    r"|musi|musisz|nigdy|zawsze|tylko|uwaga|ważne|jeśli|jeżeli|gdy|nie|należy"
    r"|должен|должна|должны|никогда|всегда|только|внимание|важно|примечание|если|когда|не|нельзя|нужно|пожалуйста"
)
_OBLIGES_UNSPACED = (
    r"必须|必須|绝不|从不|不要|不得|不能|不可|总是|始终|一律|只|仅|注意|重要|如果|若|请|切勿|必ず|決して|常に"
    r"|絶対|のみ|だけ|もし|場合|ください|禁止"
    r"|반드시|절대|항상|오직|주의|중요|만약|경우|마세요|하세요|십시오|يجب|أبدا|أبدًا|دائما|دائمًا|فقط|ملاحظة"
    r"|مهم|إذا|لا "
)
OBLIGES_FIRST = re.compile(rf"[\s>*_#\-•(\[\"'!⚠️\d.]*(?:(?:{_OBLIGES})\b|(?:{_OBLIGES_UNSPACED}))", _FLAGS)
OBLIGES = re.compile(
    r"\b(?:must|never|always|only|important|unless|do not|don['’]t|should|shall|make sure|ensure|muss|müssen"
    r"|darf|niemals|immer|nur"
    r"|wichtig|doit|doivent|devez|jamais|toujours|uniquement|seulement|debe|debes|deben|nunca|siempre|solo"
    r"|sólo|deve|devi|mai|sempre"
    r"|soltanto|devem|somente|apenas|moet|moeten|nooit|altijd|alleen|musi|musisz|nigdy|zawsze|tylko|долж\w+"
    r"|никогда|всегда|только"
    rf"|нельзя)\b|{_OBLIGES_UNSPACED}",
    _FLAGS,
)

#: All of a list, or each of its items: the list is what the work is about.
_EACH = (
    r"each|every|all|both|any|either|one by one|alle[nrs]?|jede[nmrs]?|jeweils|sämtliche\w*|tous|toutes"
    r"|chaque|chacun\w*|todos|todas|cada"
    r"|ambos|tutti|tutte|ogni|ciascun\w*|elk|elke|ieder\w*|każd\w*|wszystk\w*|кажд\w*|все|всех|всем"
)
_EACH_UNSPACED = (
    r"每(?!月|年|天|日|周|星期|小时|分钟|秒|次)|全部|所有|逐|すべて|全て|それぞれ|全例|各(?!種)|모든|각각|모두"
    r"|كل |جميع"
)
EACH = re.compile(rf"\b(?:{_EACH})\b|{_EACH_UNSPACED}", _FLAGS)
_WORK = (
    r"fix|correct(?! (?:examples?|answers?|outputs?|label))|review|rate|grade|score|check|verify|audit"
    r"|proofread|validate|evaluate|assess"
    r"|annotate|label|classify|translate|summari[sz]e|rewrite|convert|continue|complete|compare|rank|sort"
    r"|solve|answer|process|edit|improve"
    r"|debug|test|clean|count|judge|critique|find|spot|pick|choose|remove|return|list|repeat|quote|extract|tag|give"
)
#: "Every day" is about no list.
EACH_TIME = re.compile(
    r"\b(?:each|every|all|jede[nmrs]?|alle|tous les|toutes les|chaque|todos los|todas las|cada|ogni|tutti i|tutte le"
    r"|todos os|todas as|elke?|każd\w*|кажд\w*) (?:day|week|month|year|hour|minute|morning|evening|night|time"
    r"|tag|woche|monat"
    r"|jahr|stunde|jours?|semaines?|mois|ans|heures?|día|días|semanas?|mes|meses|años?|horas?|giorn[oi]"
    r"|settiman[ae]|mes[ei]"
    r"|ann[oi]|or[ae]|dias?|anos?|mês|dag|maand|jaar|uur|dzień|dnia|miesiąc|rok|день|недел\w*|месяц|год|час)\b",
    _FLAGS,
)
#: "Rate these", "fix the following", "translate the examples".
WORK_ON = re.compile(
    rf"\b(?:{_WORK})\b(?: up| back)? (?:(?:the|all|all of|each of|any of|both|my|our) )?"
    r"(?:these|those|them|following|below|above|examples?\b|samples?\b|items?\b|pairs?\b|ones?\b|rest\b"
    r"|list\b|entries|(?:each|every|all) (?:of|one|items?|lines?|pairs?|entry)\b|(?:each|every"
    r"|all)(?: \w+){1,3} (?:below|above|following|here)\b)"
    r"|\b(?:fix|review|rate|grade|proofread|audit|verify|validate|evaluate|check"
    r"|critique)\b.{0,40}\b(?:examples?|samples?|these|below|above|following)\b",
    _FLAGS,
)
#: The same in other languages, where the sentence also names or introduces the list.
WORK_OTHER = re.compile(
    r"\b(?:prüf\w*|überprüf\w*|korrigier\w*|bewerte\w*|verbesser\w*|kontrollier\w*|benote\w*|beurteil\w*"
    r"|übersetze?n?(?: sie)? (?:diese|die|alle)\w*"
    r"|corrige[zr]?|vérifie[zr]?|évalue[zr]?|note[zr] (?:ces|les|chaque)|relis\w*|tradui\w+ (?:ces|les"
    r"|chaque)|revis[ae]\w*|evalú[ae]\w*"
    r"|califi[cq]\w+|puntú\w+|comprueb\w+|verifi(?:ca|que)\w*|traduc[ei]\w* (?:estos|los|cada)|corregg\w+"
    r"|controlla\w*|valuta\w*|traduci \w*"
    r"(?:questi|gli|ogni)|corrij\w+|avali[ae]\w*|traduza (?:estes|os|cada)|controleer\w*|verbeter\w*"
    r"|beoordeel\w*|vertaal (?:deze|alle|de)"
    r"|popraw\w*|sprawdź\w*|oceń\w*|przetłumacz (?:te|wszyst)\w*|исправ\w+|провер\w+|оцени\w*"
    r"|переведи\w* (?:эти|все|кажд)\w*)\b"
    r"|检查|檢查|修正|改正|评价|评估|評估|评分|打分|审查|校对|修复|翻译(?:这|以下|下面|每)|確認して|修正|評価"
    r"|採点|直して|チェック|レビュー|(?:これら|次|以下)\S{0,8}翻訳"
    r"|검토|수정|평가|고쳐|채점|صحح|راجع|قيّم|قيم |تحقق",
    _FLAGS,
)
#: Requirements, and what must be taken for a fact.
BINDING = re.compile(
    r"\b(?:find|spot|mark|correct|fix|list|count) (?:the |all |any )?(?:mistakes?|errors?|typos?|wrong)\b"
    r"|\bdefines?\b|\bwhat counts as\b"
    r"|\bconstitutes?\b|\bfind\w* (?:die|alle) fehler\b|\btrouve\w* les (?:fautes|erreurs)"
    r"|\bencuentr\w+ los errores|\btrov\w+ gli errori"
    r"|\bencontr\w+ os erros|\bznajdź błędy|найди\w* ошибки|找出错误|找错|間違いを|誤りを|오류를 찾|"
    r"\bmust (?:behave|work|return|produce|match|reproduce|give|hold|satisfy)\b|\bexact (?:wording|words?"
    r"|phras\w+|text)\b"
    r"|\b(?:one|two|any|some) of (?:these|the following|them|the examples)\b|\bimplement\b|\bconstraints?:"
    r"|\b(?:write|create|build|develop|code) (?:an? |the |your )?(?:\w+ )?(?:function|program|parser|class"
    r"|method|script|module"
    r"|converter|algorithm|library|solution)\b|\bgiven (?:an?|two|the) (?:\w+ )?(?:array|integer|string|list"
    r"|number|matrix|tree|graph)\b"
    r"|\bimplementier\w+|\bschreib\w* (?:eine|die|ein|das) (?:funktion|programm|parser)|\bimplément\w+"
    r"|\bécri[st]\w* (?:une|la|un) "
    r"(?:fonction|programme)|\bimplementa\w*|\bescrib\w+ (?:una|la|un) (?:función|programa)|\bscriv\w+ (?:una"
    r"|la|un) (?:funzione|programma)"
    r"|\bimplemente\w*|\bescrev\w+ (?:uma|a|um) (?:função|programa)|\bschrijf (?:een|de) (?:functie"
    r"|programma)|\bnapisz (?:funkcję|program)"
    r"|реализуй|напиши (?:функцию|программу)|实现|编写|実装|関数を書|구현|함수를 작성|نفذ|اكتب دالة|"
    r"\bmust\b.{0,30}\bpass\b|\bhave to pass\b|\btest[- ]?cases?\b|\bacceptance\b|\bspecs?\b"
    r"|\bspecifications?\b|\bregression\b|\bexhaustive\b"
    r"|\bbinding\b|\bauthoritative\b|\bofficial\b|\bcomplete list\b|\bare the only\b|\bthe only\b"
    r"|\bverbatim\b|\bword for word\b|\bby heart\b"
    r"|\bare facts\b|\bknown (?:facts|cases)\b|\brequirements?\b|\bis every\b|\bare (?:they|these|those"
    r"|the)\b.*\?|\btestf(?:all|älle)\w*"
    r"|\bspezifikation\w*|\bbestehen\b|\bverbindlich\w*|\bcas de test|\bspécification\w*|\bcasos de prueba"
    r"|\bespecificaci\w*|\bcasi di test"
    r"|\bspecific(?:a|he)\b|\bcasos de teste|\bespecificaç\w*|\btestgevallen|\bspecificatie\w*"
    r"|\bprzypadki testowe|\bspecyfikacj\w*"
    r"|тест-?кейс|тестовые|спецификац|测试用例|規格|规格|規範|必须通过|テストケース|仕様|테스트 ?케이스|명세"
    r"|حالات اختبار|مواصفات",
    _FLAGS,
)
#: Kinds of text whose questions and answers are knowledge or a record of what was said.
KNOWLEDGE = re.compile(
    r"#\s*(?:our |the )?(?:knowledge|facts|information|policies|questions|data|wissen|fakten|connaissances"
    r"|faits|conocimiento"
    r"|datos|conoscenze|dati|conhecimento|dados|kennis|feiten|wiedza|fakty|знания|факты|知识|资料|知識|지식"
    r"|معلومات)\b|"
    r"\bfaqs?\b|\bfrequently asked|\bknowledge[- ]?base\b|\bq&a\b|\btranscripts?\b|\b(?:conversation|chat"
    r"|dialogue?|discussion) (?:so far|until now"
    r"|up to now|history|log)\b|\b(?:previous|earlier|past) (?:conversation|messages|chat|turns)\b"
    r"|\banswer(?:s|ed)? (?:only )?(?:from|out of)\b"
    r"|\bbased (?:only |solely )?on\b|\busing (?:only )?the (?:information|knowledge|facts|answers)\b"
    r"|\bhelp ?(?:center|centre|desk) (?:articles|answers)\b"
    r"|\bonly (?:use )?(?:this|the|these) (?:information|facts|answers|knowledge|sources?)\b|\b(?:information"
    r"|facts|answers|questions) (?:above|below)"
    r"|\bsource of truth\b|\bcontradict\w*|\babove (?:information|facts|answers|questions)"
    r"|\bmost asked|\bcommon questions|\bhäufig\w* (?:gestellte )?fragen|\bwissens(?:datenbank|basis)"
    r"|\bgesprächsverlauf|\bchatverlauf|\bverlauf\b"
    r"|\bprotokoll\b|\bfoire aux questions|\bquestions fréquentes|\bbase de connaissances?|\btranscription\b"
    r"|\bhistorique\b|\bpreguntas frecuentes"
    r"|\bbase de conocimientos?|\btranscripci\w+|\bhistorial\b|\bdomande frequenti|\bbase di conoscenza"
    r"|\btrascrizion\w+|\bcronologia\b"
    r"|\bperguntas frequentes|\bbase de conhecimento|\btranscriç\w+|\bhistórico\b|\bveelgestelde vragen"
    r"|\bkennisbank|\bgespreksverslag"
    r"|\bczęsto zadawane|\bnajczęstsze pytania|\bbaza wiedzy|\btranskrypcj\w+|\bhistoria\b|часто задаваемые"
    r"|частые вопросы|база знаний|стенограмма"
    r"|история|常见问题|常見問題|知识库|知識庫|聊天记录|对话记录|历史|よくある質問|ナレッジ|会話履歴|履歴"
    r"|議事録|자주 묻는|지식 ?베이스|대화 기록|الأسئلة الشائعة"
    r"|قاعدة المعرفة|سجل المحادثة",
    _FLAGS,
)
#: Kinds of text in which numbered examples are the documentation itself, and lists of records are data.
REFERENCE = re.compile(
    r"\bguides?\b(?! (?:you|your))|\bmanual\b|\bdocumentation\b|\bdocs\b|\bhandbook\b|\btutorial\b"
    r"|\bcook ?book\b|\bhow[- ]?to\b|\bchangelog\b|\brelease notes\b"
    r"|\bglossar\w+|\bprice ?list\b|\binventory\b|\bcatalog(?:ue)?\b|\brecords?\b|\bconfigur\w+|\breadme\b"
    r"|\busage\b|\breference\b|\bapi\b|\bsettings\b|\blog\b"
    r"|\bhandbuch\b|\banleitung\b|\bleitfaden\b|\bkonfigur\w+|\bdokumentation\b|\bpreisliste\b|\bguía\b"
    r"|\bmanuel\b|\bdocumentación\b|\bguida\b"
    r"|\bmanuale\b|\bdocumentazione\b|\bguia\b|\bdocumentação\b|\bhandleiding\b|\bpodręcznik\b|\binstrukcja\b"
    r"|\bdokumentacja\b|руководств|справочник"
    r"|документаци|глоссарий|настройк|指南|手册|手冊|文档|配置|术语|ガイド|マニュアル|設定|用語集"
    r"|ドキュメント|가이드|매뉴얼|설정|용어집|문서|دليل|مسرد|إعداد",
    _FLAGS,
)
#: A mention of one example by its place; the noun stands beside it.
_ORDINAL = (
    r"\b(?:first|second|third|fourth|fifth|last|next|previous|final|erste[nrs]?|zweite[nrs]?|dritte[nrs]?"
    r"|letzte[nrs]?|premier|deuxième|dernier"
    r"|primer|segundo|tercer|último|primo|secondo|terzo|ultimo|primeiro|terceiro|eerste|tweede|laatste"
    r"|pierwsz\w+|drug\w+|ostatni\w*|перв\w+"
    r"|втор\w+|последн\w+)\b|第[一二三四五六七八九十\d]+[个個]?|最后|最後の|첫|마지막|الأول|الأخير"
)
ORDINAL = re.compile(
    rf"{NOUN_SOURCE}[ \t]*#?\d{{1,3}}\b|(?:{_ORDINAL})[ \t]*(?:\w+[ \t]+)?{NOUN_SOURCE}"
    rf"|{NOUN_SOURCE}[ \t]+(?:{_ORDINAL})",
    _FLAGS,
)
#: "The examples", "these examples": the list itself, not examples of something elsewhere.
THE_LIST = re.compile(
    rf"(?:\b(?:the|these|those|my|our|your|die|diese[nr]?|den|les|ces|aux|los|estos|las|gli|questi|os|estes"
    rf"|deze|te|tych"
    rf"|эти|этих|этим)[ \t]+(?:\w+[ \t]+)?|这些|這些|上述|これらの|上の|이 ?|위 ?|هذه ?)(?:{NOUN_SOURCE})",
    _FLAGS,
)
#: Sentences about the list that leave it a list of examples.
BENIGN = re.compile(
    r"\b(?:shows?|illustrates?|demonstrates?|never|not|don['’]t|only as|merely|style|tone|format|follow|like"
    r"|as in|similar|guidance|inspiration"
    r"|zeigen|nie|nicht|wie|stil|form|montrent|jamais|pas|comme|muestran|nunca|no|como|mostrano|mai|non|come"
    r"|mostram|não|tonen|nooit|niet"
    r"|zoals|pokazują|nigdy|nie|jak|показывают|никогда|не|как|appendix|page|below|here)\b|不要|参照|参考|按照"
    r"|ように|ならって|처럼|같이|كما",
    _FLAGS,
)
#: A sentence after a list that is about the list.
REFERS_BACK = re.compile(
    r"\b(?:these|those|the (?:list|pairs|table)|(?:first|second|third|fourth|last) (?:one|pair|line)"
    r"|diese[nr]?|ces|estos|estas|questi|queste"
    r"|estes|estas|deze|эти|этих|te|tych)\b|这些|這些|上述|以上|これら|上の|위의|이들|هذه",
    _FLAGS,
)
#: Rows that say what holds for all else.
EXCEPTION = re.compile(
    r"\W*(?:(?:exceptions?|default|fallback|otherwise|else|unknown|(?:any|every)thing(?: else)?|rest|others?"
    r"|ausnahmen?|sonst|unbekannt"
    r"|sinon|excepci[oó]n|eccezione|exceção|altrimenti|uitzondering|anders|wyjątek|inaczej|исключение"
    r"|иначе)\b|例外|其他|否则|その他|예외|그 외"
    r"|استثناء|وإلا)",
    _FLAGS,
)
#: More words that forbid, demand or restrict, which a note beside an example may have.
NOTES = re.compile(
    r"\b(?:forbidden|prohibited|mandatory|compulsory|obligatory|required?|not allowed|not permitted|may not|must\w*"
    r"|need(?:s|ed)? to|ha(?:s|ve) to|except\w*|warn\w*"
    r"|caution|beware|careful\w*|confirm\w*|verif(?:y|ied)|escalat\w*"
    r"|hand over|refuse|reject|confidential|secret|at most|at least|no more than|without asking|ask (?:first|for)"
    r"|check (?:first|the|their|that|if|whether|for)|double[- ]check|until|provided|as long as|in case"
    r"|verboten|pflicht|erforderlich|nötig|notwendig"
    r"|nicht (?:erlaubt|gestattet|zulässig)|außer|ausgenommen|ausnahme\w*"
    r"|warnung|vorsicht|achtung|hinweis|bestätig\w*|prüf\w*|überprüf\w*|ablehnen|vertraulich|geheim|höchstens"
    r"|mindestens|sofern|solange|erst nach\w*"
    r"|interdite?s?|obligatoire\w*|requise?s?|nécessaire|il faut|sauf|excepté|exception|avertissement|prudence"
    r"|confirme\w*"
    r"|vérifi\w*|refuse[zr]?|confidentiel\w*|secrets?|au plus|au moins|à condition|tant que|réservée?s?|sinon"
    r"|prohibid[oa]s?|obligatori[oa]s?|requerid[oa]s?|necesari[oa]s?|hay que|tien\w+ que|salvo|excepto|excepción"
    r"|advertencia|cuidado|precaución|confirm\w*|verific\w*"
    r"|comprueb\w*|comprobar|rechaz\w*|confidencial\w*|como máximo"
    r"|al menos|siempre que|mientras|hasta que"
    r"|vietat[oaie]|obbligatori\w*|richiest[oaie]|necessari[oa]|bisogna|tranne|eccetto|eccezione|avvertenza|cautela"
    r"|attenzione|conferm\w*|verific\w*|controll\w*|rifiut\w*|riservat\w*|al massimo|almeno|purché|finché"
    r"|proibid[oa]s?|obrigatóri\w*|necessári[oa]|é preciso|exceto|exceção|advertência|cuidado|recus\w*|rejeit\w*"
    r"|no máximo|pelo menos|desde que|enquanto"
    r"|verboden|verplicht|vereist|nodig|niet toegestaan|behalve|uitgezonderd|uitzondering|waarschuwing|voorzichtig"
    r"|bevestig\w*|controleer\w*|weiger\w*|vertrouwelijk|geheim|hoogstens|minstens|mits|zolang|totdat"
    r"|zabronion\w*|zakazan\w*|obowiązkow\w*|wymagan\w*|koniecz\w*|trzeba|oprócz|wyjąt\w*|ostrzeżenie|ostrożnie"
    r"|potwierdź\w*|sprawdź\w*|zweryfik\w*|odmów\w*|poufn\w*|najwyżej|co najmniej|pod warunkiem|dopóki|należy"
    r"|запрещ\w+|обязат\w+|требу\w+|необходим\w*|кроме"
    r"|за исключением|исключени\w*|предупрежд\w+|осторожно|подтверд\w*"
    r"|провер\w+|откаж\w+|отклон\w+|конфиденц\w+|секретно|не более|не менее|при условии|пока не|надо|следует"
    r"|yasak|zorunlu|yalnızca|sadece|asla|mutlaka|dikkat|får inte|måste|aldrig|alltid|endast|skal|aldri|alltid"
    r"|nesmí|musí|vždy|pouze|nikdy|треба|заборонено|лише|завжди|ніколи|не можна)\b"
    r"|禁止|严禁|不允许|不准|不许|必要|需要|需先|需|须|須|除了|除外"
    r"|例外|警告|小心|确认|確認|核实|核对|验证|拒绝|保密|机密|最多|至少"
    r"|前提|除非|仅限|限于|限定|要(?:確認|注意|承認)|以外|除く"
    r"|断る|厳禁|機密|前に|場合に限|限り|してはいけ|しないで|なければ|すること"
    r"|금지|필수|필요|제외|예외|경고|조심|확인|검증|거절|거부"
    r"|기밀|최대|최소|경우에만|한해|해야|하지 ?말|안 ?됩|않도록|에게만|만 ?가능"
    r"|ممنوع|محظور|إلزامي|مطلوب|ضروري|باستثناء|ما عدا|إلا|استثناء|تحذير|احذر|انتبه|تأكد|تحقق|ارفض|سري"
    r"|بشرط|طالما|حتى|لا ت|لا ي",
    _FLAGS,
)
