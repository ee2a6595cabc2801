"""Holds rules of generated runs in French, Portuguese, Chinese, Japanese and Russian."""

from __future__ import annotations

Rules = dict[str, dict[str, tuple[str, str, str]]]

RULES_MORE: Rules = {
    "fr": {
        "ban": (
            "Ne modifie jamais {a} à la main.",
            "De petites retouches à la main dans {a}, ça va.",
            "Tu peux désormais modifier {a} à la main.",
        ),
        "always": (
            "Tu dois toujours répondre à {a} en anglais.",
            "Réponds à {a} en allemand, s'il te plaît.",
            "{a} lit toutes les langues, choisis.",
        ),
        "off_limits": (
            "Laisse {a} tranquille.",
            "Dans {a}, seuls les tests te regardent.",
            "{a} est de nouveau modifiable.",
        ),
        "money": (
            "Le budget pour {a} est de {x} euros.",
            "Finalement ce sera {y} euros pour {a}.",
            "Oublie la limite pour {a}, dépense ce qu'il faut.",
        ),
        "tool": (
            "Utilise {x} au lieu de {y} dans {a}.",
            "On revient à {y} dans {a}, {x} pose problème.",
            "Dans {a}, n'importe quel gestionnaire convient.",
        ),
        "approval": (
            "Attends mon feu vert avant de déployer {a}.",
            "Pour {a}, l'accord de {y} suffit.",
            "Tu peux déployer {a} sans demander.",
        ),
        "branch": (
            "Pas de push sur {a}, s'il te plaît.",
            "Un push sur {a} est possible si tout est vert.",
            "Pousse sur {a} quand tu veux.",
        ),
        "number": (
            "Le numéro client de {a} est {x}.",
            "Pardon, faute de frappe : pour {a} c'est {y}.",
            "{a} n'a plus de numéro client.",
        ),
        "deadline": ("{a} est à rendre le {x}.", "{a} a un délai jusqu'au {y}.", "Il n'y a plus de date pour {a}."),
        "report": (
            "Ce que tu trouves sur {a}, envoie-le à {x}.",
            "Les nouvelles de {a} vont à {y} dès aujourd'hui.",
            "Plus personne n'a besoin de rapports sur {a}.",
        ),
        "style": (
            "Je préfère les tabulations dans {a}.",
            "Dans {a}, plutôt des espaces.",
            "Indente {a} comme tu veux.",
        ),
        "tests": (
            "Saute les tests {a} pour le moment.",
            "Parmi les tests {a}, lance les rapides.",
            "Relance tous les tests {a}.",
        ),
        "prefix": (
            "Les nouvelles tables de {a} commencent par {x}_.",
            "Les tables de {a} commencent maintenant par {y}_.",
            "Les tables de {a} se passent de préfixe.",
        ),
        "region": (
            "Les données de {a} restent dans {x}.",
            "On déménage : les données de {a} vont dans {y}.",
            "Les données de {a} peuvent être n'importe où.",
        ),
        "tone": ("Avec {a}, on se tutoie.", "{a} préfère le vouvoiement.", "Avec {a}, le ton est libre."),
        "retries": (
            "{x} essais au plus pour {a}.",
            "Passe à {y} essais pour {a}.",
            "Essaie {a} autant de fois que nécessaire.",
        ),
    },
    "pt": {
        "ban": (
            "Nunca altere {a} à mão.",
            "Pequenas mudanças à mão em {a} são aceitáveis.",
            "Agora pode editar {a} à mão.",
        ),
        "always": (
            "Você deve sempre responder a {a} em inglês.",
            "Responda a {a} em alemão, por favor.",
            "{a} lê qualquer idioma, escolha um.",
        ),
        "off_limits": ("Deixe {a} em paz.", "Em {a}, mexa apenas nos testes.", "{a} está liberado de novo."),
        "money": (
            "O orçamento para {a} é de {x} euros.",
            "No fim são {y} euros para {a}.",
            "Esqueça o limite de {a}, gaste o que precisar.",
        ),
        "tool": (
            "Use {x} em vez de {y} em {a}.",
            "Voltamos para {y} em {a}, {x} deu problema.",
            "Em {a} serve qualquer gerenciador.",
        ),
        "approval": (
            "Espere meu aval antes de publicar {a}.",
            "Para {a} basta a palavra de {y}.",
            "Pode publicar {a} sem perguntar.",
        ),
        "branch": ("Nada de push em {a}, por favor.", "Push em {a} só com tudo verde.", "Faça push em {a} à vontade."),
        "number": (
            "O número de cliente de {a} é {x}.",
            "Desculpe, errei: o de {a} é {y}.",
            "{a} já não tem número de cliente.",
        ),
        "deadline": ("{a} é para o dia {x}.", "{a} ganhou prazo até {y}.", "Não há mais data para {a}."),
        "report": (
            "O que achar sobre {a}, mande para {x}.",
            "Novidades de {a} vão para {y} a partir de hoje.",
            "Ninguém mais precisa de relatórios sobre {a}.",
        ),
        "style": ("Em {a} prefiro tabulações.", "Em {a}, melhor espaços.", "Indente {a} como quiser."),
        "tests": (
            "Pule os testes {a} por enquanto.",
            "Dos testes {a}, rode os rápidos.",
            "Rode de novo todos os testes {a}.",
        ),
        "prefix": (
            "As tabelas novas de {a} começam com {x}_.",
            "As tabelas de {a} agora começam com {y}_.",
            "As tabelas de {a} dispensam prefixo.",
        ),
        "region": (
            "Os dados de {a} ficam em {x}.",
            "Mudança: os dados de {a} vão para {y}.",
            "Os dados de {a} podem ficar em qualquer lugar.",
        ),
        "tone": ("Com {a} o tom é informal.", "{a} prefere tratamento formal.", "Com {a} qualquer tom serve."),
        "retries": (
            "No máximo {x} tentativas para {a}.",
            "Aumente para {y} em {a}.",
            "Tente {a} quantas vezes precisar.",
        ),
    },
    "zh": {
        "ban": ("绝对不要手动修改 {a}。", "{a} 可以手动小改。", "现在可以手动编辑 {a} 了。"),
        "always": ("必须始终用英语回复 {a}。", "请用德语回复 {a}。", "{a} 什么语言都能看懂，随便选。"),
        "off_limits": ("{a} 先别动。", "{a} 里只改测试。", "{a} 现在可以改了。"),
        "money": ("{a} 的预算是 {x} 欧元。", "{a} 还是改成 {y} 欧元吧。", "{a} 不用管预算了，该花就花。"),
        "tool": ("{a} 里用 {x}，不用 {y}。", "{a} 改回 {y}，{x} 有问题。", "{a} 用什么包管理器都行。"),
        "approval": ("部署 {a} 之前等我点头。", "{a} 有 {y} 同意就行。", "{a} 可以直接部署，不用问我。"),
        "branch": ("请不要推送到 {a}。", "检查通过后可以推送到 {a}。", "{a} 随便推送。"),
        "number": ("{a} 的客户编号是 {x}。", "抱歉写错了，{a} 应该是 {y}。", "{a} 没有客户编号了。"),
        "deadline": ("{a} 要在 {x} 完成。", "{a} 延到 {y}。", "{a} 没有截止日期了。"),
        "report": ("关于 {a} 的发现发给 {x}。", "{a} 的消息从今天起发给 {y}。", "{a} 的报告没人需要了。"),
        "style": ("{a} 里我喜欢用制表符。", "{a} 里还是用空格吧。", "{a} 的缩进随你。"),
        "tests": ("{a} 测试暂时跳过。", "{a} 测试里只跑快的。", "{a} 测试恢复全部运行。"),
        "prefix": ("{a} 的新表以 {x}_ 开头。", "{a} 的表现在以 {y}_ 开头。", "{a} 的表不需要前缀。"),
        "region": ("{a} 的数据留在 {x}。", "搬家了，{a} 的数据放到 {y}。", "{a} 的数据放哪里都行。"),
        "tone": ("给 {a} 写信随意一点。", "{a} 希望正式一些。", "对 {a} 什么语气都可以。"),
        "retries": ("{a} 最多试 {x} 次。", "{a} 提高到 {y} 次。", "{a} 需要试几次就试几次。"),
    },
    "ja": {
        "ban": ("{a} は絶対に手で変更しないこと。", "{a} は小さな手直しならよい。", "{a} は今後手で編集してよい。"),
        "always": ("{a} には必ず英語で答えること。", "{a} にはドイツ語で答えてください。", "{a} は何語でも読めます。"),
        "off_limits": (
            "{a} はそのままにしておいて。",
            "{a} はテストだけ触っていいよ。",
            "{a} はまた編集していいです。",
        ),
        "money": (
            "{a} の予算は {x} ユーロです。",
            "{a} はやっぱり {y} ユーロで。",
            "{a} の上限は忘れて、必要なだけ使って。",
        ),
        "tool": (
            "{a} では {y} ではなく {x} を使って。",
            "{a} は {y} に戻そう、{x} は不調だった。",
            "{a} は何で入れても大丈夫。",
        ),
        "approval": (
            "{a} のデプロイは私の返事を待って。",
            "{a} は {y} の一言で十分。",
            "{a} は聞かずにデプロイしていい。",
        ),
        "branch": (
            "{a} へのプッシュは控えて。",
            "{a} へはチェックが通ればプッシュ可。",
            "{a} へは自由にプッシュして。",
        ),
        "number": (
            "{a} の顧客番号は {x} です。",
            "打ち間違い、{a} は {y} でした。",
            "{a} の顧客番号はもうありません。",
        ),
        "deadline": ("{a} の締め切りは {x} です。", "{a} は {y} まで延びました。", "{a} の期日はなくなりました。"),
        "report": ("{a} の結果は {x} に送って。", "{a} の件は今日から {y} 宛てに。", "{a} の報告はもう不要です。"),
        "style": ("{a} はタブの方が好き。", "{a} はやはりスペースで。", "{a} の字下げはお任せ。"),
        "tests": ("{a} テストは当面飛ばして。", "{a} テストは速いものだけ。", "{a} テストは全部また回して。"),
        "prefix": (
            "{a} の新しい表は {x}_ で始める。",
            "{a} の表は今後 {y}_ で始める。",
            "{a} の表に接頭辞は要らない。",
        ),
        "region": ("{a} のデータは {x} に置く。", "移転した、{a} のデータは {y} へ。", "{a} のデータはどこでもいい。"),
        "tone": ("{a} にはくだけた調子で。", "{a} は丁寧な方がいいそうです。", "{a} にはどんな調子でもいい。"),
        "retries": ("{a} は {x} 回まで。", "{a} は {y} 回に増やして。", "{a} は必要なだけ試して。"),
    },
    "ru": {
        "ban": (
            "Никогда не правь {a} руками.",
            "Мелкие правки {a} руками допустимы.",
            "Теперь {a} можно править руками.",
        ),
        "always": (
            "Всегда отвечай {a} по-английски.",
            "Отвечай {a} по-немецки, пожалуйста.",
            "{a} читает на любом языке, выбирай сам.",
        ),
        "off_limits": ("Не трогай {a}.", "В {a} меняй только тесты.", "{a} снова можно править."),
        "money": (
            "На {a} у нас {x} евро.",
            "На {a} всё-таки {y} евро.",
            "По {a} денег не жалей.",
        ),
        "tool": (
            "В {a} бери {x} вместо {y}.",
            "В {a} вернёмся к {y}, с {x} одни проблемы.",
            "В {a} подойдёт любой менеджер пакетов.",
        ),
        "approval": (
            "Перед выкладкой {a} дождись моего ответа.",
            "Для {a} хватит слова от {y}.",
            "{a} выкладывай без спроса.",
        ),
        "branch": (
            "В {a} пока ничего не пушь.",
            "В {a} можно пушить, когда всё зелёное.",
            "В {a} пушь сколько хочешь.",
        ),
        "number": (
            "Номер клиента {a}: {x}.",
            "Опечатка, у {a} номер {y}.",
            "У {a} больше нет номера клиента.",
        ),
        "deadline": ("{a} сдаём {x}.", "Для {a} срок продлили до {y}.", "Срока для {a} больше нет."),
        "report": (
            "Всё, что найдёшь про {a}, шли {x}.",
            "Новости про {a} с сегодняшнего дня идут {y}.",
            "Отчёты про {a} больше не нужны.",
        ),
        "style": ("В {a} мне больше нравятся табы.", "В {a} лучше пробелы.", "В {a} отступы на твой вкус."),
        "tests": (
            "Тесты {a} пока пропускай.",
            "Из тестов {a} гоняй быстрые.",
            "Тесты {a} снова гоняй все.",
        ),
        "prefix": (
            "Новые таблицы {a} начинаются с {x}_.",
            "Таблицы {a} теперь начинаются с {y}_.",
            "Таблицам {a} префикс не нужен.",
        ),
        "region": (
            "Данные {a} остаются в {x}.",
            "Переезд: данные {a} теперь в {y}.",
            "Данные {a} могут лежать где угодно.",
        ),
        "tone": ("С {a} мы на ты.", "{a} просит обращаться на вы.", "С {a} тон любой."),
        "retries": ("На {a} не больше {x} попыток.", "Для {a} подними до {y}.", "Пробуй {a} сколько понадобится."),
    },
}
