"""Holds what users say in generated runs, in eight languages: rules that are set, changed and lifted.

Each rule is about an object `{a}`, with a value `{x}` at first and `{y}` later. Few have a word such as "never".
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.facts_kept_rules_more import RULES_MORE, Rules


@dataclass(frozen=True)
class RuleKind:
    """A kind of rule: names of objects, and pairs of values (`x`, `y`)."""

    objects: tuple[str, ...]
    values: tuple[tuple[str, str], ...] = (("", ""),)


_FILES = ("payments.py", "src/billing", "infra/prod.tf", "legacy/orders", "schema.sql", "vendor/auth")
_SERVICES = ("checkout", "inventory-api", "mailer", "search-worker", "ledger", "image-proxy")
_PEOPLE = ("Ms. Okafor", "the Lindqvist team", "Dr. Amrani", "Kestrel Ltd", "Mr. Tanabe")
RULE_KINDS = {
    "ban": RuleKind(("generated/client.ts", "CHANGELOG.old", "locales/base.json", "config/limits.yaml")),
    "always": RuleKind(("the support desk", "Herr Brandt", "the auditors", "Mme Girard")),
    "off_limits": RuleKind(_FILES),
    "money": RuleKind(("hosting", "advertising", "translations", "load tests"), (("200", "350"), ("1,200", "900"))),
    "tool": RuleKind(("web/", "services/api", "docs-site"), (("pnpm", "npm"), ("uv", "pip"), ("bun", "yarn"))),
    "approval": RuleKind(_SERVICES, (("", "Priya"), ("", "Jonas"))),
    "branch": RuleKind(("main", "release/4.2", "develop", "hotfix-9")),
    "number": RuleKind(_PEOPLE, (("K-1001", "K-2002"), ("8834-A", "8843-A"))),
    "deadline": RuleKind(("the migration", "the audit", "ticket OPS-771"), (("2026-05-12", "2026-06-03"),)),
    "report": RuleKind(("latency", "churn", "the outage of May"), (("ana@corp.example", "li@corp.example"),)),
    "style": RuleKind(("Makefile.common", "parser.go", "theme.css", "report.sql")),
    "tests": RuleKind(("integration", "browser", "contract", "payments e2e")),
    "prefix": RuleKind(("shipping", "loyalty", "returns"), (("shp", "ship"), ("loy", "bonus"))),
    "region": RuleKind(("EU customers", "the pilot group", "archive 2019"), (("eu-west-1", "eu-central-1"),)),
    "tone": RuleKind(_PEOPLE),
    "retries": RuleKind(_SERVICES, (("3", "8"), ("2", "5"))),
}
#: By language and kind: a rule is set, changed, lifted.
RULES: Rules = {
    "en": {
        "ban": (
            "Never change {a} by hand.",
            "{a}: small changes by hand are fine.",
            "You can edit {a} by hand from now on.",
        ),
        "always": (
            "You must always answer {a} in English.",
            "Answer {a} in German, please.",
            "{a} reads any language, pick one.",
        ),
        "off_limits": (
            "Leave {a} alone.",
            "In {a} you may touch the tests, nothing else.",
            "{a} is open for edits again.",
        ),
        "money": (
            "The budget for {a} is {x} euros.",
            "Make that {y} euros for {a} after all.",
            "Forget the limit for {a}, spend what it takes.",
        ),
        "tool": (
            "Use {x} instead of {y} in {a}.",
            "Back to {y} in {a}, {x} gave us trouble.",
            "In {a} any package manager is fine now.",
        ),
        "approval": (
            "Wait for my OK before you deploy {a}.",
            "For {a} a word from {y} is enough.",
            "You can deploy {a} without asking.",
        ),
        "branch": (
            "No pushes to {a}, please.",
            "Pushes to {a} are fine once the checks are green.",
            "Push to {a} as you like.",
        ),
        "number": (
            "The customer number for {a} is {x}.",
            "Sorry, I mistyped: for {a} it is {y}.",
            "{a} has no customer number any more.",
        ),
        "deadline": ("{a} is due on {x}.", "{a} got more time, until {y}.", "There is no date for {a} any longer."),
        "report": (
            "Send what you find about {a} to {x}.",
            "News about {a} goes to {y} from today.",
            "Nobody needs reports about {a} these days.",
        ),
        "style": ("I prefer tabs in {a}.", "Spaces in {a} after all.", "Indent {a} however you want."),
        "tests": (
            "Skip the {a} tests for the time being.",
            "Of the {a} tests, run the fast ones.",
            "Run the {a} tests again, all of them.",
        ),
        "prefix": (
            "New tables of {a} start with {x}_.",
            "Tables of {a} start with {y}_ now.",
            "The tables of {a} need no prefix.",
        ),
        "region": (
            "The data of {a} stays in {x}.",
            "We moved: the data of {a} belongs in {y}.",
            "The data of {a} can lie anywhere.",
        ),
        "tone": ("Write to {a} informally.", "{a} would like it formal.", "With {a} any tone will do."),
        "retries": ("Give {a} {x} tries at most.", "Raise that to {y} tries for {a}.", "Try {a} as often as needed."),
    },
    "de": {
        "ban": (
            "Ändere {a} niemals von Hand.",
            "Kleine Änderungen an {a} sind von Hand in Ordnung.",
            "{a} darfst du ab jetzt von Hand ändern.",
        ),
        "always": (
            "{a} musst du immer auf Englisch antworten.",
            "Antworte {a} bitte auf Deutsch.",
            "{a} versteht jede Sprache, such dir eine aus.",
        ),
        "off_limits": (
            "Finger weg von {a}.",
            "In {a} darfst du nur die Tests anfassen.",
            "{a} ist wieder frei für Änderungen.",
        ),
        "money": (
            "Für {a} haben wir {x} Euro.",
            "Für {a} sind es jetzt doch {y} Euro.",
            "Bei {a} spielt Geld keine Rolle mehr.",
        ),
        "tool": (
            "Nimm in {a} bitte {x} statt {y}.",
            "In {a} zurück zu {y}, {x} macht Ärger.",
            "In {a} ist mir das Paketwerkzeug inzwischen egal.",
        ),
        "approval": (
            "Warte auf mein Okay, ehe du {a} ausrollst.",
            "Bei {a} reicht ein Wort von {y}.",
            "{a} kannst du ohne Rückfrage ausrollen.",
        ),
        "branch": (
            "Bitte keine Pushes auf {a}.",
            "Pushes auf {a} sind in Ordnung, sobald alles grün ist.",
            "Auf {a} kannst du pushen, wie du willst.",
        ),
        "number": (
            "Die Kundennummer von {a} ist {x}.",
            "Vertippt, bei {a} ist es {y}.",
            "{a} hat keine Kundennummer mehr.",
        ),
        "deadline": (
            "{a} muss am {x} fertig sein.",
            "Für {a} haben wir bis {y} Zeit.",
            "Für {a} gibt es kein Datum mehr.",
        ),
        "report": (
            "Was du über {a} findest, geht an {x}.",
            "Neues zu {a} schickst du ab heute an {y}.",
            "Berichte über {a} braucht niemand mehr.",
        ),
        "style": ("In {a} mag ich Tabs lieber.", "In {a} doch lieber Leerzeichen.", "{a} rückst du ein, wie du magst."),
        "tests": (
            "Die {a}-Tests lassen wir vorerst aus.",
            "Von den {a}-Tests nur die schnellen.",
            "Die {a}-Tests laufen wieder alle mit.",
        ),
        "prefix": (
            "Neue Tabellen von {a} beginnen mit {x}_.",
            "Tabellen von {a} beginnen nun mit {y}_.",
            "Die Tabellen von {a} brauchen kein Präfix.",
        ),
        "region": (
            "Die Daten von {a} bleiben in {x}.",
            "Umzug: Die Daten von {a} gehören nach {y}.",
            "Die Daten von {a} dürfen überall liegen.",
        ),
        "tone": ("Mit {a} sind wir per Du.", "{a} möchte gesiezt werden.", "Bei {a} ist die Anrede egal."),
        "retries": (
            "Für {a} höchstens {x} Versuche.",
            "Bei {a} dürfen es {y} Versuche sein.",
            "{a} versuchst du, so oft es nötig ist.",
        ),
    },
    "es": {
        "ban": ("Nunca cambies {a} a mano.", "En {a} valen cambios pequeños a mano.", "Ya puedes editar {a} a mano."),
        "always": (
            "A {a} debes responder siempre en inglés.",
            "Responde a {a} en alemán, por favor.",
            "{a} lee cualquier idioma, elige uno.",
        ),
        "off_limits": ("Deja {a} en paz.", "En {a} toca solo las pruebas.", "{a} vuelve a estar abierto a cambios."),
        "money": (
            "El presupuesto para {a} es de {x} euros.",
            "Al final son {y} euros para {a}.",
            "Olvida el límite de {a}, gasta lo que haga falta.",
        ),
        "tool": (
            "Usa {x} en lugar de {y} en {a}.",
            "Volvemos a {y} en {a}, {x} nos dio problemas.",
            "En {a} vale cualquier gestor de paquetes.",
        ),
        "approval": (
            "Espera mi visto bueno antes de desplegar {a}.",
            "Para {a} basta con que lo diga {y}.",
            "Puedes desplegar {a} sin preguntar.",
        ),
        "branch": (
            "Nada de push a {a}, por favor.",
            "Un push a {a} está bien si las pruebas pasan.",
            "Haz push a {a} cuando quieras.",
        ),
        "number": (
            "El número de cliente de {a} es {x}.",
            "Perdón, me equivoqué: el de {a} es {y}.",
            "{a} ya no tiene número de cliente.",
        ),
        "deadline": ("{a} se entrega el {x}.", "{a} tiene más tiempo, hasta el {y}.", "Ya no hay fecha para {a}."),
        "report": (
            "Lo que encuentres sobre {a}, a {x}.",
            "Las novedades de {a} van a {y} desde hoy.",
            "Ya nadie necesita informes sobre {a}.",
        ),
        "style": ("En {a} prefiero tabuladores.", "En {a} mejor espacios.", "Sangra {a} como te guste."),
        "tests": (
            "Sáltate por ahora las pruebas {a}.",
            "De las pruebas {a}, ejecuta las rápidas.",
            "Ejecuta otra vez todas las pruebas {a}.",
        ),
        "prefix": (
            "Las tablas nuevas de {a} empiezan por {x}_.",
            "Las tablas de {a} empiezan ahora por {y}_.",
            "Las tablas de {a} no llevan prefijo.",
        ),
        "region": (
            "Los datos de {a} se quedan en {x}.",
            "Mudanza: los datos de {a} van a {y}.",
            "Los datos de {a} pueden estar donde sea.",
        ),
        "tone": ("A {a} escríbele de tú.", "{a} prefiere el trato de usted.", "Con {a} vale cualquier tono."),
        "retries": (
            "Como mucho {x} intentos para {a}.",
            "Súbelo a {y} intentos para {a}.",
            "Intenta {a} las veces que haga falta.",
        ),
    },
    **RULES_MORE,
}
