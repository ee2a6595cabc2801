"""How lines of accessibility trees and element lists are read."""

from __future__ import annotations

import pytest

from compressor.images.element_lines import read_element, without_refs
from support.property_tests import given, st

LINES = [
    ('  - button "Add to cart" [ref=e12] [cursor=pointer]', "button", "Add to cart", "", ()),
    ('- checkbox "Gift" [checked] [disabled]:', "checkbox", "Gift", "", ("checked", "disabled")),
    ('- textbox "Quantity": "2"', "textbox", "Quantity", "2", ()),
    ("- text: Cart (3)", "text", "Cart (3)", "", ()),
    ("[12] StaticText 'Total 5', focused", "statictext", "Total 5", "", ()),
    ('[7]: <button> "Search";', "button", "Search", "", ()),
    ("*[33]<a href=/x>Home</a>", "link", "Home", "", ()),
    ('[4]<input placeholder="Email" value="a@b.example"/>', "input", "Email", "a@b.example", ()),
    ('uid=1_4 link "Docs" url="https://a.example"', "link", "Docs", 'url="https://a.example"', ()),
    ("checkbox 'News', checked=false", "checkbox", "News", "", ()),
    ("Items selected: 3", "", "Items selected: 3", "", ()),
    ("Disabled accounts", "", "Disabled accounts", "", ()),
]


@pytest.mark.parametrize(("line", "role", "name", "value", "states"), LINES)
def test_line(line: str, role: str, name: str, value: str, states: tuple[str, ...]) -> None:
    element = read_element(line)
    assert (element.role, element.name, element.value, element.states) == (role, name, value, states)


@given(st.text(alphabet=st.characters(blacklist_categories=("Cc", "Zl", "Zp")), max_size=200))
def test_any_line_is_read(line: str) -> None:
    element = read_element(line)
    assert element.depth <= len(line)


@given(st.text(max_size=300))
def test_refs_leave_the_lines(text: str) -> None:
    assert without_refs(text).count("\n") == text.count("\n")
