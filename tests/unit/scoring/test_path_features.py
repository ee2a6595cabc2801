"""What the features of paths say, and that other tokens have none."""

from __future__ import annotations

import numpy as np

from compressor.scoring.path_features import FEATURES, path_features
from compressor.scoring.token_index import PATH, TokenIndex
from support.property_tests import given, st

MATCHED, TESTS, BESIDE, DEPTH, SHARED, SAME_FOLDER, CODE, SAME_ENDING = range(FEATURES)


def features(*tokens: str, known: tuple[str, ...] = (), query: dict[str, float] | None = None) -> dict[str, np.ndarray]:
    index = TokenIndex([*tokens, *known])
    is_known = np.array([t in known for t in index.vocabulary], np.bool_)
    found = path_features(index, is_known, query or {})
    assert found.shape == (FEATURES, len(index.vocabulary)) and found.dtype == np.float32
    return dict(zip(index.vocabulary, found.T, strict=True))


def test_words_and_identifiers_have_no_features() -> None:
    found = features("word", "an_identifier", "HAT136", "src/shop/cart.py")
    assert not found["word"].any() and not found["an_identifier"].any() and not found["HAT136"].any()
    assert found["src/shop/cart.py"].any()


def test_the_name_of_the_file_matches_the_query() -> None:
    found = features("src/cart/tax_rate.py", "src/tax/cart.py", query={"tax": 1.0})
    assert found["src/cart/tax_rate.py"][MATCHED] == 0.5 and found["src/tax/cart.py"][MATCHED] == 0


def test_tests_and_what_lies_beside_code_are_told_apart() -> None:
    found = features(
        "src/shop/cart.py", "tests/shop/cart.py", "shop/cart_test.go", "docs/cart.md", "web/cart.spec.test.ts"
    )
    assert [t for t, f in found.items() if f[TESTS]] == [
        "tests/shop/cart.py",
        "shop/cart_test.go",
        "web/cart.spec.test.ts",
    ]
    assert [t for t, f in found.items() if f[BESIDE]] == ["docs/cart.md"]
    assert [t for t, f in found.items() if not f[CODE]] == ["docs/cart.md"]


def test_what_lies_near_a_known_path_shows() -> None:
    found = features("src/shop/tax.py", "src/web/page.html", "lib/x.c", known=("src/shop/cart.py",))
    near, same_root, elsewhere = (found[t] for t in ("src/shop/tax.py", "src/web/page.html", "lib/x.c"))
    assert near[SHARED] == 1 and near[SAME_FOLDER] == 1 and near[SAME_ENDING] == 1
    assert same_root[SHARED] == 0.5 and same_root[SAME_FOLDER] == 0 and same_root[SAME_ENDING] == 0
    assert elsewhere[SHARED] == 0


@given(st.lists(st.text("ab/._-tés1", min_size=1, max_size=30), min_size=1, max_size=12), st.integers(0, 2**12 - 1))
def test_any_tokens_give_numbers_from_0_to_1(texts: list[str], bits: int) -> None:
    index = TokenIndex(texts)
    known = np.array([bits >> (i % 12) & 1 for i in range(len(index.vocabulary))], np.bool_)
    found = path_features(index, known, {"a": 1.0, "t": 0.5})
    assert ((found >= 0) & (found <= 1)).all() and not found[:, index.kinds != PATH].any()
