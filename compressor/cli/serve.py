"""The commands `compressor serve`, which runs the service, and `compressor healthcheck`, which asks a running one."""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from compressor.errors import CompressorError, MissingDependencyError

if TYPE_CHECKING:
    from compressor.service.processes.server_commands import Command
    from compressor.service.processes.settings_reloader import SettingsReloader
    from compressor.service.settings import Settings
    from compressor.service.settings_sources import LoadedSettings, SettingsSources

ConfigOption = Annotated[
    str | None,
    typer.Option(help="A file of settings (JSON, TOML or YAML). Flags and COMPRESSOR_* variables take precedence."),
]


def serve(
    port: Annotated[int | None, typer.Option(help="The port to listen on; 0: any free port. [default: 8787]")] = None,
    host: Annotated[
        str | None,
        typer.Option(help="The address to listen on. All but the loopback address need keys. [default: 127.0.0.1]"),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="Where originals and sessions are stored: memory, a path ending in .db, or redis://..."),
    ] = None,
    redis_url: Annotated[str | None, typer.Option(help="The URL of a Redis to use as the store.")] = None,
    upstream: Annotated[
        str | None, typer.Option(help="The provider's base URL, to which /v1/... is proxied, such as https://host/v1.")
    ] = None,
    upstream_anthropic: Annotated[
        str | None, typer.Option(help="The base URL for /v1/messages, if it differs from --upstream.")
    ] = None,
    keys: Annotated[str | None, typer.Option(help="A file of API keys: TENANT sha256:HASH on each line.")] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="The budget of proxied requests: tokens, a fraction of the window (50%) or money ($0.02)."),
    ] = None,
    tools_budget: Annotated[
        str | None,
        typer.Option(help="The budget of the tools of a proxied request: tokens, or a fraction (25%)."),
    ] = None,
    scorer: Annotated[str | None, typer.Option(help="fast, embedding, pruner, perplexity or cascade.")] = None,
    device: Annotated[str | None, typer.Option(help="The device of a model scorer: cuda, mps or cpu.")] = None,
    workers: Annotated[
        str | None,
        typer.Option(help="The number of processes that serve the port, or auto: as many as cores. [default: auto]"),
    ] = None,
    shutdown_timeout: Annotated[
        float | None, typer.Option(help="Seconds that requests in flight have to finish at shutdown. [default: 30]")
    ] = None,
    tls_cert: Annotated[str | None, typer.Option(help="A PEM file with a certificate, to serve HTTPS.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="The PEM file with the certificate's key.")] = None,
    config: ConfigOption = None,
    new_key: Annotated[
        str | None, typer.Option(help="Print a new API key for this tenant and its line in the key file, then exit.")
    ] = None,
    admin: Annotated[bool, typer.Option("--admin", help="The new key may use /admin/v1.")] = False,
    new_encryption_key: Annotated[
        bool, typer.Option("--new-encryption-key", help="Print a new key that encrypts stored content, then exit.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the settings as JSON, without secrets, then exit.")
    ] = False,
) -> None:
    """Run the HTTP API and the proxy.

    Point a client's base URL at it: `OpenAI(base_url="http://127.0.0.1:8787/v1")`.
    """
    from compressor.service.auth import new_key as make_key

    if new_key:
        key, entry = make_key(new_key, admin)
        typer.echo(f"{key}\n{entry.line()}")
        return
    if admin:
        _exit_with_error(CompressorError("--admin is for a new key: give --new-key TENANT as well"))
    if new_encryption_key:
        from compressor.storage.wrappers.encryption_keys import new_encryption_key as make_encryption_key

        typer.echo(make_encryption_key())
        return
    flags: dict[str, Any] = {"port": port, "host": host, "upstream": upstream, "keys": keys, "workers": workers}
    flags |= {"upstream_anthropic": upstream_anthropic, "budget": budget, "scorer": scorer, "device": device}
    flags |= {"store": store or redis_url, "shutdown_timeout": shutdown_timeout}
    flags |= {"tools_budget": tools_budget, "tls_cert": tls_cert, "tls_key": tls_key}
    try:
        if store and redis_url:
            raise CompressorError("--redis-url and --store both set the store: give only one of them")
        sources = _settings_sources(config, flags)
        from compressor.service.worker_count import with_worker_count

        loaded = sources.read()
        settings = with_worker_count(loaded.settings)
        loaded = replace(loaded, settings=settings)
        if show:
            typer.echo(json.dumps(settings.printable(), indent=2))
            return
        _require_packages("uvicorn", "fastapi", "httpx", "prometheus_client")
        from compressor.service.environment_names import unknown_names
        from compressor.service.processes.listening_sockets import check_tls, listen
        from compressor.service.telemetry.logging import set_logging

        check_tls(settings)
        sockets, probe_sockets = listen(settings.host, settings.port), []
        if settings.probe_port is not None:
            probe_sockets = listen(settings.probe_host or settings.host, settings.probe_port)
    except CompressorError as error:
        _exit_with_error(error)
    set_logging(settings.log)
    commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
    reloader = _handle_signals(sources, loaded, commands)
    log = logging.getLogger("compressor.service")
    urls = [_url(_scheme(settings), *one.getsockname()[:2]) for one in sockets]
    log.info("settings", extra={"data": settings.printable()})
    probes = {"probes": [_url("http", *one.getsockname()[:2]) for one in probe_sockets]} if probe_sockets else {}
    log.info("listening", extra={"data": {"urls": urls, **probes, "workers": settings.workers}})
    if unknown := unknown_names(os.environ, type(settings).model_fields):
        log.warning("these variables are no settings, and are ignored: %s", ", ".join(unknown))
    if settings.warns_about_unencrypted_secrets():
        log.warning(
            "Redis stores the messages of named sessions with their secrets: set encryption keys (see SECURITY.md)"
        )
    reloader.start()
    try:
        _run(loaded, sockets, probe_sockets, commands)
    finally:
        reloader.stop()
        for one in (*sockets, *probe_sockets):
            one.close()


def healthcheck(
    url: Annotated[str | None, typer.Option(help="The service's base URL. [default: from the settings]")] = None,
    live: Annotated[bool, typer.Option("--live", help="Check only that it runs, not that its store answers.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for the answer.")] = 3.0,
    config: ConfigOption = None,
) -> None:
    """Ask a service on this machine whether it is ready; exit code 1 if it is not.

    For container engines and process supervisors. It needs no key, and reads COMPRESSOR_* variables and the config file
    as `serve` does.
    """
    import http.client
    import ssl
    import urllib.error
    import urllib.request

    context = None
    if url is None:
        try:
            settings = _settings_sources(config, {}).read().settings
        except CompressorError as error:
            _exit_with_error(CompressorError(f"{error} (or give the service's address with --url)"))
        has_probes = bool(settings.probe_port)
        host = (settings.probe_host if has_probes else None) or settings.host
        # A service that listens on all addresses listens on the loopback address too.
        host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
        scheme, port = ("http", settings.probe_port or 0) if has_probes else (_scheme(settings), settings.port)
        url = _url(scheme, host, port)
        if settings.tls_cert and not has_probes:  # trust exactly this certificate, whatever its name
            try:
                context = ssl.create_default_context(cafile=settings.tls_cert)
            except OSError as error:
                _exit_with_error(CompressorError(f"Cannot read the certificate {settings.tls_cert!r}: {error}"))
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    ask = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=context)] if context else [])
    )
    try:
        with ask.open(url.rstrip("/") + ("/healthz" if live else "/readyz"), timeout=timeout) as answer:
            typer.echo(str(json.loads(answer.read(10_000))["status"]))
    except urllib.error.HTTPError as error:
        typer.echo(f"error: {url} answered with status {error.code}", err=True)
        raise typer.Exit(1) from None
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
        typer.echo(f"error: {url} does not answer: {getattr(error, 'reason', None) or error}", err=True)
        raise typer.Exit(1) from None


