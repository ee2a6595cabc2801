"""Words by which a sentence is known to state a rule or to warn, as parts of regular expressions.

They are English, German, Dutch, French, Spanish, Portuguese, Italian, Russian; Chinese and Japanese are separate.
"""

#: Obligation and prohibition, order, consent and danger, limits and formats.
RULE_WORDS = (
    r"must|mandatory|only|never|always|do not|don't|does not|doesn't|not|cannot|can't|won't|may not|shall|should"
    r"|avoid|refuse[sd]?|otherwise|or else|require[sd]?|requirement|unless|except|instead|prefer(?:red)?|ensure"
    r"|make sure|be sure|needs?|omit(?:ted)?|leave (?:it )?(?:out|empty|blank)|forbidden|prohibited|disallowed"
    r"|allowed|supported|unsupported|note|important|beware|idempotent|admin\w*|rights|costs?|cannot be \w+"
    r"|before (?:calling|using|you|this|any|it)|after (?:calling|the user|you|confirm\w*)"
    r"|call (?:this )?(?:\w+ )?first|first call|ask (?:the )?users?|prior to|confirm\w*|consent|approv\w+"
    r"|permissions?|warning|caution|careful\w*|danger\w*|unsafe|destructive|irreversibl[ey]|reversible|undo(?:ne)?"
    r"|permanent(?:ly)?|overwrit\w+|delet\w+ all|lost|loss|deprecated|obsolete|legacy|superseded|removed in"
    r"|experimental|sensitive|secrets?|credentials?|charge[sd]?|billed|max(?:imum)?|min(?:imum)?|at (?:most|least)"
    r"|up to|no (?:more|less|fewer) than|more than one|exactly|limit(?:ed|s)?|range|between|rate"
    r"|per (?:second|minute|hour|day|call|request|page)|format(?:ted|s)?|iso|rfc|utc|gmt|e\.164|regex(?:p)?|pattern"
    r"|encoded|base64|absolute|relative|case[- ](?:in)?sensitive|comma[- ]separated|unit|units"
    r"|in (?:milli|micro)?seconds|in (?:minutes|hours|days|cents|meters|metres|bytes|pixels|percent|degrees)"
    r"|defaults?|ignored|invalid|fails?|error|mutually exclusive|either|neither|one of|combined? with"
    r"|valid (?:values|options)|muss|müssen|darf|dürfen|nur|nie(?:mals)?|nicht|kein\w*|immer|vorher|zuerst"
    r"|bestätig\w+|zustimm\w+|warnung|achtung|vorsicht|unwiderruflich|endgültig|rückgängig|veraltet|stattdessen"
    r"|höchstens|mindestens|maximal|minimal|absolut\w*|hinweis|wichtig|beacht\w+|erlaubt|verboten|unzulässig|sonst"
    r"|andernfalls|erforderlich|pflicht|überschreib\w+|gefährlich|moet(?:en)?|alleen|nooit|niet|bevestig\w+|doit"
    r"|doivent|uniquement|seulement|jamais|ne \w+ pas|n'\w+ pas|toujours|avant|obligatoire\w*|requis\w*|attention"
    r"|avertissement|irréversible\w*|définitive\w*|obsolète\w*|déprécié\w*|confirm\w+|absolu\w*|écras\w+|sinon"
    r"|d'abord|important\w*|interdit\w*|il faut|remarque|réservée?s?|pas|debe[ns]?|deve[m]?|solo|sólo|solamente"
    r"|únicamente|somente|apenas|nunca|siempre|sempre|antes de|obligatori\w+|obrigatóri\w+|obbligatori\w+"
    r"|requerid\w+|advertencia|atención|atenção|attenzione|irreversible\w*|irreversível|irreversibile|permanente\w*"
    r"|obsolet\w+|máximo|mínimo|massimo|absolut[ao]|assolut[ao]|importante|prohibid[oa]|proibid[oa]|vietat[oa]"
    r"|no se (?:puede|debe)|no debe[ns]?|hay que|não (?:pode|deve)|de lo contrario|primero|prima di|sobrescrib\w+"
    r"|mai|devono|должен|должна|должны|нельзя|только|никогда|обязательн\w+|необратим\w+|устарел\w*|подтвержд\w+"
    r"|подтверд\w+|осторожно|важно|запрещ\w+|нужно|требу\w+|не более|не менее|формат\w*|has to|have to|sparingly"
    r"|in (?:euros?|dollars?|pounds?|cent|céntimos|centimes)|euros?|ne \w+ qu\w*|sin \w+ar|céntimos?|centimes?"
)
#: The same in scripts without spaces.
UNSEGMENTED_RULE_WORDS = (
    r"必须|必須|务必|不得|禁止|不要|请勿|切勿|不能|仅|只能|只有|只在|确认|確認|警告|注意|不可逆|不可撤销|无法撤销"
    r"|永久|危险|弃用|已废弃|最多|最大|最小|至少|格式|绝对路径|覆盖|之前|先调用|默认|单位|不可|不支持|仅限|限制|需要"
    r"|须|应先|必要|できません|まで|前提|許可|のみ|だけ|してはいけ|しないで|ないでください|なければ|必ず|元に戻せ"
    r"|取り消せ|非推奨|代わりに|以内|以上|以下|形式|絶対パス|上書き|前に|単位|禁じ|只|先|てください"
)
#: The call does harm, needs consent, or must not be made.
WARNING_WORDS = (
    r"never|cannot be (?:undone|recovered|restored|reversed)|no way back|for good|wiped|erased|purged|beware"
    r"|must not|mustn't|(?:do|does) not (?:use|call|run|invoke)|don't (?:use|call|run|invoke)|can't be undone"
    r"|not reversible|irreversibl[ey]|destructive|permanent(?:ly)?|unsafe|danger\w*|caution|careful\w*|warning"
    r"|without (?:warning|asking|confirmation)|deprecated|obsolete|superseded|use \w+ instead|confirm(?:s|ed)?"
    r"|(?:user|customer|owner)(?:'s)? (?:consent|approval|confirmation|permission|agrees)"
    r"|explicit (?:consent|approval)|explicit(?:ly)? (?:asks?|requests?|asked|requested)|ask (?:the )?users?"
    r"|at your own risk|real money|(?:is|be|are) charged|niemals?|nicht rückgängig|unwiderruflich|endgültig|achtung"
    r"|vorsicht|warnung|gefährlich|bestätig\w+|zustimm\w+|veraltet|nicht (?:verwenden|aufrufen|benutzen)"
    r"|einwilligung|onomkeerbaar|nooit|bevestig\w+|jamais|irréversible\w*|définitiv\w+|attention ?[:!]|avertissement"
    r"|obsolète\w*|déprécié\w*|l'accord"
    r"|(?:after|with|without|needs?|requires?|après|avec|sans) (?:[\w']+ ){0,2}confirmation|confirm[ée]\w*"
    r"|ne pas (?:utiliser|appeler)|n'utilisez pas|nunca|jamás|irreversib\w+|advertencia|atención|atenção|attenzione"
    r"|peligros\w+|perigos\w+|pericolos\w+|obsolet\w+|confirm[aeoi]\w*|no (?:use|usar|utilice|llame)"
    r"|não (?:use|usar|chame)|consentimiento|consentimento|mai|необратим\w+|никогда|нельзя|осторожно|подтвержд\w+"
    r"|подтверд\w+|устарел\w*|внимание|опасн\w+|(?:is|are) final|(?:can't|cannot) be \w+ed|with care"
    r"|no longer (?:maintained|supported|used)|(?:is|are|be|get) (?:lost|discarded)|data loss|verloren|unumkehrbar"
    r"|nicht mehr (?:unterstützt|gepflegt|verwendet)|rückfrage|nachfragen|erlaubnis|genehmigung|perdue?s?|prudence"
    r"|permission|autorisation|n'est plus \w+|sans (?:demander|avertir)|perder\w*|pierden?|permiso|ya no se \w+"
    r"|cuidado|sin (?:preguntar|avisar|confirmar)|perdid[oa]s?|permissão|sem (?:perguntar|avisar)|permesso|cautela"
    r"|senza (?:chiedere|avvisare)|потерян\w*|разрешени\w+|безвозвратно"
)
#: The same in scripts without spaces.
UNSEGMENTED_WARNING_WORDS = (
    r"不可撤销|不可逆|无法撤销|无法恢复|不能恢复|警告|危险|切勿|请勿|禁止|不得|确认|確認|同意|弃用|已废弃|永久"
    r"|元に戻せ|取り消せ|危険|非推奨|許可|承認|ないでください|してはいけ|決して|破壊的|谨慎|丢失|小心|完全に削除"
    r"|慎重|失われ"
)
