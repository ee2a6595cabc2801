"""Reads the settings: CLI flags come before environment variables, and these before a config file.

A `.env` file is not read: Docker Compose reads it by itself, and elsewhere the environment is explicit.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    JsonConfigSettingsSource,
    TomlConfigSettingsSource,
    YamlConfigSettingsSource,
)

from compressor.errors import CompressorError
from compressor.service.auth import read_key_file, read_keys
from compressor.service.settings import Settings
from compressor.storage.redis.client import SCHEMES
from compressor.storage.wrappers.encryption_keys import read_keyring, read_keyring_file

PREFIX = "COMPRESSOR_"
_BOOLEANS = ("cache", "encryption_read_plain", "log_content", "otel")
_TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_FILES = {
    ".toml": (TomlConfigSettingsSource, "toml_file"),
    ".yaml": (YamlConfigSettingsSource, "yaml_file"),
    ".yml": (YamlConfigSettingsSource, "yaml_file"),
}


def load(
    file: str | None = None, env: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Settings:
    """Reads the settings.

    Args:
        file: The path of a config file with the names of `Settings`: JSON, or by its suffix TOML or YAML.
        env: The environment. COMPRESSOR_KEYS holds the lines of a key file, COMPRESSOR_KEYS_FILE is the path of one;
            likewise COMPRESSOR_ENCRYPTION_KEYS. COMPRESSOR_REDIS_PASSWORD_FILE is the path of a file with the password
            of Redis.
        flags: Settings from the command line. None means that a flag was not given.

    Raises:
        CompressorError: A file cannot be read, a setting does not exist, or a value is not valid.
    """
    env = env or {}
    given_flags = {name: value for name, value in (flags or {}).items() if value is not None}
    layers = (
        (read_config_file(file) if file else {}, lambda name: f"config file {file!r}: {name}"),
        (_read_environment(env), lambda name: PREFIX + name.upper()),
        (given_flags, lambda name: f"--{name.replace('_', '-')}"),
    )
    values: dict[str, Any] = {}
    names: dict[str, str] = {}
    for layer, describe in layers:
        values |= layer
        names |= {name: describe(name) for name in layer}
    if (path := env.get(f"{PREFIX}REDIS_PASSWORD_FILE")) and isinstance(values.get("store"), str):
        values["store"] = _add_password(values["store"], path)
    if isinstance(values.get("keys"), str):
        values["keys"] = read_key_file(values["keys"])
    if isinstance(values.get("encryption_keys"), str):
        values["encryption_keys"] = read_keyring_file(values["encryption_keys"])
    return Settings(_names=names, **values)


def find_key_file(file: str | None, env: Mapping[str, str], flag: str | None = None) -> str | None:
    """Returns the path of the key file that the settings name, or None.

    Args:
        file: The path of a config file.
        env: The environment.
        flag: The path from the command line.

    Raises:
        CompressorError: The config file cannot be read.
    """
    found = flag or env.get(f"{PREFIX}KEYS_FILE")
    if found is None and not env.get(f"{PREFIX}KEYS") and file:
        found = read_config_file(file).get("keys")
    return found or None


def read_config_file(path: str) -> dict[str, Any]:
    """Reads a config file.

    Raises:
        CompressorError: The file cannot be read or parsed, has a setting that does not exist, or holds a key itself.
    """
    suffix = Path(path).suffix.lower()
    source, keyword = _FILES.get(suffix, (JsonConfigSettingsSource, "json_file"))
    try:
        with open(path, "rb"):
            pass  # the sources ignore a file that is missing
        given: dict[str, Any] = source(Settings, **{keyword: path})()
    except OSError as error:
        raise CompressorError(f"Cannot read the config file {path!r}: {error.strerror}") from None
    except ImportError as error:
        raise CompressorError(f"Cannot read the config file {path!r}: {error}") from None
    except Exception as error:  # the parsers share no base class; their messages may quote a secret
        mark = getattr(error, "problem_mark", None)  # of YAML, which counts from 0
        number = mark.line + 1 if mark else getattr(error, "lineno", None)
        line = f" (line {number})" if number else ""
        kind = suffix[1:].upper() if suffix in _FILES else "JSON"
        raise CompressorError(f"The config file {path!r} is not a valid {kind} object{line}") from None
    if unknown := given.keys() - Settings.model_fields.keys():
        names = ", ".join(sorted(map(str, unknown)))
        raise CompressorError(f"The config file {path!r} has settings that do not exist: {names}")
    for name in ("keys", "encryption_keys"):
        if name in given and not isinstance(given[name], str):
            raise CompressorError(f"The config file {path!r} must give {name} as the path of a key file")
    return given


class _Environment(EnvSettingsSource):
    """The source for a given environment instead of the process's own."""

    def __init__(self, settings: type[BaseSettings], env: Mapping[str, str]) -> None:
        self._env = env
        super().__init__(settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._env.items() if name.startswith(PREFIX) and value}


def _read_environment(env: Mapping[str, str]) -> dict[str, Any]:
    given = _Environment(Settings, env)()
    for name in _BOOLEANS:
        if name in given:
            given[name] = _TRUTH.get(given[name].lower(), given[name])
    for name, read in (("keys", read_keys), ("encryption_keys", read_keyring)):
        variable = PREFIX + name.upper()
        if path := env.get(f"{variable}_FILE"):
            given[name] = path
        elif name in given:
            given[name] = read(given[name], variable)
    return given


def _add_password(url: str, path: str) -> str:
    """Adds the password in a file to a Redis URL; leaves a URL with a password, and any other, as it is."""
    scheme, _, rest = url.partition("://")
    front, _, host = rest.rpartition("@")
    if not url.startswith(SCHEMES) or ":" in front:
        return url
    try:
        password = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CompressorError(f"Cannot read the Redis password file {path!r}: {reason}") from None
    return f"{scheme}://{front}:{quote(password, safe='')}@{host}" if password else url