def _settings_sources(file: str | None, flags: dict[str, Any]) -> SettingsSources:
    _require_packages("pydantic_settings")
    from compressor.service.settings_sources import SettingsSources

    return SettingsSources(file or os.environ.get("COMPRESSOR_CONFIG"), os.environ, flags)


def _handle_signals(
    sources: SettingsSources, start: LoadedSettings, commands: queue.SimpleQueue[Command]
) -> SettingsReloader:
    """Makes SIGTERM end the process and SIGHUP reload the settings, until the server has handlers of its own."""
    from compressor.service.processes.server_commands import Reconfigure
    from compressor.service.processes.settings_reloader import SettingsReloader
    from compressor.service.processes.terminal import Terminal

    # PID 1 of a container ignores signals without a handler, and models may load for a while.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    reloader = SettingsReloader(sources, start, lambda settings: commands.put(Reconfigure(settings)))
    if hasattr(signal, "SIGHUP"):
        terminal = Terminal()
        signal.signal(
            signal.SIGHUP,
            lambda *_: signal.raise_signal(signal.SIGTERM) if terminal.is_closed() else reloader.request(),
        )
    return reloader


def _run(
    start: LoadedSettings,
    sockets: Sequence[socket.socket],
    probe_sockets: Sequence[socket.socket],
    commands: queue.SimpleQueue[Command],
) -> None:
    """Serves until a signal ends it."""
    if (start.settings.workers or 1) > 1:
        from compressor.service.processes.supervisor import Supervisor

        Supervisor(start, sockets, probe_sockets, commands).run()
    else:
        from compressor.service.processes.process_link import ProcessLink
        from compressor.service.processes.uvicorn_server import serve

        serve(start, sockets, probe_sockets, ProcessLink(commands))


def _scheme(settings: Settings) -> str:
    return "https" if settings.tls_cert else "http"


def _url(scheme: str, host: str, port: int) -> str:
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _require_packages(*packages: str) -> None:
    import importlib.util

    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package.replace("_", "-"), "service")


def _exit_with_error(error: CompressorError) -> NoReturn:
    """Prints the error as one line, and exits with the code of bad usage."""
    line = " ".join(str(error).split())
    typer.echo("error: " + "".join(c if c.isprintable() else "\ufffd" for c in line), err=True)
    raise typer.Exit(1 if isinstance(error, MissingDependencyError) else 2)
