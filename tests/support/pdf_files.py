"""Writes small PDF files for tests, in the ways that real programs write them."""

from __future__ import annotations

import base64
import zlib


def make_pdf(
    pages: int, text: str = "", in_object_stream: bool = False, encrypted: bool = False, with_count: bool = True
) -> bytes:
    """Returns a PDF of so many pages, each of which shows a text.

    Args:
        pages: The number of pages.
        text: The text of each page.
        in_object_stream: Whether the pages are in a compressed object stream, as newer programs write them.
        encrypted: Whether the file says that it is encrypted.
        with_count: Whether the page tree says how many pages it has.
    """
    kids = " ".join(f"{i + 10} 0 R" for i in range(pages))
    tree = f"<< /Type /Pages /Kids [{kids}]" + (f" /Count {pages}" if with_count else "") + " >>"
    nodes = [tree] + [f"<< /Type /Page /Parent 2 0 R /Contents {i + 1000} 0 R >>" for i in range(pages)]
    parts = [b"%PDF-1.7\n", b"1 0 obj\n<< /Type /Catalog /Pages 2 0 R /Outlines 3 0 R >>\nendobj\n"]
    parts.append(b"3 0 obj\n<< /Type /Outlines /Count 77 >>\nendobj\n")
    if in_object_stream:
        body = zlib.compress("\n".join(nodes).encode())
        head = f"4 0 obj\n<< /Type /ObjStm /N {len(nodes)} /First 0 /Filter /FlateDecode /Length {len(body)} >>\n"
        parts.append(head.encode() + b"stream\n" + body + b"\nendstream\nendobj\n")
    else:
        parts += [f"{i + 2} 0 obj\n{node}\nendobj\n".encode() for i, node in enumerate(nodes)]
    for i in range(pages):
        content = zlib.compress(f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET".encode("latin-1"))
        head = f"{i + 1000} 0 obj\n<< /Filter /FlateDecode /Length {len(content)} >>\n"
        parts.append(head.encode() + b"stream\r\n" + content + b"\r\nendstream\nendobj\n")
    parts.append(b"trailer\n<< /Root 1 0 R" + (b" /Encrypt 9 0 R" if encrypted else b"") + b" >>\n%%EOF\n")
    return b"".join(parts)


def encode(data: bytes, media_type: str = "") -> str:
    """Returns bytes as base64 text, or as a `data:` URL of a media type."""
    text = base64.b64encode(data).decode()
    return f"data:{media_type};base64,{text}" if media_type else text
