"""Where `compressor admin` does its work: a running service, the store of a configuration, or a key file."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Annotated, Any, NoReturn, Protocol, get_type_hints
from urllib.parse import urlsplit

import typer

from compressor.cli.output import print_message
from compressor.errors import CompressorError, MissingDependencyError

KEY_VARIABLE = "COMPRESSOR_ADMIN_KEY"
_NEEDED = ("fastapi", "httpx", "prometheus_client", "pydantic_settings")


class AdminAnswers(Protocol):
    """Answers requests of the control plane."""

    def request(
        self, method: str, path: str, params: Mapping[str, Any] | None = None, body: Any = None
    ) -> tuple[int, Any]:
        """Returns the status and the JSON of an answer."""
        ...

    def close(self) -> None:
        """Ends the use."""
        ...


class Connection:
    """Sends the requests of a command, and prints their errors.

    Args:
        answers: Answers them.
        as_json: Whether the command prints JSON.
    """

    def __init__(self, answers: AdminAnswers, as_json: bool) -> None:
        self._answers, self.as_json = answers, as_json

    def send(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """Returns the JSON of an answer.

        Args:
            method: The HTTP method.
            path: The path after `/admin/v1`.
            body: The JSON of the body.
            params: The parameters in the query; None and "" are left out.

        Raises:
            CompressorError: The answer is an error.
        """
        given = {name: value for name, value in params.items() if value not in (None, "")}
        status, data = self._answers.request(method, f"/admin/v1{path}", given, body)
        if status < 400:
            return data
        error = data.get("error") if isinstance(data, dict) else None
        message = error.get("message") if isinstance(error, dict) else None
        raise CompressorError(str(message or f"the service answered with status {status}"))

    def show(self, data: Any, text: Callable[[Any], None]) -> None:
        """Prints an answer: as JSON, or as text for people."""
        if self.as_json:
            typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
        else:
            text(data)


class _ServiceAnswers:
    """A running service."""

    def __init__(self, url: str, key: str) -> None:
        import httpx

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CompressorError(f"--url {url!r} is not a base URL such as https://compressor.example")
        is_local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        if key and parts.scheme == "http" and not is_local:
            print_message("warning", "the admin key is sent unencrypted: use an https:// URL")
        headers = {"x-compressor-key": key} if key else {}
        self._client = httpx.Client(
            base_url=url.rstrip("/"), headers=headers, timeout=httpx.Timeout(30, read=600), trust_env=not is_local
        )

    def request(
        self, method: str, path: str, params: Mapping[str, Any] | None = None, body: Any = None
    ) -> tuple[int, Any]:
        import httpx

        try:
            answer = self._client.request(method, path, params=params, json=body)
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise CompressorError(
                f"{self._client.base_url} does not answer: {str(error) or type(error).__name__}"
            ) from None
        try:
            return answer.status_code, answer.json()
        except ValueError:
            raise CompressorError(
                f"{self._client.base_url} answered with status {answer.status_code}, but not as a compressor service"
            ) from None

    def close(self) -> None:
        self._client.close()


def connected(command: Callable[..., None], for_keys: bool = False) -> Callable[..., None]:
    """Gives a command the options that say where it works, and a `Connection` as its first argument.

    Errors are printed as one line, with exit code 2.

    Args:
        command: The function of the command.
        for_keys: Whether it may edit a key file.
    """
    hints = get_type_hints(command, include_extras=True)
    own = list(inspect.signature(command).parameters.values())[1:]
    options = list(inspect.signature(_connect).parameters.values())[1:]

    @wraps(command)
    def run(**given: Any) -> None:
        for package in _NEEDED:
            if not _is_installed(package):
                _exit(MissingDependencyError(package.replace("_", "-"), "service"))
        where = {option.name: given.pop(option.name) for option in options}
        try:
            connection = _connect(for_keys, **where)
            try:
                command(connection, **given)
            finally:
                connection._answers.close()
        except CompressorError as error:
            _exit(error)

    hints |= get_type_hints(_connect, include_extras=True)
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [one.replace(kind=kind, annotation=hints[one.name]) for one in (*own, *options)]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: hints[one.name] for one in parameters} | {"return": None}
    del run.__wrapped__  # or typer would read the hints of the command
    return run


def connected_to_keys(command: Callable[..., None]) -> Callable[..., None]:
    """Does what `connected` does, for a command that may edit a key file instead."""
    return connected(command, for_keys=True)


def _connect(
    for_keys: bool,
    url: Annotated[
        str | None,
        typer.Option(help=f"A running service's base URL; its admin key is read from {KEY_VARIABLE} or --key-file."),
    ] = None,
    key_file: Annotated[str | None, typer.Option(help="A file that holds the admin key, for --url.")] = None,
    config: Annotated[
        str | None, typer.Option(help="Without --url: the config file of the service, whose store is used directly.")
    ] = None,
    store: Annotated[str | None, typer.Option(help="Without --url: the store, if no config file names it.")] = None,
    keys: Annotated[str | None, typer.Option(help="Without --url: the key file that the key commands edit.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> Connection:
    """Opens the connection that the options name."""
    if url:
        if config or store or keys:
            raise CompressorError("--url is for a running service: leave out --config, --store and --keys")
        return Connection(_ServiceAnswers(url, _read_key(key_file)), as_json)
    from compressor.service.admin.local import LocalAdmin, LocalKeyFile
    from compressor.service.settings_sources import find_key_file, load

    file = config or os.environ.get("COMPRESSOR_CONFIG")
    path = find_key_file(file, os.environ, keys)
    if for_keys and path and (keys or not _has_database(file)):
        return Connection(LocalKeyFile(path), as_json)
    flags = {"store": store} if store else {}
    if path and not os.path.exists(path):
        raise CompressorError(f"the key file {path!r} does not exist: `compressor admin key create` makes it")
    settings = load(file, os.environ, {**flags, "keys": keys})
    if settings.store == "memory":
        raise CompressorError("the store is in the memory of the service: give its address with --url")
    if for_keys and settings.key_store != "database":
        raise CompressorError(
            "give the key file with --keys FILE, the address of a service with --url, or set "
            "COMPRESSOR_KEY_STORE=database and the store"
        )
    return Connection(LocalAdmin(settings), as_json)


def _has_database(file: str | None) -> bool:
    from compressor.service.settings_sources import read_config_file

    given = read_config_file(file) if file else {}
    return (os.environ.get("COMPRESSOR_KEY_STORE") or given.get("key_store")) == "database"


def _read_key(path: str | None) -> str:
    path = path or os.environ.get(f"{KEY_VARIABLE}_FILE")
    if not path:
        return os.environ.get(KEY_VARIABLE, "").strip()
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise CompressorError(f"Cannot read the file of the admin key {path!r}: {reason}") from None


def _is_installed(package: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(package) is not None


def _exit(error: CompressorError) -> NoReturn:
    print_message("error", str(error))
    raise typer.Exit(1 if isinstance(error, MissingDependencyError) else 2)
