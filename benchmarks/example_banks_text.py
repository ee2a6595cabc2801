"""Made-up examples in five languages, and made-up questions with their SQL."""

# ruff: noqa: E501 (a line holds all texts of a label)

from __future__ import annotations

import random

LANGUAGES = ("de", "es", "fr", "ja", "zh")
LABELS = ("lost_card", "balance", "transfer", "opening_hours", "cancel_order", "password")

#: For each language and label: five examples, then three queries.
_TEXTS: dict[str, tuple[str, ...]] = {
    "de": (
        "Meine Karte ist weg|Ich habe meine Kreditkarte verloren|Mir wurde die Girokarte gestohlen|Bitte sperren Sie meine EC-Karte|Ich finde meine Bankkarte nicht mehr|Jemand hat mir das Portemonnaie mit der Karte geklaut|Wie lasse ich eine verlorene Karte sperren?|Kreditkarte weg, was nun?",
        "Wie viel Geld habe ich noch?|Wie hoch ist mein Kontostand?|Zeig mir mein Guthaben|Was ist auf meinem Konto?|Bin ich im Minus?|Kannst du mir sagen, wie viel auf dem Konto ist?|Aktueller Kontostand bitte|Habe ich noch genug Geld auf dem Girokonto?",
        "Überweise 50 Euro an Anna|Ich möchte Geld an meinen Vermieter schicken|Bitte führe eine Überweisung aus|Schick Peter 20 Euro|Geld auf ein anderes Konto senden|Kannst du 100 Euro an Max überweisen?|Ich muss meiner Schwester Geld schicken|Eine Überweisung nach Österreich machen",
        "Wann habt ihr geöffnet?|Bis wann ist die Filiale offen?|Öffnungszeiten am Samstag|Macht ihr sonntags auf?|Um wie viel Uhr schließt das Geschäft?|Ab wann ist der Laden morgens offen?|Habt ihr am Feiertag geöffnet?|Wie lange hat die Filiale heute auf?",
        "Ich will meine Bestellung stornieren|Bitte den Auftrag abbrechen|Bestellung 4711 rückgängig machen|Kann ich den Kauf noch widerrufen?|Die bestellten Schuhe doch nicht liefern|Ich möchte die Bestellung von gestern stornieren|Wie breche ich einen Kauf ab?|Den Auftrag bitte widerrufen",
        "Ich habe mein Passwort vergessen|Wie setze ich das Kennwort zurück?|Ich kann mich nicht einloggen|Neues Passwort anfordern|Mein Zugang ist gesperrt|Kennwort vergessen, was tun?|Ich komme nicht mehr in mein Konto, falsches Passwort|Passwort ändern",
    ),
    "es": (
        "He perdido mi tarjeta|Me robaron la tarjeta de crédito|No encuentro mi tarjeta del banco|Quiero bloquear la tarjeta|Se me cayó la tarjeta en el metro|Alguien me ha robado la cartera con la tarjeta|¿Cómo bloqueo una tarjeta perdida?|Tarjeta extraviada, ayuda",
        "¿Cuánto dinero tengo?|¿Cuál es mi saldo?|Muéstrame el saldo de la cuenta|¿Qué hay en mi cuenta?|¿Estoy en números rojos?|Dime cuánto me queda en la cuenta|Saldo actual por favor|¿Tengo suficiente dinero en la cuenta?",
        "Transfiere 50 euros a Ana|Quiero enviar dinero a mi casero|Haz una transferencia|Manda 20 euros a Pedro|Enviar dinero a otra cuenta|¿Puedes transferir 100 euros a Luis?|Tengo que mandar dinero a mi hermana|Hacer una transferencia a Francia",
        "¿A qué hora abren?|¿Hasta cuándo está abierta la sucursal?|Horario del sábado|¿Abren los domingos?|¿A qué hora cierra la tienda?|¿Desde qué hora está abierta la tienda?|¿Están abiertos en festivo?|Horario de hoy de la sucursal",
        "Quiero cancelar mi pedido|Anula la compra por favor|Cancelar el pedido 4711|¿Puedo anular el encargo?|Ya no quiero los zapatos que pedí|Deseo cancelar el pedido de ayer|¿Cómo anulo una compra?|Cancelen mi encargo",
        "He olvidado mi contraseña|¿Cómo cambio la clave?|No puedo entrar en mi cuenta|Pedir una contraseña nueva|Mi acceso está bloqueado|Olvidé la clave, ¿qué hago?|No me deja entrar, contraseña incorrecta|Cambiar contraseña",
    ),
    "fr": (
        "J'ai perdu ma carte|On m'a volé ma carte bancaire|Je ne trouve plus ma carte|Je veux bloquer ma carte|Ma carte de crédit a disparu|On a volé mon portefeuille avec la carte|Comment bloquer une carte perdue ?|Carte égarée, que faire ?",
        "Combien d'argent me reste-t-il ?|Quel est mon solde ?|Affiche le solde du compte|Qu'y a-t-il sur mon compte ?|Suis-je à découvert ?|Dis-moi combien il y a sur mon compte|Solde actuel s'il te plaît|Ai-je assez d'argent sur le compte ?",
        "Vire 50 euros à Anne|Je veux envoyer de l'argent à mon propriétaire|Fais un virement|Envoie 20 euros à Pierre|Envoyer de l'argent vers un autre compte|Peux-tu virer 100 euros à Marc ?|Je dois envoyer de l'argent à ma sœur|Faire un virement en Belgique",
        "À quelle heure ouvrez-vous ?|Jusqu'à quand l'agence est-elle ouverte ?|Horaires du samedi|Ouvrez-vous le dimanche ?|À quelle heure ferme le magasin ?|Dès quelle heure le magasin est-il ouvert ?|Êtes-vous ouverts les jours fériés ?|Horaires de l'agence aujourd'hui",
        "Je veux annuler ma commande|Merci d'annuler l'achat|Annuler la commande 4711|Puis-je encore me rétracter ?|Je ne veux plus les chaussures commandées|Je souhaite annuler la commande d'hier|Comment annuler un achat ?|Annulez ma commande",
        "J'ai oublié mon mot de passe|Comment réinitialiser le mot de passe ?|Je n'arrive pas à me connecter|Demander un nouveau mot de passe|Mon accès est bloqué|Mot de passe oublié, que faire ?|Je ne peux plus me connecter, mot de passe faux|Changer de mot de passe",
    ),
    "ja": (
        "カードをなくしました|クレジットカードを盗まれました|銀行のカードが見つかりません|カードを止めてください|財布ごとカードを落とした|カードの入った財布を盗まれた|なくしたカードを止めたい|カード紛失の手続き",
        "残高はいくらですか|口座にいくらありますか|残高を見せて|今の預金額を知りたい|お金はまだ残っていますか|口座の残高を教えて|現在の残高をお願いします|口座に十分なお金がありますか",
        "アンナに50ユーロ送金して|大家さんにお金を送りたい|振り込みをお願いします|ピーターに2000円送って|別の口座にお金を移す|マックスに一万円送金できますか|妹にお金を送りたい|海外への振り込みをしたい",
        "何時に開きますか|支店は何時までですか|土曜日の営業時間|日曜日は開いていますか|店は何時に閉まりますか|朝は何時から開いていますか|祝日は営業していますか|今日の営業時間を教えて",
        "注文をキャンセルしたい|購入を取り消してください|注文4711を取り消す|まだキャンセルできますか|頼んだ靴はもういりません|昨日の注文を取り消したい|購入のキャンセル方法は|注文をやめたい",
        "パスワードを忘れました|暗証をリセットするには|ログインできません|新しいパスワードがほしい|アカウントがロックされました|パスワードを忘れたらどうする|パスワードが違うと出て入れない|パスワードを変更する",
    ),
    "zh": (
        "我的卡丢了|信用卡被偷了|找不到我的银行卡|请冻结我的卡|我把卡落在地铁上了|有人偷了我的钱包和卡|丢失的卡怎么挂失|银行卡不见了怎么办",
        "我还有多少钱|我的余额是多少|显示账户余额|我的账户里有什么|我透支了吗|告诉我账户里还剩多少|查一下当前余额|账户里的钱够吗",
        "给安娜转五十元|我想给房东汇款|请帮我转账|给彼得汇二十元|把钱转到另一个账户|能给小王转一百元吗|我要给妹妹汇钱|向国外转账",
        "你们几点开门|分行开到几点|星期六的营业时间|星期天营业吗|商店几点关门|早上几点开始营业|节假日开门吗|今天分行营业到什么时候",
        "我想取消订单|请撤销这次购买|取消订单4711|还能退订吗|订的鞋子不要了|我要取消昨天的订单|怎么取消购买|撤销我的订单",
        "我忘记密码了|怎么重置密码|我登录不了|申请新密码|我的账号被锁了|忘了密码怎么办|密码错误进不去账号|修改密码",
    ),
}


