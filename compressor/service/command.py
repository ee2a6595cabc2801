"""`compressor serve`: reads the settings, prints them without their secrets, and runs the service until it is told to
end. Serves nothing itself."""

from __future__ import annotations

import gc
import json
import logging
import os
import time
from typing import Annotated, Any

import typer

from compressor.errors import MissingExtra


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
    config: Annotated[
        str | None, typer.Option(help="A JSON file of settings; flags and COMPRESSOR_* go before it.")
    ] = None,
    new_key: Annotated[
        str | None, typer.Option(help="Print a new API key for this tenant and its line, and end.")
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the settings as JSON, without secrets, and end.")] = False,
) -> None:
    """Run the HTTP API and the proxy.

    Point a client's base URL at it: `OpenAI(base_url="http://127.0.0.1:8787/v1")`.
    """
    from compressor.errors import CompressorError, InvalidBudget
    from compressor.service.auth import new_key as made
    from compressor.service.config import budget_of, load

    if new_key:
        key, kept = made(new_key)
        typer.echo(f"{key}\n{kept.line()}")
        return
    if store and redis_url:
        raise CompressorError("--redis-url and --store name the same thing: give one of them")
    try:
        limit = budget_of(budget) if budget else None
    except ValueError:
        raise InvalidBudget(
            f"--budget {budget!r} is neither tokens (4000) nor a share (50%) nor money ($0.02)"
        ) from None
    flags: dict[str, Any] = {
        "port": port,
        "host": host,
        "store": store or redis_url,
        "upstream": upstream,
        "keys": keys,
    }
    flags |= {"upstream_anthropic": upstream_anthropic, "budget": limit, "scorer": scorer, "device": device}
    settings = load(config or os.environ.get("COMPRESSOR_CONFIG"), os.environ, flags)
    if show:
        typer.echo(json.dumps(settings.printable(), indent=2))
        return
    try:
        import uvicorn
    except ImportError:
        raise MissingExtra("uvicorn", "service") from None
    from compressor.service.app import create_app

    app = create_app(settings)
    set_logging(settings.log)
    logging.getLogger("compressor.service").info("settings", extra={"data": settings.printable()})
    gc.collect()
    gc.freeze()  # what is loaded by now stays: no collection has to look at it again
    uvicorn.Server(uvicorn.Config(app, **server_options(settings))).run()


def server_options(settings: Any) -> dict[str, Any]:
    """What uvicorn is told. Its access log is off: a path may begin with a key; ours has the route only."""
    return {
        "host": settings.host,
        "port": settings.port,
        "access_log": False,
        "log_config": None,
        "proxy_headers": False,  # who asks is who is connected, whatever a header says
        "server_header": False,
        "date_header": False,
        "timeout_graceful_shutdown": int(settings.drain) or None,
        "h11_max_incomplete_event_size": 65_536,
        "ws": "none",
    }


def set_logging(level: str) -> None:
    """Logs lines of JSON to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Lines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in ("httpx", "httpcore"):  # they log URLs
        logging.getLogger(name).setLevel(logging.WARNING)


class _Lines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "data", {}),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)
