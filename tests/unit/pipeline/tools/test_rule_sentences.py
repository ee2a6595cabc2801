"""Which sentences of a description outlive the others: rules, warnings, formats, units, meanings of values."""

from __future__ import annotations

import pytest

from compressor.pipeline.tools.description_shrinking import shorten
from compressor.pipeline.tools.rule_sentences import count_rules, explains_value, is_rule, is_warning, split_sentences

WARNINGS = [
    "Deletes the repository after the user confirms its exact name.",
    "This cannot be undone.",
    "This operation is destructive.",
    "It will overwrite the file without warning.",
    "Unsafe: runs any code on the server.",
    "DEPRECATED: use read_text_file instead.",
    "If the user names an author, DO NOT use this tool.",
    "Never send a mail without asking.",
    "Das kann nicht rückgängig gemacht werden.",
    "Nur nach Bestätigung des Kunden aufrufen.",
    "N'utilisez pas cet outil en production.",
    "Cette action est irréversible.",
    "Esta acción es irreversible.",
    "Nunca borre la tabla.",
    "此操作不可撤销。",
    "调用前请用户确认。",
    "この操作は元に戻せません。",
    "Это действие необратимо, нельзя отменить.",
    "Once sent, a payment can't be recalled.",
    "No longer maintained; prefer list_items.",
    "Die Daten gehen verloren.",
    "Toutes les données seront perdues.",
    "Se perderán todos los datos.",
    "请谨慎使用。",
    "データは完全に削除されます。",
]
RULES = [
    "The path must be absolute.",
    "Only works within allowed directories.",
    "At most 5 calls per minute are accepted.",
    "Call list_tables first.",
    "The date has the format YYYY-MM-DD.",
    "Amount in cents.",
    "Maximum 100.",
    "From 1 to 9.",
    "Use the same key again, otherwise the money is sent twice.",
    "Höchstens 80 Zeichen.",
    "Zuerst muss die Rechnung geprüft werden.",
    "Le chemin doit être absolu.",
    "Debe ser una ruta absoluta.",
    "必须使用绝对路径。",
    "最大100件まで。",
    "Дата должна быть в будущем.",
    "Needs a prior login.",
    "Times are in UTC.",
    "Works on Linux only.",
    "Ne fonctionne qu'en France.",
    "El importe va en céntimos.",
    "日期格式为YYYY-MM-DD。",
    "先にログインしてください。",
]
PROSE = [
    "Returns the weather of a city.",
    "It was written by the team in Bonn.",
    "Sucht einen Ort.",
    "Renvoie la liste des villes.",
    "返回城市的天气。",
    "This tool is part of our suite and helps teams work together.",
    "Zeigt die offenen Rechnungen.",
    "Muestra el tiempo.",
    "都市の名前。",
    "For example, 'A-17' gives the first account.",
]


@pytest.mark.parametrize("sentence", WARNINGS)
def test_warnings(sentence: str) -> None:
    assert is_warning(sentence) and is_rule(sentence)


@pytest.mark.parametrize("sentence", RULES)
def test_rules(sentence: str) -> None:
    assert is_rule(sentence)


@pytest.mark.parametrize("sentence", PROSE)
def test_prose(sentence: str) -> None:
    assert not is_rule(sentence) and not is_warning(sentence)


def test_rules_outlive_the_first_sentence_and_warnings_outlive_rules() -> None:
    prose, rule, warning = "Runs a statement.", "It must end without a semicolon.", "This cannot be undone."
    text = f"{prose} {rule} It has been here for years. {warning} Many teams like it."
    assert shorten(text, 1, 100) == f"{prose} {rule} {warning}"
    assert shorten(text, 0, 0) == f"{rule} {warning}"
    assert shorten(text, 0, 0, "warnings") == warning
    assert shorten(text, 1, 100, "none") == prose
    assert shorten(text, 0, 0, "none") == ""
    assert shorten(text, 9, 1000) == text
    assert shorten("", 3, 100) == ""
    assert count_rules(text) == 2 and "".join(split_sentences(text)) == text
    long = "Runs a statement, " + "with much to say about it, " * 20 + "and ends."
    assert len(shorten(f"{long} {rule}", 1, 60, clip=True)) < 110
    assert shorten(f"{long} {rule}", 1, 60, clip=True).endswith(rule)


def test_meanings_of_values_stay_with_their_parameter() -> None:
    values = ("open", "closed")
    assert explains_value("'open' - still to be done by someone.", values)
    assert not explains_value("Either open, or closed.", values)
    assert not explains_value("Still to be done.", values)
    text = "The state of it. 'open' means still to be done. 'closed' means done by somebody."
    assert shorten(text, 0, 0, values=values) == "'open' means still to be done. 'closed' means done by somebody."
