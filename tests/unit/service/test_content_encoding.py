"""Packed bodies: each encoding is read, nothing is unpacked beyond the limit, and what is wrong is said."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("fastapi")

from compressor.service.content_encoding import ACCEPTED, content_encoding, unpack
from compressor.service.http_errors import HttpError


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


def zstd_stream(data: bytes) -> bytes:
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(data) + packer.flush()


PACKERS = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("zstd", zstandard.ZstdCompressor().compress),
    ("zstd", zstd_stream),
]


@pytest.mark.parametrize(("name", "pack"), PACKERS)
@given(data=st.binary(min_size=1, max_size=2000), cut=st.integers(1, 20))
def test_every_encoding(name: str, pack: object, data: bytes, cut: int) -> None:
    packed = pack(data)  # type: ignore[operator]
    assert unpack(packed, name, len(data)) == data
    for broken in (packed[:-cut], packed + b"more"):
        with pytest.raises(HttpError) as caught:
            unpack(broken or b"\0", name, 10_000)
        assert (caught.value.status, caught.value.kind) == (400, "encoded_body")
    with pytest.raises(HttpError) as caught:
        unpack(packed, name, len(data) - 1)
    assert (caught.value.status, caught.value.kind) == (413, "too_large")


@pytest.mark.parametrize(("name", "pack"), PACKERS)
def test_a_bomb_takes_no_memory(name: str, pack: object) -> None:
    bomb = pack(bytes(200 * 2**20))  # type: ignore[operator]
    tracemalloc.start()
    with pytest.raises(HttpError, match="too large"):
        unpack(bomb, name, 2**20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 * 2**20


def test_several_members() -> None:
    assert unpack(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", 10) == b"ab"
    assert unpack(zstd_stream(b"a") + zstd_stream(b"b"), "zstd", 10) == b"ab"


@given(st.binary(max_size=200), st.sampled_from(ACCEPTED))
def test_any_bytes(body: bytes, name: str) -> None:
    try:
        assert len(unpack(body, name, 5000)) <= 5000
    except HttpError as error:
        assert error.kind in ("encoded_body", "too_large")


def test_what_is_not_read_here() -> None:
    for name in ("br", "compress", "gzip, gzip", "zstd, gzip", "aes128gcm"):
        with pytest.raises(HttpError) as caught:
            unpack(b"x", name, 10)
        assert caught.value.status == 415 and caught.value.headers["accept-encoding"] == "gzip, deflate, zstd"


def test_the_header() -> None:
    assert content_encoding([(b"content-encoding", b" GZIP ")]) == "gzip"
    assert content_encoding([(b"content-encoding", b"identity, gzip,")]) == "gzip"
    assert content_encoding([(b"content-encoding", b"gzip"), (b"content-encoding", b"br")]) == "gzip, br"
    assert content_encoding([(b"content-type", b"x"), (b"content-encoding", b"identity")]) == ""
