"""What is not finished: failing tests, errors, promises, decisions and causes, until they are resolved."""

from __future__ import annotations

import json
from typing import Any

import pytest

from compressor.context.formats import detect_format
from compressor.sessions.open_items import MAX_ITEMS, OpenItem, update_open_items
from support.cpu_time import cpu_time_below


def items(*steps: str | tuple[str, str], before: list[OpenItem] | None = None) -> list[OpenItem]:
    """Returns what is open after steps: a sentence of the agent, or a command with its result."""
    messages: list[Any] = [{"role": "user", "content": "Go."}]
    for k, step in enumerate(steps):
        if isinstance(step, str):
            messages += [{"role": "assistant", "content": step}, {"role": "user", "content": "Go."}]
            continue
        function = {"name": "bash", "arguments": json.dumps({"command": step[0]})}
        call = {"id": f"c{k}", "type": "function", "function": function}
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{k}", "content": step[1]})
    return update_open_items(before or [], list(enumerate(detect_format(messages).parse(messages).turns)))


def kinds(*steps: str | tuple[str, str]) -> list[str]:
    return [item.kind for item in items(*steps)]


#: Runner, its command, what it prints for a failure, the name of the failed test, and what it prints once that passes.
RUNNERS = {
    "pytest": (
        "pytest -q",
        "FAILED tests/test_money.py::test_vat - AssertionError: 10.005\n1 failed, 12 passed in 0.3s",
        "test_vat",
        "13 passed in 0.3s",
    ),
    "pytest -v": (
        "pytest -v",
        "tests/test_money.py::test_vat[a b-1] FAILED [ 50%]\ntests/test_money.py::test_ok PASSED [100%]\n"
        "_____ test_vat[a b-1] _____\n>       assert f() == 2\nE       assert 1 == 2",
        "test_vat[a b-1]",
        "tests/test_money.py::test_vat[a b-1] PASSED [ 50%]",
    ),
    "collection": (
        "pytest",
        "ERROR tests/test_a.py\nE   ModuleNotFoundError: No module named 'foo'",
        "test_a.py",
        "3 passed",
    ),
    "unittest": (
        "python -m unittest",
        "FAIL: test_vat (tests.test_money.Money.test_vat)\n----\nAssertionError: 1 != 2\n\nFAILED (failures=1)",
        "test_vat",
        "test_vat (tests.test_money.Money.test_vat) ... ok\n\nRan 5 tests in 0.1s\n\nOK",
    ),
    "unittest -v": (
        "python -m unittest -v",
        "test_vat (tests.Money) ... FAIL",
        "test_vat",
        "test_vat (tests.Money) ... ok",
    ),
    "go": (
        "go test ./...",
        "--- FAIL: TestVat/empty (0.00s)\n    a_test.go:14: got 3\nFAIL\tx/p\t0.1s",
        "TestVat/empty",
        "ok  \tx/p\t0.1s",
    ),
    "cargo": (
        "cargo test",
        "test money::tests::vat ... FAILED\ntest money::tests::ok ... ok\nthread 'x' panicked at src/m.rs:1:5:",
        "money::tests::vat",
        "test money::tests::vat ... ok\ntest result: ok. 2 passed; 0 failed",
    ),
    "jest": (
        "npx jest",
        "FAIL src/cart.test.ts\n  Cart\n    ✓ adds (3 ms)\n    ✕ removes an item (5 ms)\n\n   "
        " expect(received).toBe(expected)",
        "removes an item",
        "PASS src/cart.test.ts\n    ✓ removes an item (2 ms)\nTests:       2 passed, 2 total",
    ),
    "vitest": (
        "npx vitest run",
        "   × removes an item 4ms\n     → expected 3 to be 2",
        "removes an item",
        "   ✓ removes an item 2ms",
    ),
    "mocha": (
        "npx mocha",
        "  Cart\n    ✔ adds\n    1) removes an item\n\n  1 passing (5ms)\n  1 failing\n\n  1) Cart\n       removes"
        " an item:\n",
        "removes an item",
        "  Cart\n    ✔ removes an item\n\n  2 passing (5ms)",
    ),
    "TAP": (
        "prove",
        "1..2\nok 1 - adds\nnot ok 2 - removes an item\n",
        "removes an item",
        "ok 1 - adds\nok 2 - removes an item",
    ),
    "Maven": (
        "mvn test",
        "[ERROR]   CartTest.removesItem:42 expected: <2> but was: <3>\n[ERROR] Tests run: 5, Failures: 1, Errors: 0",
        "CartTest.removesItem",
        "[INFO] Tests run: 5, Failures: 0, Errors: 0, Skipped: 0\n[INFO] BUILD SUCCESS",
    ),
    "Gradle": (
        "./gradlew test",
        "CartTest > removesItem() FAILED\n    x.AssertionFailedError: 2",
        "removesItem",
        "CartTest > removesItem() PASSED",
    ),
    "RSpec": (
        "rspec",
        "Failures:\n\n  1) Cart removes an item\n     Failure/Error: expect(1).to eq 2\n\n3 examples, 1 failure",
        "Cart removes an item",
        "3 examples, 0 failures",
    ),
    "dotnet": (
        "dotnet test",
        "  Failed Cart.Removes [12 ms]\n  Passed Cart.Adds [1 ms]",
        "Cart.Removes",
        "  Passed Cart.Removes [2 ms]",
    ),
    "CTest": (
        "ctest",
        "2/2 Test #2: cart_removes .....***Failed    0.02 sec",
        "cart_removes",
        "2/2 Test #2: cart_removes .....   Passed    0.02 sec",
    ),
    "PHPUnit": (
        "phpunit",
        "1) CartTest::testRemoves\nFailed asserting that 3 is 2.\n\nFAILURES!",
        "testRemoves",
        "OK (5 tests, 9 assertions)",
    ),
    "GoogleTest": (
        "./cart_test",
        "[  FAILED  ] Cart.Removes (0 ms)",
        "Cart.Removes",
        "[       OK ] Cart.Removes (0 ms)",
    ),
    "XCTest": (
        "swift test",
        "Test Case '-[Cart testRemoves]' failed (0.01 seconds).",
        "testRemoves",
        "Test Case '-[Cart testRemoves]' passed (0.01 s).",
    ),
    "Bazel": (
        "bazel test //...",
        "//cart:cart_test   FAILED in 1.2s",
        "//cart:cart_test",
        "//cart:cart_test   PASSED in 1.2s",
    ),
}


