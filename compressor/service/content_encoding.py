"""Unpacks request bodies that a client has packed (gzip, deflate or zstd), up to a limit of the unpacked size."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

import zstandard

from compressor.service.http_errors import HttpError

Headers = Iterable[tuple[bytes, bytes]]
ACCEPTED = ("gzip", "deflate", "zstd")
_ALIASES = {"x-gzip": "gzip"}
_MAX_WINDOW = 2**23  # bytes of a zstd window, which RFC 9659 allows in HTTP


class UnsupportedEncodingError(HttpError):
    """A body in an encoding that is not read here. A provider may read it."""


def content_encoding(headers: Headers) -> str:
    """Returns the content encoding of a request in lower case, "" if its body is not packed."""
    values = [value.decode("latin-1") for name, value in headers if name == b"content-encoding"]
    names = [name.strip().lower() for value in values for name in value.split(",")]
    return ", ".join(name for name in names if name not in ("", "identity"))


def without_encoding(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Returns the headers without those that describe the packed body."""
    return [(n, v) for n, v in headers if n not in (b"content-encoding", b"content-length")]


def check_encoding(encoding: str) -> None:
    """Checks that bodies in this encoding can be read.

    Raises:
        UnsupportedEncodingError: They cannot.
    """
    if encoding and _ALIASES.get(encoding, encoding) not in ACCEPTED:
        stacked = "," in encoding
        raise UnsupportedEncodingError(
            415,
            "encoded_body",
            ("A body that was packed more than once is not read" if stacked else f"{encoding!r:.60} is not read here")
            + f": send one content-encoding of {', '.join(ACCEPTED)}, or none",
            {"accept-encoding": ", ".join(ACCEPTED)},
        )


def unpack(body: bytes, encoding: str, max_bytes: int) -> bytes:
    """Returns a body unpacked. It is read piece by piece, so that no more than `max_bytes` are ever unpacked.

    Args:
        body: The packed body.
        encoding: Its encoding, as `content_encoding` returns it.
        max_bytes: The maximum size of the unpacked body.

    Raises:
        HttpError: 415 for an unknown encoding, 400 for a body that is not in this encoding, 413 for one that is too
            large.
    """
    if not encoding or not body:
        return body
    check_encoding(encoding)
    name = _ALIASES.get(encoding, encoding)
    parts: list[bytes] = []
    size = at = 0
    try:
        while at < len(body):  # a body may have several members, one after the other
            decoder = _decoder(name, body)
            while not decoder.eof:
                piece = body[at : at + decoder.step]
                if not piece and not decoder.is_pending:
                    raise ValueError("it breaks off")
                at += len(piece)
                parts.append(decoder.feed(piece, max_bytes + 1 - size))
                size += len(parts[-1])
                if size > max_bytes:
                    message = f"The unpacked request body is too large (limit: {max_bytes} bytes)"
                    raise HttpError(413, "too_large", message)
            at -= len(decoder.unused_data)
    except (zlib.error, zstandard.ZstdError, ValueError, EOFError):
        raise HttpError(
            400, "encoded_body", f"The request body is not valid {name}, though its content-encoding says so"
        ) from None
    return b"".join(parts)


class _Zlib:
    """Unpacks zlib's formats, at most so many bytes at a time."""

    step = 2**16  # packed bytes to feed at a time

    def __init__(self, bits: int) -> None:
        self._inner = zlib.decompressobj(bits)
        self._rest = b""

    def feed(self, data: bytes, limit: int) -> bytes:
        made = self._inner.decompress(self._rest + data, limit)
        self._rest = self._inner.unconsumed_tail
        return made

    @property
    def is_pending(self) -> bool:
        return bool(self._rest)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


class _Zstd:
    """Unpacks zstd. Its blocks become 128 KiB at most and take 4 bytes at least, so `step` bytes become 8 MiB."""

    step = 256
    is_pending = False

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).decompressobj()

    def feed(self, data: bytes, limit: int) -> bytes:
        return self._inner.decompress(data)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


def _decoder(name: str, body: bytes) -> _Zlib | _Zstd:
    if name == "zstd":
        return _Zstd()
    if name == "gzip":
        return _Zlib(31)
    return _Zlib(15 if _has_zlib_header(body) else -15)  # some clients send deflate without zlib's header


def _has_zlib_header(body: bytes) -> bool:
    return len(body) >= 2 and body[0] & 0x0F == 8 and (body[0] << 8 | body[1]) % 31 == 0