def multilingual(language: str) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Returns examples and queries of a language, each with its label."""
    items, queries = [], []
    for label, line in zip(LABELS, _TEXTS[language], strict=True):
        texts = line.split("|")
        items += [(text, label) for text in texts[:5]]
        queries += [(text, label) for text in texts[5:]]
    return items, queries


_TABLES = {
    "employees": ("workers", "salary", "department", "name"),
    "orders": ("purchases", "total", "customer", "id"),
    "flights": ("plane trips", "delay", "airline", "number"),
    "patients": ("people in treatment", "age", "ward", "name"),
    "books": ("titles", "pages", "author", "title"),
    "invoices": ("bills", "amount", "vendor", "number"),
}
_QUESTIONS = {
    "average": ("What is the average {n} of {t}?|Mean {n} over all {s}", "SELECT AVG({n}) FROM {t}"),
    "group": (
        "Average {n} of {t} per {g}|For each {g}, the mean {n} of {s}",
        "SELECT {g}, AVG({n}) FROM {t} GROUP BY {g}",
    ),
    "count": ("How many {t} are there?|Number of {s}", "SELECT COUNT(*) FROM {t}"),
    "filter": (
        "List the {k} of {t} with {n} above {x}|Which {s} have a {n} of more than {x}?",
        "SELECT {k} FROM {t} WHERE {n} > {x}",
    ),
    "top": (
        "Show the {x} {t} with the highest {n}|The top {x} {s} by {n}",
        "SELECT {k} FROM {t} ORDER BY {n} DESC LIMIT {x}",
    ),
    "having": (
        "Which {g} has more than {x} {t}?|Every {g} that more than {x} {s} belong to",
        "SELECT {g} FROM {t} GROUP BY {g} HAVING COUNT(*) > {x}",
    ),
}


def sql_questions() -> tuple[list[tuple[str, str, str]], list[tuple[str, str]]]:
    """Returns questions with their SQL and their table, and queries with their table."""
    draw = random.Random(11)
    items, queries = [], []
    for table, (synonym, number, group, key) in _TABLES.items():
        for forms, sql in _QUESTIONS.values():
            for i in range(4):
                values = {"t": table, "s": synonym, "n": number, "g": group, "k": key, "x": draw.randrange(2, 99)}
                text = forms.split("|")[i % 2].format(**values)
                if i < 3:
                    items.append((text, sql.format(**values), table))
                else:
                    queries.append((text, table))
    return items, queries