@pytest.mark.parametrize("command, failing, name, passing", RUNNERS.values(), ids=RUNNERS)
def test_failing_tests_stay_open_until_they_pass(command: str, failing: str, name: str, passing: str) -> None:
    found = items((command, failing))
    assert [item.kind for item in found] == ["failure"] and name in found[0].text
    assert kinds((command, failing), ("ls", "README.md"), (command, failing)) == ["failure"]
    assert kinds((command, failing), ("ls", "README.md"), (command, passing)) == []


VAT = "tests/test_money.py::test_vat FAILED\nE   assert 1 == 2\n1 failed, 3 passed"


@pytest.mark.parametrize(
    ("command", "result", "is_open"),
    [
        ("pytest tests/test_money.py", "57 passed in 1.2s", False),
        ("pytest -q", "57 passed in 1.2s", False),
        ("cd shop && python -m pytest -x -q 2>&1 | tail -3", "57 passed in 1.2s", False),
        ("pytest -k test_vat", "1 passed", False),
        ("pytest tests/test_cart.py", "5 passed", True),
        ("pytest -k rounding", "5 passed", True),
        ("pytest -k vat_up -v", "tests/test_money.py::test_vat_up PASSED\n1 passed", True),
        ("npm test", "Tests:  5 passed, 5 total", True),
        ("pytest tests/test_money.py", "bash: pytest: command not found", True),
        ("cat log", "the service test_vat is ok", True),
        ("grep -rn test_vat .", "tests/test_money.py:12:def test_vat():", True),
    ],
)
def test_which_later_run_resolves_a_failure(command: str, result: str, is_open: bool) -> None:
    assert ("failure" in kinds(("pytest tests/test_money.py", VAT), (command, result))) is is_open


