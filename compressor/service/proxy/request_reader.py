"""Reads the body of a proxied request: whole and unpacked if it is compressed here, else as a stream."""

from __future__ import annotations

from typing import Any

from compressor.scoring.runtime.executor import run_in_thread
from compressor.service.content_encoding import (
    UnsupportedEncodingError,
    check_encoding,
    content_encoding,
    unpack,
    without_encoding,
)
from compressor.service.proxy.exchange import Exchange
from compressor.service.proxy.routes import RESPONSES
from compressor.service.request_limits import read_body
from compressor.service.settings import Settings
from compressor.service.telemetry import logging as logs
from compressor.service.telemetry.records import CURRENT_RECORD
from compressor.service.upload_stream import UploadStream
from compressor.text.redaction import redact

ENCODED = "encoded_body"  # the warning of a request whose body is in an encoding that is not read here


async def read_request(exchange: Exchange, receive: Any, config: Settings) -> UploadStream | None:
    """Sets the body of an exchange.

    Args:
        exchange: The exchange.
        receive: ASGI's function that returns the next part of the body.
        config: The settings of the service.

    Returns:
        The stream of a request that is passed through; None for one that was read whole.

    Raises:
        HttpError: The body is too large, too slow, or not what its content-encoding says.
    """
    headers, route = exchange.headers, exchange.route
    is_read = exchange.method == "POST" and (route.api is not None or route.counts is not None)
    stream = None
    # With a bypass, only a `previous_response_id` in the body is looked at.
    if not is_read or (exchange.is_bypassed and route.api is not RESPONSES):
        stream = UploadStream(receive, headers, config.max_upload_bytes, config.timeout)
        small = await stream.read_small()
        if small is None:
            exchange.upload = stream
            return stream
        exchange.body = small
    else:
        exchange.body = await read_body(receive, headers, config.max_body_bytes, config.timeout)
        await _unpack(exchange, config.max_body_bytes)
    if config.log_content and (record := CURRENT_RECORD.get()) is not None:
        logs.log_content(record, exchange.body, redact)
    return stream


async def _unpack(exchange: Exchange, max_bytes: int) -> None:
    encoding = content_encoding(exchange.headers)
    if not encoding:
        return
    try:
        check_encoding(encoding)
    except UnsupportedEncodingError:  # perhaps the provider reads it
        exchange.is_packed = True
        return
    exchange.body = await run_in_thread(unpack, exchange.body, encoding, max_bytes)
    exchange.headers = without_encoding(exchange.headers)
