"""Holds what is said in generated runs besides rules, in eight languages."""

from __future__ import annotations

from typing import NamedTuple


class Talk(NamedTuple):
    """What is said in one language besides rules."""

    leads: tuple[str, ...]
    acknowledgements: tuple[str, ...]
    promises: tuple[str, ...]
    decisions: tuple[str, ...]


#: By language: what goes before a rule, what only says "go on", the assistant's promises (`{a}`, `{b}`) and decisions.
TALK: dict[str, Talk] = {
    "en": Talk(
        ("By the way: ", "One more thing. ", "", "Before I forget: "),
        ("continue", "ok", "go on", "thanks, carry on"),
        ("I will come back to {a} once {b} is done.", "{a} stays open; I'll pick it up after {b}."),
        ("I decided on {b} for {a}, since it needs no lock.", "The cause of the error in {a} is a stale {b}."),
    ),
    "de": Talk(
        ("Übrigens: ", "Noch etwas. ", "", "Ehe ich es vergesse: "),
        ("weiter", "ok, mach weiter", "passt", "danke, weiter so"),
        ("Auf {a} komme ich zurück, sobald {b} fertig ist.", "{a} hole ich nach {b} nach."),
        ("Für {a} nehme ich {b}, weil das keine Sperre braucht.", "Schuld am Fehler in {a} ist ein veraltetes {b}."),
    ),
    "es": Talk(
        ("Por cierto: ", "Otra cosa. ", "", "Antes de que se me olvide: "),
        ("sigue", "vale", "continúa", "gracias, adelante"),
        ("Volveré a {a} en cuanto termine {b}.", "{a} queda pendiente; lo retomo después de {b}."),
        ("Para {a} elijo {b}, porque no necesita bloqueo.", "La causa del error en {a} es un {b} obsoleto."),
    ),
    "fr": Talk(
        ("Au fait : ", "Autre chose. ", "", "Avant que j'oublie : "),
        ("continue", "d'accord", "vas-y", "merci, continue"),
        ("Je reviendrai à {a} dès que {b} sera fini.", "{a} reste ouvert ; je m'en occupe après {b}."),
        ("Pour {a} je choisis {b}, sans verrou.", "La cause de l'erreur dans {a} est un {b} périmé."),
    ),
    "pt": Talk(
        ("Aliás: ", "Mais uma coisa. ", "", "Antes que eu esqueça: "),
        ("continue", "ok", "pode seguir", "obrigado, siga"),
        ("Volto a {a} assim que {b} terminar.", "{a} fica em aberto; retomo depois de {b}."),
        ("Para {a} escolhi {b}, que dispensa trava.", "A causa do erro em {a} é um {b} antigo."),
    ),
    "zh": Talk(
        ("对了，", "还有一点。", "", "趁我还记得："),
        ("继续", "好的", "接着来", "谢谢，继续吧"),
        ("等 {b} 完成后我再回来处理 {a}。", "{a} 先放着，做完 {b} 再看。"),
        ("{a} 我选 {b}，因为不需要锁。", "{a} 出错的原因是 {b} 过期了。"),
    ),
    "ja": Talk(
        ("ところで、", "もう一つ。", "", "忘れないうちに、"),
        ("続けて", "はい", "進めて", "ありがとう、続けて"),
        ("{b} が済んだら {a} に戻ります。", "{a} は保留、{b} の後で取り組みます。"),
        ("{a} には {b} を選びます、ロックが不要なので。", "{a} のエラーの原因は古い {b} です。"),
    ),
    "ru": Talk(
        ("Кстати: ", "Ещё одно. ", "", "Пока не забыл: "),
        ("продолжай", "ок", "дальше", "спасибо, продолжай"),
        ("Вернусь к {a}, как только закончу {b}.", "{a} пока открыт; займусь после {b}."),
        ("Для {a} беру {b}, без блокировок.", "Причина ошибки в {a}: устаревший {b}."),
    ),
}
