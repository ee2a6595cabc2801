"""How wrapped servers are given: values of `--wrap` and configuration files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from compressor.mcp_proxy.server_config import (
    WrapConfigError,
    WrappedServerConfig,
    load_config_file,
    parse_wrap_value,
    with_unique_names,
)
from support.property_tests import given, st


@pytest.mark.parametrize(
    ("value", "name", "command"),
    [
        ("npx -y @modelcontextprotocol/server-filesystem /data", "server-filesystem", "npx"),
        ("npx -y some-server@1.2.3", "some-server", "npx"),
        ("uvx mcp-server-git --repository /r", "mcp-server-git", "uvx"),
        ("uv run --directory /srv weather.py", "weather", "uv"),
        ("python -m my_server --flag", "my_server", "python"),
        ("/usr/bin/python3.12 '/with space/server.py'", "server", "/usr/bin/python3.12"),
        ("/opt/bin/github-mcp-server stdio", "github-mcp-server", "/opt/bin/github-mcp-server"),
        ("docker run -i --rm -e TOKEN ghcr.io/github/github-mcp-server:v1", "github-mcp-server", "docker"),
        ("files=npx -y x", "files", "npx"),
        ("server", "server", "server"),
    ],
)
def test_a_command_names_its_server(value: str, name: str, command: str) -> None:
    config = parse_wrap_value(value)
    assert (config.name, config.command, config.transport) == (name, command, "stdio")


def test_no_shell_reads_a_command() -> None:
    config = parse_wrap_value("run; rm -rf $HOME `id` 'a b' \"c d\"")
    assert (config.command, *config.args) == ("run;", "rm", "-rf", "$HOME", "`id`", "a b", "c d")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("http://127.0.0.1:9000/mcp?key=a=b", "127.0.0.1-9000"),
        ("HTTPS://tools.example.com/mcp", "tools.example.com"),
        ("web=https://tools.example.com/mcp", "web"),
        ("http://[::1]:80/", "::1-80"),
    ],
)
def test_a_url_is_a_server_that_runs(value: str, name: str) -> None:
    config = parse_wrap_value(value)
    assert (config.name, config.transport) == (name, "http") and value.endswith(config.url)


@given(st.text(max_size=60))
def test_any_value_is_read_or_refused(value: str) -> None:
    try:
        config = parse_wrap_value(value)
    except WrapConfigError:
        return
    assert config.name and (config.command or config.url)


def load(tmp_path: Path, data: Any) -> list[WrappedServerConfig]:
    path = tmp_path / "servers.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return load_config_file(str(path))


def test_a_file_of_a_desktop_agent(tmp_path: Path) -> None:
    servers = {
        "files": {"command": "npx", "args": ["-y", "x"], "env": {"KEY": "secret1", "PORT": 80}, "cwd": "/tmp"},
        "web": {"type": "http", "url": "https://x/mcp", "headers": {"Authorization": "Bearer secret2"}},
        "old": {"type": "sse", "url": "http://x/sse"},
        "off": {"command": "x", "disabled": True},
    }
    files, web, old = load(tmp_path, {"mcpServers": servers, "theme": "dark"})
    assert (files.name, files.command, files.args, files.cwd) == ("files", "npx", ("-y", "x"), "/tmp")
    assert files.env == {"KEY": "secret1", "PORT": "80"}
    assert (web.transport, web.headers, old.transport) == ("http", {"Authorization": "Bearer secret2"}, "sse")
    assert "secret" not in repr([files, web, old])
    assert load(tmp_path, {"servers": servers}) == [files, web, old]  # VS Code
    assert load(tmp_path, "\ufeff" + json.dumps({"mcpServers": {}})) == []  # an editor has added a byte order mark


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("{", "not JSON"),
        ([], 'no "mcpServers"'),
        ({"mcpServers": []}, 'no "mcpServers"'),
        ({"mcpServers": {"a": "npx"}}, "'a' must be an object"),
        ({"mcpServers": {"a": {}}}, "either a command or a url"),
        ({"mcpServers": {"a": {"command": "x", "url": "http://x"}}}, "either a command or a url"),
        ({"mcpServers": {"a": {"command": "x", "args": "y"}}}, "args must be a list"),
        ({"mcpServers": {"a": {"command": "x", "env": {"K": ["v"]}}}}, "env must map"),
        ({"mcpServers": {"a": {"command": "x", "cwd": 3}}}, "cwd must be"),
        ({"mcpServers": {"a": {"url": "ftp://x"}}}, "the url must be"),
        ({"mcpServers": {"a": {"url": "http://x", "type": "carrier pigeon"}}}, "unknown type"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path: Path, data: Any, why: str) -> None:
    with pytest.raises(WrapConfigError, match=why):
        load(tmp_path, data)


def test_equal_names_are_numbered() -> None:
    configs = with_unique_names(parse_wrap_value(value) for value in ("a=x", "a=y", "a-2=z", "a=w"))
    assert [config.name for config in configs] == ["a", "a-2", "a-2-2", "a-3"]