ERRORS = """src/a.c:12:5: error: 'x' undeclared (first use in this function)
src/a.ts(12,5): error TS2322: Type 'string' is not assignable to type 'number'.
src/a.ts:12:5 - error TS2322: Type 'string' is not assignable
error[E0382]: borrow of moved value: `x`
Main.java:5: error: cannot find symbol
./main.go:7:2: undefined: foo
bash: kubectl: command not found
npm ERR! code ERESOLVE
KeyError: 'price'
{"error": "Customer not found", "code": 404}
HTTP/1.1 500 Internal Server Error
curl: (7) Failed to connect to localhost port 8080: Connection refused
ERROR:  relation "orders" does not exist
sqlite3.OperationalError: no such table: orders
Exception in thread "main" java.lang.NullPointerException: x
TypeError: Cannot read properties of undefined (reading 'x')
make: *** [Makefile:3: all] Error 2
│ Error: Invalid resource type
Error from server (NotFound): pods "a" not found
fatal: not a git repository (or any of the parent directories): .git
thread 'main' panicked at 'index out of bounds: the len is 3', src/main.rs:4:5
src/a.py:3: error: Incompatible types in assignment  [assignment]
  3:1  error  'x' is never used  no-unused-vars
Segmentation fault (core dumped)
2026-05-20T14:02:11Z FATAL config: DATABASE_URL not set
错误: 找不到文件 config.yaml""".splitlines()
HARMLESS = {
    "none": "Found 0 errors in 12 files. 0 failed, 12 passed.",
    "summary": "Tests: 0 failed, 34 passed, 34 total\nFailures: 0, Errors: 0",
    "test code": "def test_error():\n    with pytest.raises(ValueError):\n        parse('x')\n",
    "raise": "class ParseError(Exception):\n    pass\n\ndef f():\n    raise ParseError('bad')\n",
    "logging": "    logger.error('could not connect: %s', e)\n    print('ERROR: bad input')\n",
    "except": "    except ValueError:\n        return None\n    except (KeyError, IndexError) as error:\n        pass",
    "listing": "     1\timport os\n     2\tclass AError(Exception): pass\n    12\t    raise ValueError('FAILED')\n",
    "search": "tests/a.py:12:def test_error():\ntests/b.py:4:    FAILED = 3\nsrc/x.py:9:     raise E('error: no port')",
    "documentation": "## Errors\n\n- `NotFoundError`: the resource does not exist.\nError handling is described in"
    " chapter 5.\n",
    "changelog": "- Fixed: error when saving a file.\n- fail fast when the disk is full\n- Failed logins are counted",
    "null": '{"error": null, "errors": [], "ok": true}',
    "names": "tests/test_a.py::test_error PASSED\ntests/test_a.py::test_failed_login PASSED\n2 passed",
    "files": "error.log\nerrors/\nfail.txt\nfailed_jobs.csv",
    "settings": "on_error: continue\nfail: false\nerror: none",
    "table": "| code | meaning |\n|---|---|\n| 404 | Error: not found |",
    "letter": "Failure to pay within 30 days leads to a fee. Errors in the invoice must be reported.",
    "exit": "done, exit code: 0",
    "patch": '-    raise ValueError("error: bad")\n+    raise KeyError("error: worse")',
}


@pytest.mark.parametrize("line", ERRORS)
def test_errors_are_open_until_the_same_call_answers_without_them(line: str) -> None:
    text = f"working on it\n{line}\n"
    assert kinds(("run it now", text)) == ["error"] and " ".join(line.split()) in items(("run it now", text))[0].text
    assert kinds(("run it now", text), ("ls", "README.md")) == ["error"]
    for result in ("all well", ""):
        assert kinds(("run it now", text), ("run it now", result)) == []


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_what_only_looks_like_a_failure(text: str) -> None:
    assert items(("cat x", text)) == []


