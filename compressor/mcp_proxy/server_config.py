"""Reads which MCP servers are wrapped: values of `--wrap`, and files in the form that desktop agents use."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from compressor.errors import CompressorError

Transport = Literal["stdio", "http", "sse"]
#: Words before the name of a server's package in a command.
_LAUNCHERS = frozenset({"npx", "uvx", "bunx", "pipx", "run", "exec", "dlx", "node", "uv", "npm", "pnpm", "bun", "deno"})
_TRANSPORT_NAMES: dict[str, Transport] = {
    "stdio": "stdio",
    "http": "http",
    "streamable-http": "http",
    "streamableHttp": "http",
    "sse": "sse",
}
_SCRIPT = re.compile(r"\.(py|js|mjs|ts|exe)$")
_NAMED = re.compile(r"([A-Za-z0-9_-]{1,32})=(?=\S)")


class WrapConfigError(CompressorError):
    """A value of `--wrap` or a configuration file does not say how a server is reached."""


@dataclass(frozen=True)
class WrappedServerConfig:
    """How one server is reached.

    The values of `env` and `headers` may be secrets, so they are not part of the `repr`.

    Attributes:
        name: Names the server in messages, and in the names of tools that several servers have.
        transport: "stdio" starts `command`; "http" (streamable HTTP) and "sse" connect to `url`.
        command: The executable; it is started without a shell.
        args: Its arguments.
        env: Its environment variables, besides a few harmless ones such as `PATH` and `HOME`.
        cwd: Its working directory, None for that of this process.
        url: The address of a server that runs already.
        headers: HTTP headers of each request to it.
    """

    name: str
    transport: Transport
    command: str = ""
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    url: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def parse_wrap_value(value: str) -> WrappedServerConfig:
    """Parses a value of `--wrap`: a URL or a command, with an optional `NAME=` before it.

    Raises:
        WrapConfigError: If it is empty or cannot be split into words.
    """
    text = value.strip()
    named = None if _is_url(text) else _NAMED.match(text)
    name, target = (named[1], text[named.end() :]) if named else ("", text)
    if _is_url(target):
        return WrappedServerConfig(name or _name_from_url(target), "http", url=_checked_url(target, "--wrap"))
    try:
        words = shlex.split(target)
    except ValueError as error:
        raise WrapConfigError(f"--wrap {value!r:.200} cannot be read: {error}") from None
    if not words:
        raise WrapConfigError('--wrap is empty: give a command such as "npx -y some-server", or a URL')
    return WrappedServerConfig(name or _name_from_command(words), "stdio", words[0], tuple(words[1:]))


def load_config_file(path: str) -> list[WrappedServerConfig]:
    """Loads `{"mcpServers": {NAME: {"command", "args", "env"} or {"url", "headers"}}}`.

    VS Code's key `servers` is read as well. Servers with `"disabled": true` are left out.

    Raises:
        WrapConfigError: If the file is not JSON in this form.
        OSError: If it cannot be read.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise WrapConfigError(f"{path} is not JSON: {error}") from None
    servers = data.get("mcpServers", data.get("servers")) if isinstance(data, dict) else None
    if not isinstance(servers, dict):
        raise WrapConfigError(f'{path} has no "mcpServers": {{NAME: {{"command": …}} or {{"url": …}}}}')
    return [
        _parse_entry(name, entry, f"{path}: server {name!r:.80}")
        for name, entry in servers.items()
        if not (isinstance(entry, dict) and entry.get("disabled") is True)
    ]


def with_unique_names(configs: Iterable[WrappedServerConfig]) -> list[WrappedServerConfig]:
    """Returns the configurations with a number added to each name that an earlier one has."""
    out: list[WrappedServerConfig] = []
    taken: set[str] = set()
    for config in configs:
        name, number = config.name, 2
        while name in taken:
            name, number = f"{config.name}-{number}", number + 1
        taken.add(name)
        out.append(replace(config, name=name))
    return out


def _parse_entry(name: str, entry: Any, where: str) -> WrappedServerConfig:
    if not isinstance(entry, dict):
        raise WrapConfigError(f"{where} must be an object with a command or a url")
    kind = entry.get("type", entry.get("transport"))
    if kind is not None and kind not in _TRANSPORT_NAMES:
        raise WrapConfigError(f"{where} has the unknown type {kind!r:.80}: use {', '.join(_TRANSPORT_NAMES)}")
    command, url = entry.get("command"), entry.get("url", entry.get("serverUrl"))
    if isinstance(command, str) and command.strip() and url is None:
        args = entry.get("args", [])
        if not isinstance(args, list) or not all(isinstance(argument, str) for argument in args):
            raise WrapConfigError(f"{where}: args must be a list of strings")
        cwd = entry.get("cwd")
        if cwd is not None and not isinstance(cwd, str):
            raise WrapConfigError(f"{where}: cwd must be a string")
        return WrappedServerConfig(name, "stdio", command, tuple(args), _string_map(entry, "env", where), cwd)
    if isinstance(url, str) and command is None:
        transport = _TRANSPORT_NAMES.get(str(kind), "http")
        headers = _string_map(entry, "headers", where)
        return WrappedServerConfig(
            name,
            "http" if transport == "stdio" else transport,
            url=_checked_url(url, where),
            headers=headers,
        )
    raise WrapConfigError(f"{where} must have either a command or a url")


def _string_map(entry: Mapping[str, Any], key: str, where: str) -> dict[str, str]:
    given = entry.get(key) or {}
    if not isinstance(given, dict) or not all(isinstance(v, (str, int, float)) for v in given.values()):
        raise WrapConfigError(f"{where}: {key} must map names to strings")
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in given.items()}


def _is_url(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


def _checked_url(url: str, where: str) -> str:
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        is_valid = False
    if not is_valid or any(c.isspace() for c in url):
        raise WrapConfigError(f"{where}: the url must be http://HOST or https://HOST, with an optional port and path")
    return url


def _name_from_url(url: str) -> str:
    try:
        parts = urlsplit(url)
        return "-".join(filter(None, [parts.hostname, str(parts.port) if parts.port else ""])) or "server"
    except ValueError:
        return "server"


def _name_from_command(words: list[str]) -> str:
    """Returns the last part of a package, script or image, such as "server-filesystem"."""
    program = Path(words[0]).stem
    places = [word for word in words[1:] if not word.startswith("-") and word not in _LAUNCHERS]
    scripts = [word for word in places if _SCRIPT.search(word)]
    if program in ("docker", "podman"):
        place = places[-1] if places else program
    elif program in _LAUNCHERS or program.startswith("python"):
        place = [*scripts, *places, program][0]
    else:
        place = words[0]
    name = re.split(r"[/\\]", place.rstrip("/\\"))[-1]
    return _SCRIPT.sub("", re.sub(r"(?<=.)[@:].*$", "", name)) or "server"
