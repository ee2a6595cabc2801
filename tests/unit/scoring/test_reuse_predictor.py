"""What the reuse model promises: which strings it takes for those to come, on any text, and that damage is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from compressor.errors import ModelError
from compressor.scoring import HeuristicScorer, Query, SourceBlock, UnitBatch, reuse_features, reuse_predictor
from compressor.scoring.token_index import token_shape
from compressor.text.segmenters import segment_text
from support.property_tests import given, settings, st

FLIGHTS = json.dumps(
    [{"flight_number": f"HAT{100 + i}", "aisle_meals": i % 2 == 0, "comment": "on time as ever"} for i in range(20)]
)


def tool_result_units(*texts: str, asked: str = "") -> UnitBatch:
    layouts = [segment_text(t) for t in texts]
    sources = [
        SourceBlock("tool_result", x, np.maximum(np.diff(x.spans, axis=1)[:, 0] / 4, 1).astype(np.float32), asked, age)
        for age, x in enumerate(reversed(layouts))
    ]
    return UnitBatch(sources[::-1])


def worth(units: UnitBatch, query: str = "book the flight") -> dict[str, float]:
    """The best place's worth of every token."""
    _, match = HeuristicScorer().match(Query(((query, 1.0),)), units)
    found = reuse_predictor.reuse_likelihood(units, match)
    assert found.shape == (len(units.index.pairs[0]),) and found.dtype == np.float32
    names = list(units.index.vocabulary)
    out: dict[str, float] = {}
    for token, value in zip(units.index.pairs[1].tolist(), found.tolist(), strict=True):
        out[names[token]] = max(out.get(names[token], 0.0), value)
    return out


def test_ids_are_worth_more_than_words() -> None:
    found = worth(tool_result_units(FLIGHTS, asked='search_flights {"origin": "JFK"}'))
    assert found["HAT107"] > 3 * found["ever"]


def test_the_neighbourhood_of_a_match_counts() -> None:
    lines = [f"{i}: value_{i} = compute_{i}(argument_{i})" for i in range(80)]
    lines[40] = "40: def resolve_lookup(self):"
    found = worth(tool_result_units("\n".join(lines)), "fix resolve_lookup")
    assert found["compute_42"] > found["compute_75"]


def test_shape_says_what_a_token_looks_like() -> None:
    assert (
        token_shape("a/b") & 1
        and token_shape("a_b") & 2
        and token_shape("a.b") & 4
        and token_shape("a@b") & 8
        and token_shape("a-b") & 16
    )
    assert (
        token_shape("Ab") >> 5 & 1
        and token_shape("AB") >> 6 & 1
        and token_shape("A1") >> 7 & 1
        and token_shape("11") >> 8 & 1
    )
    assert token_shape("x" * 100) >> 9 == 7 and token_shape("xxx") >> 9 == 0


def test_the_file_that_the_query_names_is_worth_more_than_its_neighbours() -> None:
    paths = [f"src/shop/{name}.py" for name in ("cart", "payments", "orders", "stock", "users", "taxes")]
    paths += [f"docs/{name}.txt" for name in ("payments", "orders")] + ["tests/test_stock.py", "tests/test_taxes.py"]
    listing = "Found 10 matches:\n" + "\n".join(f"/{path} (3 matches)" for path in paths)
    found = worth(tool_result_units(listing, asked="search_dir refund"), "a refund in payments is charged twice")
    assert max(paths, key=found.__getitem__) == "src/shop/payments.py"


def test_features_have_their_shape_and_are_the_same_each_time() -> None:
    text = "/src/shop/cart.py\n/src/shop/orders.py\n/tests/test_cart.py\nan_identifier and words"

    def features() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        units = tool_result_units(text, FLIGHTS, asked='search {"name": "cart"}')
        _, match = HeuristicScorer().match(Query((("the cart", 1.0),)), units)
        return (
            reuse_features.token_features(units, match),
            reuse_features.unit_features(units, match),
            reuse_predictor.reuse_likelihood(units, match),
        )

    first, second = features(), features()
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert first[0].shape[1] == reuse_features.TOKEN_FEATURES and first[1].shape[1] == reuse_features.UNIT_FEATURES


def test_the_lines_of_a_function_share_its_best_match() -> None:
    code = "\n".join(
        f"def function_{i}(value):\n    first = value + {i}\n    second = first * 2\n    return second\n"
        for i in range(6)
    ).replace("first * 2\n    return second\n\ndef function_3", "refund(first)\n    return second\n\ndef function_3")
    units = tool_result_units(code)
    _, match = HeuristicScorer().match(Query((("refund", 1.0),)), units)
    features = reuse_features.unit_features(units, match)
    best = features[:, -1] > 0
    assert best.any() and not best.all()
    assert all(
        "refund" in t or "function_2" in t or "first = value + 2" in t or "return" in t
        for t, b in zip(units.texts(), best.tolist(), strict=True)
        if b and t.strip()
    )


@given(st.lists(st.text(max_size=60), max_size=4), st.text(max_size=20), st.text(max_size=20))
@settings(max_examples=80, deadline=None)
def test_any_text_gives_finite_numbers(texts: list[str], query: str, asked: str) -> None:
    units = tool_result_units(*texts, asked=asked)
    if len(units):
        assert all(np.isfinite(v) and v >= 0 for v in worth(units, query).values())


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "reuse.npz"
    with pytest.raises(ModelError, match=r"reuse\.npz"):
        reuse_predictor.network(path)
    path.write_bytes(reuse_predictor.PATH.read_bytes()[:1000])
    with pytest.raises(ModelError, match="reinstall"):
        reuse_predictor.network(path)
    np.savez(path, version=np.array(99))
    with pytest.raises(ModelError, match="version 99"):
        reuse_predictor.network(path)
    np.savez(path, version=np.array(1))
    with pytest.raises(ModelError, match=f"version 1, but this release reads version {reuse_predictor.VERSION}"):
        reuse_predictor.network(path)
    sound = dict(np.load(reuse_predictor.PATH))
    np.savez(path, **{**sound, "by_unit": sound["by_unit"][:-1]})
    with pytest.raises(ModelError, match="reinstall"):
        reuse_predictor.network(path)
