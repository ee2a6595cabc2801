"""Redaction: what is found, what stays, that it takes no time, and what stores keep and give back."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path

import pytest

from compressor import Compressor
from compressor.context.refs import compute_ref
from compressor.errors import CompressorError, ExpiredRefError, StoreError, UnknownRefError
from compressor.storage import MemoryStore, SQLiteStore
from compressor.storage.base import get_many
from compressor.storage.wrappers.redacting import REDACTED_PREFIX, RedactingStore
from compressor.text.redaction import count_redactions, redact, redact_json
from support.cpu_time import cpu_time_below
from support.property_tests import given, st

_R = random.Random(5)


def some(size: int, of: str = string.ascii_letters + string.digits) -> str:
    """Random characters, a digit and both cases among them. Put together here: no scanner has to warn of this file."""
    return "".join(_R.choices(of, k=size - 3)) + "a7Z"


B64 = some(64)
SECRETS = {
    "aws_key": "AKIA" + "".join(_R.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=16)),
    "github_token": "ghp_" + some(36),
    "gitlab_token": "glpat-" + some(20),
    "slack_token": "xoxb-" + "123456789012-" + some(24),
    "slack_webhook": "hooks.slack.com/services/T0AB12CD3/B0AB12CD3/" + some(24),
    "stripe_key": "sk_live_" + some(24),
    "google_key": "AIza" + some(35),
    "huggingface_token": "hf_" + some(34),
    "package_token": "npm_" + some(36),
    "sendgrid_key": "SG." + some(22) + "." + some(43),
    "cloud_token": "dop_v1_" + "0f" * 32,
    "telegram_token": "123456789:AA" + some(33),
    "compressor_key": "ck_" + some(43),
    "api_key": "sk-proj-" + some(48),
    "jwt": "eyJ" + some(20) + "." + some(40) + "." + some(43),
}
BLOCK = f"-----BEGIN RSA PRIVATE KEY-----\n{B64}\n{B64[:40]}==\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize(
    "around", ["{}", "KEY={}\nX=1", "curl -H 'X: {}' https://a.example", '{{"a": "{}"}}', "see\\n{}\\nend", "({}),"]
)
def test_what_has_a_form_is_found_wherever_it_stands(kind: str, around: str) -> None:
    secret = SECRETS[kind]
    made = redact(around.format(secret))
    assert secret not in made and secret[8:] not in made and f"[redacted:{kind}]" in made
    assert made == around.format(f"[redacted:{kind}]")
    assert redact(made) == made


FIXED_LENGTHS = ("aws_key", "google_key", "package_token", "cloud_token", "compressor_key")


@given(st.lists(st.sampled_from(FIXED_LENGTHS), min_size=2))
def test_keys_of_a_fixed_length_are_found_directly_behind_each_other(kinds: list[str]) -> None:
    # An AWS key is one only if no letter or digit follows, so here it can only be the last one.
    kinds = [kind for kind, after in zip(kinds, [*kinds[1:], ""], strict=True) if kind != "aws_key" or not after]
    made = redact("x=" + "".join(SECRETS[kind] for kind in kinds))
    assert made == "x=" + "".join(f"[redacted:{kind}]" for kind in kinds)
    assert redact(made) == made


def test_a_backslash_that_is_no_escape_hides_nothing() -> None:
    for kind, secret in SECRETS.items():
        if secret[0] not in "nrtbfu":  # or nobody can tell whether the letter is the escape's
            assert redact(f"login OFFICE\\{secret}, please") == f"login OFFICE\\[redacted:{kind}], please"


@pytest.mark.parametrize("text", [BLOCK, BLOCK.replace("\n", "\\n"), BLOCK.replace("\n", "\r\n")])
def test_private_keys(text: str) -> None:
    assert redact(f"a {text} b") == "a [redacted:private_key] b"
    assert redact(f"{text}\n{text}") == "[redacted:private_key]\n[redacted:private_key]"
    short = text[: text.index(B64[:40] + "==") + 30]  # cut off
    assert B64 not in redact(f"{short}\n\nAnd so on.") and redact(f"{short}\n\nAnd so on.").endswith("And so on.")
    assert redact("put -----BEGIN PRIVATE KEY----- in front") == "put -----BEGIN PRIVATE KEY----- in front"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("postgres://app:s3cr3t@db:5432/x", "postgres://app:[redacted:password]@db:5432/x"),
        ("redis://:hunter@host", "redis://:[redacted:password]@host"),
        ("Authorization: Bearer abcDEF123456ghiJKL789", "Authorization: Bearer [redacted:bearer_token]"),
        ("Basic dXNlcjpwYXNzd29yZDEyMw==", "Basic [redacted:password]"),
        ("DB_PASSWORD=Tr0ub4dor", "DB_PASSWORD=[redacted:password]"),
        ("password: 'correct Horse 9 battery'", "password: '[redacted:password]'"),
        ('{"api_key": "9f86d081884c7d65"}', '{"api_key": "[redacted:secret]"}'),
        ('{\\"apiKey\\":\\"9f86d081884c7d65\\"}', '{\\"apiKey\\":\\"[redacted:secret]\\"}'),
        ("aws_secret_access_key = wJalrXUtnFEMI/K7MDENGbPxRfiCY", "aws_secret_access_key = [redacted:secret]"),
        ("?access_token=a81bc81bdead4e5d&x=1", "?access_token=[redacted:secret]&x=1"),
        ("run --password Tr0ub4dor --x", "run --password [redacted:password] --x"),
        ("<password>Tr0ub4dor</password>", "<password>[redacted:password]</password>"),
        ("X-Api-Key: 9f86d081884c7d65", "X-Api-Key: [redacted:secret]"),
        ("İ secret=9f86d081884c7d65", "İ secret=[redacted:secret]"),
    ],
)
def test_what_stands_behind_a_name_is_found(text: str, left: str) -> None:
    assert redact(text) == left and redact(left) == left


@pytest.mark.parametrize(
    "text",
    [
        "order #W9527409, item 4947717507, payment credit_card_9513926, user yusuf_rossi_9620",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b, sha256:9f86d081884c7d659a2feaa0c55ad015a3",
        "id 550e8400-e29b-41d4-a716-446655440000 at 2024-05-15T15:00:00Z from 10.0.0.1:8080",
        "cut ref 123456789012 […cut ref 210987654321]",
        "password = self.cleaned_data.get('password2')",
        'api_key=os.environ["OPENAI_API_KEY"] token = token.contents.split() secret=settings.SECRET_KEY2',
        "PASSWORD=$DB_PASS1 token: ${TOKEN_1} api_key={{ key1 }} secret: /run/secrets/db1",
        "SECRET_KEY = 'a-very-secret-key', password='password', redis://[[user]:[password]]@host",
        "api_key: Explicitly-provided API key, token: Self-Signed.",
        'max_tokens: 12345678, "next_page_token": "CAUQAA9xYz12", token_count=81928192, primary_key=12ab34cd56',
        "the tokenizer counts tokens; a bearer of bad news; basic understanding-of-things",
        "sk-toggleable__label-arrow sk-estimator-doc-link-class",
        "http://localhost:8080/a@b https://user@host/x git@github.com:a/b.git",
        "AKIA is what they begin with, ghp_ too, and hf_hub_download",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text) == text


def test_cards_and_addresses_only_on_request() -> None:
    text = "pay 4111 1111 1111 1111 or 5555555555554444 or 378282246310005, write to jo.doe+x@mail.example.org"
    assert redact(text) == text
    assert redact(text, "all") == (
        "pay [redacted:card] or [redacted:card] or [redacted:card], write to [redacted:email]"
    )
    for number in (
        "4111111111111112",
        "1234567812345670",
        "1700000000000000",
        "41111111111111111",
        "4111-111111111111",
    ):
        assert redact(number, "all") == number  # a digit off, nobody's, a time, too long
    assert redact('{"m": "a\\njo@mail.example"}', "all") == '{"m": "a\\n[redacted:email]"}'
    assert json.loads(redact_json('{"card": 4111111111111111, "id": 7}', "all")) == {"card": "[redacted:card]", "id": 7}
    assert redact(text, "off") == text
    with pytest.raises(CompressorError, match="secrets, all"):
        RedactingStore(MemoryStore(), "some")


HOSTILE = [
    *("a", "key", "-", "--", "\\", "\\n", "1", "@", "a@", "a.", "a@b.", "://", "://a:", "eyJ", "sk-", "ghp_", "xoxb-"),
    *("-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nMIIE", "-----END PRIVATE KEY-----", "eyJaaaaaaaa-"),
    *("eyJaaaaaaaa.", "password=", "password='", 'password="', "token=aaaaaaaa", "secret=aA1://", "password: \\\\\\\\"),
    *("bearer ", "Bearer aaaaaaaaaaaaaaaa", "--password ", "4111 ", "4111111111111111 ", "token:   ", "api_key=a://"),
]


@pytest.mark.moderate
@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_takes_long(piece: str) -> None:
    """Twice the text takes about twice the time: 60 kB of it about a second at most on any machine."""
    text = piece * (60_000 // len(piece)) + " AKIA PRIVATE KEY eyJ :// bearer basic @ password"
    with cpu_time_below(1.5):
        redact(text, "all")


@pytest.mark.slow
@pytest.mark.parametrize("piece", HOSTILE)
def test_a_megabyte_takes_less_than_a_second(piece: str) -> None:
    text = piece * (1_000_000 // len(piece)) + " AKIA PRIVATE KEY eyJ :// bearer basic @ password"
    with cpu_time_below(5):
        redact(text, "all")


_PARTS = st.lists(
    st.one_of(
        st.sampled_from(
            [*SECRETS.values(), BLOCK, "password=", '"', "'", "\\", "\n", "Tr0ub4dor", "a@b.example", "://u:p@"]
        ),
        st.text(max_size=8),
    ),
    max_size=12,
)


@given(_PARTS, st.sampled_from(["secrets", "all"]), st.integers(1, 3))
def test_json_stays_json_however_deep_it_is_escaped(parts: list[str], level: str, deep: int) -> None:
    text = json.dumps({"a": ["".join(parts), 7]}, ensure_ascii=deep == 1)
    for _ in range(deep - 1):
        text = json.dumps({"arguments": text})
    made = redact_json(text, level)
    json.loads(made)
    assert redact_json(made, level) == made
    assert not any(secret in made for secret in parts if secret in SECRETS.values() and f" {secret} " in text)


# --- stores


SECRET = f"export API_KEY={SECRETS['api_key']}\n" + "\n".join(f"step {i} of the install is done" for i in range(40))
REF, CLEAN = compute_ref(SECRET), compute_ref("clean")


def test_what_is_kept_behind_a_ref_has_no_secret_and_is_found() -> None:
    inner = MemoryStore()
    store = RedactingStore(inner)
    store.put({REF: SECRET.encode(), CLEAN: b"clean", "grant:x": b"", "vector:m:1": b"\xff\xfe"})
    store.put({REF: SECRET.encode()})
    kept = store.get(REF).decode()
    assert kept == SECRET.replace(SECRETS["api_key"], "[redacted:api_key]")
    assert store.get_many([REF, CLEAN, "1" * 12]) == {REF: kept.encode(), CLEAN: b"clean"}
    assert get_many(inner, [REF]) == {} and inner.get(REDACTED_PREFIX + REF) == kept.encode()
    assert store.get("vector:m:1") == b"\xff\xfe"
    with pytest.raises(UnknownRefError, match="'000000000000'"):
        store.get("000000000000")
    for unfit in ({REF: "text"}, {"x" * 300: b""}):
        with pytest.raises(StoreError):
            store.put(unfit)  # type: ignore[arg-type]


def test_settings_may_change_and_nothing_holds_other_bytes() -> None:
    text = f"mail jo@mail.example {SECRETS['github_token']}".encode()
    ref = compute_ref(text.decode())
    inner = MemoryStore()
    levels = {level: RedactingStore(inner, level) for level in ("secrets", "all", "off")}
    levels["secrets"].put({ref: text})
    levels["all"].put({ref: text, CLEAN: b"clean"})  # what is there stays
    assert levels["all"].get(ref) == levels["off"].get(ref) == b"mail jo@mail.example [redacted:github_token]"
    assert levels["all"].append_log("log", 0, [b"x"], values={ref: text})
    with pytest.raises(StoreError, match="other bytes"):
        levels["all"].put({ref: b"another text of the same ref, " + text})
    inner.put({ref: text})  # a compressor that redacts nothing
    levels["off"].put({ref: text})
    levels["secrets"].put({ref: text})
    assert levels["secrets"].get(ref) == text  # it was there in full before


def test_a_time_that_is_over_is_said() -> None:
    now = [0.0]
    store = RedactingStore(MemoryStore(ttl=10, clock=lambda: now[0]))
    store.put({REF: SECRET.encode()})
    now[0] = 20
    with pytest.raises(ExpiredRefError, match=f"'{REF}'"):
        store.get(REF)


def test_a_result_with_a_secret_is_not_kept_and_a_log_is_as_it_was() -> None:
    store = RedactingStore(MemoryStore())
    store.put({"cache:1:a": b"[]\n" + SECRET.encode(), "cache:1:b": b"[]\nfine", "expansion:s:1": SECRET.encode()})
    assert store.get_many(["cache:1:a", "cache:1:b"]) == {"cache:1:b": b"[]\nfine"}
    assert SECRETS["api_key"].encode() not in store.get("expansion:s:1")
    store.append_log("session:x", 0, [SECRET.encode()])
    assert store.read_log("session:x") == [(1, SECRET.encode())]


def test_a_compressor_expands_what_has_no_secret(tmp_path: Path) -> None:
    compressor = Compressor(store=RedactingStore(SQLiteStore(tmp_path / "s.db")))
    made = compressor.compress_text(SECRET, 100)
    ref = made.refs[0] if hasattr(made, "refs") else made.dropped[0].ref
    assert ref is not None and count_redactions(compressor.expand(ref)) == {"api_key": 1}
    session = compressor.session("s", budget=2_000)
    session.append({"role": "user", "content": "go on " * 400 + SECRET}, {"role": "user", "content": "and now?"})
    session.view()
    copied = Compressor(store="memory").import_session(session.export())
    assert copied.view() == session.view()
    compressor.close()
