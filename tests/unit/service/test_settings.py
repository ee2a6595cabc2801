"""The settings of the service: their sources, and the messages of their errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydantic_settings")

from compressor import CompressorError
from compressor.service.settings import Settings
from compressor.service.settings_sources import load


@pytest.mark.parametrize(
    ("env", "flags", "message"),
    [
        (
            {"COMPRESSOR_REQUESTS_PER_MINUTE": "abc"},
            {},
            "COMPRESSOR_REQUESTS_PER_MINUTE='abc' is not a valid integer",
        ),
        ({"COMPRESSOR_TIMEOUT": "0"}, {}, "COMPRESSOR_TIMEOUT='0' is too small: the minimum is 0.001"),
        ({"COMPRESSOR_CACHE": "maybe"}, {}, "COMPRESSOR_CACHE='maybe' is not true or false"),
        ({"COMPRESSOR_MODELS": "{"}, {}, "COMPRESSOR_MODELS='{' is not valid JSON"),
        ({}, {"port": 70_000}, "--port=70000 is too large: the maximum is 65535"),
        ({}, {"shutdown_timeout": True}, "--shutdown-timeout=True is not a number"),
        ({}, {"nonsense": "hush"}, "--nonsense is not a setting that exists"),
        (
            {"COMPRESSOR_UPSTREAM": "ftp://me:hush@host"},
            {},
            "COMPRESSOR_UPSTREAM='ftp://***@host' is not a base URL such as https://host/v1",
        ),
    ],
)
def test_an_error_names_the_setting_and_its_value(env: dict[str, str], flags: dict[str, Any], message: str) -> None:
    with pytest.raises(CompressorError) as found:
        load(env=env, flags=flags)
    assert str(found.value) == message and "hush" not in message


def test_all_errors_are_listed_in_one_line() -> None:
    with pytest.raises(CompressorError) as found:
        load(env={"COMPRESSOR_PORT": "x", "COMPRESSOR_LOG": "loud"}, flags={"workers": 0})
    text = str(found.value)
    assert text.count("; ") == 2 and "\n" not in text
    assert all(name in text for name in ("COMPRESSOR_PORT='x'", "COMPRESSOR_LOG='loud'", "--workers=0"))


def test_config_files_are_json_toml_or_yaml(tmp_path: Path) -> None:
    texts = {
        "settings.json": '{"port": 9, "policy": {"keep": ["fraction", 0.4]}}',
        "settings.toml": 'port = 9\n[policy]\nkeep = ["fraction", 0.4]\n',
        "settings.yaml": "port: 9\npolicy: {keep: [fraction, 0.4]}\n",
    }
    for name, text in texts.items():
        if name.endswith("toml"):
            pytest.importorskip("tomllib")
        (tmp_path / name).write_text(text)
        assert load(str(tmp_path / name)) == Settings(port=9, policy={"keep": ["fraction", 0.4]}), name
        (tmp_path / name).write_text("[hush")
        with pytest.raises(CompressorError, match=f"not a valid {name[-4:].strip('.').upper()} object") as found:
            load(str(tmp_path / name))
        assert "hush" not in str(found.value)


def test_settings_read_no_environment_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMPRESSOR_PORT", "1")
    assert Settings().port == 8787


def test_settings_show_no_secret() -> None:
    settings = Settings(store="redis://me:hush@host", upstream="https://me:hush@host/v1")
    assert "hush" not in repr(settings) and "hush" not in json.dumps(settings.printable())
