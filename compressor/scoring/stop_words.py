"""Lists the words of many languages that do not tell what a question is about, and finds a question's languages.

English has its list in `bm25.STOP`, as terms. A list is applied to a question of its language only, because `die` is
an article in German and a verb in English. Languages with a script of their own are found by it, others by their words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from compressor.native import load_kernel
from compressor.scoring.character_ngrams import HAN, HANGUL, HIRAGANA, KATAKANA, THAI
from compressor.scoring.token_index import plain_word

_LISTS = {
    "de": """
        der die das den dem des ein eine einen einem einer eines und oder aber ist sind war waren wird werden
        wurde wurden hat haben hatte hatten kann können konnte muss müssen soll sollen darf dürfen nicht kein
        keine keinen auch noch nur schon sich es er sie wir ihr ich du mich mir dir ihm ihn uns euch sein seine
        ihre im in an am auf aus bei beim bis durch für gegen mit nach ohne seit über um unter von vom vor zu
        zum zur zwischen als wie was wer wen wem wessen wann wo wohin woher warum weshalb wieso wozu welche
        welcher welches welchen welchem wieviel wieviele viel viele dass ob wenn dann denn doch da dort hier
        diese dieser dieses diesen diesem jede jeder jedes bitte gibt gab""",
    "fr": """
        le la les l un une des du de d au aux et ou mais est sont était étaient été être a ont avait avoir sera
        seront peut peuvent doit doivent ne pas plus non si se sa son ses ce cet cette ces c qu que qui quoi
        quel quelle quels quelles quand où comment pourquoi combien lequel laquelle dont en dans par pour sur
        sous avec sans chez vers entre depuis il elle ils elles on nous vous je tu me te moi leur leurs mon ma
        mes ton ta tes notre votre nos vos y j n s t m quelqu fait font faut cela ça ceci aussi très""",
    "es": """
        el la los las lo un una unos unas de del al a y e o u pero es son era eran fue fueron ser está están
        estaba ha han había hay haber puede pueden debe deben no ni si sí se su sus le les me te nos mi mis tu
        tus que qué quien quién quienes quiénes cual cuál cuales cuáles cuando cuándo donde dónde adónde como
        cómo cuanto cuánto cuántos cuántas cuánta por para con sin sobre entre desde hasta en este esta estos
        estas ese esa esos esas eso esto aquel él ella ellos ellas yo nosotros usted ustedes muy más también ya
        porque""",
    "pt": """
        o a os as um uma uns umas de do da dos das ao aos à às no na nos nas em num numa e ou mas é são era eram
        foi foram ser está estão estava há tem têm tinha pode podem deve devem não nem se seu sua seus suas me
        te lhe nós eu tu você vocês ele ela eles elas que quê quem qual quais quando onde aonde como quanto
        quantos quantas quanta por porque porquê pelo pela pelos pelas para com sem sobre entre desde até este
        esta estes estas esse essa isso isto aquele aquela muito mais também já""",
    "it": """
        il lo la i gli le l un uno una di del dello della dei degli delle a al allo alla ai agli alle da dal
        dalla dai dalle in nel nello nella nei negli nelle con su sul sulla sui sulle per tra fra e ed o ma è
        sono era erano fu furono stato stata stati state essere ha hanno aveva può possono deve devono non né se
        si suo sua suoi sue mi ti ci vi che chi cosa cos quale quali qual quando dove come perché quanto quanti
        quante quanta questo questa questi queste quello quella quelli quelle io tu lui lei noi voi loro c dell
        nell all dall sull dov com anche più già viene vengono""",
    "nl": """
        de het een en of maar is zijn was waren wordt worden werd werden heeft hebben had hadden kan kunnen kon
        moet moeten mag mogen zal zullen niet geen ook nog al er dit dat deze die ik je jij u hij zij ze wij we
        jullie mij hem haar hun ons onze mijn zich in op aan van voor met naar bij uit over onder door tot tegen
        tussen om te als dan wat wie wiens waar waarom wanneer hoe hoeveel welke welk waarin waarvoor waarmee""",
    "pl": """
        i a oraz lub albo ale jest są był była było byli były być będzie będą został została zostało zostały ma
        mają miał może mogą musi nie tak czy się go jej jego ich im mu ja ty on ona ono my wy oni w we z ze na
        do od o po za przed przy przez dla bez pod nad między u co kto kogo komu czego czym kim kiedy gdzie skąd
        dokąd jak jaki jaka jakie jakiego jakiej który która które którzy którego której których ile ilu
        dlaczego czemu ten ta to te ci tego tej tym tych tam tu już jeszcze tylko też że żeby""",
    "ru": """
        и а но или да не ни ли же бы в во на с со к ко от до из у о об по за под над при про для без через между
        перед что кто кого кому чего чему чем ком когда где куда откуда как какой какая какое какие какого каком
        каких который которая которое которые которого сколько почему зачем чей чья чьё это этот эта эти этого
        этой тот та те того он она оно они его ее её их им ему ей мы вы я ты нас вас нам вам мне меня был была
        было были быть есть будет будут может могут можно нужно надо так уже еще ещё только также то там тут
        свой свою""",
    "uk": """
        і й та а але або чи не ні ж же б би в у на з із зі до від по за під над при про для без через між перед
        що хто кого кому чого чому чим коли де куди звідки як який яка яке які якого якої яких скільки навіщо
        чий чия це цей ця ці цього той та ті того він вона воно вони його її їх їм йому ми ви я ти нас вас нам
        вам мені мене був була було були бути є буде будуть може можуть можна треба так вже ще тільки також то
        там тут""",
    "tr": """
        ve veya ya da de ki ile için gibi kadar bu şu o bunu şunu onu bir ne neyi nedir neden niçin niye nasıl
        nerede nereye nereden neresi kim kimin kimi kime kimdir hangi hangisi kaç kaçı kaçta mi mı mu mü midir
        mıdır var yok değil olan olarak oldu olur olduğu edildi ediyor daha en çok her ama fakat ancak ben sen
        biz siz onlar onun bunun""",
    "sv": """
        en ett den det de och eller men är var varit vara blir blev har hade kan kunde ska skulle måste får inte
        ej också jag du han hon vi ni dem honom henne oss er min din sin sitt sina hans hennes deras på av för
        med till från om i under över mellan efter före vid hos utan som att vad vem vems vilken vilket vilka
        när var vart varför hur många mycket denna detta dessa så då där här""",
    "id": """
        yang dan atau di ke dari untuk pada dengan dalam oleh sebagai adalah ialah ini itu tersebut ada tidak
        bukan belum sudah telah akan sedang bisa dapat harus juga saja hanya apa apakah siapa kapan mana dimana
        kemana bagaimana mengapa kenapa berapa saya aku kamu anda dia mereka kami kita nya kah para tentang
        karena jika kalau agar""",
    "vi": """
        là của và hoặc hay các những một cái này kia đó ấy được bị có không chưa đã đang sẽ cho với từ đến tới
        trong ngoài trên dưới về tại ở do bởi như thì mà nếu vì nên khi gì nào ai đâu sao bao nhiêu mấy lúc tôi
        bạn anh họ chúng ta nó rất cũng chỉ vào ra hãy phải thế""",
    "ar": """
        في من إلى الى على عن مع و أو او ثم لا لم لن ما ماذا من متى أين اين كيف لماذا لم كم أي اي أية هل هو هي هم
        هذا هذه ذلك تلك الذي التي الذين كان كانت يكون تكون قد إن ان أن كل بعض عند بين قبل بعد حتى منذ تم يتم ليس
        ليست هناك هنا نحن أنا انا أنت بها به له لها فيه فيها منه منها""",
    "hi": """
        का के की को में से पर ने और या भी ही तो है हैं था थी थे हो होता होती होते हुआ हुई हुए गया गई गए किया की
        कर करना करता रहा रही रहे सकता सकते सकती नहीं न मत यह ये वह वे इस उस इन उन इसका उसका अपना अपने क्या कौन
        किस किसने किसको किसका किसकी कब कहाँ कहां कैसे क्यों कितना कितने कितनी कौनसा कौनसी जो जिस एक तक साथ लिए
        मैं हम आप तुम मेरा""",
    "ko": """
        무엇 무엇을 무엇이 무엇인가요 무엇입니까 뭐 뭔가요 누구 누가 누구의 누구를 언제 언제입니까 언제인가요
        어디 어디에 어디에서 어디서 어디로 어떤 어떻게 어느 왜 몇 얼마 얼마나 얼마인가요 있습니까 있나요 있는
        있습니다 있다 없는 없습니다 했습니까 했나요 되었습니까 되었나요 됐나요 됩니까 입니까 인가요 합니까
        하나요 하는 한 할 수 것 것은 것이 것을 그 이 저 그리고 또는 및 의 은 는 이 가 을 를 에 에서 로 으로 와
        과 도""",
}

#: Words of a question in scripts without spaces. They are cut out before the rest is cut into pieces.
_CHINESE = """
    什么时候 什么 甚么 什麼 哪里 哪裡 哪儿 哪个 哪個 哪些 哪天 哪年 哪位 谁的 谁 誰 多少 几个 幾個 几次 怎么样
    怎么 怎麼 怎样 如何 为什么 為什麼 为何 何时 何處 何处 是不是 是否 有没有 有沒有 可以 能否 请问 請問 是在
    是由 的是 是 了 吗 嗎 呢 吧 这个 這個 那个 那個 这些 那些"""
_JAPANESE_HAN = "何時 何処 何故 何人 何年 何月 何日 誰 何"
_HIRAGANA_WORDS = """
    は が を に で と も の へ や か から まで より です ます でした ました ません でしょう だ である いる いた
    ある あった する した して され された されました しました しますか なる なった なりました ください いつ
    どこ だれ なに なん どう どの どれ どんな どうして なぜ いくら いくつ どのくらい どのように ですか ますか
    この その あの これ それ あれ こと もの ため という について における れた れました られた られました って
    った いました ありますか ね よ"""
_THAI_WORDS = """
    เมื่อไหร่ เมื่อไร เมื่อใด ที่ไหน ที่ใด อะไร ใคร เท่าไหร่ เท่าไร เท่าใด กี่ ทำไม อย่างไร ยังไง ไหน หรือไม่
    หรือเปล่า หรือยัง และ หรือ ของ เป็น คือ ที่ ใน ได้ ให้ จาก กับ แล้ว โดย ครับ"""


def _either(words: str) -> str:
    return "|".join(sorted(words.split(), key=lambda word: (-len(word), word)))


_CUT_OUT = re.compile(f"{_either(_CHINESE)}|{_either(_JAPANESE_HAN)}|{_either(_THAI_WORDS)}")
#: Single Han characters that mostly build sentences.
_HAN_PARTICLES = frozenset(
    "的了是在吗呢吧和与及或这那哪谁何有被把将就也都而之其于以为从到对我你他她它们请问會会个個什么么"
)
_HIRAGANA = re.compile(f"[{HIRAGANA}]+")
_GRAMMAR_AT_THE_END = re.compile(f"(?:{_either(_HIRAGANA_WORDS)})+$")

_BY_SCRIPT = (
    ("ko", re.compile(f"[{HANGUL}]")),
    ("ja", re.compile(f"[{HIRAGANA}{KATAKANA}]")),
    ("zh", re.compile(f"[{HAN}]")),
    ("th", re.compile(f"[{THAI}]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
)
_FOREIGN = re.compile(r"[^\x00-\x7f]+")
_CYRILLIC = re.compile("[\u0400-\u04ff]")
_UKRAINIAN = re.compile("[іїєґІЇЄҐ]")
#: Letters that few languages of the Latin script write. They count as a word of the language.
_LETTERS = {
    "de": re.compile("ß"),
    "fr": re.compile("œ|ù"),
    "es": re.compile("[ñ¿¡]"),
    "pt": re.compile("[ãõ]"),
    "pl": re.compile("[łżźśćńęą]"),
    "tr": re.compile("[ığş]"),
    "sv": re.compile("å"),
    "vi": re.compile("[ơưđạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ]"),
}
#: Words by which a text shows that it is English.
_ENGLISH = frozenset(
    """
    an and are been but by can could did does for from have how if into it its my not or our she than that the
    their them there these they this those were what when where which who whom whose why with would you your his
    him about any all""".split()
)
#: Words of the lists that are also English, or parts of names, so that they show no language.
_ENGLISH_TOO = frozenset(
    """
    a al also am an as at dan den der des die do dont du el er ha has hat he hem her hoe i in is la las les los
    ma mag main man me mi mine most no non of om on over par per plus por pour sin so son sous sur ton un under
    us van von vi via war was will ya""".split()
)
_NO_SIGN = _ENGLISH | _ENGLISH_TOO


def _spellings(words: Iterable[str], language: str) -> frozenset[str]:
    """The words, and how they are written without accents. In Vietnamese an accent makes another word."""
    found = frozenset(words)
    return found if language == "vi" else found | {plain_word(word) for word in found}


#: The words of each language, and how they are written without accents.
STOP_WORDS = {language: _spellings(words.split(), language) for language, words in _LISTS.items()}
_LATIN = tuple(language for language in STOP_WORDS if language not in ("ru", "uk", "ar", "hi", "ko"))
#: The Latin languages of each of their words; a word of one language only shows that language.
_SHOWN_BY: dict[str, tuple[str, ...]] = {}
for _language in _LATIN:
    for _word in sorted(STOP_WORDS[_language]):
        _SHOWN_BY[_word] = (*_SHOWN_BY.get(_word, ()), _language)
_SHOWING = frozenset(_SHOWN_BY)
_MIN_WORDS = 2  # of a language only, before its list is applied


def find_languages(text: str, tokens: Iterable[str]) -> tuple[str, ...]:
    """Returns the languages whose words a question seems to use, by code, such as `("de",)`.

    Args:
        text: The question.
        tokens: Its tokens.

    Returns:
        The languages; `en` is among them unless the words of another language clearly outnumber it.
    """
    tokens = list(tokens)
    shown, only, english = _count_shown(tokens)
    found: list[str] = []
    if not text.isascii():
        foreign = "".join(_FOREIGN.findall(text))
        found = _by_script(foreign, tokens)
        lower = foreign.lower()
        for language, letters in _LETTERS.items():
            if letters.search(lower):
                only[language] = only.get(language, 0) + 1
                shown[language] = shown.get(language, 0) + 1
    best = max((shown[language] for language in only), default=0)
    for language, count in sorted(only.items()):
        # One word that is only this language's is enough if nothing speaks for another one.
        sure = count >= _MIN_WORDS or (not english and len(only) == 1)
        if sure and shown[language] * 2 > max(best, english):
            found.append(language)
    if english * 2 >= best or not found:
        found.append("en")
    return tuple(found)


def count_shown(tokens: list[str]) -> tuple[dict[str, int], dict[str, int], int]:
    """Returns how many of a text's words each language has, how many only it has, and how many show English.

    It is the reference for the native kernel `query_terms`.
    """
    words = {token.lower() for token in tokens}
    shown: dict[str, int] = {}
    only: dict[str, int] = {}
    for word in words & _SHOWING:
        languages = _SHOWN_BY[word]
        for language in languages:
            shown[language] = shown.get(language, 0) + 1
        if len(languages) == 1 and word not in _NO_SIGN:
            only[languages[0]] = only.get(languages[0], 0) + 1
    return shown, only, len(words & _ENGLISH)


def _by_script(text: str, tokens: list[str]) -> list[str]:
    """The languages that the scripts of characters show. Kana shows Japanese, so that its Han is not Chinese."""
    found = [language for language, script in _BY_SCRIPT if script.search(text)]
    if "ja" in found and "zh" in found:
        found.remove("zh")
    if _CYRILLIC.search(text):
        words = {token.lower() for token in tokens}
        ukrainian = len(words & STOP_WORDS["uk"]) > len(words & STOP_WORDS["ru"]) or _UKRAINIAN.search(text)
        found.append("uk" if ukrainian else "ru")
    return found


def is_stop_word(token: str, languages: Iterable[str]) -> bool:
    """Returns whether a token is a word without content in one of these languages. English is left to `bm25.STOP`."""
    word = token.lower()
    return any(word in STOP_WORDS[language] for language in languages if language in STOP_WORDS)


def without_function_words(run: str) -> list[str]:
    """Returns what is left of a run of a script without spaces when words without content are cut out."""
    out: list[str] = []
    for piece in _CUT_OUT.split(run):
        # Kana goes from the end of a run only, because particles occur inside of words.
        out += _HIRAGANA.sub(lambda m: _GRAMMAR_AT_THE_END.sub("", m[0]) or " ", piece).split()
    return out


def is_function_character(piece: str) -> bool:
    """Returns whether a piece of a run is one Han character that mostly builds sentences, or one kana."""
    return len(piece) == 1 and (has_function_character(piece) or _HIRAGANA.fullmatch(piece) is not None)


def has_function_character(piece: str) -> bool:
    """Returns whether a piece of a run has a Han character that mostly builds sentences."""
    return not _HAN_PARTICLES.isdisjoint(piece)


_kernel = load_kernel("query_terms")
_count_shown: Callable[[list[str]], tuple[dict[str, int], dict[str, int], int]] = (
    count_shown if _kernel is None else _kernel.LanguageSigns(_SHOWN_BY, _NO_SIGN, _ENGLISH).count_shown
)
