"""Recognises users' messages that tell the agent nothing new: "continue" in many languages, and notices of programs.

A word that is not known counts as one that says something, so an instruction of a single word is never taken for an
acknowledgement.
"""

from __future__ import annotations

import re

MAX_ACKNOWLEDGEMENT_CHARS = 80

#: Words of messages that only agree, thank, or say to go on, with the words that stand between them.
_WORDS = frozenset(
    # English
    "continue continuing go on ahead keep going carry proceed resume next step ok okay k yes yeah yep yup sure"
    " fine good"
    " great nice perfect cool alright right sounds looks lgtm thanks thank thx ty please pls you then now just and with"
    " it that this is all well done do so very much left off where from stopped were work working awesome excellent yo"
    " approved agreed"
    # German
    " weiter mach machen machs fahre fahr fort fortfahren ja jo jawohl gut super prima danke dankeschön bitte nun jetzt"
    " so dann alles klar passt einverstanden sehr schön einfach nächster nächste schritt los gerne"
    # French
    " d'accord accord continue continuez continuer oui ouais bien très merci vas y allez s'il vous plaît"
    " te plait plaît s il svp stp parfait super alors suite la suivant suivante étape vous peux peut tu"
    # Spanish and Portuguese
    " sí si sigue siga sigan continúa continúe continua continue adelante vale bueno bien gracias muchas por favor"
    " perfecto claro dale avanza siguiente paso sim pode continuar prossiga segue siga em frente vá obrigado obrigada"
    " beleza certo perfeito ótimo próximo próxima passo etapa"
    # Italian, Dutch, Polish, Swedish
    " sì va bene continua prosegui procedi avanti grazie perfetto ga door verder graag bedankt prima ja goed oké"
    " kontynuuj dalej tak dobrze dziękuję proszę fortsätt tack bra"
    # Russian and Ukrainian
    " да ок окей хорошо ладно продолжай продолжайте дальше давай давайте спасибо пожалуйста отлично супер продовжуй"
    " далі так добре дякую и"
    # Turkish, Indonesian, Vietnamese, Hindi, Arabic, Hebrew
    " devam et tamam evet lütfen teşekkürler lanjut lanjutkan ya baik terima kasih silakan tiếp tục vâng đồng ý cảm ơn"
    " जारी रखें रखो हाँ ठीक है धन्यवाद आगे बढ़ो استمر تابع نعم حسنا شكرا تمام المتابعة אישור המשך כן תודה"
    # Korean
    " 계속 계속해 계속해요 계속하세요 계속해줘 진행 진행해 진행해줘 네 예 좋아 좋아요 감사합니다 응".split()
)
#: The same of scripts that write words without blanks between them.
_RUN = re.compile(
    r"(?:好的?|可以|是的?|对的?|嗯|行|没问题|请|繼續|继续|接着|接著|下一步|往下|做|吧|了|谢谢|謝謝|多谢|辛苦|你|您"
    r"|はい|ええ|うん|続けて|つづけて|続行|続き|進めて|次|ください|下さい|して|お願い|おねがい|します|いたします"
    r"|ありがとう|ございます|どうぞ|了解|です|大丈夫|オーケー|へ|を|で|そのまま|ต่อ|ครับ|ค่ะ|ดำเนินการต่อ|ทำต่อ|โอเค)+"
)
_SEPARATORS = re.compile(r"[\s.,;:!?…。，、！？()\"“”~-]+")
_REFUSALS = frozenset("👎❌🛑⛔🚫✋")
_OPENING_TAG = re.compile(r"<([A-Za-z][\w.:-]*+)[^<>]*+>")
_BRACKETS = re.compile(
    r"\s*\[(?:(?![\s\[{\"'\d])[^\[\]{}]{3,500}\]\s*\Z"
    r"|(?:system|automated|notification|reminder|background|event|hook)\b[^\[\]{}]{0,80}\])",
    re.IGNORECASE,
)

#: Tags in which harnesses put what the user said.
_USER_TAGS = frozenset(
    "user user_query user_message user_input user_request user_instructions user_prompt task query question prompt"
    " request instruction instructions feedback answer message input human goal objective".split()
)


def is_acknowledgement(text: str) -> bool:
    """Returns whether a user's text says nothing but to go on, or that all is well."""
    if len(text) > MAX_ACKNOWLEDGEMENT_CHARS or any(c.isdigit() for c in text) or "?" in text:
        return False
    words = [w for w in _SEPARATORS.split(text.lower().replace("’", "'")) if any(map(str.isalnum, w))]
    known = all(word in _WORDS or _RUN.fullmatch(word) is not None for word in words)
    return known and _REFUSALS.isdisjoint(text)


def is_notice(text: str) -> bool:
    """Returns whether a program put a text into a user's message: all of it stands inside of tags or brackets."""
    position, size = _skip_blanks(text, 0), len(text)
    if position == size:
        return False
    if text[position] == "[":
        return _BRACKETS.match(text) is not None
    while position < size:
        opening = _OPENING_TAG.match(text, position)
        if opening is None or opening[1].lower().replace("-", "_") in _USER_TAGS:
            return False
        closing = f"</{opening[1]}>"
        end = text.find(closing, opening.end())
        inner = text.find(f"<{opening[1]}", opening.end(), end) if end >= 0 else -1
        if inner >= 0:  # a tag inside of a tag of the same name: only the last one can close it
            end = text.rfind(closing, opening.end())
        if end < 0:
            return False
        position = _skip_blanks(text, end + len(closing))
    return True


def _skip_blanks(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position
