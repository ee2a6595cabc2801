"""Editing a key file: other lines stay, the file is replaced in one step, and nothing is lost."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from compressor.errors import CompressorError
from compressor.service.admin import key_operations as operations
from compressor.service.admin.key_file import KeyFile
from compressor.service.auth import ApiKey, find_key, new_key, parse_time, read_keys
from compressor.service.http_errors import HttpError

HASHES = ["a" * 64, "b" * 64, "c" * 64]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "keys.txt"
    file.write_bytes(
        b"# our keys; ask ops\n\n  search   sha256:" + HASHES[0].upper().encode() + b"   # of the search team\r\n"
        b"ops\tsha256:" + HASHES[1].encode() + b" admin"
    )
    return file


def test_a_file_with_comments_that_hold_a_semicolon_is_refused_as_before(path: Path) -> None:
    with pytest.raises(CompressorError, match=r"line 2: expected"):
        KeyFile(str(path)).list_keys()


@pytest.fixture
def plain(path: Path) -> Path:
    path.write_bytes(path.read_bytes().replace(b"keys; ask", b"keys, ask"))
    return path


def test_what_is_not_changed_stays(plain: Path) -> None:
    before, file = plain.read_bytes(), KeyFile(str(plain))
    os.chmod(plain, 0o640)
    made, entry = operations.create_key(file, "search", expires=parse_time("2030-01-01"))
    assert plain.read_bytes() == before + b"\n" + entry.line().encode() + b"\n"
    assert stat.S_IMODE(plain.stat().st_mode) == 0o640
    assert find_key(file.list_keys(), made) == entry
    assert operations.block_key(file, HASHES[0][:12]).blocked
    lines = plain.read_bytes().split(b"\n")
    assert lines[:2] == [b"# our keys, ask ops", b""]
    assert lines[2] == b"search\tsha256:" + HASHES[0].encode() + b"\tblocked=yes   # of the search team\r"
    assert lines[3] == b"ops\tsha256:" + HASHES[1].encode() + b" admin"
    operations.block_key(file, HASHES[0][:12], blocked=False)
    assert b"blocked" not in plain.read_bytes()
    operations.delete_key(file, HASHES[0])
    assert b"# of the search team" in plain.read_bytes() and HASHES[0].encode() not in plain.read_bytes()
    assert [key.tenant for key in file.list_keys()] == ["ops", "search"]
    assert not [name for name in os.listdir(plain.parent) if name != plain.name], "no temporary file is left"


def test_a_new_file_is_private(tmp_path: Path) -> None:
    file = KeyFile(str(tmp_path / "new.txt"))
    operations.create_key(file, "ops", admin=True)
    assert stat.S_IMODE((tmp_path / "new.txt").stat().st_mode) == 0o600
    (key,) = file.list_keys()
    assert key.admin and key.created is not None and key.state() == "valid"
    assert read_keys(key.line(), "a line") == (key,)


def test_a_link_stays_a_link(plain: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.txt"
    link.symlink_to(plain)
    operations.create_key(KeyFile(str(link)), "x")
    assert link.is_symlink() and len(read_keys(plain.read_text(), "file")) == 3


def test_the_last_key_is_blocked_rather_than_deleted(tmp_path: Path) -> None:
    file = KeyFile(str(tmp_path / "k"))
    _, key = operations.create_key(file, "ops")
    with pytest.raises(CompressorError, match="block it instead"):
        operations.delete_key(file, key.id)
    assert file.list_keys() == [key]


def test_many_administrators_lose_nothing(plain: Path) -> None:
    def create(number: int) -> str:
        return operations.create_key(KeyFile(str(plain)), f"t{number}")[1].id

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(create, range(40)))
    assert {key.id for key in KeyFile(str(plain)).list_keys()} >= made and len(made) == 40


def test_errors_name_the_file_and_no_key(tmp_path: Path) -> None:
    secret, _ = new_key("x")
    bad = tmp_path / "bad"
    bad.write_text(f"search {secret}\n")
    with pytest.raises(CompressorError, match="line 1") as found:
        operations.create_key(KeyFile(str(bad)), "x")
    assert secret not in str(found.value) and bad.read_text() == f"search {secret}\n"
    with pytest.raises(CompressorError, match="Cannot"):
        operations.create_key(KeyFile(str(tmp_path / "no" / "k")), "x")
    with pytest.raises(CompressorError, match="Cannot read"):
        KeyFile(str(tmp_path)).list_keys()
    with pytest.raises(CompressorError, match="tenant name"):
        operations.create_key(KeyFile(str(tmp_path / "k")), "a b")
    with pytest.raises(HttpError, match="no key with this id"):
        operations.block_key(KeyFile(str(tmp_path / "k")), "abc")


@pytest.mark.parametrize(
    "words",
    ["admin admin", "admin=yes", "expires", "expires=soon", "blocked=maybe", "color=red", "expires=2030 expires=2031"],
)
def test_lines_that_are_not_valid(words: str) -> None:
    with pytest.raises(CompressorError, match="line 1"):
        read_keys(f"t sha256:{HASHES[0]} {words}", "file")


def test_lines_of_all_forms() -> None:
    text = f"t sha256:{HASHES[0]} expires=2030-01-02T03:04:05Z blocked=no admin created=2026-01-01\n"
    (key,) = read_keys(text, "file")
    assert key == ApiKey("t", HASHES[0], True, parse_time("2026-01-01"), parse_time("2030-01-02T03:04:05+00:00"))
    assert read_keys(key.line(), "file") == (key,)
