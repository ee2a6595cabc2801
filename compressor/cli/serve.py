"""`compressor serve` and `compressor healthcheck`. Both read the settings; the one prints them without their secrets
and has the service run until it is told to end, the other asks a service on this machine how it is."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from compressor.errors import CompressorError, MissingDependencyError

if TYPE_CHECKING:
    from compressor.service.settings import Settings

ConfigOption = Annotated[str | None, typer.Option(help="A JSON file of settings; flags and COMPRESSOR_* go before it.")]


def serve(
    port: Annotated[int | None, typer.Option(help="Where to listen; 0: any free port. [default: 8787]")] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Where to listen; another than the loopback address needs keys. [default: 127.0.0.1]"),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="Where originals and sessions are kept: memory, a path ending in .db, redis://..."),
    ] = None,
    redis_url: Annotated[str | None, typer.Option(help="The same, for a Redis.")] = None,
    upstream: Annotated[
        str | None, typer.Option(help="The provider's base URL, to which /v1/... is proxied, such as https://host/v1.")
    ] = None,
    upstream_anthropic: Annotated[str | None, typer.Option(help="The one for /v1/messages, if it is another.")] = None,
    keys: Annotated[str | None, typer.Option(help="A file of API keys: TENANT sha256:HASH on each line.")] = None,
    budget: Annotated[
        str | None, typer.Option(help="Of proxied requests: tokens, a share of the window (50%) or $0.02.")
    ] = None,
    scorer: Annotated[str | None, typer.Option(help="fast, embedding, pruner, perplexity or cascade.")] = None,
    device: Annotated[str | None, typer.Option(help="Where a model scorer runs: cuda, mps, cpu.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that serve the port. [default: 1]")] = None,
    drain: Annotated[
        float | None, typer.Option(help="Seconds that requests under way have at the end. [default: 30]")
    ] = None,
    tls_cert: Annotated[str | None, typer.Option(help="A PEM file of a certificate: serve HTTPS.")] = None,
    tls_key: Annotated[str | None, typer.Option(help="The PEM file of its key.")] = None,
    config: ConfigOption = None,
    new_key: Annotated[
        str | None, typer.Option(help="Print a new API key for this tenant and its line, and end.")
    ] = None,
    new_encryption_key: Annotated[
        bool, typer.Option("--new-encryption-key", help="Print a new key for what is stored, and end.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the settings as JSON, without secrets, and end.")] = False,
) -> None:
    """Run the HTTP API and the proxy.

    Point a client's base URL at it: `OpenAI(base_url="http://127.0.0.1:8787/v1")`.
    """
    from compressor.errors import BudgetError
    from compressor.service.auth import new_key as made
    from compressor.service.settings import budget_of

    if new_key:
        key, kept = made(new_key)
        typer.echo(f"{key}\n{kept.line()}")
        return
    if new_encryption_key:
        from compressor.storage.wrappers.encryption_keys import new_encryption_key as made_key

        typer.echo(made_key())
        return
    try:
        limit = budget_of(budget) if budget else None
    except ValueError:
        raise BudgetError(f"--budget {budget!r} is neither tokens (4000) nor a share (50%) nor money ($0.02)") from None
    flags: dict[str, Any] = {"port": port, "host": host, "upstream": upstream, "keys": keys, "workers": workers}
    flags |= {"upstream_anthropic": upstream_anthropic, "budget": limit, "scorer": scorer, "device": device}
    flags |= {"store": store or redis_url, "shutdown_timeout": drain, "tls_cert": tls_cert, "tls_key": tls_key}
    try:
        if store and redis_url:
            raise CompressorError("--redis-url and --store name the same thing: give one of them")
        settings = _settings(config, flags)
        if show:
            typer.echo(json.dumps(settings.printable(), indent=2))
            return
        _need("uvicorn", "fastapi", "httpx", "prometheus_client")
        from compressor.service.telemetry.logging import set_logging
        from compressor.service.uvicorn_server import check_tls, listen

        check_tls(settings)
        sockets = listen(settings.host, settings.port)
    except CompressorError as error:
        _refuse(error)
    set_logging(settings.log)
    where = [_url(settings, one.getsockname()[0], one.getsockname()[1]) for one in sockets]
    logging.getLogger("compressor.service").info("settings", extra={"data": settings.printable()})
    logging.getLogger("compressor.service").info("listening", extra={"data": {"urls": where}})
    if settings.warns_about_unencrypted_secrets():
        logging.getLogger("compressor.service").warning(
            "secrets in messages of named sessions are kept in Redis as they came: give encryption keys (SECURITY.md)"
        )
    _run(settings, partial(_settings, config, flags), sockets)


def healthcheck(
    url: Annotated[
        str | None, typer.Option(help="The service's base URL. [default: where the settings say it listens]")
    ] = None,
    live: Annotated[bool, typer.Option("--live", help="Only whether it runs, not whether its store answers.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds it has to answer.")] = 3.0,
    config: ConfigOption = None,
) -> None:
    """Ask a service on this machine whether it is ready: exit code 0, or 1 and why not.

    For container engines and supervisors. Needs no key; reads COMPRESSOR_* and the file of settings as `serve` does.
    """
    import http.client
    import ssl
    import urllib.error
    import urllib.request

    context = None
    if url is None:
        try:
            settings = _settings(config, {})
        except CompressorError as error:
            _refuse(CompressorError(f"{error} (or say where it listens by --url)"))
        # Whoever listens on all addresses does so on this one.
        host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
        url = _url(settings, host, settings.port)
        if settings.tls_cert:  # it has to be this very certificate, whatever name is in it
            try:
                context = ssl.create_default_context(cafile=settings.tls_cert)
            except OSError as error:
                _refuse(CompressorError(f"the certificate {settings.tls_cert!r} cannot be read: {error}"))
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    ask = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=context)] if context else [])
    )
    try:
        with ask.open(url.rstrip("/") + ("/healthz" if live else "/readyz"), timeout=timeout) as answer:
            typer.echo(str(json.loads(answer.read(10_000))["status"]))
    except urllib.error.HTTPError as error:
        typer.echo(f"error: {url} answers {error.code}", err=True)
        raise typer.Exit(1) from None
    except (OSError, ValueError, LookupError, TypeError, http.client.HTTPException) as error:
        typer.echo(f"error: {url} does not answer: {getattr(error, 'reason', None) or error}", err=True)
        raise typer.Exit(1) from None


def _settings(file: str | None, flags: dict[str, Any]) -> Settings:
    from compressor.service.settings import load

    return load(file or os.environ.get("COMPRESSOR_CONFIG"), os.environ, flags)


def _run(settings: Settings, again: Callable[[], Settings], sockets: Sequence[socket.socket]) -> None:
    """Until a signal ends it."""
    import signal

    # As the first process of a container nothing ends us that we have not asked for, not even while models load.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        if settings.workers > 1:
            from compressor.service.supervisor import Supervisor

            Supervisor(settings, again, list(sockets)).run()
        else:
            from compressor.service.uvicorn_server import serve

            serve(settings, list(sockets))
    finally:
        for one in sockets:
            one.close()


def _url(settings: Settings, host: str, port: int) -> str:
    return f"http{'s' if settings.tls_cert else ''}://{f'[{host}]' if ':' in host else host}:{port}"


def _need(*packages: str) -> None:
    import importlib.util

    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise MissingDependencyError(package.replace("_", "-"), "service")


def _refuse(error: CompressorError) -> NoReturn:
    """What was asked for cannot be had: one line, and the exit code of bad usage."""
    line = " ".join(str(error).split())
    typer.echo("error: " + "".join(c if c.isprintable() else "\ufffd" for c in line), err=True)
    raise typer.Exit(1 if isinstance(error, MissingDependencyError) else 2)
