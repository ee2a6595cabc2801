"""The words of a question find the sentence they ask for, in many languages and forms."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compressor.caches import TwoGenerationCache
from compressor.scoring import bm25 as bm25_module
from compressor.scoring.bm25 import bm25, matches, weighted_terms
from compressor.scoring.stop_words import find_languages
from compressor.scoring.token_index import TOKEN, TokenIndex, distinct_tokens, split_tokens, terms

#: A sentence with what is asked for and a number of days, and the question.
TEMPLATES = {
    "en": ("Invoice {} was paid by bank transfer after {} days.", "When was invoice {} paid?"),
    "de": ("Die Rechnung {} wurde nach {} Tagen per Überweisung bezahlt.", "Wann wurde die Rechnung {} bezahlt?"),
    "fr": ("La facture {} a été payée par virement après {} jours.", "Quand la facture {} a-t-elle été payée ?"),
    "es": ("La factura {} se pagó por transferencia tras {} días.", "¿Cuándo se pagó la factura {}?"),
    "pt": ("A fatura {} foi paga por transferência após {} dias.", "Quando foi paga a fatura {}?"),
    "it": ("La fattura {} è stata pagata con bonifico dopo {} giorni.", "Quando è stata pagata la fattura {}?"),
    "nl": ("Factuur {} is na {} dagen per overschrijving betaald.", "Wanneer is factuur {} betaald?"),
    "pl": ("Fakturę {} zapłacono przelewem po {} dniach.", "Kiedy zapłacono fakturę {}?"),
    "ru": ("Счёт {} был оплачен переводом через {} дней.", "Когда был оплачен счёт {}?"),
    "uk": ("Рахунок {} було сплачено переказом через {} днів.", "Коли було сплачено рахунок {}?"),
    "tr": ("{} numaralı fatura {} gün sonra havale ile ödendi.", "{} numaralı fatura ne zaman ödendi?"),
    "sv": ("Faktura {} betalades med överföring efter {} dagar.", "När betalades faktura {}?"),
    "ar": ("تم دفع الفاتورة {} بتحويل مصرفي بعد {} يوما.", "متى تم دفع الفاتورة {}؟"),
    "hi": ("चालान {} का भुगतान {} दिन बाद बैंक से किया गया।", "चालान {} का भुगतान कब किया गया?"),
    "id": ("Faktur {} dibayar melalui transfer setelah {} hari.", "Kapan faktur {} dibayar?"),
    "vi": ("Hóa đơn {} được thanh toán bằng chuyển khoản sau {} ngày.", "Khi nào hóa đơn {} được thanh toán?"),
    "zh": ("发票{}在{}天后通过银行转账付款。", "发票{}是什么时候付款的?"),
    "ja": ("請求書{}は{}日後に銀行振込で支払われました。", "請求書{}はいつ支払われましたか？"),
    "ko": ("송장 {}는 {}일 후 은행 송금으로 지불되었습니다.", "송장 {}는 언제 지불되었습니까?"),
    "th": ("ใบแจ้งหนี้ {} ชำระโดยโอนผ่านธนาคารหลังจาก {} วัน", "ใบแจ้งหนี้ {} ชำระเมื่อไหร่"),
}
KINDS = {
    "id": [f"INV-{1000 + i * 37}" for i in range(20)],
    "version": [f"v3.{i}.{(i * 3) % 4}" for i in range(20)],
    "section": [f"{1 + i // 5}.{1 + i % 5}" for i in range(20)],
    "date": [f"2024-{1 + i % 12:02d}-{1 + i:02d}" for i in range(20)],
    "day": [f"{i % 7 + 11} {'May July March'.split()[i % 3]}" for i in range(20)],
    "year": [str(1990 + i) for i in range(20)],
    "path": [f"src/app{i % 4}/view_{i}.py" for i in range(20)],
    "name": "Alice Bruno Chandra Dmitri Elena Farid Greta Hiro Imani Jonas Kira Liam Mei Nadia Oskar Priya Quentin "
    "Rosa Sven Tariq".split(),
}


def scores(question: str, texts: list[str]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    index = TokenIndex(texts)
    found: np.ndarray[tuple[int], np.dtype[np.float32]] = bm25(
        *matches(index, weighted_terms(((question, 1.0),))), index.lengths
    )
    return found


@pytest.mark.parametrize("language", TEMPLATES)
@pytest.mark.parametrize("kind", KINDS)
def test_of_twenty_sentences_alike_the_one_asked_for_is_first(language: str, kind: str) -> None:
    sentence, question = TEMPLATES[language]
    texts = [sentence.format(value, 30 + i % 3) for i, value in enumerate(KINDS[kind])]
    for i, value in enumerate(KINDS[kind]):
        found = scores(question.format(value), texts)
        assert found[i] > np.delete(found, i).max(), (value, texts[i], texts[int(found.argmax())])


@pytest.mark.parametrize("language", TEMPLATES)
def test_a_question_is_taken_for_its_own_language(language: str) -> None:
    question = TEMPLATES[language][1].format("INV-1185")
    assert find_languages(question, TOKEN.findall(question))[0] == language


@pytest.mark.parametrize(
    "question",
    [
        "When was invoice INV-1185 paid?",
        "die cast parts",
        "How far is Los Angeles from Las Vegas?",
        "errors in config/app.yaml",
        "los",
        "SELECT * FROM users WHERE id = 7",
        "",
    ],
)
def test_english_and_code_are_taken_for_no_other_language(question: str) -> None:
    assert find_languages(question, TOKEN.findall(question)) == ("en",)


def test_a_word_is_only_without_content_in_its_own_language() -> None:
    assert "die" in weighted_terms((("When did the cells die?", 1.0),))
    assert "die" not in weighted_terms((("Wann wurde die Rechnung bezahlt, und von wem?", 1.0),))
    both = weighted_terms((("Wann wurde die Rechnung bezahlt?", 1.0), ("The cells die.", 0.4)))
    assert both["die"] == pytest.approx(0.4)


#: Pairs of a question's word and a text's word that should meet, in both directions.
MEET = {
    "en": "retried/retry retrying/retry retries/retried study/studied running/run stopped/stop stopping/stops used/use "
    "using/uses named/name deployed/deployment installed/installation connections/connected tried/try copies/copying "
    "cancelled/cancel cached/cache applied/apply replies/reply migration/migrated validation/validated cities/city",
    "de": "Rechnung/Rechnungen bezahlt/bezahlte Häuser/Haus Kunde/Kunden Verträge/Vertrag kündigen/Kündigung "
    "Straße/Strassen prüfen/Prüfung Rabatt/Rabatte",
    "fr": "facture/factures payer/payée journal/journaux supprimer/supprimé résilier/résiliation créer/création",
    "es": "factura/facturas pagada/pagar canción/canciones cancelar/cancelación reunión/reuniones error/errores",
    "pt": "fatura/faturas paga/pago cancelar/cancelamento reunião/reuniões nacional/nacionais",
    "it": "fattura/fatture pagare/pagata cancellare/cancellazione riunione/riunioni banca/banche",
    "nl": "betaald/betaalde klant/klanten vergadering/vergaderingen",
    "pl": "faktura/fakturę zapłacono/zapłacona klienta/klientów umowa/umowy serwer/serwera",
    "ru": "счёт/счёта оплачен/оплачена договор/договора встреча/встречи ошибка/ошибки Москва/Москве",
    "uk": "рахунок/рахунку сплачено/сплачена помилка/помилки сервер/сервера",
    "tr": "fatura/faturalar fatura/faturanın sunucu/sunucuda toplantı/toplantıda",
    "sv": "faktura/fakturor kund/kunder möte/mötet server/servern",
    "id": "dibayar/bayar membayar/dibayar faktur/fakturnya",
    "hi": "चालान/चालानों किताब/किताबें",
    "ar": "الفاتورة/فاتورة والعقد/العقد اجتماع/الاجتماع",
    "ko": "서울에서/서울은 송장은/송장을 집에/집은 고양이/고양이가 나이가/나이",
    "zh": "发票/这张发票的 北京市/在北京 猫/这只猫",
    "ja": "食べる/食べた 会議室/会議 サーバー/サーバーが",
    "th": "ประชุม/การประชุม กรุงเทพ/ที่กรุงเทพ",
}
APART = {
    "en": "organ/organization import/important port/portion ration/rate state/station comment/command "
    "invoice/voice general/generation",
    "de": "Kunde/Kundgebung Rabatt/Rabbi Fehler/Fell",
    "fr": "client/climat facture/fracture",
    "es": "factura/fracaso reunión/región",
    "ru": "счёт/счастье договор/дорога",
    "pl": "klient/klej umowa/umysł",
    "ko": "서울/부산",
    "th": "ประชุม/กรุงเทพ",
}


def meets(word: str, other: str, language: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(bm25_module, "find_languages", lambda *_: (language,))
    monkeypatch.setattr(bm25_module, "_parts", TwoGenerationCache())
    return bool(len(matches(TokenIndex([other]), weighted_terms(((word, 1.0),)))[0]))


@pytest.mark.parametrize(("language", "pair"), [(x, p) for x, pairs in MEET.items() for p in pairs.split()])
def test_forms_of_a_word_meet(language: str, pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = pair.split("/")
    assert meets(a, b, language, monkeypatch) and meets(b, a, language, monkeypatch)


@pytest.mark.parametrize(("language", "pair"), [(x, p) for x, pairs in APART.items() for p in pairs.split()])
def test_other_words_do_not_meet(language: str, pair: str, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = pair.split("/")
    assert not meets(a, b, language, monkeypatch) and not meets(b, a, language, monkeypatch)


def test_a_whole_id_counts_more_than_its_parts() -> None:
    found = scores("Show ACME-77-B", ["ACME 77 is B or 77 B", "ACME-77-B is here", "B-77-ACME is here", "nothing"])
    assert found.argmax() == 1 and found[3] == 0
    assert scores("version 3.2.0", ["v2.3.0", "v3.2.0", "v3.0.2"]).argmax() == 1


def test_days_are_found_with_and_without_a_leading_zero() -> None:
    assert scores("5 May", ["2024-06-07", "05.06.2024"]).argmax() == 1


def test_digits_of_other_scripts_are_digits() -> None:
    assert terms("٢٠٢٤") == terms("२०२४") == terms("２０２４") == ["2024"]


def test_marks_do_not_cut_words() -> None:
    assert terms("हिन्दी")[0] == terms("हिन्दी भाषा")[0] and len(terms("हिन्दी")) == 1
    assert terms("Mu\u0308nchen") == terms("München") == ["munchen"]
    assert terms("Müller@firma.de") == ["muller", "firma", "de"]


@pytest.mark.parametrize(
    "text", ["東京でのデータベース会議は", "การประชุมที่กรุงเทพ", "서울에서 열린 회의는", "API接口2024年", "ភាសាខ្មែរ"]
)
def test_texts_and_queries_are_cut_alike(text: str) -> None:
    index = TokenIndex([text])
    assert set(index.vocabulary) == distinct_tokens(text)
    assert {t for found in index.terms for t in found} == set(terms(text))
    assert len(index.vocabulary) > 1


@given(st.lists(st.text(max_size=40), min_size=1, max_size=5), st.text(max_size=40))
def test_any_text_can_be_indexed_and_asked(texts: list[str], question: str) -> None:
    index = TokenIndex(texts)
    assert len(index.lengths) == len(texts) and len(index.token) == index.lengths.sum()
    found = scores(question, texts)
    assert len(found) == len(texts) and np.isfinite(found).all() and (found >= 0).all()


@given(
    st.lists(st.text(st.sampled_from("aB1 .-_/東京のデ서울กรุงเ\u0301é\u200dहि"), max_size=12), min_size=1, max_size=4)
)
def test_an_index_has_the_tokens_of_its_texts(texts: list[str]) -> None:
    index = TokenIndex(texts)
    vocabulary = list(index.vocabulary)
    for i, text in enumerate(texts):
        assert [vocabulary[v] for v in index.token[index.unit == i]] == split_tokens(text)
