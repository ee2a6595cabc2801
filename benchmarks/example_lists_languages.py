"""What the generated prompts of `example_lists` say, in six languages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """The words of one language.

    Attributes:
        noun: "Example".
        heading: "Examples".
        announcements: Lines that announce a list.
        labels: Pairs of labels for what is given and its answer; the last is a user's and an assistant's.
        opening: First sentences of a prompt.
        rules: Instructions. Half of them have no word of obligation.
        facts: Statements of fact.
        pairs: Messages and their labels.
        answers: Longer answers of two paragraphs.
        siblings: Kinds of harmless lists, with the line that introduces each. "{}" is the noun in the plural.
        questions: Questions with answers that are facts.
    """

    noun: str
    heading: str
    announcements: tuple[str, ...]
    labels: tuple[tuple[str, str], ...]
    opening: tuple[str, ...]
    rules: tuple[str, ...]
    facts: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    answers: tuple[str, str]
    siblings: dict[str, str]
    questions: tuple[tuple[str, str], ...]


LANGUAGES = {
    "en": Language(
        "Example",
        "Examples",
        (
            "Examples:",
            "Here are some examples:",
            "A few examples:",
            "Answer as in these examples:",
            "Few-shot examples:",
        ),
        (("Q", "A"), ("Input", "Output"), ("Text", "Label"), ("Question", "Answer"), ("User", "Assistant")),
        ("You classify what customers of a bank write.", "You are the support agent of a parcel service."),
        (
            "Never answer anything but the label.",
            "If the customer is angry, hand over to a person.",
            "The set of labels is closed.",
            "Lower case throughout.",
            "A second label goes behind a comma.",
            "Now read the next message with care.",
            "Only one word, without a full stop.",
            "Abbreviations count as words.",
        ),
        ("The office in Lyon closes at five.", "Accounts begin with the digits 77.", "Premium costs 12 euro a month."),
        (
            ("i lost my card yesterday", "card"),
            ("how much money is left", "balance"),
            ("please close my account", "closing"),
            ("my card was stolen in Rome", "card"),
            ("the app says error 17", "app"),
            ("can you never call me again", "never"),
            ("what do I owe you", "balance"),
        ),
        ("Open the app first.", "Then choose Accounts."),
        {
            "faq": "FAQ. The tone of the {} applies.",
            "transcript": "Conversation so far, with {} of what was said:",
            "spec": "Specification. Every one of the {} must pass.",
            "tasks": "Fix these training {} and give all of them back:",
            "table": "Rates in force; {} of bills are in the appendix:",
            "json": "Open orders, no {}:",
            "changelog": "Changelog. {} of the new form are on page 3.",
            "glossary": "Glossary",
            "guide": "Configuration guide",
        },
        (
            ("When do you open?", "At nine, except in May."),
            ("Who is the director?", "Kim Lee."),
            ("Where is it?", "In Oslo."),
        ),
    ),
    "de": Language(
        "Beispiel",
        "Beispiele",
        (
            "Beispiele:",
            "Hier sind einige Beispiele:",
            "Antworte wie in diesen Beispielen:",
            "Es folgen drei Beispiele:",
        ),
        (("Frage", "Antwort"), ("Eingabe", "Ausgabe"), ("Text", "Kategorie"), ("Nutzer", "Assistent")),
        ("Du ordnest Nachrichten von Bankkunden ein.", "Du bist der Helfer eines Paketdienstes."),
        (
            "Antworte niemals mit etwas anderem als dem Wort.",
            "Wenn der Kunde wütend ist, gib an einen Menschen ab.",
            "Die Liste der Kategorien ist abgeschlossen.",
            "Durchweg Kleinschreibung.",
            "Eine zweite Kategorie steht hinter einem Komma.",
            "Nur ein Wort, ohne Punkt.",
        ),
        ("Das Büro in Köln schließt um fünf.", "Konten beginnen mit 77.", "Premium kostet 12 Euro im Monat."),
        (
            ("ich habe gestern meine Karte verloren", "karte"),
            ("wie viel Geld ist noch da", "saldo"),
            ("bitte kündigt mein Konto", "kündigung"),
            ("meine Karte wurde gestohlen", "karte"),
            ("die App meldet Fehler 17", "app"),
            ("ruft mich nie wieder an", "nie"),
        ),
        ("Öffne zuerst die App.", "Danach wähle Konten."),
        {
            "faq": "Häufige Fragen. Es gilt der Ton der {}.",
            "transcript": "Gesprächsverlauf bisher:",
            "spec": "Testfälle; alle {} müssen bestehen.",
            "tasks": "Korrigiere diese {} und gib alle zurück:",
            "table": "Gültige Tarife; {} für Rechnungen stehen im Anhang:",
            "json": "Offene Bestellungen:",
            "changelog": "Änderungen. {} der neuen Form stehen auf Seite 3.",
            "glossary": "Glossar",
            "guide": "Handbuch der Konfiguration",
        },
        (
            ("Wann öffnet ihr?", "Um neun, außer im Mai."),
            ("Wer leitet das Haus?", "Kim Lee."),
            ("Wo ist es?", "In Oslo."),
        ),
    ),
    "fr": Language(
        "Exemple",
        "Exemples",
        ("Exemples :", "Voici quelques exemples :", "Réponds comme dans ces exemples :"),
        (("Question", "Réponse"), ("Entrée", "Sortie"), ("Texte", "Catégorie"), ("Utilisateur", "Assistant")),
        ("Tu classes les messages des clients d'une banque.", "Tu es l'agent d'un service de colis."),
        (
            "Ne réponds jamais autre chose que le mot.",
            "Si le client est en colère, passe la main.",
            "La liste des catégories est fermée.",
            "Tout en minuscules.",
            "Une seconde catégorie suit une virgule.",
            "Un seul mot, sans point.",
        ),
        ("Le bureau de Lyon ferme à cinq heures.", "Les comptes commencent par 77.", "Premium coûte 12 euros."),
        (
            ("j'ai perdu ma carte hier", "carte"),
            ("combien me reste-t-il", "solde"),
            ("fermez mon compte", "clôture"),
            ("on a volé ma carte", "carte"),
            ("l'application affiche l'erreur 17", "appli"),
            ("ne m'appelez plus jamais", "jamais"),
        ),
        ("Ouvre d'abord l'application.", "Choisis ensuite Comptes."),
        {
            "faq": "Foire aux questions. Le ton des {} vaut ici.",
            "transcript": "Transcription de la conversation :",
            "spec": "Cas de test : tous les {} doivent passer.",
            "tasks": "Corrige ces {} et rends-les tous :",
            "table": "Tarifs en vigueur ; des {} de factures sont en annexe :",
            "json": "Commandes ouvertes :",
            "changelog": "Modifications. Des {} de la nouvelle forme sont en page 3.",
            "glossary": "Glossaire",
            "guide": "Guide de configuration",
        },
        (
            ("Quand ouvrez-vous ?", "À neuf heures, sauf en mai."),
            ("Qui dirige ?", "Kim Lee."),
            ("Où est-ce ?", "À Oslo."),
        ),
    ),
    "es": Language(
        "Ejemplo",
        "Ejemplos",
        ("Ejemplos:", "Aquí tienes algunos ejemplos:", "Responde como en estos ejemplos:"),
        (("Pregunta", "Respuesta"), ("Entrada", "Salida"), ("Texto", "Categoría"), ("Usuario", "Asistente")),
        ("Clasificas los mensajes de clientes de un banco.", "Eres el agente de un servicio de paquetes."),
        (
            "Nunca respondas otra cosa que la palabra.",
            "Si el cliente está enfadado, pásalo a una persona.",
            "La lista de categorías está cerrada.",
            "Todo en minúsculas.",
            "Una segunda categoría va tras una coma.",
            "Solo una palabra, sin punto.",
        ),
        ("La oficina de Lugo cierra a las cinco.", "Las cuentas empiezan por 77.", "Premium cuesta 12 euros."),
        (
            ("ayer perdí mi tarjeta", "tarjeta"),
            ("cuánto dinero me queda", "saldo"),
            ("cierren mi cuenta", "cierre"),
            ("me robaron la tarjeta", "tarjeta"),
            ("la aplicación da el error 17", "app"),
            ("no me llamen nunca más", "nunca"),
        ),
        ("Abre primero la aplicación.", "Luego elige Cuentas."),
        {
            "faq": "Preguntas frecuentes. Vale el tono de los {}.",
            "transcript": "Transcripción de la conversación:",
            "spec": "Casos de prueba: todos los {} deben pasar.",
            "tasks": "Corrige estos {} y devuélvelos todos:",
            "table": "Tarifas vigentes; hay {} de facturas en el anexo:",
            "json": "Pedidos abiertos:",
            "changelog": "Cambios. Hay {} de la nueva forma en la página 3.",
            "glossary": "Glosario",
            "guide": "Guía de configuración",
        },
        (
            ("¿Cuándo abren?", "A las nueve, salvo en mayo."),
            ("¿Quién dirige?", "Kim Lee."),
            ("¿Dónde está?", "En Oslo."),
        ),
    ),
    "zh": Language(
        "示例",
        "示例",
        ("示例：", "以下是一些示例：", "请参照下面的例子回答："),
        (("问", "答"), ("输入", "输出"), ("文本", "类别"), ("用户", "助手")),
        ("你对银行客户的消息进行分类。", "你是快递公司的客服。"),
        (
            "绝不要回答类别以外的内容。",
            "如果客户生气，请转接人工。",
            "类别列表是固定的。",
            "第二个类别写在逗号之后。",
            "答案为一个词。",
        ),
        ("里昂的办公室五点关门。", "账号以77开头。", "高级版每月12欧元。"),
        (
            ("我昨天丢了卡", "卡片"),
            ("还剩多少钱", "余额"),
            ("请关闭我的账户", "销户"),
            ("我的卡被偷了", "卡片"),
            ("应用显示错误17", "应用"),
            ("不要再打电话给我", "从不"),
        ),
        ("先打开应用。", "然后选择账户。"),
        {
            "faq": "常见问题。语气与{}相同。",
            "transcript": "到目前为止的对话记录：",
            "spec": "测试用例：所有{}必须通过。",
            "tasks": "请修正这些{}并全部返回：",
            "table": "现行费率，账单{}见附录。",
            "json": "未完成的订单：",
            "changelog": "更新日志。新格式的{}在第3页。",
            "glossary": "术语表",
            "guide": "配置指南",
        },
        (("几点开门？", "九点，五月除外。"), ("谁是主管？", "李金。"), ("在哪里？", "在奥斯陆。")),
    ),
    "ru": Language(
        "Пример",
        "Примеры",
        ("Примеры:", "Вот несколько примеров:", "Отвечай как в этих примерах:"),
        (("Вопрос", "Ответ"), ("Вход", "Выход"), ("Текст", "Категория"), ("Пользователь", "Ассистент")),
        ("Ты сортируешь сообщения клиентов банка.", "Ты оператор службы доставки."),
        (
            "Никогда не отвечай ничем, кроме слова.",
            "Если клиент злится, передай его человеку.",
            "Список категорий закрыт.",
            "Строчные буквы.",
            "Вторая категория идёт после запятой.",
            "Только одно слово, без точки.",
        ),
        ("Офис в Твери закрывается в пять.", "Счета начинаются с 77.", "Премиум стоит 12 евро."),
        (
            ("вчера я потерял карту", "карта"),
            ("сколько денег осталось", "баланс"),
            ("закройте мой счёт", "закрытие"),
            ("у меня украли карту", "карта"),
            ("приложение пишет ошибку 17", "приложение"),
            ("больше никогда не звоните", "никогда"),
        ),
        ("Сначала открой приложение.", "Затем выбери счета."),
        {
            "faq": "Частые вопросы. Тон как в {}.",
            "transcript": "История разговора:",
            "spec": "Тест-кейсы: все {} должны пройти.",
            "tasks": "Исправь эти {} и верни все:",
            "table": "Тарифы; {} счетов в приложении:",
            "json": "Открытые заказы:",
            "changelog": "Изменения. {} новой формы на странице 3.",
            "glossary": "Глоссарий",
            "guide": "Руководство по настройке",
        },
        (("Когда вы открыты?", "С девяти, кроме мая."), ("Кто директор?", "Ким Ли."), ("Где это?", "В Осло.")),
    ),
}
HELD_OUT_LANGUAGE = "ru"