PROMISES = """The login page still fails; I will revisit it later.|The login page is fixed now.|It is not fixed.
TODO before I finish: run the migration 0042_add_vat|I ran the migration 0042_add_vat.|0042_add_vat is broken.
Ich komme später auf den Lieferschein zurück.|Der Lieferschein ist erledigt.|Der Lieferschein ist noch nicht erledigt.
Je reviendrai plus tard sur le panier.|Le panier est corrigé.|Le panier n'est pas corrigé.
Queda por migrar pedidos.|Los pedidos están terminados, migrar hecho.|Los pedidos no están terminados.
Voltarei mais tarde aos pedidos.|Os pedidos: feito.|Os pedidos não estão feitos.
Позже вернусь к отчёту.|Отчёт готов.|Отчёт ещё не готов.
稍后再处理订单页面的问题。|订单页面的问题已解决。|订单页面的问题还没解决。
注文ページは後で直します。|注文ページを修正しました。|注文ページはまだ修正していません。""".splitlines()


@pytest.mark.parametrize("line", PROMISES, ids=range(len(PROMISES)))
def test_promises_are_open_until_they_are_kept(line: str) -> None:
    promise, kept, not_kept = line.split("|")
    assert kinds(promise) == ["promise"]
    assert "promise" in kinds(promise, "The weather is fine.", not_kept)
    assert "promise" not in kinds(promise, "The weather is fine.", kept)


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("decision", s)
        for s in (
            "Decision: I keep the old column price_net because the mobile app reads it.|Ich habe entschieden,"
            " price_net zu behalten."
            "|J'ai décidé de garder price_net.|Decidí conservar price_net.|Decidi manter price_net.|Я решил"
            " оставить price_net."
            "|我决定保留 price_net 列。|price_net 列は残すことにしました。"
        ).split("|")
    ]
    + [
        ("cause", s)
        for s in (
            "Root cause found: money.py:88 rounds twice.|Die Ursache ist money.py:88.|La cause est dans money.py:88."
            "|La causa está en money.py:88.|A causa está em money.py:88.|Причина в money.py:88.|根本原因是"
            " money.py:88。"
            "|原因は money.py:88 です。"
        ).split("|")
    ],
)
def test_decisions_and_causes(kind: str, sentence: str) -> None:
    assert kinds(sentence, "Looking at page 3.", ("ls", "README.md")) == [kind]


@pytest.mark.parametrize(
    "sentence",
    [
        "Let me update the todo list.",
        "I keep getting the same page.",
        "I'll look at the next file.",
        "Looking at page 3.",
        "The problem was solved.",
        "The issue is fixed now.",
        "I have updated your booking.",
        "I'll keep looking for it.",
    ],
)
def test_what_an_agent_says_in_passing(sentence: str) -> None:
    assert kinds(sentence) == []


def test_a_newer_decision_replaces_an_older_one_about_the_same() -> None:
    old, new = (
        "Decision: use Postgres for price_net and orders_v2.",
        "Decision: use MySQL for price_net and orders_v2 after all.",
    )
    assert [item.text for item in items(old, new)] == [new]
    other = "Decision: use Postgres for the invoices in billing_v3."
    assert len(items(old, other)) == 2


def test_items_survive_as_json_and_older_forms_are_read() -> None:
    (item,) = items(("pytest", VAT))
    assert OpenItem(*json.loads(json.dumps(item.to_json()))) == item
    assert OpenItem(*item.to_json()[:6]).key == item.key


def test_many_items_are_bounded_and_failures_outlive_errors() -> None:
    steps = [
        ("pytest", VAT),
        *((f"run {'abcdefgh'[k % 8] * (k // 8 + 1)}", f"KeyError: 'k{chr(97 + k % 26)}{k}'") for k in range(200)),
    ]
    found = items(*steps)
    assert len(found) <= MAX_ITEMS and found[0].kind == "failure"


def test_hostile_results_and_statements_take_linear_time() -> None:
    with cpu_time_below(20):
        for part in (
            "a",
            "error ",
            "\n",
            "FAILED ",
            "FAILED a::b\n",
            "a/",
            "1) x\n",
            '{"error":{',
            "x:1:",
            "E   Error\n",
            "no. ",
            "I will ",
        ):
            text = part * (1_000_000 // len(part))
            items(("run", text), text)


def test_twenty_thousand_tokens_are_read_at_once() -> None:
    text = "\n".join(f"12:00:{k % 60:02} ERROR [svc-{k}] disk full on node n{k} request=abc{k}" for k in range(900))
    with cpu_time_below(0.5):  # about 30 ms
        items(("run", text))
