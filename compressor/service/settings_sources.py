"""Reads the settings: CLI flags come before environment variables, and these before a config file.

A `.env` file is not read: Docker Compose reads it by itself, and elsewhere the environment is explicit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args
from urllib.parse import quote

from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    JsonConfigSettingsSource,
    TomlConfigSettingsSource,
    YamlConfigSettingsSource,
)

from compressor.errors import CompressorError
from compressor.service.auth import ApiKey, read_key_file, read_keys
from compressor.service.environment_names import PREFIX, check_names, without_links
from compressor.service.file_stamp import FileStamp, stamp_file
from compressor.service.settings import Settings
from compressor.storage.redis.client import SCHEMES
from compressor.storage.wrappers.encryption_keys import read_keyring, read_keyring_text

MAX_BLANK = 10_000  # bytes that may be blank at the beginning of a config file
_TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
_FILES = {
    ".toml": (TomlConfigSettingsSource, "toml_file"),
    ".yaml": (YamlConfigSettingsSource, "yaml_file"),
    ".yml": (YamlConfigSettingsSource, "yaml_file"),
}


@dataclass(frozen=True)
class LoadedSettings:
    """Settings together with what another process needs to have the same ones.

    Attributes:
        settings: The settings.
        encryption_keys: The text that the encryption keys were read from: a `Keyring` itself cannot be pickled.
    """

    settings: Settings
    encryption_keys: str = field(default="", repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Is pickled for a private pipe between processes of the service, and for nothing else."""
        return _restore, (self.settings.model_copy(update={"encryption_keys": None}), self.encryption_keys)


def _restore(settings: Settings, encryption_keys: str) -> LoadedSettings:
    if encryption_keys:
        keyring = read_keyring(encryption_keys, "the encryption keys")
        settings = settings.model_copy(update={"encryption_keys": keyring})
    return LoadedSettings(settings, encryption_keys)


class SettingsSources:
    """The sources of the settings. They can be read again while the service runs.

    Args:
        file: The path of a config file with the names of `Settings`: JSON, or by its suffix TOML or YAML.
        env: The environment. COMPRESSOR_KEYS holds the lines of a key file, COMPRESSOR_KEYS_FILE is the path of one;
            likewise COMPRESSOR_ENCRYPTION_KEYS. COMPRESSOR_REDIS_PASSWORD_FILE is the path of a file with the password
            of Redis.
        flags: Settings from the command line. None means that a flag was not given.
    """

    def __init__(
        self, file: str | None = None, env: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
    ) -> None:
        self._file, self._env = file, env or {}
        self._flags = {name: value for name, value in (flags or {}).items() if value is not None}
        self._stamps: dict[str, FileStamp | None] = {}  # of the files whose change matters, before they were read

    def read(self, allow_no_keys: bool = False) -> LoadedSettings:
        """Reads the settings.

        Args:
            allow_no_keys: Whether the key file may be empty, or not be given any more. For services that run with keys:
                there it means that no key is valid.

        Raises:
            CompressorError: A file cannot be read, a setting does not exist, or a value is not valid.
        """
        self._stamps = self.stamps()  # also of files that will not be reached, if an error ends the reading
        values, names = self._combine_layers()
        if (path := self._env.get(f"{PREFIX}REDIS_PASSWORD_FILE")) and isinstance(values.get("store"), str):
            values["store"] = _add_password(values["store"], path)
        if isinstance(path := values.get("keys"), str):
            self._watch(path)
            values["keys"] = read_key_file(path, allow_no_keys)
        encryption = ""
        if isinstance(given := values.get("encryption_keys"), str):
            encryption = read_keyring_text(given)
            values["encryption_keys"] = read_keyring(encryption, given)
        elif given is not None:
            encryption = self._env.get(f"{PREFIX}ENCRYPTION_KEYS", "")
        for name in ("tls_cert", "tls_key"):
            if isinstance(path := values.get(name), str):
                self._watch(path)
        if allow_no_keys and not values.get("keys"):
            # Without keys an open host is not valid, so the other settings are checked with one.
            checked = Settings(_names=names, **{**values, "keys": (ApiKey("none", ""),)})
            return LoadedSettings(checked.model_copy(update={"keys": ()}), encryption)
        return LoadedSettings(Settings(_names=names, **values), encryption)

    def stamps(self) -> dict[str, FileStamp | None]:
        """Returns the present state of the files whose change matters: config, keys, and the TLS certificate."""
        return {path: stamp_file(path) for path in self._stamps}

    def have_changed(self) -> bool:
        """Returns True if a file has changed since it was read."""
        return any(stamp_file(path) != stamp for path, stamp in self._stamps.items())

    def _watch(self, path: str) -> None:
        self._stamps.setdefault(path, stamp_file(path))

    def _combine_layers(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Returns the values, and what to call each setting in an error."""
        if self._file:
            self._watch(self._file)
        layers = (
            (read_config_file(self._file) if self._file else {}, lambda name: f"config file {self._file!r}: {name}"),
            (_read_environment(self._env), lambda name: PREFIX + name.upper()),
            (self._flags, lambda name: f"--{name.replace('_', '-')}"),
        )
        values: dict[str, Any] = {}
        names: dict[str, str] = {}
        for layer, describe in layers:
            values |= layer
            names |= {name: describe(name) for name in layer}
        return values, names


def load(
    file: str | None = None, env: Mapping[str, str] | None = None, flags: Mapping[str, Any] | None = None
) -> Settings:
    """Reads the settings once; `SettingsSources` explains the arguments.

    Raises:
        CompressorError: A file cannot be read, a setting does not exist, or a value is not valid.
    """
    return SettingsSources(file, env, flags).read().settings


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
        with open(path, "rb") as opened:  # the sources ignore a file that is missing
            if not (begins := opened.read(MAX_BLANK).strip()):
                raise CompressorError(f"The config file {path!r} is empty")  # a write has failed, or is not done yet
            if suffix not in _FILES and not begins.startswith((b"{", b"\xef\xbb\xbf{")):
                raise ValueError  # the source would take a list too
        given: dict[str, Any] = source(Settings, **{keyword: path})()
    except CompressorError:
        raise
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
        meant = {name: get_close_matches(str(name), Settings.model_fields, 1) for name in unknown}
        names = [f"{name} (did you mean {near[0]}?)" if near else str(name) for name, near in meant.items()]
        raise CompressorError(f"The config file {path!r} has settings that do not exist: {', '.join(sorted(names))}")
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
    check_names(env, Settings.model_fields)
    given = _Environment(Settings, without_links(env))()
    for name, about in Settings.model_fields.items():
        if name in given and _is_boolean(about.annotation):
            given[name] = _TRUTH.get(given[name].lower(), given[name])
    for name, read in (("keys", read_keys), ("encryption_keys", read_keyring)):
        variable = PREFIX + name.upper()
        if path := env.get(f"{variable}_FILE"):
            given[name] = path
        elif name in given:
            given[name] = read(given[name], variable)
    return given


def _is_boolean(annotation: Any) -> bool:
    return annotation is bool or any(_is_boolean(part) for part in get_args(annotation))


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
