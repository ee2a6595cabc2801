"""Pages and text of PDFs: written in several ways, damaged, and made to cost time."""

from __future__ import annotations

import io
import time
import zlib

import pytest

from compressor.context.formats.pdf_pages import MAX_PAGES, read_pdf
from support.pdf_files import make_pdf
from support.property_tests import given, settings, st


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 300), st.text(alphabet="abc de", max_size=60), st.booleans(), st.booleans())
def test_pages_and_text_are_found(pages: int, text: str, in_object_stream: bool, with_count: bool) -> None:
    found = read_pdf(make_pdf(pages, text, in_object_stream, with_count=with_count))
    assert found is not None and (found.pages, found.characters) == (pages, pages * len(text))


def test_strings_of_all_kinds() -> None:
    def characters(content: bytes, head: bytes = b"") -> int | None:
        page = b"%PDF-1.4\n2 0 obj << /Type /Page >> endobj\n5 0 obj << /Length 1 " + head
        found = read_pdf(page + b">>\nstream\n" + content + b"\nendstream\nendobj")
        assert found is not None and found.pages == 1
        return found.characters

    assert characters(b"BT [(Wa) 30 (ter)] TJ ET") == 5
    assert characters(rb"BT (a\)b\(c) Tj ET") == 5
    assert characters(b"BT <00480065006C006C006F> Tj ET") == 5  # two bytes a character
    assert characters(b"BT <48656C6C6F20> Tj ET") == 6  # one byte a character
    assert characters(b"/CIDInit begincmap BT <0048> <0065>") == 0  # a font's table, not text
    assert characters(b"BT (Wa) Tj ET", b"/Subtype /Image ") == 0
    assert characters(b"BT (Wa) Tj ET", b"/Filter /LZWDecode ") == 0
    assert characters(b"q 1 0 0 1 0 0 cm (not shown) Q") == 0


def test_encrypted_text_is_unknown() -> None:
    found = read_pdf(make_pdf(3, "secret", encrypted=True))
    assert found is not None and found == (3, None)


@pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1.7", b"PK\x03\x04", b"%PDF-1.7\nstream\nxx", b"\0" * 5000])
def test_other_and_damaged_files(data: bytes) -> None:
    assert read_pdf(data) is None


def test_a_false_count_is_bounded() -> None:
    found = read_pdf(b"%PDF-1.4 << /Type /Pages /Count 999999999 >>")
    assert found is not None and found.pages <= 10
    found = read_pdf(b"%PDF-1.4 << /Type /Pages /Count 999999999 >>" + b" " * (1 << 20))
    assert found is not None and found.pages == MAX_PAGES
    found = read_pdf(b"%PDF-1.4 << /Type /Pages /Count 99 >> << /Type /Page >> << /Type/Page/X 1 >>")
    assert found is not None and found.pages == 2


@settings(deadline=None, max_examples=150)
@given(st.integers(1, 4), st.data())
def test_damaged_files_never_raise(pages: int, data: st.DataObject) -> None:
    file = bytearray(make_pdf(pages, "some text", data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 20))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    found = read_pdf(bytes(file[: data.draw(st.integers(0, len(file)))]))
    assert found is None or 0 < found.pages <= MAX_PAGES


@pytest.mark.parametrize(
    "content",
    [b"BT" + b"(" * (64 << 20), b"BT" + b"(\\" * (32 << 20), b"BT" + b"<00" * (20 << 20), b"BT<" + b"0" * (64 << 20)],
)
def test_bombs_are_bounded(content: bytes) -> None:
    packed = zlib.compress(content, 9)
    file = b"%PDF-1.4 << /Type /Page >> 1 0 obj << /Filter /FlateDecode >>\nstream\n" + packed + b"\nendstream"
    start = time.process_time()
    found = read_pdf(file)
    assert time.process_time() - start < 10
    assert found is not None and found.pages == 1


def test_agrees_with_other_programs() -> None:
    pillow = pytest.importorskip("PIL.Image")
    picture = pillow.new("RGB", (80, 60))
    file = io.BytesIO()
    picture.save(file, "PDF", save_all=True, append_images=[picture, picture])
    assert read_pdf(file.getvalue()) == (3, 0)
